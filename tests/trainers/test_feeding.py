"""What a network learns from: refused where it does not fit, and the same batches wherever they come from."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from astrolab.datasets.scaling import fit_scaling
from astrolab.errors import AstrolabWarning, ConfigError, EmptySplitError, PixelError, SchemaError
from astrolab.trainers import feeding
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.feeding import N_DIHEDRAL, TrainingData, dihedral_codes, make_feed, turn_and_mirror
from astrolab.trainers.hardware import Hardware
from astrolab.trainers.objectives import draw_seeds, make_objective

HELD = Hardware("cpu", "float32", channels_last=False, storage="device", n_processes=1)
BATCHES = [np.array([4, 0, 9]), np.array([7, 7]), np.array([1])]
SEEDS = draw_seeds(45, stream=(0, 1))


def data_of(case, network=None, config=None, **changes):
    network = network or case.cnn
    objective = make_objective(config or case.config, network=network)
    surveys = {"train": case.train, "validation": case.validation, "scaling": case.scaling} | changes
    return TrainingData(**surveys, inputs=network.inputs, objective=objective)


def feed_of(survey, case, network=None, clamp=None, **changes):
    return make_feed(survey, data=data_of(case, network), hardware=replace(HELD, **changes), clamp=clamp)


def test_surveys_that_fit_are_accepted(case):
    for network in (case.cnn, case.mlp, case.two):
        data_of(case, network).require_fit(case.config)


def test_what_does_not_fit_is_refused(case):
    images = case.validation.specs["image"]
    only = {
        "inputs": {"magnitudes": case.train.inputs["magnitudes"]},
        "specs": {"magnitudes": case.train.specs["magnitudes"]},
    }
    renamed = replace(images, channels=("hsc-i", "hsc-r", "hsc-g"))
    in_counts, cropped = replace(images, unit="counts"), case.validation.inputs["image"][..., :6]
    refused = [
        (SchemaError, {"validation": replace(case.validation, specs={**case.validation.specs, "image": renamed})}),
        (SchemaError, {"validation": replace(case.validation, specs={**case.validation.specs, "image": in_counts})}),
        (SchemaError, {"validation": replace(case.validation, inputs={**case.validation.inputs, "image": cropped})}),
        (SchemaError, {"scaling": fit_scaling(case.train, inputs=["magnitudes"])}),
        (SchemaError, {"train": replace(case.train, **only)}),
        (EmptySplitError, {"validation": case.validation.take(slice(0, 0))}),
        (EmptySplitError, {"train": case.train.take([0])}),
    ]
    for error, change in refused:
        with pytest.raises(error):
            data_of(case, **change).require_fit(case.config)


def test_only_square_images_are_turned(case):
    turning = TrainConfig(augment="dihedral")
    for network in (case.cnn, case.two):
        data_of(case, network).require_fit(turning)
    with pytest.raises(ConfigError, match="square"):
        data_of(case, case.mlp).require_fit(turning)


def test_labels_that_cannot_be_learned_are_named_and_the_unknown_are_not(case):
    labels = case.train.labels.copy()
    labels.loc[[3, 7], "z"] = [np.nan, np.inf]
    with pytest.raises(SchemaError, match=r"redshift \('z'\) of mock(?s:.*)1 of 45 galaxies infinite: 1007"):
        data_of(case, train=replace(case.train, labels=labels)).require_fit(case.config)
    labels.loc[7, "z"] = np.nan
    data_of(case, train=replace(case.train, labels=labels)).require_fit(case.config)
    with pytest.raises(SchemaError, match="20 of 20 galaxies unknown"):
        data_of(case, validation=replace(case.validation, labels=case.validation.labels * np.nan)).require_fit(
            case.config
        )
    stars = replace(case.with_labels(case.train, feh=np.zeros(45)), objects="stars")
    with pytest.raises(SchemaError, match=r"labels z of mock(?s:.*)available: feh"):
        data_of(case, train=stars).require_fit(case.config)


@pytest.mark.parametrize("which", ["train", "validation"])
def test_a_redshift_that_cannot_be_is_refused_and_never_clamped(case, which):
    survey = getattr(case, which)
    labels = survey.labels.copy()
    labels.loc[3, "z"] = -9.0
    changed = {which: replace(survey, labels=labels)}
    clamped = case.config.with_changes(label_clamp=(0, 4))
    with pytest.raises(SchemaError, match=rf"1 of {len(survey)} galaxies at or below -1.*: {survey.ids[3]}"):
        data_of(case, **changed).require_fit(clamped)
    squared = case.config.with_changes(objective={"loss": "mse"})
    data_of(case, config=squared, **changed).require_fit(squared)


def test_a_clamp_that_would_change_the_labels_is_refused(case):
    config = case.config.with_changes(label_clamp=(0, 4))
    low = replace(case.validation, labels=case.validation.labels - 0.5)
    with pytest.raises(ConfigError, match=r"of mock were to lie in label_clamp(?s:.*)of 20 outside"):
        data_of(case, validation=low).require_fit(config)
    data_of(case, validation=low).require_fit(case.config)
    labels = case.train.labels.copy()
    labels.loc[3, "z"], labels.loc[4, "z"] = 9.0, np.nan
    with pytest.warns(AstrolabWarning, match=r"1 of 44 outside(?s:.*)Training clamps"):
        data_of(case, train=replace(case.train, labels=labels)).require_fit(config)


def test_what_names_the_data_follows_objects_labels_weights_and_order(case):
    def changed(config=case.config, **changes):
        one, two = data_of(case).identity(case.config), data_of(case, **changes).identity(config)
        return {name for name in one if one[name] != two[name]}

    unknown = case.train.labels.copy()
    unknown.loc[3, "z"] = np.nan
    assert changed(train=replace(case.train, labels=case.train.labels + 0.1)) == {"labels"}
    assert changed(train=replace(case.train, labels=unknown)) == {"labels", "weights"}
    assert changed(train=replace(case.train, weights=pd.DataFrame({"z": np.full(45, 2.0)}))) == {"weights"}
    assert changed(train=case.train.take(slice(9))) == {"objects", "inputs", "labels", "weights"}
    assert changed(config=case.config.with_changes(sampler={"name": "balanced", "column": "member"})) == {"order"}
    assert changed(train=replace(case.train, inputs={**case.train.inputs, "magnitudes": np.zeros((45, 3))})) == set()


def test_it_follows_what_is_read_from_the_same_files(case):
    images, magnitudes = case.train.inputs["image"], case.train.inputs["magnitudes"].copy()
    cropped = replace(case.train, inputs={**case.train.inputs, "image": images[..., 1:7, 1:7]})
    in_other_units = replace(case.train, inputs={**case.train.inputs, "image": images * 2})
    magnitudes[17, 1] = np.nan  # one sentinel more
    missing = replace(case.train, inputs={**case.train.inputs, "magnitudes": magnitudes})
    assert cropped.digest == in_other_units.digest == missing.digest == case.train.digest
    surveys = (case.train, cropped, in_other_units, missing)
    found = {str(data_of(case, case.two, train=survey).identity(case.config)["inputs"]["train"]) for survey in surveys}
    assert len(found) == 4


def test_the_codes_are_the_eight_symmetries_of_a_square():
    image = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    codes = torch.arange(N_DIHEDRAL)
    turned = turn_and_mirror(torch.from_numpy(image).expand(N_DIHEDRAL, 2, 3, 3), codes=codes)
    expected = {np.rot90(view, k).tobytes() for view in (image, image[::-1]) for k in range(4)}
    assert {turned[k, 0].numpy().tobytes() for k in range(N_DIHEDRAL)} == expected
    assert torch.equal(turned[:, 0], turned[:, 1])
    assert torch.equal(turned[0, 0], torch.from_numpy(image))


def test_every_symmetry_is_drawn_and_depends_on_the_epoch():
    codes = dihedral_codes(800, seed=0, epoch=1)
    assert np.bincount(codes, minlength=8).min() > 60
    assert not np.array_equal(codes, dihedral_codes(800, seed=0, epoch=2))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", ["cnn", "mlp", "two"])
def test_streamed_and_held_batches_are_the_same_to_the_last_bit(case, name, channels_last, monkeypatch):
    monkeypatch.setattr(feeding, "CHUNK_BYTES", 7 * 4 * 3 * 8 * 8)
    network = getattr(case, name)
    held = feed_of(case.train, case, network, channels_last=channels_last)
    streamed = feed_of(case.train, case, network, channels_last=channels_last, storage="stream")
    assert len(held) == len(streamed) == 45
    both = (feed.batches(BATCHES, seeds=SEEDS) for feed in (held, streamed))
    for rows, one, two in zip(BATCHES, *both, strict=True):
        assert tuple(one.inputs) == tuple(two.inputs) == network.inputs
        for of in network.inputs:
            assert torch.equal(one.inputs[of], two.inputs[of]) and one.inputs[of].stride() == two.inputs[of].stride()
            assert one.inputs[of].dtype == (torch.float16 if of == "image" else torch.float32)
            expected = case.scaling.inputs[of].apply(case.train.inputs[of][rows])
            np.testing.assert_allclose(one.inputs[of].float(), expected, rtol=6e-4, atol=1e-6)
        for part in ("truth", "weight", "rows", "seeds"):
            assert torch.equal(getattr(one, part), getattr(two, part))
        np.testing.assert_array_equal(one.truth, case.train.labels.to_numpy(np.float32)[rows])
        np.testing.assert_array_equal(one.seeds, SEEDS[rows])


def test_unknown_labels_weigh_nothing_and_others_what_the_survey_says(case):
    labels = {"feh": np.linspace(-1, 1, 45), "alpha_fe": np.full(45, 0.2)}
    labels["alpha_fe"][:40] = np.nan
    weights = pd.DataFrame({"alpha_fe": np.arange(45.0)})
    survey = case.with_labels(case.train, weights=weights, **labels)
    network = type("Two", (), {"inputs": ("magnitudes",), "task": survey.task})()
    feed = feed_of(survey, case, network)
    (batch,) = feed.batches([np.array([3, 41])], seeds=SEEDS)
    np.testing.assert_allclose(batch.weight, [[1, 0], [1, 41]])
    np.testing.assert_allclose(batch.truth, [[labels["feh"][3], 0], [labels["feh"][41], 0.2]], rtol=1e-6)
    assert feed.weight_of(np.array([3, 41])) == 43 and feed.weight_of(np.array([3])) == 1


def test_raw_images_are_held_as_they_are(case):
    raw = data_of(case, scaling=fit_scaling(case.train, method="none"))
    (batch,) = make_feed(case.train, data=raw, hardware=HELD).batches(BATCHES[:1], seeds=SEEDS)
    assert batch.inputs["image"].dtype == torch.float32
    np.testing.assert_array_equal(batch.inputs["image"], case.train.inputs["image"][BATCHES[0]])
    assert raw.n_bytes == 2 * data_of(case).n_bytes == 65 * 3 * 8 * 8 * 4


@pytest.mark.parametrize("storage", ["device", "stream"])
def test_pixels_that_are_no_numbers_are_counted_and_named(case, storage):
    pixels = case.train.inputs["image"].copy()
    pixels[5, 1, 2, 2], pixels[9, 0, 0, 0] = np.nan, -np.inf
    survey = replace(case.train, inputs={**case.train.inputs, "image": pixels})
    with pytest.raises(PixelError, match=r"image of 45 galaxies(?s:.*)2 of them: 1005, 1009"):
        feed_of(survey, case, storage=storage)


def test_reading_leaves_the_survey_as_it_is(case):
    before = case.train.inputs["image"].copy()
    list(feed_of(case.train, case).batches(BATCHES, seeds=SEEDS))
    np.testing.assert_array_equal(case.train.inputs["image"], before)
