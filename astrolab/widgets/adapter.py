"""The explorer of an adapter: one slider between the base network and the adapted one, both surveys at once."""

from __future__ import annotations

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.pyplot import close

from astrolab.exploring.paths import AdapterPath
from astrolab.metrics import find_metric, find_requirement
from astrolab.plots.explorers import SAME, plot_adapter_path, scale_spans
from astrolab.plots.style import survey_looks
from astrolab.tasks import Task
from astrolab.widgets import parts
from astrolab.widgets.cloud import Cloud, CloudContent, side_px
from astrolab.widgets.explorer import Explorer

N_STEPS = 100
GROUPS = ["scored", "outside the scored range"]


class AdapterExplorer(Explorer):
    """From the base network to the adapted one; made by :func:`astrolab.explore_adapter`."""

    def __init__(self, predictions: pd.DataFrame, *, label: str | None, task: Task | None):
        super().__init__(css_class="astrolab-adapter")
        self.path = AdapterPath.of(predictions, label=label, task=task)
        self.looks = survey_looks(list(self.path.surveys))
        low, high = float(self.path.scales[0]), float(self.path.scales[-1])
        ends = {"min": low, "max": high, "step": (high - low) / N_STEPS, "value": float(np.clip(1.0, low, high))}
        label = "Scale of the adapter"
        self.scale = parts.control("scale", kind=ipywidgets.FloatSlider, label=label, width="460px", **ends)
        self.base = self._way_to(0.0, name="to-base", label="Base network")
        self.adapted = self._way_to(1.0, name="to-adapted", label="Adapted network")
        self.clouds = {name: Cloud() for name in self.path.surveys}
        self.places = parts.places("title", "curves", "scores")
        curves = plot_adapter_path(self.path.scores, title="Along the path")  # drawn once: a mark moves over them
        close(curves)
        self._curves = parts.as_source(parts.figure_png(curves), kind="png")
        self._spans = scale_spans(curves, low=low, high=high)
        self.cloud_row = parts.row()
        self.places["title"].value = parts.title_line(self.summary)
        moves = parts.row(self.scale, self.base, self.adapted)
        scores = parts.row(self.places["curves"], self.places["scores"])
        self.children = [self.page, self.places["title"], moves, scores, self.cloud_row]
        self._draw()
        self.scale.observe(lambda _: self._move(), names="value")
        self.go_live_if_watched()

    def _way_to(self, scale: float, *, name: str, label: str) -> ipywidgets.Button:
        """A button that goes to a scale, or one that cannot be pressed and says why: the path does not reach it."""
        is_there = self.path.scales[0] <= scale <= self.path.scales[-1]
        hint = "" if is_there else f"{label}: scale {scale:g} is not on this path"
        button = parts.button(name, label=label, on_click=lambda: setattr(self.scale, "value", scale), hint=hint)
        button.disabled = not is_there
        return button

    def _preds(self) -> dict[str, np.ndarray]:
        """Predictions of each survey at this scale."""
        return {name: self.path.predictions_at(self.scale.value, survey=name) for name in self.path.surveys}

    @property
    def summary(self) -> str:
        """What is shown, in one line."""
        simulated = " · simulated objects" if self.path.simulated else ""
        return f"From the base network to the adapted one{simulated}"

    def go_live(self) -> None:
        """Put the clouds in place, which only a browser can draw."""
        self.is_live = True
        self.cloud_row.children = [
            parts.under_title(cloud.widget, title=self.looks[name].label) for name, cloud in self.clouds.items()
        ]

    def _draw(self) -> None:
        quantity, preds, names = self.path.quantity, self._preds(), []
        for name, cloud in self.clouds.items():
            survey = self.path.surveys[name]
            table = pd.DataFrame({"truth": survey.truth, "pred": preds[name]})
            groups = pd.Series(pd.Categorical(np.where(survey.scored, *GROUPS), categories=GROUPS))
            colours = dict(zip(GROUPS, (self.looks[name].colour, SAME), strict=True))
            content = CloudContent.of(table, quantity=quantity, colour=groups, colours=colours)
            cloud.draw(content, side_px=side_px(len(self.clouds)))
            names.append(f"{self.looks[name].label}: {content.in_words}")
        self.page.cloud_names = names
        self._write()

    def _move(self) -> None:
        self.page.draw(self._move_clouds)
        self._write()

    def _move_clouds(self) -> None:
        for name, pred in self._preds().items():
            self.clouds[name].move(pred)

    def _write(self) -> None:
        low, high = self.path.scales[0], self.path.scales[-1]
        at = (self.scale.value - low) / (high - low)
        self.places["scores"].value = parts.plain_table(self._in_words(), note=f"at scale {self.scale.value:.2f}")
        alt = "Scores of both surveys against the scale of the adapter"
        self.places["curves"].value = parts.marked_picture(self._curves, alt=alt, spans=self._spans, at=at)

    def _in_words(self) -> pd.DataFrame:
        """Scores at this scale as text, one row a survey and metric."""
        rows = []
        for row in self.table().itertuples():
            numbers = {"base network": row.base, "here": row.value, "adapted network": row.adapted}
            text = {name: parts.number(value, digits=4) for name, value in numbers.items()}
            asked = find_requirement(row.metric, label=self.path.quantity.name)
            names = {"test survey": self.looks[row.survey].label, "metric": find_metric(row.metric).label}
            rows.append(names | text | {"asked for": f"{asked.survey}: below {asked.limit:g}" if asked else ""})
        return pd.DataFrame(rows)

    def table(self) -> pd.DataFrame:
        """Return the scores of every survey at this scale, and at both ends of the path."""
        scores = self.path.scores_at(self.scale.value)
        scores.insert(0, "scale", self.scale.value)
        return scores

    def _figure(self) -> Figure:
        clouds = {name: (self.path.surveys[name].truth, pred) for name, pred in self._preds().items()}
        about = {"label": self.path.quantity.name, "simulated": self.path.simulated}
        return plot_adapter_path(self.path.scores, scale=self.scale.value, clouds=clouds, **about)
