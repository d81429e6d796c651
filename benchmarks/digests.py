"""How fast data is digested (MB/s): a file byte by byte, and its stamps one by one with the extremes of every band."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from astrolab.datasets.digests import digest_file, read_content
from astrolab.datasets.formats import H5Rows

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "stamps.h5"
    with h5py.File(path, "w") as file:
        file["image"] = np.random.default_rng(0).normal(size=(2000, 5, 127, 127)).astype(np.float32)
    with h5py.File(path) as file:
        stamps = H5Rows(file["image"])
    for name, digest, data in (("file", digest_file, path), ("stamps", read_content, stamps)):
        start = time.perf_counter()
        digest(data)
        sys.stdout.write(f"{name}: {path.stat().st_size / 1e6 / (time.perf_counter() - start):,.0f} MB/s\n")
