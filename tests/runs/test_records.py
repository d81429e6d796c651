import json
import platform

import pytest

from astrolab.errors import ConfigError
from astrolab.runs import load_record, open_run, parameters_digest


def test_the_record_names_versions_and_parameters():
    run = open_run(study="s", parameters={"seeds": [0]})
    record = json.loads((run.folder / "run.json").read_text())
    assert record["parameters"] == {"seeds": [0]}
    assert {"torch", "peft", "astrolab"} <= set(record["versions"])
    assert record["versions"]["python"] == platform.python_version()


def test_the_digest_depends_on_values_and_code_and_not_on_their_order(monkeypatch):
    digest = parameters_digest("s", parameters={"a": 1, "b": [2]})
    assert parameters_digest("s", parameters={"b": [2], "a": 1}) == digest
    assert parameters_digest("s", parameters={"a": 1, "b": [3]}) != digest
    assert parameters_digest("t", parameters={"a": 1, "b": [2]}) != digest
    monkeypatch.setattr("astrolab.runs.records.code_digest", lambda: "other code")
    assert parameters_digest("s", parameters={"a": 1, "b": [2]}) != digest


def test_a_folder_without_a_run_is_said_to_be_one(tmp_path):
    with pytest.raises(ConfigError, match=r"run\.json"):
        load_record(tmp_path)
