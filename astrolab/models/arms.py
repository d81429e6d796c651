"""Arms, what the studies compare: a strategy with its settings, what it trains on, and its learning rate.

torch is imported where a network is looked at.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from astrolab.errors import ConfigError, require_known

if TYPE_CHECKING:
    import pandas as pd

    from astrolab.models.network import Network

LAYER_CHOICES = ("each", "from_top", "from_bottom", "stem+head")
ADAPTER_CHOICES = ("lora", "rslora", "dora", "loha", "lokr")
UNFROZEN = "unfrozen layers"
_RATE_STEP = 10**0.5
_KRONECKER_FACTOR = 4  # LoKr then holds up to a sixteenth of a layer's weights: enough to match the others


@dataclass(frozen=True)
class Arm:
    """What a study compares: a strategy with its settings, what it trains on, and its learning rate.

    `words` say it in one phrase; `adapt` are keyword arguments of `astrolab.adapt`; `sample` is what it trains on:
    ``"finetune"``, ``"union"`` (both surveys) or ``"nothing"``; on the training set of `scaled_on` its input scaling is
    fitted, ``"pretrain"`` for that of the base model. A rate that is part of a published recipe
    (`is_published`) is never searched. In an ablation it is a `variant` of a `family`.
    """

    name: str
    words: str
    learning_rate: float = 0.0
    adapt: Mapping[str, Any] = field(default_factory=dict)
    sample: str = "finetune"
    scaled_on: str = "pretrain"
    is_published: bool = False
    family: str = ""
    variant: str = ""

    def __post_init__(self):
        object.__setattr__(self, "adapt", MappingProxyType(dict(self.adapt)))


_ARMS = (
    Arm("zero_shot", "the base model, untouched", 0.0, {"strategy": "zero_shot"}, "nothing"),
    Arm(
        "tl",
        "transfer learning as described: only the input layer and the head train",
        1e-3,
        {"strategy": "layers", "layers": ("stem", "head")},
    ),
    Arm(
        "tl_published",
        "transfer learning as the published code does it: nothing frozen, steps of 1e-8",
        1e-8,
        {"strategy": "full"},
        is_published=True,
    ),
    Arm("lora", "low-rank adapters on every convolution and linear layer", 1e-3, {"strategy": "lora"}),
    Arm("residual", "frozen network plus a small learned correction", 1e-3, {"strategy": "residual"}),
    Arm("head", "only the head trains", 1e-3, {"strategy": "head"}),
    Arm("full", "every parameter trains on", 1e-4, {"strategy": "full"}),
    Arm("scratch", "a fresh network on the fine-tuning set alone", 1e-3, {"strategy": "scratch"}, scaled_on="finetune"),
    Arm("combo", "a fresh network on both sets together", 1e-3, {"strategy": "scratch"}, "union", scaled_on="union"),
)
ARMS: Mapping[str, Arm] = MappingProxyType({arm.name: arm for arm in _ARMS})


def choose_arms(
    names: Sequence[str],
    *,
    learning_rates: Mapping[str, float] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    own_scaling: bool = True,
) -> tuple[Arm, ...]:
    """Return the arms of a comparison, keys of `ARMS`, with learning rates that replace their own.

    Parameters
    ----------
    settings : mapping of str to mapping, optional
        By arm, what of its arguments of :func:`adapt` is not the default, e.g. ``{"lora": {"rank": 8}}``.
    own_scaling : bool
        Whether arms that start from random numbers have an input scaling of their own training set; else they have that
        of the base model, as in the published study.

    Raises
    ------
    UnknownNameError, ConfigError
        If a name is not an arm, or named twice; if a learning rate is not above 0.
    """
    rates = dict(learning_rates or {})
    wrong = [f"{name}: {rate!r}" for name, rate in rates.items() if not _is_rate(rate)]
    if wrong:
        asked = "Learning rates were chosen for arms."
        remedy = "Give numbers such as 1.0e-4 (YAML reads 1e-4 as text); an arm without one keeps its own."
        raise ConfigError(asked, received=", ".join(wrong), available="numbers above 0", remedy=remedy)
    changed = dict(settings or {})
    for name in [*names, *rates, *changed]:
        require_known("arm", name=name, names=ARMS)
    _require_different(names)
    scaled_on = {} if own_scaling else {"scaled_on": "pretrain"}
    arms = [replace(ARMS[n], learning_rate=rates.get(n, ARMS[n].learning_rate), **scaled_on) for n in names]
    return tuple(replace(arm, adapt={**arm.adapt, **changed.get(arm.name, {})}) for arm in arms)


def _is_rate(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value < float("inf")


def _require_different(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        asked = "Arms were chosen for a comparison."
        received = f"several called {max(names, key=names.count)!r}"
        raise ConfigError(asked, received=received, remedy="Name each arm once; repeat runs through `seeds`.")


def trial_rates(arm: Arm, *, n_trials: int) -> tuple[float, ...]:
    """Return the learning rates to try for an arm: its own, then half a decade below and above it, and so on.

    Every arm gets the same number, so that none is better tuned than another; but one whose rate was published keeps
    it, and one that does not train has none.

    Examples
    --------
    >>> [f"{rate:.1e}" for rate in trial_rates(ARMS["tl"], n_trials=3)]
    ['1.0e-03', '3.2e-04', '3.2e-03']
    >>> trial_rates(ARMS["tl_published"], n_trials=3)
    (1e-08,)
    """
    if arm.learning_rate == 0:
        return ()
    if arm.is_published:
        return (arm.learning_rate,)
    exponents = [(number + 1) // 2 * (-1 if number % 2 else 1) for number in range(n_trials)]
    return tuple(arm.learning_rate * _RATE_STEP**exponent for exponent in exponents)


def layer_arms(network: Network, *, which: Sequence[str] = LAYER_CHOICES) -> tuple[Arm, ...]:
    """Return arms that train some stages of a network as they are and freeze the rest.

    No two train the same layers, and none trains all. Each trains as many parameters as its stages have: they are equal
    in nothing but their budget of epochs. A choice that does not exist is an `UnknownNameError`.

    Parameters
    ----------
    which : sequence of str
        ``"each"``: every stage alone; ``"from_top"``: the last and those before it, one more each time;
        ``"from_bottom"``: the first and those after it; ``"stem+head"``: the first and the last, transfer learning as
        Seenivasan et al. 2025 (arXiv:2601.00146) describe it.

    Examples
    --------
    >>> from astrolab.models.networks.cnn import CNN
    >>> from astrolab.tasks import REDSHIFT
    >>> arms = layer_arms(CNN(inputs={"image": (5, 64, 64)}, task=REDSHIFT), which=["from_top"])
    >>> [arm.adapt["layers"] for arm in arms][:2]
    [('block4', 'head'), ('block3', 'block4', 'head')]
    """
    for choice in which:
        require_known("choice of layers", name=choice, names=LAYER_CHOICES)
    stack = stages_in_order(network)
    choices = {
        "each": {name: (name,) for name in stack if len(stack) > 1},
        "from_top": {f"top{n}": stack[-n:] for n in range(2, len(stack))},
        "from_bottom": {f"bottom{n}": stack[:n] for n in range(2, len(stack))},
        "stem+head": {f"{stack[0]}+{stack[-1]}": (stack[0], stack[-1])} if len(stack) > 2 else {},
    }
    return tuple(
        Arm(
            f"unfreeze-{name}",
            f"{', '.join(layers)} as they are; the rest frozen",
            1e-3,
            {"strategy": "layers", "layers": layers},
            family=UNFROZEN,
            variant=name,
        )
        for choice in which
        for name, layers in choices[choice].items()
    )


def stages_in_order(network: Network) -> tuple[str, ...]:
    """Return the stages of a network that follow one another: not all of it, and no body that consists of blocks."""
    names = [name for name in network.stages if name != "all"]
    has_blocks = any(name.startswith("block") for name in names)
    return tuple(name for name in names if not (has_blocks and name == "body"))


def adapter_arms(
    network: Network,
    *,
    adapters: Sequence[str] = ADAPTER_CHOICES,
    targets: Sequence[str] = ("all",),
    ranks: Sequence[int] = (),
    n_trainable: int | None = None,
    tolerance: float = 0.1,
) -> tuple[Arm, ...]:
    """Return one arm for each adapter on each set of layers: at given ranks, or at an equal number of parameters.

    `alpha` is that of `adapt` for all, so that an adapter's scale falls with its rank: as ``alpha / rank``, for rsLoRA
    as ``alpha / sqrt(rank)``.

    Parameters
    ----------
    targets : sequence of str
        Stages, joined by ``+`` where an adapter sits on several: ``"all"``, ``"block4"``, ``"stem+head"``.
    ranks : sequence of int
        Ranks of each; this or `n_trainable`.
    n_trainable, tolerance : int, float
        Each adapter gets the rank at which it trains nearest to that many parameters, off by that fraction at most.

    Raises
    ------
    ConfigError
        If not exactly one of `ranks` and `n_trainable` is given, or an adapter cannot train so many parameters.
    TargetError, UnknownNameError
        If a target or an adapter does not exist.

    Examples
    --------
    >>> from astrolab.models.networks.cnn import CNN
    >>> from astrolab.tasks import REDSHIFT
    >>> network = CNN(inputs={"image": (5, 64, 64)}, task=REDSHIFT)
    >>> [arm.name for arm in adapter_arms(network, adapters=["lora", "loha"], n_trainable=152_280)]
    ['lora-all-r4', 'loha-all-r2']
    """
    if bool(ranks) == (n_trainable is not None):
        asked = "Adapters were to be compared."
        remedy = "Give either ranks, or the number of parameters that all of them shall train."
        raise ConfigError(asked, received=f"ranks={list(ranks)}, n_trainable={n_trainable}", remedy=remedy)
    arms = []
    for adapter, place in product(adapters, targets):
        setting = {"adapter": adapter, "targets": tuple(place.split("+"))}
        if adapter == "lokr":
            setting["kronecker_factor"] = _KRONECKER_FACTOR
        for rank in ranks or [match_rank(network, n_trainable=n_trainable, tolerance=tolerance, **setting)]:
            arms.append(
                Arm(
                    f"{adapter}-{place}-r{rank}",
                    f"{adapter} of rank {rank} on {place}",
                    1e-3,
                    {"strategy": "lora", "rank": rank, **setting},
                    family=adapter,
                    variant=f"{place} r{rank}",
                )
            )
    return tuple(arms)


def describe_arms(arms: Sequence[Arm], *, network: Network) -> pd.DataFrame:
    """Return what each arm trains, counted in the plan of the adapted network.

    Columns ``arm``, ``family``, ``variant``, ``words``, ``n_trainable``, ``trainable_frac``. Two arms of one name are a
    `ConfigError`.
    """
    import pandas as pd

    _require_different([arm.name for arm in arms])
    columns = ("arm", "family", "variant", "words", "n_trainable")
    counts = [count_trainable(network, **arm.adapt) for arm in arms]
    rows = [(a.name, a.family, a.variant or a.name, a.words, n) for a, n in zip(arms, counts, strict=True)]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(trainable_frac=table["n_trainable"] / sum(p.numel() for p in network.parameters()))


def count_trainable(network: Network, *, strategy: str, **settings: Any) -> int:
    """Count the parameters that would train, without making the adapted network; settings as for `astrolab.adapt`.

    Examples
    --------
    >>> from astrolab.models.networks.cnn import CNN
    >>> from astrolab.tasks import REDSHIFT
    >>> count_trainable(CNN(inputs={"image": (5, 64, 64)}, task=REDSHIFT), strategy="layers")
    409921
    """
    from astrolab.models.adapt import Strategy, arrange

    outline = copy.deepcopy(network).to("meta")
    return arrange(outline, settings=Strategy(name=strategy, **settings), base_digest="").plan.n_trainable


def match_rank(network: Network, *, n_trainable: int, tolerance: float = 0.1, **setting: Any) -> int:
    """Find the rank at which an adapter trains nearest to a number of parameters, no larger than a layer's own."""
    from astrolab.models.adapt import adaptable_modules

    adapter, targets = setting["adapter"], setting.get("targets")
    names = adaptable_modules(network, names=targets)

    @cache
    def count(rank: int) -> int:
        return count_trainable(network, strategy="lora", rank=rank, **{**setting, "targets": names})

    rank = _nearest(count, budget=n_trainable)
    weights = [network.get_submodule(name).weight for name in names]
    largest = max(min(weight.shape[0], weight[0].numel()) for weight in weights)
    if abs(count(rank) - n_trainable) > tolerance * n_trainable or rank > largest:
        where = "every layer" if targets is None else ", ".join(targets)
        other = "; or another kronecker_factor" if adapter == "lokr" else ""
        raise ConfigError(
            f"{adapter} on {where} was to train {n_trainable:,} parameters, within {tolerance:.0%}.",
            received=f"{count(rank):,} at best, at rank {rank}",
            available=f"{count(1):,} at rank 1 to {count(largest):,} at rank {largest}, the largest the layers have",
            remedy=f"Choose another number, other targets, or a wider tolerance{other}.",
        )
    return rank


