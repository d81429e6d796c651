"""Run folders and notebooks that the gallery reads."""

from functools import partial

import nbformat
import pytest
from small_runs import build_run


@pytest.fixture
def make_run(tmp_path):
    """Make a run folder below ``tmp_path/runs``."""
    return partial(build_run, tmp_path / "runs")


@pytest.fixture
def make_notebook():
    """A notebook of text and code cells, given in order."""

    def make(*cells: tuple[str, str]) -> nbformat.NotebookNode:
        new = {"text": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
        return nbformat.v4.new_notebook(cells=[new[kind](source) for kind, source in cells])

    return make
