import copy
import inspect

import pytest

from astrolab import errors
from astrolab.errors import AstrolabError, ChecksumError, UnknownNameError, unknown_name

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AstrolabError)]


def test_an_error_says_its_four_parts_in_order():
    text = str(ChecksumError("A file was checked.", received="ab", available="cd", remedy="Fetch it again."))
    assert text.splitlines() == [
        "A file was checked.",
        "  received : ab",
        "  available: cd",
        "  to do    : Fetch it again.",
    ]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_can_be_copied_to_another_process(kind):
    error = copy.copy(kind("Asked.", received="r", remedy="do"))
    assert type(error) is kind
    assert str(error) == "Asked.\n  received : r\n  to do    : do"


def test_an_unknown_name_is_a_key_error_that_knows_the_nearest():
    error = unknown_name("metric", name="biass", names=["scatter", "bias"])
    assert isinstance(error, KeyError)
    assert isinstance(error, UnknownNameError)
    assert "bias, scatter" in str(error)
    assert "Did you mean 'bias'?" in str(error)
