"""Networks by name."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from astrolab.errors import ConfigError, SchemaError, unknown_name
from astrolab.models.network import ModelSpec, Network, seeded
from astrolab.models.networks.cnn import CNN
from astrolab.models.networks.mlp import MLP
from astrolab.tasks import Task

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

MODELS: dict[str, type[Network]] = {network.name: network for network in (CNN, MLP)}
OURS = frozenset(MODELS)


def register_model(network: type[Network]) -> type[Network]:
    """Make a network of your own known by its name; usable as a decorator."""
    if network.name in OURS and MODELS[network.name] is not network:
        raise ConfigError(
            f"A network was to be registered as {network.name!r}.",
            received="the name of a network that comes with astrolab",
            available="any other name",
            remedy="Give the class another name.",
        )
    MODELS[network.name] = network
    return network


def make_model(name: str, *, survey: Survey, seed: int, inputs: tuple[str, ...] = (), **options: Any) -> Network:
    """Return a new network that fits a survey, with initial weights drawn from a seed.

    Parameters
    ----------
    name : str
        ``"cnn"`` reads an image, ``"mlp"`` numbers in a row (magnitudes, an embedding, a spectrum), or a network of
        your own.
    survey : Survey
        Its inputs give the channels, its task the labels.
    seed : int
        Same seed, same weights; torch's own random state is left as it was.
    inputs : tuple of str, optional
        Which inputs it reads; by default all that it can.
    **options
        Arguments of the network, e.g. ``hidden=(512, 256)``.

    Returns
    -------
    Network

    Raises
    ------
    UnknownNameError
        If no network, or no input of the survey, has that name.
    SchemaError
        If the network cannot read what the survey has.
    ConfigError
        If the network has no such option, or the option a value it cannot have.

    Examples
    --------
    ``make_model("cnn", survey=parts.train, seed=0, width=32)``
    """
    if name not in MODELS:
        raise unknown_name("network", name=name, names=MODELS)
    for wanted in inputs:
        if wanted not in survey.specs:
            raise unknown_name(f"input of {survey.name!r}", name=wanted, names=survey.specs)
    kind = MODELS[name]
    chosen = tuple(inputs) or kind.reads(survey.specs)
    shapes = {wanted: tuple(survey.inputs[wanted].shape[1:]) for wanted in chosen}
    return _build(kind, inputs=shapes, task=survey.task, seed=seed, options=options, has=tuple(survey.specs))


def rebuild(spec: ModelSpec, *, seed: int) -> Network:
    """Return a new network as a spec describes it, with other initial weights."""
    if spec.name not in MODELS:
        remedy = "Register the class of this network first: astrolab.register_model(...)."
        raise unknown_name("network", name=spec.name, names=MODELS, remedy=remedy)
    options = {name: value for name, value in spec.options.items() if name not in ("inputs", "task")}
    task = Task.from_dict(spec.options["task"])
    return _build(MODELS[spec.name], inputs=spec.options["inputs"], task=task, seed=seed, options=options)


def _build(
    kind: type[Network], *, inputs: dict[str, Any], task: Task, seed: int, options: dict[str, Any], has: tuple = ()
) -> Network:
    known = [name for name in inspect.signature(kind).parameters if name not in ("inputs", "task")]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ConfigError(
            f"{kind.name} was to be made.",
            received=f"the option {', '.join(unknown)}",
            available=", ".join(known),
            remedy="Use one of the options above.",
        )
    if not inputs or (kind.reads_one and len(inputs) > 1):
        raise SchemaError(
            f"{kind.name} was to be made for a survey.",
            received=f"{', '.join(inputs) or 'no input'} that it can read",
            available=", ".join(has) or "no inputs",
            remedy="Name the one to read, inputs=[...], or choose another network.",
        )
    with seeded(seed):
        return kind(inputs=inputs, task=task, **options)