def _nearest(count: Callable[[int], int], *, budget: int) -> int:
    """Return the rank whose count is nearest; counts grow with the rank until an adapter is full."""
    low, high = 0, 1
    while count(high) < budget and (high == 1 or count(high) > count(high // 2)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < budget else (low, middle)
    return min((rank for rank in (low, high) if rank), key=lambda rank: (abs(count(rank) - budget), rank))


def fraction_grid(arms: Sequence[Arm], *, fractions: Sequence[float]) -> tuple[tuple[Arm, float], ...]:
    """Pair every arm with every fraction of the fine-tuning set, smallest fraction first.

    At fraction 0 there is nothing to learn from: every arm that starts from the base model, or from the pre-training
    survey, *is* the base model there, under its own name. An arm that starts from random numbers on the fine-tuning
    set alone has no such point.

    Parameters
    ----------
    fractions : sequence of float
        In [0, 1], three or more of them above 0: fewer make no curve.

    Raises
    ------
    ConfigError
        If the fractions are not different numbers from 0 to 1, if they make no curve, or an arm does not train at all.

    Examples
    --------
    >>> grid = fraction_grid([ARMS["lora"], ARMS["scratch"]], fractions=[0, 0.1, 0.5, 1])
    >>> [(arm.name, arm.adapt["strategy"], fraction) for arm, fraction in grid][:3]
    [('lora', 'zero_shot', 0.0), ('lora', 'lora', 0.1), ('scratch', 'scratch', 0.1)]
    """
    wanted = sorted(float(fraction) for fraction in fractions)
    n_above = sum(fraction > 0 for fraction in wanted)
    if n_above < 3 or len(set(wanted)) < len(wanted) or not 0 <= wanted[0] <= wanted[-1] <= 1:
        asked = "Fractions of the fine-tuning set were chosen, for curves."
        available = "different numbers from 0 to 1, three or more of them above 0"
        remedy = "Give e.g. [0, 0.1, 0.25, 0.5, 1]: through two points runs only a straight line."
        raise ConfigError(asked, received=", ".join(map(str, fractions)) or "none", available=available, remedy=remedy)
    idle = [arm.name for arm in arms if arm.sample == "nothing"]
    if idle:
        asked = "Arms were chosen for a study of data fractions."
        remedy = "Leave it out, and put 0 among the fractions: every curve then starts from the base model."
        raise ConfigError(asked, received=f"{', '.join(idle)}, which trains on nothing", remedy=remedy)
    at_zero = {"adapt": ARMS["zero_shot"].adapt, "sample": "nothing", "learning_rate": 0.0}
    return tuple(
        (arm if fraction else replace(arm, **at_zero), fraction)
        for fraction in wanted
        for arm in arms
        if fraction or arm.adapt["strategy"] != "scratch" or arm.sample != "finetune"
    )
