"""A cloud of points drawn by the graphics card, which stays smooth at hundreds of thousands of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jscatter import Line, Scatter
from jscatter.widget import JupyterScatter

from astrolab.exploring.columns import column_label
from astrolab.exploring.view import Exploration
from astrolab.plots.explorers import PointColours
from astrolab.plots.predictions import ReferenceLine, axis_label, cloud_ranges, reference_lines
from astrolab.tasks import Quantity

SMALLEST_PX, LARGEST_PX = 260, 440  # sides of a square of points
BESIDE_PX, AROUND_PX = 92, 410  # buttons and axes beside it; what should be seen with it, above and below
SCORES_PX, WIDE_PX = 430, 1250  # scores stand beside two clouds where an explorer is so wide
ROOM = (848, 850)  # until the page says how much there is: width of an explorer, height of what is seen at once
EDGE = 0.01  # of an axis: points beyond it are drawn so far inside
POINT_SIZES = ((2_000, 6), (20_000, 4))  # up to so many points, px
SMALL_POINT_SIZE = 2.5
SELECTED_COLOUR = "#000000"
BUTTONS = ["pan_zoom", "lasso", "lasso_type", "divider", "full_screen", "reset"]
CARD = ("id", "true → predicted")  # of the object under the mouse, below its picture
KEYS = {"actionKeyMap": {"merge": "ctrl", "remove": "alt"}, "deselectOnEscape": False}  # explorer.js hears Escape
LOOKS = {"axes_grid": True, "color_selected": SELECTED_COLOUR, "lasso_color": SELECTED_COLOUR, "lasso_initiator": False}
LOOKS |= {"lasso_min_dist": 1, "reticle": False, "transition_points": False}  # a lasso of less (px) is a click


@dataclass(frozen=True, eq=False)
class CloudContent:
    """What a cloud shows."""

    x: np.ndarray
    y: np.ndarray
    x_label: str
    y_label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    colour: pd.Series
    colours: Mapping[str, str]
    lines: Sequence[ReferenceLine] = ()
    objects: str = "objects"
    column: str = "pred"
    model: int = 0

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        *,
        quantity: Quantity,
        axis: str = "pred",
        column: str = "pred",
        x: str = "truth",
        **more,
    ) -> CloudContent:
        """Draw a column of a table, on the axis that it shares with others, against another one."""
        x_range, y_range = cloud_ranges(table, quantity=quantity, axis=axis, x=x)
        return cls(
            x=table[x].to_numpy(float),
            y=table[column].to_numpy(float),
            x_label=column_label(x, quantity=quantity),
            y_label=axis_label(axis, quantity=quantity),
            x_range=x_range,
            y_range=y_range,
            lines=reference_lines(quantity, x_range=x_range, axis=axis) if x == "truth" else [],
            column=column,
            **more,
        )

    @property
    def in_words(self) -> str:
        """What is drawn, for who does not see it."""
        return f"{self.y_label} against {self.x_label}, {len(self.x):,} {self.objects}"


def cloud_contents(view: Exploration, *, axes: Sequence[str], colours: PointColours) -> list[CloudContent]:
    """Give each model its cloud along each vertical axis, in the same colours."""
    about = {"quantity": view.quantity, "x": view.x, "objects": view.word}
    about |= {"colour": pd.Series(colours.groups), "colours": colours.colours}
    return [
        CloudContent.of(view.objects, axis=axis, column=column, model=model, **about)
        for axis in axes
        for model, column in enumerate((axis, f"{axis}_other"))
        if column in view.objects
    ]


def side_px(n_clouds: int, *, room: Sequence[int] = ROOM) -> int:
    """Give the side of the squares of points (px), so that two stand beside each other, and all is seen at once."""
    width, height = room
    across = (width - (SCORES_PX if width >= WIDE_PX else 0)) // min(n_clouds, 2) - BESIDE_PX
    return max(SMALLEST_PX, min(across, height - AROUND_PX, LARGEST_PX)) // 10 * 10


def on_axis(values: np.ndarray, *, axis_range: tuple[float, float]) -> np.ndarray:
    """Move values beyond an axis to just inside its ends, where they are seen."""
    low, high = axis_range
    edge = EDGE * (high - low)
    return np.clip(values, low + edge, high - edge).astype(np.float32)


class Cloud:
    """A jupyter-scatter plot that is made when it is first looked at."""

    def __init__(self, *, on_select: Callable[..., None] | None = None, on_look: Callable[..., Any] | None = None):
        self._on_select, self._on_look = on_select, on_look
        self.scatter: Scatter | None = None  # once `draw` was called
        self._widget: JupyterScatter | None = None
        self.side_px = LARGEST_PX
        self._is_listening = True

    @property
    def widget(self) -> JupyterScatter:
        """The plot's widget; made, and listened to, from the first call on."""
        if self._widget is None:
            self._widget = self.scatter.show(BUTTONS).add_class("astrolab-cloud")
            self._widget.observe(self._selected, names="selection")
            if self._on_look is not None:
                self._show_cards(self._widget)
        return self._widget

    def _show_cards(self, widget: JupyterScatter) -> None:
        """Answer for the object under the mouse: jupyter-scatter would need every picture beforehand, in its data."""
        widget.tooltip_properties_non_visual_info = {key: {"scale": None, "histogram": None} for key in CARD}
        widget.tooltip_properties, widget.tooltip_preview, widget.tooltip_preview_type = list(CARD), "picture", "image"
        widget.tooltip_preview_image_size, widget.tooltip_preview_image_position = "contain", "center"
        widget._handle_tooltip, widget.tooltip_enable = self._answer, True

    def _answer(self, event: Mapping[str, Any]) -> None:
        picture, *lines = self._on_look(event["index"], model=self._content.model)
        card = {"index": event["index"], "preview": picture, "properties": dict(zip(CARD, lines, strict=True))}
        self._widget.send({"type": "tooltip"} | card)

    def light(self, row: int) -> None:
        """Make one object stand out, as the mouse does."""
        self.widget.hovering = row
        self.widget.send({"type": "tooltip", "show": True, "index": row, "properties": {}})

    def draw(self, content: CloudContent, *, side_px: int = LARGEST_PX) -> None:
        """Show other objects, or the same ones elsewhere."""
        ranges = {"x_scale": content.x_range, "y_scale": content.y_range}
        side, labels = {"width": side_px, "height": side_px}, [content.x_label, content.y_label]
        values = {"x": (content.x, content.x_range), "y": (content.y, content.y_range)}
        frame = pd.DataFrame({name: on_axis(one, axis_range=ends) for name, (one, ends) in values.items()})
        frame["colour"] = content.colour.array
        is_resized = side_px != self.side_px
        self._content, self._frame, self.side_px = content, frame, side_px
        if self.scatter is None:
            self.scatter = Scatter(
                data=frame, x="x", y="y", **ranges, **side, axes_labels=labels, options=KEYS | side, **LOOKS
            )
            self._paint(content)
            return
        with self._at_once():
            if is_resized:  # also the canvas in the browser, which jupyter-scatter 1.0 leaves as it was
                self.scatter.width(side_px).height(side_px).options(regl_scatterplot_options=KEYS | side)
            self.scatter.color(by=None, order=None)  # or the new data would be coloured by the old categories
            self.scatter.data(frame)
            self.scatter.xy("x", "y", **ranges, animate=False)
            self.scatter.axes(labels=labels)
            self._paint(content)

    def _paint(self, content: CloudContent) -> None:
        size = next((size for limit, size in POINT_SIZES if len(content.x) <= limit), SMALL_POINT_SIZE)
        self.scatter.color(by="colour", map=dict(content.colours)).size(size)
        lines = [([tuple(map(float, end)) for end in one.vertices], one.colour, one.width) for one in content.lines]
        self.scatter.annotations([Line(*line) for line in lines])

    def move(self, y: np.ndarray) -> None:
        """Move the same objects up or down."""
        self._frame["y"] = on_axis(y, axis_range=self._content.y_range)
        with self._at_once():
            self.scatter.y("y", animate=False, scale=self._content.y_range)

    def show_only(self, inside: np.ndarray) -> None:
        """Hide objects."""
        if self.scatter is not None:
            self.scatter.filter(None if inside.all() else np.flatnonzero(inside))

    def select(self, rows: np.ndarray) -> None:
        """Mark objects as selected, unheard by `on_select`."""
        if self.scatter is not None:
            self._is_listening = False
            try:
                self.scatter.selection(rows)
            finally:
                self._is_listening = True

    def close(self) -> None:
        """Take the plot off the page and let go of its points; anywidget 0.11 keeps the widget itself, but empty."""
        if self._widget is not None:
            self._widget.close()
            self._widget.unobserve_all()
            vars(self._widget).pop("_handle_tooltip", None)
            self._widget.data = self._widget.selection = self._widget.filter = None
            self._widget.points = np.zeros((0, 4), dtype=np.float32)
        self.scatter = self._widget = self._content = self._frame = None

    def _selected(self, change: Mapping[str, np.ndarray | None]) -> None:
        if not self._is_listening or self._on_select is None:
            return
        rows = change["new"]
        self._on_select(np.zeros(0, dtype=int) if rows is None else np.asarray(rows, dtype=int))

    def _at_once(self) -> AbstractContextManager:
        """Send all changes to the browser in one message: the points are large."""
        return self._widget.hold_sync() if self._widget else nullcontext()
