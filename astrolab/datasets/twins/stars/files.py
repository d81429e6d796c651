"""Twin surveys of stars on disk: LAMOST's coadds with their catalogue, DESI's coadds with its table of parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from astrolab.datasets.manifest import Manifest
from astrolab.datasets.twins import write_once
from astrolab.datasets.twins.stars import SIMULATOR, StarTwinKnobs
from astrolab.datasets.twins.stars.observing import GRIDS, observe
from astrolab.datasets.twins.stars.population import MISSING, Columns, draw_survey
from astrolab.datasets.twins.stars.spectra import C_KMS
from astrolab.errors import ConfigError
from astrolab.files import source_digest

SPLITS = {"lamost": (0.8, 0.1, 0.1), "desi": (0.7, 0.1, 0.2)}  # train, validation, test
MEASURED = ("teff", "logg", "feh", "alpha_fe", "rv")
UNITS = {"WAVELENGTH": "Angstrom", "FLUX": "10**-17 erg/(s cm2 Angstrom)", "IVAR": "10**+34 (s2 cm4 Angstrom2) / erg2"}


def simulate(manifest: Manifest, *, n: int, seed: int, directory: Path, image_size: int | None = None) -> list[Path]:
    """Write the files of a twin, one a split."""
    knobs, names = StarTwinKnobs(**manifest.twin.knobs), {entry.split: entry.path for entry in manifest.files}
    edges = np.rint(n * np.cumsum([0.0, *SPLITS[knobs.layout]])).astype(int).tolist()
    if n < 10:
        asked = "A twin survey was to be divided into train, validation and test."
        raise ConfigError(asked, received=f"{n} stars", available="10 stars or more", remedy="Ask for more stars.")

    def write(paths: list[Path]) -> None:
        survey = draw_survey(knobs, n=n, seed=seed)
        for path, low, high in zip(paths, edges[:-1], edges[1:], strict=True):
            stars = {name: column[low:high] for name, column in survey.items()}
            primary = fits.PrimaryHDU()
            primary.header.update({"SIMULATE": True, "SIMNAME": SIMULATOR, "SEED": seed, "NSURVEY": n})
            primary.header["SIMKNOBS"] = knobs.model_dump_json()
            hdus = (_lamost if knobs.layout == "lamost" else _desi)(stars, observe(stars, knobs=knobs, key=(seed, low)))
            fits.HDUList([primary, *hdus]).writeto(path, overwrite=True)

    space = n * (16 * sum(map(len, GRIDS[knobs.layout])) + 600)
    in_order = [names[split] for split in ("train", "validation", "test")]
    said = {"n": n, "seed": seed, "digest": settings_digest(knobs)}
    return write_once(directory, names=in_order, write=write, needed_bytes=space, **said)


def settings_digest(knobs: StarTwinKnobs) -> str:
    """SHA-256 of the settings and of the code and tables that turn them into stars: a change makes another folder."""
    folder = Path(__file__).parent
    code, tables = source_digest(sorted(folder.glob("*.py"))), (folder / "tables.toml").read_bytes()
    return hashlib.sha256(f"{knobs.model_dump_json()}{code}".encode() + tables).hexdigest()


def _catalogue(stars: Columns, *, names: tuple[str, ...], as_written: Callable[[str], str]) -> Columns:
    """Labels, their errors and the truth, as the layout names them."""
    columns = {}
    for ours, theirs in zip(MEASURED, names, strict=True):
        written = {theirs: stars[ours], f"{theirs}_err": stars[f"{ours}_err"], f"true_{theirs}": stars[f"true_{ours}"]}
        columns |= {as_written(name): values for name, values in written.items()}
    return columns


def _lamost(stars: Columns, seen: Columns) -> list[fits.BinTableHDU]:
    n, pixels = seen["flux0"].shape
    kinds = {"FLUX": ">f4", "IVAR": ">f4", "WAVELENGTH": ">f4", "ANDMASK": ">i2", "ORMASK": ">i2"}
    coadd = np.empty(n, dtype=[(name, kind, pixels) for name, kind in kinds.items()])
    coadd["FLUX"], coadd["IVAR"], coadd["WAVELENGTH"] = seen["flux0"], seen["ivar0"], GRIDS["lamost"][0]
    coadd["ANDMASK"] = coadd["ORMASK"] = seen["mask0"]
    letter = np.digitize(-stars["true_teff"], [-7300.0, -6000.0, -5250.0, -3900.0])
    catalogue = {
        "obsid": stars["id"] % 1_000_000_007, "designation": np.array([f"TWIN{one}" for one in stars["id"]]),
        "ra": stars["ra"], "dec": stars["dec"], **{f"snr{band}": seen[f"snr_{band}"] for band in "ugriz"},
        "class": np.full(n, "STAR"), "subclass": np.array(list("AFGKM"))[letter], "z": stars["true_rv"] / C_KMS,
        "gaia_source_id": stars["id"],
        **_catalogue(stars, names=("teff", "logg", "feh", "alpha_m", "rv"), as_written=str),
    }  # fmt: skip
    return [fits.BinTableHDU(coadd, name="COADD"), fits.BinTableHDU(Table(catalogue), name="CATALOGUE")]


def _desi(stars: Columns, seen: Columns) -> list[fits.hdu.base.ExtensionHDU]:
    n, hdus = len(stars["id"]), []
    for number, (arm, wave) in enumerate(zip("BRZ", GRIDS["desi"], strict=True)):
        pixels = {"WAVELENGTH": wave} | {name: seen[f"{name.lower()}{number}"] for name in ("FLUX", "IVAR", "MASK")}
        pixels["MASK"] = pixels["MASK"].astype(np.int32)
        for name, values in pixels.items():
            unit = fits.Header({"BUNIT": UNITS[name]} if name in UNITS else {})
            hdus.append(fits.ImageHDU(values, header=unit, name=f"{arm}_{name}"))
    where = {"TARGETID": stars["id"] - (1 << 59), "TARGET_RA": stars["ra"], "TARGET_DEC": stars["dec"]}
    where["REF_ID"] = stars["id"]
    snr = {arm: seen[f"snr_{band}"] for arm, band in zip("BRZ", "grz", strict=True)}
    tables = {
        "FIBERMAP": where | {"OBJTYPE": np.full(n, "TGT"), "COADD_FIBERSTATUS": np.zeros(n, np.int32)},
        "SCORES": {"TARGETID": where["TARGETID"]} | {f"MEDIAN_COADD_SNR_{arm}": one for arm, one in snr.items()},
        "RVTAB": where | _catalogue(stars, names=("teff", "logg", "feh", "alphafe", "vrad"), as_written=str.upper)
        | {f"SN_{arm}": one for arm, one in snr.items()} | {"RVS_WARN": np.zeros(n, np.int64)}
        | {"RR_SPECTYPE": np.full(n, "STAR"), "SUCCESS": stars["teff"] != MISSING, "PRIMARY": np.ones(n, bool)},
    }  # fmt: skip
    return [*hdus, *(fits.BinTableHDU(Table(table), name=name) for name, table in tables.items())]
