"""How each arm learned: loss against epoch, the steps of the learning rate, the weights that were kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots
from matplotlib.ticker import MaxNLocator

from astrolab.plots.style import FAINT, INK, Look, arm_looks, chosen, entitle, in_style, is_simulated, write_legend

_COLUMNS = 4
_BOX = {"fc": "white", "ec": "none", "pad": 1.0}
_ROOM_ABOVE = 0.15  # of the height of a panel


@in_style
def plot_training_curves(
    history: pd.DataFrame,
    *,
    arms: Sequence[str] | None = None,
    title: str = "How each arm learned",
) -> Figure:
    """Draw training and validation loss against epoch, one panel for each arm, one line for each seed.

    Dotted lines mark steps of the learning rate (of the first seed), stars the epoch whose weights were kept.

    Parameters
    ----------
    history : DataFrame
        Columns ``epoch``, ``train_loss``, ``validation_loss``, ``learning_rate``, ``is_kept``, and, where they are
        known, ``arm`` and ``seed``: that of a `FitResult`, or of a run.
    arms : sequence of str, optional
        What to draw, and in which order.
    title : str
        Title of the figure.

    Returns
    -------
    Figure

    Raises
    ------
    PredictionError
        If the table lacks an arm that is to be drawn.
    """
    history = history if "arm" in history else history.assign(arm="this run")
    history = history if "seed" in history else history.assign(seed=0)
    arms = chosen(history, column="arm", names=arms)
    n_columns = min(len(arms), _COLUMNS)
    n_rows = -(-len(arms) // n_columns)
    size = (max(1.85 * n_columns, 3.6), 1.6 * n_rows + 0.7)
    figure, axes = subplots(n_rows, n_columns, figsize=size, sharey=True, squeeze=False)
    for ax, (arm, look) in zip(axes.flat, arm_looks(arms).items(), strict=False):
        _draw_panel(ax, runs=history[history["arm"] == arm], look=look)
    _make_room_above(axes[0, 0])
    for ax in axes.flat[len(arms) :]:
        ax.remove()
    for ax in axes.flat[max(len(arms) - n_columns, 0) : len(arms)]:
        ax.set_xlabel("epoch")
    for ax in axes[:, 0]:
        ax.set_ylabel("loss")
    styles = {"train": {"lw": 0.9, "alpha": 0.5}, "validation": {"lw": 1.4}}
    handles = [Line2D([], [], color=INK, label=name, **style) for name, style in styles.items()]
    handles.append(Line2D([], [], marker="*", ls="none", color=INK, ms=7, label="weights kept"))
    handles.append(Line2D([], [], color=FAINT, lw=0.8, ls=":", label="learning rate falls"))
    write_legend(figure, entries=handles)
    entitle(figure, title=title, simulated=is_simulated(history))
    return figure


def _draw_panel(ax: Axes, *, runs: pd.DataFrame, look: Look) -> None:
    for _, run in runs.groupby("seed", sort=False):
        run = run.sort_values("epoch")
        ax.plot(run["epoch"], run["train_loss"], color=look.colour, lw=0.9, alpha=0.5)
        ax.plot(run["epoch"], run["validation_loss"], color=look.colour, lw=1.4)
        kept = run[run["is_kept"]]
        ax.plot(kept["epoch"], kept["validation_loss"], marker="*", ms=8, mfc=look.colour, mec="white", mew=0.6)
    first = runs[runs["seed"] == runs["seed"].iloc[0]].sort_values("epoch")
    for epoch in first["epoch"][first["learning_rate"].diff() < 0]:
        ax.axvline(epoch, color=FAINT, lw=0.8, ls=":", zorder=0)
    ax.set_title(look.label, color=look.colour, fontweight="bold")
    rates = first["learning_rate"].to_numpy()
    span = _power(rates[0]) if rates[0] == rates[-1] else f"{_power(rates[0])} → {_power(rates[-1])}"
    ax.text(
        0.97, 0.96, f"rate {span}", transform=ax.transAxes, ha="right", va="top", fontsize=6.2, color=FAINT, bbox=_BOX
    )
    ax.grid(axis="y")
    ax.margins(x=0.03)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _make_room_above(ax: Axes) -> None:
    """Raise the upper end that all panels share, so that no curve runs behind a learning rate."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + _ROOM_ABOVE * (high - low))


def _power(rate: float) -> str:
    exponent = int(np.floor(np.log10(rate) + 1e-9))
    factor = rate / 10.0**exponent
    power = f"10^{{{exponent}}}"
    return f"${power}$" if np.isclose(factor, 1) else f"${factor:.2g}\\times{power}$"
