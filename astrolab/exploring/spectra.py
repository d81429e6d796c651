"""Spectra as they are shown: at rest, with their errors, in as many points as a picture holds; and lines they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from astrolab.datasets.overlap import rows_of
from astrolab.datasets.spectra import POSSIBLE_KMS, to_rest, to_vacuum
from astrolab.datasets.survey import Survey
from astrolab.exploring.columns import picture_input
from astrolab.tasks import Range

N_POINTS = 750  # at most; else neighbouring pixels are averaged
# Wavelengths in air (Å), in the order in which they get a label. Lines: Sansonetti & Martin 2005, J. Phys. Chem. Ref.
# Data 34, 1559. G band and Fe: centres of the Lick indices G4300, Fe5270, Fe5335 (Worthey et al. 1994, ApJS 94, 687).
LINES = {"Hα": [6562.80], "Mg b": [5167.32, 5172.68, 5183.60], "Ca II triplet": [8498.02, 8542.09, 8662.14]}
LINES |= {"Hβ": [4861.33], "G band": [4298.88], "Na D": [5889.95, 5895.92], "Ca K": [3933.66], "Ca H": [3968.47]}
LINES |= {"Hγ": [4340.47], "Hδ": [4101.74], "Fe 5270": [5265.65], "Fe 5335": [5332.13]}


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra of n objects: wavelengths (Å), flux and its error, each (n, points), NaN where all pixels are bad."""

    wave: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    ends: Range  # of the wavelengths
    lines: Mapping[str, np.ndarray]
    axis: str  # what the axis of wavelengths says

    def labels(self, *, letter: float) -> dict[str, tuple[float, int, float]]:
        """Give labels a wavelength, a row (0, 1) and half a width, none over another; letters are so wide (of all)."""
        placed: dict[str, tuple[float, int, float]] = {}
        for label, waves in self.lines.items():
            half = 0.5 * (len(label) + 1) * letter * (self.ends[1] - self.ends[0])
            at = float(np.clip(waves.mean(), self.ends[0] + half, self.ends[1] - half))
            taken = {row for there, row, other in placed.values() if abs(at - there) < half + other}
            placed |= dict.fromkeys([label] * (len(taken) < 2), (at, min({0, 1, 2} - taken), half))
        return placed

    def shown(self, row: int) -> Range:
        """Give what the axis of flux covers for one object: nearly all its points."""
        known = self.flux[row][np.isfinite(self.flux[row])]
        low, high = np.percentile(known, (0.1, 99.5)) if known.size else (0.0, 1.0)
        margin = 0.08 * (high - low) or 0.5
        return float(low - margin), float(high + margin)


def read_spectra(survey: Survey, *, object_ids: np.ndarray) -> Spectra:
    """Read spectra of some objects, at rest where their velocity is known; points are means weighted by `ivar`."""
    (_, name), rows = picture_input(survey), rows_of(survey, object_ids=object_ids)
    spec = survey.specs[name]
    beside = {one: np.asarray(survey.inputs[f"{name}.{one}"][rows], dtype=float) for one in spec.companions}
    flux = np.asarray(survey.inputs[name][rows], dtype=float)
    wave = np.broadcast_to(beside.get("wave", spec.grid), flux.shape)
    if spec.velocity:
        velocity = np.asarray(survey.catalogue[spec.velocity][rows], dtype=float)[:, None]
        wave = to_rest(wave, velocity_kms=np.where(np.abs(velocity) < POSSIBLE_KMS, velocity, 0.0))
    ivar = np.nan_to_num(beside.get("ivar", np.ones_like(flux))).clip(0)
    weight = np.where(np.isfinite(flux), ivar, 0)
    starts = np.arange(0, flux.shape[1], -(-flux.shape[1] // N_POINTS))
    total, light = (np.add.reduceat(one, starts, axis=1) for one in (weight, weight * np.nan_to_num(flux)))
    total[total == 0] = np.nan
    is_mask = np.isin(ivar, (0, 1)).all()  # and no error: what the bridge writes where a survey has none
    sigma = np.full_like(total, np.nan) if is_mask else total**-0.5
    wave = np.add.reduceat(wave, starts, axis=1) / np.diff(starts, append=flux.shape[1])
    ends, to_medium = (float(wave.min()), float(wave.max())), np.array if spec.medium == "air" else to_vacuum
    lines = {label: to_medium(np.array(waves)) for label, waves in LINES.items()}
    lines = {label: waves for label, waves in lines.items() if ends[0] < waves[0] and waves[-1] < ends[1]}
    words = f"wavelength ({'Å, ' if spec.medium else 'Å'}{spec.medium}), as "
    axis = words + ("the model sees it" if spec.bridge else "observed")
    return Spectra(wave, light / total, sigma, ends, lines, axis)
