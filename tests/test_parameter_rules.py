import pytest

from astrolab.errors import ParameterError
from astrolab.parameter_rules import RULES, require_sensible
from astrolab.parameters import check_parameters, list_studies, read_declarations


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
        ("strategies", ["lora"], []),
        ("adapters", ["lora"], ["lora", "lora"]),
        ("scales", [0.0], []),
        ("ranks", [], [0]),
        ("level", 0.95, 1.0),
        ("n_scales", 2, 1),
        ("image_size", 0, -64),
    ],
)
def test_a_value_without_sense_is_refused_by_name(name, good, bad):
    require_sensible(name, value=good, words="")
    with pytest.raises(ParameterError, match=name):
        require_sensible(name, value=bad, words="")


def test_a_parameter_without_a_rule_may_be_anything():
    require_sensible("arm", value="lora", words="")


def test_every_rule_is_of_a_parameter_and_defaults_always_make_sense():
    declared = [parameter for path in list_studies().values() for parameter in read_declarations(path).values()]
    assert set(RULES) <= {parameter.name for parameter in declared}
    assert all(parameter.coerce(parameter.default) == parameter.default for parameter in declared)


def test_an_empty_range_is_one_only_where_the_notebook_says_what_it_means():
    assert check_parameters({"z_range": []}, study="explore_predictions") == {"z_range": []}
    with pytest.raises(ParameterError, match="z_range"):
        check_parameters({"z_range": []}, study="lora_vs_transfer")


def test_it_is_refused_on_the_command_line_already():
    with pytest.raises(ParameterError, match="different whole numbers"):
        check_parameters({"seeds": [0, 0]}, study="lora_vs_transfer")
