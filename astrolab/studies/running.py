"""Running a study: its notebook through papermill, into a run folder with a report.

The kernel is the interpreter that was started, in surroundings that are the same everywhere; the report is the executed
notebook as one HTML file that needs no network and no server.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from astrolab.errors import RunError
from astrolab.files import write_atomically
from astrolab.parameters import (
    NOTEBOOK,
    RUN_DIR,
    check_parameters,
    default_parameters,
    find_notebook,
    load_preset,
    read_declarations,
    study_name,
)
from astrolab.runs.clashes import require_agreement
from astrolab.runs.record import find_unfinished, make_run_folder, new_run_folder, parameters_digest
from astrolab.runs.run import REPORT_FOLLOWS, complete_run
from astrolab.studies.report import write_report

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

# A state of a bar, which whatever is written next follows on the same line; a line of fits where there is no terminal.
_PROGRESS = re.compile(r"\r[^\r\n]*\| *\d+/\d+ \[[^\]\n]*\]|^[^\n]*: epoch \d+ of \d+, [^\n]*s/epoch\n", re.MULTILINE)
# What would change what a run shows or how it computes; where modules and libraries are found stays.
_OF_THE_SHELL = re.compile(
    r"MPLBACKEND|MATPLOTLIBRC|COLUMNS|LINES|NO_COLOR|FORCE_COLOR|CLICOLOR.*|LANG|LANGUAGE|LC_.*|JUPYTER.*|IPYTHON.*"
    r"|JPY_SESSION_NAME|TQDM_.*"
    r"|PYTHON(?!PATH$|HOME$|NOUSERSITE$|USERBASE$|PYCACHEPREFIX$|DONTWRITEBYTECODE$).*"
)


def run_study(
    study: str | Path,
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
    study : str or Path
        e.g. ``"lora_vs_transfer"``; or any notebook with a ``parameters`` cell, by its path.
    preset : str, optional
        ``"smoke"``, ``"paper"``, … or the path of a YAML file. Without one, the notebook's own defaults.
    parameters : mapping, optional
        Single parameters; they win over the preset.
    directory : str or Path, optional
        The run folder, which is returned; by default one under ``$ASTROLAB_RUNS_DIR``, or ``runs``.
    progress : bool
        Show the training bars on stderr.

    Raises
    ------
    UnknownNameError
        If there is no such study or preset.
    ParameterError
        If a parameter is unknown or mistyped, or does not fit the surveys. Nothing has been run then.
    RunError
        If the run folder cannot be written into, a cell of the notebook fails, or its process is killed; the notebook
        as far as it came is kept in the run folder.
    """
    notebook = find_notebook(study)
    given = load_preset(str(notebook), preset=preset) if preset else {}
    given |= check_parameters(parameters or {}, study=str(notebook))
    name, parameters = study_name(notebook), default_parameters(notebook) | given
    parameters.pop(RUN_DIR, None)
    require_agreement(parameters, study=name)
    digest = parameters_digest(name, parameters=parameters)
    folder = Path(directory).resolve() if directory else find_unfinished(name, digest=digest)
    folder = folder or new_run_folder(name, digest=digest)
    executed = execute(notebook, parameters=given, folder=folder, progress=progress)
    write_report(executed, path=folder / "report.html", title=f"{name} · {folder.name}")
    if (folder / "run.json").is_file():  # a notebook that opens no run leaves its report alone
        complete_run(folder)
    return folder


def execute(notebook: Path, *, parameters: Mapping[str, Any], folder: Path, progress: bool = True) -> Path:
    """Execute a notebook with papermill, and return it: ``notebook.ipynb`` in the run folder."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    make_run_folder(folder)
    partial = folder / "notebook.partial.ipynb"
    asked = f"Study {study_name(notebook)!r} was run."
    again = f"Read the notebook as far as it came, {partial}; run the same command again to go on from there."
    own_folder = {RUN_DIR: str(folder)} if RUN_DIR in read_declarations(notebook) else {}
    has_bar = progress and sys.stderr.isatty()  # the kernel's own stderr is a pipe
    variables = {REPORT_FOLLOWS: str(folder), NOTEBOOK: str(notebook)}
    variables["ASTROLAB_PROGRESS"] = "bar" if has_bar else "lines"
    try:
        with TemporaryDirectory() as own:
            papermill.execute_notebook(
                notebook,
                partial,
                parameters={**parameters, **own_folder},
                kernel_name="python3",
                kernel_manager_class=_make_kernel_class(Path(own), variables=variables),
                progress_bar=False,
                store_widget_state=False,  # the report has no kernel: figures of widgets are in the outputs
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
                stderr_file=sys.stderr if progress else None,
            )
    except papermill.PapermillExecutionError as error:
        received = f"cell {error.cell_index}: {error.ename}: {error.evalue}"
        raise RunError(asked, received=received, remedy=again) from error
    except DeadKernelError as error:
        received = "a process that ended in the middle of a cell: the memory ran out, or it was killed"
        remedy = f"Free memory, or ask for fewer objects at once. {again}"
        raise RunError(asked, received=received, remedy=remedy) from error
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


def _kernel_environment(directory: Path) -> dict[str, str]:
    """The directory is where IPython looks instead of at home."""
    import matplotlib

    kept = {name: value for name, value in os.environ.items() if not _OF_THE_SHELL.fullmatch(name)}
    return kept | {
        "LC_ALL": "C.UTF-8",
        "PYTHONUTF8": "1",
        "MATPLOTLIBRC": str(Path(matplotlib.get_data_path(), "matplotlibrc")),
        "IPYTHONDIR": str(directory),
        "JUPYTER_CONFIG_DIR": str(directory),
    }


def _make_kernel_class(directory: Path, *, variables: dict[str, str]) -> type[AsyncKernelManager]:
    """What papermill starts its kernel with, whatever kernels are installed; its files lie in the directory."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    class Kernel(AsyncKernelManager):
        kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
        )

        @default("connection_file")
        def _connection_file(self) -> str:
            return str(directory / "kernel.json")

        async def start_kernel(self, **options: Any) -> None:
            await super().start_kernel(env=_kernel_environment(directory) | variables, **options)

    return Kernel
