import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from astrolab.datasets.twins.catalogue import base_columns
from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.population import draw_galaxies
from astrolab.datasets.twins.structure import draw_shapes

BRIGHT = HscTwinKnobs("galaxiesml", "spectroscopic")
FAINT = HscTwinKnobs("transferz", "flux_limited", label_sigma=0.03, label_outlier_frac=0.1)


def columns_of(knobs, *, n=3000, key=(0, 1, 2), is_common=False):
    rng = np.random.default_rng(key)
    galaxies = draw_galaxies(knobs, n=n, rng=rng)
    shapes = draw_shapes(galaxies, knobs=knobs, rng=rng)
    return base_columns(galaxies, shapes=shapes, knobs=knobs, key=key, is_common=is_common, rng=rng)


def test_labels_have_the_noise_that_the_knobs_say():
    bright, faint = columns_of(BRIGHT), columns_of(FAINT)
    z = bright["true_redshift"]
    pull = (bright["specz_redshift"] - z) / (1 + z) / 2e-4
    assert np.std(pull) == pytest.approx(1.0, abs=0.1)
    z = faint["true_redshift"]
    dz = (faint["lp_zPDF_CLASSIC"] - z) / (1 + z)
    assert 1.4826 * np.median(np.abs(dz - np.median(dz))) == pytest.approx(0.03, abs=0.006)
    assert np.mean(np.abs(dz) > 0.15) == pytest.approx(0.1, abs=0.025)


def test_ids_are_whole_unique_and_beyond_what_a_float_can_hold():
    ids = np.concatenate(
        [columns_of(FAINT, key=(0, 1, block), is_common=common)["object_id"] for block in (0, 1) for common in (0, 1)]
    )
    assert ids.dtype == np.int64
    assert ids.min() > 2**53
    assert len(np.unique(ids)) == len(ids)
    assert not np.isin(columns_of(FAINT, key=(1, 1, 0))["object_id"], ids).any()


def test_no_two_galaxies_are_so_near_that_they_look_like_one():
    """At random, about fifty pairs of these were within an arcsecond: leaks that are none."""
    own = [columns_of(FAINT, n=1024, key=(0, 1, block)) for block in range(20)]
    shared = [columns_of(FAINT, n=64, key=(557, 0, block), is_common=True) for block in range(3)]
    ra, dec = (np.concatenate([part[name] for part in own + shared]) for name in ("ra", "dec"))
    sky = SkyCoord(ra, dec, unit="deg")
    assert sky.match_to_catalog_sky(sky, nthneighbor=2)[1].arcsec.min() > 1.49
    counts, _, _ = np.histogram2d(ra, dec, bins=8)
    chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert 63 * 0.5 < chi2 < 63 * 1.6, "as uneven as galaxies thrown at random"


def test_names_are_bytes_and_positions_are_in_the_survey():
    bright, faint = columns_of(BRIGHT, n=50), columns_of(FAINT, n=50)
    assert bright["specz_name"].dtype.kind == bright["coord"].dtype.kind == "S"
    assert "specz_redshift" not in faint
    assert ((faint["ra"] > 149.4) & (faint["ra"] < 150.9)).all()
    assert not ((bright["ra"] > 149.4) & (bright["ra"] < 150.9)).any()
