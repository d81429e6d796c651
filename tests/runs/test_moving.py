"""Surveys of a study made ready in one call, and a run on small twins taken up again."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import astrolab as al
from astrolab.datasets.survey import Provenance, Survey
from astrolab.errors import ConfigError, LeakError, RunError, UnknownNameError
from astrolab.tasks import QUANTITIES, InputSpec, make_task

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


def catalogue(name, *, positions):
    """A catalogue with ids of its own: only positions say which objects another one has, too."""
    n = len(positions)
    return Survey(
        name=name,
        inputs={"magnitudes": np.random.default_rng(n).normal(20, 1, (n, 2)).astype(np.float32)},
        specs={"magnitudes": InputSpec(("band",), ("g", "r"), "AB mag")},
        labels=pd.DataFrame({"z": np.linspace(0.4, 1.4, n)}),
        ids=np.arange(n),
        sky_deg=positions,
        provenance=Provenance(survey=name, title=name, id_scheme=name, digest=name),
        task=make_task([QUANTITIES["z"]]),
    )


def test_an_object_that_trains_in_one_survey_and_is_tested_in_the_other_leaves_or_stops_the_study(monkeypatch):
    sky = np.random.default_rng(0).uniform(0, 20, (500, 2))
    surveys = {"old": catalogue("old", positions=sky[:300]), "new": catalogue("new", positions=sky[200:])}
    monkeypatch.setattr("astrolab.runs.moving.load_survey", lambda name, **options: surveys[name])
    move = al.prepare_move(pretrain="old", finetune="new")
    trained, tested = move.trains["base"].sky_deg[:, 0], move.finetune.test.sky_deg[:, 0]
    assert not set(trained) & set(tested) and len(trained) < len(al.split(surveys["old"]).train)
    with pytest.raises(LeakError):
        al.prepare_move(pretrain="old", finetune="new", on_leak="stop")


MANIFEST = """
name = "{name}"
title = "{name}"
version = "1"
split = [0.6, 0.2, 0.2]
where = "r < 24"
[[label]]
name = "z"
column = "zspec"
[id]
column = "id"
scheme = "{name}"
[input.magnitudes]
channels = ["g", "r"]
columns = ["g", "r"]
[format]
format = "csv"
[[files]]
path = "{name}.csv"
"""


@pytest.fixture
def files(tmp_path):
    """Two catalogues of 500 galaxies in files; of each 450 are brighter than r = 24."""
    for seed, name in enumerate(("near", "deep")):
        rng = np.random.default_rng(seed)
        r = rng.permutation(np.linspace(15, 25, 500))
        columns = {"id": range(500), "zspec": rng.uniform(0.1, 1, 500), "g": r + rng.normal(0, 1, 500), "r": r}
        pd.DataFrame(columns).to_csv(tmp_path / f"{name}.csv", index=False)
        (tmp_path / f"{name}.toml").write_text(MANIFEST.format(name=name))
    return {"pretrain": str(tmp_path / "near.toml"), "finetune": str(tmp_path / "deep.toml")}


def test_fewer_objects_to_learn_from_leave_the_test_set_whole(files):
    whole = al.prepare_move(**files)
    assert len(whole.surveys["finetune"]) == 450 and len(whole.finetune.test) / 450 == pytest.approx(0.2, abs=0.05)
    small, large = (al.prepare_move(**files, n_finetune=n) for n in (40, 100))
    for move, n in ((small, 40), (large, 100)):
        learned = len(move.finetune.train) + len(move.finetune.validation)
        assert learned == n and len(move.finetune.train) / n == pytest.approx(0.75, abs=0.04)
        assert [test.digest for test in move.tests] == [test.digest for test in whole.tests]
        assert move.pretrain.train.digest == whole.pretrain.train.digest
    for part in ("train", "validation"):
        ids = [set(getattr(move.finetune, part).ids) for move in (small, large, whole)]
        assert ids[0] < ids[1] < ids[2]
    assert al.prepare_move(**files, n_finetune=450).finetune.train.digest == whole.finetune.train.digest
    with pytest.raises(ConfigError, match="451 galaxies of 'deep' were asked for to learn from"):
        al.prepare_move(**files, n_finetune=451)


def test_of_a_cross_validation_every_object_of_the_finetuning_survey_is_tested_once(files):
    move = al.prepare_move(**files, folds=3)
    tested = [fold.finetune.test for fold in move.folds]
    assert sorted(np.concatenate([test.ids for test in tested])) == sorted(move.surveys["finetune"].ids)
    assert len(move.tests[1]) == 450 and [fold.tests[1].digest for fold in move.folds] == [one.digest for one in tested]
    for fold in move.folds:
        assert not set(fold.finetune.train.ids) & set(fold.finetune.test.ids)
        assert fold.pretrain.train.digest == move.pretrain.train.digest
    assert al.prepare_move(**files).folds[0].tests[1].name == "deep"


def test_a_move_can_be_had_with_embeddings_in_the_place_of_its_inputs(runs, monkeypatch, tmp_path):
    run, move, _ = runs
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))
    model, scaling = al.reload_model(run, arm="base", seed=0)
    embedded = move.embed(model, scaling=scaling)
    one = al.embed(model, survey=move.finetune.train, scaling=scaling)
    assert np.array_equal(embedded.finetune.train.inputs["embedding"], one.inputs["embedding"])
    assert list(embedded.union.test.specs) == ["embedding"] and embedded.audit is move.audit
    assert embedded.with_labels("z").pretrain.test.labels.equals(move.pretrain.test.labels)


def test_a_test_set_can_be_cut_and_other_shares_and_objects_be_asked_for(files, tmp_path):
    chosen = {"pretrain_where": "z < 0.5", "finetune_where": "r >= 24"}
    move = al.prepare_move(**files, **chosen, n_pretrain=90, n_test=30, split=(0.4, 0.2, 0.4))
    assert [len(test) for test in move.tests] == [30, len(move.finetune.test), 30 + len(move.finetune.test)]
    assert move.surveys["finetune"].column("r").min() >= 24 and move.surveys["pretrain"].labels["z"].max() < 0.5
    assert len(move.finetune.test) / 50 == pytest.approx(0.4, abs=0.15)
    run = al.open_run(study="any", parameters={}, directory=tmp_path / "run")
    run.record_move(move)
    again = al.reload_move(run)
    assert [test.digest for test in again.tests] == [test.digest for test in move.tests]
    assert again.trains["union"].digest == move.trains["union"].digest


def test_two_choices_of_one_survey_are_two_surveys(files):
    one = files["finetune"]
    move = al.prepare_move(pretrain=one, finetune=one, pretrain_where="r < 20", finetune_where="r >= 20")
    assert [test.name for test in move.tests] == ["deep-pretrain", "deep-finetune", "combo"]
    assert len(move.audit.table) == 3 * 3 * 3, "three training sets, three test sets, three ways"
    assert len(move.union.test) == len(move.pretrain.test) + len(move.finetune.test)


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
