import pandas as pd
import pytest
from simulated_runs import SURVEYS, write_run

from astrolab.errors import UnknownNameError
from astrolab.metrics import score
from astrolab.runs.beside import COLUMNS, compare_runs_with_paper, compare_with_paper, describe_counterparts
from astrolab.runs.ledger import load_ledger

FORWARD = {"pretrain_survey": "twin-transferz", "finetune_survey": "twin-galaxiesml"}
SWAPPED = {"pretrain_survey": "twin-galaxiesml", "finetune_survey": "twin-transferz"}
ELSEWHERE = {"pretrain_survey": "transferz", "finetune_survey": "boss"}
ERRORS = {survey: (0.01, 0.03) for survey in SURVEYS}
ARMS = {"tl": ERRORS, "lora": ERRORS}
FRACTIONS = {f"lora@{fraction}": ERRORS for fraction in (0.1, 0.15, 1.0)}
LORA_ON_COMBO = "arm == 'lora' and survey == 'combo' and metric == 'scatter'"


def write(folder, study, **options):
    """A run of one study as its notebook leaves it: only the first has a column `direction`."""
    options = {"parameters": FORWARD} | options
    if study == "lora_vs_transfer":
        return write_run(folder / study, arms=ARMS, seeds=(0, 1), **options)
    arms = FRACTIONS if study == "data_fractions" else {"lora-r2": ERRORS, "block1": ERRORS}
    return write_run(folder / study, arms=arms, study=study, direction=None, **options)


def scores_of(run):
    return score(pd.read_parquet(run.folder / "predictions.parquet"), n_bootstrap=20)


def test_measured_means_over_seeds_stand_beside_the_printed_number(tmp_path):
    run = write(tmp_path, "lora_vs_transfer")
    beside = compare_with_paper(scores_of(run), study="lora_vs_transfer", parameters=FORWARD)
    assert list(beside) == list(COLUMNS)
    (row,) = beside.query(LORA_ON_COMBO).to_dict("records")
    measured = scores_of(run).query(LORA_ON_COMBO)["value"]
    assert (row["printed"], row["model"], row["n_seeds"], row["direction"]) == (0.0223, "CNN-LoRA", 2, "forward")
    assert row["measured_here"] == pytest.approx(measured.mean()) and row["std"] == pytest.approx(measured.std())
    assert "galaxiesml" in set(beside["survey"]), "a twin stands for the survey of the paper"
    assert beside.query("arm == 'tl'")["printed"].isna().all(), "which the paper did not print"


def test_swapped_surveys_stand_beside_the_other_direction_whatever_their_column_says(tmp_path):
    run = write(tmp_path, "lora_vs_transfer", parameters=SWAPPED, direction="forward")
    for beside in (
        compare_with_paper(scores_of(run), study="lora_vs_transfer", parameters=SWAPPED),
        compare_runs_with_paper(load_ledger(tmp_path)),
    ):
        (row,) = beside.query(LORA_ON_COMBO).to_dict("records")
        assert (row["printed"], row["model"], row["direction"]) == (0.0378, "CNN-LoRA-Rev", "reverse")


def test_fractions_stand_beside_the_same_fraction(tmp_path):
    run = write(tmp_path, "data_fractions")
    beside = compare_with_paper(scores_of(run), study="data_fractions", parameters=FORWARD)
    printed = beside.query(LORA_ON_COMBO).set_index("fraction")["printed"]
    assert printed.drop(0.15).to_dict() == {0.1: 0.0271, 1.0: 0.0223}
    assert printed.isna()[0.15]


@pytest.mark.parametrize(
    ("study", "parameters"),
    [("data_fractions", SWAPPED), ("data_fractions", ELSEWHERE), ("lora_vs_transfer", ELSEWHERE)],
)
def test_nothing_stands_beside_another_move(tmp_path, study, parameters):
    run = write(tmp_path, study, parameters=parameters)
    beside = compare_with_paper(scores_of(run), study=study, parameters=parameters)
    assert beside.empty and list(beside) == list(COLUMNS)
    ledger = load_ledger(tmp_path)
    assert compare_runs_with_paper(ledger).empty
    assert describe_counterparts(ledger)["beside"].str.startswith("nothing: ").all()


def test_scores_of_a_study_that_no_paper_has_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="data_fractions"):
        compare_with_paper(scores_of(write(tmp_path, "layers_and_ranks")), study="layers_and_ranks", parameters=FORWARD)


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
    told = describe_counterparts(ledger).set_index("study")["beside"]
    assert sorted(told.index) == sorted(studies)
    assert {study for study, words in told.items() if not words.startswith("nothing")} == printed


def test_both_directions_of_one_experiment_stand_beside_their_own_numbers(tmp_path):
    for direction in ("forward", "reverse"):
        write_run(tmp_path / direction, arms=ARMS, parameters=FORWARD | {"direction": direction}, direction=direction)
    ledger = load_ledger(tmp_path)
    beside = compare_runs_with_paper(ledger)
    assert beside["experiment"].nunique() == 1
    assert beside.query(LORA_ON_COMBO).set_index("direction")["printed"].to_dict() == {
        "forward": 0.0223,
        "reverse": 0.0378,
    }
    assert describe_counterparts(ledger)["direction"].tolist() == ["forward", "reverse"]
