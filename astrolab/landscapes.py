r"""The loss on planes through the parameters of networks, and how sharp the place is that training has found.

.. math:: L(a, b) = \ell\,(\theta + a\,d_1 + b\,d_2)

:math:`\ell` is the loss of training, :math:`\sum w\,l / \sum w` over all objects, in evaluation mode and unaugmented.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from astrolab.datasets.scaling import Scaling
from astrolab.datasets.survey import Survey, choose
from astrolab.errors import ModelError
from astrolab.files import DIGEST_PLACE, digest_fault, write_atomically, write_digest
from astrolab.models.adapt import Adapted, merge
from astrolab.models.adapters import ResidualNetwork
from astrolab.models.network import Network, digest, tensor_digest
from astrolab.models.plan import batchnorm_layers
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.feeding import TrainingData, make_feed
from astrolab.trainers.hardware import choose_hardware
from astrolab.trainers.objectives import VALIDATION, Batch, draw_seeds, make_objective
from astrolab.trainers.sampling import batches_in_order
from astrolab.trainers.state import FitResult

Model = Adapted | Network
Tensors = Mapping[str, Tensor]
Subspace = Literal["merged", "adapter", "full"]
CHUNK_BYTES = 3 * 2**23  # of parameters and activations at once: more would not stay in a cache
_MARGIN = 0.4  # about the networks that a plane is laid through
_TOLERANCE, _MOST = 1e-3, 200  # of an eigenvalue; steps to it


@dataclass(frozen=True, eq=False)
class Plane:
    """Two directions in the parameters of networks of one structure, what they are called, and how far they reach."""

    directions: tuple[Tensors, Tensors]
    subspace: Subspace
    words: tuple[str, str]
    spans: tuple[tuple[float, float], tuple[float, float]]

    def project(self, model: Model, *, origin: Model) -> dict[str, float]:
        """Return the nearest place ``a``, ``b`` to a network, and the share of its distance that is off the plane."""
        start, end = (_Seat(one, self.subspace).tensors for one in (origin, model))
        way = {name: end[name] - start[name] for name in self.directions[0]}
        products = np.array([[_dot(one, other) for other in (*self.directions, way)] for one in self.directions])
        place, length = np.linalg.solve(products[:, :2], products[:, 2]), _dot(way, way)
        off = np.sqrt(max(0.0, 1 - products[:, 2] @ place / length)) if length else 0.0
        return {"a": float(place[0]), "b": float(place[1]), "off_frac": float(off)}


def random_plane(
    base: Model,
    *,
    seed: int = 0,
    subspace: Subspace = "merged",
    one_dimensional: Literal["fixed", "weights", "filter"] = "fixed",
    orthogonal: bool = False,
    extent: float = 1.0,
) -> Plane:
    r"""Draw two random directions, on the scale of a base network's weights; make it once for all strategies.

    Gaussian d, each filter or row of a linear layer scaled to :math:`d\,||w|| / (||d|| + 10^{-10})` (Li et al. 2018,
    arXiv:1712.09913). Running statistics of BatchNorm stay those of each network.

    Parameters
    ----------
    subspace : {"merged", "adapter", "full"}
        What moves: every weight of the plain network, adapters merged into it (a residual correction stays as it is);
        only what the strategy trains (`base` is a trained adapted network then); both, adapters beside the weights.
    one_dimensional : {"fixed", "weights", "filter"}
        Biases, scale and shift of BatchNorm: fixed (``ignore='biasbn'`` of the published tool), moved along themselves
        (the tool without it), or one filter each.
    orthogonal, extent : bool, float
        Whether the second direction is made orthogonal to the first (in the published tool it is not); how far the
        plane reaches from 0, where a step of 1 is as long as the weights.
    """
    tensors, generator = _Seat(base, subspace).parameters, torch.Generator().manual_seed(seed)
    first, second = (
        {name: _direction(t, generator, small=one_dimensional) for name, t in tensors.items()} for _ in range(2)
    )
    if orthogonal:
        share = _dot(first, second) / _dot(first, first)
        second = {name: d - share * first[name] for name, d in second.items()}
    return Plane((first, second), subspace, ("direction 1", "direction 2"), ((-extent, extent), (-extent, extent)))


def _direction(like: Tensor, generator: torch.Generator, *, small: str) -> Tensor:
    drawn, dims = torch.randn(like.shape, generator=generator), tuple(range(like.ndim))[min(1, like.ndim - 1) :]
    if like.ndim < 2 and small != "filter":
        return torch.zeros_like(like) if small == "fixed" else like.clone()
    norms = [torch.linalg.vector_norm(t, dim=dims, keepdim=True) for t in (like, drawn)]
    return drawn * norms[0] / (norms[1] + 1e-10)


def plane_through(base: Model, *, models: Mapping[str, Model]) -> Plane:
    r"""Lay the plane through a base network and two that were trained from it, adapters merged.

    The first lies at (1, 0). The second direction is what Gram-Schmidt leaves of the way v to the second, as long as
    the first: :math:`d_2 \propto v - (v \cdot d_1 / d_1 \cdot d_1)\,d_1`. The running statistics of BatchNorm move
    along, variances in their logarithm: at its place each network has its own loss. Measure it around the base network.
    ModelError if the networks lie on one line.
    """
    start, *ends = (_Seat(one, "merged").tensors for one in (base, *models.values()))
    first, second = ({name: end[name] - t for name, t in start.items()} for end in ends)
    length = _dot(first, first)
    share = _dot(second, first) / length if length else 0.0
    second = {name: way - share * first[name] for name, way in second.items()}
    rest = np.sqrt(_dot(second, second) / length) if length else 0.0
    if rest < 1e-6:
        received, remedy = f"the base, {' and '.join(models)} on one line", "Pass two that were trained apart."
        raise ModelError("A plane through three networks was asked for.", received=received, remedy=remedy)
    second = {name: way / rest for name, way in second.items()}
    ends = (min(0.0, share), max(1.0, share)), (0.0, float(rest))
    spans = tuple((low - _MARGIN * (high - low), high + _MARGIN * (high - low)) for low, high in ends)
    towards = [f"towards {name}" for name in models]
    return Plane((first, second), "merged", (towards[0], f"{towards[1]}, orthogonal part"), spans)


@dataclass(frozen=True, eq=False)
class Landscape:
    """The loss (n, n) on a grid of a plane, a row for each `b`.

    `marks` has a row for each other network: ``name, a, b, off_frac`` (share of its distance off the plane); of one
    whose path of training is known a row for every place of it, and last the network that was kept.
    """

    arm: str
    a: np.ndarray
    b: np.ndarray
    loss: np.ndarray
    marks: pd.DataFrame
    words: tuple[str, str]
    about: Mapping[str, Any]

    def at(self, a: float, *, b: float) -> tuple[float, float, float]:
        """Return the place of the grid that is nearest, and the loss there."""
        row, column = np.abs(self.b - b).argmin(), np.abs(self.a - a).argmin()
        return float(self.a[column]), float(self.b[row]), float(self.loss[row, column])

    @property
    def minimum(self) -> tuple[float, float, float]:
        """The lowest place of the grid, and the loss there."""
        row, column = np.unravel_index(self.loss.argmin(), self.loss.shape)
        return self.at(self.a[column], b=self.b[row])

    @property
    def table(self) -> pd.DataFrame:
        """One row a place: ``arm, a, b, loss``."""
        b, a = np.meshgrid(self.b, self.a, indexing="ij")
        return pd.DataFrame({"arm": self.arm, "a": a.ravel(), "b": b.ravel(), "loss": self.loss.ravel()})


def loss_landscape(
    model: Model,
    *,
    plane: Plane,
    survey: Survey,
    scaling: Scaling,
    where: str = "",
    n: int = 51,
    config: TrainConfig | None = None,
    arm: str = "",
    marks: Mapping[str, Model | FitResult] | None = None,
    directory: str | Path | None = None,
) -> Landscape:
    """Measure the loss on a plane around a network, which is copied and never changed.

    Parameters
    ----------
    model, arm : Network or Adapted, str
        What lies at (0, 0), and what it is called; by default its strategy.
    survey, scaling, where : Survey, Scaling, str
        On which objects (all, or those of an expression such as ``"feh < -1"``), scaled as for training: the same for
        all networks of a figure. Unknown labels count for nothing.
    n : int
        Places along each direction; odd, so that the network itself is one of them.
    config : TrainConfig, optional
        That of training: its objective and its device.
    marks : mapping of str to network or FitResult, optional
        Other networks, which are projected onto the plane; of a fit that kept its path (`TrainConfig.keep_path`), every
        epoch of it.
    directory : path, optional
        Where finished rows are kept, in a file named by the digest of all that decides them: a measurement that was cut
        off goes on there.
    """
    seat, objects = _Seat(model, plane.subspace), _Objects.of(model, survey, scaling, where=where, config=config)
    a, b = (np.linspace(*span, n) for span in plane.spans)
    seen = (t for batch in objects.batches for t in (*batch.inputs.values(), batch.truth, batch.weight))
    digests = [tensor_digest(t) for t in (*seen, *(t for one in plane.directions for t in one.values()))]
    decides = [digest(seat.network), plane.subspace, repr(objects.objective), digests, a.tolist(), b.tolist()]
    file = f"landscape-{sha256(json.dumps(decides).encode()).hexdigest()[:16]}.safetensors"
    surface = _Surface(seat, directions=plane.directions, objects=objects)
    path = directory and Path(directory) / file
    loss = load_file(path)["loss"].numpy() if path and not digest_fault(path) else np.full((n, n), np.nan)
    for row in np.flatnonzero(np.isnan(loss).any(axis=1)):
        loss[row] = surface.losses(np.stack([a, np.full(n, b[row])], axis=1))
        if path:
            with write_atomically(path) as part:
                save_file({"loss": torch.from_numpy(loss)}, part, metadata={"file_digest": DIGEST_PLACE})
                write_digest(part)
    ways = {n: [*one.along(), one.adapted] if isinstance(one, FitResult) else [one] for n, one in (marks or {}).items()}
    rows = [{"name": name, **plane.project(one, origin=model)} for name, way in ways.items() for one in way]
    table = pd.DataFrame(rows, columns=["name", "a", "b", "off_frac"])
    about = {"n": objects.n, "objects": survey.objects, "where": where, "simulated": survey.provenance.simulated}
    return Landscape(arm or getattr(model, "strategy", "base"), a, b, loss, table, plane.words, about)


def sharpness(
    model: Model,
    *,
    base: Model,
    survey: Survey,
    scaling: Scaling,
    where: str = "",
    config: TrainConfig | None = None,
    arm: str = "",
    factor: float = 2.0,
    reach: float = 1.0,
    n_directions: int = 20,
    n_resamples: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure the curvature at a network and the width of its basin, with 68 % intervals, in its merged weights.

    Parameters
    ----------
    base : Network or Adapted
        The network whose norms the directions get, the same for all that are compared.
    factor, reach, n_directions : float, float, int
        The basin ends, along a random filter-normalised direction, where the loss is so many times that of the network;
        it is looked for up to `reach`, in so many directions.
    n_resamples : int
        Bootstrap samples of the objects, whose standard deviation is the interval of the curvature.

    Returns
    -------
    DataFrame
        One row: ``arm``, ``loss``; ``eigenvalue``, the largest of the Hessian, by power iteration; ``width``, median
        over directions, infinite where the basin does not end within reach; both also with ``_low`` and ``_high``.
    """
    seat, objects = _Seat(model, "merged"), _Objects.of(model, survey, scaling, where=where, config=config)
    steps, widths, random = np.linspace(0, reach, 41), [], np.random.default_rng(seed)
    for number in range(-(-n_directions // 2)):
        surface = _Surface(seat, directions=random_plane(base, seed=1000 * seed + number).directions, objects=objects)
        ways = [surface.losses(steps[:, None] * way) for way in np.eye(2)]
        widths += [_first_above(losses, factor=factor, steps=steps) for losses in ways]
    top, vector = _largest_eigenvalue(seat, objects=objects, seed=seed)
    even = np.full(objects.n, 1 / objects.n)
    samples = [objects.counted(random.multinomial(objects.n, even)) for _ in range(n_resamples)]
    tops = [_largest_eigenvalue(seat, objects=one, start=vector)[0] for one in samples]
    row = {"arm": arm or getattr(model, "strategy", "base"), "loss": ways[0][0], "eigenvalue": top}
    row |= {"eigenvalue_low": top - np.std(tops), "eigenvalue_high": top + np.std(tops)}
    ends = np.quantile(widths[:n_directions], [0.5, 0.16, 0.84], method="inverted_cdf")
    return pd.DataFrame([row | dict(zip(("width", "width_low", "width_high"), ends, strict=True))])


def _first_above(losses: np.ndarray, *, factor: float, steps: np.ndarray) -> float:
    """Return where losses first exceed a multiple of the first, linearly between two steps."""
    above = np.flatnonzero(losses > factor * losses[0])
    around = slice(above[0] - 1, above[0] + 1) if above.size else None
    return float(np.interp(factor * losses[0], losses[around], steps[around])) if around else np.inf


class _Seat:
    """A copy of a network, and what of it can be moved: names without a prefix, running variances as logarithms."""

    def __init__(self, model: Model, subspace: Subspace):
        network = model.network if isinstance(model, Adapted) else model
        if subspace == "merged" and getattr(model, "strategy", "") == "lora":
            network = merge(model)
        self.network, self.subspace = copy.deepcopy(network).eval(), subspace
        self.prefix = "base." if subspace == "merged" and isinstance(network, ResidualNetwork) else ""
        own = {n: p for n, p in self.network.named_parameters() if subspace != "adapter" or p.requires_grad}
        self.parameters = self._plain({name: p.detach().cpu() for name, p in own.items()})
        layers = batchnorm_layers(self.network)
        named = {name: layer for name, layer in self.network.named_modules() if layer in layers}
        found = {f"{name}.running_mean": layer.running_mean.cpu() for name, layer in named.items()}
        found |= {f"{name}.running_var": (m.running_var.cpu() + m.eps).log() for name, m in named.items()}
        self.tensors = self.parameters | self._plain(found)
        if not self.parameters:
            asked, received = "What a strategy trains was to be moved.", f"{model.strategy}, which trains nothing"
            raise ModelError(asked, received=received, remedy="Use subspace='merged', or another strategy.")

    def _plain(self, tensors: Tensors) -> dict[str, Tensor]:
        return {n.removeprefix(self.prefix): t for n, t in tensors.items() if n.startswith(self.prefix)}


class _Summed(nn.Module):
    """A network whose call is the sum of the weighted losses of a batch."""

    def __init__(self, network: nn.Module, objective: Any):
        super().__init__()
        self.network, self.objective = network, objective

    def forward(self, batch: Batch) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # the only attention that is derived twice, and for many weights at once
            return (self.objective(self.objective.model(self.network), batch) * batch.weight).sum()


@dataclass(frozen=True)
class _Objects:
    """Objects on the device, batch by batch, and what is made small of them."""

    batches: tuple[Batch, ...]
    objective: Any
    device: str
    n: int

    @classmethod
    def of(cls, model: Model, survey: Survey, scaling: Scaling, *, where: str, config: TrainConfig | None) -> _Objects:
        """Make objects ready as training does, proven to be what the network reads and learns."""
        network = model.network if isinstance(model, Adapted) else model
        survey = choose(survey, where=where) if where else survey
        config = (config or TrainConfig()).with_changes(precision="float32", channels_last=False, label_clamp=None)
        data = TrainingData(survey, survey, scaling, network.inputs, make_objective(config, network=network))
        data.require_fit(config)
        if network.trained_on is not None:
            network.trained_on.require_same(survey)
        about = {"has_images": bool(data.images), "n_bytes": data.n_bytes}
        hardware = choose_hardware(config, accelerator=Accelerator(mixed_precision="no"), **about)
        feed, rows = make_feed(survey, data=data, hardware=hardware), np.arange(len(survey))
        in_order = batches_in_order(rows, batch_size=config.batch_size)
        drawn = feed.batches(in_order, seeds=draw_seeds(len(rows), stream=VALIDATION))
        batches = tuple(replace(b, inputs={name: v.float() for name, v in b.inputs.items()}) for b in drawn)
        return cls(batches, data.objective, hardware.device, len(rows))

    @property
    def weight(self) -> float:
        return sum(float(batch.weight.double().sum()) for batch in self.batches)

    def counted(self, counts: np.ndarray) -> _Objects:
        """Count each object so many times."""
        times = torch.from_numpy(counts).to(self.device)[:, None]
        return replace(self, batches=tuple(replace(b, weight=b.weight * times[b.rows]) for b in self.batches))


class _LayerOnPlane(nn.Module):
    """A layer whose input is the same all over a plane: W x + a (D1 x) + b (D2 x), each product made once."""

    def __init__(self, layer: nn.Module, *, stacks: Tensors):
        super().__init__()
        self.layer, self.stacks, self.products = layer, stacks, None
        self.register_buffer("place", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        if self.products is None:
            parts = [{name: stack[k] for name, stack in self.stacks.items()} for k in range(3)]
            self.products = torch.stack([functional_call(self.layer, part, (x,)) for part in parts])
        return torch.tensordot(self.place, self.products, 1)


class _Surface:
    """The loss as a function of the place on a plane, computed for many places at once."""

    def __init__(self, seat: _Seat, *, directions: Sequence[Tensors], objects: _Objects):
        self.objects, self.layers = objects, {}
        network = copy.deepcopy(seat.network).requires_grad_(False)
        self.summed = _Summed(network, objects.objective).to(objects.device)
        self.stacks: dict[str, dict[str, Tensor]] = {}  # of every module: centre and directions of its tensors
        for name, first in directions[0].items():
            home, _, own = f"network.{seat.prefix}{name}".rpartition(".")
            stack = torch.stack([seat.tensors[name], first, directions[1][name]])
            self.stacks.setdefault(home, {})[own] = stack.to(objects.device)
        inputs = [self._layer_inputs(place) for place in ((1.0, 0.0, 0.0), (1.0, 0.3, -0.7))]
        for name, (x, *others) in inputs[0].items() if seat.subspace == "merged" else ():  # peft looks into layers
            if name in self.stacks and not others and torch.equal(x, inputs[1][name][0]):
                self.layers[name] = _LayerOnPlane(self.summed.get_submodule(name), stacks=self.stacks.pop(name))
                self.summed.set_submodule(name, self.layers[name])
        sizes = [stack[0].nbytes for own in self.stacks.values() for stack in own.values()]
        largest = max((x.nbytes for each in inputs[0].values() for x in each), default=0)
        self.n_at_once = max(1, CHUNK_BYTES // (2 * largest + sum(sizes)))

    @torch.no_grad()
    def _layer_inputs(self, place: tuple[float, ...]) -> dict[str, list[Tensor]]:
        """Return what each linear layer and convolution is called with at a place, on the first objects."""
        found: dict[str, list[Tensor]] = {}
        hooks = [
            module.register_forward_pre_hook(lambda _, x, name=name: found.setdefault(name, []).append(x[0]))
            for name, module in self.summed.named_modules()
            if type(module) in (nn.Linear, nn.Conv1d, nn.Conv2d)
        ]
        self._loss(torch.tensor(place, device=self.objects.device), batch=self.objects.batches[0])
        for hook in hooks:
            hook.remove()
        return found

    def _loss(self, place: Tensor, *, batch: Batch) -> Tensor:
        """Sum the losses of a batch at a place (1, a, b)."""
        values: dict[str, Tensor] = {}
        for home, own in self.stacks.items():
            values |= {f"{home}.{name}": torch.tensordot(place, stack, 1) for name, stack in own.items()}
            if "running_var" in own:
                values[f"{home}.running_var"] = (
                    values[f"{home}.running_var"].exp() - self.summed.get_submodule(home).eps
                )
        return functional_call(self.summed, values | {f"{name}.place": place for name in self.layers}, (batch,))

    @torch.no_grad()
    def losses(self, places: np.ndarray) -> np.ndarray:
        """Return the loss at places (k, 2), infinite where it is no number."""
        whole = torch.from_numpy(np.insert(places, 0, 1.0, axis=1)).float().to(self.objects.device)
        sums = torch.zeros(len(whole), dtype=torch.float64, device=whole.device)
        for batch in self.objects.batches:
            for layer in self.layers.values() if len(self.objects.batches) > 1 else ():
                layer.products = None
            chunks = whole.tensor_split(-(-len(whole) // self.n_at_once))
            sums += torch.cat([*map(vmap(partial(self._loss, batch=batch)), chunks)]).double()
        return np.nan_to_num((sums / self.objects.weight).cpu().numpy(), nan=np.inf, posinf=np.inf)


def _largest_eigenvalue(
    seat: _Seat, *, objects: _Objects, start: Sequence[Tensor] = (), seed: int = 0
) -> tuple[float, list[Tensor]]:
    """Find the largest eigenvalue of the Hessian and its vector by power iteration, from a vector near it if known."""
    summed, generator = _Summed(seat.network, objects.objective).to(objects.device), torch.Generator().manual_seed(seed)
    own = {f"network.{seat.prefix}{n}": t.to(objects.device).requires_grad_(True) for n, t in seat.parameters.items()}
    wanted, weight = list(own.values()), objects.weight
    vector = list(start) or [torch.randn(v.shape, generator=generator).to(v.device) for v in wanted]
    value, shift, before = 0.0, 0.0, np.inf
    for _ in range(_MOST):
        norm = torch.sqrt(sum(v.square().sum() for v in vector))
        unit = [v / norm for v in vector]
        vector = [-shift * v for v in unit]
        for batch in objects.batches:
            loss = functional_call(summed, own, (batch,)) / weight
            slope = torch.autograd.grad(loss, wanted, create_graph=True, materialize_grads=True)
            along = sum((s * v).sum() for s, v in zip(slope, unit, strict=True))
            curved = torch.autograd.grad(along, wanted, materialize_grads=True)
            vector = [v + h for v, h in zip(vector, curved, strict=True)]
        before, value = value, float(sum((u * v).sum() for u, v in zip(unit, vector, strict=True)))
        if abs(value - before) <= _TOLERANCE * abs(value):
            if value >= 0:
                break
            shift, vector = value, unit  # largest in size, and negative: taken away, the largest is largest in size
    return value + shift, unit


def _dot(one: Tensors, other: Tensors) -> float:
    """Multiply two directions, without the statistics of BatchNorm."""
    names = (name for name in one if not name.endswith((".running_mean", ".running_var")))
    return sum(float((one[name].double() * other[name].double()).sum()) for name in names)
