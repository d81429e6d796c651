"""Fits that several runs share: a base model is trained once, and taken from the store by all who ask for the same.

An entry is the checkpoint of a fit, named by a digest of everything its outcome depends on: the network's weights, the
galaxies, the scaling, the configuration, and the code that trains. Whoever asks for anything else gets
another name, and `fit` proves the identity written inside the file once more: an entry is never stale.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from astrolab.runs.records import runs_dir

if TYPE_CHECKING:
    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.splits import Splits
    from astrolab.models.adapt import Adapted
    from astrolab.trainers.config import TrainConfig

STORE = "store"


def stored_fit(adapted: Adapted, *, sample: Splits, scaling: Scaling, config: TrainConfig, code: str) -> Path:
    """Return where the run store keeps a fit by some code, whether it has been made yet or not."""
    from astrolab.trainers.loop import fit_digest

    fitted = fit_digest(adapted, train=sample.train, validation=sample.validation, scaling=scaling, config=config)
    name = hashlib.sha256(f"{fitted} {code}".encode()).hexdigest()[:20]
    return runs_dir() / STORE / f"{name}.safetensors"
