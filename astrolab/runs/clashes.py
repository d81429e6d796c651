"""Parameters of a study that do not fit its surveys: all of them at once, by name, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrolab.datasets.fetching import locate
from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.reading import read_file
from astrolab.errors import AstrolabError, ParameterError
from astrolab.tasks import InputSpec

ROLES = ("pretrain_survey", "finetune_survey")


@dataclass(frozen=True)
class Outline:
    """What is known of a survey without its rows; of a twin that is not simulated yet, no columns."""

    name: str
    specs: Mapping[str, InputSpec]
    labels: tuple[str, ...]
    columns: tuple[str, ...] | None
    z: tuple[float, float] | None = None  # the smallest and the largest redshift

    @classmethod
    def of(cls, name: str, *, directory: str) -> Outline:
        """Outline a survey: its manifest, and the first of its files."""
        manifest = load_manifest(name)
        if manifest.recipe:
            return cls(manifest.name, cls.of(manifest.recipe.members[0], directory=directory).specs, (), None)
        if manifest.twin:
            specs = {one: section.spec for one, section in manifest.inputs.items()}
            return cls(manifest.name, specs, manifest.task.label_names, None)
        paths = locate(manifest, directory=Path(directory) if directory else None)
        survey = read_file(paths[0], manifest=manifest)
        z = (survey.labels["z"].min(), survey.labels["z"].max()) if "z" in survey.labels else None
        return cls(manifest.name, survey.specs, tuple(survey.labels), (*survey.labels, *survey.catalogue), z)


def require_agreement(parameters: Mapping[str, Any], *, study: str) -> None:
    """Refuse, all at once, parameters that do not fit each other or the two surveys of a study that has two."""
    if not all(isinstance(parameters.get(role), str) for role in ROLES):
        return
    outlines, problems = {}, []
    for role in ROLES:
        try:
            outlines[role] = Outline.of(parameters[role], directory=parameters.get("data_directory", ""))
        except AstrolabError as error:
            available = f"; there are {error.available}" if error.available else ""
            problems.append(f"{role}: {error.asked} {error.received}{available}. {error.remedy}")
    problems += dict.fromkeys(f"{name}: {text}" for name, text in _clashes(parameters, outlines))
    if problems:
        raise ParameterError(
            f"The parameters of {study!r} were held against its surveys.",
            received="".join(f"\n    - {problem}" for problem in problems),
            remedy="Change these parameters, all of them at once: -p NAME=VALUE, a preset, or the parameters cell.",
        )


def _clashes(given: Mapping[str, Any], outlines: Mapping[str, Outline]) -> Iterator[tuple[str, str]]:
    names = [outline.name for outline in outlines.values()]
    keeps = given.get("union_keeps")
    if keeps and len(names) == len(ROLES) and keeps not in names:
        neither = f"{keeps!r} is neither of {' and '.join(names)}"
        yield "union_keeps", f"{neither}; empty keeps the row of the fine-tuning survey"
    training = given.get("training", {})
    yield from _wrong_settings(given)
    for role, outline in outlines.items():
        specs, inputs = outline.specs, f"{', '.join(outline.specs)} of {outline.name}"
        yield from _clashes_of_model(given, outline=outline)
        has_image = any(len(spec.axes) == 3 for spec in specs.values())
        if given.get("scaling") == "asinh" and not has_image:
            yield "scaling", f"'asinh' is for images, not for {inputs}; 'auto' takes what fits"
        if training.get("augment") == "dihedral" and not has_image:
            yield "training", f"augment 'dihedral' is for images, not for {inputs}; 'auto' takes what fits"
        if "z_range" in given and outline.labels and "z" not in outline.labels:
            yield role, f"{outline.name} has no label z, the redshift of this study, but {', '.join(outline.labels)}"
        low, high = given.get("z_range") or (-1.0, float("inf"))
        if outline.z and (outline.z[1] <= low or outline.z[0] > high):
            span = f"{outline.z[0]:.3g} to {outline.z[1]:.3g}"
            yield "z_range", f"{outline.name} has redshifts from {span}, none within {low:g} to {high:g}; [] scores all"
        for label in given.get("labels", ()):
            if label not in outline.labels:
                yield "labels", f"{outline.name} has no label {label!r}; it has {', '.join(outline.labels) or 'none'}"
        for column in given.get("slice_by", ()):
            if outline.columns is not None and column not in outline.columns:
                there = ", ".join(outline.columns) or "none"
                yield "slice_by", f"{outline.name} has no column {column!r}; it has {there}"
        if outline.columns is not None and not outline.labels:
            yield role, f"{outline.name} has no [[label]]: there is nothing to learn"
    if len(outlines) == len(ROLES):
        old, new = outlines.values()
        for name in set(old.specs) & set(new.specs):
            channels = old.specs[name].channels, new.specs[name].channels
            if channels[0] != channels[1]:
                both = f"{', '.join(channels[0])} in {old.name}, {', '.join(channels[1])} in {new.name}"
                yield ROLES[1], f"the {name} have other channels: {both}; if they stand for each other, name them alike"


def _wrong_settings(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from astrolab.datasets.spectra import Bridge
    from astrolab.trainers.config import TrainConfig

    for name, settings in (("training", TrainConfig), ("bridge", Bridge)):
        try:
            settings(**given.get(name) or {})
        except AstrolabError as error:
            yield name, f"{error.received}. {error.remedy}"


def _clashes_of_model(given: Mapping[str, Any], *, outline: Outline) -> Iterator[tuple[str, str]]:
    from astrolab.models.registry import MODELS, choose_model, options_of

    if "model" not in given:
        return
    try:
        name = choose_model(given["model"], specs=outline.specs)
    except AstrolabError as error:
        yield "model", f"{error.received}; there are {error.available}. {error.remedy}"
        return
    if not MODELS[name].reads(outline.specs):
        readers = [one for one in MODELS if MODELS[one].reads(outline.specs)]
        yield "model", f"{name!r} cannot read the {', '.join(outline.specs)} of {outline.name}; {readers} can"
    for network, options in given.get("model_options", {}).items():
        if network not in MODELS or not isinstance(options, dict):
            example = {name: {options_of(name)[0]: ...}}
            yield "model_options", f"{network!r} is no network with its options; give them like {example}"
        elif wrong := [option for option in options if option not in options_of(network)]:
            yield "model_options", f"{network} has no option {wrong}; it has {', '.join(options_of(network))}"
