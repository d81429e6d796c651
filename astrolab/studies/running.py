"""Running a study: its notebook through papermill, into a run folder with a report.

The kernel is the interpreter that was started, in surroundings that are the same everywhere; the report is the executed
notebook as one HTML file that needs no network and no server.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from astrolab import errors
from astrolab.errors import AstrolabError, CorruptFileError, DataNotFoundError, DiskFullError, DownloadError, RunError
from astrolab.files import write_atomically
from astrolab.parameters import (
    NOTEBOOK,
    RUN_DIR,
    check_parameters,
    default_parameters,
    find_notebook,
    list_studies,
    load_notebook,
    load_preset,
    read_declarations,
    study_name,
)
from astrolab.progress import COLUMNS, terminal_width
from astrolab.runs import find_unfinished, new_run_folder, parameters_digest
from astrolab.runs.record import RECORD, make_run_folder, newest_records, read_record
from astrolab.runs.run import REPORT_FOLLOWS, complete_run, end_run, hold_folder
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
_PASSING = (RunError, CorruptFileError, DataNotFoundError, DiskFullError, DownloadError)  # errors not of what was asked


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
        If the run folder cannot be written into, another process is at work in it, a cell of the notebook fails, or its
        process is killed; the notebook as far as it came is kept in the run folder.
    """
    return plan_study(study, preset=preset, parameters=parameters, directory=directory).run(progress=progress)


@dataclass(frozen=True)
class StudyPlan:
    """A study with checked parameters (`given`: those that were set), and the folder of its run."""

    name: str
    preset: str
    notebook: Path
    given: dict[str, Any]
    parameters: dict[str, Any]
    folder: Path

    @property
    def header(self) -> str:
        """What begins, in one line, with the time that the newest finished run with such parameters took."""
        wanted, goes_on = _but_seeds(self.parameters), (self.folder / RECORD).is_file()
        records = (record for _, record in newest_records(self.name) if record["status"] == "finished")
        times = (record["time_s"] / 60 for record in records if _but_seeds(record["parameters"]) == wanted)
        took = [f"took {max(minutes, 1):.0f} min before" for minutes in islice(times, 1)]
        folder = min(str(self.folder), os.path.relpath(self.folder), key=len)
        return " · ".join([self.name, self.preset, *took, "goes on in " * goes_on + folder])

    def _require_agreement(self) -> None:
        from astrolab.runs.clashes import require_agreement  # slow to import: whoever waits has read the header by then

        is_ours = self.notebook in list_studies().values()  # another may register networks of its own
        hidden = () if is_ours else ("model", "model_options")
        require_agreement({k: v for k, v in self.parameters.items() if k not in hidden}, study=self.name)

    def describe(self) -> Iterator[str]:
        """Say line by line what would be trained, on which surveys."""
        from astrolab.datasets.manifest import load_manifest

        self._require_agreement()
        given, defaults = self.parameters, default_parameters(self.notebook)
        for name, value in given.items():
            if value != defaults[name]:
                yield f"{name:<18} {value!r} instead of {defaults[name]!r}"
            if name.endswith("_survey"):
                manifest, n = load_manifest(value), given.get(f"n_{name.removesuffix('_survey')}")
                how = ", simulated unless here already" * manifest.simulated
                yield f"{name:<18} {manifest.name}, {f'{n:,}' if n else 'all'} {manifest.objects}{how}"
        lists = {name: len(given[name]) for name in ("arms", "fractions", "seeds") if name in given}
        if "arms" in lists:
            product = " × ".join(f"{n} {name}" for name, n in lists.items())
            yield f"{'fits':<18} {prod(lists.values())} at most: {product}; and the base models"

    def run(self, *, progress: bool = True) -> Path:
        """Execute the notebook and write its report."""
        self._require_agreement()
        try:
            executed = execute(self.notebook, parameters=self.given, folder=self.folder, progress=progress)
            write_report(executed, path=self.folder / "report.html", title=f"{self.name} · {self.folder.name}")
        except KeyboardInterrupt:
            end_run(self.folder, status="interrupted")
            raise
        if (self.folder / RECORD).is_file():  # a notebook that opens no run leaves its report alone
            complete_run(self.folder)
        return self.folder


