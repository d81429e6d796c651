"""Small surveys in memory, and small files in the published schema."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.manifest import parse_manifest
from astrolab.datasets.survey import Provenance, Survey
from astrolab.tasks import InputSpec, find_quantity, make_task

HSC = ["hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y"]
BIG_ID = 2**53 + 1  # the first integer that a float64 cannot hold


SPECS = {
    "image": InputSpec(("band", "y", "x"), HSC),
    "magnitudes": InputSpec(("band",), HSC, "AB mag"),
    "spectrum": InputSpec(("pixel",)),
}


@pytest.fixture
def make_survey():
    """A survey in memory of `n` galaxies with images, magnitudes, positions."""

    def make(n=40, *, name="test", seed=0, first_id=BIG_ID, scheme="hsc-pdr2", **changes):
        random = np.random.default_rng(seed)
        parts = {
            "name": name,
            "inputs": {
                "image": random.normal(size=(n, 5, 8, 8)).astype(np.float32),
                "magnitudes": random.normal(22, 1, size=(n, 5)).astype(np.float32),
            },
            "labels": pd.DataFrame({"z": random.uniform(0.1, 2, n)}),
            "ids": np.arange(first_id, first_id + n),
            "catalogue": {"i_sersic_index": random.uniform(0.5, 4, n)},
            "sky_deg": np.stack([random.uniform(149, 151, n), random.uniform(1, 3, n)], axis=1),
            "provenance": Provenance(survey=name, title=f"Survey {name}", id_scheme=scheme, digest=str(seed)),
        }
        parts |= changes
        specs = {name: SPECS[name] for name in parts["inputs"]}
        task = make_task([find_quantity(name) for name in parts["labels"]])
        return Survey(**{"specs": specs, "task": task} | parts)

    return make


@pytest.fixture
def published_columns():
    """The columns of a file in the published schema (Do et al. 2024), as they would be written."""

    def make(n, *, size=64, seed=0):
        random = np.random.default_rng(seed)
        columns = {
            "image": random.normal(size=(n, 5, size, size)).astype(np.float32),
            "specz_redshift": random.uniform(0.01, 4, (n, 1)),
            "object_id": BIG_ID + 2 * np.arange(n) + 10_000 * seed,
            "specz_name": np.array([[f"VVDS-{row}".encode()] for row in range(n)]),
            "specz_flag_homogeneous": np.ones(n, dtype=bool),
            "ra": random.uniform(149, 151, n),
            "dec": random.uniform(1, 3, n),
        }
        for band in "grizy":
            columns[f"{band}_cmodel_mag"] = random.normal(22, 1, n)
        return columns

    return make


@pytest.fixture
def write_published(published_columns):
    """Write a file in the published schema; keywords replace columns, None leaves one out."""

    def write(path: Path, *, n=6, size=64, seed=0, options=None, **replacements):
        columns = published_columns(n, size=size, seed=seed) | replacements
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                if values is not None:
                    file.create_dataset(name, data=values, **((options or {}) if name == "image" else {}))
        return columns

    return write


def parsed(table, *, folder, inputs):
    table = {key: value for key, value in table.items() if value is not None}
    table["input"] = {name: one for name, one in inputs.items() if one is not None}
    return parse_manifest(table, where="test", folder=folder)


@pytest.fixture
def images_manifest():
    """A manifest of an image survey like GalaxiesML, with one file a split; None leaves a section out."""

    def make(folder=None, *, files=("train.hdf5", "validation.hdf5", "test.hdf5"), sizes=(64,), **changes):
        inputs = {
            "image": {"key": "image", "channels": HSC, "scale_arcsec": 0.168, "sizes": list(sizes)},
            "magnitudes": {"channels": HSC, "columns": [f"{band}_cmodel_mag" for band in "grizy"], "missing": [-99.0]},
        }
        inputs = {name: changes.pop(name, one) for name, one in inputs.items()}
        table = {
            "name": "tiny",
            "title": "Tiny survey",
            "version": "1",
            "citation": {"keys": ["arXiv:2410.00271"]},
            "label": [{"name": "z", "column": ["specz_redshift", "lp_zPDF_CLASSIC"]}],
            "id": {"column": "object_id", "scheme": "hsc-pdr2"},
            "sky": {"ra": "ra", "dec": "dec"},
            "files": [f if isinstance(f, dict) else {"path": f, "split": f.split(".")[0]} for f in files],
        }
        return parsed(table | changes, folder=folder, inputs=inputs)

    return make


@pytest.fixture
def catalogue_manifest():
    """A manifest of a catalogue with one file."""

    def make(folder=None, *, path="galaxies.csv", layout=None, **changes):
        magnitudes = {"channels": ["g", "r"], "columns": ["mag_g", "mag_r"], "missing": [-99.9, 99.0]}
        table = {
            "name": "table",
            "title": "Tiny catalogue",
            "version": "1",
            "label": [{"name": "z", "column": ["redshift"]}],
            "format": {"format": "csv"} | (layout or {}),
            "files": [{"path": path}],
        }
        inputs = {"magnitudes": changes.pop("magnitudes", magnitudes)}
        return parsed(table | changes, folder=folder, inputs=inputs)

    return make
