import numpy as np
import pandas as pd
import pytest
from drawn import assert_nothing_is_cut, legend_of

from astrolab.landscapes import Landscape
from astrolab.plots import plot_landscape


def landscape_of(arm, *, least, marks=()):
    a, b = np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)
    loss = np.exp(a[None] ** 2 + b[:, None] ** 2) * least
    loss[0, 0] = np.inf
    table = pd.DataFrame(marks, columns=["name", "a", "b", "off_frac"])
    about = {"n": 79, "objects": "stars", "where": "feh < -1", "simulated": True}
    return Landscape(arm, a, b, loss, table, ("direction 1", "direction 2"), about)


@pytest.fixture
def landscapes():
    marks = [("base", 0.5, 0.25, 0.0), ("full", 0.0, 0.75, 0.9), ("head", 3.0, 0.0, 0.0)]
    return [landscape_of("lora", least=0.01, marks=marks), landscape_of("full", least=1.0)]


def test_rows_share_the_colours_and_say_their_lowest_loss(landscapes):
    figure = plot_landscape(landscapes)
    solids = [ax for ax in figure.axes if ax.name == "3d"]
    flats = [ax for ax in figure.axes if ax.get_xlabel().startswith("a, ")]
    bars = [ax for ax in figure.axes if ax.get_ylabel() == "log₁₀ loss" and ax.name != "3d"]
    assert len(solids) == len(flats) == len(bars) == 2
    limits = {tuple(np.round(ax.collections[0].get_clim(), 6)) for ax in flats}
    assert len(limits) == 1 and min(limits)[0] <= -2
    assert [ax.get_title(loc="left").split()[-1] for ax in bars] == ["0.01", "1"]
    assert bars[0].lines[-1].get_ydata()[0] == pytest.approx(-2)
    assert "simulated" in figure.get_suptitle() and "79 stars · feh < -1" in figure.get_suptitle()
    assert_nothing_is_cut(figure)


def test_networks_are_marked_in_the_plane_or_hollow_beside_it(landscapes):
    figure = plot_landscape(landscapes[0], log="e")
    flat = next(ax for ax in figure.axes if ax.get_xlabel().startswith("a, "))
    drawn = {
        tuple(np.round((line.get_xdata()[0], line.get_ydata()[0]), 3)): line
        for line in flat.lines
        if len(line.get_xdata()) == 1
    }
    assert drawn.keys() == {(0.5, 0.25), (0.0, 0.75), (0.0, 0.0)}, "what is beyond the plane is not drawn"
    assert drawn[0.5, 0.25].get_mfc() != "none" and drawn[0.0, 0.75].get_mfc() == "none"
    ways = [line for line in flat.lines if len(line.get_xdata()) == 2]
    assert [line.get_xydata()[1].tolist() for line in ways] == [[0.5, 0.25]]
    assert legend_of(figure)[:1] == ["the network of the row"]


def test_the_path_of_training_is_a_line_to_the_network_that_was_kept():
    places = [("full", 0.0, 0.0, 0.0), ("full", 0.3, 0.6, 0.5), ("full", 2.0, 0.4, 0.4), ("full", 0.5, 0.5, 0.0)]
    figure = plot_landscape(landscape_of("base", least=0.01, marks=places))
    flat = next(ax for ax in figure.axes if ax.get_xlabel().startswith("a, "))
    (way,) = [line for line in flat.lines if len(line.get_xdata()) > 1]
    assert way.get_xydata().tolist() == [[a, b] for _, a, b, _ in places]
    assert flat.get_xlim() == (-1, 1), "a path that leaves the plane does not widen it"
    marks = [line.get_xydata()[0].tolist() for line in flat.lines if len(line.get_xdata()) == 1]
    assert marks == [[0.5, 0.5], [0.0, 0.0]]
