from dataclasses import replace

import galsim
import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.imaging import fit_moffat, measure_imaging, resample, sky_sigma
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import SchemaError, UnknownNameError
from astrolab.tasks import REDSHIFT, InputSpec

SCALE_ARCSEC = 0.168
ZERO_POINT_MAG = 27.0
SKY = 0.05
FWHM_ARCSEC = 0.66


def star(*, fwhm=FWHM_ARCSEC, beta=2.5, flux=1.0, size=32, shift=(0.0, 0.0)):
    profile = galsim.Moffat(beta=beta, fwhm=fwhm, flux=flux).shift(*shift)
    return profile.drawImage(nx=size, ny=size, scale=SCALE_ARCSEC, method="no_pixel").array


@pytest.fixture(scope="module")
def survey():
    """A third of the objects are points, the others twice as wide; every one of them bright."""
    random = np.random.default_rng(0)
    mags = random.uniform(19, 22, 150)
    stamps = []
    for number, mag in enumerate(mags):
        flux = 10 ** (0.4 * (ZERO_POINT_MAG - mag))
        shift = random.uniform(-0.4, 0.4, 2) * SCALE_ARCSEC
        stamps.append(star(fwhm=FWHM_ARCSEC * (1 if number % 3 == 0 else 2), flux=flux, shift=shift))
    images = np.array(stamps)[:, None] + random.normal(0, SKY, (150, 1, 32, 32))
    return Survey(
        name="points",
        inputs={"image": images.astype(np.float32), "magnitudes": mags[:, None]},
        labels=pd.DataFrame({"z": np.ones(150)}),
        ids=np.arange(150),
        specs={
            "image": InputSpec(("band", "y", "x"), ("hsc-i",), scale_arcsec=SCALE_ARCSEC),
            "magnitudes": InputSpec(("band",), ("hsc-i",), "AB mag"),
        },
        task=REDSHIFT,
        provenance=Provenance(
            survey="points",
            title="points",
            simulated=True,
            knobs={"seeing_arcsec": [FWHM_ARCSEC], "depth_mag": [26.0]},
        ),
    )


def only(survey, name):
    return replace(survey, inputs={name: survey.inputs[name]}, specs={name: survey.specs[name]})


def test_noise_is_told_from_a_galaxy_that_fills_the_stamp():
    random = np.random.default_rng(1)
    sigma = np.array([0.5, 2.0])
    stamps = sigma[:, None, None] * random.normal(size=(3, 2, 64, 64)) + 3 * np.arange(64)[:, None]
    np.testing.assert_allclose(sky_sigma(stamps), np.tile(sigma, (3, 1)), rtol=0.05)


@pytest.mark.parametrize("beta", [2.5, 4.0])
@pytest.mark.parametrize("size", [17, 32])
def test_a_star_of_galsim_has_its_width_and_its_noise_area(beta, size):
    image = star(beta=beta, size=size, shift=(0.03, -0.05))
    fwhm_px, noise_area_px = fit_moffat(image)
    assert fwhm_px * SCALE_ARCSEC == pytest.approx(FWHM_ARCSEC, rel=1e-3)
    whole = star(beta=beta, size=256)
    assert noise_area_px == pytest.approx(1 / (whole**2).sum(), rel=5e-3)


def test_seeing_zero_point_and_depth_are_those_the_stars_were_made_with(survey):
    table = measure_imaging(survey)
    row = table.iloc[0]
    assert row.sky_sigma == pytest.approx(SKY, rel=0.05)
    assert row.fwhm_arcsec == pytest.approx(FWHM_ARCSEC, rel=0.03)
    assert row.zero_point_mag == pytest.approx(ZERO_POINT_MAG, abs=0.08)  # 21 pixels miss the wings
    # Under the profile as weight, the noise of a flux is sigma / sqrt(sum P^2).
    five_sigma = 5 * SKY / np.sqrt((star(size=256) ** 2).sum())
    assert row.depth_mag == pytest.approx(ZERO_POINT_MAG - 2.5 * np.log10(five_sigma), abs=0.12)
    assert (row.stated_fwhm_arcsec, row.stated_depth_mag) == (FWHM_ARCSEC, 26.0)
    assert row.simulated


