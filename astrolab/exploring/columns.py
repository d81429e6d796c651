"""What the columns of a predictions table are called and measured in, and what a survey adds to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from astrolab.datasets.overlap import rows_of
from astrolab.datasets.survey import Survey
from astrolab.predictions import CONDITIONS, FLAGS, KEYS
from astrolab.tasks import QUANTITIES, Quantity

# in the order in which they are tried; units as astropy writes them
_UNITS = (
    (r"^(ra|dec)$|(_ra|_dec|pos_angle)$", "deg"),
    (r"surface_brightness$", "mag / arcsec2"),
    (r"(^|_)mag(sigma)?($|_)", "mag"),
    (r"_arcsec$", "arcsec"),
    (r"_(half_light_radius|petro_rad|major_axis|minor_axis)$|_px$", "pix"),
    (r"isophotal_area$", "pix2"),
    (r"_ang$", "Angstrom"),
)
_MAGNITUDE = re.compile(r"(^|_)mag($|_)")
_SIZE = re.compile(r"half_light_radius|petro_rad|(^|_)(radius|size)(_|$)")
_DERIVED = ("deviation", "is_outlier", "pred_other", "deviation_other", "change", "deviation_difference", "verdict")
_NOT_SLICED = {*KEYS, *CONDITIONS, *FLAGS, "label", "truth", "pred", "ra", "dec", "place", *_DERIVED}
_OF_A_LABEL = ("truth.", "pred.", "error.")
N_OTHERS = 2
VALUE = Quantity("value")


@dataclass(frozen=True)
class SliceColumn:
    """A column that objects can be sliced by."""

    name: str
    label: str
    kind: str
    low: float
    high: float


def has_truth(quantity: Quantity) -> bool:
    """Say whether predictions of a quantity have a truth: an error of reconstruction has none."""
    return not quantity.name.startswith("error.")


def column_unit(name: str) -> str:
    """Return the unit of a column as astropy writes it, by how surveys and we name columns; "" for a pure number."""
    return next((unit for pattern, unit in _UNITS if re.search(pattern, name)), "")


def column_label(name: str, *, quantity: Quantity = VALUE) -> str:
    """Return how an axis or a slider calls a column, with its unit."""
    words = {"truth": "true ", "pred": "predicted "}
    if name in words:
        return (words[name] if has_truth(quantity) else "") + quantity.axis
    if name in QUANTITIES:  # another label of the task
        return f"true {QUANTITIES[name].axis}"
    unit = quantity.unit if name == "deviation_difference" else column_unit(name)
    words = re.sub(r"\bmag\b", "magnitude", name.replace("_", " "))
    return f"{words} ({unit})" if unit else words


def slice_columns(objects: pd.DataFrame, *, quantity: Quantity) -> tuple[SliceColumn, ...]:
    """Find the columns that objects can be sliced by: truth, one magnitude, one size, then what else was kept."""
    kept = [name for name in objects if name not in _NOT_SLICED and not name.startswith(_OF_A_LABEL)]
    kinds = {name: _kind(name) for name in kept if objects[name].dtype.kind in "iuf"}
    first = {kind: next((name for name in kinds if kinds[name] == kind), None) for kind in ("magnitude", "size")}
    others = [name for name, kind in kinds.items() if kind == "other"][:N_OTHERS]
    main = "truth" if has_truth(quantity) else "pred"
    columns = []
    for name in [main, *filter(None, first.values()), *others]:
        values = objects[name].to_numpy(float)
        values = values[np.isfinite(values)]
        if values.size and values.min() < values.max():
            label, kind = column_label(name, quantity=quantity), kinds.get(name, name)
            columns.append(SliceColumn(name, label, kind, float(values.min()), float(values.max())))
    return tuple(columns)


def number_columns(objects: pd.DataFrame, *, quantity: Quantity) -> list[tuple[str, str]]:
    """Find the columns of numbers that tell objects apart: how an axis calls each, and its name."""
    left_out = {*KEYS, *CONDITIONS, "place", *(() if has_truth(quantity) else ("truth", "deviation"))}
    kept = [name for name in objects if name not in left_out and not name.startswith(_OF_A_LABEL)]
    numbers = {name: objects[name] for name in kept if objects[name].dtype.kind in "iuf"}
    return [(column_label(name, quantity=quantity), name) for name, v in numbers.items() if v.min() < v.max()]


def _kind(name: str) -> str:
    if _MAGNITUDE.search(name):
        return "magnitude"
    return "size" if _SIZE.search(name) else "other"


def describe_objects(objects: pd.DataFrame, *, survey: Survey) -> pd.DataFrame:
    """Add to predictions what their survey knows of each object: position, a magnitude, a size."""
    place = rows_of(survey, object_ids=objects["object_id"].to_numpy())
    columns = {} if survey.sky_deg is None else {"ra": survey.sky_deg[:, 0], "dec": survey.sky_deg[:, 1]}
    has = {_kind(str(name)) for name in objects}
    banded = {name: spec for name, spec in survey.specs.items() if spec.axes[0] == "band" and spec.channels}
    preferred = _preferred(next((spec.channels for spec in banded.values()), ()))
    measured = [name for name, spec in banded.items() if spec.axes == ("band",) and "mag" in (spec.unit or "mag")]
    if measured and "magnitude" not in has:
        channels = banded[measured[0]].channels
        number = channels.index(preferred if preferred in channels else _preferred(channels))
        columns[f"{band_letter(channels[number])}_mag"] = np.asarray(survey.inputs[measured[0]][:])[:, number]
    sizes = [name for name in survey.catalogue if _kind(name) == "size"]
    if sizes and "size" not in has:
        start = f"{band_letter(preferred)}_"
        size = min(sizes, key=lambda name: (not name.startswith(start), "half_light" not in name, name))
        columns[size] = np.asarray(survey.catalogue[size][:])
    return objects.assign(**{name: values[place] for name, values in columns.items() if name not in objects})


def band_letter(band: str) -> str:
    """Return what a band is called within its filter set: "i" for "hsc-i"."""
    return band.rsplit("-", 1)[-1]


def _preferred(channels: Sequence[str]) -> str:
    """The channel that galaxies are sorted by: i, or r, or the middle one."""
    letters = list(map(band_letter, channels))
    number = next((letters.index(letter) for letter in "ir" if letter in letters), len(letters) // 2)
    return channels[number] if channels else ""


def picture_input(survey: Survey | None) -> tuple[str, str]:
    """Give what shows an object, ``"image"`` or ``"spectrum"``, and the name of that input; two empty texts if none."""
    specs = {} if survey is None else survey.specs
    images = [("image", name) for name, spec in specs.items() if len(spec.axes) == 3]
    spectra = [(n, s) for n, s in specs.items() if s.axes == ("pixel",) and (s.grid or "wave" in s.companions)]
    return next(iter(images + [("spectrum", name) for name, _ in spectra]), ("", ""))
