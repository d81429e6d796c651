"""Folders that hold a network: safetensors and one JSON card, read back to the last bit.

::

    model.json                  what it is: spec, strategy with all settings, what it was trained on, digests, versions
    model.safetensors           all weights and buffers                     (every strategy but lora)
    adapter_model.safetensors   adapters and BatchNorm, in peft's format    (lora)
    adapter_config.json         their description, in peft's own format     (lora)
    base/                       the network the adapters belong to          (lora, where it was given)
    reference.safetensors       what its training set was like              (of a fit of a run)

The card holds the SHA-256 of every other file, and its own. Nothing is pickled, and nothing pickled is read.
"""

from __future__ import annotations

import copy
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from astrolab.errors import CheckpointError, ConfigError, unknown_name
from astrolab.files import DIGEST_PLACE, digest_fault, sha256_of, write_atomically, write_digest
from astrolab.models.adapt import Adapted, Strategy, adapt, arrange, require_plain
from astrolab.models.adapters import adapted_layers
from astrolab.models.network import ModelSpec, Network, TrainingRecord, digest
from astrolab.models.registry import MODELS, rebuild

FORMAT = "astrolab-model-3"
CARD, WEIGHTS, ADAPTERS, BASE = "model.json", "model.safetensors", "adapter_model.safetensors", "base"
REFERENCE = "reference.safetensors"


def save_model(network: Adapted | Network, *, directory: str | Path, base: Network | None = None) -> Path:
    """Save a network into a folder, which appears complete or not at all.

    Parameters
    ----------
    network : Adapted or Network
        A plain network is saved as one of which every parameter trains.
    directory : str or Path
        Is made, or replaced if it holds a saved model.
    base : Network, optional
        For ``"lora"``: the network that was adapted, saved with it so that the folder needs nothing else.

    Raises
    ------
    ConfigError
        If the folder exists and holds something else than a saved model.
    CheckpointError
        If `base` is not the network that was adapted.
    """
    directory = Path(directory)
    _require_replaceable(directory)
    adapted = adapt(network, strategy="full") if isinstance(network, Network) else network
    with_base = base is not None and adapted.strategy == "lora"
    if with_base:
        _require_base(base, digest_wanted=adapted.base_digest)
    with write_atomically(directory) as part:
        part.mkdir()
        if adapted.strategy == "lora":
            from peft import get_peft_model_state_dict

            _write_tensors(get_peft_model_state_dict(adapted.network), part / ADAPTERS)
            config = copy.copy(adapted.network.active_peft_config)
            config.inference_mode = True
            config.target_modules = adapted_layers(adapted.network.get_base_model())  # peft would lose their order
            config.save_pretrained(part)
        else:
            _write_tensors(adapted.network.state_dict(), part / WEIGHTS)
        if adapted.reference:
            _write_tensors(adapted.reference, part / REFERENCE)
        card = _card(adapted, files={path.name: sha256_of(path) for path in sorted(part.iterdir())})
        (part / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        write_digest(part / CARD)
        if with_base:
            save_model(base, directory=part / BASE)
    return directory


def load_model(directory: str | Path, *, base: Network | None = None) -> Adapted:
    """Return the network saved in a folder, on the CPU and in evaluation mode; it predicts as before to the last bit.

    Parameters
    ----------
    base : Network, optional
        For ``"lora"``, where the folder holds no ``base``: the network that was adapted. It is copied.

    Raises
    ------
    CheckpointError
        If the folder holds no model, or a file or the base is not the one that was saved.
    UnknownNameError
        If it is a network of your own whose class is not registered (`register_model`).
    """
    directory = Path(directory)
    card = _read_card(directory)
    settings = Strategy(**card["strategy"])
    if settings.name == "lora":
        adapted = _load_adapters(directory, card=card, settings=settings, base=base)
    else:
        spec, kind = ModelSpec(**card["spec"]), card["class"]
        if spec.name not in MODELS:
            register = f"Register its class first, {kind}: astrolab.register_model({kind.rpartition('.')[2]})."
            raise unknown_name("network", name=spec.name, names=MODELS, remedy=register)
        adapted = arrange(rebuild(spec, seed=0), settings=settings, base_digest=card["base_digest"])
        try:
            adapted.network.load_state_dict(load_file(directory / WEIGHTS))
        except RuntimeError as error:  # torch names every tensor that is missing, left over or of another shape
            asked, received = f"A model was to be loaded from {directory}.", " ".join(str(error).split())
            remedy = f"Use the class {card['class']} as it was when the model was saved."
            raise CheckpointError(asked, received=received, remedy=remedy) from error
    if digest(adapted.network) != card["digest"]:
        raise CheckpointError(
            f"A model was to be loaded from {directory}.",
            received="weights whose digest is not the one on the model card",
            available=f"digest {card['digest'][:12]}… in {CARD}",
            remedy="The files are damaged or mixed up: copy the folder again.",
        )
    adapted.network.trained_on = card["trained_on"] and TrainingRecord.from_dict(card["trained_on"])
    return replace(adapted, reference=load_file(directory / REFERENCE)) if REFERENCE in card["files"] else adapted


def _load_adapters(directory: Path, *, card: Mapping[str, Any], settings: Strategy, base: Network | None) -> Adapted:
    from peft import set_peft_model_state_dict

    if base is None and (directory / BASE).is_dir():
        base = load_model(directory / BASE).network
    if base is None:
        raise CheckpointError(
            f"A model was to be loaded from {directory}.",
            received="adapters without the network they belong to",
            available=f"digest {card['base_digest'][:12]}… of that network",
            remedy="Pass base=network, or save with save_model(adapted, directory=..., base=network).",
        )
    _require_base(base, digest_wanted=card["base_digest"])
    adapted = arrange(copy.deepcopy(base), settings=settings, base_digest=card["base_digest"])
    set_peft_model_state_dict(adapted.network, load_file(directory / ADAPTERS))
    return adapted


def _require_base(base: Network, *, digest_wanted: str) -> None:
    asked = "The network below adapters was given."
    require_plain(base, asked=asked, remedy="Pass the plain network that was adapted.")
    found = digest(base)
    if found != digest_wanted:
        received = f"a network with digest {found[:12]}…"
        available = f"adapters of a network with digest {digest_wanted[:12]}…"
        remedy = "Pass the network that was adapted, with the weights it had then."
        raise CheckpointError(asked, received=received, available=available, remedy=remedy)


def _card(adapted: Adapted, *, files: Mapping[str, str]) -> dict[str, Any]:
    record = adapted.network.trained_on
    packages = ["torch", "safetensors", *(["peft"] if adapted.strategy == "lora" else [])]
    return {
        "format": FORMAT,
        "spec": asdict(adapted.network.spec),
        "class": adapted.network.origin,
        "strategy": adapted.settings.to_dict(),
        "trained_on": record and asdict(record),
        "parameters": adapted.plan.counts,
        "base_digest": adapted.base_digest,
        "digest": digest(adapted.network),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("astrolab", *packages)}},
        "files": dict(files),
        "file_digest": DIGEST_PLACE,
    }


