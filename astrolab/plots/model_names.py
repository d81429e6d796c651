"""What models of a predictions table are called in titles, legends and choosers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from astrolab.exploring.choices import ABSENT
from astrolab.exploring.comparing import naming_column
from astrolab.plots.style import arm_looks, survey_looks

_TELL_APART = ("arm", "run", "direction", "fraction", "scale", "seed")
_BRIEF = 34  # characters


def in_words(column: str, *, value: Any) -> str:
    """Return how a value of a grouping column is written.

    >>> in_words("arm", value="tl"), in_words("survey", value="twin-galaxiesml"), in_words("fraction", value=1.0)
    ('transfer learning', 'GalaxiesML twin', '1')
    """
    if column in ("arm", "survey"):
        looks = arm_looks if column == "arm" else survey_looks
        return looks([value])[value].label
    return f"{value:g}" if isinstance(value, float) else str(value)


def name_models(models: Sequence[Mapping[str, Any]], *, options: Mapping[str, Sequence[Any]]) -> tuple[list[str], str]:
    """Name one or two models so that nobody takes them for others of the table.

    >>> options = {"arm": ("tl", "lora"), "fraction": (0.1, 1.0), "seed": (0, 1), "label": ("z",)}
    >>> tl, lora = ({"arm": arm, "fraction": 0.1, "seed": seed, "label": "z"} for arm, seed in (("tl", 0), ("lora", 1)))
    >>> name_models([tl, lora], options=options)
    (['transfer learning · seed 0', 'LoRA · seed 1'], 'fraction 0.1')
    """
    first = models[0]
    named = naming_column(first)
    several = [name for name in _TELL_APART if name != named and len(options.get(name, ())) > 1]
    apart = [name for name in several if any(model[name] != first[name] for model in models)]
    together = [name for name in several if name not in apart]
    names = [" · ".join([_name(model, named), *_listed(model, apart)]) for model in models]
    return names, " · ".join(_listed(first, together))


def brief_names(names: Sequence[str]) -> list[str]:
    """Return names that fit over a column of numbers.

    >>> brief_names(["LoRA · seed 0", "LoRA · seed 1"])
    ['LoRA · seed 0', 'LoRA · seed 1']
    >>> brief_names(["LoRA · run 2026-11-21T10-50-47-f7ba4308", "LoRA · run again"])
    ['the first', 'the second']
    """
    return list(names) if max(map(len, names)) <= _BRIEF else ["the first", "the second"][: len(names)]


def _name(model: Mapping[str, Any], column: str) -> str:
    value = model.get(column, "model")
    return in_words(column, value=value) if value != ABSENT else str(model.get("run", "model"))


def _listed(model: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    return [f"{name} {in_words(name, value=model[name])}" for name in columns if model[name] != ABSENT]
