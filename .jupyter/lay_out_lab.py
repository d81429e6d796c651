"""Lay out the folder that ``make lab`` opens: working copies of the notebooks, links to the results and the docs."""

import json
import shutil
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LAB = CHECKOUT / "lab"


def content(path: Path) -> object:
    """What a user changes of a file: of a notebook its cells, for JupyterLab changes the rest when it opens one."""
    if not path.is_file() or path.suffix != ".ipynb":
        return path.read_bytes() if path.is_file() else None
    try:
        return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(path.read_bytes())["cells"]]
    except (ValueError, KeyError, TypeError):
        return path.read_bytes()


def refresh(name: Path) -> None:
    """Copy a notebook or preset, unless its copy was changed; beside the copies is kept how each came."""
    new, mine, came = CHECKOUT / "notebooks" / name, LAB / name, LAB / ".as_shipped" / name
    if mine.exists() and content(mine) != content(came):
        if content(new) != content(came):
            sys.stdout.write(f"lab/{name} stays as you changed it. Rename it, to get the new one too.\n")
        return
    for copy in (mine, came):
        if content(copy) != content(new):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(new, copy)


if __name__ == "__main__":
    runs = Path(sys.argv[1]).resolve()
    for folder in (runs, LAB):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (runs, CHECKOUT / "docs", CHECKOUT / "data_manifests"):
        name = "runs" if folder == runs else folder.name
        (LAB / name).unlink(missing_ok=True)
        (LAB / name).symlink_to(folder, target_is_directory=True)
    for path in (CHECKOUT / "notebooks").rglob("*.*"):
        name = path.relative_to(CHECKOUT / "notebooks")
        if path.is_file() and name.parts[0] != "runs" and not any(part.startswith(".") for part in name.parts):
            refresh(name)
