import json
import platform

import pytest

from astrolab.errors import AstrolabWarning, ConfigError, CorruptFileError, RunError
from astrolab.runs import find_unfinished, load_record, open_run, parameters_digest


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
    monkeypatch.setattr("astrolab.runs.records.version", lambda name: "99.0")
    monkeypatch.setattr("os.cpu_count", lambda: 999)
    assert parameters_digest("s", parameters={"a": 1, "b": [2]}) == digest
    monkeypatch.setattr("astrolab.runs.records.code_digest", lambda: "other code")
    assert parameters_digest("s", parameters={"a": 1, "b": [2]}) != digest


def test_a_run_that_goes_on_under_other_circumstances_says_so(monkeypatch, recwarn):
    run = open_run(study="s", parameters={})
    assert open_run(study="s", parameters={}).folder == run.folder and not recwarn
    monkeypatch.setattr("astrolab.runs.records.version", lambda name: "99.0")
    with pytest.warns(AstrolabWarning, match=r"goes on under other circumstances: .*torch .* → 99\.0"):
        assert open_run(study="s", parameters={}).folder == run.folder


def test_a_damaged_record_is_refused_in_four_parts_and_no_run_to_go_on_with():
    run = open_run(study="s", parameters={})
    run._lock.release()
    for damage in (b"{", b"\xff\xfe", b"null", b"[" * 100_000, b'{"study": 7}'):
        (run.folder / "run.json").write_bytes(damage)
        assert find_unfinished("s", parameters={}) is None
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
