"""How far each prediction is from the truth, and which ones are outliers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from astrolab.metrics.photoz import MAD_TO_SIGMA, OUTLIER_CUT, redshift_deviation

REDSHIFTS = ("z",)
CLIP_SIGMA = 3.0


def is_redshift(label: str) -> bool:
    """Say whether a label is a redshift, whose errors are measured in units of 1 + z."""
    return label in REDSHIFTS


def with_deviations(galaxies: pd.DataFrame) -> pd.DataFrame:
    """Add to the galaxies of one model how wrong each prediction is.

    >>> with_deviations(pd.DataFrame({"label": "z", "truth": [1.0, 1.0], "pred": [1.2, 2.0]}))
      label  truth  pred  deviation  is_outlier
    0     z    1.0   1.2        0.1       False
    1     z    1.0   2.0        0.5        True
    """
    truth, pred = galaxies["truth"].to_numpy(float), galaxies["pred"].to_numpy(float)
    if is_redshift(galaxies["label"].iloc[0]):
        deviation = redshift_deviation(truth=truth, pred=pred)
        is_outlier = np.abs(deviation) > OUTLIER_CUT
    else:
        deviation = pred - truth
        centre = np.median(deviation)
        sigma = MAD_TO_SIGMA * np.median(np.abs(deviation - centre))
        is_outlier = np.abs(deviation - centre) > CLIP_SIGMA * sigma
    return galaxies.assign(deviation=deviation, is_outlier=is_outlier)
