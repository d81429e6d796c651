"""What the keys of a manifest may hold: each kind of value in words, as a test, and as what it becomes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any


@dataclass(frozen=True)
class Value:
    """A kind of value: how a person would call it, whether something is one, and what Python makes of it."""

    expected: str
    fits: Callable[[Any], bool]
    becomes: Callable[[Any], Any] = lambda value: value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and bool(value) and all(map(fits, value))


def _is_range(value: Any) -> bool:
    return _is_list_of(_is_number)(value) and len(value) == 2 and value[0] < value[1]


def _is_address(value: Any) -> bool:
    return _is_text(value) and re.fullmatch(r"https?://\S+", value) is not None


def _stays_inside(value: Any) -> bool:
    if not _is_text(value) or value in ("", "."):
        return False
    parts = PurePosixPath(value.replace("\\", "/")).parts
    return not (value.startswith("/") or PureWindowsPath(value).anchor or ".." in parts)


def _floats(values: list[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if _is_text(value) else tuple(value)


TEXT = Value("text", _is_text)
TEXTS = Value("text or a list of text", lambda v: _is_text(v) or _is_list_of(_is_text)(v), _tuple)
FLAG = Value("true or false", lambda v: isinstance(v, bool))
COUNT = Value("a whole number, zero or more", _is_count)
COUNTS = Value("a list of whole numbers", _is_list_of(_is_count), tuple)
NUMBERS = Value("a list of numbers", _is_list_of(_is_number), _floats)
POSITIVE = Value("a positive number", lambda v: _is_number(v) and v > 0, float)
RANGE = Value("[low, high] with low < high", _is_range, _floats)
TABLE = Value("a table", lambda v: isinstance(v, dict), dict)
RENAMES = Value('name = "column" pairs', lambda v: isinstance(v, dict) and all(map(_is_text, v.values())), dict)
ADDRESSES = Value("a list of http:// or https:// addresses", _is_list_of(_is_address), tuple)
FOLDER_NAME = Value(
    "letters, digits, '.', '_' and '-' (it names a folder)",
    lambda v: _is_text(v) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", v) is not None,
)
PATH = Value("a path inside the survey's folder (not absolute, without '..')", _stays_inside)
PATHS = Value(
    "a list of " + PATH.expected.removeprefix("a ").replace("path", "paths", 1), _is_list_of(_stays_inside), tuple
)


def one_of(*choices: str) -> Value:
    """Return the kind of value that is one of some words."""
    return Value("one of " + ", ".join(choices), lambda v: v in choices)


def hexadecimal(n_digits: int) -> Value:
    """Return the kind of value that is a hash."""
    return Value(
        f"{n_digits} hexadecimal digits",
        lambda v: _is_text(v) and re.fullmatch(rf"[0-9a-fA-F]{{{n_digits}}}", v) is not None,
        str.lower,
    )


def holds(value: Value, *, default: Any = MISSING) -> Any:
    """Declare a key of a manifest as a dataclass field."""
    if default == {}:
        return field(default_factory=dict, metadata={"value": value})
    return field(default=default, metadata={"value": value})


def has(kind: type, *, default: Any = None) -> Any:
    """Declare a section of a manifest, or a list of sections if `default` is a tuple, as a dataclass field."""
    return field(default=default, metadata={"section": kind})
