import json

import pytest

from astrolab.errors import CorruptFileError, ParameterError, UnknownNameError
from astrolab.parameters import Parameter, check_parameters, read_declarations, read_parameters

STUDY = "lora_vs_transfer"


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("float", "1e-4", 1e-4),  # YAML 1.1 reads 1e-4 as text
        ("float", 1, 1.0),
        ("int", 3, 3),
        ("list[int]", [0, 1], [0, 1]),
        ("list[str]", ("lora",), ["lora"]),
        ("bool", True, True),
        ("dict", {"width": 8}, {"width": 8}),
        ("dict[str, float]", {"lora": "1e-4"}, {"lora": 1e-4}),
    ],
)
def test_values_come_out_in_the_declared_type(kind, value, expected):
    coerced = Parameter("rate", kind, expected, "").coerce(value)
    assert coerced == expected
    assert type(coerced) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", 1.5),
        ("int", True),
        ("float", "fast"),
        ("float", True),
        ("list[int]", ["a"]),
        ("list[str]", "lora"),
        ("str", 3),
        ("dict[str, float]", {"lora": "fast"}),
    ],
)
def test_a_wrong_type_is_refused_in_four_parts(kind, value):
    with pytest.raises(ParameterError, match="to do") as error:
        Parameter("rate", kind, None, "help").coerce(value)
    wrong = {"list[int]": lambda: value[0], "dict[str, float]": lambda: value["lora"]}.get(kind, lambda: value)()
    assert repr(wrong) in str(error.value)


def test_an_unknown_parameter_names_the_nearest():
    with pytest.raises(ParameterError, match="Did you mean 'n_pretrain'"):
        check_parameters({"n_pretran": 10}, study=STUDY)


DECLARING = 'n_pretrain: int = 10  # how many\nrun_dir: str = ""  # where'


@pytest.mark.parametrize(
    "cells",
    [
        [DECLARING, "# Parameters\nn_pretran = 20\n"],
        [DECLARING + "\nn_pretran = 20"],
        [DECLARING + "\nn_pretran: int = 20"],
        ["x = 1", DECLARING, "print(x)", DECLARING, "# Parameters\nn_pretran = 20\n"],
    ],
    ids=["by papermill", "by hand", "by hand with a type", "in a later run"],
)
def test_an_injected_stranger_stops_the_notebook(cells):
    with pytest.raises(ParameterError, match="n_pretran'"):
        read_parameters({"n_pretrain": 10, "n_pretran": 20, "In": ["", *cells]}, study=STUDY)


def test_a_script_may_define_nothing_else():
    with pytest.raises(ParameterError, match="n_pretran'"):
        read_parameters({"n_pretrain": 10, "json": json, "_private": "", "n_pretran": 20}, study=STUDY)


def test_a_notebook_that_is_run_again_in_its_kernel_is_not_stopped_by_its_own_results():
    first = [DECLARING + "\nn_pretran = 20", DECLARING, "import astrolab as al", "scores = 1", "%time x = 2"]
    namespace = {"n_pretrain": 11, "n_pretran": 20, "scores": 1, "x": 2, "In": ["", *first, DECLARING]}
    assert read_parameters(namespace, study=STUDY)["n_pretrain"] == 11


def test_the_notebook_gets_every_parameter_but_the_run_folder():
    parameters = read_parameters({"n_pretrain": 10}, study=STUDY)
    assert parameters["n_pretrain"] == 10
    assert "seeds" in parameters
    assert "run_dir" not in parameters


def test_an_unknown_study_lists_what_there_is():
    with pytest.raises(UnknownNameError, match=STUDY):
        check_parameters({}, study="lora_vs_transfers")


def test_a_cell_that_is_not_declarations_is_refused(tmp_path):
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["n = 1"]}
    path = tmp_path / "10_study.ipynb"
    path.write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(ParameterError, match="name: type = literal"):
        read_declarations(path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b'{"cells": [3]}', b'{"cells": [{}]}', b"[" * 100_000])
def test_a_damaged_notebook_is_refused_in_four_parts(tmp_path, content):
    path = tmp_path / "10_mine.ipynb"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"10_mine\.ipynb") as caught:
        read_declarations(path)
    assert caught.value.remedy


@pytest.mark.parametrize("line", ["n: int = (", "n: int = f(3)", "n: complex = 3", "n: dict[str] = {}", "n: int = 3 +"])
def test_a_parameters_cell_that_cannot_be_read_is_refused_in_four_parts(tmp_path, line):
    cell = {"cell_type": "code", "source": [line], "metadata": {"tags": ["parameters"]}}
    (tmp_path / "10_mine.ipynb").write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(ParameterError, match="name: type = literal"):
        read_declarations(tmp_path / "10_mine.ipynb")