def test_what_cannot_be_measured_is_not_a_number(survey):
    few = measure_imaging(survey.take(np.arange(5))).iloc[0]
    assert np.isnan([few.fwhm_arcsec, few.depth_mag, few.zero_point_mag]).all()
    assert few.sky_sigma > 0
    bare = {"image": replace(survey.specs["image"], scale_arcsec=None)}
    no_mags = replace(only(survey, "image"), specs=bare, provenance=Provenance("points", "points"))
    row = measure_imaging(no_mags).iloc[0]
    assert np.isnan([row.zero_point_mag, row.depth_mag, row.fwhm_arcsec, row.stated_depth_mag]).all()


def test_a_twin_is_about_as_sharp_and_deep_as_it_says():
    from astrolab.datasets.loading import load_survey

    table = measure_imaging(load_survey("twin-transferz", n=300, seed=0, image_size=32))
    reliable = table[table["fwhm_arcsec"].notna()]
    assert len(reliable) >= 3
    assert (reliable["fwhm_arcsec"] / reliable["stated_fwhm_arcsec"]).between(0.95, 1.25).all()  # an upper limit
    assert (reliable["stated_depth_mag"] - reliable["depth_mag"]).between(-0.1, 0.4).all()


def test_a_catalogue_without_images_is_refused(survey):
    with pytest.raises(UnknownNameError, match="magnitudes"):
        measure_imaging(only(survey, "magnitudes"))


def test_whole_ratios_sum_blocks_and_others_share_pixels_by_area(survey):
    images = survey.inputs["image"][:]
    double = resample(survey, scale_arcsec=2 * SCALE_ARCSEC)
    blocks = images.reshape(150, 1, 16, 2, 16, 2).sum(axis=(3, 5))
    np.testing.assert_allclose(double.inputs["image"][[7, 3]], blocks[[7, 3]], rtol=1e-5, atol=1e-5)
    # Halving the pixels exactly, then summing threes, is resampling by 3/2.
    shared = resample(survey, scale_arcsec=1.5 * SCALE_ARCSEC).inputs["image"]
    halves = np.repeat(np.repeat(images / 4, 2, axis=2), 2, axis=3)[:, :, :63, :63]
    thirds = halves.reshape(150, 1, 21, 3, 21, 3).sum(axis=(3, 5))
    assert shared.shape == (150, 1, 21, 21)
    np.testing.assert_allclose(shared[:], thirds, rtol=1e-5, atol=1e-5)
    assert double.specs["image"].scale_arcsec == 2 * SCALE_ARCSEC
    assert "image: resampled from 0.168 to 0.336 arcsec a pixel" in repr(double)


def test_images_are_cut_after_resampling_and_a_star_keeps_its_flux(survey):
    cut = resample(survey, scale_arcsec=2 * SCALE_ARCSEC, size=8)
    whole = resample(survey, scale_arcsec=2 * SCALE_ARCSEC).inputs["image"][:]
    np.testing.assert_array_equal(cut.inputs["image"][:], whole[..., 4:12, 4:12])
    np.testing.assert_allclose(whole.sum(axis=(2, 3)), survey.inputs["image"][:].sum(axis=(2, 3)), rtol=1e-4)
    same = resample(survey, scale_arcsec=SCALE_ARCSEC, size=16)
    assert same.provenance == survey.provenance and same.inputs["image"].shape == (150, 1, 16, 16)
    unknown = replace(survey, specs={**survey.specs, "image": replace(survey.specs["image"], scale_arcsec=None)})
    with pytest.raises(SchemaError, match="unknown arcsec"):
        resample(unknown, scale_arcsec=0.2)
    with pytest.raises(UnknownNameError):
        resample(only(survey, "magnitudes"), scale_arcsec=0.2)
