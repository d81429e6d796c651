"""Galaxies in pictures: a cut-out of each in colour, its single bands, and its numbers."""

from __future__ import annotations

import pandas as pd

from astrolab.datasets.survey import Survey
from astrolab.plots.cutouts import band_pictures, colour_picture, read_stamps
from astrolab.widgets import markup


def galaxy_cards(galaxies: pd.DataFrame, *, survey: Survey) -> str:
    """Return pictures of galaxies, each with its id, truth and predictions below."""
    stamps = read_stamps(survey, object_ids=galaxies["object_id"].to_numpy())
    cards = [
        markup.Card(
            colour=colour_picture(stamp, bands=survey.bands),
            bands=band_pictures(stamp),
            caption=_caption(galaxy),
            is_framed=bool(galaxy["is_outlier"]),
        )
        for stamp, (_, galaxy) in zip(stamps, galaxies.iterrows(), strict=True)
    ]
    below = ", ".join(survey.bands)
    return markup.picture_cards(cards, note=f"Cut-outs, brightest outliers first (framed); below each: {below}")


def _caption(galaxy: pd.Series) -> list[str]:
    numbers = {
        name: f"{galaxy[name]:.3f}".replace("-", "−") for name in ("truth", "pred", "pred_other") if name in galaxy
    }
    lines = [str(galaxy["object_id"]), f"{numbers['truth']} → {numbers['pred']}"]
    return [*lines, f"other → {numbers['pred_other']}"] if "pred_other" in numbers else lines
