from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn import assert_nothing_is_cut, legend_of, survey_of
from matplotlib.colors import to_rgba_array
from observed_stars import predicted, stars

from astrolab.plots import plot_adapter_path
from astrolab.plots.explorers import (
    GOOD,
    N_SHADES,
    SAME,
    brief_names,
    colour_points,
    in_words,
    name_models,
    plot_exploration,
    plot_one_galaxy,
    scale_spans,
)
from astrolab.plots.surveys import object_picture
from astrolab.predictions import one_label
from astrolab.tasks import QUANTITIES

Z = QUANTITIES["z"]
VERDICTS = ["nearer", "about the same", "farther"]


def with_deviations(table):
    deviation = Z.residual(truth=table["truth"], pred=table["pred"])
    return table.reset_index(drop=True).assign(
        deviation=deviation.to_numpy(), is_outlier=(deviation.abs() > 0.15).to_numpy()
    )


def beside(table, *, others):
    change = others["deviation"].abs() - table["deviation"].abs()
    verdict = np.select([change >= 0.02, change <= -0.02], [VERDICTS[0], VERDICTS[2]], VERDICTS[1])
    more = {"pred_other": others["pred"], "deviation_other": others["deviation"]}
    return table.assign(**more, verdict=pd.Categorical(verdict, categories=VERDICTS))


@pytest.fixture
def table(predictions):
    return with_deviations(one_label(predictions.query("arm == 'lora' and seed == 0 and survey == 'twin-galaxiesml'")))


@pytest.fixture
def matched(predictions, table):
    rows = one_label(predictions.query("arm == 'zero_shot' and seed == 0 and survey == 'twin-galaxiesml'"))
    return beside(table, others=with_deviations(rows))


@pytest.fixture
def points():
    table = pd.DataFrame({"object_id": range(5), "truth": 1.0, "pred": [1.0, 1.1, 2.0, 1.0, 3.0]})
    return with_deviations(table.assign(i_mag=[18.0, np.nan, 20.0, 22.0, np.inf]))


def test_groups_are_outliers_or_what_changed(points):
    outliers = colour_points(points)
    assert list(outliers.groups == "outlier") == points["is_outlier"].tolist()
    assert list(outliers.colours) == list(outliers.groups.categories) == ["not an outlier", "outlier"]
    assert outliers.heading(["LoRA"]) == ""
    changed = colour_points(beside(points.assign(pred=1.0, deviation=0.0), others=points))
    assert changed.groups.tolist() == ["about the same", "nearer", "nearer", "about the same", "nearer"]
    assert changed.heading(["tl", "LoRA"]) == "Beside tl, LoRA is …"
    assert changed.of_points.tolist() == [SAME, GOOD, GOOD, SAME, GOOD]


def test_a_legend_counts_the_objects_that_are_shown(points):
    colours = colour_points(points)
    assert list(colours.legend()) == ["not an outlier: 3", "outlier: 2"]
    inside = np.array([True, False, True, False, False])
    assert list(colours.legend(inside=inside)) == ["not an outlier: 1", "outlier: 1"]


def test_what_was_not_measured_is_grey_and_nothing_else_is(points):
    colours = colour_points(points, by="i_mag")
    shown = colours.of_points
    assert shown[1] == shown[4] == SAME and SAME not in shown[[0, 2, 3]]
    assert shown[[0, 2, 3]].tolist() == [colours.colours[f"shade {k}"] for k in (0, N_SHADES // 2, N_SHADES - 1)]
    assert list(colours.legend()) == ["≤ 18.08", "20", "≥ 21.92", "not measured: 2"]
    assert list(colours.legend(inside=np.arange(5) == 0)) == ["≤ 18.08", "20", "≥ 21.92"]
    assert colours.heading(["LoRA"]) == "Colour: i magnitude (mag)"
    channels = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in colours.colours.values()])
    spread = channels.max(axis=1) - channels.min(axis=1)
    assert spread[:-1].min() > 60 and spread[-1] == 0, "no shade can be taken for the grey"


def test_shades_of_one_value_and_of_none():
    for values in ([5.0] * 4, [5.0] * 99 + [7.0], [np.nan, np.nan]):
        assert len(colour_points(pd.DataFrame({"mag": values}), by="mag").of_points) == len(values)


OPTIONS = {"run": ("A", "B"), "survey": ("combo",), "arm": ("tl", "lora"), "fraction": (0.1, 1.0, "–"), "seed": (0, 1)}
FIRST = {"run": "A", "survey": "combo", "arm": "tl", "fraction": 0.1, "seed": 0}


