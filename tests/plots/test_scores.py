import numpy as np
import pandas as pd
import pytest
from drawn import assert_nothing_is_cut, legend_of, predict, texts_of
from matplotlib.collections import PolyCollection

from astrolab.errors import PredictionError
from astrolab.metrics import Resampling, compare_models, estimate_plateau, score, score_slices
from astrolab.plots import plot_comparison, plot_data_fractions, plot_forgetting, plot_metrics, plot_score_by_slice
from astrolab.plots.style import FAINT, arm_looks
from astrolab.predictions import concat_predictions
from astrolab.studies.beside import load_published

RESAMPLING = Resampling(n=20)
FRACTIONS = (0.0, 0.5, 1.0)
SPREAD_OF_SOME = "spread over seeds where there are several, else interval over objects"


def bars_of(ax):
    return [patch.get_height() for container in ax.containers for patch in container if hasattr(patch, "get_height")]


def test_bars_are_the_means_over_seeds(scores):
    figure = plot_metrics(scores, metrics=["scatter"], surveys=["twin-galaxiesml"], arms=["lora", "zero_shot"])
    rows = scores.query("metric == 'scatter' and survey == 'twin-galaxiesml'")
    means = rows.groupby("arm")["value"].mean()
    assert sorted(bars_of(figure.axes[0])) == pytest.approx(sorted([means["lora"], means["zero_shot"]]))


def test_bars_say_what_is_simulated_and_what_they_are_and_mark_one_best_in_each_group(scores):
    figure = plot_metrics(scores)
    assert [ax.get_ylabel() for ax in figure.axes] == ["bias", "scatter", "catastrophic rate"]
    texts = texts_of(figure)
    assert any("simulated twin surveys" in text for text in texts)
    assert "spread over 2 seeds" in texts and "LSST requirement" in texts
    assert texts.count("★") >= 3 * 2
    assert not any("printed" in text for text in texts)
    assert SPREAD_OF_SOME in texts_of(plot_metrics(scores.query("arm == 'lora' or seed == 0")))


def test_printed_values_stand_at_the_bars_of_their_arm_and_survey_only(scores):
    published = load_published("lora_vs_transfer", direction="forward")
    figure = plot_metrics(scores, metrics=["scatter"], published=published)
    marks = [line.get_ydata()[0] for line in figure.axes[0].lines if str(line.get_marker()) in "D^v"]
    values = published.set_index(["arm", "survey", "metric"])["value"]
    there = [(arm, survey) for arm in ("zero_shot", "lora") for survey in ("transferz", "galaxiesml")]
    assert sorted(marks) == pytest.approx(sorted(values[arm, survey, "scatter"] for arm, survey in there))
    assert any("measured on other data" in text for text in legend_of(figure))
    assert not any("printed" in text for text in texts_of(plot_metrics(scores, published=published.iloc[:0])))
    own = scores.assign(survey=scores["survey"].str.replace("twin-", "my-"))
    assert not any("printed" in text for text in texts_of(plot_metrics(own, published=published)))


def test_a_bar_far_longer_than_the_others_is_cut_and_labelled():
    arms = {"zero_shot": 0.010, "lora": 0.012, "full": 0.015, "tl_published": -0.2}
    names = {"survey": "galaxiesml", "label": "z", "metric": "bias"}
    scores = pd.DataFrame([names | {"arm": arm, "value": value} for arm, value in arms.items()])
    figure = plot_metrics(scores.assign(low=scores["value"] - 1e-3, high=scores["value"] + 1e-3))
    assert figure.axes[0].get_ylim()[1] < 0.03
    assert any("−0.2" in text for text in texts_of(figure))
    assert not any("simulated" in text for text in texts_of(figure))


def test_stars_stay_inside_the_axis_where_every_bar_is_zero_and_an_interval_is_long():
    names = [(arm, survey) for survey in ("a", "b") for arm in ("full", "lora")]
    scores = pd.DataFrame(names, columns=["arm", "survey"]).assign(label="z", metric="catastrophic_rate", value=0.0)
    ax = plot_metrics(scores.assign(low=0.0, high=[1e-4, 1e-4, 0.1, 0.1])).axes[0]
    stars = [text.xy[1] for text in ax.texts if text.get_text() == "★"]
    assert len(stars) == 4 and max(stars) <= ax.get_ylim()[1]


