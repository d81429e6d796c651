"""Fits that several runs share: a base model is trained once, and taken from the store by all who ask for the same.

An entry is the checkpoint of a fit, named by a digest of everything its outcome depends on: the network's weights, the
galaxies, the scaling, the configuration, the hardware, and the code that trains. Whoever asks for anything else gets
another name, and `fit` proves the identity written inside the file once more: an entry is never stale.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from astrolab.runs.records import runs_dir

if TYPE_CHECKING:
    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.splits import Splits
    from astrolab.models.adapt import Adapted
    from astrolab.trainers.config import TrainConfig

STORE = "store"
_PACKAGE = Path(__file__).resolve().parents[1]
_CODE_THAT_TRAINS = ("models", "trainers", "datasets/scaling.py")
_PACKAGES_THAT_TRAIN = ("torch", "torchvision", "peft", "accelerate")


def stored_fit(adapted: Adapted, *, sample: Splits, scaling: Scaling, config: TrainConfig) -> Path:
    """Return where the run store keeps a fit, whether it has been made yet or not.

    Parameters
    ----------
    adapted : Adapted
    sample : Splits
    scaling : Scaling
    config : TrainConfig

    Returns
    -------
    Path
        ``runs/store/<digest>.safetensors``
    """
    from astrolab.trainers.loop import fit_digest

    fitted = fit_digest(adapted, train=sample.train, validation=sample.validation, scaling=scaling, config=config)
    name = hashlib.sha256(f"{fitted} {code_digest(_PACKAGE)}".encode()).hexdigest()[:20]
    return runs_dir() / STORE / f"{name}.safetensors"


@cache
def code_digest(package: Path) -> str:
    """Return a fingerprint of the code that makes weights out of galaxies: astrolab's own and the libraries' versions.

    Parameters
    ----------
    package : Path
        The folder of the package.

    Returns
    -------
    str
    """
    total = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _PACKAGES_THAT_TRAIN).encode())
    for part in _CODE_THAT_TRAINS:
        path = package / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            total.update(f"{file.relative_to(package).as_posix()}\n".encode() + file.read_bytes())
    return total.hexdigest()
