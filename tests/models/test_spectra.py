"""Networks of spectra: the published counts, what is hidden stays hidden, and what is learned without labels."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import astrolab as al
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import ConfigError
from astrolab.models.networks.spectra import SpectrumMLP, SpectrumTransformer
from astrolab.models.registry import choose_model
from astrolab.tasks import InputSpec, find_quantity, make_task
from astrolab.trainers.objectives import MaskedReconstruction, draw_seeds

FEH = make_task([find_quantity("feh")])
NO_LABELS = make_task([])
SPECTRUM, EMBEDDING = InputSpec(("pixel",), grid=np.linspace(4000, 5600, 120)), InputSpec(("feature",))
SMALL = {"width": 16, "depth": 1, "heads": 2}


def mlp(n_in, **options):
    return SpectrumMLP(inputs={"spectrum": (n_in,)}, task=FEH, **options)


def transformer(n_pixels, *, task=NO_LABELS, **options):
    return SpectrumTransformer(inputs={"spectrum": (n_pixels,)}, task=task, **SMALL | options).eval()


def stars(n, *, seed):
    """Spectra of a continuum and twelve lines, of a depth that [Fe/H] says; in noise."""
    rng = np.random.default_rng(seed)
    feh, slope, pixel = rng.uniform(-2, 0.5, n), rng.uniform(-0.1, 0.1, n), np.arange(120)
    lines = np.exp(-0.5 * ((pixel - 10 * np.arange(12)[:, None] - 5) / 1.5) ** 2).sum(axis=0)
    flux = 1 + slope[:, None] * (pixel - 60) / 60 - 0.2 * (feh[:, None] + 2.2) * lines
    return Survey(
        name="stars",
        inputs={"spectrum": (flux + rng.normal(0, 0.03, flux.shape)).astype("f4")},
        specs={"spectrum": SPECTRUM},
        labels=pd.DataFrame({"feh": feh}),
        ids=np.arange(n) + 10_000 * seed,
        provenance=Provenance("stars", "Stars", simulated=True, digest=f"stars {seed}"),
        task=FEH,
    )


@pytest.mark.parametrize(("n_in", "n_layers", "n_adapters"), [(1462, 2_055_809, 37_304), (768, 1_345_153, 31_752)])
def test_the_mlp_and_its_adapters_have_the_published_parameters(n_in, n_layers, n_adapters):
    network = mlp(n_in)
    counts = {kind: 0 for kind in (nn.Linear, nn.BatchNorm1d)}
    for module in network.modules():
        if type(module) in counts:
            counts[type(module)] += sum(p.numel() for p in module.parameters())
    assert list(counts.values()) == [n_layers, 3_200]
    assert sum(p.numel() for p in network.parameters()) == n_layers + 3_200
    assert al.count_trainable(network, strategy="lora", rank=8, alpha=16) == n_adapters


def test_the_mlp_computes_linear_batchnorm_relu_and_one_linear_more():
    network, x = mlp(9, hidden=(6, 5, 4)), 3 + 2 * torch.randn(50, 9)
    weights = {name: p.detach() for name, p in network.named_parameters()}
    h = x
    for k in range(3):
        h = h @ weights[f"features.{k}.0.weight"].T + weights[f"features.{k}.0.bias"]
        h = ((h - h.mean(dim=0)) / (h.var(dim=0, correction=0) + 1e-5).sqrt()).relu()
    for module in network.modules():
        module.p = 0.0  # dropout
    torch.testing.assert_close(network.embed({"spectrum": x}), h)
    torch.testing.assert_close(network({"spectrum": x}), h @ network.output.weight.T + network.output.bias)


@pytest.mark.parametrize("make", [mlp, lambda n: transformer(n, task=FEH)])
def test_stages_are_everything_once(make):
    network = make(40).eval()
    roots = [root for stage in ("stem", "body", "head", "decoder") for root in network.stages.get(stage, ())]
    every = [name for name, _ in network.named_parameters()]
    assert sorted(n for n in every for root in roots if n == root or n.startswith(f"{root}.")) == sorted(every)
    assert network.n_hidden in (64, 16)


def test_auto_gives_spectra_their_own_network_and_magnitudes_the_one_they_had():
    specs = {"spectrum": SPECTRUM, "embedding": EMBEDDING, "magnitudes": InputSpec(("band",))}
    assert [choose_model("auto", specs={name: spec}) for name, spec in specs.items()] == 2 * ["spectrum_mlp"] + ["mlp"]
    assert SpectrumMLP.reads(specs) == ("spectrum", "embedding") and SpectrumTransformer.reads(specs) == ("spectrum",)


def test_the_defaults_of_the_transformer_are_the_published_structure():
    """Six blocks of 12 width² weights: SpecFormer's 43 M parameters, of which an adapter of 129 K is 0.30 %."""
    network = SpectrumTransformer(inputs={"spectrum": (1462,)}, task=NO_LABELS)
    assert network.positions.shape == (146, 768) and len(network.blocks) == 6 and network.sections.in_features == 21
    assert 129e3 / sum(p.numel() for p in network.parameters()) == pytest.approx(0.0030, abs=5e-5)
    hide = MaskedReconstruction(network.inputs, ratio=network.mask_ratio, patch=network.mask_patch)
    hidden = hide._mask(torch.zeros(200, 1462), seeds=torch.from_numpy(draw_seeds(200, stream=(0,))))
    edges = torch.nn.functional.pad(hidden.int(), (1, 1)).diff(dim=1)
    assert hidden.sum(dim=1).max() == 6 * 110 and (edges == 1).sum(dim=1).max() == 6, "6 runs of 10 sections each"