def test_two_scores_for_one_bar_are_refused(scores):
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
    ax = plot_forgetting(scores, label="teff")
    assert ax.get_title(loc="left").replace("\n", " · ") == "rms error (K) on every test set · effective temperature"
    with pytest.raises(PredictionError, match="logg"):
        plot_metrics(scores, label="logg")


def test_a_network_without_labels_is_drawn_by_its_error(stars):
    errors = stars[[name for name in stars if "." not in name]].assign(**{"error.spectrum": 0.1})
    errors.attrs = {}
    (ax,) = plot_metrics(score(errors, resampling=RESAMPLING)).axes
    assert bars_of(ax) == pytest.approx([0.1])


@pytest.mark.parametrize("metric", ["scatter", "bias", "catastrophic_rate"])
def test_the_best_of_each_column_is_bold_and_the_palest(scores, metric):
    ax = plot_forgetting(scores, metric=metric)
    bold = {text.xy for text in ax.texts if text.get_weight() == "bold"}
    colours = np.asarray(ax.images[0].get_array())
    assert {column for column, _ in bold} == {0, 1}
    for column, row in bold:
        assert colours[row, column] == colours[:, column].min()


def test_cells_hold_the_mean_over_seeds_of_the_headline(scores):
    ax = plot_forgetting(scores, arms=["lora"], surveys=["twin-transferz"])
    value = scores.query("arm == 'lora' and survey == 'twin-transferz' and metric == 'scatter'")["value"].mean()
    assert ax.texts[0].get_text() == f"{value:.4f}"
    assert "simulated twin surveys" in ax.get_title(loc="left")
    with pytest.raises(PredictionError, match="r2"):
        plot_forgetting(scores, metric="r2")


def test_metrics_of_which_more_is_better_are_drawn_too(predictions):
    ax = plot_forgetting(score(predictions, metrics=["r2"], resampling=Resampling(n=0)))
    bold = next(text for text in ax.texts if text.get_weight() == "bold")
    assert float(bold.get_text()) == max(float(text.get_text()) for text in ax.texts[::2] if text.xy[0] == bold.xy[0])


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
    assert "bias along true redshift · simulated twin surveys" in figure.get_suptitle()
    assert figure.axes[0].get_xlabel() == "true redshift"
    assert legend_of(figure) == ["zero-shot", "LoRA", "mine"]
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


def test_lines_are_means_over_seeds_and_bands_their_spread(of_fractions):
    figure = plot_data_fractions(of_fractions, surveys=["twin-galaxiesml"])
    ax = figure.axes[0]
    rows = of_fractions.query("metric == 'scatter' and survey == 'twin-galaxiesml' and arm == 'lora'")
    mean, spread = (rows.groupby("fraction")["value"].agg(how) for how in ("mean", "std"))
    assert any(np.allclose(line.get_ydata(), mean) for line in ax.lines if len(line.get_ydata()) == 3)
    bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
    tops = [band.get_paths()[0].vertices[:, 1].max() for band in bands]
    assert any(top == pytest.approx((mean + spread).max()) for top in tops)
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


def test_a_difference_far_beyond_the_others_is_written_at_the_edge(comparisons):
    rows = comparisons.query("metric == 'scatter' and survey == 'twin-galaxiesml'").copy()
    rows.loc[rows.index[1], ["low", "difference", "high"]] = [-9.1, -9.0, -8.9]
    (ax,) = plot_comparison(rows).axes
    assert ax.get_xlim()[1] < 1 and len(marks_of(ax)) == 2
    assert "◂ −9" in [text.get_text() for text in ax.texts]


def test_models_that_do_not_differ_can_be_drawn(comparisons):
    same = comparisons.assign(difference=0.0, low=0.0, high=0.0, better="undecided")
    assert np.isfinite(plot_comparison(same).axes[0].get_xlim()).all()


@pytest.mark.parametrize("n_surveys", [1, 2])
def test_no_word_is_cut_however_few_panels_there_are(scores, slices, of_fractions, comparisons, n_surveys):
    surveys = ["twin-transferz", "twin-galaxiesml"][:n_surveys]
    assert_nothing_is_cut(plot_metrics(scores, surveys=surveys, arms=["zero_shot", "lora"]))
    assert_nothing_is_cut(plot_forgetting(scores, surveys=surveys).figure)
    assert_nothing_is_cut(plot_score_by_slice(slices, surveys=surveys))
    assert_nothing_is_cut(plot_data_fractions(of_fractions, surveys=surveys, published=PRINTED))
    assert_nothing_is_cut(plot_comparison(comparisons, surveys=surveys))
