"""Networks by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from astrolab.errors import ConfigError, unknown_name
from astrolab.models.network import ModelSpec, Network, seeded
from astrolab.models.redshift_cnn import RedshiftCNN
from astrolab.models.redshift_mlp import RedshiftMLP

MODELS: Mapping[str, type[Network]] = {"redshift_cnn": RedshiftCNN, "redshift_mlp": RedshiftMLP}


def list_models() -> tuple[str, ...]:
    """Return the names of the networks that can be made."""
    return tuple(MODELS)


def make_model(name: str, *, n_bands: int, seed: int, **options: Any) -> Network:
    """Return a new network with initial weights drawn from a seed.

    Parameters
    ----------
    name : str
        ``"redshift_cnn"`` reads images, ``"redshift_mlp"`` magnitudes.
    n_bands : int
        Number of bands of the survey.
    seed : int
        Same seed, same weights; torch's own random state is left as it was.
    **options
        Arguments of the network, e.g. ``hidden=(512, 256)``.

    Returns
    -------
    Network

    Raises
    ------
    UnknownNameError
        If no network has that name.
    ConfigError
        If the network has no such option, or the option a value it cannot have.

    Examples
    --------
    >>> network = make_model("redshift_mlp", n_bands=5, seed=0, hidden=(8, 8))
    >>> network.spec.options["hidden"]
    [8, 8]
    """
    if name not in MODELS:
        raise unknown_name("network", name=name, names=MODELS)
    known = [p for p in inspect.signature(MODELS[name]).parameters if p != "n_bands"]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ConfigError(
            f"{name} was to be made.",
            received=f"the option {', '.join(unknown)}",
            available=", ".join(known),
            remedy="Use one of the options above.",
        )
    with seeded(seed):
        return MODELS[name](n_bands, **options)


def rebuild(spec: ModelSpec, *, seed: int) -> Network:
    """Return a new network as a spec describes it.

    Parameters
    ----------
    spec : ModelSpec
    seed : int
        Of the initial weights.

    Returns
    -------
    Network
    """
    return make_model(spec.name, seed=seed, **spec.options)
