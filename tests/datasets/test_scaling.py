"""Scaling measures noise and spread correctly, and does the same to arrays, tensors and saved copies of itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.stats import mad_std
from bit_flips import require_every_flip_refused
from sklearn.preprocessing import StandardScaler

from astrolab.datasets.scaling import Scaling, fit_scaling, sky_noise
from astrolab.errors import CheckpointError, ConfigError, PixelError, SchemaError, UnknownNameError

NOISE = np.array([0.02, 0.05, 0.1, 0.3, 1.0])


def fit_images(survey, **options):
    """How the images of a survey are scaled."""
    return fit_scaling(survey, inputs=["image"], **options).inputs["image"]


@pytest.fixture
def sky_survey(make_survey):
    """Stamps of known noise with a bright round galaxy in the centre, and neighbours at the border of some."""
    random = np.random.default_rng(0)
    radius = np.hypot(*np.mgrid[-16:16, -16:16])
    flux = 10 ** random.uniform(0, 4, size=(60, 1, 1, 1)) * NOISE[:, None, None]
    images = flux * np.exp(-radius) + random.normal(size=(60, 5, 32, 32)) * NOISE[:, None, None]
    images[::5, :, :6, :6] += 500
    return make_survey(n=60, inputs={"image": images.astype(np.float32)})


def test_sky_noise_is_the_noise_put_in(sky_survey):
    np.testing.assert_allclose(sky_noise(sky_survey.inputs["image"]), NOISE, rtol=0.04)


def test_the_deviation_is_that_of_astropy():
    image = np.random.default_rng(1).normal(3, 2, size=(1, 2, 16, 16))
    ring = np.ones((16, 16), dtype=bool)
    ring[1:-1, 1:-1] = False
    np.testing.assert_allclose(sky_noise(image), mad_std(image[0][:, ring], axis=1))


def test_zero_padding_is_not_sky(sky_survey):
    padded = np.pad(sky_survey.inputs["image"][:], [(0, 0), (0, 0), (16, 16), (16, 16)])
    padded[::3] = np.random.default_rng(2).normal(size=(20, 5, 64, 64)) * NOISE[:, None, None]
    np.testing.assert_allclose(sky_noise(padded), NOISE, rtol=0.04)


def test_asinh_follows_lupton_1999(sky_survey):
    """Faint flux: x s = f / 2b. Bright flux: x s = ln(f / b), so a difference of bands is a colour."""
    scaling = fit_images(sky_survey)
    b = np.array(scaling.width) / 2
    np.testing.assert_allclose(b, 1.042 * NOISE, rtol=0.04)
    flux = np.stack([1e-3 * b, 1e4 * b])[..., None]
    scaled = scaling.apply(flux)[..., 0] * scaling.scale
    np.testing.assert_allclose(scaled[0], 0.5e-3, rtol=1e-5)
    np.testing.assert_allclose(scaled[1], np.log(1e4), rtol=1e-6)


def test_scaled_images_are_of_order_one_and_safe_in_float16(sky_survey):
    scaled = fit_images(sky_survey).apply(sky_survey.inputs["image"][:])
    peaks = np.abs(scaled).max(axis=(1, 2, 3))
    assert np.median(peaks) == pytest.approx(1)
    assert peaks.max() < 3
    extreme = fit_images(sky_survey).apply(np.full((1, 5, 1, 1), np.float32(1e36)))
    assert np.isfinite(extreme.astype(np.float16)).all()


@pytest.mark.parametrize("method", ["asinh", "standard", "none"])
def test_arrays_and_tensors_scale_alike(sky_survey, method):
    scaling = fit_images(sky_survey, method=method)
    images = sky_survey.inputs["image"][:8]
    array, tensor = scaling.apply(images), scaling.apply(torch.from_numpy(images.copy()))
    assert array.dtype == np.float32 and tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), array, rtol=3e-7, atol=1e-7)
    half = scaling.apply(torch.from_numpy(images.copy()).to(torch.float16))
    assert half.dtype == torch.float32


def test_magnitudes_scale_as_scikit_learn_scales_and_missing_ones_become_the_mean(make_survey):
    magnitudes = np.random.default_rng(0).normal([24, 23, 22, 21, 20], [2, 1, 1, 1, 0.5], size=(200, 5))
    magnitudes = magnitudes.astype(np.float32)
    magnitudes[:30, 0] = np.nan
    survey = make_survey(n=200, inputs={"magnitudes": magnitudes})
    scaling = fit_scaling(survey).inputs["magnitudes"]
    expected = np.nan_to_num(StandardScaler().fit_transform(magnitudes.astype(float)))
    np.testing.assert_allclose(scaling.apply(magnitudes), expected, atol=2e-5)
    assert scaling.imputed_frac == (0.15, 0, 0, 0, 0)
    assert (scaling.apply(torch.from_numpy(magnitudes))[:30, 0] == 0).all()
    magnitudes[0, 1] = np.inf
    assert np.isinf(scaling.apply(magnitudes)[0, 1])


def test_as_published_leaves_raw_flux(sky_survey):
    images = sky_survey.inputs["image"][:3]
    np.testing.assert_array_equal(fit_images(sky_survey, method="none").apply(images), images)


def test_a_bad_pixel_stays_bad(sky_survey):
    images = sky_survey.inputs["image"][:1].copy()
    images[0, 0, 0, 0] = np.nan
    assert np.isnan(fit_images(sky_survey).apply(images)[0, 0, 0, 0])


def test_a_saved_scaling_is_the_same(sky_survey, tmp_path):
    scaling = fit_scaling(sky_survey)
    assert Scaling.load(scaling.save(tmp_path / "scaling.json")) == scaling
    assert scaling.fitted_on == sky_survey.digest


def test_one_flipped_bit_of_a_saved_scaling_is_refused(sky_survey, tmp_path):
    path = fit_scaling(sky_survey).save(tmp_path / "scaling.json")
    require_every_flip_refused(path, load=lambda: Scaling.load(path), error=CheckpointError)
    with pytest.raises(CheckpointError, match="no such file"):
        Scaling.load(tmp_path / "none.json")


def test_the_fit_is_reproducible_and_looks_at_few(make_survey):
    images = np.random.default_rng(0).normal(size=(1500, 5, 4, 4)).astype(np.float32)
    survey = make_survey(n=1500, inputs={"image": images})
    assert fit_scaling(survey, seed=3) == fit_scaling(survey, seed=3)
    assert fit_scaling(survey, seed=3) != fit_scaling(survey, seed=4)


def with_spec(survey, **changes):
    return replace(survey, specs={"image": replace(survey.specs["image"], **changes)})


def test_other_channels_are_refused(sky_survey):
    scaling = fit_scaling(sky_survey)
    scaling.require_fits(sky_survey, inputs=["image"])
    swapped = with_spec(sky_survey, channels=sky_survey.specs["image"].channels[::-1])
    with pytest.raises(SchemaError, match="as_channels"):
        scaling.require_fits(swapped, inputs=["image"])
    with pytest.raises(SchemaError, match="a survey with image"):
        scaling.require_fits(sky_survey, inputs=["image", "magnitudes"])
    for shape in [(4, 3, 8, 8), (5,), (8, 8, 5)]:
        with pytest.raises(SchemaError):
            scaling.apply({"image": np.zeros(shape)})


def test_another_unit_is_refused_where_both_are_known(sky_survey):
    scaling = fit_scaling(with_spec(sky_survey, unit="nJy"))
    assert scaling.inputs["image"].unit == "nJy"
    for unit in ("nJy", ""):
        scaling.require_fits(with_spec(sky_survey, unit=unit), inputs=["image"])
    with pytest.raises(SchemaError, match="counts"):
        scaling.require_fits(with_spec(sky_survey, unit="counts"), inputs=["image"])


def test_every_input_is_scaled_in_its_own_way_and_companions_are_not(make_survey):
    random = np.random.default_rng(0)
    flux = random.normal(np.linspace(1, 5, 12), np.linspace(0.1, 1, 12), size=(400, 12))
    inputs = {"spectrum": flux, "magnitudes": random.normal(22, 1, (400, 5))}
    survey = make_survey(n=400, inputs=inputs)
    scaling = fit_scaling(survey, method={"magnitudes": "none"})
    assert repr(scaling) == "Scaling: spectrum standard · magnitudes none"
    scaled = scaling.apply({**inputs, "spectrum.ivar": flux})
    np.testing.assert_allclose(scaled["spectrum"], StandardScaler().fit_transform(flux), atol=1e-5)
    np.testing.assert_array_equal(scaled["magnitudes"], inputs["magnitudes"].astype(np.float32))
    assert set(scaled) == {"spectrum", "magnitudes"}
    with pytest.raises(ConfigError, match="numbers in a row"):
        fit_scaling(survey, inputs=["spectrum"], method="asinh")


def test_a_missing_magnitude_is_imputed_and_a_missing_pixel_is_not(make_survey):
    values = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    survey = make_survey(n=60, inputs={"magnitudes": values, "spectrum": values})
    values = values.copy()
    values[0, 0] = np.nan
    scaled = fit_scaling(survey).apply({"magnitudes": values, "spectrum": values})
    assert scaled["magnitudes"][0, 0] == 0 and np.isnan(scaled["spectrum"][0, 0])


@pytest.mark.parametrize("images", [np.zeros((4, 5, 8, 8)), np.full((4, 5, 8, 8), np.nan)])
@pytest.mark.parametrize("method", ["asinh", "standard"])
def test_images_without_sky_or_spread_are_refused(make_survey, images, method):
    with pytest.raises(PixelError, match="noise or spread"):
        fit_images(make_survey(n=4, inputs={"image": images.astype(np.float32)}), method=method)


def test_names_and_numbers_that_cannot_be_are_refused(sky_survey):
    with pytest.raises(UnknownNameError):
        fit_scaling(sky_survey, method="log")
    with pytest.raises(UnknownNameError):
        fit_scaling(sky_survey, inputs=["spectrum"])
