"""Names and records of runs: which code is in a name, what ``run.json`` says, and what of it is refused."""

import ast
import json
import platform
from pathlib import Path

import pytest

import astrolab
from astrolab.errors import AstrolabWarning, ConfigError, CorruptFileError, RunError
from astrolab.models.registry import MODELS
from astrolab.runs import find_unfinished, load_record, open_run, parameters_digest
from astrolab.runs.record import CODE_THAT_TRAINS, code_digest, fit_key

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
    return [code_digest(network, package=package) for network in (None, MODELS["cnn"], MODELS["mlp"])]


def changed(package, name, source):
    """For the common code, the CNN and the MLP: has the digest changed by appending to a file?"""
    before = digests(package)
    path = package / name
    path.write_text(path.read_text(encoding="utf-8") + source if path.is_file() else source, encoding="utf-8")
    return [one != other for one, other in zip(before, digests(package), strict=True)]


def test_the_digest_follows_what_trains_and_nothing_else(package):
    assert changed(package, "trainers/objectives.py", "\nX = 1\n") == [True, True, True]
    assert changed(package, "datasets/scaling.py", "\nX = 1\n") == [True, True, True]
    assert changed(package, "models/networks/cnn.py", "\nX = 1\n") == [False, True, False]
    for name in (
        "trainers/predicting.py",
        "models/registry.py",
        "models/networks/new.py",
        "plots/style.py",
        "datasets/survey.py",
        "new_study.py",
    ):
        assert changed(package, name, "\nX = 1\n") == [False, False, False], name


def test_comments_docstrings_and_library_versions_do_not_count(package, monkeypatch):
    before = digests(package)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.0")
    assert changed(package, "trainers/objectives.py", "\n# a remark\n\n\n") == [False, False, False]
    (package / "trainers" / "loop.py").write_text('"""Says more."""\nNAME = "loop"\n', encoding="utf-8")
    assert digests(package) == before


def test_no_code_that_trains_is_forgotten():
    """Whatever of models/ the trainers import, and what that imports, but for the list of networks."""
    trainers = [path for path in (PACKAGE / "trainers").glob("*.py") if path.name != "predicting.py"]
    found, left = set(), trainers
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text(encoding="utf-8"))):
            name = (getattr(node, "module", None) or "").removeprefix("astrolab.")
            if isinstance(node, ast.ImportFrom) and name.startswith("models.") and name not in found:
                found.add(name)
                left += [PACKAGE / f"{name.replace('.', '/')}.py"] if name != "models.registry" else []
    listed = {Path(part).with_suffix("").as_posix().replace("/", ".") for part in CODE_THAT_TRAINS}
    assert found - {"models.registry"} <= listed


def test_a_network_of_ones_own_has_its_own_code_in_the_digest(tmp_path, monkeypatch):
    """From a module anywhere, or from a cell of a notebook."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text("class Mine:\n    def embed(self): return 1\n")
    import mine

    cell = dict(__name__="__main__")
    exec(compile("class Cell:\n    pass\n", "<cell>", "exec"), cell)
    cell["Cell"].embed = ast.parse  # a function with a source
    one, other = code_digest(mine.Mine), code_digest(cell["Cell"])
    assert len({one, other, code_digest()}) == 3
    code_digest.cache_clear()
    (tmp_path / "mine.py").write_text("class Mine:\n    def embed(self): return 2\n")
    assert code_digest(mine.Mine) != one


def test_the_record_names_versions_and_parameters():
    run = open_run(study="s", parameters={"seeds": [0]})
    record = json.loads((run.folder / "run.json").read_text())
    assert record["parameters"] == {"seeds": [0]}
    assert {"torch", "peft", "astrolab"} <= set(record["circumstances"]["versions"])
    assert record["circumstances"]["versions"]["python"] == platform.python_version()
    assert not {"versions", "platform", "n_cores"} & set(record), "they name no run"


def test_the_digest_depends_on_values_and_code_and_not_on_their_order_nor_on_circumstances(monkeypatch):
    digest = parameters_digest("s", parameters={"a": 1, "b": [2]})
    assert parameters_digest("s", parameters={"b": [2], "a": 1}) == digest
    assert parameters_digest("s", parameters={"a": 1, "b": [3]}) != digest
    assert parameters_digest("t", parameters={"a": 1, "b": [2]}) != digest
    monkeypatch.setattr("astrolab.runs.record.version", lambda name: "99.0")
    monkeypatch.setattr("os.cpu_count", lambda: 999)
    assert parameters_digest("s", parameters={"a": 1, "b": [2]}) == digest
    monkeypatch.setattr("astrolab.runs.record.code_digest", lambda: "other code")
    assert parameters_digest("s", parameters={"a": 1, "b": [2]}) != digest


def test_a_run_that_goes_on_under_other_circumstances_says_so(monkeypatch, recwarn):
    run = open_run(study="s", parameters={})
    assert open_run(study="s", parameters={}).folder == run.folder and not recwarn
    monkeypatch.setattr("astrolab.runs.record.version", lambda name: "99.0")
    with pytest.warns(AstrolabWarning, match=r"goes on under other circumstances: .*torch .* → 99\.0"):
        assert open_run(study="s", parameters={}).folder == run.folder


def test_a_damaged_record_is_refused_in_four_parts_and_no_run_to_go_on_with():
    run = open_run(study="s", parameters={})
    run._lock.release()
    for damage in (b"{", b"\xff\xfe", b"null", b"[" * 100_000, b'{"study": 7}'):
        (run.folder / "run.json").write_bytes(damage)
        assert find_unfinished("s", digest=parameters_digest("s", parameters={})) is None
        with pytest.raises(CorruptFileError, match=r"run\.json is damaged"):
            open_run(study="s", parameters={}, directory=run.folder)


def test_a_folder_that_cannot_be_written_into_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path / "file" / "runs"))
    with pytest.raises(RunError, match="ASTROLAB_RUNS_DIR") as caught:
        open_run(study="s", parameters={})
    assert str(tmp_path / "file" / "runs") in caught.value.received


def test_a_folder_without_a_run_is_said_to_be_one(tmp_path):
    with pytest.raises(ConfigError, match=r"run\.json"):
        load_record(tmp_path)


@pytest.mark.parametrize("value", ["a/b", "../up", "a b"])
def test_a_condition_that_is_no_name_for_a_folder_is_refused(value):
    with pytest.raises(ConfigError, match="name a folder"):
        fit_key("lora", seed=0, condition={"layers": value})
