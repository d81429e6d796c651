"""The whole spine on five toy tasks, files to explorer: no input and no label needs a special case."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import astrolab as al
from astrolab.models.registry import MODELS

N = 160


class TwoInputs(al.Network):
    """A user's own network: pixels and magnitudes together."""

    name = "two_inputs"

    def __init__(self, *, inputs, task, width: int = 4):
        super().__init__(inputs=inputs, task=task, stages={"pixels": ("pixels",), "head": ("output",)}, width=width)
        convolution = nn.Conv2d(inputs["image"][0], width, 3)
        self.pixels = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.output = nn.Linear(width + inputs["magnitudes"][0], len(task.labels))

    def embed(self, inputs):
        return torch.cat([self.pixels(inputs["image"]), inputs["magnitudes"]], dim=1)

    def read_out(self, hidden):
        return self.output(hidden)


class Autoencoder(al.Network):
    """A user's own network that learns without labels: it fills in what is hidden of a spectrum."""

    name = "autoencoder"

    def __init__(self, *, inputs, task, width: int = 8):
        super().__init__(
            inputs=inputs, task=task, stages={"encoder": ("encoder",), "decoder": ("decoder",)}, width=width
        )
        self.encoder = nn.Linear(inputs["spectrum"][0], width)
        self.decoder = nn.Linear(width, inputs["spectrum"][0])

    def embed(self, inputs):
        return self.encoder(inputs["spectrum"])

    def reconstruct(self, inputs, mask):
        return {"spectrum": self.decoder(self.encoder(inputs["spectrum"].masked_fill(mask["spectrum"], 0.0)))}


@dataclass(frozen=True)
class Toy:
    """A file, its manifest, and the network that learns from it."""

    manifest: str
    data: dict[str, np.ndarray]
    model: str
    labels: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def redshift(rng: np.random.Generator) -> Toy:
    z = rng.uniform(0.2, 1.4, N)
    magnitudes = 20 + z[:, None] * np.array([2.0, 1.0, 0.5]) + rng.normal(0, 0.05, (N, 3))
    manifest = '[[label]]\nname = "z"\ncolumn = ["z"]\n' + MAGNITUDES
    return Toy(manifest, {"z": z, **columns(magnitudes)}, "mlp", ("z",))


def three_labels(rng: np.random.Generator) -> Toy:
    """Fractions of votes: many, one mostly unknown, each with the number of votes as its weight."""
    magnitudes = rng.normal(20, 1, (N, 3))
    fractions = 1 / (1 + np.exp(-(magnitudes - 20)))
    fractions[::2, 2] = np.nan  # a question that was not reached
    votes = rng.integers(1, 40, N).astype(float)
    names = ("smooth", "edge", "bar")
    labels = "".join(f'[[label]]\nname = "{n}"\ncolumn = ["{n}"]\nweight = "votes"\npossible = [0, 1]\n' for n in names)
    data = dict(zip(names, fractions.T, strict=True)) | {"votes": votes} | columns(magnitudes)
    return Toy(labels + MAGNITUDES, data, "mlp", names)


def spectrum(rng: np.random.Generator) -> Toy:
    feh = rng.uniform(-2.5, 0.4, N)
    grid = np.linspace(4000.0, 7000.0, 40)
    flux = 1 - 0.2 * (feh[:, None] + 3) * np.exp(-(((grid - 5175) / 100) ** 2)) + rng.normal(0, 0.02, (N, 40))
    manifest = '[[label]]\nname = "feh"\ncolumn = ["feh"]\n' + SPECTRUM
    return Toy(
        manifest,
        {"feh": feh, "flux": flux.astype("f4"), "wave": grid, "ivar": np.full((N, 40), 2500.0)},
        "mlp",
        ("feh",),
    )


def image_and_magnitudes(rng: np.random.Generator) -> Toy:
    z = rng.uniform(0.2, 1.4, N)
    pixels = (rng.normal(0, 1, (N, 3, 8, 8)) + 3 * z[:, None, None, None]).astype("f4")
    magnitudes = 20 + z[:, None] * np.array([2.0, 1.0, 0.5, 0.2, 0.1])
    manifest = '[[label]]\nname = "z"\ncolumn = ["z"]\n[input.image]\nkey = "pixels"\n'
    manifest += 'channels = ["red", "green", "blue"]\nunit = "counts"\nscale_arcsec = 0.4\n'
    manifest += '[input.magnitudes]\nchannels = ["u", "g", "r", "i", "z"]\ncolumns = ["m0", "m1", "m2", "m3", "m4"]\n'
    return Toy(manifest, {"z": z, "pixels": pixels, **columns(magnitudes)}, "two_inputs", ("z",))


def no_labels(rng: np.random.Generator) -> Toy:
    toy = spectrum(rng)
    manifest = toy.manifest.partition("[input")[1] + toy.manifest.partition("[input")[2]
    data = {name: values for name, values in toy.data.items() if name != "feh"}
    objective = {"objective": {"name": "masked_reconstruction", "ratio": 0.5}}
    return Toy(manifest, data, "autoencoder", (), training=objective)


def masked_sections(rng: np.random.Generator) -> Toy:
    """The same spectra with the transformer that comes with astrolab."""
    options = {"width": 8, "depth": 1, "heads": 2, "section": 8, "stride": 4}
    return replace(no_labels(rng), model="spectrum_transformer", options=options)