def test_values_are_written_as_in_figures():
    assert in_words("seed", value=0.0) == in_words("seed", value=0) == "0"
    assert in_words("arm", value="my_arm") == "my_arm" and in_words("fraction", value=1.0) == "1"
    assert in_words("survey", value="twin-galaxiesml") == "GalaxiesML twin"


def test_one_model_is_its_arm_with_all_that_could_be_chosen_otherwise():
    assert name_models([FIRST], options=OPTIONS) == (["transfer learning"], "run A · fraction 0.1 · seed 0")
    alone = {name: (value,) for name, value in FIRST.items()}
    assert name_models([FIRST], options=alone) == (["transfer learning"], "")


def test_two_models_have_names_that_tell_them_apart():
    names, shared = name_models([FIRST, FIRST | {"run": "B", "seed": 1}], options=OPTIONS)
    assert names == ["transfer learning · run A · seed 0", "transfer learning · run B · seed 1"]
    assert shared == "fraction 0.1"
    names, shared = name_models([FIRST, FIRST | {"arm": "lora", "fraction": "–"}], options=OPTIONS)
    assert names == ["transfer learning · fraction 0.1", "LoRA"], "what a model does not have is not named"


def test_long_names_give_way_beside_numbers():
    long = "transfer learning · run 2026-11-21T10-50-47-f7ba4308"
    assert brief_names([long]) == ["the first"] and brief_names([long, "LoRA"]) == ["the first", "the second"]
    assert brief_names(["transfer learning · seed 0", "LoRA"]) == ["transfer learning · seed 0", "LoRA"]


def words_of(figure):
    return [text.get_text() for ax in figure.axes if ax.get_legend() for text in ax.get_legend().get_texts()]


def test_a_figure_shows_the_cloud_the_selection_and_its_scores(table):
    rows = np.flatnonzero(table["truth"] < 1.0)
    side = pd.DataFrame({"label": ["bias", "scatter"], "value": [0.00123, np.nan], "n": len(rows)})
    sides = {"selection": side, "all": side}
    figure = plot_exploration(table, quantity=Z, rows=rows, sides=sides, models=["LoRA"], objects="galaxies")
    cloud = figure.axes[0]
    drawn, chosen = cloud.collections
    assert len(drawn.get_offsets()) == 150 and len(chosen.get_offsets()) == len(rows)
    np.testing.assert_allclose(chosen.get_offsets()[:, 0], table["truth"].to_numpy()[rows])
    assert cloud.get_xlabel() == "true redshift" and cloud.get_title() == "LoRA"
    written = {cell.get_text().get_text() for cell in figure.axes[1].tables[0].get_celld().values()}
    assert {"0.0012", "–", "galaxies scored", str(len(rows))} <= written
    assert "simulated" in figure.get_suptitle()


def test_two_models_have_a_cloud_each_of_the_same_objects(matched):
    figure = plot_exploration(matched, quantity=Z, models=["LoRA", "zero-shot"], axes=["deviation"])
    left, right = (np.asarray(ax.collections[0].get_offsets()) for ax in figure.axes[:2])
    np.testing.assert_allclose(left[:, 0], right[:, 0])
    limits = figure.axes[0].get_ylim()
    np.testing.assert_allclose(right[:, 1], np.clip(matched["deviation_other"], *limits))
    assert figure.axes[0].get_ylabel() == "(predicted − true) / (1 + true)"


def test_large_samples_are_thinned_by_chance_and_the_title_says_so(table):
    many = pd.concat([table] * 200, ignore_index=True).sort_values("truth", ignore_index=True)
    rows = np.arange(25_000)
    figure, again = (plot_exploration(many, quantity=Z, rows=rows, objects="galaxies") for _ in range(2))
    assert len(figure.axes[0].collections[0].get_offsets()) == 20_000
    assert "20,000 of 30,000 galaxies drawn" in figure.get_suptitle()
    drawn, same = (one.axes[0].collections[1].get_offsets()[:, 0] for one in (figure, again))
    assert len(drawn) == 20_000 and (drawn == same).all()
    assert drawn.max() == many["truth"][rows].max(), "not the first 20,000"
    assert "20,000 of 25,000 selected ones drawn" in figure.get_suptitle()
    assert "selected: 25,000" in words_of(figure)


def test_objects_outside_a_slice_are_not_drawn_and_nothing_is_called_selected(table):
    inside = (table["truth"] < 1.0).to_numpy()
    figure = plot_exploration(table, quantity=Z, inside=inside)
    (drawn,) = figure.axes[0].collections
    np.testing.assert_allclose(drawn.get_offsets()[:, 0], table["truth"][inside])
    n_outliers = int(table["is_outlier"][inside].sum())
    assert words_of(figure)[:2] == [f"not an outlier: {inside.sum() - n_outliers}", f"outlier: {n_outliers}"]
    assert not any("selected" in text for text in words_of(figure))


