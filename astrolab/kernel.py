"""The kernel that executes a study: the interpreter that was started, in surroundings that are the same everywhere."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets import default

# What would change what a run shows or how it computes; where modules and libraries are found stays.
_OF_THE_SHELL = re.compile(
    r"MPLBACKEND|MATPLOTLIBRC|COLUMNS|LINES|NO_COLOR|FORCE_COLOR|CLICOLOR.*|LANG|LANGUAGE|LC_.*|JUPYTER.*|IPYTHON.*"
    r"|TQDM_.*|PYTHON(?!PATH$|HOME$|NOUSERSITE$|USERBASE$|PYCACHEPREFIX$|DONTWRITEBYTECODE$).*"
)


def kernel_environment(directory: Path) -> dict[str, str]:
    """Return the environment variables of a kernel; the directory is where IPython looks instead of at home."""
    kept = {name: value for name, value in os.environ.items() if not _OF_THE_SHELL.fullmatch(name)}
    return kept | {
        "LC_ALL": "C.UTF-8",
        "PYTHONUTF8": "1",
        "MATPLOTLIBRC": str(Path(matplotlib.get_data_path(), "matplotlibrc")),
        "IPYTHONDIR": str(directory),
        "JUPYTER_CONFIG_DIR": str(directory),
    }


def make_kernel_class(directory: Path, *, variables: dict[str, str]) -> type[AsyncKernelManager]:
    """Return what papermill starts its kernel with, whatever kernels are installed; its files lie in the directory."""

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
            await super().start_kernel(env=kernel_environment(directory) | variables, **options)

    return Kernel
