import pytest

from astrolab.errors import ParameterError, UnknownNameError
from astrolab.parameters import find_notebook, read_declarations
from astrolab.presets import list_presets, load_preset, recognise_preset

STUDY = "lora_vs_transfer"


@pytest.fixture
def defaults():
    """What the record of a run says that was made with the notebook as it stands."""
    declared = read_declarations(find_notebook(STUDY))
    return {name: parameter.coerce(parameter.default) for name, parameter in declared.items() if name != "run_dir"}


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
        (b"epochs: 3\nepochs: 4\n", "'epochs' stands there twice"),
        (b"training: {batch_size: 3, batch_size: 4}\n", "'batch_size' stands there twice"),
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
