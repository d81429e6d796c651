"""The twins beside real surveys: the tables of docs/twins.md.

    python benchmarks/twins.py REAL_DATA [--n 3000]

REAL_DATA holds `galaxiesml_published`, `photoz_deep_ugrizy` and `hsc_grizy_scenes` (see docs/twins.md for their
sources). About a minute on one core.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from astropy.table import Table
from scipy.ndimage import zoom
from sklearn.neighbors import KNeighborsRegressor

from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.twins.galaxies import twin_knobs
from astrolab.datasets.twins.galaxies.population import counts_per_arcmin2, draw_galaxies
from astrolab.datasets.twins.galaxies.simulation import simulate_arrays, sky_noise

PERCENTILES = (5, 16, 50, 84, 95)
MEGACAM = ("cfht_megacam-g", "cfht_megacam-r", "cfht_megacam-i", "cfht_megacam-z", "hsc2017-y")
MORPHOLOGY = {
    "major_axis": "Semi-major Axis",
    "minor_axis": "Semi-minor Axis",
    "isophotal_area": "Isophotal Area",
    "ellipticity": "Ellipticity",
    "sersic_index": "Sersic Index",
}


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("--n", type=int, default=3000)
    asked = parser.parse_args()
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
