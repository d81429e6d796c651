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
