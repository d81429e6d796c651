"""What the clouds of an explorer of predictions show: each galaxy's truth, and what one or two models say of it."""

from __future__ import annotations

import pandas as pd

from astrolab.exploring import column_label
from astrolab.plots.exploration import axis_label, cloud_ranges, reference_lines
from astrolab.plots.point_colours import PointColours
from astrolab.widgets.cloud import CloudContent


def cloud_contents(galaxies: pd.DataFrame, *, axis: str, colours: PointColours) -> list[CloudContent]:
    """Give each model its cloud, on the same axes and in the same colours."""
    x_range, y_range = cloud_ranges(galaxies, axis=axis)
    label = str(galaxies["label"].iloc[0])
    lines = reference_lines(label, x_range=x_range, axis=axis)
    return [
        CloudContent(
            x=galaxies["truth"].to_numpy(float),
            y=galaxies[column].to_numpy(float),
            x_label=column_label("truth", label=label),
            y_label=axis_label(axis, label=label),
            x_range=x_range,
            y_range=y_range,
            colour=pd.Series(colours.groups),
            colours=colours.colours,
            lines=[(line.vertices, line.colour, line.width) for line in lines],
        )
        for column in (axis, f"{axis}_other")
        if column in galaxies
    ]
