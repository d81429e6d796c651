"""Make the pictures of the README, of the explorers and the gallery, and docs/example/, from one run of the main study.

    make pictures                                      # the run of the notebook's defaults, in the folder `runs`
    python docs/make_pictures.py --preset smoke        # another preset
    python docs/make_pictures.py --run runs/lora_vs_transfer/<time>-<digest>    # a run that is there already

docs/example/ is a gallery of that run: its page, its report, its executed notebook and its figures, with fewer colours
and pixels than the run has, so that all of it takes less than 3 MB. The explorers are photographed in JupyterLab, in
Chromium: this needs Playwright (`pip install -e '.[browser]'`) and a browser on the path, or `ASTROLAB_CHROMIUM`.
"""

import argparse
import base64
import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError

import nbformat
from PIL import Image, ImageChops, ImageOps

import astrolab as al

ROOT = Path(__file__).resolve().parents[1]
FIGURES, EXAMPLE = ROOT / "docs" / "figures", ROOT / "docs" / "example"
STUDY, NAME = "lora_vs_transfer", "example"
KEPT = ("run.json", "notebook.ipynb", "report.html", "scores.csv")
WIDEST_PX, MARGIN_PX, N_COLOURS, LARGEST_MB = 1400, 12, 128, 3
LIVE_WIDGET = "application/vnd.jupyter.widget-view+json"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
START_S = 300
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # cells out of view are drawn, too
}

EXPLORERS = {
    "explore_predictions": """
explorer = al.explore_predictions(run, survey=move.tests)
explorer.survey.value, explorer.arm.value, explorer.compare.value = move.finetune.test.name, "tl", "lora"
explorer.select(explorer.view.outliers)
explorer
""",
    "explore_adapter": """
base, scaling = al.reload_model(run, arm="base", seed=0)
adapted, _ = al.reload_model(run, arm="lora", seed=0)
ends, scales = list(move.tests[:2]), [0, 0.25, 0.5, 0.75, 1]
path = al.predict_path(base.network, adapted=adapted, scales=scales, surveys=ends, scaling=scaling)
way = al.explore_adapter(path)
way.scale.value = 0.6
way
""",
    "explore_twin": """
tl, _ = al.reload_model(run, arm="tl", seed=0)
al.explore_twin("twin-galaxiesml", models={"base": (base, scaling), "tl": (tl, scaling), "lora": (adapted, scaling)})
""",
}


