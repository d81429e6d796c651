import base64
import io
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
from PIL import Image

from astrolab.widgets import markup


def parse(html):
    """Well-formed markup as a tree; images and breaks are closed first, as browsers do."""
    import re

    closed = re.sub(r"<(img|br)([^>]*?)/?>", r"<\1\2/>", html)
    return ET.fromstring(f"<all>{closed}</all>")


def scores(value, *, n=10):
    rows = {"metric": ["bias", "outlier_rate"], "label": ["bias", "outlier rate"], "limit": [0.003, np.nan]}
    return pd.DataFrame(rows | {"value": value, "low": [-0.03, np.nan], "high": [-0.01, np.nan], "n": n})


def test_scores_stand_side_by_side_with_what_lsst_asks():
    tree = parse(markup.score_table({"selection": scores([-0.02, 0.5], n=12_345), "all": scores([0.0, np.nan])}))
    heads = ["".join(head.itertext()) for head in tree.iterfind(".//thead//th")]
    assert heads == ["", "selectionn = 12,345", "alln = 10"]
    rows = [["".join(cell.itertext()) for cell in row] for row in tree.iterfind(".//tbody/tr")]
    assert rows[0] == ["biasLSST asks |bias| < 0.003", "−0.0200 ± 0.0100", "0.0000 ± 0.0100"]
    assert rows[1] == ["outlier rate", "0.5000", "–"]


def test_scores_of_a_handful_of_galaxies_have_a_dash_for_what_they_lack():
    few = scores([0.01, np.nan], n=3).assign(low=np.nan, high=np.nan)
    cells = ["".join(cell.itertext()) for cell in parse(markup.score_table({"selection": few})).iterfind(".//td")]
    assert cells == ["0.0100 ± –", "–"]


def test_galaxies_keep_every_digit_of_their_ids_and_degrees():
    table = pd.DataFrame({"object_id": [2**55 + 1], "ra": [150.123456], "pred": [-0.5], "is_outlier": [True]})
    tree = parse(markup.galaxy_table(table, note="one <galaxy>"))
    cells = ["".join(cell.itertext()) for cell in tree.find(".//tbody/tr")]
    assert cells == [str(2**55 + 1), "150.12346", "−0.500", "yes"]
    assert [head.text for head in tree.iterfind(".//thead//th")][1] == "ra (deg)"
    assert tree.find(".//caption").text == "one <galaxy>"


def test_text_is_escaped_everywhere():
    wild = "<script>&"
    for html in (
        markup.text_note(wild),
        markup.title_line(wild),
        markup.legend({wild: "#000000"}, lines={wild: "#000000"}),
        markup.plain_table(pd.DataFrame({wild: [wild]}), note=wild),
        markup.marked_picture("data:,", alt=wild, spans=[(0, 1, 0, 1)], at=0.5),
        markup.picture_cards([markup.Card(np.zeros((2, 2, 3), "u1"), np.zeros((1, 2, 2), "u1"), [wild])], note=wild),
        markup.large_picture(np.zeros((2, 2, 3), "u1"), bands={wild: np.zeros((2, 2), "u1")}),
    ):
        assert "<script" not in html
        assert wild in "".join(parse(html).itertext()) or wild in str([e.attrib for e in parse(html).iter()])


def test_pictures_come_out_pixel_by_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    source = markup.image_source(pixels)
    decoded = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
    np.testing.assert_array_equal(np.asarray(decoded), pixels)


def test_every_picture_says_what_it_shows():
    card = markup.Card(np.zeros((4, 4, 3), "u1"), np.zeros((3, 4, 4), "u1"), ["42", "0.5 → 0.7"], is_framed=True)
    tree = parse(markup.picture_cards([card, card], note="outliers"))
    figures = tree.findall(".//figure")
    assert len(figures) == 2 and figures[0].get("class") == "framed"
    assert figures[0].find("img").get("alt") == "Cut-out of 42, 0.5 → 0.7"


def test_marks_lie_at_their_place_in_every_panel():
    html = markup.marked_picture("data:,", alt="curves", spans=[(0.1, 0.3, 0.0, 0.5), (0.5, 0.9, 0.0, 0.5)], at=0.25)
    assert "left:15.00%" in html and "left:60.00%" in html
