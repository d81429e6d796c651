"""What is right is not refused: filters of other names, other pixel scales, many labels, twins of any name."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import astrolab as al
from astrolab.errors import SchemaError

N = 240


def write_catalogue(folder: Path, *, name: str, channels: list[str], seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.2, 1.4, N)
    magnitudes = 20 + z[:, None] * np.array([2.0, 1.0, 0.5]) + rng.normal(0, 0.05, (N, 3))
    table = pd.DataFrame(magnitudes, columns=["m0", "m1", "m2"]).assign(z=z, id=np.arange(N) + 1000 * seed)
    table.to_csv(folder / f"{name}.csv", index=False)
    manifest = folder / f"{name}.toml"
    manifest.write_text(
        f'name = "{name}"\ntitle = "{name}"\nversion = "1"\n[[label]]\nname = "z"\ncolumn = "z"\n'
        f'[id]\ncolumn = "id"\nscheme = "{name}"\n[format]\nformat = "csv"\n[[files]]\npath = "{name}.csv"\n'
        f'[input.magnitudes]\nchannels = {json.dumps(channels)}\ncolumns = ["m0", "m1", "m2"]\n'
    )
    return manifest


def write_images(folder: Path, *, name: str, scale_arcsec: float, size: int) -> Path:
    rng = np.random.default_rng(size)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file["image"] = rng.normal(0, 1, (N, 1, size, size)).astype("f4") + 1
        file["z"] = rng.uniform(0.2, 1.4, N)
    manifest = folder / f"{name}.toml"
    manifest.write_text(
        f'name = "{name}"\ntitle = "{name}"\nversion = "1"\n[[label]]\nname = "z"\ncolumn = "z"\n'
        f'[input.image]\nkey = "image"\nchannels = ["hsc-i"]\nunit = "nJy"\nscale_arcsec = {scale_arcsec}\n'
        f'[[files]]\npath = "{name}.h5"\n'
    )
    return manifest


def fitted(survey, *, model="mlp", **training):
    parts = al.split(survey)
    scaling = al.fit_scaling(parts.train)
    config = al.TrainConfig(epochs=1, batch_size=64, select="last", **training)
    network = al.make_model(model, survey=survey, seed=0)
    result = al.fit(
        network, train=parts.train, validation=parts.validation, scaling=scaling, config=config, progress=False
    )
    return result.adapted, scaling


def test_honestly_named_filters_need_one_declaration_which_is_shown(tmp_path):
    lsst = al.load_survey(write_catalogue(tmp_path, name="lsst", channels=["lsst-g", "lsst-r", "lsst-i"]))
    subaru = al.load_survey(
        write_catalogue(tmp_path, name="subaru", channels=["subaru-g", "subaru-r", "subaru-i"], seed=1)
    )
    model, scaling = fitted(lsst)
    with pytest.raises(SchemaError, match="as_channels"):
        al.predict(model, survey=subaru, scaling=scaling)
    with pytest.raises(SchemaError, match="as_channels"):
        al.concat([lsst, subaru], name="both")
    declared = subaru.as_channels("lsst-g", "lsst-r", "lsst-i", input_name="magnitudes")
    assert len(al.predict(model, survey=declared, scaling=scaling)) == N
    both = al.concat([lsst, declared], name="both")
    for shown in (repr(declared), repr(both)):
        assert "subaru-g as lsst-g" in shown
    assert np.array_equal(declared.inputs["magnitudes"][:], subaru.inputs["magnitudes"][:])


def test_images_of_two_pixel_scales_are_joined_once_resampled(tmp_path):
    fine = al.load_survey(write_images(tmp_path, name="fine", scale_arcsec=0.2, size=16))
    coarse = al.load_survey(write_images(tmp_path, name="coarse", scale_arcsec=0.4, size=16))
    with pytest.raises(SchemaError, match="resample"):
        al.concat([fine, coarse], name="both")
    resampled = [al.resample(one, scale_arcsec=0.4, size=8) for one in (fine, coarse)]
    both = al.concat(resampled, name="both")
    assert both.inputs["image"].shape == (2 * N, 1, 8, 8) and both.specs["image"].scale_arcsec == 0.4
    assert any("0.2" in said and "0.4" in said for said in resampled[0].provenance.declared)
    # Four fine pixels cover one coarse one: flux is conserved.
    whole = np.asarray(fine.inputs["image"][:8]).reshape(8, 1, 8, 2, 8, 2).sum(axis=(3, 5))
    assert np.asarray(resampled[0].inputs["image"][:8]) == pytest.approx(whole, rel=1e-5)


def test_thirty_seven_labels(tmp_path):
    rng = np.random.default_rng(0)
    magnitudes = rng.normal(20, 1, (N, 3))
    names = [f"answer{k}" for k in range(37)]
    labels = pd.DataFrame(1 / (1 + np.exp(-(magnitudes @ rng.normal(0, 0.3, (3, 37)) % 3))), columns=names)
    table = pd.DataFrame(magnitudes, columns=["m0", "m1", "m2"]).join(labels)
    table.to_csv(tmp_path / "votes.csv", index=False)
    text = 'name = "votes"\ntitle = "votes"\nversion = "1"\n[format]\nformat = "csv"\n[[files]]\npath = "votes.csv"\n'
    text += '[input.magnitudes]\nchannels = ["g", "r", "i"]\ncolumns = ["m0", "m1", "m2"]\n'
    text += "".join(f'[[label]]\nname = "{name}"\ncolumn = "{name}"\npossible = [0, 1]\n' for name in names)
    (tmp_path / "votes.toml").write_text(text)
    survey = al.load_survey(tmp_path / "votes.toml")
    model, scaling = fitted(survey)
    table = al.predict(model, survey=survey, scaling=scaling)
    assert [f"pred.{name}" in table for name in names] == [True] * 37 and len(table) == N
    scores = al.score(table, metrics=["mae"], resampling=al.Resampling(n=0))
    assert scores["label"].tolist() == names


def test_every_vote_fraction_and_every_metallicity_is_scored():
    """The scored range belongs to a redshift: it cuts no other label."""
    rng = np.random.default_rng(0)
    for label, truth in (("feh", rng.uniform(-3, 0.5, 2000)), ("smooth", rng.uniform(0, 1, 2000))):
        table = al.predictions_table(truth={label: truth}, pred={label: truth + 0.1})
        assert set(al.score(table, resampling=al.Resampling(n=0))["n"]) == {2000}
    z = rng.uniform(0, 2, 2000)
    table = al.predictions_table(truth={"z": z}, pred={"z": z})
    assert set(al.score(table, resampling=al.Resampling(n=0))["n"]) == {int(((z > 0.3) & (z <= 1.5)).sum())}


def test_a_twin_of_ones_own_may_have_any_name(tmp_path):
    text = 'name = "my-sky"\ntitle = "My sky"\nversion = "1"\nsimulated = true\n'
    text += '[twin]\nof = "galaxiesml"\nsimulator = "hsc_grizy"\nn = 60\n'
    (tmp_path / "my-sky.toml").write_text(text)
    survey = al.load_survey(tmp_path / "my-sky.toml", n=60, image_size=16, directory=tmp_path)
    assert survey.provenance.twin_of == "galaxiesml" and survey.provenance.simulated
    assert "simulated" in repr(survey)
