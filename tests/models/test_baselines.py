"""Classical models: what they learn, that they go the way of a network, and how good they are on real galaxies."""

import numpy as np
import pandas as pd
import pytest
import torch
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


@pytest.mark.parametrize("kind", BASELINES)
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


def test_it_reads_magnitudes_and_neither_images_nor_spectra():
    image, spectrum = InputSpec(("band", "y", "x"), ("g",)), InputSpec(("pixel",), grid=(4000.0, 4001.0))
    assert Baseline.reads({"image": image, "spectrum": spectrum, "magnitudes": SPEC}) == ("magnitudes",)
    assert Baseline.reads({"image": image}) == ()


def test_trees_see_magnitudes_and_colours():
    survey = survey_of(100)
    baseline, scaling = learned("trees", survey)
    scaled = scaling.apply({"magnitudes": torch.tensor([[20.0, 21.5, 22.0]])})
    np.testing.assert_allclose(baseline.embed(scaled).numpy(), [[21.5, -1.5, -0.5, 20.0, 21.5, 22.0]], atol=1e-4)
