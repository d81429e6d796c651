"""What trains and what does not: written down before training, proven before the first step and after the last."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from astrolab.errors import PlanError
from astrolab.models.network import tensor_digest


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """Every parameter of an adapted network, and what happens to it."""

    strategy: str
    table: pd.DataFrame
    batchnorm: str

    def __repr__(self) -> str:
        counts = self.counts
        kept = {"update": "BatchNorm updates", "freeze": "BatchNorm frozen", "none": "no BatchNorm"}[self.batchnorm]
        share = 100 * counts["trainable"] / counts["total"]
        some = f"{counts['trainable']:,} of {counts['total']:,} parameters train ({share:.2f} %)"
        return f"{self.strategy}: {some} · {kept}"

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of parameters: frozen, trained, adapted, trainable (the last two together) and total."""
        sums = self.table.groupby("state")["count"].sum()
        counts = {state: int(sums.get(state, 0)) for state in ("frozen", "trained", "adapted")}
        trainable = counts["trained"] + counts["adapted"]
        return {**counts, "trainable": trainable, "total": trainable + counts["frozen"]}

    @property
    def n_trainable(self) -> int:
        """Number of parameters that train."""
        return self.counts["trainable"]

    @property
    def trainable(self) -> frozenset[str]:
        """Names of the parameters that train."""
        return frozenset(self.table.loc[self.table["state"] != "frozen", "parameter"])

    def enforce(self, network: nn.Module) -> None:
        """Let exactly the planned parameters of a network train."""
        trainable = self.trainable
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in trainable)

    def assert_holds(self, network: nn.Module, *, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Prove that what would train is what the plan says."""
        found = dict(network.named_parameters())
        planned = dict(zip(self.table["parameter"], self.table["shape"], strict=True))
        trainable = self.trainable
        self._refuse("are missing from the network", planned.keys() - found.keys())
        self._refuse("are not in the plan", found.keys() - planned.keys())
        self._refuse("have another shape than planned", {n for n, p in found.items() if tuple(p.shape) != planned[n]})
        self._refuse("would train, though frozen", {n for n, p in found.items() if p.requires_grad} - trainable)
        self._refuse("would not train, though planned to", {n for n in trainable if not found[n].requires_grad})
        if optimizer is not None:
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
            expected = {id(found[name]): name for name in trainable}
            self._refuse("train, but the optimizer lacks them", {n for i, n in expected.items() if i not in held})
            names = {id(p): name for name, p in found.items()}
            foreign = {names.get(i, "(of another network)") for i in held - expected.keys()}
            self._refuse("are in the optimizer, but do not train", foreign)

    def frozen_digests(self, network: nn.Module) -> dict[str, str]:
        """Return the fingerprint of everything that must not change while training."""
        trainable = self.trainable
        frozen = {name: p for name, p in network.named_parameters() if name not in trainable}
        if self.batchnorm == "freeze":
            frozen |= dict(network.named_buffers())
        return {name: tensor_digest(tensor) for name, tensor in frozen.items()}

    def assert_untouched(self, network: nn.Module, *, before: Mapping[str, str]) -> None:
        """Prove, after training, that what was frozen did not change."""
        after = self.frozen_digests(network)
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        self._refuse("have changed, though frozen", changed)

    def _refuse(self, what: str, names: Collection[str]) -> None:
        if not names:
            return
        shown = sorted(names)
        more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
        asked = f"The plan of strategy {self.strategy!r} was checked against a network."
        received = f"parameters that {what}: {', '.join(shown[:5])}{more}"
        remedy = "Train the network that adapt() returned, and change no requires_grad after it."
        raise PlanError(asked, received=received, available=repr(self), remedy=remedy)


def draft_plan(
    network: nn.Module, *, strategy: str, own: Collection[int], trained: Collection[int], batchnorm: str
) -> Plan:
    """Write the plan of a network that a strategy has arranged."""
    rows = [
        {
            "parameter": name,
            "shape": tuple(p.shape),
            "state": "adapted" if id(p) not in own else "trained" if id(p) in trained else "frozen",
            "count": p.numel(),
        }
        for name, p in network.named_parameters()
    ]
    table = pd.DataFrame(rows, columns=["parameter", "shape", "state", "count"])
    return Plan(strategy, table, batchnorm if batchnorm_layers(network) else "none")


def batchnorm_layers(network: nn.Module) -> list[nn.Module]:
    """Return the BatchNorm layers of a network."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]
