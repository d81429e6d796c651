"""Networks by name, those that come with astrolab and those that users register."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astrolab.errors import ConfigError, SchemaError, require_known
from astrolab.models.network import ModelSpec, Network, Shape, seeded
from astrolab.models.networks.cnn import CNN
from astrolab.models.networks.mlp import MLP
from astrolab.models.networks.spectra import SpectrumMLP, SpectrumTransformer
from astrolab.tasks import InputSpec, Task

if TYPE_CHECKING:
    from astrolab.datasets.survey import Survey

OURS: Mapping[str, type[Network]] = {network.name: network for network in (CNN, SpectrumMLP, MLP, SpectrumTransformer)}
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


def choose_model(name: str, *, specs: Mapping[str, InputSpec]) -> str:
    """Return the name of a network: the one asked for, or for ``"auto"`` the first of ours that reads these inputs.

    >>> choose_model("auto", specs={"magnitudes": InputSpec(axes=("band",))})
    'mlp'
    >>> choose_model("auto", specs={"spectrum": InputSpec(axes=("pixel",))})
    'spectrum_mlp'
    """
    require_known("network", name=name, names=["auto", *MODELS])
    if name != "auto":
        return name
    reading = [ours for ours, network in OURS.items() if network.reads(specs)]
    if not reading:
        asked, received = "A network was to be chosen for a survey.", f"the inputs {', '.join(specs) or '(none)'}"
        remedy = "Name a network of your own, registered with register_model."
        available = "cnn for an image, spectrum_mlp for a spectrum or an embedding, mlp for other numbers in a row"
        raise SchemaError(asked, received=received, available=available, remedy=remedy)
    return reading[0]


def options_of(name: str) -> tuple[str, ...]:
    """Return the options that a network can be made with."""
    return tuple(option for option in inspect.signature(MODELS[name]).parameters if option not in ("inputs", "task"))


def make_model(name: str, *, survey: Survey, seed: int, inputs: Sequence[str] = (), **options: Any) -> Network:
    """Return a new network that fits a survey, with initial weights drawn from a seed.

    Parameters
    ----------
    name : str
        ``"cnn"`` reads an image, ``"mlp"`` numbers in a row (magnitudes, an embedding, a spectrum), ``"spectrum_mlp"``
        a spectrum or an embedding, ``"spectrum_transformer"`` a spectrum, without labels too; or a network of your own.
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
        If no network, none of its options, or no input of the survey has that name; if an option cannot have its value.
    SchemaError
        If the network cannot read what the survey has, or learn from a survey without labels.
    """
    require_known("network", name=name, names=MODELS)
    for wanted in inputs:
        require_known(f"input of {survey.name!r}", name=wanted, names=survey.specs)
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
    require_known("network", name=spec.name, names=MODELS)
    options = dict(spec.options)
    inputs, task = options.pop("inputs"), Task.from_dict(options.pop("task"))
    return _build(MODELS[spec.name], inputs=inputs, task=task, seed=seed, options=options)


def _build(
    kind: type[Network], *, inputs: Mapping[str, Shape], task: Task, seed: int, options: dict[str, Any]
) -> Network:
    for option in options:
        require_known(f"option of {kind.name}", name=option, names=options_of(kind.name))
    with seeded(seed):
        return kind(inputs=inputs, task=task, **options)
