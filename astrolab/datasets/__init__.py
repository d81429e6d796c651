"""From a manifest to a Survey, its splits, its leaks and its scaling.

Read in this order: `manifest` (what exists), `loading` (a name becomes a `Survey`), `survey` (the one data object),
`splits`, `overlap`, `scaling`. `reading` makes a survey of one file, from what `formats` finds in it; `fetching` brings
files, `checking` looks at what they hold; `twins` writes simulated ones.
"""
