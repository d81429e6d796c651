import numpy as np
import pandas as pd
import pytest

from astrolab.errors import PredictionError
from astrolab.metrics.pairing import iterate_panels, keep_common_seeds


def _predictions(*, arms=("lora", "full"), seeds=(0, 1), surveys=("near", "far"), n=30):
    rng = np.random.default_rng(0)
    tables = []
    for survey in surveys:
        truth = rng.uniform(0.1, 2.0, n)
        for arm in arms:
            for seed in seeds:
                columns = {"survey": survey, "arm": arm, "seed": seed, "object_id": 100 + np.arange(n)}
                tables.append(pd.DataFrame(columns | {"truth": truth, "pred": truth + rng.normal(0, 0.1, n)}))
    return pd.concat(tables, ignore_index=True).assign(simulated=True)


SETTINGS = {"models": ("lora", "full"), "column": "arm", "by": ["survey"], "z_range": None}


def test_a_panel_holds_every_model_and_seed_with_galaxies_in_the_order_of_their_ids():
    predictions = _predictions()
    panels = list(iterate_panels(predictions.sample(frac=1, random_state=0), **SETTINGS))
    assert {panel.key["survey"] for panel in panels} == {"near", "far"}
    panel = next(panel for panel in panels if panel.key["survey"] == "far")
    assert (panel.models, panel.n_seeds, len(panel), panel.simulated) == (("lora", "full"), 2, 30, True)
    expected = predictions.query("survey == 'far' and arm == 'full' and seed == 1")
    np.testing.assert_array_equal(panel.samples[3][1], expected["pred"])


def test_only_galaxies_in_the_range_of_true_redshift():
    predictions = _predictions(surveys=("near",))
    (panel,) = iterate_panels(predictions, **SETTINGS | {"z_range": (0.3, 1.5)})
    of_one = predictions.query("arm == 'lora' and seed == 0")
    assert len(panel) == of_one["truth"].between(0.3, 1.5, inclusive="right").sum() < 30


def test_a_seed_among_the_groups_makes_a_panel_of_its_own():
    panels = list(iterate_panels(_predictions(), **SETTINGS | {"by": ["survey", "seed"]}))
    assert len(panels) == 4 and all(panel.n_seeds == 1 for panel in panels)


def test_models_that_were_not_applied_to_the_same_galaxies_are_refused():
    predictions = _predictions()
    with pytest.raises(PredictionError, match="same galaxies"):
        list(iterate_panels(predictions.drop(index=0), **SETTINGS))
    with pytest.raises(PredictionError, match="not one for each"):
        list(iterate_panels(pd.concat([predictions, predictions.head(1)]), **SETTINGS))
    with pytest.raises(PredictionError, match="lora, full"):
        list(iterate_panels(predictions, **SETTINGS | {"models": ("lora", "combo")}))
    with pytest.raises(PredictionError, match="only some of them"):
        extra = predictions.query("arm == 'lora'").assign(survey="other")
        list(iterate_panels(pd.concat([predictions, extra]), **SETTINGS))


def test_other_truths_for_the_same_galaxies_are_refused():
    predictions = _predictions()
    predictions.loc[predictions["arm"] == "full", "truth"] += 1e-3
    with pytest.raises(PredictionError, match="other true values"):
        list(iterate_panels(predictions, **SETTINGS))


def test_different_seeds_are_refused_and_the_common_ones_can_be_kept():
    predictions = _predictions(seeds=(0, 1, 2)).query("not (arm == 'full' and seed == 1)")
    with pytest.raises(PredictionError, match=r"full: \[0, 2\]"):
        list(iterate_panels(predictions, **SETTINGS))
    assert {panel.n_seeds for panel in iterate_panels(keep_common_seeds(predictions), **SETTINGS)} == {2}


def test_models_may_have_no_seed_in_common():
    predictions = _predictions(seeds=(0, 1))
    apart = predictions[predictions["seed"].eq(0) == predictions["arm"].eq("lora")]
    assert keep_common_seeds(apart).empty and keep_common_seeds(apart.head(0)).empty
