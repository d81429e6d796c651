"""What the explorers compute: choosing, slicing, scoring, comparing and exporting galaxies of a predictions table.

::

    predictions ─→ choices ─→ galaxies of one model on one test set ─→ deviations ─→ selection ─→ scores, table, export
                                               survey ─→ columns ┘        others ─→ comparing ┘

Nothing here knows of widgets; the widgets only wire these functions to controls.
"""

from astrolab.exploring.adapter_path import AdapterPath
from astrolab.exploring.answers import answer, stamp_size
from astrolab.exploring.choices import Choices
from astrolab.exploring.columns import column_label, column_unit, describe_galaxies, slice_columns
from astrolab.exploring.comparing import VERDICTS, match_models, other_models, short_name
from astrolab.exploring.deviations import is_redshift, with_deviations
from astrolab.exploring.exploration import Exploration, surveys_by_name
from astrolab.exploring.export import save_galaxies, selection_file, selections_folder
from astrolab.exploring.gathering import gather_predictions, recorded_z_range
from astrolab.exploring.selection import RESAMPLED_FROM, brightest_outliers_first, inside_slices, score_galaxies

__all__ = [
    "RESAMPLED_FROM",
    "VERDICTS",
    "AdapterPath",
    "Choices",
    "Exploration",
    "answer",
    "brightest_outliers_first",
    "column_label",
    "column_unit",
    "describe_galaxies",
    "gather_predictions",
    "inside_slices",
    "is_redshift",
    "match_models",
    "other_models",
    "recorded_z_range",
    "save_galaxies",
    "score_galaxies",
    "selection_file",
    "selections_folder",
    "short_name",
    "slice_columns",
    "stamp_size",
    "surveys_by_name",
    "with_deviations",
]
