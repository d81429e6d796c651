"""What every explorer is: a widget in an open notebook, and a figure in a page that is only read."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import anywidget
import ipywidgets
import pandas as pd
import traitlets
from IPython.display import display_html
from matplotlib.figure import Figure
from matplotlib.pyplot import close

from astrolab.files import with_ending, write_atomically
from astrolab.runs.record import as_link
from astrolab.widgets import parts
from astrolab.widgets.cloud import ROOM

STILL = Template(Path(__file__).with_name("still.html").read_text(encoding="utf-8"))


def is_watched() -> bool:
    """Say whether a front end offers to ask its user for input: papermill and nbconvert have no user."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin", True))


class Page(anywidget.AnyWidget):
    """The page that shows an explorer: its style, what screen readers call its parts, and when it has drawn.

    A cloud that is asked to draw while it is drawing does not: the last drawing would never be seen. So drawings are
    asked for one at a time, and the page says when it has done each. It takes no room itself.
    """

    # as text: anywidget 0.11 watches files, and keeps every widget that would want to know of a change
    _css = Path(__file__).with_name("explorer.css").read_text(encoding="utf-8")
    _esm = Path(__file__).with_name("explorer.js").read_text(encoding="utf-8")
    asked = traitlets.Int(0).tag(sync=True)
    drawn = traitlets.Int(-1).tag(sync=True)
    cloud_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    room = traitlets.List(traitlets.Int(), default_value=ROOM).tag(sync=True)

    def __init__(self):
        super().__init__()
        self._next: Callable[[], None] | None = None

    @property
    def is_drawing(self) -> bool:
        """Whether a drawing is under way."""
        return 0 <= self.drawn < self.asked

    @property
    def is_waited_for(self) -> bool:
        """Whether another drawing waits for it."""
        return self._next is not None

    def draw(self, ask: Callable[[], None]) -> None:
        """Have clouds draw: now, or when what they draw is done. Of drawings that wait, only the latest is made."""
        if self.is_drawing:
            self._next = ask
        else:
            ask()
            self.asked += 1

    @traitlets.observe("drawn")
    def _go_on(self, _: Any) -> None:
        if self._next is not None and not self.is_drawing:
            ask, self._next = self._next, None
            self.draw(ask)


class Explorer(ipywidgets.VBox):
    """A widget with a static figure and a table behind it.

    Subclasses build their controls, set `children`, and have `summary` (one line), `table` and `_figure`.
    """

    def __init__(self, *, css_class: str):
        super().__init__()
        self.add_class("astrolab-explorer").add_class(css_class)
        self.is_live = False
        self.page = Page()
        self.links, self.linked = ipywidgets.Output(), {}
        self._own = set(vars(self)) | {"_own"}

    def link(self, *paths: Path) -> None:
        """Link files, beside those linked before, in an output inside the widget, whose links JupyterLab follows."""
        self.linked |= dict.fromkeys(paths)
        html = {"text/html": " · ".join(map(as_link, self.linked))}
        self.links.outputs = ({"output_type": "display_data", "data": html, "metadata": {}},)

    def figure(self) -> Figure:
        """Return what is shown, as a figure that pyplot does not know: it would be shown below the widget again."""
        figure = self._figure()
        close(figure)
        return figure

    def _whole_table(self) -> pd.DataFrame:
        """What a snapshot keeps beside the figure: `table`, with what did not fit on the page."""
        return self.table()

    def snapshot(self, path: str | Path) -> tuple[Path, Path]:
        """Keep what is shown: a figure and a table."""
        image = with_ending(path, ending=".png", instead_of=(".csv",))
        table = with_ending(image, ending=".csv", instead_of=(".png",))
        self._save_figure(image)
        with write_atomically(table) as part:
            self._whole_table().to_csv(part, index=False)
        return image, table

    def _save_figure(self, path: Path) -> None:
        with write_atomically(path) as part:
            part.write_bytes(parts.figure_png(self.figure(), dpi=200))

    def go_live(self) -> None:
        """Put in place what only a browser can draw; happens by itself in an open notebook."""
        self.is_live = True

    def go_live_if_watched(self) -> None:
        """Call `go_live` in an open notebook; subclasses end with this."""
        if is_watched():
            self.go_live()

    def close(self) -> None:
        """Leave a picture on the page and let go of the objects; a kernel keeps all that is not closed."""
        if self.comm is None:
            return
        children, self.children = self.children, ()
        parts.close_all(*children, self.links, self.layout)
        clouds = getattr(self, "clouds", ())
        for cloud in clouds.values() if isinstance(clouds, dict) else clouds:
            cloud.close()
        for name in set(vars(self)) - self._own:
            delattr(self, name)
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The figure in a page that is only read; else the widget, after a picture for when its kernel is gone."""
        image = base64.b64encode(parts.figure_png(self.figure())).decode()
        if not is_watched():
            return {"text/plain": repr(self), "image/png": image}, {"image/png": {"alt": self.summary}}
        if not self.is_live:
            self.go_live()
        # an output of its own: of one with a widget in it, JupyterLab shows the widget, or an error
        display_html(STILL.substitute(alt=escape(self.summary), image=image), raw=True)
        return super()._repr_mimebundle_(**kwargs) | {"text/plain": repr(self)}, {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'closed' if self.comm is None else self.summary}>"
