"""Controls that say what they are, and markup that says what it shows."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances
from observed_stars import predicted, stars
from PIL import Image

from astrolab.exploring.spectra import Spectra
from astrolab.exploring.view import match_models, with_deviations
from astrolab.predictions import one_label
from astrolab.tasks import QUANTITIES
from astrolab.widgets import parts


def dropdown(name, options):
    return parts.control(name, kind=ipywidgets.Dropdown, label=name.capitalize(), width="230px", options=options)


def test_controls_carry_their_label_and_class():
    made = [
        dropdown("arm", ["tl", "lora"]),
        parts.control("scale", kind=ipywidgets.FloatSlider, label="Scale", width="400px", value=0.5, min=0.0, max=1.0),
        parts.control("filename", kind=ipywidgets.Text, label="File", width="260px", value="selection"),
        parts.button("clear", label="Clear", on_click=lambda: None),
    ]
    for control, name in zip(made, ("arm", "scale", "filename", "clear"), strict=True):
        assert control.description and f"astrolab-{name}" in control._dom_classes


def test_a_range_slider_holds_everything_at_the_start():
    control = parts.range_slider("magnitude", label="i (mag)", low=18.0, high=24.0)
    low, high = control.value
    assert low < 18.0 and high > 24.0 and high - low == pytest.approx(6.0, rel=0.01)
    assert "astrolab-slice-magnitude" in control._dom_classes


def test_a_button_does_what_it_says():
    clicks = []
    parts.button("clear", label="Clear", on_click=lambda: clicks.append(1)).click()
    assert clicks == [1]


def test_rows_and_columns_hold_their_controls_in_order():
    held = list(parts.places("title", "status").values())
    for box in (parts.row(*held), parts.column(*held)):
        assert list(box.children) == held
    assert parts.under_title(held[0], title="a < b").children[0].value == "<b>a &lt; b</b>"


def test_closing_closes_all_that_belongs_to_a_control():
    before = set(_instances)
    box = parts.row(
        dropdown("arm", ["tl"]),
        parts.under_title(dropdown("scale", [0.5, 1.0]), title=""),
        parts.range_slider("magnitude", label="i (mag)", low=18.0, high=24.0),
    )
    assert len(set(_instances) - before) >= 10
    parts.close_all(box)
    parts.close_all(box)
    assert set(_instances) == before


def parse(html):
    """Well-formed markup as a tree; images and breaks are closed first, as browsers do."""
    closed = re.sub(r"<(img|br)([^>]*?)/?>", r"<\1\2/>", html)
    return ET.fromstring(f"<all>{closed}</all>")


def scores(value, *, n=10):
    rows = {"metric": ["bias", "outlier_rate"], "label": ["bias", "outlier rate"], "limit": [0.003, np.nan]}
    rows["asked_by"] = "LSST"
    return pd.DataFrame(rows | {"value": value, "low": [-0.03, np.nan], "high": [-0.01, np.nan], "n": n})


def test_scores_stand_side_by_side_with_what_lsst_asks():
    tree = parse(parts.score_table({"selection": scores([-0.02, 0.5], n=12_345), "all": scores([0.0, np.nan])}))
    heads = ["".join(head.itertext()) for head in tree.iterfind(".//thead//th")]
    assert heads == ["", "selectionn = 12,345", "alln = 10"]
    rows = [["".join(cell.itertext()) for cell in row] for row in tree.iterfind(".//tbody/tr")]
    assert rows[0] == ["bias LSST asks |bias| < 0.003", "−0.0200 ± 0.0100", "0.0000 ± 0.0100"]
    assert rows[1] == ["outlier rate", "0.5000", "–"]


def test_scores_of_a_handful_of_galaxies_have_a_dash_for_what_they_lack():
    few = scores([0.01, np.nan], n=3).assign(low=np.nan, high=np.nan)
    cells = ["".join(cell.itertext()) for cell in parse(parts.score_table({"selection": few})).iterfind(".//td")]
    assert cells == ["0.0100 ± –", "–"]


def test_galaxies_keep_every_digit_of_their_ids_and_degrees():
    table = pd.DataFrame({"object_id": [2**55 + 1], "ra": [150.123456], "pred": [-0.5], "is_outlier": [True]})
    tree = parse(parts.object_table(table, numbers=[7], order=("pred", True), note="one <galaxy>"))
    cells = ["".join(cell.itertext()) for cell in tree.find(".//tbody/tr")]
    assert cells == [str(2**55 + 1), "150.12346", "−0.500", "yes"]
    heads = {head.get("data-sort"): head.text for head in tree.iterfind(".//thead//button")}
    assert heads["ra"] == "ra (deg)" and heads["pred"] == "predicted ▼"
    assert tree.find(".//tbody/tr").attrib == {"data-row": "7", "tabindex": "0"}
    assert tree.find(".//caption").text == "one <galaxy>"


def test_positions_on_the_real_sky_lead_to_a_viewer():
    table = pd.DataFrame({"object_id": [1, 2], "ra": [150.1, 10.0], "dec": [2.2, -5.5], "pred": [0.5, 0.6]})
    about = {"numbers": [0, 1], "order": ("", False)}
    links = [link.get("href") for link in parse(parts.object_table(table, on_sky=True, **about)).iterfind(".//td/a")]
    assert len(links) == 4 and "target=150.100000%202.200000" in links[0] == links[1] and "10.0" in links[2]
    assert parse(parts.object_table(table, **about)).find(".//a") is None, "nothing is there on a simulated sky"


def test_text_is_escaped_everywhere():
    wild = "<script>&"
    for html in (
        parts.text_note(wild),
        parts.title_line(wild),
        parts.legend({wild: "#000000"}, lines={wild: "#000000"}),
        parts.plain_table(pd.DataFrame({wild: [wild]}), note=wild),
        parts.marked_picture("data:,", alt=wild, spans=[(0, 1, 0, 1)], at=0.5),
        parts.picture_cards([({wild: "data:,"}, [wild], False)], note=wild),
        parts.large_picture(np.zeros((2, 2, 3), "u1"), bands={wild: np.zeros((2, 2), "u1")}),
    ):
        assert "<script" not in html
        assert wild in "".join(parse(html).itertext()) or wild in str([e.attrib for e in parse(html).iter()])


def test_pictures_come_out_pixel_by_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    source = parts.image_source(pixels)
    decoded = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
    np.testing.assert_array_equal(np.asarray(decoded), pixels)


def test_every_picture_says_what_it_shows():
    card = ({"Cut-out": "data:,"}, ["42", "0.5 → 0.7"], True)
    tree = parse(parts.picture_cards([card, card], note="outliers"))
    figures = tree.findall(".//figure")
    assert len(figures) == 2 and figures[0].get("class") == "framed"
    assert figures[0].find("img").get("alt") == "Cut-out of 42, 0.5 → 0.7"


def test_marks_lie_at_their_place_in_every_panel():
    html = parts.marked_picture("data:,", alt="curves", spans=[(0.1, 0.3, 0.0, 0.5), (0.5, 0.9, 0.0, 0.5)], at=0.25)
    assert "left:15.00%" in html and "left:60.00%" in html


def test_objects_have_their_ids_numbers_and_frames(predictions, survey):
    chosen = one_label(predictions.query("seed == 0 and object_id > 99"))
    tl, lora = (chosen[chosen["arm"] == arm] for arm in ("tl", "lora"))
    objects = match_models(tl.reset_index(drop=True), others=lora, quantity=QUANTITIES["z"]).iloc[[3, 7]]
    cards = parts.object_cards(objects.assign(is_outlier=[True, False], pred=[-0.25, 0.5]), surveys=[survey])
    assert cards.count("<figure") == 2 and cards.count('class="framed"') == 1
    assert "hsc-g, hsc-r, hsc-i" in cards and "→ −0.250" in cards and "→ 0.500" in cards
    for one in objects.itertuples():
        assert str(one.object_id) in cards and f"other → {one.pred_other:.3f}" in cards
    alone = parts.object_cards(objects.drop(columns="pred_other"), surveys=[survey])
    assert "other →" not in alone


def drawing_of(source):
    return ET.fromstring(base64.b64decode(source.partition("base64,")[2]))


def paths_of(drawing, name):
    return [path.get("d") for path in drawing.iterfind("{*}path") if path.get("class") == name]


def test_a_spectrum_is_a_line_with_a_band_whose_bad_pixels_are_left_out():
    flux, sigma = np.array([[0.0, 1.0, np.nan, 2.0, 1.0]]), np.array([[0.1, 0.2, np.nan, 0.4, 0.2]])
    wave = np.linspace(4800, 5200, 5)[None]
    spectra = Spectra(wave, flux, sigma, (4800.0, 5200.0), {"Hβ": np.array([4862.7])}, "wavelength (Å)")
    drawing = drawing_of(parts.spectrum_source([spectra], row=0))
    (line,), (band,), (mark,) = (paths_of(drawing, name) for name in ("line", "band", "mark"))
    runs = [[tuple(map(int, point.split())) for point in run.split("L")] for run in line.split("M")[1:]]
    assert [len(run) for run in runs] == [2, 2], "nothing is drawn across a bad pixel"
    (x0, y0), (x1, y1), (x3, y3), (x4, y4) = (point for run in runs for point in run)
    assert x1 - x0 == x4 - x3 == (x3 - x1) // 2 and y1 == y4 and y0 - y1 == pytest.approx(y1 - y3, abs=1) and y1 < y0
    ends = [tuple(map(int, re.split("[ V]", bar))) for bar in band.split("M")[1:]]
    assert [x for x, *_ in ends] == [x0, x1, x3, x4]
    for (_, low, high), (_, y), error in zip(ends[1:], [(x1, y1), (x3, y3), (x4, y4)], (0.2, 0.4, 0.2), strict=True):
        assert low - y == pytest.approx(error * (y0 - y1), abs=2) and high <= y
    at = int(mark.split()[0].removeprefix("M"))
    assert at == pytest.approx(x0 + (x4 - x0) * 62.7 / 400, abs=1)
    words = {text.text: text for text in drawing.iterfind("{*}text")}
    assert {"Hβ", "4800", "5000", "0", "1", "2", "flux ± σ against wavelength (Å)"} <= set(words)
    assert int(words["Hβ"].get("x")) == at and words["Hβ"].get("class") == "main"


def test_what_was_observed_stands_above_what_the_model_sees():
    observed, bridged = stars(is_bridged=False), stars(is_bridged=True)
    objects = with_deviations(one_label(predicted(bridged)), quantity=QUANTITIES["feh"]).iloc[[0, 3]]
    cards = parts.object_cards(objects, surveys=[observed, bridged])
    assert "below each: as the model sees it" in cards and ">0020<br>" in cards and ">0023<br>" in cards
    first, second = (drawing_of(one["Spectrum"]) for one in parts.object_pictures(objects, surveys=[observed, bridged]))
    words = [text.text for text in first.iterfind("{*}text")]
    titles = [f"flux ± σ against wavelength (Å, vacuum), as {how}" for how in ("observed", "the model sees it")]
    above, below = map(words.index, titles)
    assert above < words.index("Hα") < below < words.index("Fe 5270", below)
    whole, half = (paths_of(one, "line")[1].count("L") for one in (first, second))
    assert half == pytest.approx(whole / 2, rel=0.02), "the red half of the fourth star is bad"
    alone = parts.object_cards(objects, surveys=[bridged])
    assert "below each" not in alone and "Spectra, " in alone


def test_a_number_has_a_real_minus_or_is_a_dash():
    assert [parts.number(value, digits=3) for value in (-0.12345, np.nan)] == ["−0.123", "–"]
