"""The parameters cell of a notebook: names, types, defaults and help, read once and checked everywhere.

papermill only warns about a parameter that the notebook does not have, and then runs the study with the default.
Here an unknown or mistyped parameter is an error, by whichever road it came: the command line, a preset file,
plain papermill, or a hand edit in JupyterLab.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrolab.errors import CorruptFileError, ParameterError, unknown_name
from astrolab.parameter_rules import require_sensible
from astrolab.shipped import shipped_folder

RUN_DIR = "run_dir"
_KINDS: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
_SCALAR = "(int|float|str|bool)"
_KIND = re.compile(rf"{_SCALAR}|list|dict|list\[{_SCALAR}\]|dict\[str, {_SCALAR}\]")


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell, ``name: type = value  # help``."""

    name: str
    kind: str
    default: Any
    help: str

    def coerce(self, value: Any) -> Any:
        """Return a value as this parameter's type (``1e-4`` is text to YAML 1.1), if it makes sense under this name."""
        coerced = self._typed(value)
        if coerced != self.default:
            require_sensible(self.name, value=coerced, words=self.help)
        return coerced

    def _typed(self, value: Any) -> Any:
        container, _, item = self.kind.partition("[")
        if container == "list":
            if not isinstance(value, (list, tuple)):
                raise self._mistyped(value)
            return [self._scalar(entry, item.rstrip("]") or None) for entry in value]
        if container == "dict" and item and isinstance(value, dict):
            kind = item.rstrip("]").split(", ")[1]
            return {key: self._scalar(entry, kind) for key, entry in value.items()}
        return self._scalar(value, container)

    def _scalar(self, value: Any, kind: str | None) -> Any:
        if kind == "float" and not isinstance(value, bool):
            try:
                return float(value)
            except (TypeError, ValueError):
                raise self._mistyped(value) from None
        wanted = _KINDS[kind] if kind else object
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise self._mistyped(value)
        return value

    def _mistyped(self, value: Any) -> ParameterError:
        return ParameterError(
            f"Parameter {self.name!r} was set ({self.help}).",
            received=f"{value!r}, a {type(value).__name__}",
            available=f"a {self.kind}, such as the default {self.default!r}",
            remedy=f"Give {self.name} a value of type {self.kind}.",
        )


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


def find_notebook(study: str) -> Path:
    """Return the shipped notebook of a study, by its name without the number."""
    notebooks = list_studies()
    if study not in notebooks:
        raise unknown_name("study", name=study, names=notebooks)
    return notebooks[study]


