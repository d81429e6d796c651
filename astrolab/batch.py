"""Running a study: its notebook through papermill, into a run folder with a report."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from astrolab.errors import RunError
from astrolab.files import write_atomically
from astrolab.parameters import RUN_DIR, check_parameters, find_notebook, read_declarations
from astrolab.presets import load_preset
from astrolab.report import write_report
from astrolab.runs import find_unfinished, new_run_folder, parameters_digest
from astrolab.runs.folder import REPORT_FOLLOWS, complete_run
from astrolab.runs.records import make_run_folder

# A state of a bar, which whatever is written next follows on the same line; a line of fits where there is no terminal.
_PROGRESS = re.compile(r"\r[^\r\n]*\| *\d+/\d+ \[[^\]\n]*\]|^[^\n]*: epoch \d+ of \d+, [^\n]*s/epoch\n", re.MULTILINE)


def run_study(
    study: str,
    *,
    preset: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    directory: str | Path | None = None,
    progress: bool = True,
) -> Path:
    """Execute a study's notebook and write its report; a study that was cut off is taken up again.

    A run is finished when its report is written. It is executed by the interpreter that calls this, and shows the same
    whatever the environment variables of the shell.

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
        If the run folder cannot be written into, a cell of the notebook fails, or its process is killed; the notebook
        as far as it came is kept in the run folder.
    """
    given = load_preset(study, preset=preset) if preset else {}
    given |= check_parameters(parameters or {}, study=study)
    folder = Path(directory).resolve() if directory else _choose_folder(study, given)
    notebook = execute(study, parameters=given, folder=folder, progress=progress)
    write_report(notebook, path=folder / "report.html", title=f"{study} · {folder.name}")
    complete_run(folder)
    return folder


def _choose_folder(study: str, given: Mapping[str, Any]) -> Path:
    declared = read_declarations(find_notebook(study))
    parameters = {name: given.get(name, p.coerce(p.default)) for name, p in declared.items() if name != RUN_DIR}
    unfinished = find_unfinished(study, parameters=parameters)
    return unfinished or new_run_folder(study, digest=parameters_digest(study, parameters=parameters))


def execute(study: str, *, parameters: Mapping[str, Any], folder: Path, progress: bool = True) -> Path:
    """Execute a study's notebook with papermill, and return it: ``notebook.ipynb`` in the run folder."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    from astrolab.kernel import make_kernel_class

    make_run_folder(folder)
    partial = folder / "notebook.partial.ipynb"
    again = f"Read the notebook as far as it came, {partial}; run the same command again to go on from there."
    has_bar = progress and sys.stderr.isatty()  # the kernel's own stderr is a pipe
    variables = {REPORT_FOLLOWS: str(folder), "ASTROLAB_PROGRESS": "bar" if has_bar else "lines"}
    try:
        with TemporaryDirectory() as own:
            papermill.execute_notebook(
                find_notebook(study),
                partial,
                parameters={**parameters, RUN_DIR: str(folder)},
                kernel_name="python3",
                kernel_manager_class=make_kernel_class(Path(own), variables=variables),
                progress_bar=False,
                store_widget_state=False,  # nobody will turn these widgets: their figures are in the outputs
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
                stderr_file=sys.stderr if progress else None,
            )
    except papermill.PapermillExecutionError as error:
        raise RunError(
            f"Study {study!r} was run.",
            received=f"cell {error.cell_index}: {error.ename}: {error.evalue}",
            remedy=again,
        ) from error
    except DeadKernelError as error:
        raise RunError(
            f"Study {study!r} was run.",
            received="a process that ended in the middle of a cell: the memory ran out, or it was killed",
            remedy=f"Free memory, or ask for fewer galaxies at once. {again}",
        ) from error
    _drop_progress(partial)
    return partial.replace(folder / "notebook.ipynb")


def _drop_progress(path: Path) -> None:
    """Take the progress of training out of a notebook's outputs: it was for whoever waited at the terminal."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream" and output["name"] == "stderr":
                output["text"] = _PROGRESS.sub("", output["text"]).strip("\r\n")
        if cell.cell_type == "code":
            cell["outputs"] = [output for output in cell["outputs"] if output.get("text", "kept").strip()]
    with write_atomically(path) as part:
        nbformat.write(notebook, part)
