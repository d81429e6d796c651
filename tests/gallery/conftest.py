"""Run folders as `open_run` leaves them, with a small figure and scores of known values."""

from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from astrolab.parameters import find_notebook, read_declarations
from astrolab.runs import open_run

STUDY = "lora_vs_transfer"


def scores_of(values: dict[str, float], *, survey: str = "twin-galaxiesml") -> pd.DataFrame:
    rows = [
        {"arm": arm, "seed": 0, "survey": survey, "label": "z", "metric": metric, "value": value}
        for arm, value in values.items()
        for metric in ("bias", "scatter")
    ]
    return pd.DataFrame(rows).assign(low=lambda t: t.value - 0.001, high=lambda t: t.value + 0.001, simulated=True)


@dataclass
class FakeSurvey:
    """What `Run.record_surveys` asks of a survey."""

    provenance: object
    digest: str = "0"

    def __len__(self) -> int:
        return 3


@pytest.fixture(scope="session")
def build_run():
    """Make a run folder below a root; the caller may damage it."""
    from astrolab.datasets.survey import Provenance

    def build(root, name="one", *, study=STUDY, scores=None, figures=("metric_bars", "truth"), finish=True, **changed):
        declared = read_declarations(find_notebook(STUDY))
        parameters = {key: value.default for key, value in declared.items() if key != "run_dir"} | changed
        run = open_run(study=study, parameters=parameters, directory=root / study / name)
        run.record_surveys({"pretrain": FakeSurvey(Provenance("twin-galaxiesml", "GalaxiesML twin", simulated=True))})
        for figure in figures:
            axes = plt.figure(figsize=(4, 3)).add_subplot()
            run.save_figure(figure, figure=axes)
            plt.close("all")
        run.finish(scores=scores_of({"lora": 0.0123, "tl": 0.0456}) if scores is None else scores)
        if not finish:
            run.record["status"] = "running"
            run._write()
        return run.folder

    return build


@pytest.fixture
def make_run(build_run, tmp_path):
    """Make a run folder below ``tmp_path/runs``."""
    return partial(build_run, tmp_path / "runs")


@pytest.fixture
def make_notebook():
    """A notebook of text and code cells, given in order; the first code cell is the parameters."""

    def make(*cells: tuple[str, str]) -> nbformat.NotebookNode:
        new = {"text": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
        return nbformat.v4.new_notebook(cells=[new[kind](source) for kind, source in cells])

    return make
