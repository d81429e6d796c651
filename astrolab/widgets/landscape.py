"""The explorer of loss landscapes: a surface that turns, one strategy after the other, the loss at any place."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from astrolab.landscapes import Landscape
from astrolab.plots.landscapes import plot_landscape
from astrolab.plots.style import arm_looks
from astrolab.widgets import parts
from astrolab.widgets.explorer import Explorer

_TURNS = {"elevation": ("Elevation (deg)", 0, 90, 32, 45), "azimuth": ("Azimuth (deg)", -180, 180, -58, 180)}


def _knob(name: str, label: str, low: float, high: float, value: float, n_steps: int) -> ipywidgets.FloatSlider:
    ends = {"min": low, "max": high, "value": value, "step": (high - low) / n_steps, "continuous_update": False}
    return parts.control(name, kind=ipywidgets.FloatSlider, label=label, width="300px", **ends)


class LandscapeExplorer(Explorer):
    """Landscapes of several networks on one plane; made by :func:`astrolab.explore_landscape`."""

    def __init__(self, landscapes: Sequence[Landscape], *, log: str):
        super().__init__(css_class="astrolab-landscape")
        self.landscapes, self.logarithm = {one.arm: one for one in landscapes}, log
        self.looks, first = arm_looks(list(self.landscapes)), landscapes[0]
        options = [(look.label, arm) for arm, look in self.looks.items()]
        self.arm = parts.control("arm", kind=ipywidgets.Dropdown, label="Network", width="240px", options=options)
        ends = {name: (name, *getattr(first, name)[[0, -1]], 0.0, len(first.a) - 1) for name in ("a", "b")}
        self.knobs = {name: _knob(name, *about) for name, about in (_TURNS | ends).items()}
        elevation, azimuth, a, b = self.knobs.values()
        self.places = parts.places("title", "curves", "scores")
        title, curves, scores = self.places.values()
        self.children = [self.page, title, parts.row(self.arm, elevation, azimuth), curves, parts.row(a, b), scores]
        for control in (self.arm, elevation, azimuth):
            control.observe(lambda _: self._draw(), names="value")
        for control in (a, b):
            control.observe(lambda _: self._write(), names="value")
        self._draw()
        self.go_live_if_watched()

    @property
    def summary(self) -> str:
        """What is shown, in one line."""
        simulated = " · simulated objects" if self.landscapes[self.arm.value].about["simulated"] else ""
        return f"Loss about the network: {self.looks[self.arm.value].label}{simulated}"

    def _draw(self) -> None:
        self.places["title"].value = parts.title_line(self.summary)
        self.places["curves"].value = self._picture()
        self._write()

    def _write(self) -> None:
        text = self.table().drop(columns=["a", "b"]).assign(arm=[look.label for look in self.looks.values()])
        text = text.map(lambda value: value if isinstance(value, str) else f"{value:.4g}".replace("-", "−"))
        names = {"arm": "network", "loss": "loss here", "own": "loss of the network", "lowest": "lowest loss"}
        note = f"at a = {self.knobs['a'].value:.2f}, b = {self.knobs['b'].value:.2f}".replace("-", "−")
        self.places["scores"].value = parts.plain_table(text.rename(columns=names), note=note)

    def _picture(self) -> str:
        """The figure, with a cell over each place of the contours, which says its loss under the mouse."""
        figure, one = self.figure(), self.landscapes[self.arm.value]
        source = parts.as_source(parts.figure_png(figure), kind="png")
        box = figure.axes[1].bbox.transformed(figure.transFigure.inverted())
        place = f"left:{box.x0:.2%};top:{1 - box.y1:.2%};width:{box.width:.2%};height:{box.height:.2%}"
        cells = [
            f'<i data-loss="loss {loss:.4g} at a = {a:.2f}, b = {b:.2f}"></i>'.replace(" -", " −")
            for b, losses in zip(one.b[::-1], one.loss[::-1], strict=True)
            for a, loss in zip(one.a, losses, strict=True)
        ]
        grid = f'<div class="astrolab-places" style="{place};--columns:{len(one.a)}">{"".join(cells)}</div>'
        width = f"width:{figure.bbox.width * parts.STATIC_DPI / figure.dpi:.0f}px"
        return f'<div class="astrolab-under" style="{width}"><img src="{source}" alt="{self.summary}">{grid}</div>'

    def table(self) -> pd.DataFrame:
        """Return the loss of every network at this place, its own, and the lowest of its plane."""
        rows = []
        for arm, one in self.landscapes.items():
            a, b, loss = one.at(self.knobs["a"].value, b=self.knobs["b"].value)
            rows.append({"arm": arm, "a": a, "b": b, "loss": loss, "own": one.at(0, b=0)[2], "lowest": one.minimum[2]})
        return pd.DataFrame(rows)

    def _figure(self) -> Figure:
        angles = {name: self.knobs[name].value for name in _TURNS}
        return plot_landscape(self.landscapes[self.arm.value], log=self.logarithm, title="Loss", **angles)
