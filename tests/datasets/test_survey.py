"""A Survey is immutable, lazy, complete in one line, and refuses parts that do not fit."""

import dataclasses
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pandas as pd
import pytest

from astrolab.datasets.rows import LazyRows
from astrolab.datasets.survey import Provenance, choose, describe_surveys
from astrolab.errors import ConfigError, SchemaError, UnknownNameError
from astrolab.tasks import make_task

HSC = [f"hsc-{band}" for band in "grizy"]


class CountingRows(LazyRows):
    """Rows that remember how many of them were read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.n_read = values, values.shape, values.dtype, 0

    def _read(self, numbers):
        self.n_read += len(numbers)
        return self.values[numbers]


def test_the_repr_says_it_in_one_line(make_survey):
    z = np.array([0.02, 0.51, 3.9])
    twin = Provenance(survey="twin-galaxiesml", title="GalaxiesML twin", simulated=True)
    survey = make_survey(n=3, labels=pd.DataFrame({"z": z}), provenance=twin)
    assert repr(survey) == (
        "GalaxiesML twin (simulated): 3 galaxies · image 5×8×8 hsc-g…hsc-y · magnitudes 5 hsc-g…hsc-y"
        " · z 0.02–3.9 (median 0.51)"
    )
    assert "\n" not in repr(survey.take([]))


def test_take_keeps_every_part_together_and_repeats(make_survey):
    survey = make_survey(n=10)
    index = [7, 0, 7, -1]
    part = survey.take(index)
    np.testing.assert_array_equal(part.ids, survey.ids[index])
    np.testing.assert_array_equal(part.labels["z"], survey.labels["z"].to_numpy()[index])
    np.testing.assert_array_equal(part.inputs["image"][:], survey.inputs["image"][index])
    np.testing.assert_array_equal(part.sky_deg, survey.sky_deg[index])
    np.testing.assert_array_equal(part.catalogue["i_sersic_index"], survey.catalogue["i_sersic_index"][index])
    np.testing.assert_array_equal(part.take(np.array([False, True, False, True])).ids, survey.ids[[0, -1]])


def test_take_reads_no_pixel(make_survey):
    rows = CountingRows(np.zeros((20, 5, 4, 4), dtype=np.float32))
    survey = make_survey(n=20, inputs={"image": rows})
    part = survey.take(np.arange(19, 0, -2)).take(slice(2, 5))
    assert rows.n_read == 0
    assert part.inputs["image"][[0, 2]].shape == (2, 5, 4, 4)
    assert rows.n_read == 2


def test_nothing_can_be_written(make_survey):
    survey = make_survey()
    for part in (survey, survey.take(slice(3))):
        with pytest.raises(dataclasses.FrozenInstanceError):
            part.name = "other"
        with pytest.raises(TypeError):
            part.inputs["image"] = None
        for array in (part.ids, part.sky_deg, part.catalogue["i_sersic_index"]):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        survey.inputs["image"][0] = 0


def test_a_pickle_comes_back_the_same(make_survey):
    survey = make_survey(published_split=np.full(40, "train"))
    back = ForkingPickler.loads(ForkingPickler.dumps(survey))
    assert back.digest == survey.digest and repr(back) == repr(survey)
    np.testing.assert_array_equal(back.inputs["image"][:], survey.inputs["image"])


def test_the_digest_tells_galaxies_and_their_order_apart(make_survey):
    survey = make_survey()
    digests = {
        survey.digest,
        survey.take(slice(39)).digest,
        survey.take(np.arange(40)[::-1]).digest,
        make_survey(seed=1).digest,
    }
    assert len(digests) == 4
    assert survey.take(slice(None)).digest == survey.digest


def test_an_unknown_column_is_answered_with_the_nearest(make_survey):
    with pytest.raises(UnknownNameError, match="Did you mean 'i_sersic_index'"):
        make_survey().column("i_sersic")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": pd.DataFrame({"z": np.zeros(39)})}, "labels of length 39"),
        ({"sky_deg": np.zeros((41, 2))}, "sky_deg of length 41"),
        ({"inputs": {"image": np.zeros((40, 2, 8, 8))}}, r"shape \(40, 2, 8, 8\)"),
        ({"inputs": {"magnitudes": np.zeros((40, 5, 1))}}, "has the axes band"),
        ({"labels": pd.DataFrame({"z": np.zeros(40)}), "task": make_task([])}, "for the task 'no labels'"),
        ({"specs": {}}, "must be those of its specs"),
        ({"weights": pd.DataFrame({"z": np.ones(39)})}, "weights of length 39"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make_survey, changes, words):
    with pytest.raises(SchemaError, match=words):
        make_survey(**changes)


def test_the_description_counts_and_measures_depth(make_survey):
    survey = make_survey(n=30)
    table = describe_surveys({"all": survey, "part": survey.take(slice(7))})
    assert list(table["n"]) == [30, 7]
    assert table.loc["all", "z_p90"] == pytest.approx(np.percentile(survey.labels["z"], 90))
    assert table.loc["all", "hsc-i_p90"] == pytest.approx(np.percentile(survey.inputs["magnitudes"][:, 2], 90))
    assert not table["simulated"].any()


def test_the_description_says_what_is_not_measured(make_survey):
    magnitudes = make_survey(n=30).inputs["magnitudes"].copy()
    magnitudes[:3, 2] = np.nan
    gaps = make_survey(n=30, inputs={"magnitudes": magnitudes})
    table = describe_surveys({"whole": make_survey(n=30), "gaps": gaps})
    assert table["hsc-i_missing"].tolist() == [0, 0.1]
    assert [name for name in table if name.endswith("missing")] == ["hsc-i_missing"]


@pytest.mark.parametrize(
    ("where", "chosen"),
    [
        ("z < 0.3", [0, 1]),
        ("0.2 <= z < 0.4 and not name == 'b'", [2]),
        ("(z > 0.2) & (`odd name` - 2 * z > -1) | z == 0.1", [0, 2, 3]),
        ("`hsc-g` > 20 or name == 'a'", [0, 3]),
        ("-z\n< -0.35", [3]),
        ("name != 'a'", [1, 2, 3]),
    ],
)
def test_objects_are_chosen_by_labels_channels_and_columns(make_survey, where, chosen):
    magnitudes = np.full((4, 5), 19, dtype=np.float32)
    magnitudes[:, 0] = [np.nan, 18, 19, 21]
    columns = {"name": np.array(["a", "b", None, "d"], dtype=object), "odd name": np.array([0, 1, 2, 3])}
    columns |= {"z": np.full(4, 99.0), "hsc-g": np.full(4, 99.0)}  # a label and a channel go before these
    labels = pd.DataFrame({"z": [0.1, 0.2, 0.3, 0.4]})
    survey = make_survey(n=4, inputs={"magnitudes": magnitudes}, labels=labels, catalogue=columns)
    np.testing.assert_array_equal(choose(survey, where=where).ids, survey.ids[chosen])


@pytest.mark.parametrize(
    "where",
    [
        "z >", "z = 3", "1 > 0", "z + 1", "z > 9", "z and 1", "i_sersic_index", "@z > 1", "", "z\0 > 1",
        "__import__('os').system('true')", "z.__class__ == 1", "z.max() > 0", "z > 9 ** 9", "[z] > 1", "z is None",
        "(lambda: z)() > 0", "f'{z}' == 'a'", "z if z else z", "z[0] > 1", "(z := 1) > 0", "'a' * 99999999999 == z",
        "z < 'a'", "(" * 500 + "z" + ")" * 500 + " > 0", "+".join(["z"] * 5000) + " > 0",
    ],
)  # fmt: skip
def test_what_is_no_comparison_is_not_evaluated(make_survey, where):
    with pytest.raises(ConfigError, match="chosen") as caught:
        choose(make_survey(n=4), where=where)
    assert caught.value.received and caught.value.available.split(", ") == ["i_sersic_index", *HSC, "z"]


def test_a_column_that_is_not_there_brings_the_nearest(make_survey):
    for where in ("zz > 1", "`hsc-j` > 1", "__builtins__ == 1", "index > 1"):
        with pytest.raises(UnknownNameError, match="hsc-i, hsc-r"):
            choose(make_survey(n=4), where=where)


def test_unknown_labels_and_weights_go_with_their_objects(make_survey):
    labels = pd.DataFrame({"smooth": [0.1, np.nan, 0.3], "bar": [np.nan] * 3})
    weights = pd.DataFrame({"smooth": [1.0, 2.0, 3.0]})
    survey = make_survey(n=3, labels=labels, weights=weights, objects="sources")
    assert "3 sources" in repr(survey) and "smooth 0.1–0.3 (median 0.20), unknown for 1 · bar unknown" in repr(survey)
    part = survey.take([2, 1])
    assert part.weights["smooth"].tolist() == [3, 2] and part.labels["smooth"].isna().tolist() == [False, True]


def test_a_survey_can_be_had_with_some_of_its_labels(make_survey):
    labels = pd.DataFrame({"feh": [0.1, -1.0], "alpha_fe": [0.0, np.nan], "smooth": [0.5, 0.6]})
    survey = make_survey(n=2, labels=labels, weights=pd.DataFrame({"smooth": [1.0, 2.0]}))
    part = survey.with_labels("smooth", "feh")
    assert part.task.label_names == ("smooth", "feh") and list(part.weights) == ["smooth"]
    assert part.labels["feh"].tolist() == [0.1, -1.0] and part.task.quantity("feh").unit == "dex"
    with pytest.raises(UnknownNameError, match="alpha_fe"):
        survey.with_labels("alpha")


def test_channels_stand_for_others_only_where_that_is_declared(make_survey):
    survey = make_survey(n=3)
    names = ("lsst-g", "hsc-r", "lsst-i", "lsst-z", "lsst-y")
    declared = survey.as_channels(*names, input_name="magnitudes")
    assert declared.specs["magnitudes"].channels == names and declared.specs["image"] == survey.specs["image"]
    assert "magnitudes: hsc-g as lsst-g, hsc-i as lsst-i" in repr(declared) and "hsc-r as" not in repr(declared)
    assert survey.as_channels(*survey.specs["image"].channels, input_name="image").provenance == survey.provenance
    with pytest.raises(SchemaError):
        survey.as_channels("lsst-g", input_name="magnitudes")
    with pytest.raises(UnknownNameError):
        survey.as_channels("lsst-g", input_name="spectrum")
