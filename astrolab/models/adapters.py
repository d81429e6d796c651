"""What is put beside frozen weights: low-rank adapters, through peft, or a small learned correction.

peft takes seconds to import: it is imported by the functions, when an adapter is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from astrolab.errors import ModelError, PlanError
from astrolab.models.network import Network, seeded
from astrolab.models.plan import batchnorm_layers

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from astrolab.models.adapt import Strategy


def add_adapters(network: Network, *, strategy: Strategy, targets: tuple[str, ...]) -> PeftModel:
    """Put an adapter beside each of the named layers of a network, which starts as if it were not there.

    peft saves the BatchNorm layers with the adapters (``modules_to_save``), each as a copy with statistics of its own;
    scale and shift stay those of the network, so that they are counted and frozen once.
    """
    from peft import get_peft_model
    from peft.utils import ModulesToSaveWrapper

    layers = batchnorm_layers(network)
    saved = [name for name, module in network.named_modules() if module in layers]
    with seeded(strategy.seed):
        adapted = get_peft_model(network, adapter_config(strategy, targets=targets, saved=saved))
    held = {name: m for name, m in network.named_modules() if isinstance(m, ModulesToSaveWrapper)}
    reached = adapted_layers(network)
    if set(reached) != set(targets) or held.keys() != set(saved):
        raise PlanError(
            f"{strategy.adapter} was to adapt {len(targets)} layers, and to keep {len(saved)} BatchNorm layers.",
            received=f"adapters on {', '.join(reached) or 'none'}; kept {', '.join(sorted(held)) or 'none'}",
            available="; kept ".join(", ".join(sorted(names)) or "none" for names in (targets, saved)),
            remedy="Rename these modules of the network so that the name of none ends with that of another.",
        )
    for module in held.values():
        layer = module.modules_to_save["default"]
        layer.weight, layer.bias = module.original_module.weight, module.original_module.bias
    return adapted


def adapted_layers(network: Network) -> list[str]:
    """Return the names of the layers of a network beside which an adapter sits, in its order."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [name for name, module in network.named_modules() if isinstance(module, BaseTunerLayer)]


def adapter_config(strategy: Strategy, *, targets: Sequence[str], saved: Sequence[str] = ()) -> PeftConfig:
    """Return peft's own description of the adapters, and of the layers that are saved with them."""
    from peft import LoHaConfig, LoKrConfig, LoraConfig

    shared = {"r": strategy.rank, "target_modules": list(targets), "modules_to_save": list(saved) or None}
    if strategy.adapter in ("loha", "lokr"):
        shared |= {"alpha": strategy.alpha}  # of their dropouts, one can leave no gradient, the other divides by 0
        if strategy.adapter == "loha":
            return LoHaConfig(**shared)
        return LoKrConfig(**shared, decompose_factor=strategy.kronecker_factor or -1)
    return LoraConfig(
        **shared,
        lora_alpha=strategy.alpha,
        lora_dropout=strategy.dropout,
        bias="none",
        use_rslora=strategy.adapter == "rslora",
        use_dora=strategy.adapter == "dora",
    )


def to_channels_last(network: nn.Module) -> nn.Module:
    """Put the convolutions into channels_last order, in place; peft reads those of DoRA in plain order."""
    network = network.to(memory_format=torch.channels_last)
    for module in network.modules():
        if len(getattr(module, "lora_magnitude_vector", ())):
            for factor in (*module.lora_A.values(), *module.lora_B.values()):
                factor.weight.data = factor.weight.data.contiguous()
    return network


class ResidualNetwork(nn.Module):
    """A frozen network plus a correction of its hidden features: ``f(x) + g(h(x))``, where at first ``g = 0``."""

    def __init__(self, base: Network, *, width: int, seed: int):
        super().__init__()
        if not base.labels:
            asked = "The predictions of a network were to be corrected."
            remedy = "Use another strategy, or a network made for a survey with labels."
            raise ModelError(asked, received=f"{base.spec.name}, which predicts no labels", remedy=remedy)
        self.base = base.eval()
        with seeded(seed):
            hidden, output = nn.Linear(base.n_hidden, width), nn.Linear(width, len(base.labels))
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.correction = nn.Sequential(hidden, nn.SiLU(), output).to(next(base.parameters()).device)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base":
                raise
            return getattr(self.base, name)

    def train(self, mode: bool = True) -> ResidualNetwork:
        """Put the correction, and only it, into training or evaluation mode."""
        super().train(mode)
        self.base.eval()
        return self

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the corrected labels (n, n_labels)."""
        return self.base.read_out(hidden) + self.correction(hidden)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the corrected labels (n, n_labels)."""
        self.base.require_inputs(inputs)
        return self.read_out(self.base.embed(inputs))
