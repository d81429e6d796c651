import numpy as np
import pytest

from astrolab.exploring import match_models, with_deviations
from astrolab.plots.point_colours import colour_galaxies
from astrolab.widgets.cloud_contents import cloud_contents


@pytest.fixture
def matched(predictions):
    tl, lora = (predictions.query(f"arm == '{arm}' and seed == 0 and object_id > 99") for arm in ("tl", "lora"))
    return match_models(with_deviations(tl.reset_index(drop=True)), others=lora)


def test_one_model_has_one_cloud(predictions):
    galaxies = with_deviations(predictions.query("arm == 'lora' and seed == 0"))
    (content,) = cloud_contents(galaxies, axis="pred", colours=colour_galaxies(galaxies))
    assert content.y.tolist() == galaxies["pred"].tolist()
    assert content.in_words == "predicted redshift against true redshift, 40 galaxies"


def test_two_models_share_axes_and_colours(matched):
    left, right = cloud_contents(matched, axis="deviation", colours=colour_galaxies(matched))
    assert left.y.tolist() == matched["deviation"].tolist() and right.y.tolist() == matched["deviation_other"].tolist()
    np.testing.assert_array_equal(left.x, right.x)
    assert (left.x_range, left.y_range) == (right.x_range, right.y_range)
    assert left.colour.tolist() == right.colour.tolist() == matched["verdict"].tolist()
    assert "(predicted − true) / (1 + true) against" in right.in_words
