"""A trained network and a strategy give an adapted network, with the plan of what trains."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from astrolab.errors import ModelError
from astrolab.models.adapters import add_adapters, merge_adapters
from astrolab.models.digests import digest
from astrolab.models.network import InputRecord, Network
from astrolab.models.plan import Plan, batchnorm_layers, draft_plan
from astrolab.models.registry import rebuild
from astrolab.models.residual import ResidualNetwork
from astrolab.models.strategies import Strategy
from astrolab.models.targets import adaptable_modules, parameters_under


@dataclass(frozen=True, eq=False, repr=False)
class Adapted:
    """A network made ready to be moved to another survey."""

    network: nn.Module
    plan: Plan
    settings: Strategy
    base_digest: str

    @property
    def trained_on(self) -> InputRecord | None:
        """What the network was last trained on."""
        return self.network.trained_on

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
    layers: Sequence[str] = ("input", "regressor"),
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
    ``head``      the set ``"regressor"``            freeze
    ``layers``    the sets or modules in `layers`    update            CNN-TL as described
    ``lora``      adapters beside frozen weights     update            CNN-LoRA
    ``residual``  a correction to frozen predictions freeze (always)
    ``full``      everything                         update            CNN-TL as its code does
    ============= ================================== ================= ======================

    Parameters
    ----------
    network : Network
        Is copied, never changed.
    strategy : str
    layers : sequence of str
        For ``"layers"``: layer sets (``network.layer_sets``) or module names.
    rank, alpha, dropout : int, float, float
        For ``"lora"``: the adapter of a layer is scaled by ``alpha / rank``.
    targets : sequence of str, optional
        For ``"lora"``: layer sets or module names; by default every convolution and linear layer, the regressor
        included, as published.
    adapter : str
        For ``"lora"``: ``"lora"``, or one of its relatives ``"rslora"``, ``"dora"``, ``"loha"``, ``"lokr"``.
    kronecker_factor : int, optional
        For the adapter ``"lokr"``: side of the smaller Kronecker factor; by default both as square as can be.
    correction_width : int
        For ``"residual"``: hidden width of the correction.
    batchnorm : str, optional
        ``"update"``: running statistics follow the new survey while training; ``"freeze"``: they stay.
    seed : int
        Of new weights.

    Returns
    -------
    Adapted
        In evaluation mode; :func:`set_train_mode` prepares it for training.

    Raises
    ------
    UnknownNameError
        If the strategy or the adapter does not exist.
    ConfigError
        If a setting is outside what it can be.
    TargetError
        If a name in `layers` or `targets` matches nothing.
    ModelError
        If the network is already adapted.

    Examples
    --------
    >>> from astrolab.models.registry import make_model
    >>> adapt(make_model("redshift_cnn", n_bands=5, seed=0), strategy="layers")
    redshift_cnn · layers: 409,921 of 11,577,025 parameters train (3.54 %) · BatchNorm updates
    """
    settings = Strategy(
        strategy,
        layers=layers,
        adapter=adapter,
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        targets=targets,
        kronecker_factor=kronecker_factor,
        correction_width=correction_width,
        batchnorm=batchnorm,
        seed=seed,
    )
    _require_plain(network)
    start = rebuild(network.spec, seed=seed) if strategy == "scratch" else copy.deepcopy(network)
    return arrange(start, settings=settings, base_digest=digest(start))


def arrange(network: Network, *, settings: Strategy, base_digest: str) -> Adapted:
    """Arrange a network as a strategy wants it, in place: add what it adds, then freeze what it freezes."""
    parameters = dict(network.named_parameters())
    trained = parameters_under(network, names=settings.trained_layers)
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
    """Put the network into training mode, as far as its plan lets it.

    Dropout is active wherever the network has it, except in the frozen network below a correction. BatchNorm layers
    stay in evaluation mode where the plan freezes them; ``zero_shot`` stays in evaluation mode as a whole.
    """
    adapted.network.train(adapted.strategy != "zero_shot")
    if adapted.plan.batchnorm == "freeze":
        for layer in batchnorm_layers(adapted.network):
            layer.eval()


def merge(adapted: Adapted) -> Network:
    """Return a plain network that predicts like the adapted one, its adapters merged into the weights.

    BatchNorm statistics are carried over as they are now.

    Parameters
    ----------
    adapted : Adapted
        Is left as it is.

    Returns
    -------
    Network
        In evaluation mode, every parameter trainable: what :func:`adapt` starts from.

    Raises
    ------
    ModelError
        If the strategy is ``"residual"``: a correction has no place in the plain network.
    """
    if adapted.strategy == "residual":
        raise ModelError(
            "An adapted network was to be merged into a plain one.",
            received="a residual network, whose correction has no place among the plain network's layers",
            remedy="Use adapted.network as it is: it predicts like any other.",
        )
    network = copy.deepcopy(adapted.network)
    if adapted.strategy == "lora":
        network = merge_adapters(network)
        network.trained_on = adapted.trained_on
    return network.requires_grad_(True).eval()


def _require_plain(network: nn.Module) -> None:
    if not isinstance(network, Network):
        raise ModelError(
            "A network was to be adapted.",
            received=f"a {type(network).__name__}",
            available="networks of make_model or load_model(...).network that carry no adapter or correction",
            remedy="Pass merge(adapted) to adapt an adapted network further.",
        )
