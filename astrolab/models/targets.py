"""From layer names to the modules and parameters they stand for; a name that stands for nothing is an error."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from astrolab.errors import TargetError
from astrolab.models.network import Network


def parameters_under(network: Network, *, names: Iterable[str]) -> frozenset[str]:
    """Return the names of the parameters that layer sets and modules hold.

    >>> from astrolab.models.registry import make_model
    >>> network = make_model("redshift_mlp", n_bands=5, seed=0, hidden=(8, 8))
    >>> sorted(parameters_under(network, names=["input"]))
    ['features.0.0.bias', 'features.0.0.weight']
    """
    every = [name for name, _ in network.named_parameters()]
    return frozenset(found for name in names for found in _expand(network, name=name, among=every, kind="parameters"))


def adaptable_modules(network: Network, *, names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the convolution and linear layers that layer sets and modules hold, in the order of the network."""
    every = network.adapter_targets
    if names is None:
        return every
    kind = "convolution or linear layer"
    found = {target for name in names for target in _expand(network, name=name, among=every, kind=kind)}
    return tuple(target for target in every if target in found)


def _expand(network: Network, *, name: str, among: Iterable[str], kind: str) -> list[str]:
    modules = {module for module, _ in network.named_modules() if module}
    if name not in network.layer_sets and name not in modules:
        raise _no_match(network, name=name, modules=modules)
    roots = network.layer_sets.get(name, (name,))
    found = [item for item in among if any(item == root or item.startswith(f"{root}.") for root in roots)]
    if not found:
        raise TargetError(
            f"The layers {name!r} of {network.spec.name} were asked for.",
            received=f"layers that hold no {kind}",
            available=_names(network),
            remedy=f"Name layers that hold at least one {kind}.",
        )
    return found


def _no_match(network: Network, *, name: str, modules: set[str]) -> TargetError:
    ending = sorted(module for module in modules if module.endswith(f".{name}"))
    near = ending[:3] or get_close_matches(name, [*network.layer_sets, *sorted(modules)], n=3)
    return TargetError(
        f"The layers {name!r} of {network.spec.name} were asked for.",
        received="a name that is no layer set and no module",
        available=_names(network),
        remedy=f"Did you mean {' or '.join(map(repr, near))}?" if near else "Use one of the names above.",
    )


def _names(network: Network) -> str:
    holders = dict.fromkeys(name.rpartition(".")[0] for name, _ in network.named_parameters())
    return f"layer sets {', '.join(network.layer_sets)}; modules {', '.join(holders)}"