def test_colours_can_stand_for_a_column(table):
    measured = table.assign(i_mag=np.where(np.arange(len(table)) < 3, np.nan, np.linspace(18, 24, len(table))))
    figure = plot_exploration(measured, quantity=Z, colour="i_mag")
    (drawn,) = figure.axes[0].collections
    colours = colour_points(measured, by="i_mag")
    np.testing.assert_allclose(drawn.get_facecolors()[:, :3], to_rgba_array(list(colours.of_points))[:, :3])
    (legend,) = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert legend.get_title().get_text() == "Colour: i magnitude (mag)"
    assert "not measured: 3" in words_of(figure)


def test_long_titles_are_broken_between_their_parts(matched):
    parts = [f"part number {number}" for number in range(20)]
    names = ["LoRA · run 2026-11-21T10-50-47-f7ba4308 · seed 0", "zero-shot · run 2026-11-22T10-50-47-0123abcd"]
    figure = plot_exploration(matched, quantity=Z, models=names, title=" · ".join(parts))
    assert figure.get_suptitle().replace("\n", " · ").startswith(" · ".join(parts))
    assert_nothing_is_cut(figure)
    left, right = (ax.title.get_window_extent() for ax in figure.axes[:2])
    assert left.x1 < right.x0, "names do not run into each other"


def test_cut_outs_stand_below_where_there_are_pixels(table):
    n, bands = len(table), ("g", "r", "i")
    pixels = np.random.default_rng(0).normal(size=(n, 3, 8, 8)).astype(np.float32)
    survey = survey_of("twin-galaxiesml", inputs={"image": pixels}, bands=bands, label=table["truth"].to_numpy())
    figure = plot_exploration(table, quantity=Z, surveys=[survey], listed=[5, 7, 9])
    (strip,) = [ax for ax in figure.axes if ax.images]
    expected = table.iloc[[5, 7, 9]]
    assert [text.get_text() for text in strip.texts] == [
        f"{row.truth:.2f} → {row.pred:.2f}".replace("-", "−") for row in expected.itertuples()
    ]
    pixels = strip.images[0].get_array()
    for number, row in enumerate((5, 7, 9)):
        picture = object_picture(survey.inputs["image"][row], channels=bands)
        left = round(strip.texts[number].get_position()[0])
        np.testing.assert_array_equal(pixels[:, left : left + picture.shape[1]], picture)
    assert not [ax for ax in plot_exploration(table, quantity=Z, listed=[5]).axes if ax.images]


def test_spectra_stand_below_each_other_with_their_errors_and_lines():
    observed, bridged = stars(is_bridged=False), stars(is_bridged=True)
    table = with_deviations(one_label(predicted(bridged).query("arm == 'lora'")))
    figure = plot_exploration(table, quantity=QUANTITIES["feh"], surveys=[observed, bridged], listed=[5, 3, 9])
    axes = [ax for ax in figure.axes if ax.get_ylabel() == "flux"]
    assert [ax.get_xlabel().rpartition(", as ")[2] for ax in axes] == ["observed", "the model sees it"]
    seen = axes[1]
    heights = [line.get_ydata() for line in seen.lines]
    assert [(int(np.nanmin(y)), int(np.nanmax(y))) for y in heights] == [(2, 2), (1, 1), (0, 0)], "each in its row"
    n_known = [int(np.isfinite(y).sum()) for y in heights]
    assert n_known[1] == pytest.approx(n_known[0] / 2, rel=0.02), "the red half of the fourth star is bad"
    words = [text.get_text() for text in axes[0].texts]
    rows = [
        f"{one.object_id}: {one.truth:.2f} → {one.pred:.2f}".replace("-", "−")
        for one in table.iloc[[5, 3, 9]].itertuples()
    ]
    assert words[:3] == rows and {"Mg b", "Hα"} <= set(words)
    for texts in (axes[0].texts[3:], seen.texts):
        boxes = [text.get_window_extent() for text in texts]
        assert len(boxes) > 4 and not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    assert figure.get_figwidth() < 7.5 and all(text.get_fontsize() >= 6.5 for text in seen.texts)
    assert_nothing_is_cut(figure)


@pytest.fixture
def path():
    rows = [
        {"scale": scale, "survey": survey, "label": "z", "metric": metric, "value": value + shift * scale}
        for survey, shift in (("twin-transferz", 0.02), ("twin-galaxiesml", -0.03))
        for metric, value in (("bias", 0.01), ("scatter", 0.06))
        for scale in (1.0, 0.0, 0.5)
    ]
    return pd.DataFrame(rows)


def curve_of(ax, *, colour):
    return next(line for line in ax.lines if line.get_color() == colour and len(line.get_xdata()) == 3)


