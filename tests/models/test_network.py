"""What networks promise, and the two of them against torchvision, by hand, and against the published counts."""

import copy
import dataclasses
import hashlib
import json
import math

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from astrolab.errors import ConfigError, SchemaError, UnknownNameError
from astrolab.models.network import (
    ModelSpec,
    Network,
    TrainingRecord,
    digest,
    perceptron,
    require_options,
    seeded,
    tensor_digest,
)
from astrolab.models.networks.cnn import CNN
from astrolab.models.networks.mlp import MLP
from astrolab.models.registry import MODELS, make_model, rebuild, register_model
from astrolab.tasks import REDSHIFT

NAMES = ["cnn", "mlp"]
# Positions of torchvision's children in the published `features`.
CHILDREN = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]
PUBLISHED_TARGETS = [
    "features.0",
    *[f"features.{k}.{b}.conv{c}" for k in (4, 5, 6, 7) for b in (0, 1) for c in (1, 2)],
    *[f"features.{k}.0.downsample.0" for k in (5, 6, 7)],
    "classifier.0",
    "classifier.3",
    "classifier.6",
]


def cnn(n_channels=5, **options):
    return CNN(inputs={"image": (n_channels, 16, 16)}, task=REDSHIFT, **options)


def mlp(n_channels=5, **options):
    return MLP(inputs={"magnitudes": (n_channels,)}, task=REDSHIFT, **options)


@pytest.fixture(scope="module")
def reference(make_survey):
    return make_model("cnn", survey=make_survey(), seed=0)


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_output_layer_reads_the_hidden_features(name, small_network, inputs):
    network, x = small_network(name), inputs()
    output = network.classifier[-1]
    assert network.n_hidden == 8
    torch.testing.assert_close(network(x), network.embed(x) @ output.weight.T + output.bias)


@pytest.mark.parametrize("name", NAMES)
def test_stem_body_and_head_are_everything_once(name, small_network):
    network = small_network(name)

    def under(*stages):
        roots = [root for stage in stages for root in network.stages[stage]]
        return sorted(n for n, _ in network.named_parameters() for root in roots if n.startswith(f"{root}."))

    assert under("stem", "body", "head") == under("all") == sorted(n for n, _ in network.named_parameters())


def test_a_parameter_of_the_network_itself_belongs_to_all_of_it():
    network = mlp()
    network.token = nn.Parameter(torch.zeros(3))
    assert network.stages["all"] == ("features", "classifier", "token")


@pytest.mark.parametrize("name", NAMES)
def test_adapters_can_sit_on_every_layer_with_a_matrix(name, small_network):
    network = small_network(name)
    matrices = {n.removesuffix(".weight") for n, p in network.named_parameters() if p.ndim >= 2}
    assert set(network.adapter_targets) == matrices


def test_wrong_inputs_are_refused_in_words():
    for shape in [(3, 4), (3, 5, 8, 8)]:
        with pytest.raises(SchemaError, match=r"rows of shape \[5\]"):
            mlp()({"magnitudes": torch.zeros(shape)})
    with pytest.raises(SchemaError, match=r"rows of shape \[5, any, any\]"):
        cnn(width=4)({"image": torch.zeros(2, 5)})
    with pytest.raises(SchemaError, match="only magnitudes"):
        cnn(width=4)({"magnitudes": torch.zeros(2, 5)})


def test_the_head_puts_its_linear_layers_where_the_published_weights_have_them():
    layers = perceptron(512, hidden=(512, 256), n_labels=37, dropout=0.5)
    assert [k for k, layer in enumerate(layers) if isinstance(layer, nn.Linear)] == [0, 3, 6]
    assert [type(layer) for layer in layers[1:3]] == [nn.SiLU, nn.Dropout]
    assert layers[6].out_features == 37


