"""How every figure looks: its style, a colour for each arm, its grid of panels, its title, its legend, its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from itertools import cycle
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from astrolab.datasets.manifest import list_manifests, load_manifest, title_of
from astrolab.errors import ConfigError, PredictionError
from astrolab.metrics import find_metric, find_requirement
from astrolab.metrics.scoring import CUT_SHORT
from astrolab.predictions import quantity_of
from astrolab.tasks import Quantity, Task, find_quantity, make_task

PAGE_WIDTH_INCH = 7.1  # two columns of an A&A, MNRAS or AAS page
INK, FAINT, BAND = "#222222", "#8C8C8C", "#DCE9DF"
TWIN_NOTE = "simulated twin surveys"
Artists = Sequence[Artist]

_TICKS = {"labelsize": 7.5, "major.width": 0.7, "major.size": 3, "minor.size": 1.8, "color": INK}
_GROUPS: dict[str, dict[str, Any]] = {
    "figure": {"dpi": 120, "constrained_layout.use": True, "titlesize": 10},
    "savefig": {"dpi": 300, "bbox": "tight"},
    "pdf": {"fonttype": 42},  # fonts stay text that an editor can change
    "svg": {"fonttype": "none"},
    "font": {"size": 8},
    "text": {"color": INK},
    "axes": {"titlesize": 9, "titlelocation": "left", "labelsize": 8, "labelcolor": INK, "axisbelow": True},
    "axes.spines": {"top": False, "right": False},
    "grid": {"color": "#E6E6E6", "linewidth": 0.6},
    "legend": {"fontsize": 7.5, "frameon": False},
    "lines": {"linewidth": 1.3},
    "xtick": _TICKS,
    "ytick": _TICKS,
}
STYLE = {f"{group}.{name}": value for group, values in _GROUPS.items() for name, value in values.items()}
STYLE |= {"axes.linewidth": 0.7, "axes.edgecolor": INK}

_overrides: ContextVar[Mapping[str, Any]] = ContextVar("astrolab_style", default={})  # noqa: B039 - never mutated


@dataclass(frozen=True)
class Look:
    """Name, colour and marker of one arm or survey, the same in every figure."""

    label: str
    colour: str
    marker: str = "o"


# Okabe & Ito 2008, which readers with any colour vision can tell apart, and two greys for what is not a method.
ARMS: dict[str, Look] = {
    "zero_shot": Look("zero-shot", "#6E6E6E", "o"),
    "tl": Look("transfer learning", "#0072B2", "s"),
    "tl_published": Look("TL as published", "#56B4E9", "D"),
    "lora": Look("LoRA", "#D55E00", "^"),
    "residual": Look("residual", "#CC79A7", "v"),
    "head": Look("head only", "#661100", "h"),
    "full": Look("full fine-tuning", "#009E73", "P"),
    "scratch": Look("from scratch", "#E69F00", "X"),
    "combo": Look("combo", "#2B2B2B", "p"),
    "base": Look("base model", "#332288", "8"),
}
_LEARNED = {"pretrain": ("pre-training", "<"), "finetune": ("fine-tuning", ">"), "union": ("both", "d")}
_CLASSICAL = (("trees", "trees", "#86844A"), ("knn", "neighbours", "#62628A"), ("ridge", "ridge", "#7A5A3A"))
for _kind, _words, _colour in _CLASSICAL:
    ARMS |= {f"{_kind}-{of}": Look(f"{_words} ({survey})", _colour, m) for of, (survey, m) in _LEARNED.items()}
SURVEYS: dict[str, Look] = {
    "transferz": Look("TransferZ", "#D55E00"),
    "galaxiesml": Look("GalaxiesML", "#0072B2"),
    "combo": Look("Combo", "#7F7F7F"),
    "lamost": Look("LAMOST", "#D55E00"),
    "desi": Look("DESI", "#0072B2"),
}
_NARROWEST_INCH = 3.6
_ABOUT_ZERO = 0.05
_FAR, _LINEAR_PART, _TICK_GAP = 5.0, 1.5, 0.09  # times the median are not usual; decades for the usual; of the axis
_SPARE = ("#882255", "#44AA99", "#999933", "#AA4499", "#117733", "#CC6677", "#6699CC")


def _looks(names: Sequence[str], *, known: Mapping[str, Look]) -> dict[str, Look]:
    spare = zip([name for name in dict.fromkeys(names) if name not in known], cycle(_SPARE), cycle("osD^vPhX"))
    looks = known | {name: Look(name, colour, marker) for name, colour, marker in spare}
    return {name: looks[name] for name in names}


def arm_looks(arms: Sequence[str], *, table: pd.DataFrame | None = None) -> dict[str, Look]:
    """Return how each arm is drawn, with a dagger if a table says it was cut short; unknown arms get spare colours."""
    others = [arm for arm in arms if arm not in ARMS and arm.rpartition("-")[0] in ARMS]
    variants = {arm: _variant(*arm.rsplit("-", 1)) for arm in others}
    looks, flagged = _looks(arms, known=ARMS | variants), table is not None and "cut_short" in table
    short = set(table["arm"][table["cut_short"].astype(bool)]) if flagged else ()
    return {arm: replace(look, label=look.label + CUT_SHORT) if arm in short else look for arm, look in looks.items()}


def _variant(arm: str, of: str) -> Look:
    """The look of an arm on another input, such as ``full-embedding``: paler."""
    colour = to_hex(0.5 + 0.5 * np.array(to_rgb(ARMS[arm].colour)))
    return Look(f"{ARMS[arm].label}, {of}", colour, ARMS[arm].marker)


def dagger(looks: Mapping[str, Look]) -> list[Line2D]:
    """Give the entry of a legend that says what the dagger of an arm means, where one has it."""
    how = {"ls": "none", "marker": "$†$", "color": INK, "label": "cut short: its loss still fell"}
    return [Line2D([], [], **how)] * any(look.label.endswith(CUT_SHORT) for look in looks.values())


def survey_looks(surveys: Sequence[str]) -> dict[str, Look]:
    """Return how each survey is drawn: a twin has the colour of the survey it stands for, and says that it is one."""
    real = {name: real_survey(name) for name in surveys}
    looks = _looks(list(real.values()), known=SURVEYS)
    looks = {name: look if name in SURVEYS else replace(look, label=title_of(name)) for name, look in looks.items()}
    twins = {name: Look(f"{looks[of].label} twin", looks[of].colour) for name, of in real.items() if name != of}
    return {name: twins.get(name) or looks[name] for name in real}


def real_survey(name: str) -> str:
    """Return the survey that a twin stands for, as its manifest says; any other name is its own."""
    twin = load_manifest(name).twin if name in list_manifests() else None
    return twin.of if twin else name


@contextmanager
def publication_style(**rc: Any) -> Iterator[None]:
    """Draw your own axes, and save figures, in the style of the ``plot_`` functions; they follow your changes to it.

    Parameters
    ----------
    **rc
        matplotlib parameters with underscores for dots, e.g. ``font_size=10, font_family="serif"``.

    Examples
    --------
    >>> with publication_style(font_size=11):
    ...     mpl.rcParams["font.size"]
    11.0
    """
    dotted = {name.replace(".", "_"): name for name in mpl.rcParams}
    for name in rc.keys() - dotted:
        remedy = "Write its name with underscores for dots, e.g. font_size."
        raise ConfigError("A matplotlib parameter was to be changed.", received=repr(name), remedy=remedy)
    token = _overrides.set({**_overrides.get(), **{dotted[name]: value for name, value in rc.items()}})
    try:
        with mpl.rc_context({**STYLE, **_overrides.get()}):
            yield
            interactive = mpl.is_interactive()
        # The first figure of a notebook may be made in here: its backend then turns on the display of figures.
        mpl.interactive(interactive)
    finally:
        _overrides.reset(token)


_Plot = TypeVar("_Plot", bound=Callable[..., Axes | Figure])


def in_style(plot: _Plot) -> _Plot:
    """Make a plotting function draw in the publication style, whatever the caller's settings are."""

    @wraps(plot)
    def styled(*args: Any, **kwargs: Any) -> Axes | Figure:
        with publication_style():
            drawn = plot(*args, **kwargs)
            # matplotlib makes ticks when it first needs them, from the settings of that moment: make them now.
            (drawn if isinstance(drawn, Figure) else drawn.figure).draw_without_rendering()
        return drawn

    return styled


