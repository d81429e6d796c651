from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from drawn import assert_nothing_is_cut, legend_of
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from astrolab.datasets.manifest import load_manifest
from astrolab.errors import ConfigError, PredictionError
from astrolab.models.arms import ARMS as STUDY_ARMS
from astrolab.models.baselines import BASELINES
from astrolab.plots import publication_style
from astrolab.plots.style import (
    ARMS,
    arm_looks,
    axis_range,
    chosen,
    finish,
    hold_all,
    in_style,
    metric_label,
    survey_looks,
)
from astrolab.runs.run import SAMPLES
from astrolab.tasks import QUANTITIES, Quantity

# Machado, Oliveira & Fernandes 2009, table 1, severity 1.0, on linear RGB.
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]


def _lab(colour, *, vision):
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(vision) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["usual", "deutan", "protan"])
def test_arms_have_different_colours_for_any_colour_vision(vision):
    labs = {look.colour: _lab(look.colour, vision=vision) for look in ARMS.values()}
    nearest = min(combinations(labs, 2), key=lambda pair: np.linalg.norm(labs[pair[0]] - labs[pair[1]]))
    # A difference of 2.3 is just noticeable.
    assert np.linalg.norm(labs[nearest[0]] - labs[nearest[1]]) > 12, nearest


def test_every_arm_of_the_studies_has_a_look_of_its_own():
    classical = [f"{kind}-{sample}" for kind in BASELINES for sample in SAMPLES]
    assert set(ARMS) == {*STUDY_ARMS, *classical, "base"}
    for attribute in ("label", "colour", "marker"):
        assert len({getattr(ARMS[name], attribute) for name in STUDY_ARMS}) == len(STUDY_ARMS)
    assert len({(look.label, look.colour, look.marker) for look in ARMS.values()}) == len(ARMS)
    for kind in BASELINES:
        assert len({ARMS[f"{kind}-{sample}"].colour for sample in SAMPLES}) == 1, "one colour a kind, one mark a sample"


def test_an_arm_keeps_its_colour_whatever_it_is_drawn_with():
    assert arm_looks(["lora"])["lora"] == arm_looks(["mine", "full", "lora"])["lora"]
    assert arm_looks(["mine", "yours"])["mine"].colour != arm_looks(["mine", "yours"])["yours"].colour
    paler = arm_looks(["full-embedding"])["full-embedding"]
    assert paler.label == "full fine-tuning, embedding" and paler.marker == arm_looks(["full"])["full"].marker
    many = arm_looks([f"arm {i}" for i in range(40)])
    assert len({(look.colour, look.marker) for look in many.values()}) == 40


def test_a_twin_has_the_colour_of_its_survey_and_says_that_it_is_one():
    looks = survey_looks(["galaxiesml", "twin-galaxiesml"])
    assert looks["galaxiesml"].colour == looks["twin-galaxiesml"].colour
    assert [look.label for look in looks.values()] == ["GalaxiesML", "GalaxiesML twin"]


def test_a_survey_that_was_read_from_a_file_is_called_by_its_title(tmp_path):
    assert survey_looks(["my_hsc"])["my_hsc"].label == "my_hsc"
    shipped = (Path(__file__).parents[1] / "datasets/manifests/hsc_cutouts.toml").read_text()
    (tmp_path / "mine.toml").write_text(shipped.replace('name = "hsc_cutouts"', 'name = "my_hsc"', 1))
    load_manifest(tmp_path / "mine.toml")
    assert survey_looks(["my_hsc"])["my_hsc"].label == "HSC cut-outs"


def test_an_arm_that_was_cut_short_carries_a_dagger():
    table = pd.DataFrame({"arm": ["lora", "lora", "tl"], "cut_short": [False, True, False]})
    assert [look.label for look in arm_looks(["lora", "tl"], table=table).values()] == ["LoRA †", "transfer learning"]


