import pytest

from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.errors import ConfigError, UnknownNameError

GOOD = {"schema": "galaxiesml", "selection": "spectroscopic"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"depth_mag": [26.0, 26.0]}, "one number per band"),
        ({"z_range": [0.5, 0.1]}, "low < high"),
        ({"type_mix": [0, 0, 0, 0]}, "not all zero"),
        ({"label_outlier_frac": 1.5}, "in \\[0, 1\\)"),
        ({"image_size": 5}, "16 to 512"),
        ({"seeing_arcsec": [0.1] * 5}, "2.2 pixels"),
        ({"gain": 0.0}, "positive"),
        ({"bands": ["hsc2017-g", "hsc2017-r2"]}, "one of them i"),
        ({"seeing_scatter": -0.1}, "not negative"),
        ({"zero_point_mag": float("nan")}, "finite"),
    ],
)
def test_what_cannot_be_is_refused_at_once(change, said):
    with pytest.raises(ConfigError, match=said):
        HscTwinKnobs.from_mapping(GOOD | change)


def test_bands_are_called_as_in_columns_and_in_manifests():
    knobs = HscTwinKnobs("galaxiesml", "flux_limited")
    assert knobs.letters == ("g", "r", "i", "z", "y") and knobs.letters[knobs.i_band] == "i"
    assert knobs.band_names == ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")


def test_an_unknown_knob_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="depth_mag"):
        HscTwinKnobs.from_mapping(GOOD | {"depht_mag": [26.0] * 5})
    with pytest.raises(UnknownNameError, match="spectroscopic"):
        HscTwinKnobs.from_mapping(GOOD | {"selection": "spectroscopy"})
    with pytest.raises(ConfigError, match="selection"):
        HscTwinKnobs.from_mapping({"schema": "galaxiesml"})


def test_the_digest_follows_the_settings():
    one, other = HscTwinKnobs(**GOOD), HscTwinKnobs(**GOOD, gain=31.0)
    assert one.digest == HscTwinKnobs(**GOOD).digest != other.digest
    assert hash(one) == hash(HscTwinKnobs.from_mapping(GOOD | {"depth_mag": list(one.depth_mag)}))