def panel_grid(
    columns: Sequence[str | Look],
    *,
    rows: Sequence[str] = ("",),
    panel: tuple[float, float],
    around: tuple[float, float] = (0.5, 0.7),
    heights: Sequence[float] = (),
    most: int = 4,
    xlabel: str = "",
    pad: float | None = None,
    **options: Any,
) -> tuple[Figure, np.ndarray]:
    """Make panels of one size (inches): a title above each column (a `Look` has its colour), words below and beside.

    A row is broken after `most` panels. `heights` are of rows that differ; `around` is for words, `pad` below titles.
    """
    n_lines = -(-len(columns) // most)
    n_across = -(-len(columns) // n_lines)
    heights = np.repeat(heights or [panel[1]] * len(rows), n_lines)
    size = (max(n_across * panel[0] + around[0], _NARROWEST_INCH), sum(heights) + around[1])
    figure, axes = subplots(len(heights), n_across, figsize=size, squeeze=False, height_ratios=heights, **options)
    panels = axes.reshape(len(rows), -1)
    for ax in panels[:, len(columns) :].flat:
        ax.remove()
    panels = panels[:, : len(columns)]
    for line in panels if n_lines > 1 else panels[:1]:
        for ax, column in zip(line, columns, strict=True):
            colour = {"color": column.colour} if isinstance(column, Look) else {}
            words = column.label.replace(" (", "\n(").replace(", ", ",\n") if colour else column
            ax.set_title(words, loc="center", fontweight="bold", y=1, pad=pad, **colour)
    for ax in panels[-1, -n_across:]:
        ax.set_xlabel(xlabel)
        ax.tick_params(axis="x", labelbottom=True)
    for ax, row in zip(axes[:, 0], np.repeat(rows, n_lines), strict=True):
        ax.set_ylabel(row)
    return figure, panels


def finish(target: Figure | Axes, *, title: str, simulated: bool, entries: Artists = (), notes: Artists = ()) -> None:
    """Write the title and the legend, with what is shaded: below (the figure grows), or inside axes beside others."""
    figure = target if isinstance(target, Figure) else target.figure
    shaded = {patch.get_label(): patch for ax in figure.axes for patch in ax.patches}
    notes = [*notes, *(patch for label, patch in shaded.items() if label and not label.startswith("_"))]
    if isinstance(target, Axes) and len(figure.axes) > 1:
        target.legend(handles=[*entries, *notes])
    elif entries or notes:
        for n_columns in (4, 3, 2, 1):
            blank = Line2D([], [], ls="none", label=" ")
            rows = [row for part in (entries, notes) for row in [*part, *[blank] * (-len(part) % n_columns)]]
            # Legends fill column by column.
            handles = [entry for column in range(n_columns) for entry in rows[column::n_columns]]
            legend = figure.legend(handles=handles, loc="outside lower left", ncols=n_columns, handlelength=1.6)
            if n_columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
                break
            legend.remove()
        figure.set_figheight(figure.get_figheight() + legend.get_window_extent().height / figure.dpi)
    text = figure.suptitle("", x=0.01, ha="left") if isinstance(target, Figure) else target.set_title("")
    figure.draw_without_rendering()  # fixes the place of the axes
    title = f"{title} · {TWIN_NOTE}" if simulated else title
    break_title(text, title=title, width=figure.bbox.x1 - text.get_window_extent().x0)


def break_title(text: Text, *, title: str, width: float) -> None:
    """Write a title, broken between its parts where it is wider than its place (pixels)."""
    lines: list[str] = []
    for part in title.split(" · "):
        text.set_text(f"{lines[-1]} · {part}" if lines else part)
        fits = bool(lines) and text.get_window_extent().width <= width
        lines = [*lines[:-1], text.get_text()] if fits else [*lines, part]
    text.set_text("\n".join(lines))


def keys(looks: Mapping[str, Look], **style: Any) -> list[Line2D]:
    """Give the entries of a legend."""
    return [Line2D([], [], color=o.colour, **{"marker": o.marker, "label": o.label} | style) for o in looks.values()]


def is_simulated(table: pd.DataFrame) -> bool:
    """Say whether any row of a table comes from a simulated survey."""
    return "simulated" in table and bool(table["simulated"].any())


def chosen(table: pd.DataFrame, *, column: str, names: Sequence[str] | None) -> list[str]:
    """Return the names to be drawn: those asked for, or all of the table in their order of appearance."""
    there = list(table[column].unique()) if column in table else []
    missing = [column] if not there else [name for name in names or () if name not in there]
    if missing:
        received = f"nothing called {', '.join(map(str, missing))}"
        available = ", ".join(map(str, there or table.columns))
        remedy = f"Pass a table with a column {column!r} that holds what is to be drawn."
        raise PredictionError("A table was to be drawn.", received=received, available=available, remedy=remedy)
    return list(names) if names is not None else there


def pick_label(table: pd.DataFrame, *, label: str | None) -> tuple[pd.DataFrame, Task, Quantity, str]:
    """Return the scores of one label (by default the first), its task and quantity, and how a title names it."""
    names = chosen(table, column="label", names=[label] if label else None)
    task = Task.from_dict(table.attrs["task"]) if "task" in table.attrs else make_task([find_quantity(names[0])])
    known = names[0] in task.label_names or names[0].startswith("error.")
    quantity = quantity_of(names[0], task=task) if known else Quantity(names[0])
    return table[table["label"] == names[0]], task, quantity, f" · {quantity.words}" * (table["label"].nunique() > 1)


def pick_metrics(scores: pd.DataFrame, *, metrics: Sequence[str] | None, task: Task, n: int) -> list[str]:
    """Return the metrics that are drawn: those asked for; by default the task's headline, or the first `n`."""
    there = chosen(scores, column="metric", names=metrics)
    by_default = [task.headline] if n == 1 and task.headline in there else there[:n]
    return by_default if metrics is None else there


def axis_range(values: np.ndarray, *, quantity: Quantity) -> tuple[float, float]:
    """Return what an axis covers: nearly all of some values, and from 0 where a quantity cannot lie below."""
    low, high = np.quantile(values, (0.005, 0.995))
    possible = quantity.possible or (-np.inf, np.inf)
    low, high = (0.0 if abs(possible[0]) < _ABOUT_ZERO else low), min(high, possible[1])
    return float(low), float(high) if high > low else float(low) + 1.0


def metric_label(metric: str, *, quantity: Quantity) -> str:
    """Return the axis label of a metric, with its unit unless it is a pure number."""
    found = find_metric(metric)
    unit = found.unit_of(quantity)
    return f"{found.label} ({unit})" if unit else found.label


def draw_requirement(ax: Axes, *, metric: str, quantity: Quantity) -> None:
    """Shade what a survey's science allows of a metric, and draw the zero of one whose best value it is."""
    requirement, is_signed = find_requirement(metric, label=quantity.name), find_metric(metric).sign == "zero"
    if requirement is not None:
        how = {"color": BAND, "lw": 0, "zorder": 0, "label": f"{requirement.survey} requirement"}
        ax.axhspan(-requirement.limit if is_signed else 0, requirement.limit, **how)
    if is_signed:
        ax.axhline(0, color=INK, lw=0.6, zorder=0.5)


def hold_all(axes: Sequence[Axes], *, values: Any, along: str = "y") -> None:
    """Let an axis that panels share hold all values: beyond the usual ones it is logarithmic, and shaded."""
    sizes = np.abs(np.asarray(values, dtype=float))
    sizes = sizes[sizes > 0]
    usual = sizes[sizes <= _FAR * np.median(sizes)].max() if len(sizes) else np.inf
    if sizes.max(initial=0.0) < 2 * usual:
        return
    getattr(axes[0], f"set_{along}scale")("symlog", linthresh=usual, linscale=_LINEAR_PART)
    axis = getattr(axes[0], f"{along}axis")
    ends, place = axis.get_view_interval(), axis.get_transform().transform
    decades = 10.0 ** np.arange(np.floor(np.log10(usual)), np.log10(np.abs(ends).max()))
    beyond = [tick for digit in (1, 2, 5) for tick in digit * decades if tick > usual]
    inside = [tick for tick in MaxNLocator(3).tick_values(0, usual) if tick <= usual]
    ticks: list[float] = []
    for tick in (sign * size for size in (*inside, *beyond) for sign in (1, -1) if ends[0] <= sign * size <= ends[1]):
        if np.all(np.abs(place(ticks) - place(tick)) > _TICK_GAP * np.ptp(place(ends))):
            ticks.append(tick)
    for ax in axes:
        getattr(ax, f"{along}axis").set_ticks(ticks, [f"{tick:zg}".replace("-", "−") for tick in ticks])
        getattr(ax, f"{along}axis").set_ticks([], minor=True)
        for start, end in ((min(ends[0], -usual), -usual), (usual, max(ends[1], usual))):
            span = ax.axhspan if along == "y" else ax.axvspan
            span(start, end, color="#F4F4F4", lw=0, zorder=-1, label="logarithmic from here on")
        ax.set(**{f"{along}lim": ends})
