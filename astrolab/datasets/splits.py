"""Train, validation and test objects, chosen by a hash of the object id, or of the row where there are no ids.

A hash knows nothing of order, of platform, or of which other objects are there: an object stays on its side of the
split when the file is sorted, cut down, or joined with another, and rows with one id are never on two sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from astrolab.datasets.survey import Survey, qualified_ids
from astrolab.errors import ConfigError, EmptySplitError, require_known

PARTS = ("train", "validation", "test")
VALIDATIONS = ("fixed", "as_published")
_SPLIT_STREAM, _SUBSAMPLE_STREAM = 1, 2


@dataclass(frozen=True)
class Splits:
    """The three parts of a survey; unpacks as ``train, validation, test = split(survey)``."""

    train: Survey
    validation: Survey
    test: Survey

    def __iter__(self) -> Iterator[Survey]:
        return iter((self.train, self.validation, self.test))

    def __repr__(self) -> str:
        total = sum(map(len, self))
        parts = zip(PARTS, self, strict=True)
        return " · ".join(f"{name} {len(part):,} ({len(part) / total:.0%})" for name, part in parts)


def split(
    survey: Survey,
    *,
    fractions: Sequence[float] = (),
    seed: int = 0,
    honour_published: bool = True,
    fold: tuple[int, int] | None = None,
) -> Splits:
    """Divide a survey into train, validation and test objects, as published or by a hash of the object id.

    Parameters
    ----------
    fractions : (float, float, float)
        Shares of train, validation and test, where none are published; positive, of sum 1. By default those of the
        survey's manifest, else 0.8, 0.1 and 0.1.
    honour_published : bool
        Keep to the parts in which the survey was published. Where it has no validation part, one is drawn from the
        published train part by id hash, in the proportion of `fractions`; the published test part is never touched.
    fold : (int, int), optional
        Number of this fold from 0, and how many there are: each object is a test object in exactly one of them. The
        published parts, and the share of the test set, do not count then.

    Raises
    ------
    EmptySplitError
        Where a part would hold no object.
    """
    fractions = fractions or survey.provenance.fractions or (0.8, 0.1, 0.1)
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        remedy = "Give three positive numbers that add up to 1."
        raise ConfigError("The shares of the parts were given.", received=str(tuple(fractions)), remedy=remedy)
    uniform = id_uniform(survey, seed=seed, stream=_SPLIT_STREAM)
    if fold is not None:
        number, n_folds = fold
        left = (1 - 1 / n_folds) / (fractions[0] + fractions[1])
        uniform, fractions = (uniform - number / n_folds) % 1, (left * fractions[0], left * fractions[1], 1 / n_folds)
    if fold is None and honour_published and survey.published_split is not None:
        part = np.array([PARTS.index(name) for name in survey.published_split.tolist()])
        if not (part == PARTS.index("validation")).any():
            share = fractions[1] / (fractions[0] + fractions[1])
            part[(part == PARTS.index("train")) & (uniform < share)] = PARTS.index("validation")
    else:
        part = np.searchsorted(np.cumsum(fractions)[:2], uniform, side="right")
    counts = np.bincount(part, minlength=3)
    if (counts == 0).any():
        received = ", ".join(f"{name} {count:,}" for name, count in zip(PARTS, counts, strict=True))
        remedy = "Load more objects, choose other fractions, or honour_published=False if files lack a part."
        raise EmptySplitError(f"The survey {survey.name!r} was to be split.", received=received, remedy=remedy)
    parts = (survey.take(np.flatnonzero(part == number)) for number in range(3))
    return Splits(*(replace(one, part=name) for name, one in zip(PARTS, parts, strict=True)))


def subsample(survey: Survey, *, n: int | None = None, frac: float | None = None, seed: int = 0) -> Survey:
    """Choose `n` objects, or a fraction in (0, 1], by a hash of their ids; a smaller choice is part of a larger one.

    They keep their order; another seed is another choice. A ConfigError says where not exactly one of `n` and `frac` is
    given, or it asks for none or more than there are.
    """
    if (n is None) == (frac is None):
        asked = f"Some {survey.objects} of {survey.name!r} were to be chosen."
        raise ConfigError(asked, received=f"n={n}, frac={frac}", remedy="Give either n or frac.")
    count = round(frac * len(survey)) if n is None else n
    if not 0 < count <= len(survey):
        asked = f"{count:,} {survey.objects} of {survey.name!r} were asked for."
        received = f"a survey of {len(survey):,} {survey.objects}"
        remedy = "Ask for a number, or a fraction, within this range."
        raise ConfigError(asked, received=received, available=f"1 to {len(survey):,}", remedy=remedy)
    order = np.argsort(id_uniform(survey, seed=seed, stream=_SUBSAMPLE_STREAM), kind="stable")
    return survey.take(np.sort(order[:count]))


def take_fraction(splits: Splits, *, frac: float, seed: int, validation: str = "fixed") -> Splits:
    """Keep a fraction of the training objects; those of a smaller fraction are among those of a larger one.

    Parameters
    ----------
    frac : float
        Fraction of the training objects, in (0, 1]. Without any there is nothing to train on: that end of a curve is
        the base model, untouched.
    validation : {"fixed", "as_published"}
        ``"fixed"``: every fraction is validated on the same objects. ``"as_published"``: the validation objects are
        cut down in proportion, as the published code does (it draws both at random from fixed seeds, here both are
        nested), so that smaller fractions also know less well when to stop. Test objects stay as they are.

    References
    ----------
    Seenivasan et al. 2025, arXiv:2601.00146, section 4 and its code (``data_fraction``).
    """
    require_known("validation of a fraction", name=validation, names=VALIDATIONS)
    kept = {"train": subsample(splits.train, frac=frac, seed=seed)}
    if validation == "as_published":
        kept["validation"] = subsample(splits.validation, frac=frac, seed=seed)
    return replace(splits, **kept)


def id_uniform(survey: Survey, *, seed: int, stream: int = 0) -> np.ndarray:
    """Give every object a number in [0, 1) that depends on its id (or split key), the seed and the stream alone."""
    salt = splitmix64(splitmix64(np.array([seed], dtype=np.int64).astype(np.uint64)) + np.uint64(stream))
    keys = qualified_ids(survey) if survey.split_keys is None else survey.split_keys
    mixed = splitmix64(fnv1a(keys) ^ salt)
    return (mixed >> np.uint64(11)) * 2.0**-53


def fnv1a(texts: Sequence[str]) -> np.ndarray:
    """Hash texts, encoded as UTF-8, with 64-bit FNV-1a (Fowler, Noll & Vo; RFC 9923), all at once."""
    encoded = [text.encode() for text in texts]
    lengths = np.array([len(word) for word in encoded])
    width = max(lengths.max(initial=0), 1)
    letters = np.frombuffer(b"".join(word.ljust(width, b"\0") for word in encoded), dtype=np.uint8).reshape(-1, width)
    hashed = np.full(len(encoded), 0xCBF29CE484222325, dtype=np.uint64)
    for place in range(width):
        stepped = (hashed ^ letters[:, place]) * np.uint64(0x100000001B3)
        hashed = np.where(place < lengths, stepped, hashed)
    return hashed


def splitmix64(state: np.ndarray) -> np.ndarray:
    """Mix the bits of 64-bit numbers: SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195)."""
    mixed = state + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
