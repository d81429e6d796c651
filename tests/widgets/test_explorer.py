"""What is displayed in an open notebook, and in a page that is only read."""

import base64
import gc
import io
import sys
import weakref
from types import SimpleNamespace

import nbformat
import pytest
from ipywidgets.widgets.widget import _instances
from matplotlib import pyplot

from astrolab import explore_adapter, explore_predictions, explore_twin
from astrolab.errors import ConfigError
from astrolab.widgets import explorer as module

WIDGET = "application/vnd.jupyter.widget-view+json"


def kernel_that_got(content):
    kernel = SimpleNamespace(get_parent=lambda channel: {"content": content})
    return lambda: SimpleNamespace(kernel=kernel)


def test_no_script_is_watched_nor_papermill_or_nbconvert(monkeypatch):
    assert not module.is_watched()
    for allow_stdin in (True, False):
        monkeypatch.setattr("IPython.get_ipython", kernel_that_got({"allow_stdin": allow_stdin}))
        assert module.is_watched() is allow_stdin


def test_the_figure_comes_before_the_widget_and_alone_in_a_page_that_is_read(path_predictions, monkeypatch):
    explorer = explore_adapter(path_predictions)
    alone, about = explorer._repr_mimebundle_()
    assert base64.b64decode(alone["image/png"])[:4] == b"\x89PNG"
    assert WIDGET not in alone and not explorer.is_live
    assert "base network" in about["image/png"]["alt"]
    monkeypatch.setattr("IPython.get_ipython", kernel_that_got({"allow_stdin": True}))
    shown = []
    monkeypatch.setattr(module, "display_html", lambda html, raw: shown.append(html))
    live, _ = explorer._repr_mimebundle_()
    (still,) = shown
    assert f'alt="{explorer.summary}" src="data:image/png;base64,{alone["image/png"][:20]}' in still
    assert "Run this cell again to bring the explorer back" in still
    assert live[WIDGET]["model_id"] == explorer.model_id and "image/png" not in live
    assert explorer.is_live and len(explorer.cloud_row.children) == 2


def test_closing_frees_every_widget_and_the_data(path_predictions, predictions, survey):
    before = set(_instances)
    explorers = [
        explore_predictions(predictions, survey=survey),
        explore_adapter(path_predictions),
        explore_twin("twin-galaxiesml", image_size=16),
    ]
    for explorer in explorers:
        explorer.go_live()
    explorers[0].compare.value = "lora"
    explorers[0].survey.value = "twin-transferz"
    held = [explorers[0].view.objects, explorers[1].path.scores, explorers[0].clouds[1].scatter]
    data, widgets = list(map(weakref.ref, held)), list(map(weakref.ref, explorers))
    del held
    for explorer in explorers:
        explorer.close()
        explorer.close()
        assert "closed" in repr(explorer)
    assert set(_instances) == before
    gc.collect()
    assert [one() for one in data] == [None] * 3
    del explorer, explorers
    gc.collect()
    assert [one() for one in widgets] == [None] * 3


def test_sliders_that_are_replaced_are_closed(predictions):
    explorer = explore_predictions(predictions)
    explorer.survey.value = "twin-transferz"
    n = len(_instances)
    for _ in range(3):
        explorer.survey.value = "twin-galaxiesml"
        explorer.survey.value = "twin-transferz"
    assert len(_instances) == n


def test_a_figure_is_not_shown_a_second_time_by_pyplot(path_predictions):
    explorer = explore_adapter(path_predictions)
    figure = explorer.figure()
    explorer._repr_mimebundle_()
    assert pyplot.get_fignums() == []
    figure.savefig(io.BytesIO(), format="pdf")


def test_in_an_open_notebook_the_cloud_is_there_from_the_start(path_predictions, monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", kernel_that_got({"allow_stdin": True}))
    assert explore_adapter(path_predictions).is_live


def test_under_papermill_the_figure_is_in_the_output(tmp_path):
    import papermill

    source = "\n".join(
        [
            "import numpy as np, pandas as pd",
            "from astrolab import explore_predictions",
            "truth = np.linspace(0.2, 1.4, 30)",
            "about = {'survey': 'mine', 'object_id': np.arange(30), 'arm': 'tl'}",
            "explore_predictions(pd.DataFrame({**about, 'truth.z': truth, 'pred.z': truth + 0.01}))",
        ]
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False)
    (output,) = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0].outputs
    assert "image/png" in output["data"] and WIDGET not in output["data"]
    assert (tmp_path / "out.ipynb").stat().st_size < 1_000_000, "no cloud was made, so no cloud is stored"


@pytest.mark.parametrize("missing", ["ipywidgets", "jscatter"])
def test_without_the_notebook_extra_the_error_says_what_to_install(path_predictions, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=r"pip install 'astrolab\[notebooks\]'"):
        explore_adapter(path_predictions)


def test_drawings_are_asked_for_one_at_a_time_and_the_last_is_made():
    page, drawn = module.Page(), []
    for number in range(3):  # no page is open: nothing to wait for
        page.draw(lambda number=number: drawn.append(number))
    assert drawn == [0, 1, 2]
    page.drawn = page.asked  # what a browser says when it shows the page
    for number in range(3, 7):
        page.draw(lambda number=number: drawn.append(number))
    assert drawn == [0, 1, 2, 3] and page.is_drawing and page.is_waited_for
    page.drawn = page.asked
    assert drawn == [0, 1, 2, 3, 6] and page.is_drawing and not page.is_waited_for
    page.drawn = page.asked
    assert drawn == [0, 1, 2, 3, 6] and not page.is_drawing
