"""What papers printed, and which of it is beside a run."""

import pytest
from simulated_runs import SURVEYS, write_run

from astrolab.errors import UnknownNameError
from astrolab.metrics import Resampling, score
from astrolab.predictions import load_predictions
from astrolab.runs.ledger import load_ledger
from astrolab.studies.beside import (
    COLUMNS,
    compare_runs_with_paper,
    compare_with_paper,
    describe_counterpart,
    describe_counterparts,
    list_published,
    load_counterpart,
    load_published,
)

FORWARD, SWAPPED = ("twin-transferz", "twin-galaxiesml"), ("twin-galaxiesml", "twin-transferz")
ELSEWHERE = ("transferz", "boss")
ERRORS = {survey: (0.01, 0.03) for survey in SURVEYS}
ARMS = {"tl": ERRORS, "lora": ERRORS}
FRACTIONS = {f"lora@{fraction}": ERRORS for fraction in (0.1, 0.15, 1.0)}
LORA_ON_COMBO = "arm == 'lora' and survey == 'combo' and metric == 'scatter'"


def write(folder, study, **options):
    """A run of one study as its notebook leaves it: only the first has a column `direction`."""
    if study == "lora_vs_transfer":
        return write_run(folder / study, arms=ARMS, seeds=(0, 1), **options)
    arms = FRACTIONS if study == "data_fractions" else {"lora-r2": ERRORS, "block1": ERRORS}
    return write_run(folder / study, arms=arms, study=study, direction=None, **options)


def scores_of(run):
    return score(load_predictions(run.folder / "predictions.parquet"), resampling=Resampling(n=20))


def test_measured_means_over_seeds_are_beside_the_printed_number(tmp_path):
    run = write(tmp_path, "lora_vs_transfer")
    beside = compare_with_paper(scores_of(run), run=run)
    assert list(beside) == list(COLUMNS)
    (row,) = beside.query(LORA_ON_COMBO).to_dict("records")
    measured = scores_of(run).query(LORA_ON_COMBO)["value"]
    assert (row["printed"], row["model"], row["n_seeds"], row["direction"]) == (0.0223, "CNN-LoRA", 2, "forward")
    assert row["measured_here"] == pytest.approx(measured.mean()) and row["std"] == pytest.approx(measured.std())
    assert "galaxiesml" in set(beside["survey"]), "a twin stands for the survey of the paper"
    assert beside.query("arm == 'tl'")["printed"].isna().all(), "which the paper did not print"


def test_swapped_surveys_are_beside_the_other_direction_whatever_their_column_says(tmp_path):
    run = write(tmp_path, "lora_vs_transfer", move=SWAPPED)
    for beside in (
        compare_with_paper(scores_of(run), run=run),
        compare_runs_with_paper(load_ledger(tmp_path)),
    ):
        (row,) = beside.query(LORA_ON_COMBO).to_dict("records")
        assert (row["printed"], row["model"], row["direction"]) == (0.0378, "CNN-LoRA-Rev", "reverse")


def test_fractions_are_beside_the_same_fraction(tmp_path):
    run = write(tmp_path, "data_fractions")
    beside = compare_with_paper(scores_of(run), run=run)
    printed = beside.query(LORA_ON_COMBO).set_index("fraction")["printed"]
    assert printed.drop(0.15).to_dict() == {0.1: 0.0271, 1.0: 0.0223}
    assert printed.isna()[0.15]


@pytest.mark.parametrize(
    ("study", "move"),
    [("data_fractions", SWAPPED), ("data_fractions", ELSEWHERE), ("lora_vs_transfer", ELSEWHERE)],
)
def test_nothing_is_beside_another_move(tmp_path, study, move):
    run = write(tmp_path, study, move=move)
    beside = compare_with_paper(scores_of(run), run=run.folder)
    assert beside.empty and list(beside) == list(COLUMNS)
    ledger = load_ledger(tmp_path)
    assert compare_runs_with_paper(ledger).empty
    assert describe_counterparts(ledger)["beside"].str.startswith("nothing: ").all()


def test_scores_of_a_study_that_no_paper_has_are_refused(tmp_path):
    run = write(tmp_path, "layers_and_ranks")
    with pytest.raises(UnknownNameError, match="data_fractions"):
        compare_with_paper(scores_of(run), run=run)


@pytest.mark.parametrize(
    ("studies", "printed"),
    [
        (["lora_vs_transfer"], {"lora_vs_transfer"}),
        (["data_fractions"], {"data_fractions"}),
        (["layers_and_ranks"], set()),
        (["data_fractions", "layers_and_ranks"], {"data_fractions"}),
        (["lora_vs_transfer", "data_fractions", "layers_and_ranks"], {"lora_vs_transfer", "data_fractions"}),
    ],
)
def test_a_folder_may_hold_any_studies(tmp_path, studies, printed):
    for study in studies:
        write(tmp_path, study)
    ledger = load_ledger(tmp_path)
    beside = compare_runs_with_paper(ledger)
    assert list(beside) == ["study", "experiment", *COLUMNS] and set(beside["study"]) == printed
    words = describe_counterparts(ledger).set_index("study")["beside"]
    assert sorted(words.index) == sorted(studies)
    assert {study for study, text in words.items() if not text.startswith("nothing")} == printed