@pytest.mark.parametrize("option", [{"width": (0,)}, {"hidden": ()}, {"hidden": (4, 2.5)}, {"width": (True,)}])
def test_impossible_widths_are_refused(option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        require_options("cnn", widths=option, dropout=0.5)


def test_impossible_options_of_networks_are_refused():
    for make in (lambda: cnn(dropout=1.0), lambda: cnn(width=0), *(lambda h=h: mlp(hidden=h) for h in ((), (8,)))):
        with pytest.raises(ConfigError, match="Change these options"):
            make()


def test_a_seed_leaves_the_random_state_of_torch_alone():
    before = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(5):
        assert torch.equal(torch.rand(3), first)


def test_a_tensor_digest_is_the_hash_of_its_bytes():
    tensor = torch.tensor([[1.0, -2.0]])
    expected = hashlib.sha256(b"torch.float32 (1, 2)\n" + tensor.numpy().tobytes()).hexdigest()
    assert tensor_digest(tensor) == expected
    images = torch.randn(2, 3, 4, 4)
    assert tensor_digest(images.to(memory_format=torch.channels_last)) == tensor_digest(images)
    assert tensor_digest(torch.ones(2, dtype=torch.bfloat16)) != tensor_digest(torch.ones(2, dtype=torch.float16))


@pytest.mark.parametrize("other", [torch.zeros(4, 1), torch.zeros(4, dtype=torch.float64), torch.tensor(0.0)])
def test_shape_and_type_count_in_a_digest(other):
    assert tensor_digest(other) != tensor_digest(torch.zeros(4))


def test_one_changed_buffer_changes_the_digest_of_a_network():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    other = copy.deepcopy(network)
    assert digest(other) == digest(network)
    other[1].running_mean[0] = 1e-7
    assert digest(other) != digest(network)


def test_parameters_are_those_of_the_paper(reference):
    assert count(reference.features) == 11_182_784
    assert count(reference.classifier) == 394_241
    assert count(reference) == 11_577_025


def test_adapter_targets_are_the_published_modules(reference):
    assert len(PUBLISHED_TARGETS) == 23
    assert sorted(reference.adapter_targets) == sorted(PUBLISHED_TARGETS)


def test_the_body_computes_what_torchvision_computes(reference):
    body = resnet18(weights=None)
    body.conv1 = nn.Conv2d(5, 64, kernel_size=7, stride=2, padding=3, bias=False)
    weights = {
        f"{CHILDREN[int(name.split('.')[1])]}.{name.split('.', 2)[2]}": tensor
        for name, tensor in reference.state_dict().items()
        if name.startswith("features.")
    }
    body.fc = nn.Identity()
    body.load_state_dict(weights, strict=True)
    images = torch.randn(2, 5, 64, 64)
    body.eval(), reference.eval()
    with torch.no_grad():
        torch.testing.assert_close(reference.features(images).flatten(1), body(images))


def test_initial_weights_are_distributed_as_in_the_reference(reference):
    for name, module in reference.named_modules():
        if name == "features.0":
            bound = 1 / math.sqrt(5 * 7 * 7)
            assert module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        elif isinstance(module, nn.Conv2d):
            expected = math.sqrt(2 / (module.out_channels * module.kernel_size[0] ** 2))
            assert module.weight.std().item() == pytest.approx(expected, rel=0.05), name
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


@pytest.mark.parametrize(("n_channels", "size"), [(1, 16), (3, 33), (7, 64)])
def test_the_cnn_reads_any_number_of_channels_and_any_size(n_channels, size):
    network = cnn(n_channels, hidden=(4,), width=4).eval()
    assert network({"image": torch.zeros(2, n_channels, size, size)}).shape == (2, 1)


def test_a_narrow_network_has_the_structure_of_the_wide_one(reference):
    narrow = cnn(width=8)
    assert narrow.state_dict().keys() == reference.state_dict().keys()
    assert narrow.adapter_targets == reference.adapter_targets


@pytest.mark.parametrize("batchnorm", [True, False])
def test_the_mlp_computes_four_layers_with_a_skip(batchnorm):
    widths = [(5, 128), (128, 128), (128, 128), (128 + 5, 128), (128, 1)]
    scales_and_shifts = 3 * 2 * 128 * batchnorm
    assert count(mlp(batchnorm=batchnorm)) == sum(a * b + b for a, b in widths) + scales_and_shifts
    assert mlp().spec == mlp(batchnorm=True).spec
    network = mlp(3, hidden=(4, 6, 8), batchnorm=batchnorm)
    weights = {name: p.detach() for name, p in network.named_parameters()}

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def layer(x, name):
        x = linear(x, name)
        return silu((x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + 1e-5).sqrt() if batchnorm else x)

    def silu(x):
        return x / (1 + torch.exp(-x))

    x = torch.randn(5, 3)
    h = layer(layer(x, "features.0.0"), "features.1.0")
    h = silu(linear(torch.cat([h, x], dim=1), "classifier.0"))
    torch.testing.assert_close(network.train()({"magnitudes": x}), linear(h, "classifier.3"))


def test_the_seed_decides_the_weights_and_nothing_else_does(make_survey):
    def make(seed):
        return digest(make_model("cnn", survey=make_survey(), seed=seed, width=4))

    torch.manual_seed(1)
    first = make(0)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert make(0) == first != make(1)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cnn", {"width": 4, "hidden": (6, 3)}),
        ("mlp", {"batchnorm": True, "hidden": (6, 3), "inputs": ["spectrum"]}),
        ("two_inputs", {"width": 3}),
    ],
)
def test_a_spec_survives_json_and_rebuilds_the_network(name, options, own_networks, make_survey):
    network = make_model(name, survey=make_survey(labels=("z", "mass")), seed=7, **options)
    spec = ModelSpec(**json.loads(json.dumps(dataclasses.asdict(network.spec))))
    assert spec == network.spec
    again = rebuild(spec, seed=7)
    assert digest(again) == digest(network)
    assert (again.inputs, again.task, again.stages) == (network.inputs, network.task, network.stages)


