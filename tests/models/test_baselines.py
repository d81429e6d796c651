"""Classical models: what they learn, that they go the way of a network, and how good they are on real galaxies."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

import astrolab as al
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import UnknownNameError
from astrolab.models.baselines import BASELINES, Baseline
from astrolab.tasks import InputSpec, find_quantity, make_task

SPEC = InputSpec(("band",), ("g", "r", "i"), "AB mag")


def survey_of(n, *, seed=0, labels=("z",)):
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.1, 1.0, n)
    magnitudes = 20 + z[:, None] * [2.0, 1.0, 0.5] + rng.normal(0, 0.02, (n, 3))
    magnitudes[rng.uniform(size=(n, 3)) < 0.05] = np.nan
    return Survey(
        name="mine",
        inputs={"magnitudes": magnitudes.astype(np.float32)},
        specs={"magnitudes": SPEC},
        labels=pd.DataFrame({name: (k + 1) * z for k, name in enumerate(labels)}),
        ids=np.arange(n) + 10_000 * seed,
        provenance=Provenance(survey="mine", title="Mine", digest=f"mine {seed}"),
        task=make_task([find_quantity(name) for name in labels]),
    )


def learned(kind, survey):
    baseline = Baseline(inputs={"magnitudes": (3,)}, task=survey.task, kind=kind)
    scaling = al.fit_scaling(survey)
    return baseline.learn(survey, scaling=scaling, seed=0), scaling


@pytest.mark.parametrize("kind", ["trees", "knn"])
def test_a_baseline_predicts_as_a_network_does(kind):
    survey, test = survey_of(800), survey_of(200, seed=1)
    baseline, scaling = learned(kind, survey)
    table = al.predict(baseline, survey=test, scaling=scaling)
    assert table["trained_on"].unique().tolist() == ["mine"]
    assert np.std(table["pred.z"] - table["truth.z"]) < 0.06 < np.std(table["truth.z"])


def test_neighbours_are_those_in_colours_and_the_middle_magnitude_each_of_unit_spread():
    survey, test = survey_of(300), survey_of(50, seed=1)
    baseline, scaling = learned("knn", survey)
    mean = np.nanmean(survey.inputs["magnitudes"], axis=0)
    features = []
    for one in (survey, test):
        magnitudes = np.where(np.isnan(one.inputs["magnitudes"]), mean, one.inputs["magnitudes"])
        features.append(np.column_stack([magnitudes[:, 1], magnitudes[:, :-1] - magnitudes[:, 1:]]))
    centre, width = features[0].mean(axis=0), features[0].std(axis=0)
    known, new = ((part - centre) / width for part in features)
    expected = KNeighborsRegressor(10, weights="distance").fit(known, survey.labels["z"]).predict(new)
    found = al.predict(baseline, survey=test, scaling=scaling)["pred.z"]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_each_label_is_learned_where_it_is_known():
    survey = survey_of(600, labels=("z", "teff"))
    survey.labels.loc[::2, "teff"] = np.nan
    baseline, scaling = learned("trees", survey)
    table = al.predict(baseline, survey=survey, scaling=scaling)
    assert np.abs(table["pred.teff"] - 2 * table["truth.z"]).median() < 0.05
    with pytest.raises(UnknownNameError, match="forest"):
        Baseline(inputs={"magnitudes": (3,)}, task=survey.task, kind="forest")


def test_a_kind_reads_magnitudes_or_spectra_and_none_reads_images():
    image, spectrum = InputSpec(("band", "y", "x"), ("g",)), InputSpec(("pixel",), grid=(4000.0, 4001.0))
    specs = {"image": image, "spectrum": spectrum, "magnitudes": SPEC, "embedding": InputSpec(("feature",))}
    reads = {kind: BASELINES[kind].reads(specs) for kind in BASELINES}
    assert reads == {"trees": ("magnitudes",), "knn": ("magnitudes",), "ridge": ("spectrum",)}
    assert not any(kind.reads({"image": image}) for kind in BASELINES.values())


def spectra_of(n, *, seed=0, labels=("feh",)):
    """Spectra of 40 pixels: two lines grow with [Fe/H], one with the other label."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-2, 0.5, (n, len(labels)))
    lines = np.eye(2, 40, 5) + np.eye(2, 40, 20)
    flux = 1 + 0.1 * values @ lines[: len(labels)] + rng.normal(0, 0.05, (n, 40))
    return Survey(
        name="stars",
        inputs={"spectrum": flux.astype(np.float32)},
        specs={"spectrum": InputSpec(("pixel",), grid=np.linspace(4000, 5600, 40))},
        labels=pd.DataFrame(values, columns=labels),
        ids=np.arange(n) + 10_000 * seed,
        provenance=Provenance(survey="stars", title="Stars", digest=f"stars {seed}"),
        task=make_task([find_quantity(name) for name in labels]),
    )


def test_ridge_regression_has_the_penalty_that_predicts_each_training_object_best_from_the_others():
    survey, test = spectra_of(60), spectra_of(30, seed=1)
    flux, feh = (np.asarray(one, float) for one in (survey.inputs["spectrum"], survey.labels["feh"]))
    centre, width = flux.mean(axis=0), flux.std(axis=0)
    pixels = (flux - centre) / width

    def error(alpha):
        others = [np.arange(60) != k for k in range(60)]
        left_out = [Ridge(alpha).fit(pixels[o], feh[o]).predict(pixels[~o])[0] for o in others]
        return np.square(left_out - feh).mean()

    best = min(np.logspace(-2, 6, 25), key=error)
    assert 1e-2 < best < 1e6
    expected = Ridge(best).fit(pixels, feh).predict((test.inputs["spectrum"] - centre) / width)
    baseline = Baseline(inputs={"spectrum": (40,)}, task=survey.task, kind="ridge")
    scaling = al.fit_scaling(survey)
    table = al.predict(baseline.learn(survey, scaling=scaling, seed=0), survey=test, scaling=scaling)
    np.testing.assert_allclose(table["pred.feh"], expected, atol=1e-4)


def test_trees_see_magnitudes_and_colours():
    survey = survey_of(100)
    baseline, scaling = learned("trees", survey)
    scaled = scaling.apply({"magnitudes": torch.tensor([[20.0, 21.5, 22.0]])})
    np.testing.assert_allclose(baseline.embed(scaled).numpy(), [[21.5, -1.5, -0.5, 20.0, 21.5, 22.0]], atol=1e-4)
