"""Which code is part of a run's name: all that trains, one network's own module, and nothing else."""

import ast
import inspect
from pathlib import Path

import pytest
from astrolab.models.redshift_cnn import RedshiftCNN
from astrolab.models.redshift_mlp import RedshiftMLP

import astrolab
from astrolab.models.registry import MODELS
from astrolab.runs.code import CODE_THAT_TRAINS, code_digest

PACKAGE = Path(astrolab.__file__).parent


@pytest.fixture
def package(tmp_path):
    """A package of the same files, each of one line."""
    for path in PACKAGE.rglob("*.py"):
        copy = tmp_path / "astrolab" / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(f'"""Says something."""\n\nNAME = {path.stem!r}\n', encoding="utf-8")
    return tmp_path / "astrolab"


def digests(package):
    code_digest.cache_clear()
    return [code_digest(network, package=package) for network in (None, RedshiftCNN, RedshiftMLP)]


def changed(package, name, source):
    """For the common code, the CNN and the MLP: has the digest changed by appending to a file?"""
    before = digests(package)
    path = package / name
    path.write_text(path.read_text(encoding="utf-8") + source if path.is_file() else source, encoding="utf-8")
    return [one != other for one, other in zip(before, digests(package), strict=True)]


def test_the_digest_follows_what_trains_and_nothing_else(package):
    assert changed(package, "trainers/losses.py", "\nX = 1\n") == [True, True, True]
    assert changed(package, "datasets/scaling.py", "\nX = 1\n") == [True, True, True]
    assert changed(package, "models/redshift_cnn.py", "\nX = 1\n") == [False, True, False]
    for name in ("models/registry.py", "models/new_network.py", "plots/style.py", "datasets/survey.py", "new_study.py"):
        assert changed(package, name, "\nX = 1\n") == [False, False, False], name


def test_comments_docstrings_and_library_versions_do_not_count(package, monkeypatch):
    before = digests(package)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.0")
    assert changed(package, "trainers/losses.py", "\n# a remark\n\n\n") == [False, False, False]
    (package / "trainers" / "loop.py").write_text('"""Says more."""\nNAME = "loop"\n', encoding="utf-8")
    assert digests(package) == before


def test_no_code_that_trains_is_forgotten():
    """Whatever of models/ the trainers import, and what that imports, but for the list of networks."""
    found, left = set(), [*(PACKAGE / "trainers").glob("*.py")]
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text(encoding="utf-8"))):
            name = (getattr(node, "module", None) or "").removeprefix("astrolab.")
            if isinstance(node, ast.ImportFrom) and name.startswith("models.") and name not in found:
                found.add(name)
                left += [PACKAGE / f"{name.replace('.', '/')}.py"] if name != "models.registry" else []
    own = {Path(inspect.getfile(network)).stem for network in MODELS.values()}
    listed = {Path(part).with_suffix("").as_posix().replace("/", ".") for part in CODE_THAT_TRAINS}
    assert found - {"models.registry"} - {f"models.{name}" for name in own} <= listed