def _read_card(directory: Path) -> dict[str, Any]:
    path = directory / CARD
    if not path.is_file():
        asked = f"A model was to be loaded from {directory}."
        received = f"a folder without {CARD}" if directory.is_dir() else "no such folder"
        raise CheckpointError(asked, received=received, remedy="Name a folder written by save_model.")
    if fault := digest_fault(path):
        raise _damaged(path, fault)
    card = json.loads(path.read_text(encoding="utf-8"))
    if card.get("format") != FORMAT:
        raise _damaged(path, f"format {card.get('format')!r} instead of {FORMAT!r}")
    for file, digest_wanted in card["files"].items():
        found = sha256_of(directory / file) if (directory / file).is_file() else "none: there is no such file"
        if found != digest_wanted:
            raise _damaged(directory / file, f"SHA-256 {found[:12]}… instead of {digest_wanted[:12]}… in {CARD}")
    return card


def _write_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, path, metadata={"format": "pt"})


def _damaged(path: Path, detail: str) -> CheckpointError:
    remedy = f"{path} is damaged or not what its name says: copy or save it again."
    return CheckpointError(f"{path.name} of a saved model was to be read.", received=detail, remedy=remedy)


def _require_replaceable(directory: Path) -> None:
    if not directory.exists() or (directory / CARD).is_file() or (directory.is_dir() and not any(directory.iterdir())):
        return
    asked = f"A model was to be saved as {directory}."
    received = "a folder or file that is there and is no saved model"
    raise ConfigError(asked, received=received, remedy="Name a folder of its own for each model.")