MAGNITUDES = '[input.magnitudes]\nchannels = ["g", "r", "i"]\ncolumns = ["m0", "m1", "m2"]\n'
SPECTRUM = '[input.spectrum]\nkey = "flux"\ngrid = "wave"\nunit = "relative flux"\ncompanions = { ivar = "ivar" }\n'
TOYS = (redshift, three_labels, spectrum, image_and_magnitudes, no_labels, masked_sections)


def columns(magnitudes: np.ndarray) -> dict[str, np.ndarray]:
    return {f"m{k}": column for k, column in enumerate(magnitudes.T)}


@pytest.fixture(autouse=True)
def networks():
    with patch.dict(MODELS):  # others have networks of these names
        for network in (TwoInputs, Autoencoder):
            al.register_model(network)
        yield


@pytest.fixture(params=TOYS, ids=lambda toy: toy.__name__)
def toy(request, tmp_path: Path) -> tuple[Toy, Path]:
    made = request.param(np.random.default_rng(0))
    with h5py.File(tmp_path / "toy.h5", "w") as file:
        for name, values in made.data.items():
            file[name] = values
        file["id"] = np.arange(N)
    head = 'name = "toy"\ntitle = "Toy survey"\nversion = "1"\nobjects = "sources"\n'
    tail = '[id]\ncolumn = "id"\nscheme = "toy"\n[format]\nformat = "hdf5"\n[[files]]\npath = "toy.h5"\n'
    (tmp_path / "toy.toml").write_text(head + made.manifest + tail)
    return made, tmp_path / "toy.toml"


def test_the_spine_carries_any_input_and_any_label(toy, tmp_path):
    import matplotlib.pyplot as plt

    toy, manifest = toy
    survey = al.load_survey(manifest)
    assert "sources" in repr(survey) and survey.task.label_names == toy.labels
    parts = al.split(survey)
    scaling = al.fit_scaling(parts.train)
    network = al.make_model(toy.model, survey=survey, seed=0, **toy.options)
    config = al.TrainConfig(epochs=2, batch_size=32, label_clamp=None, select="best_raw", **toy.training)
    adapted = al.adapt(network, strategy="lora", rank=2)
    result = al.fit(
        adapted, train=parts.train, validation=parts.validation, scaling=scaling, config=config, progress=False
    )
    assert np.isfinite(result.history[["train_loss", "validation_loss"]].to_numpy()).all()

    al.save_model(result.adapted, directory=tmp_path / "model", base=network)
    table = al.predict(al.load_model(tmp_path / "model"), survey=parts.test, scaling=scaling)
    again = al.predict(result.adapted, survey=parts.test, scaling=scaling)
    answers = [f"pred.{name}" for name in toy.labels] or ["error.spectrum"]
    assert len(table) == len(parts.test) and np.array_equal(table[answers], again[answers])
    al.save_predictions(table, path=tmp_path / "predictions.parquet")
    table = al.load_predictions(tmp_path / "predictions.parquet")

    scores = al.score(table, resampling=al.Resampling(n=20))
    for name in toy.labels:
        known = int(parts.test.labels[name].notna().sum()) if name != "z" else None
        n = scores.loc[scores["label"] == name, "n"].unique()
        assert len(n) == 1 and (known is None or n[0] == known)
    assert np.isfinite(scores["value"]).all()

    if toy.labels:
        al.plot_prediction_density(table, label=toy.labels[-1])
    al.plot_metrics(scores, metrics=scores["metric"].unique()[:2].tolist())
    plt.close("all")
    explorer = al.explore_predictions(table, survey=parts.test)
    assert len(explorer.view.objects) == len(parts.test) - explorer.view.n_unknown > 0
    explorer.close()


def test_the_unknown_is_masked_in_loss_scores_and_never_read_as_zero(tmp_path):
    """Where a label is unknown, its true value has no effect on what is learned."""
    rng = np.random.default_rng(1)
    toy = three_labels(rng)
    results = []
    for fill in (np.nan, 0.75):
        data = {name: np.array(values) for name, values in toy.data.items()}
        data["bar"][::2] = fill
        folder = tmp_path / str(fill)
        folder.mkdir()
        with h5py.File(folder / "toy.h5", "w") as file:
            for name, values in data.items():
                file[name] = values
            file["id"] = np.arange(N)
        head = 'name = "toy"\ntitle = "Toy survey"\nversion = "1"\n'
        tail = '[id]\ncolumn = "id"\nscheme = "toy"\n[format]\nformat = "hdf5"\n[[files]]\npath = "toy.h5"\n'
        (folder / "toy.toml").write_text(head + toy.manifest + tail)
        survey = al.load_survey(folder / "toy.toml")
        parts = al.split(survey)
        network = al.make_model("mlp", survey=survey, seed=0)
        config = al.TrainConfig(epochs=1, batch_size=32, label_clamp=None)
        scaling = al.fit_scaling(parts.train)
        fitted = al.fit(
            network, train=parts.train, validation=parts.validation, scaling=scaling, config=config, progress=False
        )
        results.append(al.predict(fitted.adapted, survey=parts.test, scaling=scaling))
    unknown, known = results
    assert unknown["truth.bar"].isna().sum() == (unknown["object_id"] % 2 == 0).sum() > 0
    assert not np.array_equal(unknown["pred.bar"], known["pred.bar"])
    assert np.isfinite(unknown["pred.bar"]).all()
