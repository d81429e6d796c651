import pytest

from astrolab.errors import UnknownNameError
from astrolab.published import list_published, load_published


def test_ratios_that_the_paper_states_in_words_follow_from_the_table():
    table = load_published("lora_vs_transfer", direction="forward")
    values = table.set_index(["model", "dataset", "metric"])["value"]
    assert abs(values["CNN-TL", "Combo", "bias"] / values["CNN-LoRA", "Combo", "bias"]) == pytest.approx(2.5, abs=0.05)
    assert values["CNN-TL", "Combo", "scatter"] / values["CNN-LoRA", "Combo", "scatter"] == pytest.approx(2.2, abs=0.05)
    lora, combo = (abs(values[model, "TransferZ-Images", "bias"]) for model in ("CNN-LoRA", "CNN-Combo"))
    assert lora / combo == pytest.approx(20, abs=0.5)


def test_every_number_has_a_source_and_stands_once():
    for study in list_published():
        table = load_published(study)
        assert table["source"].str.len().gt(0).all() and table["value"].notna().all()
        keys = [name for name in ("study", "model", "dataset", "metric", "fraction") if name in table]
        assert not table.duplicated(keys).any()


def test_the_digitised_fractions_end_where_the_tables_of_the_paper_stand():
    fractions = load_published("data_fractions").set_index(["survey", "metric", "fraction"])["value"]
    assert len(fractions) == 3 * 2 * 11
    table = load_published("lora_vs_transfer", direction="forward").set_index(["arm", "survey", "metric"])["value"]
    for survey in ("transferz", "galaxiesml", "combo"):
        assert fractions[survey, "scatter", 1.0] == pytest.approx(table["lora", survey, "scatter"], abs=3e-4)
        assert fractions[survey, "scatter", 0.0] == pytest.approx(table["zero_shot", survey, "scatter"], abs=4e-4)


@pytest.mark.parametrize(("direction", "arms"), [("forward", 4), ("reverse", 4)])
def test_a_direction_has_its_models_and_the_one_of_both(direction, arms):
    table = load_published("lora_vs_transfer", direction=direction)
    assert table["arm"].nunique() == arms
    scores = table[table["survey"] != ""]
    assert len(scores) == arms * 3 * 3


def test_unknown_names_are_answered_with_those_that_exist():
    with pytest.raises(UnknownNameError, match="lora_vs_transfer"):
        load_published("lora")
    with pytest.raises(UnknownNameError, match="forward"):
        load_published("lora_vs_transfer", direction="sideways")
