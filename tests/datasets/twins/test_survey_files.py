import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from astrolab.datasets.manifests import load_manifest

from astrolab.datasets import loading
from astrolab.datasets.twins.survey_files import simulate_survey, split_counts, twin_knobs
from astrolab.errors import ConfigError, DiskFullError, ManifestError, UnknownNameError

PUBLISHED = {
    "image": "float32", "specz_redshift": "float64", "specz_redshift_err": "float64", "specz_mag_i": "float64",
    "specz_ra": "float64", "specz_dec": "float64", "specz_flag_homogeneous": "bool", "object_id": "int64",
    "skymap_id": "int64", "ra": "float64", "dec": "float64", "x_coord": "float64", "y_coord_x": "float64",
}  # fmt: skip
BY_BAND = (
    "cmodel_mag", "cmodel_magsigma", "ellipticity", "half_light_radius", "petro_rad", "major_axis", "minor_axis",
    "isophotal_area", "peak_surface_brightness", "pos_angle", "sersic_index", "central_image_pop_10px_rad",
)  # fmt: skip


@pytest.fixture(scope="module")
def bright(tmp_path_factory):
    return simulate_survey(load_manifest("twin-galaxiesml"), n=60, seed=1, directory=tmp_path_factory.mktemp("twin"))


def test_files_have_the_published_names_proportions_and_keys(bright):
    assert [path.name for path in bright] == [
        f"5x64x64_{split}_with_morphology.hdf5" for split in ("training", "validation", "testing")
    ]
    with h5py.File(bright[0]) as file:
        n = file["image"].shape[0]
        assert file["image"].shape == (43, 5, 64, 64)
        assert {name: str(file[name].dtype) for name in PUBLISHED} == PUBLISHED
        assert all(file[f"{band}_{name}"].shape == (n,) for band in "grizy" for name in BY_BAND)
        assert file["specz_name"].shape == file["coord"].shape == (n, 1)
        assert file["specz_name"].dtype.kind == "S"
        assert file["image"].chunks is None
        assert file["image"].compression is None
        assert file["image"].id.get_offset() is not None  # contiguous on disk: can be memory-mapped
        assert bool(file.attrs["simulated"])
        assert json.loads(file.attrs["knobs"])["selection"] == "spectroscopic"
        assert np.isfinite(file["image"][:]).all()


def test_the_real_reader_reads_the_twin(bright):
    survey = loading.read_survey(load_manifest("twin-galaxiesml"), paths=bright)
    assert len(survey) == 60
    assert survey.provenance.simulated
    assert "(simulated)" in repr(survey)
    assert survey.inputs["magnitudes"].shape == (60, 5)
    assert set(np.unique(survey.published_split)) == {"train", "validation", "test"}
    assert survey.ids.dtype == np.int64


def test_written_once_and_another_seed_beside_it(bright):
    manifest, home = load_manifest("twin-galaxiesml"), bright[0].parents[1]
    before = bright[0].stat().st_mtime_ns
    assert simulate_survey(manifest, n=60, seed=1, directory=home) == bright
    assert bright[0].stat().st_mtime_ns == before
    other = simulate_survey(manifest, n=20, seed=2, directory=home)
    assert other[0].parent != bright[0].parent
    assert not [path for path in home.rglob("*") if path.name.startswith(".part")]


def test_two_runs_at_once_do_the_work_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; from astrolab.datasets.manifests import load_manifest;"
        "from astrolab.datasets.twins import simulate_survey;"
        "paths = simulate_survey(load_manifest('twin-transferz'), n=20, seed=0, directory=Path(sys.argv[1]));"
        "sys.stdout.write(' '.join(str(p.stat().st_ino) for p in paths))"
    )
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=one_thread)
        for _ in range(2)
    ]
    inodes = {run.communicate(timeout=300)[0] for run in runs}
    assert len(inodes) == 1
    assert len(inodes.pop().split()) == 3


def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("astrolab.files.shutil.disk_usage", lambda folder: SimpleNamespace(free=10_000))
    with pytest.raises(DiskFullError, match="MB free"):
        simulate_survey(load_manifest("twin-transferz"), n=20, seed=0, directory=tmp_path)
    assert not list(tmp_path.rglob("*.h5"))


def test_a_disk_that_fills_up_midway_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("astrolab.datasets.twins.survey_files._write", full)
    with pytest.raises(DiskFullError):
        simulate_survey(load_manifest("twin-transferz"), n=20, seed=0, directory=tmp_path)
    assert not list(tmp_path.rglob("*.h5"))


def test_splits_follow_the_published_files():
    assert split_counts(286_401, schema="galaxiesml") == {"train": 204_573, "validation": 40_914, "test": 40_914}
    assert split_counts(1000, schema="transferz") == {"train": 800, "validation": 100, "test": 100}
    with pytest.raises(ConfigError, match="more galaxies"):
        split_counts(3, schema="transferz")


def test_the_larger_published_size(tmp_path):
    paths = simulate_survey(load_manifest("twin-transferz"), n=10, seed=0, directory=tmp_path, image_size=127)
    assert paths[0].name == "transferz_5x127x127_TRAINING.h5"
    with h5py.File(paths[0]) as file:
        assert file["image"].shape == (8, 5, 127, 127)
        assert file["lp_zPDF_CLASSIC"].shape == (8,)


def test_what_is_no_twin_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="without \\[twin\\]"):
        simulate_survey(load_manifest("galaxiesml"), n=20, seed=0, directory=tmp_path)
    manifest = load_manifest("twin-galaxiesml")
    with pytest.raises(UnknownNameError, match="hsc_grizy"):
        twin_knobs(replace(manifest, twin=replace(manifest.twin, simulator="hsc")))
    with pytest.raises(ManifestError, match="96 px"):
        simulate_survey(manifest, n=20, seed=0, directory=tmp_path, image_size=96)
