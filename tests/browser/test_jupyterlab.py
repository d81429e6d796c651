"""JupyterLab in a real browser: a study run from its first to its last cell, and the explorer turned by hand."""

import io
import itertools
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from astrolab.parameters import find_notebook, load_preset

pytestmark = pytest.mark.timeout(3600)

RUN_S = 2400
# Smaller than the smoke preset: what is watched here is JupyterLab.
SMALL = {"n_pretrain": 200, "n_finetune": 200, "arms": ["zero_shot", "lora"], "epochs": 2, "image_size": 16}


CARD = ".astrolab-cloud div[style*='opacity: 1;']:has(.id-title)"  # of the object under the mouse, while it is seen
DRAWN = "of => [...document.querySelectorAll(of)].filter(i => i.complete && i.naturalWidth > 0).length"

EXPLORER = """
import numpy as np
import pandas as pd
import astrolab as al

survey = al.load_survey("twin-galaxiesml", n=240, seed=0, image_size=32)
z, random = survey.labels["z"].to_numpy(), np.random.default_rng(0)
known = {"survey": survey.name, "object_id": survey.ids, "truth.z": z, "seed": 0, "simulated": True}
tables = [
    pd.DataFrame(known | {"arm": arm, "pred.z": z + width * (1 + z) * random.standard_t(3, len(z))})
    for arm, width in (("zero_shot", 0.06), ("lora", 0.03))
]
explorer = al.explore_predictions(pd.concat(tables, ignore_index=True), survey=survey)
explorer
"""


def with_values(cell: str, values: dict) -> str:
    """A parameters cell with other values."""
    for name, value in values.items():
        cell, n = re.subn(
            rf"^({name}: [^=]*= ).*?(  #.*)?$", lambda m, v=value: f"{m[1]}{v!r}{m[2] or ''}", cell, flags=re.M
        )
        assert n == 1, name
    return cell


def test_a_study_runs_from_its_first_to_its_last_cell(lab, open_page, artefacts):
    page = open_page()
    notebook = lab.open(page, "10_lora_vs_transfer.ipynb")
    source = nbformat.read(notebook.path, as_version=4)
    (parameters,) = (cell.source for cell in source.cells if "parameters" in cell.metadata.get("tags", []))
    smoke = load_preset("lora_vs_transfer", preset="smoke")

    editor = notebook.cell("pretrain_survey: str").locator(".cm-content")
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(with_values(parameters, smoke | SMALL))
    page.screenshot(path=artefacts / "lab_parameters.png")
    notebook.run_all()

    bars = []

    def watch_the_bars():
        shown = page.locator(".jp-OutputArea-output", has_text=re.compile(r"epoch/s|s/epoch|\d+%\|"))
        if len(bars) < 3 and shown.count():
            shown.last.scroll_into_view_if_needed()
            bars.append(shown.last.inner_text())
            page.screenshot(path=artefacts / "lab_training.png")

    notebook.wait_until_run(timeout_s=RUN_S, meanwhile=watch_the_bars)
    executed = notebook.save()
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    errors = [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert not errors, f"{errors[0].ename}: {errors[0].evalue}"
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))

    assert bars, "no progress bar was seen"
    assert not page.locator(".jp-OutputArea-output", has_text="Error displaying widget").count()
    expected = sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert expected >= 5
    notebook.cell("plot_metrics").scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    page.screenshot(path=artefacts / "lab_main_figure.png")
    assert page.evaluate(DRAWN, ".jp-OutputArea-output img") >= expected

    (record,) = (lab.folder / "runs" / "lora_vs_transfer").glob("*/run.json")
    run = json.loads(record.read_text(encoding="utf-8"))
    assert run["status"] == "finished"
    assert run["parameters"]["arms"] == SMALL["arms"]
    assert list((record.parent / "figures").glob("*.png"))
    page.locator(".jp-OutputArea-output a", has_text="scores.csv").last.click()
    page.locator(".jp-CSVViewer").wait_for(timeout=60_000)
    pristine = lab.folder.parent / "notebooks" / notebook.path.name
    assert pristine.read_bytes() == find_notebook("lora_vs_transfer").read_bytes() != notebook.path.read_bytes()
    assert not [error for error in page.errors if error.startswith("uncaught")]