def list_studies() -> dict[str, Path]:
    """Return the notebook of every study that ships with astrolab; the welcome notebook, number 00, is none."""
    notebooks = sorted(shipped_folder("notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {path.stem[3:]: path for path in notebooks if not path.stem.startswith("00_")}


def read_title(notebook: Path) -> str:
    """Return the title of a notebook, its question: the heading that it begins with, or nothing."""
    first = next(iter(load_notebook(notebook)["cells"]), {"source": ""})
    line = "".join(first["source"]).partition("\n")[0]
    return line.lstrip("# ").strip() if line.startswith("#") else ""


def read_declarations(notebook: Path) -> dict[str, Parameter]:
    """Read what a notebook's ``parameters`` cell declares, in its order.

    ParameterError if it has no such cell, or a line of it is not ``name: type = literal  # help``.
    """
    cells = [c for c in load_notebook(notebook)["cells"] if "parameters" in c["metadata"].get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(
            f"The parameters of {notebook.name} were asked for.",
            received=f"{len(cells)} cells tagged 'parameters'",
            available="exactly one such cell a notebook",
            remedy="Tag one cell 'parameters' (JupyterLab: property inspector, cell tags).",
        )
    source = "".join(cells[0]["source"])
    try:
        lines, comments = ast.parse(source).body, _comments(source)
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise _no_declaration(str(error)) from error
    return {p.name: p for p in (_declaration(node, comments) for node in lines)}


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def _declaration(node: ast.stmt, comments: dict[int, str]) -> Parameter:
    try:
        name, kind, default = node.target.id, ast.unparse(node.annotation), ast.literal_eval(node.value)
    except (AttributeError, TypeError, ValueError) as error:
        raise _no_declaration(f"line {node.lineno}: {ast.unparse(node)}") from error
    if not _KIND.fullmatch(kind):
        raise _no_declaration(f"line {node.lineno}: {ast.unparse(node)}")
    return Parameter(name=name, kind=kind, default=default, help=comments.get(node.end_lineno or node.lineno, ""))


def _no_declaration(received: str) -> ParameterError:
    return ParameterError(
        "A parameters cell was read.",
        received=received,
        available=f"lines of the form  name: type = literal  # help; types: {', '.join(_KINDS)}, list[str], …",
        remedy="Rewrite the line in that form; anything else belongs into a later cell.",
    )


def check_parameters(given: Mapping[str, Any], *, study: str) -> dict[str, Any]:
    """Return parameters of a study in their declared types; ParameterError for a name or a value it cannot have."""
    declared = read_declarations(find_notebook(study))
    for name in given:
        if name not in declared:
            raise _unknown_parameter(name, declared, study)
    return {name: declared[name].coerce(value) for name, value in given.items()}


def _unknown_parameter(name: str, declared: Mapping[str, Parameter], study: str) -> ParameterError:
    nearest = unknown_name("parameter", name=name, names=declared)
    return ParameterError(
        f"Study {study!r} was given a parameter.",
        received=repr(name),
        available=nearest.available,
        remedy=nearest.remedy,
    )


def read_parameters(namespace: Mapping[str, Any], *, study: str) -> dict[str, Any]:
    """Collect the parameters of the notebook that is running, refusing names it does not declare.

    Parameters
    ----------
    namespace : mapping
        The notebook's ``globals()``, read right after its parameters cell and its import of astrolab.
    study : str

    Returns
    -------
    dict
        Every declared parameter, in the declared types, without ``run_dir``.

    Raises
    ------
    ParameterError
        If a parameter was injected or edited under a name that the notebook does not have.
    """
    declared = read_declarations(find_notebook(study))
    strangers = [name for name in _names_given(namespace) if name not in declared]
    if strangers:
        raise _unknown_parameter(strangers[0], declared, study)
    return {n: p.coerce(namespace.get(n, p.default)) for n, p in declared.items() if n != RUN_DIR}


def _names_given(namespace: Mapping[str, Any]) -> list[str]:
    """Names that the parameters cell, as it was last run, and papermill's cell after it have set.

    Where there is no record of cells, as in a script, that is everything defined so far: but in a kernel, a notebook
    that is run again would find its own results there.
    """
    if "In" not in namespace:
        return [name for name, value in namespace.items() if _is_set_by_user(name, value)]
    cells = [(source, _assigned(source)) for source in namespace["In"]]
    declaring = [number for number, (_, names) in enumerate(cells) if names.get(RUN_DIR) == "declared"]
    last = cells[declaring[-1] :] if declaring else []
    return [name for source, names in last if _is_parameters(source, names) for name in names]


def _assigned(source: str) -> dict[str, str]:
    """Names that a cell assigns to at its top level, ``"declared"`` with a type or ``"set"`` without."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a magic, or a cell that failed
        return {}
    annotated = (node.target for node in statements if isinstance(node, ast.AnnAssign))
    declared = {target.id: "declared" for target in annotated if isinstance(target, ast.Name)}
    targets = (target for node in statements if isinstance(node, ast.Assign) for target in node.targets)
    return declared | {target.id: "set" for target in targets if isinstance(target, ast.Name)}


def _is_parameters(source: str, names: Mapping[str, str]) -> bool:
    return names.get(RUN_DIR) == "declared" or source.startswith("# Parameters")


def _is_set_by_user(name: str, value: Any) -> bool:
    """Tell a variable from what Python and imports put beside it."""
    return not (
        name.startswith("_") or name == "annotations" or isinstance(value, (types.ModuleType, types.FunctionType))
    )
