"""The explorer of a twin survey: knobs on one side, the galaxy, its magnitudes and the models' answers on the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.twins.galaxies import MIN_FWHM_PX, HscTwinKnobs, twin_knobs
from astrolab.datasets.twins.galaxies.one_galaxy import KINDS, GalaxySettings, simulate_galaxy
from astrolab.exploring.paths import answer, stamp_size
from astrolab.plots.explorers import plot_one_galaxy
from astrolab.plots.style import arm_looks
from astrolab.plots.surveys import band_pictures, colour_picture
from astrolab.widgets import parts
from astrolab.widgets.explorer import Explorer

if TYPE_CHECKING:
    from astrolab.datasets.scaling import Scaling
    from astrolab.models.adapt import Adapted

LABEL = "z"


class TwinExplorer(Explorer):
    """One galaxy under a survey's knobs; made by :func:`astrolab.explore_twin`."""

    def __init__(
        self, survey: str | HscTwinKnobs, *, models: Mapping[str, tuple[Adapted, Scaling]], image_size: int | None
    ):
        super().__init__(css_class="astrolab-twin")
        self.models = dict(models)
        if isinstance(survey, HscTwinKnobs):
            knobs, image_size = survey, image_size or survey.image_size
        else:
            knobs = twin_knobs(load_manifest(survey))
        self.survey = knobs.with_changes(image_size=stamp_size(self.models, asked=image_size) or knobs.image_size)
        i_band = self.survey.i_band
        start = GalaxySettings(seeing_arcsec=self.survey.seeing_arcsec[i_band], depth_mag=self.survey.depth_mag[i_band])
        kinds = {"options": KINDS, "value": start.kind}
        self.kind = parts.control("kind", kind=ipywidgets.Dropdown, label="Type", width="230px", **kinds)
        self.kind.observe(lambda _: self._look(), names="value")
        self.knobs = {name: self._knob(name, start) for name in _KNOBS}
        self.noise = parts.button("noise", label="New noise", on_click=self._new_noise, hint="Observe it again")
        self.seed = 0
        self.places = parts.places("title", "galaxy", "answers", "magnitudes")
        knobs = parts.column(self.kind, *self.knobs.values(), self.noise)
        answers = parts.column(self.places["answers"], self.places["magnitudes"])
        main = parts.row(knobs, parts.column(self.places["galaxy"]), answers)
        main.layout.align_items = "flex-start"
        self.children = [self.page, self.places["title"], main]
        self._look()
        self.go_live_if_watched()

    def _knob(self, name: str, start: GalaxySettings) -> ipywidgets.FloatSlider:
        label, low, high, step, digits = _KNOBS[name]
        if name == "seeing_arcsec":
            sharpest = min(self.survey.seeing_arcsec) / self.survey.seeing_arcsec[self.survey.i_band]
            low = np.ceil(100 * MIN_FWHM_PX * self.survey.pixel_scale_arcsec / sharpest) / 100 + 0.01
        ends = {"min": low, "max": high, "step": step, "value": getattr(start, name), "readout_format": f".{digits}f"}
        shown = {"kind": ipywidgets.FloatSlider, "width": "400px", "style": {"description_width": "180px"}}
        knob = parts.control(name.replace("_", "-"), label=label, **shown, **ends)
        knob.observe(lambda _: self._look(), names="value")
        return knob

    def _new_noise(self) -> None:
        self.seed += 1
        self._look()

    @property
    def settings(self) -> GalaxySettings:
        """What the knobs say."""
        values = {name: knob.value for name, knob in self.knobs.items()}
        return GalaxySettings(kind=self.kind.value, seed=self.seed, **values)

    @property
    def summary(self) -> str:
        """What is shown, in one line."""
        kind, z = self.galaxy.settings.kind, self.galaxy.settings.z
        return f"Simulated {kind} galaxy at z = {z:.2f}, M(B) = {self.galaxy.abs_mag:.1f}".replace("-", "−")

    def _look(self) -> None:
        """Observe the galaxy, and ask the models."""
        self.galaxy = galaxy = simulate_galaxy(self.survey, settings=self.settings)
        image, bands, inputs = galaxy.image, galaxy.bands, galaxy.inputs
        channels = dict.fromkeys(inputs, bands)
        self.answers = {
            name: answer(model, label=LABEL, scaling=scaling, inputs=inputs, channels=channels)
            for name, (model, scaling) in self.models.items()
        }
        self.places["title"].value = parts.title_line(self.summary)
        small = dict(zip(bands, band_pictures(image, channels=bands), strict=True))
        self.places["galaxy"].value = parts.large_picture(colour_picture(image, channels=bands), bands=small)
        self.places["answers"].value = self._answers()
        columns = {"true": galaxy.mag, "measured": galaxy.measured_mag, "±": galaxy.measured_mag_error}
        numbers = {name: [f"{value:.2f}" for value in values] for name, values in columns.items()}
        table = pd.DataFrame({"band": bands} | numbers)
        self.places["magnitudes"].value = parts.plain_table(table, note="AB magnitudes")

    def _answers(self) -> str:
        if not self.models:
            return parts.text_note("No model: pass models={name: (network, scaling)} to see what each answers.")
        z = self.settings.z
        looks = arm_looks(list(self.answers))
        rows = [
            {"model": looks[name].label, "answers z": f"{value:.3f}", "off by (1 + z)": f"{(value - z) / (1 + z):+.3f}"}
            for name, value in self.answers.items()
        ]
        table = pd.DataFrame(rows).map(lambda text: text.replace("-", "−") if text[:1] in "+-" else text)
        return parts.plain_table(table, note=f"true redshift {z:.3f}")

    def table(self) -> pd.DataFrame:
        """Return the settings, magnitudes and answers in one row."""
        row = self.settings.model_dump()
        for number, band in enumerate(self.galaxy.bands):
            row |= {f"{band}_{name}": getattr(self.galaxy, name)[number] for name in _MAGNITUDES}
        return pd.DataFrame([row | {f"pred_{name}": value for name, value in self.answers.items()}])

    def _figure(self) -> Figure:
        return plot_one_galaxy(self.galaxy, answers=self.answers)


_MAGNITUDES = ("mag", "measured_mag", "measured_mag_error")
# label with its unit, smallest and largest value, step, digits
_KNOBS = {
    "seeing_arcsec": ("Seeing in i, FWHM (arcsec)", 0.4, 2.0, 0.01, 2),
    "depth_mag": ("Depth in i, 5σ (mag)", 22.0, 28.0, 0.1, 1),
    "z": ("Redshift", 0.02, 4.0, 0.01, 2),
    "i_mag": ("i magnitude (mag)", 16.0, 26.0, 0.1, 1),
    "size_arcsec": ("Half-light radius (arcsec)", 0.1, 4.0, 0.05, 2),
    "inclination_deg": ("Inclination (deg)", 0.0, 90.0, 1.0, 0),
    "angle_deg": ("Position angle (deg)", 0.0, 180.0, 1.0, 0),
}
