from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from astrolab.errors import ConfigError, EmptySplitError, SchemaError
from astrolab.trainers.config import TrainConfig
from astrolab.trainers.data import TrainingData, survey_labels


def data_of(case, **changes):
    return TrainingData(**{"train": case.train, "validation": case.validation, "scaling": case.image_scaling} | changes)


def test_surveys_that_fit_are_accepted(case):
    data_of(case).require_fit(case.cnn, config=case.config)


def test_what_does_not_fit_is_refused(case):
    renamed = replace(case.validation, bands=("hsc-i", "hsc-r", "hsc-g"))
    in_nanojansky = replace(case.validation, provenance=replace(case.validation.provenance, image_unit="nJy"))
    cropped = replace(case.validation, inputs={"image": case.validation.inputs["image"][..., :6]})
    refused = [
        (SchemaError, {"validation": renamed}),
        (SchemaError, {"validation": in_nanojansky, "scaling": replace(case.image_scaling, unit="counts")}),
        (SchemaError, {"validation": cropped}),
        (SchemaError, {"scaling": case.magnitude_scaling}),
        (SchemaError, {"train": replace(case.train, inputs={"magnitudes": case.train.inputs["magnitudes"]})}),
        (EmptySplitError, {"validation": case.validation.take(slice(0, 0))}),
        (EmptySplitError, {"train": case.train.take([0])}),
    ]
    for error, change in refused:
        with pytest.raises(error):
            data_of(case, **change).require_fit(case.cnn, config=case.config)


def test_only_square_images_are_turned(case):
    turning = TrainConfig(augment="dihedral")
    data_of(case).require_fit(case.cnn, config=turning)
    with pytest.raises(ConfigError, match="square"):
        data_of(case, scaling=case.magnitude_scaling).require_fit(case.mlp, config=turning)


def test_labels_that_are_no_numbers_are_named(case):
    labels = case.train.labels.copy()
    labels.loc[[3, 7], "z"] = [np.nan, np.inf]
    with pytest.raises(SchemaError, match=r"2 of 45 galaxies: 1003, 1007"):
        survey_labels(replace(case.train, labels=labels), label="z")
    with pytest.raises(SchemaError, match="available: z"):
        survey_labels(case.train, label="redshift")


def test_the_digests_follow_galaxies_and_labels(case):
    shifted = replace(case.train, labels=case.train.labels + 0.1)
    one, two = data_of(case).digests(label="z"), data_of(case, train=shifted).digests(label="z")
    assert one["galaxies"] == two["galaxies"] and one["labels"]["train"] != two["labels"]["train"]
    assert data_of(case, train=case.train.take(slice(9))).digests(label="z")["galaxies"] != one["galaxies"]


def test_the_digests_follow_what_is_read_from_the_same_files(case):
    images, magnitudes = case.train.inputs["image"], case.train.inputs["magnitudes"].copy()
    cropped = replace(case.train, inputs={"image": images[..., 1:7, 1:7]})
    in_other_units = replace(case.train, inputs={"image": images * 2})
    assert cropped.digest == in_other_units.digest == case.train.digest
    digests = {data_of(case, train=survey).digests(label="z")["inputs"]["train"] for survey in (case.train, cropped)}
    digests.add(data_of(case, train=in_other_units).digests(label="z")["inputs"]["train"])
    assert len(digests) == 3
    magnitudes[17, 1] = np.nan  # one sentinel more
    one, two = (
        data_of(case, train=survey, scaling=case.magnitude_scaling).digests(label="z")["inputs"]["train"]
        for survey in (case.train, replace(case.train, inputs={"magnitudes": magnitudes}))
    )
    assert one != two


def test_a_clamp_that_would_change_the_labels_is_refused(case):
    masses = pd.DataFrame({"logmass": np.linspace(9, 11, len(case.train))})
    data = data_of(case, train=replace(case.train, labels=masses), validation=replace(case.train, labels=masses))
    config = TrainConfig(label="logmass")
    with pytest.raises(ConfigError, match=r"45 of 45 outside, from 9 to 11"):
        data.require_fit(case.cnn, config=config)
    data.require_fit(case.cnn, config=config.with_changes(label_clamp=None))
    low = replace(case.validation, labels=case.validation.labels - 0.5)
    with pytest.raises(ConfigError, match=r"of mock were to lie in label_clamp(?s:.*)of 20 outside"):
        data_of(case, validation=low).require_fit(case.cnn, config=case.config)


@pytest.mark.parametrize("which", ["train", "validation"])
def test_a_redshift_that_cannot_be_is_refused_and_never_clamped(case, which):
    survey = getattr(case, which)
    labels = survey.labels.copy()
    labels.loc[3, "z"] = -9.0
    data = data_of(case, **{which: replace(survey, labels=labels)})
    with pytest.raises(SchemaError, match=rf"1 of {len(survey)} at or below -1, the lowest -9: {survey.ids[3]}"):
        data.require_fit(case.cnn, config=case.config)
    data.require_fit(case.cnn, config=case.config.with_changes(loss="mse", label_clamp=None))
