"""astrolab: what happens when a model learned on one survey must work on another."""
