"""Predictions to be drawn, and what is looked for in a figure."""

import numpy as np
import pandas as pd

from astrolab.datasets.survey import Provenance, Survey
from astrolab.predictions import predictions_table
from astrolab.tasks import REDSHIFT, InputSpec, find_quantity


def predict(truth, *, residuals, label="z", **names):
    """A predictions table of one model: truths and their predictions, which have some residuals."""
    pred = find_quantity(label).moved(truth, residual=residuals)
    identity = {"arm": "lora", "survey": "twin-galaxiesml", "split": "test"} | names
    return predictions_table(truth={label: truth}, pred={label: pred}, simulated=True, **identity)


def survey_of(name, *, inputs, bands, label, catalogue=None):
    """A survey of simulated galaxies with redshifts, from arrays."""
    axes = {2: ("band",), 4: ("band", "y", "x")}
    return Survey(
        name=name,
        inputs=inputs,
        specs={key: InputSpec(axes[rows.ndim], bands) for key, rows in inputs.items()},
        labels=pd.DataFrame({"z": label}),
        ids=np.arange(len(label)),
        provenance=Provenance(survey=name, title=name, simulated=True),
        task=REDSHIFT,
        catalogue=catalogue or {},
    )


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
