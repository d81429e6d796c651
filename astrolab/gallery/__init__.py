"""A static site of run folders: an index, and one page a run; no server, no script, no network."""

from astrolab.gallery.site import listed_runs, write_gallery

__all__ = ["listed_runs", "write_gallery"]
