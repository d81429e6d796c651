import numpy as np
import pandas as pd
import pytest
from drawn import assert_nothing_is_cut, legend_of, predict, texts_of
from matplotlib.collections import PolyCollection

from astrolab.errors import PredictionError
from astrolab.metrics import Resampling, compare_models, estimate_plateau, score, score_slices, summarise_seeds
from astrolab.plots import (
    plot_comparison,
    plot_cost,
    plot_data_fractions,
    plot_forgetting,
    plot_metrics,
    plot_score_by_slice,
)
from astrolab.plots.style import ARMS, FAINT, arm_looks
from astrolab.predictions import concat_predictions
from astrolab.studies.beside import load_published

RESAMPLING = Resampling(n=20)
FRACTIONS = (0.0, 0.5, 1.0)
SPREAD_OF_SOME = "spread over objects and seeds where there are several, else bootstrap interval over objects"


def points_of(ax):
    """What is drawn of scores: a marker's place by the arm's colour and marker."""
    return [line for line in ax.lines if len(line.get_xdata()) == 1 and line.get_markerfacecolor() != "white"]


def printed_of(ax):
    return [line.get_ydata()[0] for line in ax.lines if line.get_markerfacecolor() == "white"]


def intervals_of(ax):
    return [tuple(line.get_ydata()) for line in ax.lines if len(line.get_xdata()) == 2 and line.get_lw() == 1.2]


def few_scores(*, survey="galaxiesml", metric="bias", **values):
    rows = pd.DataFrame({"arm": list(values), "value": list(values.values())})
    return rows.assign(survey=survey, label="z", metric=metric, low=rows["value"] - 1e-3, high=rows["value"] + 1e-3)


def test_points_are_means_over_seeds_in_groups_by_test_set_and_their_intervals_those_of_the_table(scores):
    figure = plot_metrics(scores, metrics=["scatter"], arms=["lora", "zero_shot"])
    summary = summarise_seeds(scores.query("metric == 'scatter'")).set_index(["survey", "arm"])
    expected = [(s, a) for s in ("twin-transferz", "twin-galaxiesml") for a in ("lora", "zero_shot")]
    points = sorted(points_of(figure.axes[0]), key=lambda line: line.get_xdata()[0])
    assert [line.get_ydata()[0] for line in points] == pytest.approx([summary["value"][key] for key in expected])
    assert [round(line.get_xdata()[0]) for line in points] == [0, 0, 1, 1]
    looks = arm_looks(["lora", "zero_shot"])
    assert [line.get_color() for line in points] == [looks[arm].colour for _, arm in expected]
    ends = {(summary["low"][key], summary["high"][key]) for key in expected}
    assert {tuple(map(float, pair)) for pair in intervals_of(figure.axes[0])} == ends


def test_a_figure_says_what_is_simulated_and_what_its_signs_mean(scores):
    figure = plot_metrics(scores)
    assert [ax.get_ylabel() for ax in figure.axes] == ["bias", "scatter", "catastrophic rate"]
    assert "simulated twin surveys" in figure.get_suptitle()
    notes = {"best of its group", "spread over objects and 2 seeds", "LSST requirement"}
    assert set(legend_of(figure)) == {"zero-shot", "LoRA", "mine", *notes}
    assert SPREAD_OF_SOME in legend_of(plot_metrics(scores.query("arm == 'lora' or seed == 0")))
    short = plot_metrics(scores.assign(cut_short=scores["arm"].eq("lora") & scores["seed"].eq(1)))
    assert {"zero-shot", "LoRA †", "mine", "cut short: its loss still fell"} < set(legend_of(short))


def test_a_star_marks_the_best_only_where_it_is_alone():
    alone = few_scores(zero_shot=-0.01, lora=0.02, full=0.04)
    tied = few_scores(survey="combo", zero_shot=-0.02, lora=0.02, full=0.04)
    (ax,) = plot_metrics(pd.concat([alone, tied])).axes
    (star,) = [text for text in ax.texts if text.get_text() == "★"]
    assert star.xy == (pytest.approx(points_of(ax)[0].get_xdata()[0]), pytest.approx(-0.009))
    at_zero = few_scores(metric="catastrophic_rate", zero_shot=0.0, lora=0.0, full=0.0)
    assert not plot_metrics(at_zero).axes[0].texts


