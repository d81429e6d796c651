"""Low-rank adapters, through peft.

peft brings transformers with it and takes seconds to import: it is imported by the functions, when an adapter is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from astrolab.errors import PlanError
from astrolab.models.network import Network, seeded
from astrolab.models.plan import batchnorm_layers
from astrolab.models.strategies import Strategy

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel


def add_adapters(network: Network, *, strategy: Strategy, targets: tuple[str, ...]) -> PeftModel:
    """Put an adapter beside each of the named layers of a network, which starts as if it were not there.

    The network becomes part of the peft model, through which its attributes are reached. peft saves and restores the
    BatchNorm layers with the adapters (``modules_to_save``), each as a copy with running statistics of its own; scale
    and shift stay those of the network, one parameter under two names, so that they are counted and frozen once.
    """
    from peft import get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import ModulesToSaveWrapper

    layers = batchnorm_layers(network)
    saved = [name for name, module in network.named_modules() if module in layers]
    with seeded(strategy.seed):
        adapted = get_peft_model(network, adapter_config(strategy, targets=targets, saved=saved))
    for module in network.modules():
        if isinstance(module, ModulesToSaveWrapper):
            layer = module.modules_to_save["default"]
            layer.weight, layer.bias = module.original_module.weight, module.original_module.bias
    reached = {name for name, module in network.named_modules() if isinstance(module, BaseTunerLayer)}
    if reached != set(targets):
        raise PlanError(
            f"{strategy.adapter} was to adapt {len(targets)} layers.",
            received=f"adapters on {', '.join(sorted(reached)) or 'none'}",
            available=", ".join(targets),
            remedy="Report this with the version of peft.",
        )
    return adapted


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


def adapter_weights(network: PeftModel) -> dict[str, torch.Tensor]:
    """Return the weights of adapters and BatchNorm layers, under the names peft gives them in files."""
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(network)


def put_adapter_weights(network: PeftModel, *, weights: Mapping[str, torch.Tensor]) -> None:
    """Give a network weights that have the names and shapes of :func:`adapter_weights`."""
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(network, dict(weights))


def merge_adapters(network: PeftModel) -> Network:
    """Add adapters into the weights they adapt, with the BatchNorm statistics as they are now; uses the network up."""
    return network.merge_and_unload()
