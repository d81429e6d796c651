"""Surveys predicted with a model of a run, part by part: galaxies without a redshift, those unlike the training set."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

import astrolab as al
from astrolab.errors import CheckpointError, ConfigError, CorruptFileError, RunError, UnknownNameError
from astrolab.models.network import digest
from astrolab.runs.predicting import predict_survey

SPECTRA = """name = "stars"
title = "Stars"
version = "1"
objects = "stars"
[[label]]
name = "feh"
column = ["feh"]
[id]
column = "id"
scheme = "stars"
[input.spectrum]
key = "flux"
grid = "wave"
companions = { ivar = "ivar" }
medium = "vacuum"
resolution = 2000
[[files]]
path = "stars.h5"
"""
MANIFEST = """name = "{name}"
title = "Mine"
version = "1"
[input.magnitudes]
channels = ["g", "r", "i"]
columns = ["g", "r", "i"]
unit = "AB mag"
[id]
column = "id"
scheme = "mine"
[format]
format = "{suffix}"
[[files]]
path = "{name}.{suffix}"
"""
N = 25
LABEL = '[[label]]\nname = "z"\ncolumn = ["z"]\n'


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory):
    """A run with a base model and two arms of one seed, and one fit of another."""
    run = al.open_run(study="mine", parameters={}, directory=tmp_path_factory.mktemp("runs") / "mine" / "first")
    base = run.fit(case.network(), adapt={"strategy": "scratch"}, **case.arguments(arm="base"))
    for arm, seed in (("zero_shot", 0), ("lora", 0), ("full", 1)):
        run.fit(base.adapted.network, adapt={"strategy": arm}, **case.arguments(arm=arm, seed=seed))
    half = case.arguments(arm="full", condition={"fraction": 0.5})
    run.fit(base.adapted.network, adapt={"strategy": "full"}, **half)
    run.finish()
    return run.folder


@pytest.fixture
def survey(case, tmp_path):
    """Write some galaxies, the last of which are odd, with a manifest that has no label, or one with redshifts."""

    def write(name="new", *, suffix="csv", more="", n=N):
        columns = dict(zip("gri", case.survey.inputs["magnitudes"][:n].T.astype(float), strict=True))
        columns |= {"id": 2**53 + 1 + np.arange(n), "z": case.survey.labels["z"].to_numpy()[:n]}
        columns["g"][-3:] += 9.0
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "hdf5":
            with h5py.File(path, "w") as file:
                file.update(columns)
        elif suffix == "fits":
            Table(columns).write(path)
        else:
            table = pd.DataFrame(columns)
            table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
        (tmp_path / f"{name}.toml").write_text(MANIFEST.format(name=name, suffix=suffix) + more)
        return str(tmp_path / f"{name}.toml")

    return write


def predict(folder, survey, out, **changes):
    options = {"arm": "lora", "seed": 0, "directory": None, "rows_per_part": 10} | changes
    return predict_survey(str(folder), survey=survey, out=out, **options)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "fits", "hdf5"])
def test_galaxies_without_a_redshift_are_predicted_from_any_format(folder, survey, tmp_path, suffix):
    path = survey(suffix=suffix)
    parts = predict(folder, path, tmp_path / "out")
    assert parts["part"].tolist() == [f"part-0000{k}.parquet" for k in range(3)] and parts["n"].tolist() == [10, 10, 5]
    table = al.concat_predictions([al.load_predictions(file) for file in sorted((tmp_path / "out").iterdir())])
    model, scaling = al.reload_model(folder, arm="lora", seed=0)
    expected = al.predict(model, survey=al.load_survey(path), scaling=scaling)
    np.testing.assert_allclose(table["pred.z"], expected["pred.z"], rtol=1e-5)
    assert table["object_id"].tolist() == [2**53 + 1 + k for k in range(N)]
    assert table["truth.z"].isna().all() and table["unlike"].equals(expected["unlike"])
    assert table["unlike"][-3:].all() and parts["n_unlike"].sum() == table["unlike"].sum() < 10
    assert table[["run", "fit", "arm", "seed"]].drop_duplicates().to_numpy().tolist() == [
        ["first", "lora-s0", "lora", 0]
    ]


def test_a_part_says_units_model_and_survey(folder, survey, tmp_path):
    path = survey(more=LABEL)
    predict(folder, path, tmp_path / "out", rows_per_part=100)
    schema = pq.read_schema(tmp_path / "out" / "part-00000.parquet")
    assert schema.field("pred.z").metadata == {b"unit": b""} and schema.field("object_id").type == "int64"
    table = al.load_predictions(tmp_path / "out" / "part-00000.parquet")
    model, _ = al.reload_model(folder, arm="lora", seed=0)
    assert table.attrs["model"] == digest(model.network) and table.attrs["survey"] == al.load_survey(path).digest
    assert table.attrs["run"] == "first" and table["truth.z"].notna().all(), "a known truth is kept"


def test_what_was_cut_off_goes_on_and_whole_parts_stay(folder, survey, tmp_path, monkeypatch):
    from astrolab.trainers import predicting

    path, out, asked, answer = survey(), tmp_path / "out", [], predicting.predict
    first = predict(folder, path, out)
    contents = {file.name: file.read_bytes() for file in out.iterdir()}
    (out / "part-00001.parquet").unlink()
    monkeypatch.setattr(
        predicting, "predict", lambda *a, survey, **k: asked.extend(survey.ids) or answer(*a, survey=survey, **k)
    )
    again = predict(folder, path, out)
    assert again.equals(first) and [number - 2**53 - 1 for number in asked] == list(range(10, 20))
    assert {file.name: file.read_bytes() for file in out.iterdir()} == contents


def test_parts_of_something_else_are_refused_and_left_as_they_are(folder, survey, tmp_path):
    path, out = survey(), tmp_path / "out"
    predict(folder, path, out)
    (out / "part-00002.parquet").unlink()
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    wrong = {
        "another model": {"arm": "base"},
        "another survey": {"survey": survey("other", n=N + 1)},
        "another labels": {"survey": survey("known", more=LABEL)},
        "another rows_per_part": {"rows_per_part": 20},
    }
    for what, changed in wrong.items():
        with pytest.raises(RunError, match=f"{what}, made by first lora-s0 of new"):
            predict(folder, **{"survey": path, "out": out} | changed)
    (out / "part-00001.parquet").write_bytes(b"")
    with pytest.raises(CorruptFileError, match="part-00001"):
        predict(folder, path, out)
    assert (out / "part-00000.parquet").read_bytes() == before["part-00000.parquet"]


def test_a_run_is_found_by_its_name_and_its_only_model_needs_none(folder, survey, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(folder.parents[1]))
    for name in ("first", "mine/first"):
        assert predict(name, survey(), tmp_path / name, arm="", seed=1)["n"].sum() == N
    with pytest.raises(UnknownNameError, match=r"base-s0, full-fraction0\.5-s0, full-s1, lora-s0, zero_shot-s0"):
        predict(folder, survey(), tmp_path / "out", arm="")
    with pytest.raises(UnknownNameError, match="lora-s0"):
        predict(folder, survey(), tmp_path / "out", arm="lora", seed=1)
    with pytest.raises(ConfigError, match="secnod"):
        predict("secnod", survey(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_learned_nothing_has_the_reference_of_its_base_and_one_without_is_refused(
    folder, survey, tmp_path
):
    tables = []
    for arm in ("base", "zero_shot"):
        predict(folder, survey(), tmp_path / arm, arm=arm, rows_per_part=100)
        tables.append(al.load_predictions(tmp_path / arm / "part-00000.parquet")[["pred.z", "typicality", "unlike"]])
    assert tables[0].equals(tables[1])
    assert not (folder / "models" / "zero_shot-s0" / "reference.safetensors").exists()
    before = shutil.copytree(folder, tmp_path / "made before references")
    model, _ = al.reload_model(folder, arm="base", seed=0)
    al.save_model(model.network, directory=before / "models" / "base-s0")
    (before / "models" / "base-s0" / "scaling.json").write_text(
        (folder / "models" / "base-s0" / "scaling.json").read_text()
    )
    with pytest.raises(RunError, match="without a reference"):
        predict(before, survey(), tmp_path / "out", arm="base")


def test_a_condition_is_part_of_the_name_of_a_model(folder, survey, tmp_path):
    predict(folder, survey(), tmp_path / "out", arm="full-fraction0.5", rows_per_part=100)
    row = al.load_predictions(tmp_path / "out" / "part-00000.parquet").iloc[0]
    assert (row["fit"], row["arm"], row["fraction"]) == ("full-fraction0.5-s0", "full", 0.5) and "cut_short" in row


def test_a_damaged_reference_is_refused(folder, survey, tmp_path):
    path = folder / "models" / "lora-s0" / "reference.safetensors"
    kept = path.read_bytes()
    path.write_bytes(kept[:-1])
    with pytest.raises(CheckpointError, match="reference"):
        predict(folder, survey(), tmp_path / "out")
    path.write_bytes(kept)


def test_spectra_are_bridged_as_those_that_the_model_learned_from(tmp_path):
    rng, wave = np.random.default_rng(0), np.linspace(3900, 5700, 1800)
    feh = rng.uniform(-2, 0.4, 120)
    flux = 1 - 0.2 * (feh[:, None] + 3) * np.exp(-(((wave - 5175) / 5) ** 2)) + rng.normal(0, 0.01, (120, 1800))
    with h5py.File(tmp_path / "stars.h5", "w") as file:
        file.update({"flux": flux, "wave": wave, "ivar": np.full_like(flux, 1e4), "feh": feh, "id": np.arange(120)})
    manifest = tmp_path / "stars.toml"
    manifest.write_text(SPECTRA)
    stars = al.bridge_spectra(
        al.load_survey(manifest), bridge={"n_pixels": 200, "log_step": 7e-4, "resolution": 1500.0}
    )
    parts, run = al.split(stars), al.open_run(study="mine", parameters={}, directory=tmp_path / "run")
    network = al.make_model("spectrum_mlp", survey=stars, seed=0, hidden=(8,))
    data = {"sample": parts, "scaling": al.fit_scaling(parts.train), "config": al.TrainConfig(epochs=1, batch_size=32)}
    learned = {"seed": 0, "condition": {"learned": "feh"}, **data}
    base = run.fit(network, adapt={"strategy": "scratch"}, arm="base", **learned)
    lora = run.fit(base.adapted.network, adapt={"strategy": "lora"}, arm="lora", **learned)
    run.finish()
    here = {"out": tmp_path / "out", "directory": None, "rows_per_part": 50, "seed": 0}
    predict_survey(str(run.folder), survey=str(manifest), arm="lora-learnedfeh", **here)
    tables = [al.load_predictions(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    expected = al.predict(lora.adapted, survey=stars, scaling=data["scaling"])
    assert np.allclose(pd.concat(tables)["pred.feh"], expected["pred.feh"], atol=1e-6)