def test_each_metric_has_a_panel_and_each_survey_a_line_along_the_scale(path):
    figure = plot_adapter_path(path)
    assert [ax.get_ylabel() for ax in figure.axes] == ["bias", "scatter"]
    curve = curve_of(figure.axes[1], colour="#0072B2")
    np.testing.assert_allclose(curve.get_xdata(), [0.0, 0.5, 1.0])
    np.testing.assert_allclose(curve.get_ydata(), [0.06, 0.045, 0.03])
    assert set(legend_of(figure)) == {"TransferZ twin", "GalaxiesML twin", "LSST requirement"}
    assert_nothing_is_cut(figure)


def test_objects_at_a_scale_stand_below_and_the_scale_is_marked(path):
    truth = np.linspace(0.2, 1.8, 30)
    clouds = {name: (truth, truth + 0.1) for name in ("twin-transferz", "twin-galaxiesml")}
    figure = plot_adapter_path(path, scale=0.25, clouds=clouds, simulated=True, objects="galaxies")
    assert len(figure.axes) == 4
    assert 0.25 in [line.get_xdata()[0] for line in figure.axes[0].lines]
    drawn = figure.axes[2].collections[0].get_offsets()
    np.testing.assert_allclose(drawn[:10, 1], truth[:10] + 0.1)
    title = figure.get_suptitle().replace("\n", " · ")
    assert title.endswith("adapted one · galaxies at scale 0.25 · simulated twin surveys")
    assert_nothing_is_cut(figure)


def test_spans_find_the_scales_in_the_picture(path):
    figure = plot_adapter_path(path)
    for ax, (left, right, top, bottom) in zip(figure.axes, scale_spans(figure, low=0.0, high=1.0), strict=True):
        to_data = ax.transData.inverted()
        for fraction, scale in ((left, 0.0), (right, 1.0)):
            pixel = figure.transFigure.transform((fraction, 1.0 - bottom))
            assert to_data.transform(pixel)[0] == pytest.approx(scale, abs=1e-6)
        assert 0 < top < bottom < 1


def test_bands_hold_the_spread_over_seeds_and_objects_and_the_scores_say_what_is_simulated(path):
    seeds = [path.assign(seed=seed, value=path["value"] + 0.002 * seed, simulated=True) for seed in (0, 1)]
    figure = plot_adapter_path(pd.concat(seeds).assign(low=0.0, high=1.0, n=50))
    ax = figure.axes[1]
    np.testing.assert_allclose(curve_of(ax, colour="#0072B2").get_ydata(), [0.061, 0.046, 0.031])
    edges = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(0.061 + np.hypot(1.0 - 0.061, np.std([0, 0.002], ddof=1)))
    assert "simulated" in figure.get_suptitle()
    assert "spread over objects and 2 seeds" in legend_of(figure)


@pytest.fixture
def galaxy():
    random = np.random.default_rng(0)
    return SimpleNamespace(
        settings=SimpleNamespace(kind="early", z=0.5, i_mag=19.0),
        bands=("hsc-g", "hsc-r", "hsc-i"),
        image=random.normal(size=(3, 16, 16)),
        mag=np.array([21.0, 20.0, 19.0]),
        measured_mag=np.array([21.1, 20.05, 19.0]),
        measured_mag_error=np.array([0.2, 0.1, 0.05]),
    )


def test_a_galaxy_is_shown_in_every_band_with_its_magnitudes_and_the_answers(galaxy):
    figure = plot_one_galaxy(galaxy, answers={"lora": 0.55, "mine": 0.9})
    pictures = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in pictures[1:]] == ["hsc-g", "hsc-r", "hsc-i"]
    magnitudes, answers = (ax for ax in figure.axes if not ax.images)
    np.testing.assert_allclose(magnitudes.lines[0].get_ydata(), galaxy.mag)
    np.testing.assert_allclose(magnitudes.lines[1].get_ydata(), galaxy.measured_mag)
    assert magnitudes.yaxis_inverted(), "bright is up"
    dots = [line.get_xdata()[0] for line in answers.lines if line.get_marker() in ("^", "o")]
    assert dots == [0.55, 0.9]
    assert [label.get_text() for label in answers.get_yticklabels()] == ["LoRA", "mine"]
    low, high = answers.get_xlim()
    assert low <= 0.5 and high >= 0.9
    assert "early galaxy at z = 0.50" in figure.get_suptitle() and "simulated" in figure.get_suptitle()
    assert_nothing_is_cut(figure)


def test_a_galaxy_says_so_where_no_model_answers(galaxy):
    assert "no model" in plot_one_galaxy(galaxy).axes[-1].get_xlabel()
