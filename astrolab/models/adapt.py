"""The ways of moving a trained network to another survey: network + strategy -> adapted network with its plan."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from astrolab.errors import ModelError, TargetError, require_known
from astrolab.models.adapters import ResidualNetwork, add_adapters
from astrolab.models.network import Network, digest
from astrolab.models.plan import Plan, batchnorm_layers, draft_plan
from astrolab.models.registry import rebuild
from astrolab.settings import Settings

STRATEGIES = ("zero_shot", "scratch", "head", "layers", "lora", "residual", "full")
ADAPTERS = (
    "lora",  # low-rank product (arXiv:2106.09685)
    "rslora",  # low-rank product scaled by the square root of the rank (arXiv:2312.03732)
    "dora",  # low-rank change of direction and a free magnitude (arXiv:2402.09353)
    "loha",  # Hadamard product of two low-rank products (arXiv:2108.06098)
    "lokr",  # Kronecker product of small factors (arXiv:2212.10650)
)
_TRAINED_STAGES = {"scratch": ("all",), "head": ("head",), "full": ("all",)}
_KEPT_AS_IT_IS = ("zero_shot", "residual")  # BatchNorm included
Count = Annotated[int, Field(ge=1, strict=True)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Strategy(Settings):
    """A strategy with all its settings, explained by `adapt`; those it does not use are carried along unread."""

    asked = "A strategy was asked for."

    name: str
    layers: Names = ("stem", "head")
    adapter: str = "lora"
    rank: Count = 4
    alpha: Annotated[float, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    targets: Names | None = None
    kronecker_factor: Count | None = None
    correction_width: Count = 64
    batchnorm: Literal["update", "freeze"]
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: dict[str, Any]) -> dict[str, Any]:
        name, adapter = values["name"], values.get("adapter", "lora")
        require_known("strategy", name=name, names=STRATEGIES)
        require_known("adapter", name=adapter, names=ADAPTERS)
        default = "freeze" if name in (*_KEPT_AS_IT_IS, "head") else "update"
        return {**values, "batchnorm": values.get("batchnorm") or default}

    @model_validator(mode="after")
    def _refuse_updates(self) -> Strategy:
        if self.name in _KEPT_AS_IT_IS and self.batchnorm == "update":
            raise ValueError(f"batchnorm must be 'freeze': {self.name} leaves the network as it is")
        return self


@dataclass(frozen=True, eq=False, repr=False)
class Adapted:
    """A network made ready to be moved to another survey; once trained, with what its training set was like."""

    network: nn.Module
    plan: Plan
    settings: Strategy
    base_digest: str
    reference: Mapping[str, Tensor] | None = None  # from astrolab.fit_reference

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return self.settings.name

    def __repr__(self) -> str:
        return f"{self.network.spec.name} · {self.plan!r}"


def adapt(
    network: Network,
    *,
    strategy: str,
    layers: Sequence[str] = ("stem", "head"),
    rank: int = 4,
    alpha: float = 16,
    dropout: float = 0.1,
    targets: Sequence[str] | None = None,
    adapter: str = "lora",
    kronecker_factor: int | None = None,
    correction_width: int = 64,
    batchnorm: str | None = None,
    seed: int = 0,
) -> Adapted:
    """Return a copy of a network, ready to be moved to another survey, with the plan of what trains.

    ============= ================================== ================= ======================
    strategy      what trains                        BatchNorm default published as
    ============= ================================== ================= ======================
    ``zero_shot`` nothing                            freeze (always)   CNN-Base elsewhere
    ``scratch``   everything, from new weights       update            CNN-Base, CNN-Combo
    ``head``      the stage ``"head"``               freeze
    ``layers``    the stages or modules in `layers`  update            CNN-TL as described
    ``lora``      adapters beside frozen weights     update            CNN-LoRA
    ``residual``  a correction to frozen predictions freeze (always)
    ``full``      everything                         update            CNN-TL as its code does
    ============= ================================== ================= ======================

    Parameters
    ----------
    network : Network
        Is copied, never changed.
    layers : sequence of str
        For ``"layers"``: stages (``network.stages``) or module names.
    rank, alpha, dropout : int, float, float
        For ``"lora"``: the adapter of a layer is scaled by ``alpha / rank``.
    targets : sequence of str, optional
        For ``"lora"``: stages or module names; by default every convolution and linear layer, as published.
    adapter : str
        For ``"lora"``: ``"lora"``, or one of its relatives ``"rslora"``, ``"dora"``, ``"loha"``, ``"lokr"``.
    kronecker_factor, correction_width : int
        For ``"lokr"``: side of the smaller factor (both as square as can be); for ``"residual"``: hidden width.
    batchnorm : str, optional
        ``"update"``: running statistics follow the survey that it trains on; ``"freeze"``: they stay.
    seed : int
        Of new weights.

    Returns
    -------
    Adapted
        In evaluation mode.

    Raises
    ------
    UnknownNameError, ConfigError
        If the strategy or the adapter does not exist, or a setting is outside what it can be.
    TargetError
        If a name in `layers` or `targets` matches nothing, or there is no stage ``"head"`` to train.
    ModelError
        If the network is already adapted, or has no labels to correct (``residual``).

    Examples
    --------
    >>> from astrolab.models.networks.cnn import CNN
    >>> from astrolab.tasks import REDSHIFT
    >>> adapt(CNN(inputs={"image": (5, 64, 64)}, task=REDSHIFT), strategy="layers")
    cnn · layers: 409,921 of 11,577,025 parameters train (3.54 %) · BatchNorm updates
    """
    given = {name: value for name, value in locals().items() if name not in ("network", "strategy")}
    settings = Strategy(name=strategy, **given)
    remedy = "Pass merge(adapted) to adapt an adapted network further."
    require_plain(network, asked="A network was to be adapted.", remedy=remedy)
    start = rebuild(network.spec, seed=seed) if strategy == "scratch" else copy.deepcopy(network)
    return arrange(start, settings=settings, base_digest=digest(start))


def arrange(network: Network, *, settings: Strategy, base_digest: str) -> Adapted:
    """Arrange a network as a strategy wants it, in place: add what it adds, then freeze what it freezes."""
    parameters = dict(network.named_parameters())
    layers = settings.layers if settings.name == "layers" else _TRAINED_STAGES.get(settings.name, ())
    trained = parameters_under(network, names=layers)
    arranged: nn.Module = network
    if settings.name == "lora":
        targets = adaptable_modules(network, names=settings.targets)
        arranged = add_adapters(network, strategy=settings, targets=targets)
    elif settings.name == "residual":
        arranged = ResidualNetwork(network, width=settings.correction_width, seed=settings.seed)
    plan = draft_plan(
        arranged,
        strategy=settings.name,
        own={id(p) for p in parameters.values()},
        trained={id(parameters[name]) for name in trained},
        batchnorm=settings.batchnorm,
    )
    plan.enforce(arranged)
    arranged.eval()
    return Adapted(arranged, plan, settings, base_digest)


def set_train_mode(adapted: Adapted) -> None:
    """Put the network into training mode, but for what its plan freezes of BatchNorm; ``zero_shot`` stays as it is."""
    adapted.network.train(adapted.strategy != "zero_shot")
    if adapted.plan.batchnorm == "freeze":
        for layer in batchnorm_layers(adapted.network):
            layer.eval()


def merge(adapted: Adapted) -> Network:
    """Return a plain network that predicts like the adapted one, its adapters merged into the weights.

    It is in evaluation mode, with the BatchNorm statistics of now and every parameter trainable: what `adapt` starts
    from. The adapted network is left as it is.

    Raises
    ------
    ModelError
        If the strategy is ``"residual"``: a correction has no place in the plain network.
    """
    if adapted.strategy == "residual":
        asked = "An adapted network was to be merged into a plain one."
        received = "a residual network, whose correction has no place among the plain network's layers"
        raise ModelError(asked, received=received, remedy="Use adapted.network as it is: it predicts like any other.")
    network = copy.deepcopy(adapted.network)
    if adapted.strategy == "lora":
        network = network.merge_and_unload()
        network.trained_on = adapted.network.trained_on
    return network.requires_grad_(True).eval()


def require_plain(network: nn.Module, *, asked: str, remedy: str) -> None:
    """Refuse what is no network without adapters or corrections."""
    if not isinstance(network, Network):
        available = "networks of make_model or load_model(...).network that carry no adapter or correction"
        raise ModelError(asked, received=f"a {type(network).__name__}", available=available, remedy=remedy)


def parameters_under(network: Network, *, names: Iterable[str]) -> frozenset[str]:
    """Return the names of the parameters that stages and modules hold."""
    every = [name for name, _ in network.named_parameters()]
    return frozenset(found for name in names for found in _expand(network, name=name, among=every, kind="parameters"))


def adaptable_modules(network: Network, *, names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the convolution and linear layers that stages and modules hold, in the order of the network."""
    every = network.adapter_targets
    if names is None:
        return every
    kind = "convolution or linear layer"
    found = {target for name in names for target in _expand(network, name=name, among=every, kind=kind)}
    return tuple(target for target in every if target in found)


def _expand(network: Network, *, name: str, among: Iterable[str], kind: str) -> list[str]:
    modules = {module for module, _ in network.named_modules() if module}
    is_there = name in network.stages or name in modules
    roots = network.stages.get(name, (name,))
    found = [item for item in among if any(item == root or item.startswith(f"{root}.") for root in roots)]
    if is_there and found:
        return found
    ending = sorted(module for module in modules if module.endswith(f".{name}"))
    near = ending[:3] or get_close_matches(name, [*network.stages, *sorted(modules)], n=3)
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "Name some of these: layers=[...]."
    holders = dict.fromkeys(name.rpartition(".")[0] for name, _ in network.named_parameters())
    raise TargetError(
        f"The layers {name!r} of {network.spec.name} were asked for.",
        received=f"layers that hold no {kind}" if is_there else "a name that is no stage and no module",
        available=f"stages {', '.join(network.stages)}; modules {', '.join(filter(None, holders))}",
        remedy=f"Name layers that hold at least one {kind}." if is_there else hint,
    )