def test_the_size_of_a_stamp_is_no_part_of_the_network(reference):
    assert reference.spec.options["inputs"] == {"image": [5, None, None]}


def test_a_network_reads_what_it_can_or_says_what_it_cannot(make_survey):
    assert make_model("cnn", survey=make_survey(), seed=0, width=4).inputs == ("image",)
    assert make_model("mlp", survey=make_survey(), seed=0, inputs=["spectrum"]).inputs == ("spectrum",)
    with pytest.raises(SchemaError, match="magnitudes, spectrum that it can read, one at a time"):
        make_model("mlp", survey=make_survey(), seed=0)
    with pytest.raises(SchemaError, match="received : the inputs magnitudes"):
        make_model("cnn", survey=make_survey(), seed=0, inputs=["magnitudes"])
    with pytest.raises(SchemaError, match="none that it can read"):
        make_model("cnn", survey=make_survey(inputs=["magnitudes"]), seed=0)
    with pytest.raises(UnknownNameError, match="Did you mean 'image'"):
        make_model("cnn", survey=make_survey(), seed=0, inputs=["imag"])


def test_only_a_network_that_reconstructs_learns_without_labels(own_networks, make_survey):
    with pytest.raises(SchemaError, match="without labels"):
        make_model("cnn", survey=make_survey(labels=()), seed=0)
    assert make_model("autoencoder", survey=make_survey(labels=()), seed=0).labels == ()


def test_unknown_names_are_refused_with_the_nearest(make_survey):
    with pytest.raises(UnknownNameError, match="Did you mean 'cnn'"):
        make_model("cnnn", survey=make_survey(), seed=0)
    with pytest.raises(UnknownNameError, match="dropout, hidden, width"):
        make_model("cnn", survey=make_survey(), seed=0, depth=3)


def test_a_network_of_ones_own_needs_a_name_of_its_own(monkeypatch):
    monkeypatch.setattr("astrolab.models.registry.MODELS", dict(MODELS))
    for name in ("", "cnn"):
        with pytest.raises(ConfigError, match="name of its own"):
            register_model(type("Mine", (Network,), {"name": name}))
    assert register_model(CNN) is CNN


def test_a_network_knows_what_it_was_trained_on(make_survey):
    survey = make_survey()
    spec = dataclasses.replace(survey.specs["spectrum"], medium="air", resolution=[1800.0], velocity="rv")
    survey = dataclasses.replace(survey, specs={**survey.specs, "spectrum": spec})
    record = TrainingRecord.of(survey, inputs=("image", "spectrum"))
    assert TrainingRecord.from_dict(json.loads(json.dumps(dataclasses.asdict(record)))) == record
    record.require_same(survey)

    def changed(name, **changes):
        specs = {**survey.specs, name: dataclasses.replace(survey.specs[name], **changes)}
        return dataclasses.replace(survey, specs=specs)

    record.require_same(changed("image", unit=""))
    for other, remedy in [
        (changed("image", scale_arcsec=0.2), r"resample\(survey, scale_arcsec=0\.168"),
        (changed("image", unit="mJy"), "convert it to nJy"),
        (changed("spectrum", grid=range(20)), r"bridge_spectra\(survey, bridge=\.\.\.\)"),
        (changed("spectrum", bridge={"continuum": None}), "bridged(.|\n)*bridge it"),
        (make_survey(inputs=["image"]), "only image"),
    ]:
        with pytest.raises(SchemaError, match=remedy):
            record.require_same(other)
