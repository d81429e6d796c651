"""What the explorers compute: choosing, slicing, scoring, comparing and exporting objects of a predictions table.

Nothing here knows of widgets; the widgets only wire these functions to controls.
"""
