import galsim
import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.imaging import fit_moffat, measure_imaging, sky_sigma
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import UnknownNameError

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
        bands=("hsc-i",),
        catalogue={},
        sky_deg=None,
        published_split=None,
        provenance=Provenance(
            survey="points",
            title="points",
            pixel_scale_arcsec=SCALE_ARCSEC,
            simulated=True,
            knobs={"seeing_arcsec": [FWHM_ARCSEC], "depth_mag": [26.0]},
        ),
    )


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
    inputs = {"image": survey.inputs["image"]}
    no_mags = Survey(**{**vars(survey), "inputs": inputs, "provenance": Provenance("points", "points")})
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
    bare = Survey(**{**vars(survey), "inputs": {"magnitudes": survey.inputs["magnitudes"]}})
    with pytest.raises(UnknownNameError, match="magnitudes"):
        measure_imaging(bare)
