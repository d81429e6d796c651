"""How every figure looks: one style, one colour for each arm, and a note wherever the galaxies are simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from astrolab.errors import ConfigError, PredictionError
from astrolab.metrics import find_metric

PAGE_WIDTH_INCH = 7.1  # two columns of an A&A, MNRAS or AAS page
COLUMN_WIDTH_INCH = 3.4
INK, FAINT, BAND = "#222222", "#8C8C8C", "#DCE9DF"
TWIN_NOTE = "simulated twin surveys"

STYLE: dict[str, Any] = {
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "savefig.bbox": "tight",
    "pdf.fonttype": 42,  # fonts stay text that an editor can change
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.titlesize": 10,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.8,
    "ytick.minor.size": 1.8,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

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
}
SURVEYS: dict[str, Look] = {
    "transferz": Look("TransferZ", "#D55E00"),
    "galaxiesml": Look("GalaxiesML", "#0072B2"),
    "combo": Look("Combo", "#7F7F7F"),
}
_LEGEND_COLUMNS = 4
_BLANK = Line2D([], [], ls="none", label=" ")
_SPARE = ("#882255", "#44AA99", "#999933", "#332288", "#AA4499", "#117733", "#CC6677", "#6699CC")


def _looks(names: Sequence[str], *, known: Mapping[str, Look]) -> dict[str, Look]:
    unknown = [name for name in names if name not in known]
    if len(unknown) > len(_SPARE):
        raise ConfigError(
            "Names were to be told apart by colour.",
            received=f"{len(unknown)} names without a colour of their own: {', '.join(unknown)}",
            available=", ".join(known),
            remedy=f"Show at most {len(_SPARE)} of them in one figure.",
        )
    spare = {name: Look(name, _SPARE[i]) for i, name in enumerate(unknown)}
    return {name: known.get(name) or spare[name] for name in names}


def arm_looks(arms: Sequence[str]) -> dict[str, Look]:
    """Return how each arm is drawn; arms that astrolab does not know get spare colours in the order given."""
    return _looks(arms, known=ARMS)


def survey_looks(surveys: Sequence[str]) -> dict[str, Look]:
    """Return how each survey is drawn: a twin has the colour of the survey it stands for, and says that it is one."""
    real = _looks([real_survey(name) for name in surveys], known=SURVEYS)
    looks = {name: real[real_survey(name)] for name in surveys}
    return {
        name: look if name == real_survey(name) else Look(f"{look.label} twin", look.colour, look.marker)
        for name, look in looks.items()
    }


def real_survey(name: str) -> str:
    """Return the survey that a twin stands for; any other name is its own.

    >>> real_survey("twin-galaxiesml")
    'galaxiesml'
    """
    return name.removeprefix("twin-")


@contextmanager
def publication_style(**rc: Any) -> Iterator[None]:
    """Draw in the style of the figures of this package, with changes of your own.

    The ``plot_`` functions use the style by themselves; this context gives it to your own axes and to ``savefig``, and
    carries your changes into the ``plot_`` functions.

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
    changes = {_dotted(name): value for name, value in rc.items()}
    token = _overrides.set({**_overrides.get(), **changes})
    try:
        with mpl.rc_context({**STYLE, **_overrides.get()}):
            yield
            interactive = mpl.is_interactive()
        # The first figure of a notebook may be made in here: its backend then turns on the display of figures.
        mpl.interactive(interactive)
    finally:
        _overrides.reset(token)


def _dotted(name: str) -> str:
    by_underscores = {parameter.replace(".", "_"): parameter for parameter in mpl.rcParams}
    if name not in by_underscores:
        raise ConfigError(
            "A matplotlib parameter was to be changed.",
            received=repr(name),
            remedy="Write its name with underscores for dots, e.g. font_size.",
        )
    return by_underscores[name]


_P = ParamSpec("_P")
_R = TypeVar("_R", Axes, Figure)


def in_style(plot: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a plotting function draw in the publication style, whatever the caller's settings are."""

    @wraps(plot)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with publication_style():
            drawn = plot(*args, **kwargs)
            # matplotlib makes ticks when it first needs them, from the settings of that moment: make them now.
            (drawn if isinstance(drawn, Figure) else drawn.figure).draw_without_rendering()
        return drawn

    return styled


def is_simulated(table: pd.DataFrame) -> bool:
    """Say whether any row of a table comes from a simulated survey."""
    return "simulated" in table and bool(table["simulated"].any())


def entitle(target: Axes | Figure, *, title: str, simulated: bool) -> None:
    """Write the title, and after it that the galaxies are simulated, where they are."""
    text = f"{title} · {TWIN_NOTE}" if simulated else title
    if isinstance(target, Figure):
        target.suptitle(text, x=0.01, ha="left")
    else:
        target.set_title(text)


def write_legend(figure: Figure, *, entries: Sequence[Artist], notes: Sequence[Artist] = ()) -> None:
    """Write below the panels what colours and marks mean, row by row, the notes in rows of their own."""
    rows: list[Artist] = []
    for part in (entries, notes):
        rows += [*part, *[_BLANK] * (-len(part) % _LEGEND_COLUMNS)]
    # Legends fill column by column.
    by_column = [entry for column in range(_LEGEND_COLUMNS) for entry in rows[column::_LEGEND_COLUMNS]]
    figure.legend(handles=by_column, loc="outside lower left", ncols=_LEGEND_COLUMNS, handlelength=1.6)


def metric_label(metric: str) -> str:
    """Return the axis label of a metric, with its unit unless it is a pure number."""
    found = find_metric(metric)
    return found.label if found.unit == "1" else f"{found.label} ({found.unit})"


def chosen(table: pd.DataFrame, *, column: str, names: Sequence[str] | None) -> list[str]:
    """Return the names to be drawn: those asked for, or all of the table in their order of appearance."""
    there = list(table[column].unique()) if column in table else []
    missing = [column] if not there else [name for name in names or () if name not in there]
    if missing:
        raise PredictionError(
            "A table was to be drawn.",
            received=f"nothing called {', '.join(map(str, missing))}",
            available=", ".join(map(str, there or table.columns)),
            remedy=f"Pass a table with a column {column!r} that holds what is to be drawn.",
        )
    return list(names) if names is not None else there
