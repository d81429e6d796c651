"""Parameters of studies: what a cell declares, which values and names are refused, presets, whose notebook it is."""

import json

import pytest

from astrolab import parameters
from astrolab.errors import CorruptFileError, DataNotFoundError, ParameterError, UnknownNameError
from astrolab.parameters import (
    NOTEBOOK,
    RULES,
    Parameter,
    check_parameters,
    default_parameters,
    find_notebook,
    list_presets,
    list_studies,
    load_preset,
    read_declarations,
    read_parameters,
    recognise_preset,
    shipped_folder,
    study_name,
)

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


def test_the_folder_of_a_run_is_no_parameter():
    with pytest.raises(ParameterError, match="--directory sets it"):
        check_parameters({"run_dir": "there"}, study=STUDY)


@pytest.mark.parametrize("given", [{"n_pretran": 20}, {"json": json, "_private": "", "n_pretran": 20}, {"epoch": None}])
def test_a_stranger_in_the_notebook_stops_it(given):
    """Injected by papermill, or written into the parameters cell by hand."""
    with pytest.raises(ParameterError, match=r"Did you mean '(n_pretrain|epochs)'"):
        read_parameters({"n_pretrain": 10, "In": ["", "n_pretrain = 10"], "Out": {}, **given}, study=STUDY)


def test_a_notebook_that_is_run_again_in_its_kernel_is_not_stopped_by_its_own_results():
    namespace = {"n_pretrain": 10}
    read_parameters(namespace, study=STUDY)
    namespace |= {"n_pretrain": 11, "scores": 1, "tables": []}
    assert read_parameters(namespace, study=STUDY)["n_pretrain"] == 11


def cell(source, *, tags=("parameters",)):
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": [source]}


def write_notebook(path, *cells):
    path.write_text(json.dumps({"cells": list(cells)}))
    return path


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "mine.small.yaml").write_text("level: 9")
    return write_notebook(tmp_path / "mine.ipynb", cell("level: int = 3  # any number\nseeds: list[int] = []  # none"))


def test_any_notebook_with_a_parameters_cell_is_a_study(mine, monkeypatch):
    """By its path, or by its name where it is the one that runs, or in the folder where one works; with its presets."""
    assert study_name(find_notebook(str(mine))) == "mine"
    assert load_preset(str(mine), preset="small") == {"level": 9}, "the rules of our notebooks are not for others"
    with pytest.raises(UnknownNameError, match="path of a notebook"):
        find_notebook("mine")
    for name in (NOTEBOOK, "JPY_SESSION_NAME"):
        with monkeypatch.context() as patch:
            patch.setenv(name, str(mine))
            assert read_parameters({"level": 4}, study="mine") == {"level": 4, "seeds": []}
            assert find_notebook(STUDY).name == "10_lora_vs_transfer.ipynb"
    monkeypatch.chdir(mine.parent)
    with pytest.raises(ParameterError, match="Did you mean 'level'"):
        read_parameters({"levl": 4}, study="mine")


def test_the_notebook_gets_every_parameter_but_the_run_folder():
    parameters = read_parameters({"n_pretrain": 10}, study=STUDY)
    assert parameters["n_pretrain"] == 10
    assert "seeds" in parameters
    assert "run_dir" not in parameters


def test_an_unknown_study_lists_what_there_is():
    with pytest.raises(UnknownNameError, match=STUDY):
        check_parameters({}, study="lora_vs_transfers")


def test_a_cell_that_is_not_declarations_is_refused(tmp_path):
    path = write_notebook(tmp_path / "10_study.ipynb", cell("n = 1"))
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
    with pytest.raises(ParameterError, match="name: type = literal"):
        read_declarations(write_notebook(tmp_path / "10_mine.ipynb", cell(line)))


DECLARED = [parameter for path in list_studies().values() for parameter in read_declarations(path).values()]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("seeds", [3, 0], [0, 0]),
        ("seeds", [7], []),
        ("seeds", [0], [-1]),
        ("direction", "reverse", "sideways"),
        ("on_leak", "stop", "ignore"),
        ("validation", "as_published", "none"),
        ("z_range", [0.3, 1.5], [1.5, 0.3]),
        ("z_range", [0.0, 1.0], [0.3]),
        ("n_trials", 1, 0),
        ("arms", ["lora"], []),
        ("adapters", ["lora"], ["lora", "lora"]),
        ("scales", [0.0], []),
        ("ranks", [], [0]),
        ("level", 0.95, 1.0),
        ("n_scales", 2, 1),
        ("image_size", 0, -64),
        ("folds", 5, 1),
    ],
)
def test_a_value_without_sense_is_refused_by_name(name, good, bad):
    parameter = next(known for known in DECLARED if known.name == name and known.default != bad)
    assert parameter.coerce(good) == good
    with pytest.raises(ParameterError, match=name):
        parameter.coerce(bad)