# A page that takes its time to draw, as one with many galaxies and a weak graphics card does.
SLOWLY = """delay_ms => {
  const draw = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = act => setTimeout(() => draw(act), delay_ms);
}"""

ADAPTER = """
import numpy as np
import pandas as pd
import astrolab as al

z = np.linspace(0.2, 1.6, 300)
columns = {"object_id": np.arange(300), "truth.z": z, "simulated": True}
tables = [
    pd.DataFrame(columns | {"survey": survey, "pred.z": z + shift * scale * (1 + z), "scale": scale})
    for survey, shift in (("twin-transferz", 0.4), ("twin-galaxiesml", -0.3))
    for scale in (0.0, 0.5, 1.0)
]
al.explore_adapter(pd.concat(tables, ignore_index=True))
"""


@pytest.fixture
def run_in_lab(lab, open_page):
    """Run a cell in a notebook of its own, and give the page when the explorer in it has drawn."""

    def run(source, *, name, size=(1500, 1100), drawn=".astrolab-cloud canvas"):
        cell = nbformat.v4.new_code_cell(source.strip())
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), lab.folder / name)
        page = open_page(*size)
        page.notebook = lab.open(page, name)
        page.notebook.run_all()
        page.notebook.wait_until_run(timeout_s=RUN_S)
        page.locator(".astrolab-scores table").wait_for(timeout=120_000)
        page.locator(drawn).first.wait_for(timeout=120_000)
        return page

    return run


def wait_for_text(place, pattern: str) -> str:
    """Wait until a place shows some text."""
    place.filter(has_text=re.compile(pattern)).first.wait_for(timeout=60_000)
    return place.inner_text()


