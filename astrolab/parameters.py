"""Parameters of studies: a notebook's cell of them, its presets, and which values make sense.

papermill only warns about a parameter that the notebook does not have. Here an unknown or mistyped one is an error.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import tokenize
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from astrolab.errors import CorruptFileError, DataNotFoundError, ParameterError, unknown_name

RUN_DIR = "run_dir"
NOTEBOOK = "ASTROLAB_NOTEBOOK"  # to a kernel: the notebook that it executes
_PACKAGE = Path(__file__).resolve().parent
_READ = "_astrolab_parameters_read"  # a name in a notebook whose parameters were read before
_KIND = re.compile(r"(?:list|dict)|(list\[|dict\[str, )?(int|float|str|bool)(?(1)\])")
_LITERALS = (bool, int, float, str, list, tuple, dict, type(None))
_BY_RUN = (RUN_DIR, "seeds")  # what may differ between runs of one preset

Rule = tuple[Callable[[Any], bool], str]


def _from(smallest: int) -> Rule:
    return lambda value: value >= smallest, f"a whole number from {smallest}"


def _one_of(*choices: str) -> Rule:
    return lambda value: value in choices, " or ".join(map(repr, choices))


def _between(low: float, high: float) -> Rule:
    return lambda value: low < value < high, f"a number between {low:g} and {high:g}"


_SEVERAL: Rule = lambda values: 0 < len(values) == len(set(values)), "one or more, each once"
# Which values make sense, in the notebooks that ship with astrolab; a default always does.
RULES: Mapping[str, Rule] = {
    "seeds": (lambda values: _SEVERAL[0](values) and min(values) >= 0, "one or more different whole numbers from 0"),
    "direction": _one_of("forward", "reverse"),
    "on_leak": _one_of("drop", "stop"),
    "validation": _one_of("fixed", "as_published"),
    "z_range": (
        lambda ends: not ends or (len(ends) == 2 and ends[0] < ends[1]),
        "two numbers, the smaller first; or []",
    ),
    **dict.fromkeys(("arms", "adapters", "scales", "compared_metrics", "labels"), _SEVERAL),
    "folds": (lambda n: n == 0 or n > 1, "0, or a whole number from 2"),
    "ranks": (lambda ranks: all(rank >= 1 for rank in ranks), "whole numbers from 1"),
    **dict.fromkeys(("plateau_tolerance", "budget_tolerance", "level"), _between(0, 1)),
    "base_learning_rate": _between(0, float("inf")),
    **dict.fromkeys(("data_seed", "n_pretrain", "n_finetune", "n_test", "image_size", "epochs", "n_steps"), _from(0)),
    **dict.fromkeys(("budget_rank", "n_galaxies", "n_trials", "n_slices"), _from(1)),
    "n_scales": _from(2),
}


def shipped_folder(name: str) -> Path:
    """Return the folder that comes with astrolab, in a checkout or in a wheel: ``data_manifests`` or ``notebooks``."""
    candidates = (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name)
    for folder in candidates:
        if folder.is_dir():
            return folder
    asked = f"The folder {name!r} that comes with astrolab was asked for."
    available = ", ".join(str(folder) for folder in candidates)
    remedy = "Install astrolab again: python -m pip install --force-reinstall astrolab"
    raise DataNotFoundError(asked, received="no such folder in this installation", available=available, remedy=remedy)


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell, ``name: type = value  # help``, and what values of it make sense."""

    name: str
    kind: str
    default: Any
    help: str
    rule: Rule | None = None

    def coerce(self, value: Any) -> Any:
        """Return a value as this parameter's type (``1e-4`` is text to YAML 1.1), if it makes sense."""
        from pydantic import ValidationError

        from astrolab.settings import problems_of

        holds, sensible = self.rule or (lambda _: True, "")
        try:
            coerced = _type_of(self.kind).validate_python(value)
            received = "" if coerced == self.default or holds(coerced) else repr(value)
        except ValidationError as error:
            received = f"{value!r}: {'; '.join(problems_of(error))}"
            sensible = f"a {self.kind}, such as the default {self.default!r}"
        if received:
            asked, remedy = f"Parameter {self.name!r} was set ({self.help}).", f"Give {self.name} such a value."
            raise ParameterError(asked, received=received, available=sensible, remedy=remedy)
        return coerced


