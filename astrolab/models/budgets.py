"""Adapters of equal size: the rank at which an adapter trains as many parameters as another way of training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from astrolab.errors import ConfigError
from astrolab.models.adapt import arrange
from astrolab.models.network import Network
from astrolab.models.strategies import Strategy
from astrolab.models.targets import adaptable_modules


@dataclass(frozen=True)
class RankMatch:
    """A rank, and how near its number of trainable parameters comes to the budget."""

    rank: int
    n_trainable: int
    budget: int

    @property
    def off_frac(self) -> float:
        """How far above (or below, if negative) the budget the count lies, as a fraction of the budget."""
        return self.n_trainable / self.budget - 1

    def __repr__(self) -> str:
        return f"rank {self.rank}: {self.n_trainable:,} parameters train ({self.off_frac:+.1%} of {self.budget:,})"


def count_trainable(network: Network, *, strategy: str, **settings: Any) -> int:
    """Count the parameters that would train, without making the adapted network.

    Parameters
    ----------
    network : Network
        Is left as it is.
    strategy : str
    **settings
        As for :func:`astrolab.adapt`.

    Returns
    -------
    int
        Counted in the plan that the adapted network would have.

    Examples
    --------
    >>> from astrolab.models.registry import make_model
    >>> count_trainable(make_model("redshift_cnn", n_bands=5, seed=0), strategy="layers")
    409921
    """
    outline = copy.deepcopy(network).to("meta")
    return arrange(outline, settings=Strategy(strategy, **settings), base_digest="").plan.n_trainable


def match_rank(
    network: Network,
    *,
    adapter: str,
    n_trainable: int,
    targets: Sequence[str] | None = None,
    kronecker_factor: int | None = None,
    tolerance: float = 0.1,
) -> RankMatch:
    """Find the rank at which an adapter trains nearest to a given number of parameters.

    Parameters
    ----------
    network : Network
        Is left as it is.
    adapter : str
        Key of :data:`astrolab.models.strategies.ADAPTERS`.
    n_trainable : int
        The budget.
    targets : sequence of str, optional
        Layer sets or modules to adapt; by default every convolution and linear layer.
    kronecker_factor : int, optional
        For ``"lokr"``: with None it stays small at any rank.
    tolerance : float
        How far the count may lie off the budget, as a fraction of it.

    Returns
    -------
    RankMatch

    Raises
    ------
    ConfigError
        If no rank comes near enough, or only one above the rank that the layers themselves have at most: such an
        adapter would hold nothing more than a smaller one.
    TargetError
        If a target matches nothing.
    UnknownNameError
        If the adapter does not exist.

    Examples
    --------
    >>> from astrolab.models.registry import make_model
    >>> match_rank(make_model("redshift_cnn", n_bands=5, seed=0), adapter="lora", n_trainable=150_000)
    rank 4: 152,280 parameters train (+1.5% of 150,000)
    """
    if n_trainable < 1:
        raise ConfigError(
            "An adapter of a given size was asked for.", received=f"n_trainable={n_trainable!r}", remedy="Ask for some."
        )
    names = adaptable_modules(network, names=targets)

    @cache
    def count(rank: int) -> int:
        setting = {"adapter": adapter, "targets": names, "kronecker_factor": kronecker_factor}
        return count_trainable(network, strategy="lora", rank=rank, **setting)

    rank = _nearest(count, budget=n_trainable)
    match = RankMatch(rank, count(rank), n_trainable)
    largest = max(_full_rank(network, name) for name in names)
    if abs(match.off_frac) > tolerance or rank > largest:
        where = "every layer" if targets is None else ", ".join(targets)
        raise ConfigError(
            f"{adapter} on {where} was to train {n_trainable:,} parameters, within {tolerance:.0%}.",
            received=f"{match!r} at best",
            available=f"{count(1):,} at rank 1 to {count(largest):,} at rank {largest}, the largest the layers have",
            remedy="Choose another budget, other targets, or a wider tolerance"
            + ("; or another kronecker_factor." if adapter == "lokr" else "."),
        )
    return match


def _nearest(count: Callable[[int], int], *, budget: int) -> int:
    """The rank whose count is nearest to the budget; counts grow with the rank until an adapter is full."""
    low, high = 0, 1
    while count(high) < budget and (high == 1 or count(high) > count(high // 2)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < budget else (low, middle)
    return min((rank for rank in (low, high) if rank), key=lambda rank: (abs(count(rank) - budget), rank))


def _full_rank(network: Network, name: str) -> int:
    weight = network.get_submodule(name).weight
    return min(weight.shape[0], weight[0].numel())
