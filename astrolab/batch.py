"""Running a study: its notebook through papermill, into a run folder with a report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astrolab.errors import RunError
from astrolab.files import write_atomically
from astrolab.parameters import RUN_DIR, check_parameters, find_notebook, read_declarations
from astrolab.presets import load_preset
from astrolab.report import write_report
from astrolab.runs import find_unfinished, new_run_folder, parameters_digest


def run_study(
    study: str,
    *,
    preset: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    directory: str | Path | None = None,
    progress: bool = True,
) -> Path:
    """Execute a study's notebook and write its report; a study that was cut off is taken up again.

    Parameters
    ----------
    study : str
        e.g. ``"lora_vs_transfer"``.
    preset : str, optional
        ``"smoke"``, ``"paper"``, … or the path of a YAML file. Without one, the notebook's own defaults.
    parameters : mapping, optional
        Single parameters; they win over the preset.
    directory : str or Path, optional
        The run folder; by default one under :func:`astrolab.runs.runs_dir`, named by time and digest.
    progress : bool
        Show the training bars on stderr.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    ParameterError
        If a parameter is unknown or mistyped. Nothing has been run then.
    RunError
        If a cell of the notebook fails; the notebook as far as it came is kept in the run folder.
    """
    given = load_preset(study, preset=preset) if preset else {}
    given |= check_parameters(parameters or {}, study=study)
    folder = Path(directory).resolve() if directory else _choose_folder(study, given)
    notebook = execute(study, parameters=given, folder=folder, progress=progress)
    write_report(notebook, path=folder / "report.html", title=f"{study} · {folder.name}")
    return folder


def _choose_folder(study: str, given: Mapping[str, Any]) -> Path:
    declared = read_declarations(find_notebook(study))
    parameters = {name: given.get(name, p.coerce(p.default)) for name, p in declared.items() if name != RUN_DIR}
    unfinished = find_unfinished(study, parameters=parameters)
    return unfinished or new_run_folder(study, digest=parameters_digest(study, parameters=parameters))


def execute(study: str, *, parameters: Mapping[str, Any], folder: Path, progress: bool = True) -> Path:
    """Execute a study's notebook with papermill.

    Parameters
    ----------
    study : str
    parameters : mapping
        Checked parameters.
    folder : Path
        The run folder.
    progress : bool

    Returns
    -------
    Path
        The executed notebook, ``notebook.ipynb`` in the run folder.

    Raises
    ------
    RunError
        If a cell fails.
    """
    import papermill

    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "notebook.partial.ipynb"
    try:
        papermill.execute_notebook(
            find_notebook(study),
            partial,
            parameters={**parameters, RUN_DIR: str(folder)},
            kernel_name="python3",
            progress_bar=False,
            store_widget_state=False,  # nobody will turn these widgets: their figures are in the outputs
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            stderr_file=sys.stderr if progress else None,
        )
    except papermill.PapermillExecutionError as error:
        raise RunError(
            f"Study {study!r} was run.",
            received=f"cell {error.cell_index}: {error.ename}: {error.evalue}",
            remedy=f"Read the notebook as far as it came, {partial}; run the same command again to go on from there.",
        ) from error
    _drop_progress_bars(partial)
    return partial.replace(folder / "notebook.ipynb")


def _drop_progress_bars(path: Path) -> None:
    """Take the training bars out of a notebook's outputs: they were for whoever waited at the terminal."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell["outputs"] = [output for output in cell["outputs"] if not _is_progress_bar(output)]
    with write_atomically(path) as part:
        nbformat.write(notebook, part)


def _is_progress_bar(output: Mapping[str, Any]) -> bool:
    is_stderr = output["output_type"] == "stream" and output["name"] == "stderr"
    return is_stderr and ("\r" in output["text"] or not output["text"].strip())
