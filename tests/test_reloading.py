"""A small run on small twins, taken up again."""

import json
import shutil

import numpy as np
import pytest

import astrolab as al
from astrolab.errors import RunError, UnknownNameError
from astrolab.models.network import InputRecord
from astrolab.reloading import find_run, reload_model, reload_surveys

PARAMETERS = {
    "pretrain_survey": "twin-transferz",
    "finetune_survey": "twin-galaxiesml",
    "n_pretrain": 40,
    "n_finetune": 60,
    "data_seed": 3,
    "image_size": 16,
    "data_directory": "",
    "union_name": "combo",
    "union_keeps": "twin-galaxiesml",
    "direction": "reverse",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs, and the predictions of the networks that the second one saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("ASTROLAB_DATA_DIR", str(tmp_path_factory.getbasetemp() / "astrolab-data"))
        for number in (1, 2):
            run = al.open_run(study="lora_vs_transfer", parameters=PARAMETERS | {"number": number})
            run.record["started"] = f"2026-01-0{number}T00:00:00"
            options = {"seed": 3, "image_size": 16}
            surveys = {
                "pretrain": al.load_survey("twin-galaxiesml", n=60, **options),
                "finetune": al.load_survey("twin-transferz", n=40, **options),
            }
            run.record_surveys(surveys)
            tests = [al.split(survey, seed=3).test for survey in surveys.values()]
            run.finish()
        network = al.make_model("redshift_cnn", n_bands=5, seed=0, width=8).eval()
        scaling = al.fit_scaling(tests[0])
        network.trained_on = InputRecord.of(tests[0], input_name="image")
        adapted = al.adapt(network, strategy="lora", seed=1)
        for name, model in (("base-s0", network), ("lora-s0", adapted)):
            al.save_model(model, directory=run.folder / "models" / name)
            scaling.save(run.folder / "models" / name / "scaling.json")
        answers = {
            name: al.predict(model, survey=tests[0], scaling=scaling)["pred"].to_numpy()
            for name, model in (("base", network), ("lora", adapted))
        }
        yield run, tests, answers


def test_the_newest_finished_run_is_found(runs):
    run, _, _ = runs
    assert find_run("lora_vs_transfer") == run.folder
    assert find_run("lora_vs_transfer", directory=run.folder) == run.folder


def test_without_a_run_the_command_that_makes_one_is_named(runs, tmp_path, monkeypatch):
    with pytest.raises(RunError, match="astrolab run data_fractions --preset smoke"):
        find_run("data_fractions")
    for directory in (tmp_path / "nothing", tmp_path):
        monkeypatch.setenv("ASTROLAB_RUNS_DIR", str(directory))
        with pytest.raises(RunError, match="astrolab run lora_vs_transfer --preset smoke"):
            find_run("lora_vs_transfer")


def test_a_folder_of_another_study_or_an_unfinished_run_is_refused(runs, tmp_path):
    run, _, _ = runs
    with pytest.raises(RunError, match="a run of 'lora_vs_transfer'"):
        find_run("data_fractions", directory=run.folder)
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    record = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    (copy / "run.json").write_text(json.dumps(record | {"status": "running"}), encoding="utf-8")
    with pytest.raises(RunError, match="running"):
        find_run("lora_vs_transfer", directory=copy)


def test_test_sets_come_back_galaxy_by_galaxy(runs):
    run, tests, _ = runs
    again = reload_surveys(run.folder)
    assert list(again) == ["twin-galaxiesml", "twin-transferz", "combo"]
    for test in tests:
        assert again[test.name].digest == test.digest
        np.testing.assert_array_equal(again[test.name].inputs["image"][:], test.inputs["image"][:])
    assert len(again["combo"]) <= sum(map(len, tests))
    assert list(reload_surveys(run)) == list(again)


def test_other_galaxies_are_refused(runs, tmp_path):
    run, _, _ = runs
    for changed in ({"n_pretrain": 41}, {"data_seed": 4}):
        copy = tmp_path / next(iter(changed))
        copy.mkdir()
        record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
        record["parameters"] |= changed
        (copy / "run.json").write_text(json.dumps(record), encoding="utf-8")
        with pytest.raises(RunError, match=r"digest [0-9a-f]{12}"):
            reload_surveys(copy)


def test_a_study_without_two_surveys_is_refused(runs, tmp_path):
    run, _, _ = runs
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "run.json").write_text(json.dumps(record | {"parameters": {"data_seed": 0}}), encoding="utf-8")
    with pytest.raises(RunError, match="lack pretrain_survey"):
        reload_surveys(tmp_path)


def test_networks_come_back_with_their_scaling(runs):
    run, tests, answers = runs
    for arm, expected in answers.items():
        adapted, scaling = reload_model(run, arm=arm, seed=0)
        again = al.predict(adapted, survey=tests[0], scaling=scaling)["pred"]
        np.testing.assert_array_equal(again, expected)
        assert adapted.trained_on.shape == (5, 16, 16), "stamps of another size mean nothing to it"


def test_a_network_that_was_never_trained_says_nothing_of_it(runs):
    run, tests, _ = runs
    scaling = al.fit_scaling(tests[0], input_name="magnitudes", method="standard")
    folder = run.folder / "models" / "base-s1"
    al.save_model(al.make_model("redshift_mlp", n_bands=5, seed=1).eval(), directory=folder)
    scaling.save(folder / "scaling.json")
    adapted, again = reload_model(run, arm="base", seed=1)
    assert adapted.trained_on is None and again == scaling


def test_a_network_that_is_not_there_is_refused(runs):
    run, _, _ = runs
    with pytest.raises(UnknownNameError, match="lora-s0"):
        reload_model(run, arm="lora", seed=7)