def lasso(page, canvas, *, left, top, right, bottom):
    """Draw a rectangle with the lasso, in fractions of the cloud, as slowly as a hand does."""
    box = canvas.bounding_box()
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]  # it closes by itself
    places = [np.array([box["x"] + x * box["width"], box["y"] + y * box["height"]]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for start, end in itertools.pairwise(places):
        for step in np.linspace(0, 1, 11)[1:]:
            page.mouse.move(*(start + step * (end - start)))
            page.wait_for_timeout(15)
    page.mouse.up()


def lasso_a_part(page, canvas):
    """Choose the lasso, and draw it around the nearer galaxies."""
    page.locator(".astrolab-cloud").get_by_role("button", name=re.compile("lasso", re.I)).first.click()
    lasso(page, canvas, left=0.12, top=0.2, right=0.55, bottom=0.85)


def test_the_explorer_follows_slider_lasso_and_keyboard(run_in_lab, artefacts):
    """On 240 galaxies and two made-up models."""
    page = run_in_lab(EXPLORER, name="explorer.ipynb")
    scores, status = page.locator(".astrolab-scores"), page.locator(".astrolab-status")
    canvas = page.locator(".astrolab-cloud canvas").first
    wait_for_text(status, "All 240 galaxies")
    whole = scores.inner_text()
    page.wait_for_timeout(2000)
    pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 50, "the cloud is empty: no WebGL?"
    page.screenshot(path=artefacts / "explorer_whole.png")

    handle = page.locator(".astrolab-slice-truth .noUi-handle").first
    handle.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    said = wait_for_text(status, "in the slice")
    n_sliced = int(re.match(r"(\d+) of 240", said)[1])
    assert 0 < n_sliced < 240
    sliced = scores.inner_text()
    assert sliced != whole
    page.screenshot(path=artefacts / "explorer_slice.png")

    lasso_a_part(page, canvas)
    said = wait_for_text(status, "in the selection")
    assert 0 < int(re.match(r"(\d+) of 240", said)[1]) < n_sliced
    assert scores.inner_text() != sliced
    assert page.evaluate(DRAWN, ".astrolab-cutouts img") >= 2
    assert page.locator(".astrolab-galaxies tbody tr").count() >= 1
    page.screenshot(path=artefacts / "explorer_lasso.png")

    page.get_by_role("button", name="Clear").focus()
    page.keyboard.press("Enter")
    wait_for_text(status, "in the slice")
    assert scores.inner_text() == sliced

    page.locator(".astrolab-arm select").select_option(label="LoRA")
    wait_for_text(page.get_by_role("heading", name="LoRA on GalaxiesML twin"), "^LoRA")
    page.wait_for_timeout(2000)  # errors of the page come after the answer of the kernel
    assert scores.inner_text() != sliced
    assert not [error for error in page.errors if error.startswith("uncaught")]


def test_two_clouds_stand_side_by_side_and_come_and_go(run_in_lab, artefacts):
    """In a window of 1500 px; the second model is chosen and left, again and again."""
    page = run_in_lab(EXPLORER, name="two.ipynb")
    compare, legend = page.locator(".astrolab-compare select"), page.locator(".astrolab-legend").first
    clouds = page.locator(".astrolab-cloud")
    page.wait_for_timeout(2000)
    for turn in range(3):
        compare.select_option(label="LoRA")
        wait_for_text(legend, "nearer")
        clouds.nth(1).locator("canvas").first.wait_for(timeout=60_000)
        page.wait_for_timeout(2000)
        left, right = (cloud.locator("canvas").first.bounding_box() for cloud in clouds.all())
        assert right["x"] >= left["x"] + left["width"] and abs(right["y"] - left["y"]) < 2
        for canvas in (cloud.locator("canvas").first for cloud in clouds.all()):
            box = canvas.bounding_box()
            assert round(box["width"]) == round(box["height"]) < 440
            pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).reshape(-1, 3)
            assert len(np.unique(pixels, axis=0)) > 50, "the cloud is empty"
        page.screenshot(path=artefacts / f"explorer_two_{turn}.png")
        compare.select_option(label="no other model")
        wait_for_text(legend, "not an outlier")
        clouds.nth(1).wait_for(state="hidden")
        page.wait_for_timeout(2000)
        assert round(clouds.first.locator("canvas").first.bounding_box()["width"]) == 440
        page.screenshot(path=artefacts / f"explorer_one_{turn}.png")
    lasso_a_part(page, clouds.first.locator("canvas").first)
    wait_for_text(page.locator(".astrolab-status"), "in the selection")
    assert page.errors == []


def test_clouds_of_models_with_long_names_keep_their_shape(run_in_lab, artefacts):
    named = "f'2026-11-21T10-50-4{k}-f7ba4308': one.assign(direction=f'galaxiesml-to-{k}')"
    names = f"{{{named} for k, one in enumerate(tables)}}"
    page = run_in_lab(EXPLORER.replace("pd.concat(tables, ignore_index=True)", names), name="long.ipynb")
    clouds = page.locator(".astrolab-cloud")
    page.wait_for_timeout(2000)
    page.locator(".astrolab-compare select").select_option(index=1)
    clouds.nth(1).locator("canvas").first.wait_for(timeout=60_000)
    page.wait_for_timeout(2000)
    page.screenshot(path=artefacts / "explorer_long_names.png")
    left, right = (cloud.bounding_box() for cloud in clouds.all())
    assert left["width"] == right["width"] < 550 and right["x"] >= left["x"] + left["width"] - 26
    assert abs(right["y"] - left["y"]) < 2
    for cloud in clouds.all():
        buttons = cloud.get_by_role("button").first.bounding_box()
        assert cloud.locator("canvas").first.bounding_box()["x"] - buttons["x"] < 60, "a gap beside the buttons"


def test_screen_readers_hear_each_cloud_once_and_every_change_of_the_status(run_in_lab):
    page = run_in_lab(EXPLORER, name="heard.ipynb")
    explorer = page.locator(".astrolab-explorer")
    images = explorer.locator(".astrolab-cloud [role=img]")
    wait_for_text(page.locator(".astrolab-status"), "All 240 galaxies")
    page.get_by_role("img", name="zero-shot: predicted redshift against true redshift, 240 galaxies").wait_for()
    assert images.count() == 1
    place = page.locator(".astrolab-status")
    place.evaluate("place => { place.dataset.first = 'yes'; }")
    page.locator(".astrolab-axis select").select_option(label="deviation")
    page.locator(".astrolab-compare select").select_option(label="LoRA")
    for model in ("zero-shot", "LoRA"):
        named = f"{model}: (predicted − true) / (1 + true) against true redshift, 240 galaxies"
        page.get_by_role("img", name=named, exact=True).wait_for()
    assert images.count() == 2
    page.get_by_role("button", name="Select outliers").click()
    wait_for_text(place, "in the selection")
    assert explorer.get_by_role("status").count() == 1
    assert explorer.get_by_role("status").get_attribute("data-first") == "yes", "the place that is listened to stays"
    assert explorer.locator(".astrolab-cloud canvas:not([role=img]):not([aria-hidden=true])").count() == 0


STARS = """
import sys
sys.path.insert(0, {tests!r})
import astrolab as al
from observed_stars import predicted, stars

bridged, observed = stars(is_bridged=True), stars(is_bridged=False)
explorer = al.explore_predictions(predicted(bridged), survey=[bridged, observed])
explorer.label.value, explorer.compare.value, explorer.axis.value = "alpha_fe", "lora", "deviation_difference"
explorer
"""


def settle(page, where, *, as_="start"):
    page.locator(where).first.evaluate("(one, block) => one.scrollIntoView({block})", as_)
    page.wait_for_timeout(1500)


@pytest.mark.parametrize("theme", ["Dark", "Light"])  # later tests find it light
def test_selected_stars_are_shown_by_their_spectra(run_in_lab, artefacts, theme):
    """Two labels, ids that are text, spectra as observed and as the model sees them, one regime of the other label."""
    source = STARS.format(tests=str(Path(__file__).parents[1]))
    page = run_in_lab(source, name=f"stars{theme}.ipynb", size=(1280, 800))
    page.locator(".lm-MenuBar-item", has_text=re.compile("^Settings$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).hover()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^JupyterLab {theme}$")).click()
    status, cards = page.locator(".astrolab-status"), page.locator(".astrolab-cards figure")
    page.get_by_label("Select where").fill("feh < -1")
    page.keyboard.press("Enter")
    wait_for_text(status, r"\d+ of 30 stars in the selection")
    settle(page, ".astrolab-explorer")
    page.screenshot(path=artefacts / f"stars_{theme}.png")
    page.get_by_role("img", name=re.compile("^zero-shot − LoRA: deviation difference")).wait_for()
    explorer, scores = (
        page.locator(of).first.bounding_box() for of in (".astrolab-explorer", ".astrolab-scores table")
    )
    assert scores["x"] + scores["width"] <= explorer["x"] + explorer["width"] + 1, "the scores of both arms are seen"
    assert (
        "galax" not in page.locator(".astrolab-explorer").inner_text()
        and not page.locator(".astrolab-stretch").is_visible()
    )

    settle(page, ".astrolab-cards")
    assert page.evaluate(DRAWN, ".astrolab-cutouts img") == cards.count() == 12
    small = cards.first.locator("img").bounding_box()
    assert small["height"] < small["width"] < 200
    page.screenshot(path=artefacts / f"stars_cards_{theme}.png")
    cards.first.click()
    page.wait_for_timeout(800)
    large = cards.first.locator("img")
    box = large.bounding_box()
    assert box["width"] > 3 * small["width"]
    settle(page, ".astrolab-cards")
    picture = np.asarray(Image.open(io.BytesIO(large.screenshot())).convert("L"), dtype=float)
    back, words = np.median(picture), picture[: int(0.14 * len(picture)) // 2]
    assert back < 40 if theme == "Dark" else back > 240
    assert np.abs(words - back).max() > 100, "lines are named where the picture is large"
    page.screenshot(path=artefacts / f"stars_large_{theme}.png")

    settle(page, ".astrolab-explorer")
    rows = page.locator(".astrolab-galaxies tr[data-row]")
    number = rows.first.locator("th").inner_text()
    assert re.fullmatch(r"00\d\d", number)
    rows.first.focus()
    card = page.locator(CARD, has_text=number)
    card.wait_for(timeout=30_000)
    settle(page, ".astrolab-explorer")
    page.screenshot(path=artefacts / f"stars_hover_{theme}.png")
    assert page.locator(".astrolab-cloud [style*='svg+xml']").count() == 1
    assert card.bounding_box()["width"] < 190 and re.search(r"\d\.\d{3} → ", card.inner_text())
    assert not [error for error in page.errors if error.startswith("uncaught")]


def scroll_to_top(page):
    page.locator(".astrolab-explorer").evaluate("explorer => explorer.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(1500)


@pytest.mark.parametrize("size", [(1280, 800), (1440, 900), (1920, 1080)])
def test_two_models_and_their_scores_fit_one_screen(run_in_lab, artefacts, size):
    """With the side bar of JupyterLab open."""
    source = EXPLORER.replace("\nexplorer\n", "\nexplorer.compare.value = 'lora'\nexplorer\n")
    page = run_in_lab(source, name=f"fits{size[0]}.ipynb", size=size)
    page.locator(".astrolab-cloud canvas").nth(2).wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    scroll_to_top(page)
    page.screenshot(path=artefacts / f"explorer_{size[0]}.png")
    explorer, seen = (page.locator(of).first.bounding_box() for of in (".astrolab-explorer", ".jp-WindowedPanel-outer"))
    left, right = (canvas.bounding_box() for canvas in page.locator(".astrolab-cloud [role=img]").all())
    assert left["x"] + left["width"] <= right["x"] and abs(left["y"] - right["y"]) < 2
    scores = page.locator(".astrolab-scores table").bounding_box()
    for box in (right, scores):
        assert box["x"] + box["width"] <= explorer["x"] + explorer["width"] + 1
        assert box["y"] + box["height"] <= seen["y"] + seen["height"] + 1
    tops = {round(select.bounding_box()["y"]) for select in page.locator(".astrolab-line select:visible").all()}
    assert len(tops) == 1, "the controls stand on one line"
    assert not page.locator(".astrolab-seed").is_visible(), "there is one seed"


def test_the_mouse_and_the_keyboard_find_a_galaxy(run_in_lab, artefacts):
    page = run_in_lab(EXPLORER, name="find.ipynb")
    status, rows = page.locator(".astrolab-status"), page.locator(".astrolab-galaxies tr[data-row]")
    card = page.locator(".astrolab-cloud", has_text="True → Predicted")
    page.wait_for_timeout(2000)
    page.locator("[data-sort=truth]").click()
    page.locator("[data-sort=truth]", has_text="▲").wait_for(timeout=30_000)
    assert page.evaluate("document.activeElement.dataset.sort") == "truth", "the head of the column keeps the focus"
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.row") == rows.nth(1).get_attribute("data-row")
    number = rows.nth(1).locator("th").inner_text()
    card.get_by_text(number).wait_for(timeout=30_000)
    page.screenshot(path=artefacts / "explorer_lit.png")
    page.keyboard.press("Enter")
    wait_for_text(status, "1 of 240 galaxies in the selection")
    page.keyboard.press("Control+z")
    page.get_by_role("heading").hover()
    page.keyboard.press("Control+z")
    wait_for_text(status, "All 240 galaxies")
    page.get_by_label("Select where").fill("truth < 0.5")
    page.keyboard.press("Enter")
    wait_for_text(status, "in the selection")
    page.get_by_role("heading").click()
    page.keyboard.press("Escape")
    wait_for_text(status, "All 240 galaxies")
    figure = page.locator(".astrolab-cards figure").first
    figure.click()
    page.wait_for_timeout(500)
    assert figure.bounding_box()["width"] > 400
    box = page.locator(".astrolab-cloud canvas").first.bounding_box()
    lit = page.locator(CARD, has=page.locator("[style*='data:image']"))
    for x, y in itertools.product(np.linspace(0.1, 0.4, 7), np.linspace(0.6, 0.9, 7)):  # somewhere there is a galaxy
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_timeout(900)
        if lit.count():
            break
    page.wait_for_timeout(500)  # it fades in
    page.screenshot(path=artefacts / "explorer_hover.png")
    assert re.search(r"\d\.\d{3} → −?\d\.\d{3}", lit.inner_text()) and lit.bounding_box()["width"] < 150
    assert not [error for error in page.errors if error.startswith("uncaught")]


def test_ctrl_adds_to_a_lasso_and_alt_takes_away(run_in_lab):
    page = run_in_lab(EXPLORER, name="add.ipynb")
    canvas, status = page.locator(".astrolab-cloud canvas").first, page.locator(".astrolab-status")
    page.wait_for_timeout(2000)
    lasso_a_part(page, canvas)
    first = int(re.match(r"(\d+)", wait_for_text(status, "in the selection"))[1])
    counts = [first]
    for key, more in (("Control", {"left": 0.1, "right": 0.9}), ("Alt", {"left": 0.12, "right": 0.55})):
        page.keyboard.down(key)
        lasso(page, canvas, top=0.2, bottom=0.85, **more)
        page.keyboard.up(key)
        page.wait_for_timeout(2500)
        counts.append(int(re.match(r"(\d+)", status.inner_text())[1]))
    assert counts[1] > first and counts[2] == counts[1] - first


def test_marks_of_the_legend_stand_out_on_a_dark_page(run_in_lab, artefacts):
    page = run_in_lab(EXPLORER, name="dark.ipynb")
    page.locator(".lm-MenuBar-item", has_text=re.compile("^Settings$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).hover()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^JupyterLab Dark$")).click()
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_timeout(2000)
    page.screenshot(path=artefacts / "explorer_dark.png")
    cloud = Image.open(io.BytesIO(page.locator(".astrolab-cloud").first.screenshot())).convert("L")
    assert np.median(np.asarray(cloud)) < 40, "the cloud is dark, too"
    for mark in page.locator(".astrolab-legend i").all():
        box = mark.bounding_box()
        around = {"x": box["x"] - 3, "y": box["y"] - 3, "width": box["width"] + 6, "height": box["height"] + 6}
        pixels = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=around))).convert("L"))
        assert int(pixels.max()) - int(pixels.min()) > 40, "the mark cannot be seen"