def main():
    """Read the command line, make the run, write what is made of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", help="preset of the study; by default the notebook's own parameters")
    parser.add_argument("--run", type=Path, help="folder of a finished run of the study, instead of a new one")
    given = parser.parse_args()
    os.chdir(ROOT)
    run = given.run or al.run_study(STUDY, preset=given.preset)
    write_example(run.resolve())
    photograph(run.resolve())


def write_example(run):
    """Write docs/example/ from a smaller copy of a run, in which no path of this machine is left."""
    with TemporaryDirectory() as folder:
        copy = Path(folder, STUDY, NAME)
        (copy / "figures").mkdir(parents=True)
        for name in KEPT:
            if name.endswith(".ipynb"):
                write_smaller_notebook(run / name, copy / name)
            else:
                text = (run / name).read_text(encoding="utf-8")
                text = re.sub(r"(?<=data:image/png;base64,)[\w+/=]+", lambda match: smaller_text(match[0]), text)
                (copy / name).write_text(without_paths(text, run=run), encoding="utf-8")
        for png in (run / "figures").glob("*.png"):
            (copy / "figures" / png.name).write_bytes(smaller(png.read_bytes()))
        al.write_gallery(copy, out=EXAMPLE)
    texts = [path for path in EXAMPLE.rglob("*") if path.suffix in (".html", ".ipynb", ".json", ".csv")]
    named = [path for path in texts if re.search("|".join(map(re.escape, machine())), path.read_text(encoding="utf-8"))]
    size_mb = sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) / 1e6
    if named or size_mb > LARGEST_MB:
        places = ", ".join(map(str, named)) or "no file"
        sys.exit(f"{size_mb:.1f} MB, at most {LARGEST_MB}; paths of this machine in {places}")
    sys.stdout.write(f"{EXAMPLE.relative_to(ROOT)}: {size_mb:.1f} MB\n")


def machine():
    """Folders that only this machine has."""
    return [str(ROOT), sys.prefix, str(Path.home()), str(Path(al.__file__).parents[1])]


def without_paths(text, *, run):
    """Replace the folder of runs by `runs`, that of the package by nothing."""
    text = text.replace(str(run.parent.parent), "runs")
    for folder in machine():
        text = text.replace(f"{folder}/", "")
    return text


def write_smaller_notebook(path, copy):
    """Copy an executed notebook: smaller pictures, no live widgets, no record of where papermill had it."""
    notebook = nbformat.read(path, as_version=4)
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    injected = "injected-parameters"  # by papermill: the folder of the run, which is not here
    notebook.cells = [cell for cell in notebook.cells if injected not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            data.pop(LIVE_WIDGET, None)
            if "image/png" in data:
                data["image/png"] = smaller_text(data["image/png"])
    copy.write_text(without_paths(nbformat.writes(notebook), run=path.parent), encoding="utf-8")


def smaller(png, *, n_colours=N_COLOURS):
    """A PNG without empty margins, with fewer colours, and no wider than a page."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert("RGB")
    image = image.crop(ImageChops.difference(image, white.convert("RGB")).getbbox())
    image = ImageOps.expand(image, MARGIN_PX, fill="white")
    image.thumbnail((WIDEST_PX, 10 * WIDEST_PX), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    image.quantize(n_colours, dither=Image.Dither.NONE).save(written, format="png", optimize=True)
    return written.getvalue()


def smaller_text(encoded):
    """The same of a PNG that is written in base64."""
    return base64.b64encode(smaller(base64.b64decode(encoded))).decode()


def photograph(run):
    """Take pictures of the explorers as they are in JupyterLab, and of the gallery's first page."""
    from playwright.sync_api import sync_playwright

    named = os.environ.get("ASTROLAB_CHROMIUM")
    chromium = next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)
    first = f"import astrolab as al\n\nrun = {str(run)!r}\nmove = al.reload_move(run)"
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in (first, *EXPLORERS.values())]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), Path(folder, "pictures.ipynb"))
        server, address = start_lab(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1500, "height": 1700})
            page.goto(address, timeout=1000 * START_S)
            page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=1000 * START_S)
            page.locator("#jp-main-statusbar", has_text="| Idle").wait_for(
                timeout=1000 * START_S
            )  # the kernel is there
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            page.add_style_tag(content=".astrolab-galaxies { display: none; }")  # a long table, below the cut-outs
            outputs = page.locator(".astrolab-explorer, .jp-RenderedText:has-text('Traceback (most recent')")
            for number, name in enumerate(EXPLORERS):
                explorer = outputs.nth(number)
                explorer.wait_for(timeout=1000 * START_S)
                if "astrolab-explorer" not in explorer.get_attribute("class"):
                    sys.exit(f"{name} could not be shown:\n{explorer.inner_text()}")
                explorer.scroll_into_view_if_needed()
                page.wait_for_timeout(10_000)  # clouds and cut-outs are drawn one after the other
                (FIGURES / f"{name}.png").write_bytes(smaller(explorer.screenshot(), n_colours=256))
            page = browser.new_page(viewport={"width": 1000, "height": 700})
            page.goto((EXAMPLE / "index.html").as_uri())
            (FIGURES / "gallery.png").write_bytes(smaller(page.screenshot(), n_colours=256))
        finally:
            browser.close()
            server.terminate()
            server.wait(60)


def start_lab(folder):
    """Start a JupyterLab with nobody else's settings; the server, and the address of the notebook."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for extension, values in SETTINGS.items():
        file = folder / "settings" / f"{extension}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
    own = {name: str(folder / name.lower()) for name in names}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"]
    server = subprocess.Popen(command, env=os.environ | own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(START_S):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}", timeout=5).close()
            break
        except (URLError, OSError):
            time.sleep(1)
    return server, f"http://127.0.0.1:{port}/lab/tree/pictures.ipynb?token={token}"


if __name__ == "__main__":
    main()
