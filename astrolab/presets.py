"""Presets: settings of a study that ship with it, under one name each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from astrolab.errors import unknown_name
from astrolab.parameters import RUN_DIR, check_parameters, find_notebook, list_studies, read_declarations
from astrolab.shipped import shipped_folder

QUICK = "quick"  # the notebook as it stands
_MAY_DIFFER = (RUN_DIR, "seeds")


def load_preset(study: str, *, preset: str) -> dict[str, Any]:
    """Read a preset of a study, checked against its notebook.

    Parameters
    ----------
    study : str
    preset : str
        ``"smoke"``, ``"paper"``, … (``notebooks/presets/<study>.<preset>.yaml``), or the path of a YAML file.

    Returns
    -------
    dict

    Raises
    ------
    UnknownNameError
        If there is no such preset.
    ParameterError
        If the preset sets something that the notebook does not declare.
    """
    presets = list_presets(study)
    path = presets.get(preset, Path(preset))
    if not path.is_file():
        raise unknown_name("preset", name=preset, names=presets)
    return check_parameters(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, study=study)


def list_presets(study: str) -> dict[str, Path]:
    """Return the presets that ship with a study, by name.

    Parameters
    ----------
    study : str

    Returns
    -------
    dict of str to Path
    """
    files = sorted((shipped_folder("notebooks") / "presets").glob(f"{study}.*.yaml"))
    return {path.name.split(".")[1]: path for path in files}


def recognise_preset(study: str, *, parameters: Mapping[str, Any]) -> str:
    """Name the preset that a run was made with, from the parameters in its record.

    Parameters
    ----------
    study : str
    parameters : mapping

    Returns
    -------
    str
        The shipped preset with exactly these parameters, but for its training seeds; ``"quick"`` for the notebook's
        own, empty if there is none.
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
