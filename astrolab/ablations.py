"""Arms of an ablation: which layers train, which adapter of which rank, where it sits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from astrolab.arms import Arm
from astrolab.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from astrolab.models.network import Network

LAYER_CHOICES = ("each", "from_top", "from_bottom", "input+regressor")
ADAPTER_CHOICES = ("lora", "rslora", "dora", "loha", "lokr")
UNFROZEN = "unfrozen layers"
_KRONECKER_FACTOR = 4  # LoKr then holds up to a sixteenth of a layer's weights: enough to match the others


def layer_arms(
    network: Network, *, which: Sequence[str] = LAYER_CHOICES, learning_rate: float = 1e-3
) -> tuple[Arm, ...]:
    """Return arms that train some layers of a network as they are and freeze the rest.

    Each of them trains as many parameters as its layers have: they are equal in nothing but their budget of epochs.

    Parameters
    ----------
    network : Network
        Its layer sets, from the input to the regressor, are what is trained.
    which : sequence of str
        ``"each"``: every set alone; ``"from_top"``: the regressor and the blocks before it, one more each time;
        ``"from_bottom"``: the input layer and the blocks after it; ``"input+regressor"``: transfer learning as
        Seenivasan et al. 2025 (arXiv:2601.00146) describe it.
    learning_rate : float

    Returns
    -------
    tuple of Arm
        Of the family ``"unfrozen layers"``; no two train the same layers, and none trains all.

    Raises
    ------
    UnknownNameError
        If a choice does not exist.

    Examples
    --------
    >>> from astrolab.models.registry import make_model
    >>> arms = layer_arms(make_model("redshift_cnn", n_bands=5, seed=0), which=["from_top"])
    >>> [arm.adapt["layers"] for arm in arms][:2]
    [('block4', 'regressor'), ('block3', 'block4', 'regressor')]
    """
    stack = layer_stack(network)
    chosen: dict[str, tuple[str, ...]] = {}
    for choice in which:
        if choice == "each":
            chosen |= {name: (name,) for name in stack}
        elif choice == "from_top":
            chosen |= {f"top{n}": stack[-n:] for n in range(2, len(stack))}
        elif choice == "from_bottom":
            chosen |= {f"bottom{n}": stack[:n] for n in range(2, len(stack))}
        elif choice == "input+regressor":
            chosen[choice] = ("input", "regressor")
        else:
            raise unknown_name("choice of layers", name=choice, names=LAYER_CHOICES)
    return tuple(
        _make_arm(
            f"unfreeze-{name}",
            f"{', '.join(layers)} as they are; the rest frozen",
            adapt={"strategy": "layers", "layers": layers},
            family=UNFROZEN,
            variant=name,
            learning_rate=learning_rate,
        )
        for name, layers in chosen.items()
    )


def adapter_arms(
    network: Network,
    *,
    adapters: Sequence[str] = ADAPTER_CHOICES,
    targets: Sequence[str] = ("all",),
    ranks: Sequence[int] = (),
    n_trainable: int | None = None,
    tolerance: float = 0.1,
    alpha: float = 16,
    learning_rate: float = 1e-3,
) -> tuple[Arm, ...]:
    """Return one arm for each adapter on each set of layers: at given ranks, or at an equal number of parameters.

    `alpha` is the same for all, so that an adapter's scale falls with its rank: as ``alpha / rank``, for rsLoRA as
    ``alpha / sqrt(rank)``.

    Parameters
    ----------
    network : Network
    adapters : sequence of str
        Keys of :data:`astrolab.models.strategies.ADAPTERS`.
    targets : sequence of str
        Layer sets, joined by ``+`` where an adapter sits on several: ``"all"``, ``"block4"``, ``"input+regressor"``.
    ranks : sequence of int
        Ranks of each; this or `n_trainable`.
    n_trainable : int, optional
        Each adapter gets the rank at which it trains nearest to that many parameters.
    tolerance : float
        How far it may lie off, as a fraction.
    alpha : float
    learning_rate : float

    Returns
    -------
    tuple of Arm
        The family is the adapter.

    Raises
    ------
    ConfigError
        If not exactly one of `ranks` and `n_trainable` is given, or an adapter cannot train so many parameters.
    TargetError, UnknownNameError
        If a target or an adapter does not exist.

    Examples
    --------
    >>> from astrolab.models.registry import make_model
    >>> network = make_model("redshift_cnn", n_bands=5, seed=0)
    >>> [arm.name for arm in adapter_arms(network, adapters=["lora", "loha"], n_trainable=152_280)]
    ['lora-all-r4', 'loha-all-r2']
    """
    if bool(ranks) == (n_trainable is not None):
        raise ConfigError(
            "Adapters were to be compared.",
            received=f"ranks={list(ranks)}, n_trainable={n_trainable}",
            remedy="Give either ranks, or the number of parameters that all of them shall train.",
        )
    arms = []
    for adapter, place in product(adapters, targets):
        adapt = {"adapter": adapter, "targets": tuple(place.split("+"))}
        if adapter == "lokr":
            adapt["kronecker_factor"] = _KRONECKER_FACTOR
        for rank in ranks or [_matched(network, n_trainable=n_trainable, tolerance=tolerance, **adapt)]:
            arms.append(
                _make_arm(
                    f"{adapter}-{place}-r{rank}",
                    f"{adapter} of rank {rank} on {place}",
                    adapt={"strategy": "lora", "rank": rank, "alpha": alpha, **adapt},
                    family=adapter,
                    variant=f"{place} r{rank}",
                    learning_rate=learning_rate,
                )
            )
    return tuple(arms)


def describe_arms(arms: Sequence[Arm], *, network: Network) -> pd.DataFrame:
    """Return what each arm trains, counted in the plan of the adapted network.

    Parameters
    ----------
    arms : sequence of Arm
    network : Network
        Is left as it is.

    Returns
    -------
    DataFrame
        Columns ``arm``, ``family``, ``variant``, ``words``, ``n_trainable`` and ``trainable_frac``.

    Raises
    ------
    ConfigError
        If two arms have one name.
    """
    import pandas as pd

    from astrolab.models.budgets import count_trainable

    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise ConfigError(
            "Arms were chosen for an ablation.",
            received=f"several called {max(names, key=names.count)!r}",
            remedy="Name each once.",
        )
    n_total = sum(parameter.numel() for parameter in network.parameters())
    rows = [
        {"arm": arm.name, "family": arm.family, "variant": arm.variant or arm.name, "words": arm.words}
        | {"n_trainable": count_trainable(network, **arm.adapt)}
        for arm in arms
    ]
    table = pd.DataFrame(rows)
    return table.assign(trainable_frac=table["n_trainable"] / n_total)


def layer_stack(network: Network) -> tuple[str, ...]:
    """Return the layer sets of a network that follow one another: input, blocks, regressor."""
    return ("input", *(name for name in network.layer_sets if name.startswith("block")), "regressor")


def _matched(network: Network, *, adapter: str, n_trainable: int, tolerance: float, **setting: Any) -> int:
    from astrolab.models.budgets import match_rank

    return match_rank(network, adapter=adapter, n_trainable=n_trainable, tolerance=tolerance, **setting).rank


def _make_arm(name: str, words: str, *, adapt: dict[str, Any], family: str, variant: str, learning_rate: float) -> Arm:
    return Arm(name, words, MappingProxyType(adapt), learning_rate=learning_rate, family=family, variant=variant)
