"""What the columns of a predictions table are called and measured in, and what a survey adds to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from astrolab.datasets.matching import rows_of

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

QUANTITIES = {"z": "redshift", "feh": "[Fe/H] (dex)", "alpha_fe": "[α/Fe] (dex)"}
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
# bookkeeping, truth and predictions: not what galaxies are sliced by
_NOT_SLICED = {
    *("survey", "object_id", "label", "truth", "pred", "simulated"),
    *("run", "direction", "arm", "fraction", "scale", "seed"),
    *("deviation", "is_outlier", "pred_other", "deviation_other", "change", "verdict", "ra", "dec"),
}
N_OTHERS = 2
PREFERRED_BANDS = "ir"


@dataclass(frozen=True)
class SliceColumn:
    """A column that galaxies can be sliced by."""

    name: str
    label: str
    kind: str
    low: float
    high: float


def column_unit(name: str) -> str:
    """Return the unit of a column as astropy writes it, by the house's and the surveys' naming; "" for a pure number.

    >>> column_unit("i_cmodel_mag"), column_unit("ra"), column_unit("pred")
    ('mag', 'deg', '')
    """
    return next((unit for pattern, unit in _UNITS if re.search(pattern, name)), "")


def column_label(name: str, *, label: str = "z") -> str:
    """Return how an axis or a slider calls a column, with its unit.

    >>> column_label("i_half_light_radius"), column_label("truth")
    ('i half light radius (pix)', 'true redshift')
    """
    quantity = QUANTITIES.get(label, label)
    special = {"truth": f"true {quantity}", "pred": f"predicted {quantity}"}
    if name in special:
        return special[name]
    unit = column_unit(name)
    words = re.sub(r"\bmag\b", "magnitude", name.replace("_", " "))
    return f"{words} ({unit})" if unit else words


def slice_columns(galaxies: pd.DataFrame) -> tuple[SliceColumn, ...]:
    """Find the columns that galaxies can be sliced by: truth, one magnitude, one size, then what else was kept."""
    kept = [name for name in galaxies if name not in _NOT_SLICED and galaxies[name].dtype.kind in "iuf"]
    kinds = {name: _kind(name) for name in kept}
    first = {kind: next((name for name in kept if kinds[name] == kind), None) for kind in ("magnitude", "size")}
    others = [name for name in kept if kinds[name] == "other"][:N_OTHERS]
    label = str(galaxies["label"].iloc[0])
    columns = []
    for name in ["truth", *filter(None, first.values()), *others]:
        values = galaxies[name].to_numpy(float)
        values = values[np.isfinite(values)]
        if values.size and values.min() < values.max():
            kind = "truth" if name == "truth" else kinds[name]
            columns.append(
                SliceColumn(name, column_label(name, label=label), kind, float(values.min()), float(values.max()))
            )
    return tuple(columns)


def _kind(name: str) -> str:
    if _MAGNITUDE.search(name):
        return "magnitude"
    return "size" if _SIZE.search(name) else "other"


def describe_galaxies(galaxies: pd.DataFrame, *, survey: Survey) -> pd.DataFrame:
    """Add to predictions what their survey knows of each galaxy: position, a magnitude, a size."""
    place = rows_of(survey, object_ids=galaxies["object_id"].to_numpy())
    columns = {}
    if survey.sky_deg is not None:
        columns |= {"ra": survey.sky_deg[:, 0], "dec": survey.sky_deg[:, 1]}
    letters = [band.rsplit("-", 1)[-1][0] for band in survey.bands]
    number = next((letters.index(letter) for letter in PREFERRED_BANDS if letter in letters), len(letters) // 2)
    has = {_kind(name) for name in galaxies}
    if "magnitudes" in survey.inputs and "magnitude" not in has:
        columns[f"{letters[number]}_mag"] = np.asarray(survey.inputs["magnitudes"][:])[:, number]
    sizes = sorted((name for name in survey.catalogue if _kind(name) == "size"), key=_by_preference(letters, number))
    if sizes and "size" not in has:
        columns[sizes[0]] = np.asarray(survey.catalogue[sizes[0]][:])
    new = {name: values[place] for name, values in columns.items() if name not in galaxies}
    return galaxies.assign(**new)


def _by_preference(letters: list[str], number: int):
    """Sizes in the preferred band first, half-light radii before others, then by name."""

    def key(name: str) -> tuple[bool, bool, str]:
        return bool(letters) and not name.startswith(f"{letters[number]}_"), "half_light" not in name, name

    return key
