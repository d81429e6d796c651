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
