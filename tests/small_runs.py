"""Run folders as `open_run` leaves them, with small figures and scores of known values."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from astrolab.datasets.survey import Provenance
from astrolab.parameters import find_notebook, read_declarations
from astrolab.runs import open_run
from astrolab.tasks import REDSHIFT, Task

STUDY = "lora_vs_transfer"
METRICS = ("bias", "scatter", "catastrophic_rate", "outlier_rate", "loss")


@dataclass
class NamedSurvey:
    """What `Run.record_surveys` asks of a survey."""

    provenance: Provenance
    digest: str = "0"
    name: str = "twin-galaxiesml"
    task: Task = REDSHIFT

    def __len__(self) -> int:
        return 3


def scores_of(values: dict[str, float], *, surveys=("twin-galaxiesml",), metrics=("bias", "scatter")) -> pd.DataFrame:
    """Scores that are the same number in every metric and on every survey."""
    rows = [
        {"run": "", "fit": "", "arm": arm, "seed": 0, "survey": survey, "label": "z", "metric": metric, "value": value}
        for survey in surveys
        for arm, value in values.items()
        for metric in metrics
    ]
    return pd.DataFrame(rows).assign(low=lambda t: t.value - 0.001, high=lambda t: t.value + 0.001, simulated=True)


def build_run(
    root: Path, name="one", *, study=STUDY, scores=None, figures=("metrics", "truth"), finish=True, **changed
) -> Path:
    """Make a run folder below a root; the caller may damage it."""
    declared = read_declarations(find_notebook(STUDY))
    parameters = {key: value.default for key, value in declared.items() if key != "run_dir"} | changed
    run = open_run(study=study, parameters=parameters, directory=root / study / name)
    run.record_surveys({"pretrain": NamedSurvey(Provenance("twin-galaxiesml", "GalaxiesML twin", simulated=True))})
    for figure in figures:
        axes = plt.figure(figsize=(4, 3)).add_subplot()
        run.save_figure(figure, figure=axes)
        plt.close("all")
    run.finish(scores=scores_of({"lora": 0.0123, "tl": 0.0456}) if scores is None else scores)
    if not finish:
        run.record["status"] = "running"
        run._write()
    return run.folder
