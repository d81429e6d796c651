"""The report of a run: its executed notebook as one HTML file that needs no network and no server."""

from __future__ import annotations

import re
from pathlib import Path

from astrolab.files import write_atomically

_TEMPLATES = Path(__file__).with_name("report_template")
_LIVE_WIDGET = "application/vnd.jupyter.widget-view+json"
_EQUATION = re.compile(r"\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<inline>[^$\n]+?)\$(?!\$)", re.DOTALL)


def write_report(notebook: Path, *, path: Path, title: str) -> Path:
    """Write an executed notebook as a self-contained HTML page: figures inside, equations as MathML, code folded."""
    import nbformat
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="astrolab", extra_template_basedirs=[str(_TEMPLATES)])
    content = nbformat.read(notebook, as_version=4)
    content.metadata.pop("widgets", None)
    for cell in content.cells:
        if cell.cell_type == "markdown":
            cell.source = replace_equations(cell.source)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(_LIVE_WIDGET, None)  # a page without a kernel shows the figure beside it
    body, _ = exporter.from_notebook_node(content, resources={"metadata": {"name": title}})
    with write_atomically(path) as part:
        part.write_text(body, encoding="utf-8")
    return path


def replace_equations(markdown: str) -> str:
    r"""Replace the LaTeX equations of a text by MathML, which browsers draw by themselves.

    >>> replace_equations("a $z$ b").startswith('a <math')
    True
    """
    from latex2mathml.converter import convert

    def as_mathml(match: re.Match[str]) -> str:
        if match["block"]:
            return convert(match["block"].strip(), display="block")
        return convert(match["inline"])

    return _EQUATION.sub(as_mathml, markdown)
