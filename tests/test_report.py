import xml.etree.ElementTree as ET

import nbformat
import pytest

from astrolab.report import replace_equations, write_report


def test_equations_become_well_formed_mathml():
    html = replace_equations(r"Scatter: $$\sigma = 1.4826\,\mathrm{median}|x|$$ with $x = \frac{a}{1+z}$.")
    start = html.index("<math")
    element = ET.fromstring(html[start : html.index("</math>") + 7])
    assert element.tag.endswith("math")
    assert html.count("<math") == 2
    assert "$" not in html


def test_dollars_that_are_not_equations_stay():
    assert replace_equations(r"It costs \$5 and $ 3") == r"It costs \$5 and $ 3"


@pytest.fixture
def notebook(tmp_path):
    node = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Question\n\n$a^2$"),
            nbformat.v4.new_code_cell("1 + 1", outputs=[nbformat.v4.new_output("stream", name="stdout", text="two")]),
        ]
    )
    nbformat.write(node, tmp_path / "notebook.ipynb")
    return tmp_path / "notebook.ipynb"


def test_the_page_stands_alone(notebook, tmp_path):
    page = write_report(notebook, path=tmp_path / "report.html", title="a run").read_text(encoding="utf-8")
    assert "two" in page
    assert "<mi>a</mi>" in page
    assert "<script" not in page
    assert "https://cdn" not in page
    assert "<title>a run</title>" in page


def test_a_widget_is_shown_as_the_figure_beside_it(tmp_path):
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    model = "0123456789abcdef"
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": model, "version_major": 2, "version_minor": 0}}
    shown = new_output("display_data", data=data | {"image/png": pixel, "text/plain": "<PredictionsExplorer>"})
    notebook = new_notebook(cells=[new_code_cell("explorer", outputs=[shown])])
    state = {"state": {model: {"model_name": "VBoxModel", "model_module": "@jupyter-widgets/controls", "state": {}}}}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    nbformat.write(notebook, tmp_path / "notebook.ipynb")
    page = write_report(tmp_path / "notebook.ipynb", path=tmp_path / "report.html", title="a run").read_text()
    assert f"data:image/png;base64,{pixel}" in page
    assert model not in page
