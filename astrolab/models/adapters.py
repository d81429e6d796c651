"""Low-rank adapters, through peft.

peft brings transformers with it and takes seconds to import: it is imported by the functions, when an adapter is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from astrolab.errors import PlanError
from astrolab.models.network import Network, seeded
from astrolab.models.strategies import Strategy

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel


def add_adapters(network: Network, *, strategy: Strategy, targets: tuple[str, ...]) -> PeftModel:
    """Put an adapter beside each of the named layers of a network, which starts as if it were not there.

    Parameters
    ----------
    network : Network
        Becomes part of what is returned.
    strategy : Strategy
    targets : tuple of str
        Convolution and linear layers, by their full names.

    Returns
    -------
    peft.PeftModel
        Predicts like a network; attributes of the network are reached through it.

    Raises
    ------
    PlanError
        If peft did not adapt exactly the layers named.
    """
    from peft import get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    with seeded(strategy.seed):
        adapted = get_peft_model(network, adapter_config(strategy, targets=targets))
    reached = {name for name, module in network.named_modules() if isinstance(module, BaseTunerLayer)}
    if reached != set(targets):
        raise PlanError(
            f"{strategy.adapter} was to adapt {len(targets)} layers.",
            received=f"adapters on {', '.join(sorted(reached)) or 'none'}",
            available=", ".join(targets),
            remedy="Report this with the version of peft.",
        )
    return adapted


def adapter_config(strategy: Strategy, *, targets: tuple[str, ...]) -> PeftConfig:
    """Return peft's own description of the adapters.

    Parameters
    ----------
    strategy : Strategy
    targets : tuple of str

    Returns
    -------
    peft.PeftConfig
    """
    from peft import LoHaConfig, LoKrConfig, LoraConfig

    shared = {"r": strategy.rank, "target_modules": list(targets)}
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
    """Return the weights of the adapters under the names peft gives them in files.

    Parameters
    ----------
    network : peft.PeftModel

    Returns
    -------
    dict of str to Tensor
    """
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(network)


def put_adapter_weights(network: PeftModel, *, weights: Mapping[str, torch.Tensor]) -> None:
    """Give the adapters of a network their weights, under the names peft gives them in files.

    Parameters
    ----------
    network : peft.PeftModel
    weights : mapping of str to Tensor
        Exactly those of :func:`adapter_weights`.
    """
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(network, dict(weights))


def buffers_beside_adapters(network: PeftModel) -> dict[str, torch.Tensor]:
    """Return the BatchNorm statistics of an adapted network, under the names of the plain one.

    They follow the new survey while the adapters train, and peft's files leave them out.

    Parameters
    ----------
    network : peft.PeftModel

    Returns
    -------
    dict of str to Tensor
    """
    return dict(network.get_base_model().named_buffers())


def merge_adapters(network: PeftModel) -> Network:
    """Add the adapters into the weights they adapt.

    Parameters
    ----------
    network : peft.PeftModel
        Is used up.

    Returns
    -------
    Network
        Plain, with the BatchNorm statistics as they are now.
    """
    return network.merge_and_unload()
