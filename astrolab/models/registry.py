"""Networks by name, those that come with astrolab and those that users register."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astrolab.errors import ConfigError, SchemaError, unknown_name
from astrolab.models.network import ModelSpec, Network, Shape, seeded
from astrolab.models.networks.cnn import CNN
from astrolab.models.networks.mlp import MLP
from astrolab.tasks import Task

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

OURS: Mapping[str, type[Network]] = {network.name: network for network in (CNN, MLP)}
MODELS: dict[str, type[Network]] = dict(OURS)


def register_model(network: type[Network]) -> type[Network]:
    """Make a network of your own known by its `name`, so that it can be made and loaded; usable as a decorator.

    A class registered again replaces the one before; one without a name, or with a name of astrolab's, is a
    `ConfigError`.
    """
    if not network.name or OURS.get(network.name, network) is not network:
        asked = f"The network {network.__name__} was to be registered."
        available = f"any name but {', '.join(OURS)}, which come with astrolab"
        remedy = 'Give the class a name of its own: name = "...".'
        raise ConfigError(asked, received=f"name = {network.name!r}", available=available, remedy=remedy)
    MODELS[network.name] = network
    return network


def make_model(name: str, *, survey: Survey, seed: int, inputs: Sequence[str] = (), **options: Any) -> Network:
    """Return a new network that fits a survey, with initial weights drawn from a seed.

    Parameters
    ----------
    name : str
        ``"cnn"`` reads an image, ``"mlp"`` numbers in a row (magnitudes, an embedding, a spectrum); or a network of
        your own.
    survey : Survey
        Its inputs give the channels, its task the labels.
    seed : int
        Same seed, same weights; torch's own random state is left as it was.
    inputs : sequence of str, optional
        Which inputs it reads; by default all that it can.
    **options
        Arguments of the network, e.g. ``hidden=(512, 256)``.

    Raises
    ------
    UnknownNameError, ConfigError
        If no network, or no input of the survey, has that name; if the network has no such option or value of it.
    SchemaError
        If the network cannot read what the survey has, or learn from a survey without labels.
    """
    if name not in MODELS:
        raise unknown_name("network", name=name, names=MODELS)
    for wanted in inputs:
        if wanted not in survey.specs:
            raise unknown_name(f"input of {survey.name!r}", name=wanted, names=survey.specs)
    kind = MODELS[name]
    readable = kind.reads(survey.specs)
    chosen = tuple(inputs) or readable
    if not chosen or not set(chosen) <= set(readable) or (kind.n_axes and len(chosen) > 1):
        raise SchemaError(
            f"{name} was to be made for {survey.name}.",
            received=f"the inputs {', '.join(chosen or survey.specs) or '(none)'}",
            available=f"{', '.join(readable) or 'none'} that it can read" + ", one at a time" * bool(kind.n_axes),
            remedy="Name what it shall read, inputs=[...], or choose another network.",
        )
    if not survey.task.labels and not hasattr(kind, "reconstruct"):
        asked = f"{name} was to be made for {survey.name}."
        remedy = "Add [[label]] to its manifest, or use a network that learns without (it has reconstruct)."
        raise SchemaError(asked, received="a survey without labels", remedy=remedy)
    shapes = {wanted: tuple(survey.inputs[wanted].shape[1:]) for wanted in chosen}
    return _build(kind, inputs=shapes, task=survey.task, seed=seed, options=options)


def rebuild(spec: ModelSpec, *, seed: int) -> Network:
    """Return a new network as a spec describes it, with initial weights drawn from a seed."""
    if spec.name not in MODELS:
        raise unknown_name("network", name=spec.name, names=MODELS)
    options = dict(spec.options)
    inputs, task = options.pop("inputs"), Task.from_dict(options.pop("task"))
    return _build(MODELS[spec.name], inputs=inputs, task=task, seed=seed, options=options)


def _build(
    kind: type[Network], *, inputs: Mapping[str, Shape], task: Task, seed: int, options: dict[str, Any]
) -> Network:
    known = [name for name in inspect.signature(kind).parameters if name not in ("inputs", "task")]
    unknown = [option for option in options if option not in known]
    if unknown:
        asked = f"{kind.name} was to be made."
        received = f"the option {', '.join(unknown)}"
        available = ", ".join(known) or "no options"
        raise ConfigError(asked, received=received, available=available, remedy="Use one of the options above.")
    with seeded(seed):
        return kind(inputs=inputs, task=task, **options)
