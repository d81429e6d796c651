"""Predictions to be drawn, and what is looked for in a figure."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd

from astrolab.tasks import REDSHIFT, Task, find_quantity, make_task


def predict(truth, *, residuals, label="z", **names):
    """A predictions table of one model: truths and their predictions, which have some residuals."""
    model = {"run": "a", "fit": "f", "arm": "lora", "strategy": "lora", "seed": 0, "trained_on": "twin-galaxiesml"}
    keys = model | {"survey": "twin-galaxiesml", "split": "test"} | names
    pred = find_quantity(label).moved(truth, residual=residuals)
    columns = {"object_id": np.arange(len(truth)), f"truth.{label}": truth, f"pred.{label}": pred, "simulated": True}
    table = pd.DataFrame(keys | columns)
    table.attrs["task"] = make_task([find_quantity(label)]).to_dict()
    return table


def stack(tables):
    """Tables of one task below one another."""
    stacked = pd.concat(tables, ignore_index=True)
    stacked.attrs = dict(tables[0].attrs)
    return stacked


@dataclass(frozen=True, eq=False)
class StandIn:
    """What plots see of `astrolab.Survey`; to be replaced by it as soon as it has `specs`, `task` and `objects`."""

    name: str
    inputs: dict
    specs: dict
    labels: pd.DataFrame
    ids: np.ndarray
    catalogue: dict = field(default_factory=dict)
    task: Task = REDSHIFT
    objects: str = "galaxies"
    provenance: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(simulated=True))

    def __len__(self):
        return len(self.ids)


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts() if text.get_text().strip()]


def assert_nothing_is_cut(figure):
    """All that is drawn lies inside the figure, and no legend runs into a panel."""
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert -0.02 < drawn.x0 < drawn.x1 < width + 0.02 and -0.02 < drawn.y0 < drawn.y1 < height + 0.02
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(ax.get_tightbbox()) for ax in figure.axes if ax.axison)
