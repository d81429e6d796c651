import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from astrolab.exploring.view import Exploration
from astrolab.plots.explorers import colour_points
from astrolab.plots.predictions import ReferenceLine
from astrolab.widgets.cloud import Cloud, CloudContent, cloud_contents, on_axis, side_px


def content(n=6, *, groups=("good", "bad"), **changes):
    x = np.linspace(0.0, 1.0, n)
    parts = {
        "x": x,
        "y": x**2,
        "x_label": "true",
        "y_label": "predicted",
        "x_range": (0.0, 1.0),
        "y_range": (0.0, 1.0),
        "colour": pd.Series(pd.Categorical([groups[k % 2] for k in range(n)], categories=list(groups))),
        "colours": dict(zip(groups, ("#0072B2", "#D55E00"), strict=True)),
        "lines": [ReferenceLine(np.array([[0.0, 0.0], [1.0, 1.0]]), "#222222", 1, "equality")],
    }
    return CloudContent(**parts | changes)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def cloud(heard):
    cloud = Cloud(on_select=lambda rows: heard.append(rows.tolist()))
    cloud.draw(content())
    return cloud


def test_points_lie_where_they_should_on_the_screen(cloud):
    """The browser is given coordinates from -1 to 1 across each axis."""
    points = cloud.widget.points
    np.testing.assert_allclose(points[1:-1, 0], 2 * np.linspace(0, 1, 6)[1:-1] - 1, atol=1e-6)
    np.testing.assert_allclose(points[1:-1, 1], 2 * np.linspace(0, 1, 6)[1:-1] ** 2 - 1, atol=1e-6)


def test_values_beyond_an_axis_lie_just_inside_its_end():
    np.testing.assert_allclose(on_axis(np.array([-9.0, 0.5, 9.0]), axis_range=(0.0, 2.0)), [0.02, 0.5, 1.98])


def test_a_selection_in_the_browser_is_heard_and_one_from_python_is_not(cloud, heard):
    cloud.widget.selection = np.array([2, 4], dtype="uint32")
    assert heard == [[2, 4]]
    cloud.select(np.array([1]))
    assert heard == [[2, 4]] and cloud.widget.selection.tolist() == [1]


def test_other_groups_and_counts_can_follow_each_other(cloud):
    shades = [f"shade {k}" for k in range(64)]
    grey = dict.fromkeys([*shades, "not measured"], "#BDBDBD")
    for following in (
        content(9, groups=("nearer", "farther")),
        content(4, colour=pd.Series(pd.Categorical([shades[0], "not measured"] * 2, categories=grey)), colours=grey),
        content(5),
    ):
        cloud.draw(following)
        assert cloud.widget.points.shape[0] == len(following.x)
        assert cloud.scatter.color_data.tolist() == following.colour.tolist()
        colours = [tuple(cloud.widget.color[int(code)]) for code in cloud.widget.points[:, 2]]
        assert colours == [to_rgba(following.colours[name]) for name in following.colour]
    assert cloud.widget.annotations[0].vertices == [(-1.0, -1.0), (1.0, 1.0)]


def test_axes_follow_their_labels_and_ranges(cloud):
    cloud.draw(content(y=np.full(6, 0.3), y_range=(-0.6, 0.6), y_label="deviation"))
    assert cloud.widget.axes_labels == ["true", "deviation"]
    assert cloud.widget.y_scale_domain == [-0.6, 0.6]
    np.testing.assert_allclose(cloud.widget.points[:, 1], 0.5, atol=1e-6)


def test_the_same_points_move(cloud):
    cloud.widget  # noqa: B018 - made by looking at it
    cloud.move(np.full(6, 0.25))
    np.testing.assert_allclose(cloud.widget.points[:, 1], -0.5, atol=1e-6)
    cloud.draw(content(3))
    assert cloud.widget.points.shape[0] == 3


def test_galaxies_are_hidden_and_come_back(cloud):
    cloud.show_only(np.array([True, False, True, False, False, True]))
    assert cloud.widget.filter.tolist() == [0, 2, 5]
    cloud.show_only(np.ones(6, dtype=bool))
    assert cloud.widget.filter is None


def test_nothing_is_drawn_before_it_is_looked_at():
    cloud = Cloud()
    cloud.show_only(np.array([], dtype=bool))
    cloud.select(np.array([], dtype=int))
    assert cloud.scatter is None


def test_a_cloud_changes_its_size_with_its_canvas(cloud):
    assert (cloud.widget.width, cloud.widget.height) == (440, 440)
    cloud.draw(content(), side_px=330)
    assert (cloud.widget.width, cloud.widget.height) == (330, 330)
    assert cloud.widget.regl_scatterplot_options["width"] == 330


def test_a_closed_cloud_holds_no_points(cloud, heard):
    widget = cloud.widget
    cloud.close()
    cloud.close()
    assert widget.comm is None and not len(widget.points) and widget.data is None and cloud.scatter is None
    widget.selection = np.array([1], dtype="uint32")
    assert heard == []


@pytest.mark.parametrize("room", [(840, 680), (1100, 680), (1000, 780), (1480, 960)])
def test_two_clouds_have_room_beside_each_other_and_above_their_scores(room):
    """The last is so wide that the scores stand beside them."""
    width, height = room
    beside = 430 if width > 1250 else 0
    assert 260 <= side_px(2, room=room) <= side_px(1, room=room) <= 440
    assert 2 * (side_px(2, room=room) + 92) <= width - beside
    assert side_px(2, room=room) + 410 <= height


@pytest.fixture
def view(predictions):
    return Exploration(predictions.query("survey == 'twin-galaxiesml' and seed == 0"))


def test_one_model_has_one_cloud(view):
    (content,) = cloud_contents(view, axes=["pred"], colours=colour_points(view.objects))
    assert content.y.tolist() == view.objects["pred"].tolist()
    assert content.in_words == "predicted redshift against true redshift, 40 objects"


def test_two_models_share_axes_and_colours(view):
    view.compare_with("lora")
    left, right = cloud_contents(view, axes=["deviation"], colours=colour_points(view.objects))
    objects = view.objects
    assert left.y.tolist() == objects["deviation"].tolist() and right.y.tolist() == objects["deviation_other"].tolist()
    np.testing.assert_array_equal(left.x, right.x)
    assert (left.x_range, left.y_range) == (right.x_range, right.y_range)
    assert left.colour.tolist() == right.colour.tolist() == objects["verdict"].tolist()
    assert "(predicted − true) / (1 + true) against" in right.in_words
