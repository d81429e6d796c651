"""What the explorers compute, without any widget: choosing, slicing, scoring, comparing and exporting objects."""
