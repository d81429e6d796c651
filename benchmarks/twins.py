"""The twins beside real surveys: the tables of docs/twins.md.

    python benchmarks/twins.py REAL_DATA [--n 3000] [--stars]
    python benchmarks/twins.py REAL_DATA --fit giants
    python benchmarks/twins.py REAL_DATA --fit weak-lines

REAL_DATA holds `galaxiesml_published`, `photoz_deep_ugrizy` and `hsc_grizy_scenes`; for stars `stars_miles` and
`apogee_lamost_labels` (see docs/twins.md for their sources). About a minute on one core. `--fit` prints the numbers of
twins/stars/tables.toml that are fitted to real stars.
"""

import argparse
import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import zoom
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsRegressor

from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.twins.galaxies import twin_knobs
from astrolab.datasets.twins.galaxies.population import counts_per_arcmin2, draw_galaxies
from astrolab.datasets.twins.galaxies.simulation import simulate_arrays, sky_noise
from astrolab.datasets.twins.stars import population, spectra

PERCENTILES = (5, 16, 50, 84, 95)
MEGACAM = ("cfht_megacam-g", "cfht_megacam-r", "cfht_megacam-i", "cfht_megacam-z", "hsc2017-y")
MORPHOLOGY = {
    "major_axis": "Semi-major Axis",
    "minor_axis": "Semi-minor Axis",
    "isophotal_area": "Isophotal Area",
    "ellipticity": "Ellipticity",
    "sersic_index": "Sersic Index",
}

# stars: passband and both sidebands (air Å) of Trager et al. (1998, ApJS 116, 1)
LICK = {
    "Hβ": ((4847.875, 4876.625), (4827.875, 4847.875), (4876.625, 4891.625)),
    "Mg b": ((5160.125, 5192.625), (5117.7, 5142.7), (5191.375, 5206.375)),
    "Fe5270": ((5245.65, 5285.65), (5233.15, 5248.15), (5285.65, 5318.15)),
    "Fe5335": ((5312.125, 5352.125), (5304.625, 5317.375), (5353.375, 5363.375)),
}
MILES_FWHM_ANG = 2.5
GROUPS = {  # lowest and highest Teff, log g, [Fe/H]
    "M giants": ((2800, 3900), (-1, 3), (-3, 1)),
    "K giants": ((3900, 5300), (-1, 3.5), (-0.6, 1)),
    "K giants, metal-poor": ((3900, 5500), (-1, 3.5), (-3, -0.9)),
    "K dwarfs": ((3900, 5300), (3.8, 6), (-3, 1)),
    "G dwarfs": ((5300, 6100), (3.5, 6), (-0.5, 1)),
    "F and G dwarfs, metal-poor": ((5300, 6600), (3.3, 6), (-3, -0.9)),
    "F stars": ((6100, 7200), (2, 6), (-0.5, 1)),
    "A stars": ((7200, 10_000), (2, 6), (-3, 1)),
}
LABELS = ["TEFF", "LOGG", "FE_H", "PARAM_ALPHA_M"]


def show(title, rows):
    """Print one table in Markdown."""
    table = pd.DataFrame(rows)
    print(f"\n### {title}\n")
    print("| " + " | ".join(table.columns) + " |\n|" + "---|" * table.shape[1])
    for row in table.itertuples(index=False):
        print("| " + " | ".join(value if isinstance(value, str) else f"{value:.3g}" for value in row) + " |")


def nearest_neighbours(columns, *, label, true=False):
    """Scatter of redshifts from ten neighbours in colour and magnitude: trained on half, NMAD on the rest."""
    magnitudes = np.stack([columns[f"{band}_cmodel_mag"] for band in "grizy"], axis=1)
    features = np.column_stack([0.3 * magnitudes[:, 2], -np.diff(magnitudes, axis=1)])
    half = len(label) // 2
    pred = KNeighborsRegressor(10, weights="distance").fit(features[:half], label[:half]).predict(features[half:])
    truth = (columns["true_redshift"] if true else label)[half:]
    dz = (pred - truth) / (1 + truth)
    return 1.4826 * np.median(np.abs(dz - np.median(dz))), np.mean(np.abs(dz) > 0.15)