@pytest.mark.parametrize("n_pixels", [1462, 120, 125, 13])
def test_sections_cover_every_pixel_and_are_averaged_where_they_overlap(n_pixels):
    """With nothing learned in between, a spectrum comes back, and its mean where it was hidden."""
    network = transformer(n_pixels)
    network.sections = network.blocks = network.norm = nn.Identity()
    network.positions = nn.Parameter(torch.zeros(1))
    network.decoder = type("First", (nn.Module,), {"forward": lambda self, tokens: tokens[..., :20]})()
    x, mask = 5 + 3 * torch.randn(4, n_pixels), torch.arange(n_pixels).expand(4, -1) < n_pixels // 3
    for hidden in (torch.zeros_like(mask), mask):
        filled = network.reconstruct({"spectrum": x}, {"spectrum": hidden})["spectrum"]
        mean = torch.stack([row[~h].mean() for row, h in zip(x, hidden, strict=True)])
        torch.testing.assert_close(filled, torch.where(hidden, mean[:, None], x), atol=1e-4, rtol=1e-5)


def test_nothing_that_is_hidden_is_seen_and_everything_else_is():
    network, x = transformer(120, depth=2), torch.randn(3, 120)
    mask = torch.zeros(3, 120, dtype=torch.bool)
    mask[:, 30:63] = True
    filled = network.reconstruct({"spectrum": x}, {"spectrum": mask})["spectrum"]
    for value in (1e6, np.nan):
        other = torch.where(mask, value, x)
        assert torch.equal(network.reconstruct({"spectrum": other}, {"spectrum": mask})["spectrum"], filled)
    for pixel in (0, 29, 63, 119):
        moved = x.clone()
        moved[:, pixel] += 1
        assert not torch.allclose(network.reconstruct({"spectrum": moved}, {"spectrum": mask})["spectrum"], filled)


def test_the_deviation_of_a_spectrum_is_seen_and_its_level_is_not():
    network, x = transformer(120, task=FEH), torch.randn(3, 120)
    labels = network({"spectrum": x})
    torch.testing.assert_close(network({"spectrum": x + 7}), labels, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(network({"spectrum": 2 * x}), labels, atol=1e-3)


def test_adapters_work_while_predicting_as_while_training():
    network, x = transformer(120, task=FEH, depth=2), {"spectrum": torch.randn(3, 120)}
    adapted = al.adapt(network, strategy="lora", rank=2, dropout=0.0).network
    reached = [n for n, p in adapted.named_parameters() if "lora_B" in n and nn.init.normal_(p) is not None]
    assert len(reached) == 1 + 4 * 2 + 1 and not any("decoder" in name for name in reached)
    learning = adapted.train()(x).detach()
    with torch.no_grad():
        assert torch.equal(adapted.eval()(x), learning)
    assert not torch.allclose(learning, network(x), atol=1e-2)


@pytest.mark.parametrize("options", [{"heads": 3}, {"stride": 21}, {"section": 0}])
def test_impossible_sections_and_heads_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        transformer(120, **options)


def test_what_is_learned_without_labels_goes_on_where_it_was_cut_off_and_feeds_the_mlp(tmp_path, monkeypatch):
    """Labels of the pre-training sample are not looked at; an embedding tells [Fe/H] to the network of the study."""
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))
    train, validation, test = (stars(n, seed=seed) for seed, n in enumerate((600, 200, 200)))
    unlabelled = [replace(part, labels=part.labels[[]], task=NO_LABELS) for part in (train, validation)]
    scaling = al.fit_scaling(train, method="none")
    network = al.make_model("spectrum_transformer", survey=unlabelled[0], seed=0, **SMALL, section=12, stride=6)
    config = al.TrainConfig(
        objective={"name": "masked_reconstruction", "ratio": 0.4, "patch": 12},
        optimiser="adamw",
        betas=(0.9, 0.95),
        weight_decay=0.1,
        schedule={"name": "cosine", "warmup_frac": 0.1},
        learning_rate=3e-3,
        batch_size=64,
        n_steps=150,
        epoch_steps=50,
        device="cpu",
    )
    given = {"train": unlabelled[0], "validation": unlabelled[1], "scaling": scaling, "progress": False}
    base = al.fit(network, **given, config=config)
    assert base.history["validation_loss"].iloc[-1] < 0.5 * np.var(train.inputs["spectrum"] - 1)

    from astrolab.trainers import loop

    validations = iter(range(2))
    with monkeypatch.context() as patched, pytest.raises(StopIteration):
        whole = loop.validate
        patched.setattr(loop, "validate", lambda *a, **o: (next(validations), whole(*a, **o))[1])
        al.fit(copy.deepcopy(network), **given, config=config, checkpoint=tmp_path / "run.safetensors")
    resumed = al.fit(network, **given, config=config, checkpoint=tmp_path / "run.safetensors")
    assert resumed.history["validation_loss"].tolist() == base.history["validation_loss"].tolist()

    parts = [al.embed(base.adapted, survey=part, scaling=scaling, device="cpu") for part in (train, validation, test)]
    head = al.make_model("spectrum_mlp", survey=parts[0], seed=0, hidden=(32, 16))
    own = al.fit_scaling(parts[0])
    supervised = al.TrainConfig(epochs=15, batch_size=64, learning_rate=1e-2, device="cpu")
    fitted = al.fit(head, train=parts[0], validation=parts[1], scaling=own, config=supervised, progress=False)
    table = al.predict(fitted.adapted, survey=parts[2], scaling=own)
    scores = al.score(table, resampling=al.Resampling(n=0)).set_index("metric")["value"]
    assert list(scores.index) == ["bias", "sigma_clipped", "rmse", "r2"] and scores["r2"] > 0.9
