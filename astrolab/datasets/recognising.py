"""Is a file of its kind at all? Told by how it begins, before anything else of it is believed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from astrolab.datasets.hdf5 import open_h5
from astrolab.datasets.manifest_schema import FileEntry, Manifest
from astrolab.errors import CorruptFileError

_BEGINNINGS = {"fits": (b"SIMPLE", b"BZh"), "parquet": b"PAR1", "npz": b"PK"}
_GZIP = b"\x1f\x8b"


def recognise(path: Path, *, manifest: Manifest, entry: FileEntry) -> None:
    """Refuse a file that cannot be what its manifest says, such as a server's page, with a CorruptFileError."""
    kind = manifest.format.format if manifest.format else "hdf5"
    begin, size = _begin(path), path.stat().st_size
    if not begin:
        received = f"nothing that can be read in {size:,} bytes"
    elif begin.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{"):
        received = f"a page of text, {begin[:60].decode('ascii', 'replace')!r}"
    elif not begin.startswith(_BEGINNINGS.get(kind, b"")):
        received = f"a file that is not {kind.upper()}, {size:,} bytes"
    elif entry.bytes not in (None, size):
        received = f"{size:,} bytes where {entry.bytes:,} are published"
    else:
        if kind == "hdf5":
            open_h5(path).close()  # says also whether it is cut short
        return
    raise CorruptFileError(
        f"{entry.path} of {manifest.name!r} was to be a {kind} file.",
        received=received,
        remedy=f"Delete {path} and fetch it again.",
    )


def _begin(path: Path) -> bytes:
    with path.open("rb") as file:
        begin = file.read(256)
    if not begin.startswith(_GZIP):
        return begin
    try:
        with gzip.open(path) as file:
            return file.read(256)
    except (OSError, EOFError, zlib.error):  # packed, but not whole
        return b""