def test_every_rule_is_of_a_parameter_and_defaults_always_make_sense():
    assert set(RULES) <= {parameter.name for parameter in DECLARED}
    assert all(parameter.coerce(parameter.default) == parameter.default for parameter in DECLARED)


def test_a_range_has_two_ends_or_is_empty():
    assert check_parameters({"z_range": []}, study="lora_vs_transfer") == {"z_range": []}
    with pytest.raises(ParameterError, match="z_range"):
        check_parameters({"z_range": [1.5, 0.3]}, study="lora_vs_transfer")


def test_it_is_refused_on_the_command_line_already():
    with pytest.raises(ParameterError, match="different whole numbers"):
        check_parameters({"seeds": [0, 0]}, study="lora_vs_transfer")


@pytest.fixture
def defaults():
    """What the record of a run says that was made with the notebook as it stands."""
    return default_parameters(find_notebook(STUDY))


def test_an_unknown_preset_lists_what_there_is():
    with pytest.raises(UnknownNameError, match="smoke"):
        load_preset(STUDY, preset="smoky")


def test_a_file_of_ones_own_is_a_preset_and_checked_like_one(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: 3\nbase_learning_rate: 1e-4\n")  # which YAML reads as text
    assert load_preset(STUDY, preset=str(path)) == {"epochs": 3, "base_learning_rate": 1e-4}
    path.write_text("epoch: 3\n")
    with pytest.raises(ParameterError, match="epochs"):
        load_preset(STUDY, preset=str(path))


def test_a_preset_is_recognised_by_its_parameters_whatever_the_seeds(defaults):
    assert recognise_preset(STUDY, parameters=defaults | {"seeds": [5]}) == "quick"
    assert {"smoke", "paper"} <= set(list_presets(STUDY))
    assert recognise_preset(STUDY, parameters=defaults | load_preset(STUDY, preset="smoke")) == "smoke"
    assert recognise_preset(STUDY, parameters=defaults | {"epochs": 77}) == ""
    assert recognise_preset("a study that no longer ships", parameters=defaults) == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"- epochs\n- 3\n", "a list"),
        (b"epochs\n", "a str"),
        (b"epochs: 3\nlabel: \xff\xfe\n", "utf-8"),
        ("epochs: 3\n".encode("utf-16"), "utf-8"),
        (b"training:\n\tbatch_size: 64\n", r"line 2, column 1"),
        (b"epochs: 3\nepochs: 4\n", "'epochs' is there twice"),
        (b"training: {batch_size: 3, batch_size: 4}\n", "'batch_size' is there twice"),
        (b"3: epochs\n", "a dict"),
        (b"epochs: {[1]: 2}\n", "unhashable"),
        (b"epochs: 2026-13-45\n", "month"),
        (b"epochs: [3\n", "line 2"),
        (b"epochs: !!python/object:os.system x\n", "could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_preset_is_refused_in_four_parts(tmp_path, content, said):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=said) as caught:
        load_preset(STUDY, preset=str(path))
    assert caught.value.remedy and "mine.yaml" in caught.value.asked


def test_an_empty_preset_changes_nothing(tmp_path):
    (tmp_path / "mine.yaml").write_text("# nothing yet\n")
    assert load_preset(STUDY, preset=str(tmp_path / "mine.yaml")) == {}


def test_what_ships_is_beside_the_package_in_a_checkout_and_inside_it_in_a_wheel(tmp_path, monkeypatch):
    assert (shipped_folder("data_manifests") / "galaxiesml.toml").is_file()
    package = tmp_path / "astrolab"
    (package / "_shipped" / "notebooks").mkdir(parents=True)
    monkeypatch.setattr(parameters, "_PACKAGE", package)
    assert shipped_folder("notebooks") == package / "_shipped" / "notebooks"
    with pytest.raises(DataNotFoundError, match="Install astrolab again"):
        shipped_folder("data_manifests")
