import time

import numpy as np
import pandas as pd
import pytest

from astrolab import explore_twin
from astrolab.datasets.scaling import InputScaling, Scaling
from astrolab.datasets.twins.galaxies import HscTwinKnobs
from astrolab.datasets.twins.galaxies.one_galaxy import simulate_galaxy
from astrolab.errors import ConfigError, SchemaError, UnknownNameError
from astrolab.exploring.paths import answer
from astrolab.models.network import TrainingRecord
from astrolab.models.networks.cnn import CNN
from astrolab.tasks import REDSHIFT, InputSpec, Quantity, make_task

BANDS = ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")


def scaled(*channels):
    plain = InputScaling("none", channels, centre=(0.0,) * len(channels), width=(1.0,) * len(channels))
    return Scaling({"image": plain})


def small_network(*, task=REDSHIFT):
    return CNN(inputs={"image": (5, 32, 32)}, task=task, width=8).eval()


@pytest.fixture
def models():
    return {name: (small_network(), scaled(*BANDS)) for name in "ab"}


@pytest.fixture
def explorer(models):
    return explore_twin("twin-galaxiesml", models=models, image_size=32)


def test_every_knob_changes_what_is_seen(explorer):
    moves = {"seeing_arcsec": 1.2, "depth_mag": 24.0, "z": 1.0, "i_mag": 22.0, "size_arcsec": 2.0}
    moves |= {"inclination_deg": 80.0, "angle_deg": 90.0}
    assert set(moves) == set(explorer.knobs)
    for name, value in moves.items():
        before = explorer.galaxy.image, explorer.places["galaxy"].value
        explorer.knobs[name].value = value
        assert not np.array_equal(before[0], explorer.galaxy.image), name
        assert explorer.places["galaxy"].value != before[1], name
        assert getattr(explorer.galaxy.settings, name) == value
    before = explorer.galaxy.mag
    explorer.kind.value = "early"
    assert not np.allclose(before, explorer.galaxy.mag)


def test_models_answer_for_the_galaxy_shown(explorer, models):
    explorer.knobs["z"].value = 0.8
    galaxy = simulate_galaxy(explorer.survey, settings=explorer.settings)
    for name, (network, scaling) in models.items():
        expected = answer(network, label="z", scaling=scaling, inputs=galaxy.inputs, channels={"image": galaxy.bands})
        assert explorer.answers[name] == pytest.approx(expected)
        assert f"{expected:.3f}".replace("-", "−") in explorer.places["answers"].value


def test_noise_is_drawn_anew_when_asked(explorer):
    before = explorer.galaxy.image
    explorer.noise.click()
    assert not np.array_equal(before, explorer.galaxy.image)
    np.testing.assert_array_equal(explorer.galaxy.mag, simulate_galaxy(explorer.survey, settings=explorer.settings).mag)


def test_a_snapshot_is_a_figure_and_a_table(explorer, tmp_path):
    image, table = explorer.snapshot(tmp_path / "twin")
    assert image.stat().st_size > 10_000
    row = pd.read_csv(table).iloc[0]
    assert row["kind"] == "late spiral" and row["hsc-i_mag"] == pytest.approx(20.0, abs=1e-3)
    assert {"pred_a", "pred_b", "hsc-y_measured_mag_error"} <= set(row.index)


def test_works_without_models_and_with_knobs_of_ones_own():
    knobs = HscTwinKnobs(
        layout="galaxiesml", selection="spectroscopic", image_size=24, seeing_arcsec=(0.9, 0.9, 0.8, 0.8, 0.8)
    )
    explorer = explore_twin(knobs)
    assert explorer.galaxy.image.shape == (5, 24, 24)
    assert explorer.knobs["seeing_arcsec"].value == pytest.approx(0.8)
    assert "No model" in explorer.places["answers"].value


def test_the_sharpest_seeing_on_offer_is_one_that_pixels_sample(explorer):
    explorer.knobs["seeing_arcsec"].value = explorer.knobs["seeing_arcsec"].min
    assert min(explorer.galaxy.settings.seeing_arcsec * np.array(explorer.survey.seeing_arcsec) / 0.58) > 2.2 * 0.168


def test_a_move_takes_a_fraction_of_a_second(explorer):
    explorer.knobs["z"].value = 0.5
    start = time.perf_counter()
    explorer.knobs["z"].value = 0.6
    assert time.perf_counter() - start < 1.0  # about 0.03 on an idle core; benchmarks/explore.py measures it


def test_what_does_not_fit_is_refused(models):
    with pytest.raises(UnknownNameError, match="twin-galaxiesml"):
        explore_twin("twin-galaxisml")
    network, _ = models["a"]
    with pytest.raises(SchemaError, match="channels"):
        explore_twin(models={"a": (network, scaled(*BANDS[:3]))})
    with pytest.raises(SchemaError, match="sdss-u"):
        explore_twin(models={"real": (network, scaled(*(f"sdss-{letter}" for letter in "ugriz")))})
    with pytest.raises(UnknownNameError, match="feh"):
        explore_twin(models={"stars": (small_network(task=make_task([Quantity("feh")])), scaled(*BANDS))})
    with pytest.raises(ConfigError, match="image_size"):
        explore_twin(image_size=8)


def test_stamps_have_the_size_that_the_networks_were_trained_on(models):
    network, scaling = models["a"]
    network.trained_on = TrainingRecord("s", {"image": InputSpec(("band", "y", "x"), BANDS)}, {"image": (5, 24, 24)})
    models = {"a": (network, scaling)}
    assert explore_twin(models=models).galaxy.image.shape == (5, 24, 24)
    knobs = HscTwinKnobs(layout="galaxiesml", selection="spectroscopic", image_size=32)
    assert explore_twin(knobs, models=models, image_size=24).galaxy.image.shape == (5, 24, 24)
    for asked in ({"image_size": 64}, {"survey": knobs}):
        with pytest.raises(ConfigError, match="a: 24 px"):
            explore_twin(models=models, **asked)
    assert explore_twin().galaxy.image.shape == (5, 64, 64), "without networks the size of the twin's manifest"
