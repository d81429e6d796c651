"""Controls that say what they are: every one with a label, reachable by keyboard, found by its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets

LABELS = {
    "run": "Run",
    "direction": "Direction",
    "survey": "Test survey",
    "arm": "Model",
    "fraction": "Data fraction",
    "scale": "Adapter scale",
    "seed": "Seed",
    "label": "Label",
}
DESCRIPTION = {"description_width": "initial"}


def dropdown(name: str, *, label: str, options: Sequence[Any], value: Any, width: str = "230px") -> ipywidgets.Dropdown:
    """Return a labelled dropdown of class ``astrolab-<name>``."""
    control = ipywidgets.Dropdown(options=options, value=value, description=label, style=DESCRIPTION)
    return _styled(control, name, width)


def range_slider(
    name: str, *, label: str, low: float, high: float, width: str = "370px"
) -> ipywidgets.FloatRangeSlider:
    """Return a labelled slider with two handles that cover everything, of class ``astrolab-slice-<name>``."""
    step = (high - low) / 200
    low, high = low - 0.5 * step, high + 0.5 * step  # what rounding in the browser may take away
    control = ipywidgets.FloatRangeSlider(
        value=(low, high),
        min=low,
        max=high,
        step=step,
        description=label,
        readout_format=".2f",
        continuous_update=False,
        style=DESCRIPTION,
    )
    return _styled(control, f"slice-{name}", width)


def slider(
    name: str,
    *,
    label: str,
    value: float,
    low: float,
    high: float,
    step: float,
    digits: int = 2,
    width: str = "400px",
    label_width: str = "initial",
) -> ipywidgets.FloatSlider:
    """Return a labelled slider of class ``astrolab-<name>`` that reports every move."""
    control = ipywidgets.FloatSlider(
        value=value,
        min=low,
        max=high,
        step=step,
        description=label,
        readout_format=f".{digits}f",
        style={"description_width": label_width},
    )
    return _styled(control, name, width)


def button(name: str, *, label: str, on_click: Callable[[], None], hint: str = "") -> ipywidgets.Button:
    """Return a button of class ``astrolab-<name>``."""
    control = ipywidgets.Button(description=label, tooltip=hint or label)
    control.on_click(lambda _: on_click())
    return _styled(control, name, "auto")


def text_field(name: str, *, label: str, value: str, width: str = "260px") -> ipywidgets.Text:
    """Return a labelled field for a line of text, of class ``astrolab-<name>``."""
    return _styled(ipywidgets.Text(value=value, description=label, style=DESCRIPTION), name, width)


def markup(name: str, *, value: str = "") -> ipywidgets.HTML:
    """Return a place for HTML, of class ``astrolab-<name>``."""
    control = ipywidgets.HTML(value)
    control.add_class(f"astrolab-{name}")
    return control


def row(*controls: ipywidgets.Widget) -> ipywidgets.HBox:
    """Return controls in a row that wraps where the page is narrow."""
    box = ipywidgets.HBox(controls)
    box.add_class("astrolab-row")
    return box


def column(*controls: ipywidgets.Widget) -> ipywidgets.VBox:
    """Return controls one below the other, of class ``astrolab-side``."""
    box = ipywidgets.VBox(controls)
    box.add_class("astrolab-side")
    return box


def under_title(control: ipywidgets.Widget, *, title: str) -> ipywidgets.VBox:
    """Return a control with a title above it, no wider than the control."""
    place = ipywidgets.VBox([ipywidgets.HTML(), control])
    place.add_class("astrolab-titled")
    set_title(place, title=title)
    return place


def set_title(place: ipywidgets.VBox, *, title: str) -> None:
    """Change the title above a control."""
    place.children[0].value = f"<b>{escape(title)}</b>"


def close_all(*widgets: ipywidgets.Widget) -> None:
    """Close widgets with all that belongs to them: a kernel keeps every widget that is open."""
    for widget in widgets:
        parts = _parts_of(widget)
        widget.close()
        close_all(*parts)


def _parts_of(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    values = [getattr(widget, name) for name in widget.keys]
    each = [one for value in values for one in (value if isinstance(value, tuple | list) else [value])]
    return [one for one in each if isinstance(one, ipywidgets.Widget) and one.comm is not None]


def _styled(control: ipywidgets.Widget, name: str, width: str):
    control.layout.width = width
    control.add_class(f"astrolab-{name}")
    return control
