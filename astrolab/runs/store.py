"""Fits that several runs share: a base model is trained once, and taken from the store by all who ask for the same.

An entry is the checkpoint of a fit, named by a digest of everything its outcome depends on: the network's weights, the
galaxies, the scaling, the configuration, the hardware, and the code that trains. Whoever asks for anything else gets
another name, and `fit` proves the identity written inside the file once more: an entry is never stale.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from astrolab.runs.code import code_digest
from astrolab.runs.records import runs_dir

if TYPE_CHECKING:
    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.splits import Splits
    from astrolab.models.adapt import Adapted
    from astrolab.trainers.config import TrainConfig

STORE = "store"


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
    name = hashlib.sha256(f"{fitted} {code_digest()}".encode()).hexdigest()[:20]
    return runs_dir() / STORE / f"{name}.safetensors"
