"""Twin surveys of stars on disk: LAMOST's coadds with their catalogue, DESI's coadds with its table of parameters."""

from __future__ import annotations

import hashlib
import json
from functools import cache
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
PUBLISHED = {
    "lamost": ("teff", "logg", "feh", "alpha_m", "rv"),
    "desi": ("TEFF", "LOGG", "FEH", "ALPHAFE", "VRAD"),
}


def simulate(manifest: Manifest, *, n: int, seed: int, directory: Path, image_size: int | None = None) -> list[Path]:
    """Write the files of a twin, one a split."""
    knobs = StarTwinKnobs(**manifest.twin.knobs)
    edges = np.rint(n * np.cumsum([0.0, *SPLITS[knobs.layout]])).astype(int)
    if np.diff(edges).min() < 1:
        asked = "A twin survey was to be divided into train, validation and test."
        raise ConfigError(asked, received=f"{n} stars", available="10 stars or more", remedy="Ask for more stars.")

    def write(paths: list[Path]) -> None:
        survey = draw_survey(knobs, n=n, seed=seed)
        for path, low, high in zip(paths, edges[:-1], edges[1:], strict=True):
            stars = {name: column[low:high] for name, column in survey.items()}
            primary = fits.PrimaryHDU()
            primary.header.update({"SIMULATE": True, "SIMNAME": SIMULATOR, "SEED": seed, "NSURVEY": n})
            primary.header["SIMKNOBS"] = knobs.model_dump_json()
            seen = observe(stars, knobs=knobs, seed=seed * 1_000_003 + int(low))
            hdus = LAYOUTS[knobs.layout](stars, seen)
            fits.HDUList([primary, *hdus]).writeto(path, overwrite=True)

    return write_once(
        directory,
        n=n,
        seed=seed,
        digest=settings_digest(knobs),
        names=[next(e.path for e in manifest.files if e.split == split) for split in ("train", "validation", "test")],
        write=write,
        needed_bytes=n * (16 * sum(map(len, GRIDS[knobs.layout])) + 600),
    )


def settings_digest(knobs: StarTwinKnobs) -> str:
    """SHA-256 of the settings and of the code and tables that turn them into stars: a change makes another folder."""
    return hashlib.sha256(f"{json.dumps(knobs.model_dump(), sort_keys=True)}{_code_digest()}".encode()).hexdigest()


@cache
def _code_digest() -> str:
    folder = Path(__file__).parent
    return (
        source_digest(sorted(folder.glob("*.py"))) + hashlib.sha256((folder / "tables.toml").read_bytes()).hexdigest()
    )


def _catalogue(stars: Columns, *, layout: str) -> Columns:
    """Labels with their errors, and the truth, as the layout names them."""
    error, truth = ("_err", "true_") if layout == "lamost" else ("_ERR", "TRUE_")
    columns = {}
    for name, published in zip(MEASURED, PUBLISHED[layout], strict=True):
        columns |= {published: stars[name], f"{published}{error}": stars[f"{name}_err"]}
        columns[f"{truth}{published}"] = stars[f"true_{name}"]
    return columns


def _lamost(stars: Columns, seen: Columns) -> list[fits.BinTableHDU]:
    n, pixels = seen["flux0"].shape
    kinds = {"FLUX": ">f4", "IVAR": ">f4", "WAVELENGTH": ">f4", "ANDMASK": ">i2", "ORMASK": ">i2"}
    coadd = np.empty(n, dtype=[(name, kind, pixels) for name, kind in kinds.items()])
    for name, values in zip(
        kinds, (seen["flux0"], seen["ivar0"], GRIDS["lamost"][0], *2 * [seen["mask0"]]), strict=True
    ):
        coadd[name] = values
    letter = np.digitize(-stars["true_teff"], [-7300.0, -6000.0, -5250.0, -3900.0])
    catalogue = {
        "obsid": stars["id"] % 1_000_000_007, "designation": np.array([f"TWIN{one}" for one in stars["id"]]),
        "ra": stars["ra"], "dec": stars["dec"], **{f"snr{band}": seen[f"snr_{band}"] for band in "ugriz"},
        "class": np.full(n, "STAR"), "subclass": np.array(list("AFGKM"))[letter], "z": stars["true_rv"] / C_KMS,
        "gaia_source_id": stars["id"], **_catalogue(stars, layout="lamost"),
    }  # fmt: skip
    return [fits.BinTableHDU(coadd, name="COADD"), fits.BinTableHDU(Table(catalogue), name="CATALOGUE")]


def _desi(stars: Columns, seen: Columns) -> list[fits.hdu.base.ExtensionHDU]:
    n, hdus = len(stars["id"]), []
    units = ("Angstrom", "10**-17 erg/(s cm2 Angstrom)", "10**+34 (s2 cm4 Angstrom2) / erg2")
    for number, (arm, wave) in enumerate(zip("BRZ", GRIDS["desi"], strict=True)):
        mask = seen[f"mask{number}"].astype(np.int32)
        pixels = {"WAVELENGTH": wave, "FLUX": seen[f"flux{number}"], "IVAR": seen[f"ivar{number}"], "MASK": mask}
        hdus += [fits.ImageHDU(values, name=f"{arm}_{name}") for name, values in pixels.items()]
        for hdu, unit in zip(hdus[-4:], units, strict=False):
            hdu.header["BUNIT"] = unit
    where = {"TARGETID": stars["id"] - (1 << 59), "TARGET_RA": stars["ra"], "TARGET_DEC": stars["dec"]}
    where |= {"OBJTYPE": np.full(n, "TGT"), "COADD_FIBERSTATUS": np.zeros(n, np.int32), "REF_ID": stars["id"]}
    snr = {arm: seen[f"snr_{band}"] for arm, band in zip("BRZ", "grz", strict=True)}
    parameters = {
        **{name: where[name] for name in ("TARGETID", "TARGET_RA", "TARGET_DEC", "REF_ID")},
        **_catalogue(stars, layout="desi"), **{f"SN_{arm}": one for arm, one in snr.items()},
        "RVS_WARN": np.zeros(n, np.int64), "RR_SPECTYPE": np.full(n, "STAR"), "SUCCESS": stars["teff"] != MISSING,
        "PRIMARY": np.ones(n, bool),
    }  # fmt: skip
    scores = {"TARGETID": where["TARGETID"]} | {f"MEDIAN_COADD_SNR_{arm}": one for arm, one in snr.items()}
    tables = {"FIBERMAP": where, "SCORES": scores, "RVTAB": parameters}
    return [*hdus, *(fits.BinTableHDU(Table(table), name=name) for name, table in tables.items())]


LAYOUTS = {"lamost": _lamost, "desi": _desi}