@cache
def _type_of(kind: str) -> Any:
    """What pydantic proves a value with: strictly, but a float may be a whole number or text, a list a tuple."""
    from typing import Annotated

    from pydantic import BeforeValidator, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter

    number = Annotated[StrictFloat, BeforeValidator(lambda value: _number(value) if isinstance(value, str) else value)]
    scalars = {"int": StrictInt, "float": number, "str": StrictStr, "bool": StrictBool, "list": list, "dict": dict}
    container, _, item = kind.rstrip("]").rpartition("[")
    item = scalars[item.removeprefix("str, ")]
    return TypeAdapter({"": item, "list": list[item], "dict": dict[str, item]}[container])


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def load_notebook(path: Path) -> dict:
    """Read a notebook file as plain JSON, and refuse one whose cells cannot be read."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        for cell in content["cells"]:
            cell["metadata"].get("tags", []), cell["cell_type"] + "".join(cell["source"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFileError(
            f"The notebook {path} was read.",
            received=f"{type(error).__name__}: {error}",
            available="a notebook of format 4, as JupyterLab writes it",
            remedy="Take the file from a copy, or save it again in JupyterLab.",
        ) from error
    return content


def study_name(notebook: Path) -> str:
    """Return what the study of a notebook is called: its file, without the number in front."""
    return re.sub(r"^\d\d_", "", notebook.stem)


def find_notebook(study: str | Path) -> Path:
    """Return the notebook of a study: a path, the one that is running, one that ships with astrolab, or one here."""
    study = str(study)
    if study.endswith(".ipynb"):
        candidates = {study: Path(study).absolute()}
    else:
        here = sorted(Path.cwd().glob("*.ipynb"))
        running = [Path(os.environ[name]) for name in (NOTEBOOK, "JPY_SESSION_NAME") if os.environ.get(name)]
        running = [path for path in running if path.suffix == ".ipynb"]
        candidates = {study_name(p): p for p in here} | list_studies() | {study_name(p): p for p in reversed(running)}
    if study in candidates and candidates[study].is_file():
        return candidates[study]
    known = unknown_name("study", name=study, names=list_studies())
    known.remedy += " Or give the path of a notebook that has a `parameters` cell."
    raise known


def list_studies() -> dict[str, Path]:
    """Return the notebook of every study that ships with astrolab; the welcome notebook, number 00, is none."""
    notebooks = sorted(shipped_folder("notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {study_name(path): path for path in notebooks if not path.stem.startswith("00_")}


def read_title(notebook: Path) -> str:
    """Return the title of a notebook, its question: the heading that it begins with, or nothing."""
    first = next(iter(load_notebook(notebook)["cells"]), {"source": ""})
    line = "".join(first["source"]).partition("\n")[0]
    return line.lstrip("# ").strip() if line.startswith("#") else ""


def read_declarations(notebook: Path) -> dict[str, Parameter]:
    """Read what a notebook's ``parameters`` cell declares, in its order: lines ``name: type = literal  # help``."""
    cells = [c for c in load_notebook(notebook)["cells"] if "parameters" in c["metadata"].get("tags", [])]
    if len(cells) != 1:
        asked = f"The parameters of {notebook.name} were asked for."
        received = f"{len(cells)} cells tagged 'parameters'"
        remedy = "Tag one cell 'parameters' (JupyterLab: property inspector, cell tags)."
        raise ParameterError(asked, received=received, available="exactly one such cell a notebook", remedy=remedy)
    source = "".join(cells[0]["source"])
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        lines = ast.parse(source).body
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise _no_declaration(str(error)) from error
    comments = {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}
    rules = RULES if notebook.name in {path.name for path in list_studies().values()} else {}
    return {p.name: p for p in (_declaration(node, comments=comments, rules=rules) for node in lines)}


def _declaration(node: ast.stmt, *, comments: Mapping[int, str], rules: Mapping[str, Rule]) -> Parameter:
    try:
        name, kind, default = node.target.id, ast.unparse(node.annotation), ast.literal_eval(node.value)
    except (AttributeError, TypeError, ValueError) as error:
        raise _no_declaration(f"line {node.lineno}: {ast.unparse(node)}") from error
    if not _KIND.fullmatch(kind):
        raise _no_declaration(f"line {node.lineno}: {ast.unparse(node)}")
    return Parameter(name, kind, default, comments.get(node.end_lineno or node.lineno, ""), rules.get(name))


def _no_declaration(received: str) -> ParameterError:
    return ParameterError(
        "A parameters cell was read.",
        received=received,
        available="lines of the form  name: type = literal  # help; types: int, float, str, bool, list, dict, "
        "list[str], dict[str, float], …",
        remedy="Rewrite the line in that form; anything else belongs into a later cell.",
    )


def default_parameters(notebook: Path) -> dict[str, Any]:
    """Return the parameters of a notebook as it is, without ``run_dir``."""
    declared = read_declarations(notebook)
    return {name: known.coerce(known.default) for name, known in declared.items() if name != RUN_DIR}


