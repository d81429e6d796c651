"""Presets: settings of a study that ship with it, under one name each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from astrolab.errors import ParameterError, unknown_name
from astrolab.parameters import RUN_DIR, check_parameters, find_notebook, list_studies, read_declarations
from astrolab.shipped import shipped_folder

QUICK = "quick"  # the notebook as it stands
_MAY_DIFFER = (RUN_DIR, "seeds")


class _Loader(yaml.SafeLoader):
    """YAML, but a key that stands twice is refused instead of overwritten."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for number, key in enumerate(keys) if key in keys[:number]]
        if twice:
            raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} stands there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(content: str | bytes, *, asked: str) -> Any:
    """Read a YAML value, or say in four parts what is wrong with it."""
    try:
        return yaml.load(content.decode("utf-8") if isinstance(content, bytes) else content, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that does not exist is a ValueError
        raise ParameterError(
            asked,
            received=" ".join(str(error).split()),
            available="YAML in UTF-8, indented by blanks, each name once",
            remedy="Mend the place that is named; quote what shall be text.",
        ) from error


def load_preset(study: str, *, preset: str) -> dict[str, Any]:
    """Read a preset of a study, checked against its notebook: ``"smoke"``, …, or the path of a YAML file."""
    presets = list_presets(study)
    path = presets.get(preset, Path(preset))
    if not path.is_file():
        raise unknown_name("preset", name=preset, names=presets)
    asked = f"The preset {path.name} of study {study!r} was read."
    content = read_yaml(path.read_bytes(), asked=asked)
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ParameterError(
            asked,
            received=f"{str(content)[:60]}, a {type(content).__name__}",
            available="names of parameters with their values",
            remedy="Write one line for each parameter, such as `epochs: 8`.",
        )
    return check_parameters(content, study=study)


def list_presets(study: str) -> dict[str, Path]:
    """Return the presets that ship with a study, by name."""
    files = sorted((shipped_folder("notebooks") / "presets").glob(f"{study}.*.yaml"))
    return {path.name.split(".")[1]: path for path in files}


def recognise_preset(study: str, *, parameters: Mapping[str, Any]) -> str:
    """Name the shipped preset with exactly these parameters, but for its training seeds; empty if there is none.

    ``"quick"`` are the notebook's own.
    """
    if study not in list_studies():
        return ""
    declared = read_declarations(find_notebook(study))
    defaults = {name: parameter.coerce(parameter.default) for name, parameter in declared.items()}
    given = {name: value for name, value in parameters.items() if name not in _MAY_DIFFER}
    for preset in (QUICK, *list_presets(study)):
        values = defaults | ({} if preset == QUICK else load_preset(study, preset=preset))
        if {name: value for name, value in values.items() if name not in _MAY_DIFFER} == given:
            return preset
    return ""