def test_an_axis_holds_values_far_out_without_squeezing_the_others():
    usual, far = np.linspace(0.01, 0.05, 9), -40.0
    ax = subplots()[1]
    ax.plot([*usual, far], marker="o")
    hold_all([ax], values=[*usual, far])
    low, high = ax.get_ylim()
    assert low < far and high >= usual.max()
    place = ax.transAxes.inverted().transform(ax.transData.transform([(0, 0.0), (0, 0.05), (0, -0.05), (0, far)]))[:, 1]
    assert np.all((place > 0) & (place < 1)) and place[1] - place[2] > 0.4, "usual values have most of the axis"
    ticks = ax.get_yticks()
    assert 0.0 in ticks and ticks.min() < -1 and not any(text.get_text() == "−0" for text in ax.get_yticklabels())
    shaded = min(ax.patches, key=lambda patch: patch.get_y())
    assert shaded.get_y() < far
    assert shaded.get_y() + shaded.get_height() == pytest.approx(-0.05), "from the last of the usual values on"
    even = subplots()[1]
    even.plot(usual)
    hold_all([even], values=usual)
    assert even.get_yscale() == "linear" and not even.patches


def test_what_is_shaded_is_named_once_in_the_legend():
    figure, axes = subplots(1, 2, layout="constrained")
    for ax in axes:
        ax.axhspan(0, 1, label="asked for")
    finish(figure, title="title", simulated=False)
    assert legend_of(figure) == ["asked for"]


def test_the_style_ends_with_its_context():
    before = mpl.rcParams["font.size"], mpl.rcParams["pdf.fonttype"]
    with publication_style(font_size=13):
        assert (mpl.rcParams["font.size"], mpl.rcParams["pdf.fonttype"]) == (13, 42)
    assert (mpl.rcParams["font.size"], mpl.rcParams["pdf.fonttype"]) == before
    with pytest.raises(ConfigError, match="fontsize"), publication_style(fontsize=13):
        pass


def test_plots_use_the_style_and_the_changes_made_to_it():
    @in_style
    def plot():
        ax = subplots()[1]
        ax.set_title("title")
        return ax

    assert plot().title.get_fontsize() == 9
    with publication_style(axes_titlesize=20):
        assert plot().title.get_fontsize() == 20


def test_labels_carry_the_unit_of_the_quantity_and_missing_names_are_refused():
    z, feh = QUANTITIES["z"], QUANTITIES["feh"]
    assert [metric_label("scatter", quantity=quantity) for quantity in (z, feh)] == ["scatter", "scatter (dex)"]
    table = pd.DataFrame({"arm": ["lora", "full", "lora"]})
    assert chosen(table, column="arm", names=None) == ["lora", "full"]
    with pytest.raises(PredictionError, match="lora, full"):
        chosen(table, column="arm", names=["combo"])
    with pytest.raises(PredictionError, match="survey"):
        chosen(table, column="survey", names=None)


def test_an_axis_starts_at_zero_where_nothing_can_lie_below_and_ends_where_nothing_can_lie_beyond():
    values = np.linspace(0.2, 1.2, 1001)
    assert axis_range(values, quantity=QUANTITIES["z"]) == pytest.approx((0.0, 1.195))
    assert axis_range(values, quantity=QUANTITIES["feh"]) == pytest.approx((0.205, 1.195))
    assert axis_range(values, quantity=Quantity("smooth", possible=(0, 1))) == (0.0, 1.0)


def test_titles_and_legends_are_broken_where_they_are_wider_than_the_figure():
    figure, ax = subplots(figsize=(2.5, 2), layout="constrained")
    entries = [Line2D([], [], label=f"a long entry, number {number}") for number in range(4)]
    finish(figure, title="part one of the title · part two of it", simulated=True, entries=entries, notes=entries[:1])
    parts = ["part one of the title", "part two of it", "simulated twin surveys"]
    assert figure.get_suptitle().replace("\n", " · ") == " · ".join(parts) and "\n" in figure.get_suptitle()
    assert figure.get_size_inches()[1] > 2, "the legend is not taken from the panel"
    assert ax.bbox.height > 0.5 * 2 * figure.dpi
    assert_nothing_is_cut(figure)
