"""What the explorers compute: choosing, slicing, scoring, comparing and exporting objects of a predictions table.

Nothing here knows of widgets; the widgets only wire these functions to controls.
"""

from astrolab.exploring.columns import SliceColumn, column_label, column_unit, has_truth, picture_input
from astrolab.exploring.gathering import (
    gather_predictions,
    save_selection,
    selection_file,
    selections_folder,
    surveys_by_name,
)
from astrolab.exploring.paths import AdapterPath, answer, stamp_size
from astrolab.exploring.view import RESAMPLED_FROM, Exploration, match_models, short_name, with_deviations

__all__ = [
    "RESAMPLED_FROM",
    "AdapterPath",
    "Exploration",
    "SliceColumn",
    "answer",
    "column_label",
    "column_unit",
    "gather_predictions",
    "has_truth",
    "match_models",
    "picture_input",
    "save_selection",
    "selection_file",
    "selections_folder",
    "short_name",
    "stamp_size",
    "surveys_by_name",
    "with_deviations",
]
