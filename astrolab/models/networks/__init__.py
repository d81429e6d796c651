"""The networks that come with astrolab, one a module."""
