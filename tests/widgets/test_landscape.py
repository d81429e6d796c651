import numpy as np
import pandas as pd
import pytest

from astrolab import explore_landscape
from astrolab.landscapes import Landscape


@pytest.fixture
def landscapes():
    a = np.linspace(-1, 1, 5)
    b = np.linspace(-2, 2, 5)
    marks = pd.DataFrame({"name": ["base"], "a": [0.5], "b": [1.0], "off_frac": [0.0]})
    about = {"n": 79, "objects": "stars", "where": "feh < -1", "simulated": True}
    bowls = {"lora": a[None] ** 2 + b[:, None] ** 2 + 0.1, "full": 2 * a[None] ** 2 + b[:, None] ** 2 + 0.2}
    return [Landscape(arm, a, b, z, marks, ("direction 1", "direction 2"), about) for arm, z in bowls.items()]


def test_the_knobs_read_the_loss_of_every_network(landscapes):
    explorer = explore_landscape(landscapes)
    assert explorer.table()["loss"].tolist() == [0.1, 0.2]
    explorer.knobs["a"].value, explorer.knobs["b"].value = 0.5, -1.0
    table = explorer.table().set_index("arm")
    assert table["loss"].tolist() == pytest.approx([0.25 + 1 + 0.1, 0.5 + 1 + 0.2])
    assert table["lowest"].tolist() == table["own"].tolist() == [0.1, 0.2]
    assert "at a = 0.50, b = −1.00" in explorer.places["scores"].value and "1.35" in explorer.places["scores"].value


def test_turning_and_choosing_draw_anew_and_every_place_has_a_cell_with_its_loss(landscapes):
    explorer = explore_landscape(landscapes)
    pictures = [explorer.places["curves"].value]
    assert pictures[0].count("<i data-loss") == 25
    first = pictures[0].split("<i data-loss=")[1]
    assert first.startswith('"loss 5.1 at a = −1.00, b = 2.00"'), "the highest row is the first"
    explorer.knobs["azimuth"].value = 20.0
    pictures.append(explorer.places["curves"].value)
    explorer.arm.value = "full"
    pictures.append(explorer.places["curves"].value)
    assert len(set(pictures)) == 3 and "full fine-tuning" in explorer.summary
    explorer.knobs["a"].value = 0.5
    assert explorer.places["curves"].value == pictures[-1], "reading does not draw"


def test_a_snapshot_is_a_figure_and_a_table(landscapes, tmp_path):
    image, table = explore_landscape(landscapes, log="e").snapshot(tmp_path / "bowl")
    assert image.stat().st_size > 20_000
    assert table.read_text(encoding="utf-8").startswith("arm,a,b,loss,own,lowest")
