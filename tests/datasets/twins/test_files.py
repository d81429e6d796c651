"""Simulators by name, the knobs they take, and the files they write."""

import hashlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import astrolab as al
from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.twins import simulate_survey
from astrolab.datasets.twins.galaxies import HscTwinKnobs, files, twin_knobs
from astrolab.datasets.twins.galaxies.files import settings_digest, split_counts
from astrolab.errors import ChecksumError, ConfigError, DiskFullError, ManifestError, UnknownNameError

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
    survey = al.load_survey("twin-galaxiesml", n=60, seed=1, directory=bright[0].parents[1])
    assert len(survey) == 60
    assert survey.provenance.simulated
    assert "simulated" in repr(survey)
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
        "import sys; from astrolab.datasets.manifest import load_manifest;"
        "from astrolab.datasets.twins import simulate_survey;"
        "paths = simulate_survey(load_manifest('twin-transferz'), n=20, seed=0, directory=sys.argv[1]);"
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

    monkeypatch.setattr("astrolab.datasets.twins.galaxies.files._write", full)
    with pytest.raises(DiskFullError):
        simulate_survey(load_manifest("twin-transferz"), n=20, seed=0, directory=tmp_path)
    assert not list(tmp_path.rglob("*.h5"))


def test_splits_follow_the_published_files():
    assert split_counts(286_401, layout="galaxiesml") == {"train": 204_573, "validation": 40_914, "test": 40_914}
    assert split_counts(1000, layout="transferz") == {"train": 800, "validation": 100, "test": 100}
    with pytest.raises(ConfigError, match="more galaxies"):
        split_counts(3, layout="transferz")


def test_the_larger_published_size(tmp_path):
    paths = simulate_survey(load_manifest("twin-transferz"), n=10, seed=0, directory=tmp_path, image_size=127)
    assert paths[0].name == "transferz_5x127x127_TRAINING.h5"
    with h5py.File(paths[0]) as file:
        assert file["image"].shape == (8, 5, 127, 127)
        assert file["lp_zPDF_CLASSIC"].shape == (8,)


def test_what_was_written_is_recorded_and_changes_are_refused(tmp_path):
    manifest = load_manifest("twin-transferz")

    def simulate():
        return simulate_survey(manifest, n=10, seed=0, directory=tmp_path)

    paths = simulate()
    record = paths[0].with_name("files.json")
    assert json.loads(record.read_text()) == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    with pytest.raises(ChecksumError, match=f"{paths[1].name}: changed since"):
        simulate()
    paths[1].write_bytes(whole)
    record.write_text("{")
    with pytest.raises(ChecksumError, match=r"files\.json: changed"):
        simulate()
    record.unlink()  # as a kill before the record was written leaves it: simulated again
    assert simulate() == paths and record.is_file()


def test_only_settings_and_code_of_the_simulator_change_its_folder(monkeypatch):
    knobs = twin_knobs(load_manifest("twin-galaxiesml"))
    before, seen = settings_digest(knobs), []
    assert before == settings_digest(knobs.with_changes(depth_mag=list(knobs.depth_mag)))
    assert before != settings_digest(knobs.with_changes(gain=31.0))
    monkeypatch.setattr(files, "source_digest", lambda paths: seen.extend(paths) or "other")
    files._code_digest.cache_clear()
    assert settings_digest(knobs) != before
    files._code_digest.cache_clear()
    assert seen and {path.parent.name for path in seen} == {"galaxies"}


def test_what_is_no_twin_is_refused(tmp_path):
    manifest = load_manifest("twin-galaxiesml")
    with pytest.raises(ManifestError, match="without \\[twin\\]"):
        twin_knobs(load_manifest("galaxiesml"))
    other = manifest.with_changes(twin=manifest.twin.model_copy(update={"simulator": "hsc"}))
    with pytest.raises(UnknownNameError, match="hsc_grizy"):
        simulate_survey(other, n=20, seed=0, directory=tmp_path)
    with pytest.raises(ManifestError, match="'hsc'"):
        twin_knobs(other)
    with pytest.raises(ManifestError, match="96 px"):
        simulate_survey(manifest, n=20, seed=0, directory=tmp_path, image_size=96)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"depth_mag": [26.0, 26.0]}, "depth_mag: one number per band"),
        ({"z_range": [0.5, 0.1]}, "z_range: low < high"),
        ({"type_mix": [0, 0, 0, 0]}, "type_mix: not all"),
        ({"label_outlier_frac": 1.5}, "label_outlier_frac.* less than 1"),
        ({"image_size": 5}, "image_size.*16"),
        ({"seeing_arcsec": [0.1] * 5}, "seeing_arcsec.*2.2 pixels"),
        ({"gain": 0.0}, "gain.*greater than 0"),
        ({"bands": ["hsc2017-g", "hsc2017-r2"]}, "one of them i"),
        ({"seeing_scatter": -0.1}, "seeing_scatter.*0"),
        ({"zero_point_mag": float("nan")}, "zero_point_mag.*finite"),
        ({"depht_mag": [26.0] * 5}, "did you mean 'depth_mag'"),
        ({"selection": "spectroscopy"}, "selection.*'spectroscopic'"),
        ({"layout": "sdss"}, "layout.*'galaxiesml'"),
        ({"gain": 0.0, "image_size": 5}, "gain.*image_size"),
        (
            {"type_mix": [0, 0, 0, 0], "seeing_arcsec": [0.1]},
            "type_mix.*: one number.*: pixels",
        ),
    ],
)
def test_knobs_that_cannot_be_are_refused_at_once(change, problem):
    with pytest.raises(ConfigError, match=problem):
        HscTwinKnobs(**({"layout": "galaxiesml"} | change))


def test_bands_are_called_as_in_columns_and_in_manifests():
    knobs = HscTwinKnobs(layout="galaxiesml")
    assert knobs.letters == ("g", "r", "i", "z", "y") and knobs.letters[knobs.i_band] == "i"
    assert knobs.band_names == load_manifest("twin-galaxiesml").inputs["image"].channels


def test_without_knobs_a_twin_selects_as_its_original_does():
    assert HscTwinKnobs(layout="galaxiesml").selection == "spectroscopic"
    assert HscTwinKnobs(layout="transferz").selection == "flux_limited"
