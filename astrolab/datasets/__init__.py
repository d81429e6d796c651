"""From a manifest to a Survey, its splits, its leaks and its scaling.

Read in this order: `manifests` (what exists), `loading` (a name becomes a `Survey`), `survey` (the one data object),
`splits`, `leaks`, `scaling`. `rows`, `images` and `catalogues` read the files; `twins` writes simulated ones.
"""
