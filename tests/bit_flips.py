"""One bit of a file turned over, as a disk or a copy does once in a while."""

import random
from pathlib import Path

import pytest


def require_every_flip_refused(path: Path, *, load, error: type, n: int = 40) -> None:
    """Turn over a bit in each of `n` places, and cut, empty and remove the file: `load` refuses all of it."""
    whole, draw = path.read_bytes(), random.Random(0)
    load()
    for _ in range(n):
        place, bit = draw.randrange(len(whole)), draw.randrange(8)
        harmed = bytearray(whole)
        harmed[place] ^= 1 << bit
        path.write_bytes(harmed)
        with pytest.raises(error, match="to do"):
            load()
            pytest.fail(f"bit {bit} of byte {place} of {path.name} is read as if nothing had happened")
    for harmed in (whole[: len(whole) // 2], whole[:-1], b"", whole + b" "):
        path.write_bytes(harmed)
        with pytest.raises(error, match="to do"):
            load()
    path.write_bytes(whole)
    load()
