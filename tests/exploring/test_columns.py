import numpy as np
import pytest
from astropy.units import Unit

from astrolab.errors import SchemaError
from astrolab.exploring.columns import column_label, column_unit, describe_objects, number_columns, slice_columns
from astrolab.predictions import one_label
from astrolab.tasks import QUANTITIES, Quantity

Z = QUANTITIES["z"]


@pytest.fixture
def tl(predictions):
    return one_label(predictions.query("arm == 'tl'"))


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("i_cmodel_mag", "mag"),
        ("g_cmodel_magsigma", "mag"),
        ("mag_r", "mag"),
        ("specz_dec", "deg"),
        ("i_peak_surface_brightness", "mag / arcsec2"),
        ("z_petro_rad", "pix"),
        ("size_arcsec", "arcsec"),
        ("wave_ang", "Angstrom"),
        ("i_sersic_index", ""),
        ("truth", ""),
        ("image", ""),
    ],
)
def test_units_follow_the_names(name, unit):
    assert column_unit(name) == unit
    Unit(unit)  # astropy knows it


def test_labels_name_the_quantity_and_the_unit():
    assert column_label("pred", quantity=QUANTITIES["feh"]) == "predicted [Fe/H] (dex)"
    assert column_label("i_cmodel_mag") == "i cmodel magnitude (mag)"
    assert column_label("i_half_light_radius") == "i half light radius (pix)"
    assert column_label("truth", quantity=QUANTITIES["z"]) == "true redshift"


def test_slices_are_truth_magnitude_size_in_this_order(tl, survey):
    keys = {"run": "r", "fit": "f", "strategy": "layers", "trained_on": "old", "split": "test", "fraction": 0.5}
    objects = describe_objects(tl, survey=survey).assign(constant=1.0, extra=[1, 2, 3], **{"truth.b": 1.0}, **keys)
    columns = slice_columns(objects, quantity=Z)
    assert [(one.name, one.kind) for one in columns] == [
        ("truth", "truth"),
        ("i_cmodel_mag", "magnitude"),
        ("i_half_light_radius", "size"),
        ("extra", "other"),
    ]
    assert (columns[1].low, columns[1].high) == (19.0, 21.0)


def test_errors_of_reconstruction_are_sliced_by_themselves(reconstructed):
    objects = one_label(reconstructed)
    columns = slice_columns(objects, quantity=Quantity("error.spectrum", "reconstruction error of the spectrum"))
    assert [(one.name, one.label) for one in columns] == [
        ("pred", "reconstruction error of the spectrum"),
        ("g_mag", "g magnitude (mag)"),
    ]


def test_columns_of_numbers_are_named_with_their_units(tl, survey):
    objects = describe_objects(tl, survey=survey).assign(constant=1.0, kind="E", place=[0, 1, 2])
    columns = {name: label for label, name in number_columns(objects, quantity=Z)}
    assert columns["truth"] == "true redshift" and columns["i_cmodel_mag"] == "i cmodel magnitude (mag)"
    assert not {"constant", "kind", "object_id", "seed", "place", "truth.z"} & set(columns)


def test_a_survey_adds_position_magnitude_and_size_by_object_id(tl, survey):
    described = describe_objects(tl.drop(columns="i_cmodel_mag"), survey=survey)
    np.testing.assert_allclose(described["ra"], [150.0, 150.1, 150.2])
    np.testing.assert_allclose(described["i_mag"], [21.0, 20.0, 19.0])
    np.testing.assert_allclose(described["i_half_light_radius"], [2.0, 3.0, 4.0])
    assert "i_mag" not in describe_objects(tl, survey=survey), "a magnitude that the table has is not read again"


def test_ids_that_were_turned_into_text_are_found(tl, survey):
    as_text = tl.assign(object_id=lambda table: table["object_id"].astype(str))
    np.testing.assert_allclose(describe_objects(as_text, survey=survey)["dec"], [2.0, 2.1, 2.2])


def test_objects_of_another_survey_are_refused(tl, survey):
    with pytest.raises(SchemaError, match="3 ids that it does not hold"):
        describe_objects(tl.assign(object_id=[1, 2, 3]), survey=survey)
