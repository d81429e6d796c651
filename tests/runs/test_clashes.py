"""Parameters that do not fit the surveys: named at once, each by its name, before anything runs."""

import pytest

import astrolab as al
from astrolab.errors import ParameterError
from astrolab.parameters import default_parameters, find_notebook
from astrolab.runs.clashes import require_agreement

MANIFEST = """
name = "{name}"
title = "{name}"
version = "1"

[[label]]
name = "{label}"
column = ["{label}"]

[input.magnitudes]
channels = [{channels}]
columns = ["g", "r"]

[format]
format = "csv"

[[files]]
path = "{name}.csv"
"""


@pytest.fixture
def catalogue(tmp_path):
    def write(name, *, label="z", channels='"sdss-g", "sdss-r"', rows=True):
        (tmp_path / f"{name}.toml").write_text(MANIFEST.format(name=name, label=label, channels=channels))
        lines = [f"g,r,size,{label}", *(f"{20 + k / 10},{19 + k / 7},{k},{k / 50}" for k in range(40))]
        if rows:
            (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
        return str(tmp_path / f"{name}.toml")

    return write


def parameters(study="lora_vs_transfer", **changes):
    return default_parameters(find_notebook(study)) | changes


def problems(**changes):
    with pytest.raises(ParameterError) as caught:
        require_agreement(parameters(**changes), study="lora_vs_transfer")
    return [line.strip("- ").partition(": ") for line in caught.value.received.strip().splitlines()]


def test_the_defaults_of_every_study_agree():
    for study in ("lora_vs_transfer", "data_fractions", "layers_and_ranks", "stellar_spectra"):
        require_agreement(parameters(study), study=study)
    require_agreement({"pretrain_survey": 7}, study="of a user's own")


def test_labels_that_a_survey_does_not_have_are_named(catalogue):
    given = parameters("stellar_spectra", finetune_survey=catalogue("stars", label="feh"))
    with pytest.raises(ParameterError, match="labels: stars has no label 'alpha_fe'; it has feh"):
        require_agreement(given, study="stellar_spectra")
    with pytest.raises(ParameterError, match=r"bridge: .*resolution"):
        require_agreement(parameters("stellar_spectra", bridge={"resolution": -3}), study="stellar_spectra")


def test_the_defaults_follow_a_catalogue_of_ones_own(catalogue):
    surveys = {"pretrain_survey": catalogue("old"), "finetune_survey": catalogue("new")}
    require_agreement(parameters(**surveys, slice_by=["size"]), study="lora_vs_transfer")
    assert [name for name, _, _ in problems(**surveys)] == ["slice_by", "slice_by"]  # the twins' column, of both


def test_all_that_clashes_is_named_at_once_by_its_parameter(catalogue):
    surveys = {"pretrain_survey": catalogue("old"), "finetune_survey": catalogue("new", channels='"hsc-g", "hsc-r"')}
    wrong = {"model": "cnn", "scaling": "asinh", "training": {"augment": "dihedral"}, "slice_by": ["mass"]}
    wrong |= {"union_keeps": "galaxiesml", "model_options": {"width": 8, "mlp": {"depth": 3}}}
    found = problems(**surveys, **wrong)
    assert {name for name, _, _ in found} == {*wrong, "finetune_survey"}
    said = {name: text for name, _, text in found}
    assert "'mlp'" in said["model"] and "size" in said["slice_by"] and "old and new" in said["union_keeps"]
    assert "hsc-g" in said["finetune_survey"] and len(found) == len(set(map(str, found)))


def test_surveys_that_are_not_there_or_cannot_be_learned_from_are_named(catalogue):
    absent, unread = problems(pretrain_survey="galaxyml", finetune_survey=catalogue("new", rows=False))
    assert absent[0] == "pretrain_survey" and "galaxiesml" in absent[2]
    assert unread[0] == "finetune_survey" and "new" in unread[2]
    surveys = {"pretrain_survey": catalogue("old"), "finetune_survey": catalogue("new", label="feh"), "slice_by": []}
    assert [name for name, _, _ in problems(**surveys)] == ["finetune_survey"]


def test_a_range_of_redshifts_that_a_survey_does_not_have(catalogue):
    surveys = {"pretrain_survey": catalogue("old"), "finetune_survey": catalogue("new"), "slice_by": []}  # z up to 0.78
    assert [name for name, _, _ in problems(**surveys, z_range=[0.9, 1.5])] == ["z_range", "z_range"]
    require_agreement(parameters(**surveys, z_range=[]), study="lora_vs_transfer")


def test_settings_of_training_are_read_before_a_kernel_starts():
    ((name, _, text),) = problems(training={"batchsize": 64})
    assert name == "training" and "batch_size" in text


def test_a_run_is_refused_before_its_folder_is_made(catalogue, runs_here):
    with pytest.raises(ParameterError, match="slice_by"):
        al.open_run(study="lora_vs_transfer", parameters=parameters(pretrain_survey=catalogue("old")))
    assert not runs_here.exists()
