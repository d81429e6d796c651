import numpy as np
import pytest
from astropy.units import Unit

from astrolab.errors import SchemaError
from astrolab.exploring.columns import column_label, column_unit, describe_galaxies, slice_columns


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
    assert column_label("pred", label="feh") == "predicted [Fe/H] (dex)"
    assert column_label("i_cmodel_mag") == "i cmodel magnitude (mag)"


def test_slices_are_truth_magnitude_size_in_this_order(predictions, survey):
    galaxies = describe_galaxies(predictions.query("arm == 'tl'"), survey=survey).assign(constant=1.0, extra=[1, 2, 3])
    columns = slice_columns(galaxies)
    assert [(one.name, one.kind) for one in columns] == [
        ("truth", "truth"),
        ("i_cmodel_mag", "magnitude"),
        ("i_half_light_radius", "size"),
        ("extra", "other"),
    ]
    assert (columns[1].low, columns[1].high) == (19.0, 21.0)


def test_a_survey_adds_position_magnitude_and_size_by_object_id(predictions, survey):
    tl = predictions.query("arm == 'tl'").drop(columns="i_cmodel_mag")
    described = describe_galaxies(tl, survey=survey)
    np.testing.assert_allclose(described["ra"], [150.0, 150.1, 150.2])
    np.testing.assert_allclose(described["i_mag"], [21.0, 20.0, 19.0])
    np.testing.assert_allclose(described["i_half_light_radius"], [2.0, 3.0, 4.0])
    kept = describe_galaxies(predictions.query("arm == 'tl'"), survey=survey)
    assert "i_mag" not in kept, "a magnitude that the table has is not read again"


def test_ids_that_were_turned_into_text_are_found(predictions, survey):
    as_text = predictions.query("arm == 'tl'").assign(object_id=lambda table: table["object_id"].astype(str))
    np.testing.assert_allclose(describe_galaxies(as_text, survey=survey)["dec"], [2.0, 2.1, 2.2])


def test_galaxies_of_another_survey_are_refused(predictions, survey):
    stranger = predictions.query("arm == 'tl'").assign(object_id=[1, 2, 3])
    with pytest.raises(SchemaError, match="3 ids that it does not hold"):
        describe_galaxies(stranger, survey=survey)
