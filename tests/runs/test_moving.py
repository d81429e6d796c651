"""Surveys of a study made ready in one call, and a run on small twins taken up again."""

import json
import shutil

import numpy as np
import pytest

import astrolab as al
from astrolab.errors import LeakError, RunError, UnknownNameError

MOVE = {"pretrain": "twin-transferz", "finetune": "twin-galaxiesml", "n_pretrain": 40, "n_finetune": 60}
MOVE |= {"seed": 3, "image_size": 16}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A finished run, its move, and the predictions of the networks that it saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROLAB_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("ASTROLAB_DATA_DIR", str(tmp_path_factory.getbasetemp() / "astrolab-data"))
        run = al.open_run(study="lora_vs_transfer", parameters={})
        move = al.prepare_move(**MOVE, direction="reverse", scored={"z": (0.2, 1.0)})
        run.record_move(move)
        network = al.make_model("cnn", survey=move.surveys["pretrain"], seed=0, width=8)
        scaling = al.fit_scaling(move.pretrain.train, inputs=network.inputs)
        setup = {"seed": 0, "scaling": scaling, "config": al.TrainConfig(epochs=1, batch_size=16)}
        base = run.fit(network, adapt={"strategy": "scratch"}, arm="base", sample=move.sample("pretrain"), **setup)
        lora = run.fit(
            base.adapted.network, adapt={"strategy": "lora"}, arm="lora", sample=move.sample("finetune"), **setup
        )
        answers = {
            one.fit: run.predict(one, survey=move.tests[0], scaling=scaling)["pred.z"].to_numpy()
            for one in (base, lora)
        }
        run.finish()
        yield run, move, answers


def test_a_move_says_what_it_did(runs):
    _, move, _ = runs
    assert [test.name for test in move.tests] == ["twin-galaxiesml", "twin-transferz", "combo"], "reverse"
    assert {survey.task.quantity("z").scored for survey in move.tests} == {(0.2, 1.0)}
    said = repr(move)
    assert "simulated" in said and "shift" in said and f"{len(move.pretrain.train):,}" in said
    assert move.sample("union") is move.union and move.sample("nothing") is move.finetune
    with pytest.raises(UnknownNameError, match="pretrain"):
        move.sample("pretran")
    assert list(move.table["survey"] if "survey" in move.table else move.table.index)


def test_no_test_object_is_trained_on(runs):
    _, move, _ = runs
    for train in move.trains.values():
        for test in move.tests:
            assert not set(train.ids) & set(test.ids)


def test_a_leak_stops_the_study_where_that_was_asked_for():
    """The twins share galaxies of one sky: some train in one survey and are tested in the other."""
    with pytest.raises(LeakError):
        al.prepare_move(**MOVE | {"n_pretrain": 400, "n_finetune": 400}, on_leak="stop")


def test_a_run_is_made_ready_again_from_its_record_object_by_object(runs):
    run, move, _ = runs
    again = al.reload_move(run.folder)
    for old, new in zip(move.tests, again.tests, strict=True):
        assert (old.name, old.digest) == (new.name, new.digest) and old.task == new.task
        np.testing.assert_array_equal(old.inputs["image"][:], new.inputs["image"][:])
    assert al.reload_move(run).union.train.digest == move.union.train.digest


def test_other_objects_are_refused(runs, tmp_path):
    run, _, _ = runs
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    for changed in ({"n_pretrain": 41}, {"seed": 4}):
        folder = tmp_path / next(iter(changed))
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(record | {"move": record["move"] | changed}), encoding="utf-8")
        with pytest.raises(RunError, match=r"digest [0-9a-f]{12}"):
            al.reload_move(folder)


def test_a_run_without_a_move_is_refused(runs, tmp_path):
    run, _, _ = runs
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    (tmp_path / "run.json").write_text(json.dumps(record | {"move": {}}), encoding="utf-8")
    with pytest.raises(RunError, match="no move"):
        al.reload_move(tmp_path)


def test_networks_come_back_with_their_scaling(runs, tmp_path):
    run, move, answers = runs
    shutil.copytree(run.folder, tmp_path / "moved away")
    for fit, expected in answers.items():
        adapted, scaling = al.reload_model(tmp_path / "moved away", arm=fit.removesuffix("-s0"), seed=0)
        again = al.predict(adapted, survey=move.tests[0], scaling=scaling)["pred.z"]
        np.testing.assert_array_equal(again, expected)
    with pytest.raises(UnknownNameError, match="lora-s0"):
        al.reload_model(run, arm="lora", seed=7)