def check_parameters(given: Mapping[str, Any], *, study: str) -> dict[str, Any]:
    """Return parameters of a study in their declared types; ParameterError for a name or a value it cannot have."""
    declared = {name: known for name, known in read_declarations(find_notebook(study)).items() if name != RUN_DIR}
    remedy = " A run's folder is no parameter: directory=… or --directory sets it." if RUN_DIR in given else ""
    _require_known(given, declared=declared, study=study, remedy=remedy)
    return {name: declared[name].coerce(value) for name, value in given.items()}


def _require_known(names: Any, *, declared: Mapping[str, Parameter], study: str, remedy: str = "") -> None:
    for name in names:
        if name not in declared:
            near = unknown_name("parameter", name=name, names=declared)
            given, remedy = f"Study {study!r} was given a parameter.", near.remedy + remedy
            raise ParameterError(given, received=near.received, available=near.available, remedy=remedy)


def read_parameters(namespace: MutableMapping[str, Any], *, study: str) -> dict[str, Any]:
    """Collect the parameters of the notebook that is running, refusing names it does not declare.

    Parameters
    ----------
    namespace : mapping
        The notebook's ``globals()``, read right after its parameters cell and its import of astrolab: every plain value
        in it is taken for a parameter. A cell that is run again finds the notebook's own results there, and refuses
        none.
    study : str
        Name of the study, that of its notebook's file; or the path of the file, where it is in another folder.

    Returns
    -------
    dict
        Every declared parameter, in the declared types, without ``run_dir``.

    Raises
    ------
    ParameterError
        If a parameter was injected or edited that the notebook does not have, or has a value that it cannot have.
    UnknownNameError
        If the notebook of the study cannot be found.
    """
    declared = read_declarations(find_notebook(study))
    if _READ not in namespace:
        given = [name for name, value in namespace.items() if not name.startswith("_") and isinstance(value, _LITERALS)]
        given = [name for name in given if name not in ("In", "Out")]
        again = " Then restart the kernel; save the notebook first, where the parameter is a new one."
        _require_known(given, declared=declared, study=study, remedy=again)
    namespace[_READ] = True
    return {n: p.coerce(namespace.get(n, p.default)) for n, p in declared.items() if n != RUN_DIR}


def read_yaml(content: str | bytes, *, asked: str) -> Any:
    """Read a YAML value, or say in four parts what is wrong with it; a key that is there twice is."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = [key for number, key in enumerate(keys) if key in keys[:number]]
            if twice:
                raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} is there twice", problem_mark=node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(content.decode("utf-8") if isinstance(content, bytes) else content, Loader=Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that does not exist is a ValueError
        received = " ".join(str(error).split())
        available = "YAML in UTF-8, indented by blanks, each name once"
        remedy = "Mend the place that is named; quote what shall be text."
        raise ParameterError(asked, received=received, available=available, remedy=remedy) from error


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
        received = f"{str(content)[:60]}, a {type(content).__name__}"
        remedy = "Write one line for each parameter, such as `epochs: 8`."
        raise ParameterError(asked, received=received, available="names of parameters with their values", remedy=remedy)
    return check_parameters(content, study=study)


def list_presets(study: str) -> dict[str, Path]:
    """Return the presets of a study by name: ``presets/<study>.<preset>.yaml`` beside its notebook."""
    notebook = find_notebook(study)
    files = sorted((notebook.parent / "presets").glob(f"{study_name(notebook)}.*.yaml"))
    return {path.name.split(".")[1]: path for path in files}


def recognise_preset(study: str, *, parameters: Mapping[str, Any]) -> str:
    """Name the shipped preset of exactly these parameters but the seeds (``"quick"``: the notebook's own), or none."""
    preset, own = nearest_preset(study, parameters=parameters)
    return "" if own else preset


def nearest_preset(study: str, *, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name the shipped preset that is nearest to some parameters, and say which of these are other than its."""
    own = {}
    for preset, values in (_shipped_presets(study) or {"": {}}).items():
        names = sorted({*parameters, *values}.difference(_BY_RUN))
        own[preset] = {n: parameters.get(n) for n in names if parameters.get(n, ...) != values.get(n, ...)}
    return min(own.items(), key=lambda placed: len(placed[1]))


@cache
def _shipped_presets(study: str) -> dict[str, dict[str, Any]]:
    if study not in list_studies():
        return {}
    notebook = str(list_studies()[study])
    defaults = default_parameters(Path(notebook))
    presets = {name: defaults | load_preset(notebook, preset=name) for name in list_presets(notebook)}
    return {"quick": defaults} | presets