def table_1(twins):
    rows = []
    for name, (columns, label), paper in zip(twins, twins.values(), ((1.2, 22, 0.0002), (1.8, 25, 0.03)), strict=True):
        error = np.abs(label - columns["true_redshift"]) / (1 + columns["true_redshift"])
        z, i_mag = np.percentile(label, 90), np.percentile(columns["i_cmodel_mag"], 90)
        rows.append({"survey": name, "z 90 %": z, "paper": paper[0], "i 90 %": i_mag, "paper ": paper[1],
                     "label error": np.median(error) / 0.6745, "paper  ": paper[2]})  # fmt: skip
    show("Table 1 of the paper", rows)


def photometric_redshifts(twins):
    rows = []
    for name, (columns, label) in twins.items():
        scatter, outliers = nearest_neighbours(columns, label=label)
        of_truth, _ = nearest_neighbours(columns, label=label, true=True)
        rows.append({"survey": name, "NMAD against labels": scatter, "outliers": outliers, "against true z": of_truth})
    show("Nearest neighbours on measured grizy magnitudes", rows)


def counts(knobs):
    i_mag = np.array([20.0, 21.0, 22.0, 23.0, 24.0, 25.0])
    ours, book = counts_per_arcmin2(knobs, i_mag=i_mag), 46 * 10 ** (0.31 * (i_mag - 25))
    show("Galaxies per square arcminute brighter than i", [
        {"i": i, "twin": a, "LSST Science Book": b} for i, a, b in zip(i_mag, ours, book, strict=True)
    ])  # fmt: skip


def redshifts(knobs, real):
    published = pd.read_csv(real / "galaxiesml_published/LSTM_MDNz_GalaxiesML_pred_z.dat", sep=r"\s+")["spect_z_test"]
    z = draw_galaxies(knobs, n=30_000, rng=np.random.default_rng(0)).z
    edges = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0])
    ours, theirs = (100 * np.histogram(one, edges)[0] / len(one) for one in (z, published))
    show("Spectroscopic redshifts, %", [
        {"z": f"{low:.1f}-{high:.1f}", "twin": a, "GalaxiesML": b}
        for low, high, a, b in zip(edges[:-1], edges[1:], ours, theirs, strict=True)
    ])  # fmt: skip


def colours(knobs, real):
    table = Table.read(real / "photoz_deep_ugrizy/combined_catalog_DEEP23.fits")
    magnitudes = np.stack([np.asarray(table[band], dtype=float) for band in "griz"], axis=1)
    z = np.asarray(table["redshift"], dtype=float)
    good = (np.abs(magnitudes - 22) < 8).all(axis=1) & (magnitudes[:, 1] < 24.1)
    ours = draw_galaxies(knobs.with_changes(i_limit_mag=24.0, bands=MEGACAM), n=40_000, rng=np.random.default_rng(2))
    rows = []
    for low in np.arange(0.2, 1.4, 0.2):
        inside = (ours.z > low) & (ours.z < low + 0.2) & (ours.mag[:, 1] < 24.1)
        row = {"z": f"{low:.1f}-{low + 0.2:.1f}"}
        real_colours = -np.diff(magnitudes[good & (z > low) & (z < low + 0.2)], axis=1)
        for colour, a, b in zip(
            ("g-r", "r-i", "i-z"), -np.diff(ours.mag[inside, :4], axis=1).T, real_colours.T, strict=True
        ):
            row |= {f"{colour} twin": np.median(a), f"{colour} DEEP2": np.median(b)}
        rows.append(row)
    show("Median colours to r = 24.1 in the filters of the real catalogue", rows)


def shapes(columns, real):
    table = pd.read_csv(real / "galaxiesml_published/galaxiesml_test_morphology_lizarraga2024.csv")
    table = table[table["Semi-major Axis"] > 0]
    rows = []
    for name, theirs in MORPHOLOGY.items():
        for survey, values in (("twin", columns[f"i_{name}"]), ("GalaxiesML", table[theirs])):
            values = np.percentile(values, PERCENTILES)
            percentiles = {f"{p} %": value for p, value in zip(PERCENTILES, values, strict=True)}
            rows.append({"quantity": name, "survey": survey, **percentiles})
    show("Sizes and shapes in i", rows)


