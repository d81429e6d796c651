"""What the head of a report says of its run, and what its pictures say to those who cannot see them."""

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from astrolab.runs import open_run
from astrolab.studies.report import write_report

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
COMPARED = {"label": "z", "metric": "scatter", "a": "lora", "b": "tl", "value_a": 0.03, "value_b": 0.04, "level": 0.95}
COMPARED |= {"difference": -0.01, "low": -0.012, "high": -0.008, "better": "lora", "n": 120, "n_seeds": 1}


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path))

    def write(comparison=None):
        run = open_run(study="mine", parameters={}, directory=tmp_path / "run")
        if comparison is not None:
            run.record_finding(comparison, question="Is <b>LoRA</b> better?")
        picture = nbformat.v4.new_output("display_data", data={"image/png": PIXEL})
        cells = [
            nbformat.v4.new_markdown_cell("# Question\n\n## See the *shift*"),
            nbformat.v4.new_code_cell("draw()", outputs=[picture]),
            nbformat.v4.new_markdown_cell(
                '*Figure: scatter, $\\delta$ of "all" arms.* Read it by column.\n\n## Scores'
            ),
            nbformat.v4.new_code_cell("draw()", outputs=[picture]),
        ]
        notebook = run.folder / "notebook.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
        page = write_report(notebook, path=run.folder / "report.html", title="mine")
        return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")

    return write


def test_the_finding_stands_at_the_head_with_what_asks_for_caution(report):
    rows = [COMPARED | {"survey": "old"}, COMPARED | {"survey": "new", "better": "tl"}]
    rows.append(COMPARED | {"survey": "both", "better": "undecided"})
    page = report(pd.DataFrame(rows))
    box = page.find("section", class_="finding")
    sentences = [item.text for item in box.find_all("li")]
    assert sentences[0].startswith("old: lora is better than tl: scatter 0.0300 against 0.0400, difference −0.0100")
    assert "lora is worse than tl" in sentences[1] and "undecided between lora and tl" in sentences[2]
    caution = box.find(class_="small").text
    assert "Small run: 120" in caution and "One seed" in caution
    assert box.find("p").text == "Is <b>LoRA</b> better?", "what a run says is text, not markup"
    assert page.find(string="Question").find_previous("section"), "it stands above the notebook"


def test_contents_lead_to_the_headings(report):
    page = report()
    assert page.find("section", class_="finding") is None
    links = page.find("section", class_="about").find_all("a")
    assert [link.text for link in links] == ["See the shift", "Scores"]
    assert all(page.find(id=link["href"].removeprefix("#")).name == "h2" for link in links)


def test_pictures_are_described_by_the_caption_that_follows_them(report):
    assert [image["alt"] for image in report().find_all("img")] == [
        'scatter, \\delta of "all" arms.',
        "A figure without a caption",
    ]
