"""The report of a run: its executed notebook as one HTML file that needs no network, no server and no script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrolab.files import write_atomically
from astrolab.parameters import recognise_preset
from astrolab.runs.record import made_under, read_record

if TYPE_CHECKING:
    from nbformat import NotebookNode

_TEMPLATES = Path(__file__).with_name("report_template")
_LIVE_WIDGET = "application/vnd.jupyter.widget-view+json"
_EQUATION = re.compile(r"\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<inline>[^$\n]+?)\$(?!\$)", re.DOTALL)
_HEADING = re.compile(r'<h2 id="(?P<id>[^"]+)">(?P<title>.+?)<a class="anchor-link"', re.DOTALL)
_CAPTION = re.compile(r"\*Figures?: (.+?)\*(?:\s|$)", re.DOTALL)
_VERSIONS = ("astrolab", "python", "torch")
_CONTENTS = "<!-- contents -->"


def write_report(notebook: Path, *, path: Path, title: str) -> Path:
    """Write an executed notebook as a self-contained page, its code folded, its figures described by their captions."""
    import nbformat
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="astrolab", extra_template_basedirs=[str(_TEMPLATES)])
    content = nbformat.read(notebook, as_version=4)
    content.metadata.pop("widgets", None)
    _describe_figures(content)
    for cell in content.cells:
        if cell.cell_type == "markdown":
            cell.source = replace_equations(cell.source)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(_LIVE_WIDGET, None)  # a page without a kernel shows the figure beside it
    record = read_record(notebook.parent)
    resources = {"metadata": {"name": title}, "run": _facts(record) if record else {}, "language_code": "en"}
    body, _ = exporter.from_notebook_node(content, resources=resources)
    entries = [f'<li><a href="#{found["id"]}">{found["title"]}</a></li>' for found in _HEADING.finditer(body)]
    with write_atomically(path) as part:
        part.write_text(body.replace(_CONTENTS, "".join(entries)), encoding="utf-8")
    return path


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the head of a report says of its run."""
    versions = record["circumstances"]["versions"]
    facts = {
        "started": record["started"].replace("T", " ")[:16],
        "preset": recognise_preset(record["study"], parameters=record["parameters"]) or "parameters of its own",
        "surveys": "; ".join(survey["repr"] for survey in record["surveys"].values()),
        "computed with": made_under(record),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if name in _VERSIONS),
    }
    return {"finding": record.get("finding", {}), "facts": {name: said for name, said in facts.items() if said}}


def _describe_figures(notebook: NotebookNode) -> None:
    """Give each picture its caption, the text that follows it, as its description."""
    pictures: list[NotebookNode] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (caption := _CAPTION.search(cell.source)):
            for picture in pictures:
                picture.metadata["image/png"] = {"alt": " ".join(re.sub(r"[$*`]", "", caption[1]).split())}
            pictures = []
        pictures += [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


def replace_equations(markdown: str) -> str:
    """Replace the LaTeX equations of a text by MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    def as_mathml(match: re.Match[str]) -> str:
        if match["block"]:
            return convert(match["block"].strip(), display="block")
        return convert(match["inline"])

    return _EQUATION.sub(as_mathml, markdown)
