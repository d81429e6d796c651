"""Manifests of small surveys of one's own, as a user writes them."""

TABLE = """
name = "mine"
title = "My own survey"
version = "1"
[[label]]
name = "z"
column = "zspec"
[id]
column = "id"
scheme = "mine"
[sky]
ra = "ra"
dec = "dec"
[input.magnitudes]
channels = ["g", "r", "i"]
columns = ["g", "r", "i"]
[format]
format = "csv"
"""
FILES = '[[files]]\npath = "mine.csv"\n'
IMAGES = """
name = "mine"
title = "My own survey"
version = "1"
[[label]]
name = "z"
column = "z"
possible = [0, 2]
[input.image]
key = "image"
channels = ["g", "r"]
[[files]]
path = "mine.h5"
"""
