import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from astrolab.errors import PredictionError
from astrolab.metrics import estimate_plateau, score
from astrolab.plots import plot_data_fractions

FRACTIONS = (0.0, 0.5, 1.0)
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
                    dz = (0.1 + slope * fraction) * rng.normal(size=truth.size)
                    columns = {"object_id": np.arange(truth.size), "truth": truth, "pred": truth + (1 + truth) * dz}
                    names = {"survey": survey, "arm": arm, "fraction": fraction, "seed": seed}
                    tables.append(pd.DataFrame(columns).assign(**names))
    return pd.concat(tables, ignore_index=True).assign(label="z", simulated=True)


@pytest.fixture(scope="module")
def scores(curves):
    return score(curves, metrics=["scatter", "bias"], n_bootstrap=20)


def test_lines_are_means_over_seeds_and_bands_their_spread(scores):
    figure = plot_data_fractions(scores, surveys=["twin-galaxiesml"])
    ax = figure.axes[0]
    rows = scores.query("metric == 'scatter' and survey == 'twin-galaxiesml' and arm == 'lora'").groupby("fraction")
    mean, spread = rows["value"].mean(), rows["value"].std()
    assert any(np.allclose(line.get_ydata(), mean) for line in ax.lines if len(line.get_ydata()) == 3)
    bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
    tops = [band.get_paths()[0].vertices[:, 1].max() for band in bands]
    assert any(top == pytest.approx((mean + spread).max()) for top in tops)
    assert ax.get_title(loc="center") == "GalaxiesML twin" and "simulated" in figure.get_suptitle()


def test_no_panel_is_cut(scores):
    figure = plot_data_fractions(scores)
    tops = scores.query("metric == 'scatter'").groupby("survey", sort=False)["value"].max()
    assert all(ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > top for ax, top in zip(figure.axes, tops, strict=True))


def test_printed_values_stand_hollow_in_the_panel_of_their_survey_only(scores):
    figure = plot_data_fractions(scores, published=PRINTED)
    found = [[line for line in ax.lines if line.get_marker() == "D"] for ax in figure.axes]
    assert [len(lines) for lines in found] == [0, 1]
    np.testing.assert_allclose(found[1][0].get_xydata(), PRINTED[["fraction", "value"]])
    assert found[1][0].get_markerfacecolor() == "white"
    assert "printed, other data" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_where_nothing_was_printed_nothing_stands_hollow(scores):
    figure = plot_data_fractions(scores, published=PRINTED.iloc[:0])
    assert not [line for ax in figure.axes for line in ax.lines if line.get_marker() == "D"]
    assert "printed, other data" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_plateaus_stand_below_with_their_intervals_or_a_word(curves, scores):
    plateau = estimate_plateau(curves, n_bootstrap=50, seeds="fixed")
    figure = plot_data_fractions(scores, plateau=plateau, surveys=["twin-galaxiesml"])
    strip = figure.axes[-1]
    row = plateau.query("survey == 'twin-galaxiesml' and arm == 'lora'").iloc[0]
    drawn = [line.get_xydata().tolist() for line in strip.lines]
    assert [[row["low"], 0.0], [row["high"], 0.0]] in drawn and [[row["plateau"], 0.0]] in drawn
    assert [text.get_text() for text in strip.texts] == ["no gain"]


def test_scores_without_fractions_are_refused(scores):
    with pytest.raises(PredictionError, match="fraction"):
        plot_data_fractions(scores.drop(columns="fraction"))
    with pytest.raises(PredictionError, match="one direction"):
        plot_data_fractions(pd.concat([scores.assign(direction=d) for d in ("forward", "reverse")]))


def test_the_legend_says_what_bands_are_where_only_some_arms_have_several_seeds(scores):
    figure = plot_data_fractions(scores.query("arm == 'lora' or seed == 0"))
    words = "spread over seeds where there are several, else interval over galaxies"
    assert words in [text.get_text() for text in figure.legends[0].get_texts()]
