"""What colours of galaxies mean: who is an outlier, what changed between two models, or a number (a magnitude, …)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from astrolab.exploring.columns import column_label
from astrolab.exploring.comparing import VERDICTS

GOOD, BAD, SAME = "#0072B2", "#D55E00", "#BDBDBD"  # Okabe & Ito 2008, and a grey
VERDICT_COLOURS = dict(zip(VERDICTS, (GOOD, SAME, BAD), strict=True))
SHADES = "viridis"  # the one map for numbers that has no grey in it: grey is what was not measured
N_SHADES = 64
NOT_MEASURED = "not measured"
_SHOWN = (0.02, 0.98)  # quantiles with shades of their own; beyond, those of the ends


@dataclass(frozen=True, eq=False)
class PointColours:
    """The colour of every galaxy, and what it means."""

    groups: pd.Categorical
    colours: Mapping[str, str]
    quantity: str = ""
    values: Mapping[str, str] | None = None

    @property
    def of_points(self) -> np.ndarray:
        """Colour of every galaxy: (n,) str."""
        return np.array(list(self.colours.values()))[self.groups.codes]

    def legend(self, *, inside: np.ndarray | None = None) -> dict[str, str]:
        """Return the entries of a legend: text and colour."""
        codes = self.groups.codes if inside is None else self.groups.codes[inside]
        counts = dict(zip(self.colours, np.bincount(codes, minlength=len(self.colours)), strict=True))
        if self.values is None:
            return {f"{name}: {counts[name]:,}": colour for name, colour in self.colours.items()}
        missing = {f"{NOT_MEASURED}: {counts[NOT_MEASURED]:,}": SAME} if counts[NOT_MEASURED] else {}
        return {text: self.colours[name] for name, text in self.values.items()} | missing

    def heading(self, models: Sequence[str]) -> str:
        """Return what stands above the legend."""
        if self.quantity:
            return f"Colour: {self.quantity}"
        return f"Beside {models[0]}, {models[1]} is …" if len(models) == 2 else ""


def colour_galaxies(galaxies: pd.DataFrame, *, by: str | None = None) -> PointColours:
    """Give galaxies colours: by what changed between two models, else by who is an outlier, or by a column."""
    if by is not None:
        return _shades(galaxies[by].to_numpy(float), quantity=column_label(by))
    if "verdict" in galaxies:
        return PointColours(pd.Categorical(galaxies["verdict"]), dict(VERDICT_COLOURS))
    names = ["not an outlier", "outlier"]
    codes = galaxies["is_outlier"].to_numpy(int)
    return PointColours(pd.Categorical.from_codes(codes, categories=names), dict(zip(names, (GOOD, BAD), strict=True)))


def _shades(values: np.ndarray, *, quantity: str) -> PointColours:
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, _SHOWN) if known.size else (0.0, 1.0)
    if low == high:
        low, high = known.min(), max(known.max(), np.nextafter(known.min(), np.inf))
    steps = np.floor(N_SHADES * (values - low) / (high - low))
    codes = np.where(np.isfinite(values), np.clip(np.nan_to_num(steps), 0, N_SHADES - 1), N_SHADES).astype(int)
    names = [f"shade {number}" for number in range(N_SHADES)]
    colours = dict(zip(names, map(to_hex, mpl.colormaps[SHADES].resampled(N_SHADES).colors), strict=True))
    middle = f"{(low + high) / 2:.4g}"
    texts = {names[0]: f"≤ {low:.4g}", names[N_SHADES // 2]: middle, names[-1]: f"≥ {high:.4g}"}
    groups = pd.Categorical.from_codes(codes, categories=[*names, NOT_MEASURED], ordered=True)
    return PointColours(groups, colours | {NOT_MEASURED: SAME}, quantity, texts)
