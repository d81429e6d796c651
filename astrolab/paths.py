"""What a network predicts on its way from one survey to another: between its base weights and its adapted ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from astrolab.errors import ConfigError
from astrolab.predictions import concat_predictions, predict

if TYPE_CHECKING:
    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.survey import Survey
    from astrolab.models.adapt import Adapted
    from astrolab.models.network import Network


def predict_path(
    base: Network,
    *,
    adapted: Adapted,
    scales: Sequence[float],
    surveys: Sequence[Survey],
    scaling: Scaling,
    batchnorm: str = "interpolate",
    batch_size: int = 1024,
    label: str = "z",
    device: str = "auto",
    keep: Sequence[str] = (),
) -> pd.DataFrame:
    """Predict surveys at several places of the straight line from a base network to its adapted one.

    Parameters
    ----------
    base : Network
    adapted : Adapted
        Made from it; for LoRA a scale is exactly the adapter's.
    scales : sequence of float
        0 is the base network, 1 the adapted one; less and more go beyond.
    surveys : sequence of Survey
        Usually a test set of the old survey and one of the new.
    scaling : Scaling
        The input scaling that both networks were trained with.
    batchnorm : {"interpolate", "base", "adapted"}
        As for :func:`astrolab.interpolate`.
    batch_size, label, device, keep
        As for :func:`astrolab.predict`.

    Returns
    -------
    DataFrame
        As from :func:`astrolab.predict`, with the column ``scale``.

    Raises
    ------
    ConfigError
        If there are no surveys, or the scales are not different numbers.
    ModelError
        If the two networks differ in structure, or the adapted one has no place among plain networks (``residual``).
    """
    from astrolab.models.adapt import merge
    from astrolab.models.interpolation import interpolate

    if not scales or len(set(scales)) < len(scales) or not surveys:
        raise ConfigError(
            "Predictions along a path were asked for.",
            received=f"scales={list(scales)}, {len(surveys)} surveys",
            available="different numbers, and one survey or more",
            remedy="Give e.g. scales=[0, 0.25, 0.5, 0.75, 1, 1.25].",
        )
    end = merge(adapted)
    settings = {"scaling": scaling, "batch_size": batch_size, "label": label, "device": device, "keep": keep}
    tables = []
    for scale in map(float, scales):
        network = interpolate(base, adapted=end, scale=scale, batchnorm=batchnorm)
        answers = [predict(network, survey=survey, **settings) for survey in surveys]
        tables.append(concat_predictions(answers, scale=scale))
    return concat_predictions(tables)