def noise(knobs, real):
    scene = np.load(real / "hsc_grizy_scenes/hsc_cosmos_35.npz")
    theirs = np.sqrt(np.median(scene["variance"], axis=(1, 2)))
    ours = sky_noise(knobs, fwhm_px=torch.tensor([knobs.seeing_arcsec]) / knobs.pixel_scale_arcsec)[0]
    rows = []
    for band, letter in enumerate("grizy"):
        star = scene["psfs"][band] / scene["psfs"][band].sum()
        fine = zoom(star, 8, order=3)
        core = 2 * np.sqrt((fine > fine.max() / 2).sum() / np.pi) / 8 * knobs.pixel_scale_arcsec
        rows.append({"band": letter, "sky σ twin": float(ours[band]), "sky σ COSMOS": theirs[band],
                     "FWHM twin": knobs.seeing_arcsec[band], "FWHM COSMOS": core})  # fmt: skip
    show("Sky noise per pixel and seeing (arcsec), ultra-deep layer", rows)


def real_stars(real):
    """Spectra of MILES on their own grid, in air (Å), with Teff, log g, [Fe/H]: those that have all three."""
    with (real / "stars_miles/MILES_params.db").open() as lines:
        rows = [line.split() for line in lines if not line.startswith("#")]
    labels = {row[0]: np.array(row[1:4], dtype=float) for row in rows if len(row) == 4}
    stars, fluxes = [], []
    with tarfile.open(real / "stars_miles/miles_third_fits.tar.gz") as archive:
        for member in (one for one in archive if one.isfile()):
            known = labels.get(member.name[-10:-6])
            if known is None or np.abs(known[1:]).max() > 90:
                continue
            with fits.open(io.BytesIO(archive.extractfile(member).read())) as hdus:
                header, flux = hdus[0].header, hdus[0].data.ravel().astype(float)
            stars.append(known)
            fluxes.append(flux)
    return header["CRVAL1"] + header["CDELT1"] * np.arange(len(flux)), np.array(stars), np.array(fluxes)


def twin_stars(stars, *, wave_air):
    """The twin's spectra of stars of these labels at the resolution of MILES; [α/Fe] as usual for [Fe/H]."""
    alpha = np.clip(-0.35 * stars[:, 2], 0.0, 0.35)
    fine = spectra.spectrum(spectra.floats(np.column_stack([stars, alpha]))).numpy()
    s2 = (1e4 / spectra.GRID) ** 2
    air = spectra.GRID / (1.0 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2))
    seen = np.empty((len(stars), len(wave_air)))
    for block in (slice(first, first + 100) for first in range(0, len(wave_air), 100)):
        wave = wave_air[block]
        sigma = np.sqrt((MILES_FWHM_ANG / 2.3548) ** 2 - (wave * spectra.SIGMA_KMS / spectra.C_KMS) ** 2)
        inside = (air > wave[0] - 8) & (air < wave[-1] + 8)
        weights = np.exp(-0.5 * ((air[inside, None] - wave) / sigma) ** 2)
        seen[:, block] = fine[:, inside] @ (weights / weights.sum(axis=0))
    return seen


def index(wave, flux, name):
    """Equivalent width (Å) below the line through the means of both sidebands, of spectra (n, pixel)."""
    inside, *sides = (np.linspace(*edges, 400) for edges in LICK[name])
    blue, red = (np.mean([np.interp(side, wave, one) for one in flux], axis=1) for side in sides)
    along = (inside - sides[0].mean()) / (sides[1].mean() - sides[0].mean())
    level = blue[:, None] + (red - blue)[:, None] * along
    return (1 - np.stack([np.interp(inside, wave, one) for one in flux]) / level).mean(axis=1) * np.ptp(inside)


def line_indices(real):
    wave, stars, flux = real_stars(real)
    pairs = {name: (index(wave, twin_stars(stars, wave_air=wave), name), index(wave, flux, name)) for name in LICK}
    iron = [np.mean(one, axis=0) for one in zip(pairs.pop("Fe5270"), pairs.pop("Fe5335"), strict=True)]
    rows = []
    for group, edges in GROUPS.items():
        chosen = np.all([(stars[:, k] >= low) & (stars[:, k] < high) for k, (low, high) in enumerate(edges)], axis=0)
        row = {"stars": group, "n": str(chosen.sum())}
        for name, (twin, miles) in (pairs | {"⟨Fe⟩": iron}).items():
            row |= {f"{name} twin": np.median(twin[chosen]), f"{name} MILES": np.median(miles[chosen]),
                    f"{name} scatter": np.std((twin - miles)[chosen])}  # fmt: skip
        rows.append(row)
    show("Line indices (Å) of real stars, and of twins with their labels", rows)


