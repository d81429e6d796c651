"""Losses on planes against one network at a time, curvature and width against closed forms."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from astrolab import landscapes
from astrolab.datasets.scaling import fit_scaling
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import ModelError
from astrolab.landscapes import loss_landscape, plane_through, random_plane, sharpness
from astrolab.models.adapt import Adapted, adapt, merge
from astrolab.models.network import Network, digest
from astrolab.models.registry import make_model
from astrolab.tasks import InputSpec, Quantity, Task
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.loop import fit

OPTIONS = {
    "mlp": {"inputs": ["magnitudes"], "hidden": (8, 8, 6)},
    "cnn": {"inputs": ["image"], "width": 4, "hidden": (6,)},
}
N = 40


def survey_of(n=N, *, unknown=0):
    random = np.random.default_rng(0)
    magnitudes = random.normal(21, 1, (N, 5)).astype("f4")
    labels = (magnitudes - 21) @ random.normal(0, 0.2, (5, 2)) + random.normal(0, 0.1, (N, 2))
    labels[:unknown, 0] = np.nan
    specs = {"magnitudes": InputSpec(("band",), tuple("grizy")), "image": InputSpec(("band", "y", "x"), tuple("gri"))}
    return Survey(
        name="toy",
        inputs={"magnitudes": magnitudes, "image": random.normal(size=(N, 3, 16, 16)).astype("f4")},
        specs=specs,
        labels=pd.DataFrame(labels, columns=["u", "v"]),
        ids=np.arange(N),
        provenance=Provenance("toy", "Toy survey"),
        task=Task("toy", (Quantity("u", "u"), Quantity("v", "v")), "mse", ("scatter",), "scatter"),
    ).take(np.arange(N - n, N))


def trained(model, *, survey, scaling, rate=1e-2, seed=0):
    config = TrainConfig(n_steps=8, batch_size=20, learning_rate=rate, seed=seed)
    return fit(model, train=survey, validation=survey, scaling=scaling, config=config, progress=False).adapted


@pytest.fixture(scope="module")
def world():
    """A base network that has learned a little, by kind, with its survey and scaling."""

    def make(kind):
        survey = survey_of()
        network = make_model(kind, survey=survey, seed=1, **OPTIONS[kind])
        scaling = fit_scaling(survey, inputs=network.inputs, method="standard")
        return trained(network, survey=survey, scaling=scaling).network, survey, scaling

    return {kind: make(kind) for kind in OPTIONS}


@torch.no_grad()
def own_loss(network, survey, scaling):
    read = scaling.apply({name: torch.from_numpy(np.array(survey.inputs[name])) for name in network.inputs})
    seen = {name: v.half().float() if v.ndim == 4 else v for name, v in read.items()}  # images are held as float16
    truth = torch.tensor(survey.labels.to_numpy("f4"))
    squares = (network.eval()(seen) - truth).square()
    return float(squares[~truth.isnan()].mean())


def one_at_a_time(network, *, directions, places, survey, scaling, prefix=""):
    """What everybody writes first: load the weights of a place, predict all objects, next place."""
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    own, losses = copy.deepcopy(network), []
    for a, b in places:
        moved = {prefix + n: start[prefix + n] + a * d + b * directions[1][n] for n, d in directions[0].items()}
        own.load_state_dict(start | moved)
        losses.append(own_loss(own, survey, scaling))
    return np.array(losses)


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("strategy", ["full", "lora", "residual"])
@pytest.mark.parametrize("subspace", ["merged", "adapter", "full"])
def test_a_landscape_is_that_of_one_network_at_a_time(world, kind, strategy, subspace):
    base, survey, scaling = world[kind]
    model = trained(adapt(base, strategy=strategy), survey=survey, scaling=scaling)
    before = digest(base), digest(model.network)
    plane = random_plane(base if subspace == "merged" else model, subspace=subspace, seed=3)
    found = loss_landscape(model, plane=plane, survey=survey, scaling=scaling, n=3)
    network = merge(model) if subspace == "merged" and strategy == "lora" else model.network
    prefix = "base." if subspace == "merged" and strategy == "residual" else ""
    table = found.table
    places = table[["a", "b"]].to_numpy()
    how = {"survey": survey, "scaling": scaling, "prefix": prefix}
    expected = one_at_a_time(network, directions=plane.directions, places=places, **how)
    np.testing.assert_allclose(table["loss"], expected, rtol=1e-5)
    assert np.ptp(expected) > 1e-3 and found.at(0, b=0)[2] == pytest.approx(
        own_loss(network, survey, scaling), rel=1e-5
    )
    assert (digest(base), digest(model.network)) == before
    if subspace == "adapter":
        assert set(plane.directions[0]) == {n for n, p in model.network.named_parameters() if p.requires_grad}


def test_random_directions_have_the_norms_of_the_filters(world):
    base, *_ = world["cnn"]
    tensors = dict(base.named_parameters())
    plane = random_plane(base, seed=5)
    for name, d in plane.directions[0].items():
        if d.ndim > 1:
            norms = [t.flatten(1).norm(dim=1) for t in (d, tensors[name])]
            torch.testing.assert_close(*norms)
        else:
            assert not d.any()
    cosines = []
    for one in (plane, random_plane(base, seed=5, orthogonal=True)):
        first, second = (torch.cat([d.flatten() for d in ways.values()]) for ways in one.directions)
        cosines.append(abs(float(nn.functional.cosine_similarity(first, second, dim=0))))
    assert cosines[1] < 1e-6 < cosines[0] < 0.2
    small = next(name for name, t in tensors.items() if t.ndim == 1 and t.any())
    moved = {how: random_plane(base, one_dimensional=how).directions[0][small] for how in ("weights", "filter")}
    assert torch.equal(moved["weights"], tensors[small]) and not torch.equal(moved["filter"], tensors[small])
    assert moved["filter"].norm() == pytest.approx(float(tensors[small].detach().norm()), rel=1e-4)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_plane_through_networks_gives_each_its_own_loss(world, kind):
    base, survey, scaling = world[kind]
    models = {s: trained(adapt(base, strategy=s), survey=survey, scaling=scaling, rate=0.05) for s in ("lora", "full")}
    plane = plane_through(base, models=models)
    found = loss_landscape(base, plane=plane, survey=survey, scaling=scaling, n=3, marks=models)
    marks = found.marks.set_index("name")
    assert marks.loc["lora", ["a", "b"]].tolist() == pytest.approx([1, 0], abs=1e-5)
    assert marks["off_frac"].max() < 1e-3 and marks.loc["full", "b"] > 0
    for name, network in (("lora", merge(models["lora"])), ("full", models["full"].network)):
        a, b = marks.loc[name, ["a", "b"]]
        here = landscapes.Plane(plane.directions, "merged", plane.words, ((a, a), (b, b)))
        there = loss_landscape(base, plane=here, survey=survey, scaling=scaling, n=1).loss[0, 0]
        assert there == pytest.approx(own_loss(network, survey, scaling), rel=1e-4)
    with pytest.raises(ModelError, match="one line"):
        plane_through(base, models={"a": models["full"], "b": models["full"]})


def test_a_path_of_training_begins_at_the_base_and_ends_at_the_network_that_was_kept(world):
    base, survey, scaling = world["mlp"]
    data = {"train": survey, "validation": survey, "scaling": scaling, "progress": False}
    config = TrainConfig(epochs=3, batch_size=8, learning_rate=0.01, select="last", keep_path=True)
    fits = {name: fit(adapt(base, strategy=name), config=config, **data) for name in ("lora", "full")}
    plane = plane_through(base, models={name: one.adapted for name, one in fits.items()})
    places = loss_landscape(base, plane=plane, survey=survey, scaling=scaling, n=3, marks=fits).marks
    way = places[places["name"] == "lora"]
    assert len(way) == 5 and way.iloc[0][["a", "b"]].tolist() == pytest.approx([0, 0], abs=1e-5)
    for end in (way.iloc[-1], way.iloc[-2]):
        assert end[["a", "b"]].tolist() == pytest.approx([1, 0], abs=1e-4)
    assert (way["off_frac"].iloc[1:3] > 1e-3).all(), "on the way it is beside the plane"


def test_a_network_off_the_plane_is_said_to_be(world):
    base, survey, scaling = world["mlp"]
    model = trained(adapt(base, strategy="full"), survey=survey, scaling=scaling)
    assert random_plane(base).project(model, origin=base)["off_frac"] > 0.8
    with pytest.raises(ModelError, match="trains nothing"):
        random_plane(adapt(base, strategy="zero_shot"), subspace="adapter")


def test_a_measurement_that_was_killed_goes_on(world, tmp_path, monkeypatch):
    base, survey, scaling = world["mlp"]
    plane, rows = random_plane(base), []
    losses = landscapes._Surface.losses

    def dies_in_its_third_row(surface, places):
        if len(rows) == 2:
            raise KeyboardInterrupt
        rows.append(places[0, 1])
        return losses(surface, places)

    how = {"plane": plane, "survey": survey, "scaling": scaling, "n": 5, "directory": tmp_path}
    monkeypatch.setattr(landscapes._Surface, "losses", dies_in_its_third_row)
    with pytest.raises(KeyboardInterrupt):
        loss_landscape(base, **how)
    rows.insert(0, None)
    monkeypatch.setattr(landscapes._Surface, "losses", lambda s, p: rows.append(p[0, 1]) or losses(s, p))
    found = loss_landscape(base, **how)
    assert rows[1:] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    np.testing.assert_array_equal(found.loss, loss_landscape(base, **how | {"directory": None}).loss)
    n_rows = len(rows)
    loss_landscape(base, **how)
    assert len(rows) == n_rows and len(list(tmp_path.iterdir())) == 1
    loss_landscape(base, **how | {"where": "v > 0"})
    assert len(list(tmp_path.iterdir())) == 2


def test_values_do_not_depend_on_how_much_is_computed_at_once(world, monkeypatch):
    base, survey, scaling = world["cnn"]
    how = {"plane": random_plane(base), "survey": survey, "scaling": scaling, "n": 4}
    whole = loss_landscape(base, **how).loss
    monkeypatch.setattr(landscapes, "CHUNK_BYTES", 1)
    np.testing.assert_allclose(loss_landscape(base, **how, config=TrainConfig(batch_size=7)).loss, whole, rtol=1e-5)


def test_unknown_labels_count_for_nothing(world):
    base, _, scaling = world["mlp"]
    holed, plane = survey_of(unknown=15), random_plane(base)
    found = loss_landscape(base, plane=plane, survey=holed, scaling=scaling, n=1)
    assert found.loss[0, 0] == pytest.approx(own_loss(_at_corner(base, plane), holed, scaling), rel=1e-5)


def _at_corner(base, plane):
    moved = copy.deepcopy(base)
    with torch.no_grad():
        for name, parameter in moved.named_parameters():
            parameter -= plane.directions[0][name] + plane.directions[1][name]
    return moved


class Line(Network):
    """Labels as weighted sums of magnitudes: its loss is a quadratic."""

    name = "line"

    def __init__(self, *, inputs, task):
        super().__init__(inputs=inputs, task=task, stages={"head": ("output",)})
        self.output = nn.Linear(inputs["magnitudes"][0], len(task.labels), bias=False)

    def embed(self, inputs):
        return inputs["magnitudes"]

    def read_out(self, hidden):
        return self.output(hidden)


@pytest.fixture
def quadratic():
    survey = survey_of()
    network = Line(inputs={"magnitudes": (5,)}, task=survey.task)
    scaling = fit_scaling(survey, inputs=network.inputs, method="standard")
    x = scaling.apply({"magnitudes": torch.from_numpy(np.array(survey.inputs["magnitudes"]))})["magnitudes"]
    with torch.no_grad():
        network.output.weight.copy_(torch.linalg.lstsq(x, torch.tensor(survey.labels.to_numpy("f4"))).solution.T)
    return network, survey, scaling, x


def test_sharpness_of_a_quadratic_is_its_closed_form(quadratic):
    network, survey, scaling, x = quadratic
    row = sharpness(network, base=network, survey=survey, scaling=scaling, n_directions=4, reach=3.0).iloc[0]
    hessian = (x.T @ x / len(x)).double()  # of the mean over two labels: 2 / (2 n)
    assert row["eigenvalue"] == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-2)
    assert 0 < row["eigenvalue_low"] < row["eigenvalue"] < row["eigenvalue_high"]
    widths = []
    for seed in (0, 1):
        for d in random_plane(network, seed=seed).directions:
            d = d["output.weight"].double()
            widths.append((2 * row["loss"] / float((d @ hessian * d).sum())) ** 0.5)
    assert row["width"] == pytest.approx(sorted(widths)[1], rel=0.02)
    assert row["width_low"] == pytest.approx(min(widths), rel=0.02)
    narrow = sharpness(network, base=network, survey=survey, scaling=scaling, n_directions=2, reach=1e-3, n_resamples=2)
    assert np.isinf(narrow["width"].iloc[0])


@pytest.mark.parametrize("strategy", ["full", "residual"])
def test_curvature_is_that_of_the_dense_hessian(world, strategy):
    base, survey, scaling = world["mlp"]
    model = trained(adapt(base, strategy=strategy), survey=survey, scaling=scaling, rate=0.05)
    network, prefix = model.network, "base." if isinstance(model, Adapted) and strategy == "residual" else ""
    values = {n: p.detach() for n, p in network.named_parameters() if n.startswith(prefix)}
    read = scaling.apply({n: torch.from_numpy(np.array(survey.inputs[n])) for n in network.inputs})
    truth = torch.tensor(survey.labels.to_numpy("f4"))

    def loss(flat):
        parts = flat.split([v.numel() for v in values.values()])
        moved = {n: part.view_as(v) for (n, v), part in zip(values.items(), parts, strict=True)}
        return (torch.func.functional_call(network, moved, (read,)) - truth).square().mean()

    hessian = torch.autograd.functional.hessian(loss, torch.cat([v.flatten() for v in values.values()]))
    expected = float(torch.linalg.eigvalsh((hessian + hessian.T).double() / 2)[-1])
    found = sharpness(model, base=base, survey=survey, scaling=scaling, n_directions=2, n_resamples=2)
    assert found["eigenvalue"].iloc[0] == pytest.approx(expected, rel=0.02)


def test_a_transformer_has_a_landscape_and_a_curvature_with_labels_and_without():
    random = np.random.default_rng(0)
    survey = Survey(
        name="stars",
        inputs={"spectrum": random.normal(1, 0.1, (6, 60)).astype("f4")},
        specs={"spectrum": InputSpec(("pixel",), grid=tuple(np.linspace(4000, 5000, 60)))},
        labels=pd.DataFrame({"feh": random.normal(-1, 0.3, 6)}),
        ids=np.arange(6),
        provenance=Provenance("stars", "stars"),
        task=Task("stars", (Quantity("feh", "[Fe/H]"),), "mse", ("scatter",), "scatter"),
    )
    objectives = {"supervised": survey, "masked_reconstruction": survey.with_labels()}
    for objective, stars in objectives.items():
        network = make_model("spectrum_transformer", survey=stars, seed=0, width=8, depth=1, heads=2)
        how = {"survey": stars, "scaling": fit_scaling(stars, inputs=network.inputs, method="standard")}
        how["config"] = TrainConfig(objective={"name": objective})
        found = loss_landscape(network, plane=random_plane(network), n=3, **how)
        row = sharpness(network, base=network, n_directions=2, n_resamples=1, **how).iloc[0]
        assert found.at(0, b=0)[2] == pytest.approx(row["loss"], rel=1e-5) and row["eigenvalue"] > 0
        assert np.isfinite(found.loss).all() and np.ptp(found.loss) > 0
