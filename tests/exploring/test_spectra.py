from dataclasses import replace

import numpy as np
import pytest
from observed_stars import GRID, IDS, OBSERVED, SPEED_KM_S, N, stars

from astrolab.exploring import spectra
from astrolab.exploring.spectra import read_spectra
from astrolab.tasks import InputSpec

# in vacuum (Å): lines that the SDSS pipeline looks for, classic.sdss.org/dr6/algorithms/linestable.html
SDSS = {"Hα": 6564.61, "Hβ": 4862.68, "Hγ": 4341.68, "Hδ": 4102.89, "Ca K": 3934.777, "Ca H": 3969.588}
SDSS_TRIPLET = (8500.36, 8544.44, 8664.52)


def in_medium(medium):
    spec = replace(stars(is_bridged=False).specs["spectrum"], medium=medium)
    return read_spectra(stars(is_bridged=False, specs={"spectrum": spec}), object_ids=IDS[:2])


def test_lines_stand_where_sdss_looks_for_them():
    found = in_medium("vacuum").lines
    for label, wave_ang in SDSS.items():
        np.testing.assert_allclose(found[label], wave_ang, atol=0.06)
    np.testing.assert_allclose(found["Ca II triplet"], SDSS_TRIPLET, atol=0.06)
    np.testing.assert_allclose(found["Hβ"] - in_medium("air").lines["Hβ"], 1.35, atol=0.02)
    unknown = in_medium("")
    np.testing.assert_array_equal(unknown.lines["Hβ"], found["Hβ"])
    assert "vacuum" not in unknown.axis and "Å)" in unknown.axis


def test_only_lines_on_the_grid_are_named():
    found = read_spectra(stars(is_bridged=True), object_ids=IDS[:1])
    assert set(found.lines) == {"Mg b", "Hβ", "G band", "Hγ", "Hδ", "Fe 5270", "Fe 5335"}


def test_an_observed_spectrum_is_shown_at_rest():
    found = read_spectra(stars(is_bridged=False), object_ids=IDS[[0, -1]])
    shift = 1 + SPEED_KM_S[[0, -1]] / 299_792.458
    expected = [np.mean(OBSERVED[k : k + 3]) for k in range(0, len(OBSERVED), 3)]
    np.testing.assert_allclose(found.wave * shift[:, None], [expected, expected], rtol=1e-6)


def test_points_are_weighted_means_and_masked_pixels_have_no_say(monkeypatch):
    monkeypatch.setattr(spectra, "N_POINTS", 2)
    flux, ivar = np.ones((N, 5), dtype=np.float32), np.ones((N, 5))
    flux[0], ivar[0] = [1, 4, 1e6, np.nan, 7], [1, 2, 0, 5, 0]
    spec = InputSpec(("pixel",), grid=GRID[:5], companions=("ivar",))
    given = {"inputs": {"spectrum": flux, "spectrum.ivar": ivar}, "specs": {"spectrum": spec}}
    found = read_spectra(stars(is_bridged=True, **given), object_ids=IDS[:2])
    np.testing.assert_allclose(found.flux, [[3.0, np.nan], [1, 1]])
    np.testing.assert_allclose(found.sigma, [[3**-0.5, np.nan], [3**-0.5, 2**-0.5]])
    np.testing.assert_allclose(found.wave[0], [np.mean(GRID[:3]), np.mean(GRID[3:5])])


def test_each_object_may_have_its_own_wavelengths_and_no_errors():
    own = OBSERVED[None] + np.arange(N)[:, None]
    flux = np.ones(own.shape, dtype=np.float32)
    spec = InputSpec(("pixel",), companions=("wave",))
    survey = stars(is_bridged=False, inputs={"spectrum": flux, "spectrum.wave": own}, specs={"spectrum": spec})
    found = read_spectra(survey, object_ids=IDS[[0, 7]])
    np.testing.assert_allclose(found.wave[1] - found.wave[0], 7)
    assert np.isnan(found.sigma).all() and np.isfinite(found.flux).all()


def test_a_bridge_over_spectra_without_errors_makes_none():
    mask = np.ones((N, len(GRID)))
    mask[:, :700] = 0
    given = {"spectrum": stars(is_bridged=True).inputs["spectrum"], "spectrum.ivar": mask}
    found = read_spectra(stars(is_bridged=True, inputs=given), object_ids=IDS[:2])
    assert np.isnan(found.sigma).all() and np.isfinite(found.flux).sum(axis=1).tolist() == [381, 381]


@pytest.mark.parametrize("is_bridged", [True, False])
@pytest.mark.parametrize("letter", [0.005, 0.011, 0.03, 0.1])
def test_labels_of_lines_never_lie_over_each_other_or_beyond_the_ends(is_bridged, letter):
    found = read_spectra(stars(is_bridged=is_bridged), object_ids=IDS[:1])
    low, high = found.ends
    placed = found.labels(letter=letter)
    assert placed and set(placed) <= set(found.lines)
    spans = [(at - half, at + half, row) for at, row, half in placed.values()]
    for number, (left, right, row) in enumerate(spans):
        assert low - 1e-6 <= left and right <= high + 1e-6 and row in (0, 1)
        assert all(row != other or right <= start + 1e-6 or end <= left + 1e-6 for start, end, other in spans[:number])
    for label, (_, _, half) in placed.items():
        assert 2 * half >= len(label) * letter * (high - low)


def test_a_spectrum_of_bad_pixels_alone_has_an_axis_too():
    survey = stars(is_bridged=True)
    bad = {"spectrum": survey.inputs["spectrum"], "spectrum.ivar": np.zeros((N, len(GRID)))}
    found = read_spectra(stars(is_bridged=True, inputs=bad), object_ids=IDS[:1])
    low, high = found.shown(0)
    assert np.isnan(found.flux).all() and low < high
