from types import SimpleNamespace

import numpy as np
import pytest

from astrolab.plots.one_galaxy import plot_one_galaxy


@pytest.fixture
def galaxy():
    random = np.random.default_rng(0)
    return SimpleNamespace(
        settings=SimpleNamespace(kind="early", z=0.5, i_mag=19.0),
        bands=("hsc-g", "hsc-r", "hsc-i"),
        image=random.normal(size=(3, 16, 16)),
        mag=np.array([21.0, 20.0, 19.0]),
        measured_mag=np.array([21.1, 20.05, 19.0]),
        measured_mag_error=np.array([0.2, 0.1, 0.05]),
    )


def test_shows_every_band_the_magnitudes_and_the_answers(galaxy):
    figure = plot_one_galaxy(galaxy, answers={"lora": 0.55, "mine": 0.9})
    pictures = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in pictures[1:]] == ["hsc-g", "hsc-r", "hsc-i"]
    magnitudes, answers = (ax for ax in figure.axes if not ax.images)
    np.testing.assert_allclose(magnitudes.lines[0].get_ydata(), galaxy.mag)
    np.testing.assert_allclose(magnitudes.lines[1].get_ydata(), galaxy.measured_mag)
    assert magnitudes.yaxis_inverted(), "bright is up"
    dots = [line.get_xdata()[0] for line in answers.lines if line.get_marker() in ("^", "o")]
    assert dots == [0.55, 0.9]
    assert [label.get_text() for label in answers.get_yticklabels()] == ["LoRA", "mine"]
    low, high = answers.get_xlim()
    assert low <= 0.5 and high >= 0.9
    assert "early galaxy at z = 0.50" in figure.get_suptitle() and "simulated" in figure.get_suptitle()


def test_says_so_where_no_model_answers(galaxy):
    figure = plot_one_galaxy(galaxy)
    assert "no model" in figure.axes[-1].get_xlabel()
