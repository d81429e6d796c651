"""Chromium and JupyterLab, for the tests that watch astrolab in a real browser.

Without a browser or Playwright these tests are skipped, and say why; with ``ASTROLAB_REQUIRE_BROWSER=1`` they fail.
Screenshots go to ``$ASTROLAB_ARTEFACTS``, or to ``artefacts`` beside this file.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

import nbformat
import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
START_S, ANSWER_S = 300, 120  # generous: machines are slow at times
CHECKOUT = Path(__file__).parents[2]


def do_without(reason: str) -> None:
    """Skip, unless the browser tests must run."""
    if os.environ.get("ASTROLAB_REQUIRE_BROWSER") == "1":
        pytest.fail(f"ASTROLAB_REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser: ``$ASTROLAB_CHROMIUM``, or the first of the usual names."""
    named = os.environ.get("ASTROLAB_CHROMIUM")
    found = next(filter(None, map(shutil.which, [named] if named else CHROMIUM)), None)
    if found is None:
        do_without(f"no browser was found ({named or ', '.join(CHROMIUM)}); install one or set ASTROLAB_CHROMIUM")
    return found


@pytest.fixture(scope="module")
def browser(chromium):
    """A browser for one module: Playwright's event loop must not outlive it, or papermill finds it running."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        do_without("Playwright is not installed: pip install 'astrolab[browser]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots are kept."""
    folder = Path(os.environ.get("ASTROLAB_ARTEFACTS") or Path(__file__).with_name("artefacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_page(browser):
    """Open a page of a given size; its console errors and uncaught exceptions are kept in ``page.errors``."""
    contexts = []

    def open_(width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.errors = []
        page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: page.errors.append(f"not loaded: {request.url}"))
        return page

    yield open_
    for context in contexts:
        context.close()


@dataclass
class Lab:
    """A JupyterLab that serves copies of the notebooks."""

    folder: Path
    address: str
    token: str
    opened: list[str] = field(default_factory=list)

    def open(self, page, name: str) -> "LabNotebook":
        """Open a notebook in a page, alone in its workspace."""
        self.opened.append(name)
        workspace = f"lab/workspaces/test{len(self.opened)}"
        page.goto(f"{self.address}/{workspace}/tree/lab/{name}?token={self.token}", timeout=1000 * ANSWER_S)
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=1000 * ANSWER_S)
        notebook = LabNotebook(page, self.folder / name)
        notebook.wait_for_kernel()
        return notebook


@dataclass
class LabNotebook:
    """A notebook that is open in JupyterLab."""

    page: object
    path: Path

    def cell(self, text: str):
        """The first code cell with some text in it."""
        return self.page.locator(".jp-CodeCell", has_text=text).first

    def status(self) -> str:
        """What the status bar says of the kernel: ``"Idle"``, ``"Busy"``, ``"Connecting"``, …"""
        said = re.search(r"\| (\w+)", self.page.locator("#jp-main-statusbar").inner_text())
        return said[1] if said else ""

    def wait_for_kernel(self) -> None:
        """Wait until the kernel answers."""
        deadline = time.monotonic() + ANSWER_S
        while (status := self.status()) != "Idle" and time.monotonic() < deadline:
            self.page.wait_for_timeout(300)
        assert status == "Idle", f"the kernel is {status!r}"

    def run_all(self) -> None:
        """Run → Run All Cells."""
        self.page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()

    def wait_until_run(self, *, timeout_s: float, meanwhile=lambda: None) -> None:
        """Wait until no cell is running or waiting, or one has failed."""
        deadline = time.monotonic() + timeout_s
        waiting = self.page.locator(".jp-InputPrompt", has_text="[*]")
        n_quiet = 0
        while n_quiet < 3 and time.monotonic() < deadline:
            self.page.wait_for_timeout(400)
            meanwhile()
            n_quiet = 0 if waiting.count() or self.status() != "Idle" else n_quiet + 1
        assert n_quiet == 3, f"still {self.status()} after {timeout_s} s"

    def save(self) -> nbformat.NotebookNode:
        """File → Save Notebook; what then stands in the file."""
        before = self.path.stat().st_mtime_ns
        self.page.locator(".lm-MenuBar-item", has_text=re.compile("^File$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Save Notebook$")).click()
        deadline = time.monotonic() + ANSWER_S
        while self.path.stat().st_mtime_ns == before and time.monotonic() < deadline:
            self.page.wait_for_timeout(200)
        self.page.wait_for_timeout(500)
        return nbformat.read(self.path, as_version=4)


@pytest.fixture(scope="module")
def lab(chromium, tmp_path_factory):
    """`make lab` on a free port, in a copy of the checkout and with nobody else's settings."""
    root = tmp_path_factory.mktemp("lab")
    checkout = root / "checkout"
    for folder in ("notebooks", "docs", "data_manifests", ".jupyter"):
        ignored = shutil.ignore_patterns("runs", ".ipynb_checkpoints")
        shutil.copytree(CHECKOUT / folder, checkout / folder, ignore=ignored)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(CHECKOUT / name, checkout)
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (checkout / ".venv" / ".installed").touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    options = ["--no-browser", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    options = " ".join([*options, f"--IdentityProvider.token={token}"])
    command = ["make", "--directory", str(checkout), "lab", "PYTHON=false", f"LAB={options}"]  # nothing is installed
    with (root / "lab.log").open("w") as log:
        server = subprocess.Popen(
            command, env=_environment(root), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}", server=server, log=root / "lab.log")
        yield Lab(checkout / "lab", f"http://127.0.0.1:{port}", token)
    finally:
        _stop(server)


def _environment(root: Path) -> dict[str, str]:
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    places |= {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    inherited = {name: value for name, value in os.environ.items() if name != "ASTROLAB_RUNS_DIR"}
    own = {name: str(root / folder) for name, folder in places.items()}
    return {"OMP_WAIT_POLICY": "PASSIVE", **inherited, **own, "ASTROLAB_DATA_DIR": str(root / "astrolab-data")}


def _wait_for(address: str, *, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


def _stop(server: subprocess.Popen) -> None:
    """End make and JupyterLab, which ends its kernels."""
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