def test_printed_values_stand_beside_the_points_of_their_arm_and_survey_only(scores):
    published = load_published("lora_vs_transfer", direction="forward")
    figure = plot_metrics(scores, metrics=["scatter"], published=published)
    values = published.set_index(["arm", "survey", "metric"])["value"]
    there = [(arm, survey) for arm in ("zero_shot", "lora") for survey in ("transferz", "galaxiesml")]
    assert sorted(printed_of(figure.axes[0])) == pytest.approx(sorted(values[arm, s, "scatter"] for arm, s in there))
    assert any("on other data" in text for text in legend_of(figure))
    assert not any("printed" in text for text in texts_of(plot_metrics(scores, published=published.iloc[:0])))
    own = scores.assign(survey=scores["survey"].str.replace("twin-", "my-"))
    assert not any("printed" in text for text in texts_of(plot_metrics(own, published=published)))


@pytest.mark.parametrize("far", [{"tl_published": -0.2, "scratch": -7.0}, {"tl_published": -0.2, "scratch": 0.4}])
def test_unequal_scores_far_beyond_the_others_stand_at_unequal_places_on_the_axis(far):
    figure = plot_metrics(few_scores(zero_shot=0.010, lora=0.012, full=-0.015, **far))
    (ax,) = figure.axes
    heights = [ax.transAxes.inverted().transform(line.get_transform().transform(line.get_xydata()))[0, 1]
               for line in points_of(ax)]  # fmt: skip
    assert all(0 < height < 1 for height in heights)
    values = [line.get_ydata()[0] for line in points_of(ax)]
    assert np.argsort(heights).tolist() == np.argsort(values).tolist()
    assert np.diff(sorted(heights)).min() > 0.005
    assert "logarithmic from here on" in legend_of(figure)
    assert not any("simulated" in text for text in texts_of(figure))


def test_two_scores_for_one_point_are_refused(scores):
    both = pd.concat([scores.assign(direction="forward"), scores.assign(direction="reverse")])
    with pytest.raises(PredictionError, match="direction"):
        plot_metrics(both)


def test_scores_without_intervals_can_be_drawn(scores):
    assert plot_metrics(scores.assign(low=np.nan, high=np.nan).query("seed == 0"))


def test_one_of_several_labels_is_drawn_and_named_and_no_redshift_is_asked_of_a_star(stars):
    scores = score(stars, metrics=["bias", "rmse", "r2"], resampling=RESAMPLING)
    scores.attrs["task"] = stars.attrs["task"]
    figure = plot_metrics(scores)
    assert figure.get_suptitle() == "Every arm on every test set · [Fe/H]"
    assert [ax.get_ylabel() for ax in figure.axes] == ["bias (dex)", "rms error (dex)", "$R^2$"]
    assert "LSST requirement" not in legend_of(figure)
    figure = plot_forgetting(scores, label="teff", metrics=["rmse"])
    assert [ax.get_title(loc="center") for ax in figure.axes] == ["rms error (K)"]
    assert figure.get_suptitle().replace("\n", " · ").endswith(" · effective temperature")
    with pytest.raises(PredictionError, match="logg"):
        plot_metrics(scores, label="logg")


def test_a_network_without_labels_is_drawn_by_its_error(stars):
    errors = stars[[name for name in stars if "." not in name]].assign(**{"error.spectrum": 0.1})
    errors.attrs = {}
    (ax,) = plot_metrics(score(errors, resampling=RESAMPLING)).axes
    assert [line.get_ydata()[0] for line in points_of(ax)] == pytest.approx([0.1])


def test_forgetting_shows_bias_scatter_and_catastrophic_rate_side_by_side_with_each_cell_of_the_table(scores):
    figure = plot_forgetting(scores)
    assert [ax.get_title(loc="center") for ax in figure.axes] == ["bias", "scatter", "catastrophic rate"]
    assert figure.get_size_inches()[0] <= 7.2
    summary = summarise_seeds(scores)
    for ax, metric in zip(figure.axes, ("bias", "scatter", "catastrophic_rate"), strict=True):
        rows = summary[summary["metric"] == metric]
        places = {"twin-transferz": 0, "twin-galaxiesml": 1}, {"zero_shot": 0, "lora": 1, "mine": 2}
        texts = {text.xy: text.get_text() for text in ax.texts[::2]}
        for row in rows.itertuples():
            assert texts[places[0][row.survey], places[1][row.arm]] == f"{row.value:z.4f}".replace("-", "−")
        assert ax.texts[1].get_text() == f"± {(rows['high'] - rows['low']).iloc[0] / 2:.4f}"


