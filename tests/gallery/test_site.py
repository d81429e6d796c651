import json
import re
import shutil
import struct
from html.parser import HTMLParser
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest
from small_runs import build_run, scores_of

from astrolab.errors import ConfigError
from astrolab.gallery import listed_runs, write_gallery
from astrolab.gallery.site import as_table, require_replaceable
from astrolab.parameters import load_preset


class Page(HTMLParser):
    """What a browser would follow, load and show of a page."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, path):
        super().__init__()
        self.links, self.images, self.tags, self.headings, self.open, self.ids = [], [], [], [], [], []
        self.text, self.attributes = "", set()
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == [], f"{path}: never closed"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.headings += [int(tag[1])] if tag in ("h1", "h2", "h3") else []
        self.links += [attrs[name] for name in ("href", "src") if name in attrs]
        self.images += [attrs] if tag == "img" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def pages_of(site):
    return {path: Page(path) for path in site.rglob("index.html")}


def write_three(root):
    """A gallery of a whole run, one that is not finished, and a damaged one of a study with an awkward name."""
    build_run(root / "runs", "first", epochs=3)
    build_run(root / "runs", "second", finish=False, figures=())
    damaged = build_run(root / "runs", "third", study="mine & <yours>", figures=())
    (damaged / "run.json").write_text("{")
    return write_gallery(root / "runs", out=root / "site").parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """To be read, not written to."""
    return write_three(tmp_path_factory.mktemp("gallery"))


def test_every_page_stands_alone_and_every_link_leads_somewhere(site):
    pages = pages_of(site)
    assert len(pages) == 4
    for path, page in pages.items():
        assert not {"script", "iframe", "form"} & set(page.tags)
        for link in page.links:
            if link.startswith("#"):
                assert link[1:] in page.ids, link
            elif not link.startswith("data:,"):
                assert not link.startswith(("http", "/", "file:")), link
                assert (path.parent / unquote(link)).is_file(), f"{path}: {link}"


def test_pages_are_accessible(site):
    for path, page in pages_of(site).items():
        assert all(image["alt"].strip() for image in page.images), path
        assert page.headings[0] == 1
        assert page.headings.count(1) == 1
        assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
        assert "main" in page.tags
        assert len(page.ids) == len(set(page.ids))
        source = path.read_text(encoding="utf-8")
        assert '<meta name="viewport" content="width=device-width' in source
        assert '<html lang="en">' in source


def test_the_index_shows_scores_parameters_and_every_problem(site):
    text = Page(site / "index.html").text
    assert "0.0123 ★ best ± 0.0010" in text
    assert "epochs3" in text.replace("\n", "")
    assert "twin survey: simulated" in text
    assert "It was interrupted. The same command goes on where it stopped." in text
    assert "run.json is damaged" in text
    problems = listed_runs(site)
    assert [bool(problems[page]) for page in sorted(problems)] == [False, True, True]


def test_titles_say_what_differs_and_when_where_nothing_does(make_run, tmp_path):
    smoke = load_preset("lora_vs_transfer", preset="smoke")
    make_run("a", **smoke)
    make_run("b", **smoke | {"seeds": [0, 1], "direction": "reverse"})
    for second, (name, knob) in enumerate((("c", 3), ("d", 4), ("e", 4))):
        path = make_run(name, study="mine", knob=knob) / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"started": f"2026-01-01T00:00:0{second}+00:00"}))
    titles = headings_of(write_gallery(tmp_path / "runs", out=tmp_path / "site"))
    assert {"lora_vs_transfer · smoke · seeds 0", "lora_vs_transfer · smoke · direction reverse · seeds 0, 1"} < titles
    own = sorted(title for title in titles if title.startswith("mine"))
    assert own[0] == "mine · knob 3 · seeds 0, 1, 2" and len(own) == 3
    assert all(re.fullmatch(r"mine · knob 4 · seeds 0, 1, 2 · \d\d \w+ \d{4}, [\d:]{8}", title) for title in own[1:])


def headings_of(index):
    return set(re.findall(r'<h2><a href="[^"]+">([^<]+)</a></h2>', index.read_text(encoding="utf-8")))


def test_names_of_runs_cannot_break_out_of_the_page_or_the_folder(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    assert "<yours>" not in index
    assert "mine &amp; &lt;yours&gt;" in index
    assert all(path.resolve().is_relative_to(site.resolve()) for path in site.rglob("*"))


ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a link](javascript:alert(1))",
    "<a href='JaVaScRiPt:alert(1)' onclick=alert(1)>a link</a>",
    "<svg onload=alert(1)><math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
    r"$\text{<script>alert(1)</script>}$",
    r"[x](http://a/$\text{'onmouseover=alert(1) '}$)",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_foreign_run_brings_along_is_text(make_run, make_notebook, tmp_path, attack):
    scores = scores_of({attack: 0.1}, surveys=(attack,))
    folder = make_run(study="mine", figures=("one",), scores=scores, remark=attack)
    record = json.loads((folder / "run.json").read_text())
    record["surveys"]["pretrain"]["repr"] = record["circumstances"]["versions"]["torch"] = attack
    (folder / "run.json").write_text(json.dumps(record | {"study": attack}))
    (folder / "javascript:alert(1).csv").write_text("a")
    declared = ("code", "remark: str = ''  # what " + attack)
    cells = [("text", f"# Why {attack}?"), declared, ("code", "run.save_figure('one', figure=1)")]
    notebook = make_notebook(*cells, ("text", f"*Figure: {attack}*"))
    notebook.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, folder / "notebook.ipynb")
    site = write_gallery(folder, out=tmp_path / "site").parent
    for path, page in pages_of(site).items():
        assert not {"script", "svg", "style", "iframe", "form"} & set(page.tags), path
        assert not [name for name in page.attributes if name.startswith("on") or name == "srcdoc"], path
        assert not [link for link in page.links if "script:" in link.lower() and not link.startswith("./")], path
        assert "script-src 'none'" in path.read_text(encoding="utf-8")


def test_nothing_in_the_report_of_a_foreign_run_can_run(make_run, tmp_path):
    folder = make_run()
    (folder / "report.html").write_bytes(b"<html><head><title>r\xe9port</title><script>alert(1)</script></head></html>")
    report = next(write_gallery(folder, out=tmp_path / "site").parent.glob("runs/*/*/report.html")).read_bytes()
    policy = report.index(b"Content-Security-Policy\" content=\"default-src 'none'; img-src data:")
    assert report.startswith(b"<!DOCTYPE html>") and policy < report.index(b"<html>"), "before anything else is read"
    assert report.endswith((folder / "report.html").read_bytes())


def test_a_thumbnail_is_small(site):
    png = next(site.glob("runs/*/first/thumbnail.png")).read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    assert 0 < width <= 720
    assert 0 < height <= 540


def test_the_page_of_a_run_links_figures_as_png_and_pdf_and_the_tables(site):
    links = Page(site / "runs/lora_vs_transfer/first/index.html").links
    for wanted in ("figures/metrics.png", "figures/metrics.pdf", "./scores.csv", "../../../index.html"):
        assert wanted in links


def test_an_older_gallery_is_replaced_as_a_whole_and_anything_else_is_left_alone(tmp_path):
    site = write_three(tmp_path)
    shutil.rmtree(tmp_path / "runs/lora_vs_transfer/second")
    write_gallery(tmp_path / "runs", out=site)
    assert not (site / "runs/lora_vs_transfer/second").exists()
    (site / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match=r"thesis\.tex"):
        write_gallery(tmp_path / "runs", out=site)
    assert (site / "thesis.tex").read_text() == "years of work"
    assert not list(tmp_path.glob(".part-*"))


def test_two_runs_of_one_name_get_a_page_each(make_run, tmp_path):
    folder = make_run("same")
    other = tmp_path / "elsewhere" / "same"
    shutil.copytree(folder, other)
    index = write_gallery([folder, other], out=tmp_path / "out")
    assert len(listed_runs(index.parent)) == 2
    assert len(pages_of(index.parent)) == 3


def test_a_run_called_like_the_second_page_of_another_name_gets_a_page_too(make_run, tmp_path):
    folder = make_run("x")
    places = [tmp_path / "elsewhere" / name for name in ("a/x-copy2", "b/x", "c/x")]
    for place in places:
        shutil.copytree(folder, place)
    index = write_gallery(places, out=tmp_path / "out")
    assert [page.rpartition("/")[2] for page in listed_runs(index.parent)] == ["x-copy2", "x", "x-copy3"]
    assert len(pages_of(index.parent)) == 4


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


@pytest.mark.parametrize("content", [["thesis.tex"], ["index.html"], ["gallery.json", ".git"]])
def test_a_folder_that_holds_anything_else_is_refused(tmp_path, content):
    for name in content:
        touch(tmp_path / "site" / name)
    with pytest.raises(ConfigError, match="to do") as error:
        require_replaceable(tmp_path / "site", folders=[])
    assert sorted(content)[0] in str(error.value)


def test_a_file_and_a_folder_with_the_runs_in_it_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="is a file"):
        require_replaceable(touch(tmp_path / "site"), folders=[])
    touch(tmp_path / "gallery/gallery.json")
    run = touch(tmp_path / "gallery/runs/study/a/run.json").parent
    with pytest.raises(ConfigError, match="replaces"):
        require_replaceable(tmp_path / "gallery", folders=[run])


def test_nothing_an_empty_folder_and_an_older_gallery_are_fine(tmp_path):
    require_replaceable(tmp_path / "new", folders=[])
    (tmp_path / "empty").mkdir()
    require_replaceable(tmp_path / "empty", folders=[])
    touch(tmp_path / "old/gallery.json")
    touch(tmp_path / "old/index.html")
    require_replaceable(tmp_path / "old", folders=[])


def test_a_table_is_laid_out_as_heads_and_rows():
    scores = pd.DataFrame({"scatter": ["0.1 *"]}, index=pd.Index(["lora"], name="arm"))
    assert as_table(scores) == (["arm", "scatter"], [(["lora"], ["0.1 *"])])