def test_both_directions_of_one_experiment_are_beside_their_own_numbers(tmp_path):
    for direction in ("forward", "reverse"):
        write_run(tmp_path / direction, arms=ARMS, direction=direction)
    ledger = load_ledger(tmp_path)
    beside = compare_runs_with_paper(ledger)
    assert beside["experiment"].nunique() == 1
    assert beside.query(LORA_ON_COMBO).set_index("direction")["printed"].to_dict() == {
        "forward": 0.0223,
        "reverse": 0.0378,
    }
    assert describe_counterparts(ledger)["direction"].tolist() == ["forward", "reverse"]


@pytest.mark.parametrize(
    ("move", "turned", "direction"),
    [
        (FORWARD, "forward", "forward"),
        (FORWARD, "reverse", "reverse"),
        (SWAPPED, "forward", "reverse"),
        (SWAPPED, "reverse", "forward"),
        (("transferz", "twin-galaxiesml"), "forward", "forward"),
        (ELSEWHERE, "forward", "elsewhere"),
        (("sdss_mgs", "galaxiesml"), "forward", "elsewhere"),
    ],
)
def test_the_direction_is_that_of_the_surveys_however_it_is_spelt(tmp_path, move, turned, direction):
    write_run(tmp_path, arms={"lora": ERRORS}, move=move, direction=turned, n=20)
    assert describe_counterparts(load_ledger(tmp_path))["direction"].tolist() == [direction]


def test_a_twin_of_any_name_is_beside_the_survey_that_it_is_a_twin_of(tmp_path):
    run = write_run(tmp_path, arms={"lora": {"my-sky": (0.01, 0.03)}}, move=("twin-transferz", "my-sky"))
    run.record["surveys"]["finetune"]["twin_of"] = "galaxiesml"
    run._write()
    for beside in (compare_with_paper(scores_of(run), run=run), compare_runs_with_paper(load_ledger(tmp_path))):
        assert beside.query("metric == 'scatter'")[["survey", "printed"]].to_numpy().tolist() == [
            ["galaxiesml", 0.0184]
        ]


def test_swapped_surveys_get_the_numbers_of_the_other_direction(tmp_path):
    for name, move, model in (("a", FORWARD, "CNN-LoRA"), ("b", SWAPPED, "CNN-LoRA-Rev")):
        run = write_run(tmp_path / name, arms={"lora": ERRORS}, move=move, n=20)
        printed = load_counterpart(run)
        assert set(printed.query("arm == 'lora'")["model"]) == {model}
        assert "combo" in set(printed["arm"]), "trained on both at once, it has no direction"
        assert describe_counterpart(run.folder).startswith("what the paper printed of")


@pytest.mark.parametrize(
    ("study", "move", "words"),
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
def test_where_nothing_was_printed_the_table_is_empty_and_words_say_why(tmp_path, study, move, words):
    run = write_run(tmp_path, arms={"lora": ERRORS}, study=study, move=move, n=20)
    printed = load_counterpart(run)
    assert printed.empty and list(printed) == list(load_published(study))
    assert describe_counterpart(run) == f"nothing: of this study the paper printed {words}"


def test_a_study_without_printed_numbers_is_described_but_not_loaded(tmp_path):
    run = write_run(tmp_path, arms={"lora-r2": ERRORS}, study="layers_and_ranks", n=20)
    assert "no numbers" in describe_counterpart(run)
    with pytest.raises(UnknownNameError, match="data_fractions"):
        load_counterpart(run)


def test_ratios_that_the_paper_states_in_words_follow_from_the_table():
    table = load_published("lora_vs_transfer", direction="forward")
    values = table.set_index(["model", "dataset", "metric"])["value"]
    assert abs(values["CNN-TL", "Combo", "bias"] / values["CNN-LoRA", "Combo", "bias"]) == pytest.approx(2.5, abs=0.05)
    assert values["CNN-TL", "Combo", "scatter"] / values["CNN-LoRA", "Combo", "scatter"] == pytest.approx(2.2, abs=0.05)
    lora, combo = (abs(values[model, "TransferZ-Images", "bias"]) for model in ("CNN-LoRA", "CNN-Combo"))
    assert lora / combo == pytest.approx(20, abs=0.5)


def test_every_number_has_a_source_and_is_there_once():
    for study in list_published():
        table = load_published(study)
        assert table["source"].str.len().gt(0).all() and table["value"].notna().all()
        keys = [name for name in ("study", "model", "dataset", "metric", "fraction") if name in table]
        assert not table.duplicated(keys).any()


def test_the_digitised_fractions_end_at_the_numbers_of_the_tables():
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
