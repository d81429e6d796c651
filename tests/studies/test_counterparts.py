import pandas as pd
import pytest

from astrolab.errors import UnknownNameError
from astrolab.published import load_published
from astrolab.published.counterparts import describe_counterpart, find_direction, load_counterpart

FORWARD = {"pretrain_survey": "twin-transferz", "finetune_survey": "twin-galaxiesml"}
SWAPPED = {"pretrain_survey": "twin-galaxiesml", "finetune_survey": "twin-transferz"}
ELSEWHERE = {"pretrain_survey": "transferz", "finetune_survey": "boss"}


@pytest.mark.parametrize(
    ("parameters", "direction"),
    [
        (FORWARD, "forward"),
        (FORWARD | {"direction": "forward"}, "forward"),
        (FORWARD | {"direction": "reverse"}, "reverse"),
        (SWAPPED, "reverse"),
        (SWAPPED | {"direction": "reverse"}, "forward"),
        ({"pretrain_survey": "transferz", "finetune_survey": "twin-galaxiesml"}, "forward"),
        (ELSEWHERE, "elsewhere"),
        ({"pretrain_survey": "sdss_mgs", "finetune_survey": "galaxiesml"}, "elsewhere"),
        ({}, "elsewhere"),
    ],
)
def test_the_direction_is_that_of_the_surveys_however_it_is_spelt(parameters, direction):
    assert find_direction(parameters) == direction
    row = pd.Series({f"p.{name}": value for name, value in parameters.items()} | {"direction": "forward"})
    assert find_direction(row, prefix="p.") == direction


def test_swapped_surveys_get_the_numbers_of_the_other_direction():
    for parameters, model in ((FORWARD, "CNN-LoRA"), (SWAPPED, "CNN-LoRA-Rev")):
        printed = load_counterpart("lora_vs_transfer", parameters=parameters)
        assert set(printed.query("arm == 'lora'")["model"]) == {model}
        assert "combo" in set(printed["arm"]), "trained on both at once, it has no direction"
        assert describe_counterpart("lora_vs_transfer", parameters=parameters).startswith("what the paper printed of")


@pytest.mark.parametrize(
    ("study", "parameters", "words"),
    [
        ("data_fractions", SWAPPED, "TransferZ → GalaxiesML only, not GalaxiesML → TransferZ"),
        ("data_fractions", ELSEWHERE, "TransferZ → GalaxiesML only, not TransferZ → boss"),
        (
            "lora_vs_transfer",
            ELSEWHERE,
            "TransferZ → GalaxiesML and GalaxiesML → TransferZ only, not TransferZ → boss",
        ),
    ],
)
def test_where_nothing_was_printed_the_table_is_empty_and_words_say_why(study, parameters, words):
    printed = load_counterpart(study, parameters=parameters)
    assert printed.empty and list(printed) == list(load_published(study))
    assert describe_counterpart(study, parameters=parameters) == f"nothing: of this study the paper printed {words}"


def test_a_study_without_printed_numbers_is_described_but_not_loaded():
    assert "no numbers" in describe_counterpart("layers_and_ranks", parameters=FORWARD)
    with pytest.raises(UnknownNameError, match="data_fractions"):
        load_counterpart("layers_and_ranks", parameters=FORWARD)
