import pytest

from astrolab.errors import TargetError
from astrolab.models.targets import adaptable_modules, parameters_under


@pytest.fixture(scope="module")
def network(small_network):
    return small_network("redshift_cnn")


def test_sets_and_modules_give_their_parameters_once(network):
    names = parameters_under(network, names=["block1", "features.4.0", "features.0"])
    expected = {n for n, _ in network.named_parameters() if n.startswith(("features.4.", "features.0."))}
    assert names == expected


def test_a_name_is_no_prefix(network):
    assert parameters_under(network, names=["classifier.0"]) == {"classifier.0.weight", "classifier.0.bias"}


def test_adaptable_modules_keep_the_order_of_the_network(network):
    assert adaptable_modules(network, names=None) == network.adapter_targets
    assert adaptable_modules(network, names=["classifier.6", "input"]) == ("features.0", "classifier.6")


@pytest.mark.parametrize(
    ("name", "near"),
    [("regresor", "'regressor'"), ("conv1", "'features.4.0.conv1'"), ("classifier.7", "'classifier.6'")],
)
@pytest.mark.parametrize("find", [parameters_under, adaptable_modules])
def test_a_name_that_matches_nothing_is_an_error_that_names_the_nearest(find, name, near, network):
    with pytest.raises(TargetError) as caught:
        find(network, names=["input", name])
    assert near in caught.value.remedy
    assert "layer sets input, body" in caught.value.available
    assert "features.7.1.conv2" in caught.value.available


def test_layers_with_nothing_to_train_or_adapt_are_errors(network):
    with pytest.raises(TargetError, match="no parameters"):
        parameters_under(network, names=["features.2"])
    with pytest.raises(TargetError, match="no convolution"):
        adaptable_modules(network, names=["features.1"])