def giants(real):
    table = pd.read_csv(real / "apogee_lamost_labels/apogee_dr12_labels.csv.gz")[LABELS].to_numpy()
    twin = population.draw_giants(40_000, rng=np.random.default_rng(0))
    rows = []
    for column, name in enumerate(("Teff", "log g", "[Fe/H]", "[α/Fe]")):
        for survey, values in (("twin", twin), ("APOGEE", table)):
            of = np.percentile(values[:, column], PERCENTILES)
            rows.append({"label": name, "survey": survey} | {f"{p} %": v for p, v in zip(PERCENTILES, of, strict=True)})
    show("Labels of giants", rows)


def fit_giants(real):
    """Print the mixture of tables.toml: the best by BIC of three starts with eight components."""
    table = pd.read_csv(real / "apogee_lamost_labels/apogee_dr12_labels.csv.gz")[LABELS].to_numpy()
    unit = np.array([100.0, 0.3, 0.2, 0.05])
    fits_of = [GaussianMixture(8, random_state=seed, reg_covar=1e-3).fit(table / unit) for seed in range(3)]
    best = min(fits_of, key=lambda one: one.bic(table / unit))
    for number in np.argsort(-best.weights_):
        factor = np.linalg.cholesky(best.covariances_[number]) * unit[:, None]
        numbers = [best.weights_[number], *best.means_[number] * unit, *factor[np.tril_indices(4)]]
        print(" ".join(f"{one:.4g}" for one in numbers))


def fit_weak_lines(real):
    """Print how many weak lines per 100 Å make up what named lines leave of the absorption of F, G and K stars."""
    wave, stars, flux = real_stars(real)
    chosen = (stars[:, 0] > 4600) & (stars[:, 0] < 6800) & (stars[:, 2] > -0.7)
    stars, flux, table = stars[chosen], flux[chosen], spectra.TABLES["weak"]
    s2 = (1e4 / wave) ** 2
    vacuum = wave * (1.0 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2))
    place = ((vacuum - table["start_ang"]) // table["step_ang"]).astype(int)
    n = place.max() + 1
    density = start = 150.0 * (4500.0 / (table["start_ang"] + table["step_ang"] * (np.arange(n) + 0.5))) ** 3
    depth = spectra.amplitudes(spectra.floats(np.column_stack([stars, np.clip(-0.3 * stars[:, 2], 0, 0.3)])))[0]
    depth = (depth[:, -len(spectra.WEAK) :].numpy() * spectra.WEAK[:, 3].astype(float)).sum(axis=1)
    line_width = np.sqrt(2 * np.pi) * spectra.SIGMA_KMS / spectra.C_KMS * vacuum
    for _ in range(16):
        table["per_100_ang"] = " ".join(f"{one:.2f}" for one in density)
        spectra._tiles.cache_clear()
        left = np.log(np.clip(flux / twin_stars(stars, wave_air=wave), 0.05, 20.0))
        left -= np.median(left[:, (wave > 5300) & (wave < 6900)], axis=1, keepdims=True)
        missing = (depth[:, None] * np.clip(-left, -0.3, 0.3)).sum(axis=0) / (depth**2).sum() / line_width * 100.0
        density = np.clip(density + 1.3 * np.bincount(place, missing) / np.bincount(place), 0.0, 12.0 * start)
        print(f"# rms of ln(real / twin): {left.std():.4f}")
    print(" ".join(f"{one:.0f}" for one in density))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("--n", type=int, default=3000)
    parser.add_argument("--stars", action="store_true", help="the tables of the twins of stars")
    parser.add_argument("--fit", choices=("giants", "weak-lines"), help="fit numbers of the twins of stars, and end")
    asked = parser.parse_args()
    if asked.fit:
        return {"giants": fit_giants, "weak-lines": fit_weak_lines}[asked.fit](asked.real)
    if asked.stars:
        giants(asked.real)
        return line_indices(asked.real)
    twins = {}
    for name, label in (("twin-galaxiesml", "specz_redshift"), ("twin-transferz", "lp_zPDF_CLASSIC")):
        knobs = twin_knobs(load_manifest(name))
        columns = simulate_arrays(knobs, n=asked.n, seed=0, morphology=True)[1]
        twins[name] = (columns, columns[label])
    bright, faint = (twin_knobs(load_manifest(name)) for name in twins)
    table_1(twins)
    photometric_redshifts(twins)
    counts(faint)
    redshifts(bright, asked.real)
    colours(faint, asked.real)
    shapes(twins["twin-galaxiesml"][0], asked.real)
    noise(faint, asked.real)


if __name__ == "__main__":
    main()