def plan_study(
    study: str | Path, *, preset: str | None, parameters: Mapping[str, Any] | None, directory: str | Path | None
) -> StudyPlan:
    """Check what a study is asked for, and choose its folder: that of a run which was cut off, or a new one."""
    notebook = find_notebook(study)
    given = load_preset(str(notebook), preset=preset) if preset else {}
    given |= check_parameters(parameters or {}, study=str(notebook))
    name, whole = study_name(notebook), default_parameters(notebook) | given
    digest = parameters_digest(name, parameters=whole)
    folder = Path(directory).resolve() if directory else find_unfinished(name, digest=digest)
    what = " + ".join([preset or "quick", *(parameters or {})])
    return StudyPlan(name, what, notebook, given, whole, folder or new_run_folder(name, digest=digest))


def _but_seeds(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {**parameters, "seeds": len(parameters.get("seeds", ()))}


def execute(notebook: Path, *, parameters: Mapping[str, Any], folder: Path, progress: bool = True) -> Path:
    """Execute a notebook with papermill, and return it: ``notebook.ipynb`` in the run folder."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    make_run_folder(folder)
    hold_folder(folder).release()
    partial = folder / "notebook.partial.ipynb"
    asked = f"Study {study_name(notebook)!r} was run."
    read = f"Read the notebook as far as it came, {partial}."
    own_folder = {RUN_DIR: str(folder)} if RUN_DIR in read_declarations(notebook) else {}
    width = terminal_width() if progress else 0  # the kernel's own stderr is a pipe
    variables = {REPORT_FOLLOWS: str(folder), NOTEBOOK: str(notebook), COLUMNS: str(width)}
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
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
                stderr_file=sys.stderr if progress else None,
                on_cell_start=_make_announcer() if progress else None,
            )
    except papermill.PapermillExecutionError as error:
        end_run(folder, status=f"failed ({failure_of(partial)})")
        received = f"cell {error.cell_index}: {error.ename}: {error.evalue}".replace("\n", "\n    ")
        raise RunError(asked, received=received, remedy=f"{read}{how_to_go_on(folder)}") from error
    except DeadKernelError as error:
        received = "a process that ended in the middle of a cell: the memory ran out, or it was killed"
        remedy = f"Free memory, or ask for fewer objects at once. {read}{how_to_go_on(folder)}"
        raise RunError(asked, received=received, remedy=remedy) from error
    _drop_progress(partial)
    return partial.replace(folder / "notebook.ipynb")


def _make_announcer() -> Callable[..., None]:
    """Say each stage of a notebook on stderr as it begins: the heading above its code, and the time so far."""
    begun, headings = time.monotonic(), []

    def announce(cell: Mapping[str, Any], cell_index: int) -> None:
        if cell["cell_type"] == "markdown":
            headings[:] = re.findall(r"^##+ +(.+)$", cell["source"], re.MULTILINE)[-1:] or headings
        elif headings:
            minutes, seconds = divmod(int(time.monotonic() - begun), 60)
            sys.stderr.write(shorten(f"{minutes}:{seconds:02} {headings.pop()}", width=79, placeholder=" …") + "\n")

    return announce


def failure_of(notebook: Path) -> str:
    """Say in one line which error ended a notebook, if one did; of one in four parts, what was received too."""
    outputs = [output for cell in load_notebook(notebook)["cells"] for output in cell.get("outputs", [])]
    name, message = next(((o["ename"], o["evalue"]) for o in outputs if o["output_type"] == "error"), ("", ""))
    lines = [" ".join(line.split()) for line in message.splitlines()]
    received = [line.partition(": ")[2] for line in lines[1:2] if line.startswith("received")]
    return ": ".join(text.rstrip(".") for text in (name, *lines[:1], *received) if text)


def how_to_go_on(folder: Path) -> str:
    """Say that the same command goes on with a run, where it does: not where its parameters or its data are refused."""
    record = read_record(folder)
    kind = getattr(errors, re.sub(r"failed \((\w+).*", r"\1", record["status"]), None) if record else AstrolabError
    goes_on = kind is None or issubclass(kind, _PASSING)
    return " The same command goes on where it stopped." if goes_on else ""


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
