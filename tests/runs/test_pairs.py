import pytest
from simulated_runs import write_run

from astrolab.metrics import compare_models
from astrolab.runs.ledger import load_ledger
from astrolab.runs.pairs import COLUMNS, compare_arms, describe_pairs

GOOD, BAD = {"near": (0.0, 0.02), "far": (0.0, 0.03)}, {"near": (0.03, 0.06), "far": (0.03, 0.08)}
ARMS = {"tl": BAD, "lora": GOOD, "full": GOOD}
FRACTIONS = {f"{arm}@{fraction}": errors for fraction in (0.1, 1.0) for arm, errors in (("tl", BAD), ("lora", GOOD))}
LAYERS = {"zero_shot": BAD, "lora-r2": GOOD, "block1": GOOD}
FAST = {"metrics": ["scatter"], "n_bootstrap": 50}


def write(folder, study, **options):
    """A run of one study as its notebook leaves it: only the first has a column `direction`."""
    if study == "lora_vs_transfer":
        return write_run(folder / study, arms=ARMS, **options)
    arms = FRACTIONS if study == "data_fractions" else LAYERS
    return write_run(folder / study, arms=arms, study=study, direction=None, **options)


def test_every_pair_of_arms_is_compared_as_the_predictions_are(tmp_path):
    write(tmp_path, "lora_vs_transfer", seeds=(0, 1))
    ledger = load_ledger(tmp_path)
    compared = compare_arms(ledger, **FAST)
    assert list(compared) == list(COLUMNS)
    assert compared.query("survey == 'far'")[["a", "b"]].to_numpy().tolist() == [
        ["tl", "lora"],
        ["tl", "full"],
        ["lora", "full"],
    ]
    alone = compare_models(ledger.predictions(), **FAST)
    assert compared["difference"].tolist() == alone["difference"].tolist()
    assert set(compared["direction"]) == {"forward"} and set(compared["study"]) == {"lora_vs_transfer"}
    assert set(compare_arms(ledger, arms=["tl", "lora"], **FAST)["b"]) == {"lora"}


def test_each_experiment_is_compared_in_the_redshifts_in_which_it_was_scored(tmp_path):
    ranges = {"a": (0.6, 1.4), "b": (0.5, 1.0)}
    for name, z_range in ranges.items():
        write_run(tmp_path / name, arms=ARMS, parameters={"z_range": list(z_range)})
    ledger = load_ledger(tmp_path)
    for name, z_range in ranges.items():
        part = ledger.where(run=name)
        alone = compare_models(part.predictions(), z_range=z_range, **FAST)
        assert compare_arms(part, **FAST)["n"].tolist() == alone["n"].tolist()
    together, everywhere = compare_arms(ledger, **FAST), compare_arms(ledger, z_range=None, **FAST)
    assert together["n"].nunique() > 2 and (everywhere["n"] > together["n"]).all()


def test_of_fractions_the_whole_set_is_compared(tmp_path):
    write(tmp_path, "data_fractions")
    compared = compare_arms(load_ledger(tmp_path), **FAST)
    assert set(compared["fraction"]) == {1.0} and len(compared) == 2
    assert set(compared["better"]) == {"lora"} and compared["direction"].isna().all()


@pytest.mark.parametrize(
    ("studies", "compared"),
    [
        (["lora_vs_transfer"], {"lora_vs_transfer"}),
        (["data_fractions"], {"data_fractions"}),
        (["layers_and_ranks"], set()),
        (["data_fractions", "layers_and_ranks"], {"data_fractions"}),
        (["lora_vs_transfer", "data_fractions"], {"lora_vs_transfer", "data_fractions"}),
    ],
)
def test_a_folder_may_hold_any_studies(tmp_path, studies, compared):
    for study in studies:
        write(tmp_path, study)
    arms = ["zero_shot", "tl", "lora", "full"]
    ledger = load_ledger(tmp_path)
    table = compare_arms(ledger, arms=arms, **FAST)
    assert set(COLUMNS) <= set(table) and set(table["study"]) == compared
    words = describe_pairs(ledger, arms=arms).set_index("study")["compared"]
    assert sorted(words.index) == sorted(studies)
    assert {study for study, text in words.items() if not text.startswith("nothing")} == compared


def test_directions_are_compared_each_by_itself(tmp_path):
    for direction in ("forward", "reverse"):
        write_run(tmp_path / direction, arms=ARMS, parameters={"direction": direction}, direction=direction)
    ledger = load_ledger(tmp_path)
    assert compare_arms(ledger, **FAST).groupby("direction").size().to_dict() == {"forward": 6, "reverse": 6}
    assert describe_pairs(ledger)["direction"].tolist() == ["forward", "reverse"]


def test_only_the_newest_of_what_runs_repeat_is_compared(tmp_path):
    write(tmp_path / "old", "lora_vs_transfer", seeds=(0, 1), parameters={"strategies": list(ARMS)})
    write_run(tmp_path / "new", arms={"lora": BAD}, seeds=(1, 2), parameters={"strategies": ["lora"]})
    compared = compare_arms(load_ledger(tmp_path), arms=["tl", "lora"], **FAST)
    assert set(compared["n_seeds"]) == {2}


def test_words_say_why_nothing_can_be_compared(tmp_path):
    write_run(tmp_path / "a", arms={"tl": BAD}, seeds=(0,), parameters={"strategies": ["tl"]})
    write_run(tmp_path / "b", arms={"lora": GOOD}, seeds=(1,), parameters={"strategies": ["lora"]})
    ledger = load_ledger(tmp_path)
    for arms, words in (
        (None, "nothing: tl, lora have no training seed in common"),
        (["lora"], "nothing: lora alone"),
        (["full"], "nothing: none of the arms that were asked for"),
    ):
        assert compare_arms(ledger, arms=arms, **FAST).empty
        assert describe_pairs(ledger, arms=arms)["compared"].tolist() == [words]
    write_run(tmp_path / "c", arms={"tl": BAD}, seeds=(1,), parameters={"strategies": ["tl"]})
    assert describe_pairs(load_ledger(tmp_path))["compared"].tolist() == ["every pair of tl, lora; training seeds: 1"]