def test_the_least_scatter_about_a_large_bias_is_bold_in_one_matrix_and_dark_in_the_other():
    bias = few_scores(tl=-0.3, lora=0.001, full=0.02)
    figure = plot_forgetting(pd.concat([bias, few_scores(metric="scatter", tl=0.01, lora=0.02, full=0.03)]))
    bold = [[text.xy[1] for text in ax.texts if text.get_weight() == "bold"] for ax in figure.axes]
    assert bold == [[1], [0]]
    shades = [np.asarray(ax.images[0].norm(ax.images[0].get_array()))[:, 0] for ax in figure.axes]
    assert shades[0].argmax() == 0 and shades[1].argmin() == 0


def test_nothing_is_bold_where_several_are_best_and_an_arm_cut_short_has_a_dagger():
    scores = few_scores(metric="catastrophic_rate", tl=0.0, lora=0.0, full=0.1).assign(cut_short=[False, True, False])
    figure = plot_forgetting(scores)
    (ax,) = figure.axes
    assert not [text for text in ax.texts if text.get_weight() == "bold"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["transfer learning", "LoRA †", "full fine-tuning"]
    assert legend_of(figure) == ["cut short: its loss still fell"]


def test_metrics_of_which_more_is_better_are_drawn_too(predictions):
    (ax,) = plot_forgetting(score(predictions, metrics=["r2"], resampling=Resampling(n=0))).axes
    colours = np.asarray(ax.images[0].get_array())
    (column, row), text = next((text.xy, text) for text in ax.texts if text.get_weight() == "bold")
    assert float(text.get_text()) == max(float(text.get_text()) for text in ax.texts[::2] if text.xy[0] == column)
    assert colours[row, column] == colours[:, column].min()


@pytest.fixture(scope="module")
def slices(predictions):
    edges = [0, 0.7, 1.4, 2]
    return score_slices(
        predictions, column="truth", edges=edges, metrics=["scatter", "bias"], resampling=Resampling(n=10)
    )


def test_lines_are_the_means_over_seeds_at_the_medians_of_the_slices(slices):
    (ax, _) = plot_score_by_slice(slices, arms=["lora"]).axes
    rows = slices.query("arm == 'lora' and survey == 'twin-transferz' and metric == 'scatter'")
    expected = rows.groupby("slice_low")[["slice_median", "value"]].mean()
    assert any(np.array_equal(line.get_xydata(), expected.to_numpy()) for line in ax.lines)


def test_slices_say_what_was_sliced_and_name_every_arm(slices, scores):
    figure = plot_score_by_slice(slices, metric="bias")
    assert "Bias along true redshift · simulated twin surveys" in figure.get_suptitle()
    assert figure.axes[0].get_xlabel() == "true redshift"
    counts = slices.query("metric == 'bias' and survey == 'twin-transferz' and arm == 'lora' and seed == 0")
    assert [(text.xy[0], text.get_text()) for text in figure.axes[0].texts] == [
        (row.slice_median, str(row.n)) for row in counts.sort_values("slice_low").itertuples()
    ]
    notes = {"spread over objects and 2 seeds", "above: objects in the slice", "LSST requirement"}
    assert set(legend_of(figure)) >= {"zero-shot", "LoRA", "mine", *notes}
    with pytest.raises(PredictionError, match="slice_column"):
        plot_score_by_slice(scores)


PRINTED = pd.DataFrame({"arm": "lora", "survey": "galaxiesml", "metric": "scatter", "fraction": FRACTIONS})
PRINTED["value"] = [0.04, 0.02, 0.018]


@pytest.fixture(scope="module")
def curves():
    """Errors that shrink with the fraction for one arm, and grow for the other."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.3, 1.5, 120)
    tables = []
    for survey in ("twin-transferz", "twin-galaxiesml"):
        for arm, slope in (("lora", -0.05), ("tl", 0.05)):
            for fraction in FRACTIONS:
                for seed in (0, 1):
                    residuals = (0.1 + slope * fraction) * rng.normal(size=truth.size)
                    names = {"survey": survey, "arm": arm, "seed": seed, "fit": f"{arm}-{fraction}-{seed}"}
                    tables.append(predict(truth, residuals=residuals, **names).assign(fraction=fraction))
    return concat_predictions(tables)


@pytest.fixture(scope="module")
def of_fractions(curves):
    return score(curves, metrics=["scatter", "bias"], resampling=RESAMPLING)


def test_lines_are_means_over_seeds_and_bands_hold_their_spread(of_fractions):
    figure = plot_data_fractions(of_fractions, surveys=["twin-galaxiesml"])
    ax = figure.axes[0]
    rows = of_fractions.query("metric == 'scatter' and survey == 'twin-galaxiesml' and arm == 'lora'")
    mean, top = (summarise_seeds(rows)[name] for name in ("value", "high"))
    assert any(np.allclose(line.get_ydata(), mean) for line in ax.lines if len(line.get_ydata()) == 3)
    bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
    tops = [band.get_paths()[0].vertices[:, 1].max() for band in bands]
    assert any(height == pytest.approx(top.max()) for height in tops)
    assert ax.get_title(loc="center") == "GalaxiesML twin" and "simulated" in figure.get_suptitle()
    some = plot_data_fractions(of_fractions.query("arm == 'lora' or seed == 0"))
    assert SPREAD_OF_SOME in legend_of(some)


def test_no_panel_of_fractions_is_cut(of_fractions):
    figure = plot_data_fractions(of_fractions)
    tops = of_fractions.query("metric == 'scatter'").groupby("survey", sort=False)["value"].max()
    assert all(ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > top for ax, top in zip(figure.axes, tops, strict=True))


def test_printed_curves_stand_hollow_in_the_panel_of_their_survey_only(of_fractions):
    figure = plot_data_fractions(of_fractions, published=PRINTED)
    found = [[line for line in ax.lines if line.get_marker() == "D"] for ax in figure.axes]
    assert [len(lines) for lines in found] == [0, 1]
    np.testing.assert_allclose(found[1][0].get_xydata(), PRINTED[["fraction", "value"]])
    assert found[1][0].get_markerfacecolor() == "white"
    assert "printed, other data" in legend_of(figure)
    assert "printed, other data" not in legend_of(plot_data_fractions(of_fractions, published=PRINTED.iloc[:0]))


def test_plateaus_stand_below_with_their_intervals_or_a_word(curves, of_fractions):
    plateau = estimate_plateau(curves, resampling=Resampling(n=50))
    strip = plot_data_fractions(of_fractions, plateau=plateau, surveys=["twin-galaxiesml"]).axes[-1]
    row = plateau.query("survey == 'twin-galaxiesml' and arm == 'lora'").iloc[0]
    drawn = [line.get_xydata().tolist() for line in strip.lines]
    assert [[row["low"], 0.0], [row["high"], 0.0]] in drawn and [[row["plateau"], 0.0]] in drawn
    assert [text.get_text() for text in strip.texts] == ["no gain"]


def test_the_axis_may_count_objects(of_fractions):
    figure = plot_data_fractions(of_fractions, n_objects=2000, surveys=["twin-galaxiesml"])
    ax = figure.axes[0]
    places = [2000 * fraction for fraction in sorted(of_fractions["fraction"].unique())]
    assert ax.get_xticks().tolist() == places and ax.get_xlabel() == "objects to fine-tune on"
    assert [text.get_text() for text in ax.get_xticklabels()] == [f"{place:,.0f}" for place in places]


def test_scores_without_fractions_are_refused(of_fractions):
    with pytest.raises(PredictionError, match="fraction"):
        plot_data_fractions(of_fractions.drop(columns="fraction"))
    with pytest.raises(PredictionError, match="differ in direction"):
        plot_data_fractions(pd.concat([of_fractions.assign(direction=d) for d in ("forward", "reverse")]))


@pytest.fixture(scope="module")
def comparisons(predictions):
    return compare_models(predictions, metrics=["scatter", "bias"], resampling=Resampling(n=50, level=0.95))


def marks_of(ax):
    return [line for line in ax.lines if line.get_marker() == "o"]


def test_every_pair_has_a_mark_and_an_interval_in_every_panel(comparisons):
    figure = plot_comparison(comparisons)
    assert len(figure.axes) == 2
    scatter = comparisons[comparisons["metric"] == "scatter"]
    for ax, survey in zip(figure.axes, ("twin-transferz", "twin-galaxiesml"), strict=True):
        rows = scatter[scatter["survey"] == survey]
        assert [line.get_xdata()[0] for line in marks_of(ax)] == pytest.approx(rows["difference"].tolist())
        whiskers = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_lw() > 1]
        np.testing.assert_allclose(whiskers, rows[["low", "high"]])
        low, high = ax.get_xlim()
        assert low < rows["low"].min() and rows["high"].max() < high and low == -high


def test_the_better_one_gives_the_colour_and_the_undecided_is_hollow(comparisons):
    rows = comparisons.query("metric == 'scatter' and survey == 'twin-galaxiesml'").copy()
    rows.iloc[0, rows.columns.get_loc("better")] = "undecided"
    (ax,) = plot_comparison(rows).axes
    looks = arm_looks(["zero_shot", "lora", "mine"])
    colours = [line.get_markeredgecolor() for line in marks_of(ax)]
    assert colours[0] == FAINT and marks_of(ax)[0].get_markerfacecolor() == "white"
    assert colours[1:] == [looks[name].colour for name in rows["better"].iloc[1:]]


def test_a_comparison_says_what_the_intervals_are_and_what_is_simulated(comparisons):
    texts = texts_of(plot_comparison(comparisons, metric="bias"))
    assert "95% interval, for all 3 together; mean over 2 seeds" in texts
    assert any("simulated twin surveys" in text for text in texts)
    assert any("|bias|" in text for text in texts)
    alone = comparisons.assign(correction="none", n_seeds=1, simulated=False)
    texts = texts_of(plot_comparison(alone, metric="bias", title="Mine"))
    assert "95% interval" in texts and "Mine" in texts


def test_what_cannot_be_compared_is_refused(comparisons):
    with pytest.raises(PredictionError, match="scatter, bias"):
        plot_comparison(comparisons, metric="loss")
    with pytest.raises(PredictionError, match="several for the same"):
        plot_comparison(pd.concat([comparisons, comparisons]))


def test_a_difference_far_beyond_the_others_is_on_the_axis(comparisons):
    rows = comparisons.query("metric == 'scatter' and survey == 'twin-galaxiesml'").copy()
    rows.loc[rows.index[1], ["low", "difference", "high"]] = [-9.1, -9.0, -8.9]
    (ax,) = plot_comparison(rows).axes
    assert ax.get_xscale() == "symlog" and ax.get_xlim()[0] < -9.1
    assert [line.get_xdata()[0] for line in marks_of(ax)] == pytest.approx(rows["difference"].tolist())


def test_models_that_do_not_differ_can_be_drawn(comparisons):
    same = comparisons.assign(difference=0.0, low=0.0, high=0.0, better="undecided")
    assert np.isfinite(plot_comparison(same).axes[0].get_xlim()).all()


@pytest.mark.parametrize("n_surveys", [1, 2])
def test_no_word_is_cut_however_few_panels_there_are(scores, slices, of_fractions, comparisons, n_surveys):
    surveys = ["twin-transferz", "twin-galaxiesml"][:n_surveys]
    assert_nothing_is_cut(plot_metrics(scores, surveys=surveys, arms=["zero_shot", "lora"]))
    assert_nothing_is_cut(plot_forgetting(scores, surveys=surveys))
    assert_nothing_is_cut(plot_score_by_slice(slices, surveys=surveys))
    assert_nothing_is_cut(plot_data_fractions(of_fractions, surveys=surveys, published=PRINTED))
    assert_nothing_is_cut(plot_comparison(comparisons, surveys=surveys))


def test_every_figure_survives_fourteen_arms_on_three_test_sets(scores):
    one = scores.query("arm == 'lora' and seed == 0 and survey == 'twin-transferz'")
    arms = [name for name in ARMS if not name.startswith(("base", "head", "ridge"))]
    surveys = ("twin-transferz", "twin-galaxiesml", "combo")
    many = pd.concat([one.assign(arm=arm, survey=survey) for arm in arms for survey in surveys])
    factors = np.linspace(0.5, 2.0, len(many))
    many = many.assign(**{name: many[name] * factors for name in ("value", "low", "high")})
    costs = pd.DataFrame({"arm": arms, "n_trainable": 100, "time_s": 3.0})
    for figure in (plot_metrics(many), plot_forgetting(many), plot_cost(many, costs=costs)):
        assert_nothing_is_cut(figure)
        assert figure.get_size_inches()[0] <= 7.2
    assert len(points_of(plot_metrics(many, metrics=["scatter"]).axes[0])) == 14 * 3
