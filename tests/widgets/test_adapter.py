import numpy as np
import pytest

from astrolab import explore_adapter


@pytest.fixture
def explorer(path_predictions):
    return explore_adapter(path_predictions)


def test_the_slider_moves_both_clouds_and_both_surveys_scores(explorer, path_predictions):
    explorer.go_live()
    explorer.scale.value = 0.25
    for name, cloud in explorer.clouds.items():
        start = path_predictions[(path_predictions["survey"] == name) & (path_predictions["scale"] == 0.0)]
        expected = start["truth.z"] + 0.075 * (1 + start["truth.z"])
        low, high = cloud.scatter.y_data.min(), cloud.scatter.y_data.max()
        np.testing.assert_allclose(cloud.scatter.y_data, np.clip(expected, low, high), atol=1e-5)
        scaled = cloud.widget.points[:, 1]
        assert np.corrcoef(scaled, cloud.scatter.y_data)[0, 1] == pytest.approx(1.0)
    table = explorer.table().set_index(["survey", "metric"])["value"]
    for name in explorer.clouds:
        assert table[name, "bias"] == pytest.approx(0.075)
    assert explorer.places["scores"].value.count("0.0750") == 2


def test_clouds_are_called_by_what_they_show(explorer):
    shown = "predicted redshift against true redshift, 60 objects"
    assert explorer.page.cloud_names == [f"TransferZ twin: {shown}", f"GalaxiesML twin: {shown}"]


def test_the_mark_on_the_curves_follows(explorer):
    def left():
        return float(explorer.places["curves"].value.split("left:")[1].split("%")[0])

    positions = []
    for scale in (0.0, 0.5, 1.0):
        explorer.scale.value = scale
        positions.append(left())
    assert positions[0] < positions[1] < positions[2]
    assert positions[1] == pytest.approx((positions[0] + positions[2]) / 2, abs=0.02)


def test_buttons_go_to_both_ends(explorer):
    explorer.base.click()
    assert explorer.scale.value == 0.0
    assert explorer.table()["value"].equals(explorer.table()["base"].rename("value"))
    explorer.adapted.click()
    assert explorer.scale.value == 1.0


@pytest.mark.parametrize(
    ("shown", "reached"), [((0.25, 0.75), ()), ((0.0, 0.5), ("base",)), ((0.5, 1.5), ("adapted",))]
)
def test_a_network_that_is_not_on_the_path_has_no_button_and_a_dash(path_predictions, shown, reached):
    scales = {0.0: shown[0], 0.5: sum(shown) / 2, 1.0: shown[1]}
    explorer = explore_adapter(path_predictions.assign(scale=path_predictions["scale"].map(scales)))
    for name, button in (("base", explorer.base), ("adapted", explorer.adapted)):
        assert button.disabled == (name not in reached)
        assert ("not on this path" in button.tooltip) == button.disabled
        assert explorer.table()[name].notna().all() == (name in reached)
    scores = explorer.places["scores"].value
    assert "nan" not in scores and scores.count("<td>–</td>") == 6 * (2 - len(reached))
    assert shown[0] <= explorer.scale.value <= shown[1]


def test_a_snapshot_is_a_figure_and_a_table(explorer, tmp_path):
    explorer.scale.value = 0.5
    image, table = explorer.snapshot(tmp_path / "path")
    assert image.name == "path.png" and image.stat().st_size > 20_000
    rows = table.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "scale,survey,metric,value,base,adapted" and len(rows) == 7


def test_moves_that_come_while_the_clouds_draw_are_not_lost(explorer):
    explorer.go_live()
    explorer.page.drawn = explorer.page.asked
    cloud = next(iter(explorer.clouds.values()))
    for scale in (0.9, 0.6, 0.3):
        explorer.scale.value = scale
    assert "at scale 0.30" in explorer.places["scores"].value
    early = cloud.scatter.y_data.copy()
    explorer.page.drawn = explorer.page.asked
    late = cloud.scatter.y_data.copy()
    explorer.page.drawn = explorer.page.asked
    explorer.scale.value = 0.9
    assert not np.allclose(early, late) and np.allclose(cloud.scatter.y_data, early)