def test_the_galaxies_stop_where_the_slider_stops_however_fast_it_went(run_in_lab, artefacts):
    page = run_in_lab(ADAPTER, name="adapter.ipynb")
    scores = page.locator(".astrolab-scores")
    clouds = page.locator(".astrolab-cloud").all()

    def pictures():
        page.wait_for_timeout(4000)
        images = [Image.open(io.BytesIO(cloud.screenshot())).convert("L") for cloud in clouds]
        return [np.asarray(image, float)[8:-8, 8:-8] for image in images]  # without shadows that fall on the edge

    at_end = pictures()
    assert len(at_end) == 2
    page.evaluate(SLOWLY, 200)
    page.locator(".astrolab-scale .noUi-handle").focus()
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    wait_for_text(scores, "at scale 0.50")
    fast = pictures()
    page.screenshot(path=artefacts / "adapter_halfway.png")
    for key in ("ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
        page.wait_for_timeout(4000)
    wait_for_text(scores, "at scale 0.50")
    for there, here, slow in zip(at_end, fast, pictures(), strict=True):
        assert np.abs(there - here).mean() > 20 * np.abs(slow - here).mean()
    assert not [error for error in page.errors if error.startswith("uncaught")]


LANDSCAPE = """
import numpy as np
import pandas as pd
import astrolab as al
from astrolab.landscapes import Landscape

a = np.linspace(-1, 1, 21)
marks, about = pd.DataFrame(columns=["name", "a", "b", "off_frac"]), {"n": 79, "objects": "stars", "where": ""}
about |= {"simulated": True}
bowls = {"lora": a**2 + 2 * a[:, None] ** 2 + 0.1, "full": 2 * a**2 + a[:, None] ** 2 + 0.2}
words = ("direction 1", "direction 2")
al.explore_landscape([Landscape(arm, a, a, loss, marks, words, about) for arm, loss in bowls.items()])
"""


def test_a_landscape_turns_and_says_the_loss_under_the_mouse(run_in_lab, artefacts):
    page = run_in_lab(LANDSCAPE, name="landscape.ipynb", drawn=".astrolab-places")
    picture, places = page.locator(".astrolab-under img"), page.locator(".astrolab-places")
    first = picture.get_attribute("src")
    frame, box = picture.bounding_box(), places.bounding_box()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    said = page.evaluate(
        "() => getComputedStyle(document.querySelector('.astrolab-places i:hover'), '::after').content.slice(1, -1)"
    )
    loss, a, b = map(float, re.match(r"loss (\S+) at a = (\S+), b = (\S+)", said).groups())
    assert a == pytest.approx(0.5, abs=0.1) and b == pytest.approx(0.5, abs=0.1)
    assert loss == pytest.approx(a**2 + 2 * b**2 + 0.1, abs=1e-3)
    pixels = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("L"))
    left = int(box["x"] - frame["x"])
    spine = (pixels[:, left - 3 : left + 4] < 90).sum(axis=0)
    assert spine.max() > 0.9 * box["height"], "the places do not lie over the contours"
    page.locator(".astrolab-arm select").select_option("full fine-tuning")
    page.wait_for_function("was => document.querySelector('.astrolab-under img').src !== was", arg=first)
    second = picture.get_attribute("src")
    page.locator(".astrolab-azimuth .noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("was => document.querySelector('.astrolab-under img').src !== was", arg=second)
    page.locator(".astrolab-a .noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    assert "0.11" in wait_for_text(page.locator(".astrolab-scores"), r"at a = 0\.10, b = 0\.00")
    page.screenshot(path=artefacts / "landscape.png")
    assert not [error for error in page.errors if error.startswith("uncaught")]


def test_make_lab_shows_notebooks_results_and_docs_and_no_news(lab, open_page, artefacts):
    page = open_page(1280, 900)
    page.goto(f"{lab.address}?token={lab.token}")
    page.get_by_role("heading", name="Welcome to astrolab").wait_for(timeout=120_000)
    page.wait_for_timeout(3000)
    names = page.locator(".jp-DirListing-itemText").all_inner_texts()
    assert {"runs", "docs", "data_manifests", "presets", "10_lora_vs_transfer.ipynb"} <= set(names)
    page.screenshot(path=artefacts / "lab_welcome.png")
    assert not page.locator(".Toastify__toast").count()
    page.locator(".jp-DirListing-item", has_text="docs").dblclick()
    page.locator(".jp-DirListing-item", has_text="explore.md").dblclick()
    page.get_by_role("heading", name="Predictions against truth").wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    assert page.evaluate(DRAWN, ".jp-MarkdownViewer img") >= 1
    page.locator(".jp-BreadCrumbs-home").click()
    page.locator(".jp-DirListing-item", has_text="Makefile").wait_for()
    assert not page.locator(".jp-DirListing-item", has_text="notebooks").count(), "they are not worked in"


def test_once_its_kernel_is_gone_the_picture_stands_in_the_place_of_the_explorer(run_in_lab, artefacts):
    page = run_in_lab(EXPLORER, name="gone.ipynb")
    still, sentence = page.locator(".astrolab-still"), "Run this cell again to bring the explorer back"
    assert not still.is_visible() and page.locator(".astrolab-explorer").is_visible()
    page.notebook.save()
    page.reload()
    page.locator(".astrolab-cloud canvas").first.wait_for(timeout=120_000)
    assert not still.is_visible(), "the kernel still has it"

    page.locator(".lm-MenuBar-item", has_text=re.compile("^Kernel$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Restart Kernel…$")).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    still.filter(has_text=sentence).wait_for(timeout=120_000)
    assert not page.locator(".astrolab-explorer").is_visible()
    page.screenshot(path=artefacts / "explorer_restarted.png")
    page.reload()
    still.filter(has_text=sentence).wait_for(timeout=120_000)
    page.wait_for_timeout(5000)
    assert page.evaluate(DRAWN, ".astrolab-still img") == 1
    assert not page.get_by_text("Error displaying widget").is_visible()
    page.screenshot(path=artefacts / "explorer_reloaded.png")

    page.notebook.wait_for_kernel()
    page.notebook.run_all()
    page.locator(".astrolab-cloud canvas").first.wait_for(timeout=120_000)
    assert not still.is_visible() and page.locator(".astrolab-explorer").is_visible()
