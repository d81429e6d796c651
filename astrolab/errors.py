"""Every deliberate error of astrolab, in one tree.

``AstrolabWarning`` marks what is suspected, but not certain: it is said, and the work goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial


class AstrolabError(Exception):
    """An error in four parts: what was asked, received, available, and what to do."""

    def __init__(self, asked: str, *, received: str, available: str = "", remedy: str):
        self.asked, self.received, self.available, self.remedy = asked, received, available, remedy
        super().__init__(asked)

    def __str__(self) -> str:
        parts = [("received", self.received), ("available", self.available), ("to do", self.remedy)]
        return "\n".join([self.asked, *(f"  {name:<9}: {text}" for name, text in parts if text)])

    def __reduce__(self):
        parts = {"received": self.received, "available": self.available, "remedy": self.remedy}
        return partial(type(self), self.asked, **parts), ()


class AstrolabWarning(UserWarning):
    """Something that is probably not what was meant, said aloud while the work goes on."""


class UnknownNameError(AstrolabError, KeyError):
    """A name that nothing answers to."""


class ConfigError(AstrolabError, ValueError):
    """A setting outside what it can be."""


class ParameterError(ConfigError):
    """A notebook parameter that is unknown or of the wrong type."""


class DataError(AstrolabError):
    """Data that cannot be used."""


class ManifestError(DataError):
    """A manifest that is wrong, or does not fit its files."""


class DataNotFoundError(DataError, FileNotFoundError):
    """A file that is not here."""


class CorruptFileError(DataError):
    """A file that cannot be read as what it claims to be."""


class SchemaError(DataError):
    """A missing key, wrong band count or wrong shape."""


class PixelError(DataError):
    """NaN or infinite values where numbers must be."""


class PredictionError(DataError):
    """A predictions table that cannot be scored."""


class ChecksumError(DataError):
    """A hash that does not match."""


class DownloadError(DataError):
    """No mirror gave the file."""


class DiskFullError(DataError):
    """Not enough space for what must be written."""


class EmptySplitError(DataError):
    """A split with nothing in it."""


class LeakError(DataError):
    """The same object in a train set and a test set."""


class ModelError(AstrolabError):
    """A network that cannot be used as asked."""


class TargetError(ModelError):
    """A layer name that matches nothing."""


class CheckpointError(ModelError):
    """Weights that do not fit exactly."""


class PlanError(ModelError):
    """What trains is not what the plan says."""


class TrainingError(AstrolabError):
    """Training that cannot go on."""


class RunError(AstrolabError):
    """A run folder that cannot be used as asked."""


def unknown_name(kind: str, *, name: str, names: Iterable[str], remedy: str = "") -> UnknownNameError:
    """Build the error for a name that is not among `names`, with the nearest spelling."""
    known = sorted(names)
    near = get_close_matches(name, known, n=1)
    remedy = remedy or (f"Did you mean {near[0]!r}?" if near else "Use one of the names above.")
    asked, available = f"A {kind} was asked for by name.", ", ".join(known) or "nothing"
    return UnknownNameError(asked, received=repr(name), available=available, remedy=remedy)


def require_known(kind: str, *, name: str, names: Iterable[str]) -> None:
    """Refuse a name that is not among `names`."""
    if name not in names:
        raise unknown_name(kind, name=name, names=names)
