"""The explorer of predictions: choices, slices and lasso on one side, scores, pictures and positions on the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from astrolab.errors import AstrolabError
from astrolab.exploring import gathering
from astrolab.exploring.columns import SliceColumn, column_label, has_truth, number_columns, picture_input
from astrolab.exploring.gathering import Surveys
from astrolab.exploring.view import NONE, Exploration, short_name
from astrolab.plots.explorers import brief_names, cloud_title, colour_points, in_words, name_models, plot_exploration
from astrolab.plots.predictions import AXES, reference_lines
from astrolab.plots.style import is_simulated
from astrolab.predictions import quantity_of
from astrolab.tasks import Task
from astrolab.widgets import parts
from astrolab.widgets.cloud import SELECTED_COLOUR, Cloud, CloudContent, cloud_contents, side_px
from astrolab.widgets.explorer import Explorer

LABELS = {"survey": "Test survey", "split": "Part", "arm": "Arm", "fraction": "Data fraction"}
LABELS |= {"scale": "Adapter scale", "trained_on": "Trained on"}
BOTH = "both"
AXIS_OPTIONS = (("prediction", "pred"), ("deviation", "deviation"), ("prediction and deviation", BOTH))
N_CLOUDS = 4  # at most: two models, two vertical axes
BY_GROUP = ALONE = ""
EXAMPLE = "abs(deviation) > 0.1 or selected"
STRETCHES = (("faint light", 0.25), ("usual", 1.0), ("bright cores", 6.0))
NO_OTHER = ("no other model", ALONE)


class PredictionsExplorer(Explorer):
    """Predicted against true, with everything linked; made by :func:`astrolab.explore_predictions`."""

    def __init__(
        self, source: Any, *, survey: Surveys, task: Task | None, directory: str | Path | None, at_most: tuple[int, int]
    ):
        super().__init__(css_class="astrolab-predictions")
        table = gathering.gather_predictions(source, task=task)
        predicted = list(table["survey"].unique()) if "survey" in table else []
        surveys = gathering.surveys_by_name(survey, predicted=predicted)
        self.view = Exploration(table, surveys=surveys, task=task)
        self.n_cutouts, self.n_listed = at_most
        self.directory = Path(directory or gathering.selections_folder(source))
        self.link(*gathering.selections_folder(source).parent.glob("report.html"))
        self.clouds = tuple(Cloud(on_select=self.select, on_look=self._card) for _ in range(N_CLOUDS))
        self._listening = True
        self._first = 0  # of the pictures that are shown
        self._make_choosers()
        self._make_actions()
        self._make_places()
        self._loaded()
        self.go_live_if_watched()

    def _make_choosers(self) -> None:
        self.choosers: dict[str, ipywidgets.Dropdown] = {}
        for name, values in self.view.choices.options.items():
            options = [(self._option(name, value), value) for value in values]
            label = LABELS.get(name, name.capitalize())
            chooser = self._dropdown(name, label=label, options=options, value=self.view.values[name])
            if len(values) == 1:
                chooser.layout.display = "none"
            self._when(chooser, partial(self._chosen, name))
            self.choosers[name] = chooser
            setattr(self, name, chooser)
        self.compare = self._dropdown("compare", label="Compare with", options=[NO_OTHER], value=ALONE)
        self.axis = self._dropdown("axis", label="Vertical axis", options=AXIS_OPTIONS, value="pred")
        self.colour = self._dropdown("colour", label="Colour", options=[("outliers", BY_GROUP)], value=BY_GROUP)
        self.slices: dict[str, ipywidgets.FloatRangeSlider] = {}
        self._columns: tuple[SliceColumn, ...] = ()
        self._when(self.compare, self._compared)
        self._when(self.axis, self._draw)
        self._when(self.colour, self._draw)

    def _dropdown(self, name: str, **options: Any) -> ipywidgets.Dropdown:
        return parts.control(name, kind=ipywidgets.Dropdown, width="auto", **options)

    def _option(self, name: str, value: Any) -> str:
        return quantity_of(value, task=self.view.task).words if name == "label" else in_words(name, value=value)

    def _make_actions(self) -> None:
        view, text = self.view, {"kind": ipywidgets.Text, "width": "auto", "continuous_update": False}
        selecting = {"select-outliers": ("Select outliers", lambda: self.select(view.outliers))}
        selecting["select-shown"] = "All shown", lambda: self.select(np.flatnonzero(view.inside))
        selecting |= {"undo": ("Undo", self._undo), "clear": ("Clear", lambda: self.select(NONE))}
        self.actions = parts.buttons(selecting)
        self.where = parts.control("where", label="Select where", placeholder=EXAMPLE, **text)
        self._when(self.where, lambda: self.select(view.where(self.where.value)) if self.where.value else None)
        self.filename = parts.control("filename", label="Save as", value=gathering.DEFAULT_NAME, **text)
        saved = {"CSV": ".csv", "ECSV": ".ecsv", "Figure": ".png"}
        self.export = parts.buttons({f"save{end}": (name, partial(self._save, end)) for name, end in saved.items()})
        self.export.children = (self.filename, *self.export.children, self.links)
        self.stretch = self._dropdown("stretch", label="Stretch", options=STRETCHES, value=1.0)
        self._when(self.stretch, self._list)
        turns = {"previous": ("Previous", partial(self._turn, -1)), "next": ("Next", partial(self._turn, 1))}
        self.pages = parts.row(parts.buttons(turns), self.stretch)

    def _make_places(self) -> None:
        self.places = parts.places("title", "legend", "scores", "status", "cutouts", "galaxies")
        self.slice_row, self.cloud_row = (
            parts.row().add_class("astrolab-line"),
            parts.row().add_class("astrolab-clouds"),
        )
        title, legend, scores, status, *below = self.places.values()
        tools = parts.column(self.actions, self.where, self.export, status).add_class("astrolab-tools")
        main = parts.row(self.cloud_row, parts.column(legend, parts.row(scores, tools))).add_class("astrolab-main")
        choices = parts.row(*self.choosers.values(), self.compare, self.axis, self.colour).add_class("astrolab-line")
        self.page.observe(self._resized, names="room")
        self.page.on_msg(self._heard)
        self.children = [self.page, title, choices, self.slice_row, main, self.pages, *below]

    def _when(self, control: ipywidgets.Widget, follow) -> None:
        """Follow a control, unless it was this explorer that changed it; what cannot be followed is said and undone."""

        def changed(_: Mapping[str, Any]) -> None:
            if not self._listening:
                return
            try:
                follow()
            except AstrolabError as error:
                self._show_choices()
                self.places["status"].value = parts.text_note(str(error))

        control.observe(changed, names="value")

    # What follows a choice, a slice, a selection.

    def _chosen(self, name: str) -> None:
        before = self._names
        self.view.choose(**{name: self.choosers[name].value})
        self._loaded()
        if len(before) > len(self._names):
            left = f"No longer compared with {before[1]}: it has no other predictions of these {self.view.word}."
            self.places["status"].value = parts.text_note(f"{self._status()}\n{left}")

    def _compared(self) -> None:
        self.view.compare_with(self._others.get(self.compare.value))
        self._loaded()

    def _loaded(self) -> None:
        """Offer what there is to compare, slice and colour by now, and draw."""
        self._names, self._shared = self._named(*filter(None, [self.view.other]))
        self._others = self.view.others
        self._show_choices()
        self._listening = False
        self._offer_slices()
        columns = number_columns(self.view.objects, quantity=self.view.quantity)
        drawn = AXIS_OPTIONS if has_truth(self.view.quantity) else AXIS_OPTIONS[:1]
        others = [one for one in columns if one[1].removesuffix("_other") not in ("truth", *AXES)]
        self._offer(self.axis, [*drawn, *others])
        is_stretched = picture_input(next(iter(self.view.pictured), None))[0] == "image"
        self.stretch.layout.display = None if is_stretched else "none"
        self._offer(self.colour, [("what changed" if self.view.other else "outliers", BY_GROUP), *columns])
        self._listening = True
        self._draw()

    def _offer(self, chooser: ipywidgets.Dropdown, options: list[tuple[str, str]]) -> None:
        """Offer other options; what was chosen stays where it is still offered."""
        wanted, values = chooser.value, [value for _, value in options]
        chooser.options = options
        chooser.value = wanted if wanted in values else values[0]

    def _named(self, *others: Mapping[str, Any]) -> tuple[list[str], str]:
        return name_models([self.view.values, *others], options=self.view.choices.options)

    def _show_choices(self) -> None:
        """Set the dropdowns to what is chosen."""
        self._listening = False
        for name, value in self.view.values.items():
            self.choosers[name].value = value
        others = [(self._named(model)[0][1], name) for name, model in self._others.items()]
        self.compare.options = [NO_OTHER, *others]
        self.compare.value = ALONE if self.view.other is None else short_name(self.view.values, other=self.view.other)
        self._listening = True

    def _offer_slices(self) -> None:
        columns = self.view.slice_columns
        if columns == self._columns:
            self.view.slice({name: slider.value for name, slider in self.slices.items()})
            return
        self._columns, replaced, self.slices = columns, self.slices, {}
        for column in columns:
            name = column.name if column.kind == "other" else column.kind
            slider = parts.range_slider(name, label=column.label, low=column.low, high=column.high)
            self._when(slider, self._sliced)
            self.slices[column.name] = slider
        self.slice_row.children = list(self.slices.values())
        parts.close_all(*replaced.values())

    def _sliced(self) -> None:
        self.view.slice({name: slider.value for name, slider in self.slices.items()})
        self._refresh()

    def select(self, rows: np.ndarray) -> None:
        """Select objects, as a lasso does."""
        self.view.select(rows)
        self._refresh()

    def _undo(self) -> None:
        self.view.undo()
        self._refresh()

    def _turn(self, by: int) -> None:
        first = self._first + by * self.n_cutouts
        if 0 <= first < len(self.view.rows):
            self._first = first
            self._list()

    def _heard(self, _: Any, said: Mapping[str, Any], __: Any) -> None:
        """Follow what is done in the table and the pictures: sort by a column, light an object, select it or not."""
        if "sort" in said:
            self.view.sort(said["sort"])
            self._list()
        elif "light" in said:
            for cloud, _ in zip(self.clouds, self._titles, strict=False):
                cloud.light(said["light"])
        else:
            self.select(np.setxor1d(self.view.selected, [said["toggle"]]))

    def go_live(self) -> None:
        """Put the clouds in place, which only a browser can draw."""
        self.is_live = True
        for number, (cloud, title) in enumerate(zip(self.clouds, self._titles, strict=False)):
            if number == len(self.cloud_row.children):
                self.cloud_row.children += (parts.under_title(cloud.widget, title=title),)
            parts.set_title(self.cloud_row.children[number], title=title)
        for number, place in enumerate(self.cloud_row.children):  # taken out and put back, it draws on a dead canvas
            place.layout.display = None if number < len(self._titles) else "none"

    def _resized(self, _: Mapping[str, Any]) -> None:
        if side_px(len(self._titles), room=self.page.room) != self.clouds[0].side_px:
            self._draw()

    # What is shown.

    def _draw(self) -> None:
        self._colours = colour_points(self.view.objects, by=self.colour.value or None)
        contents = cloud_contents(self.view, axes=self._axes, colours=self._colours)
        titles = [cloud_title(self._names, column=one.column) for one in contents]
        self.page.draw(partial(self._draw_clouds, contents, titles))
        self._refresh()

    @property
    def _axes(self) -> list[str]:
        return list(AXES) if self.axis.value == BOTH else [self.axis.value]

    def _card(self, row: int, *, model: int) -> tuple[str, str, str]:
        """What is shown of the object under the mouse: its picture, its id, its truth and prediction."""
        surveys, one = self.view.pictured[-1:], self.view.objects.iloc[[row]]
        pictures = parts.object_pictures(one, surveys=surveys, stretch=self.stretch.value)[0] if surveys else {}
        said = parts.answer(one.iloc[0], column=("pred", "pred_other")[model])
        return next(iter(pictures.values()), parts.BLANK), str(one["object_id"].iloc[0]), said

    def _legend(self) -> str:
        dots = self._colours.legend(inside=self.view.inside) | {"selected: ringed": SELECTED_COLOUR}
        find = partial(reference_lines, self.view.quantity, x_range=(0.0, 1.0))
        drawn = [line for axis in self._axes for line in find(axis=axis)]
        lines = {line.text: line.colour for line in drawn} if has_truth(self.view.quantity) else {}
        return parts.legend(dots, lines=lines, heading=self._colours.heading(brief_names(self._names)))

    def _draw_clouds(self, contents: list[CloudContent], titles: list[str]) -> None:
        """Draw, and only then put in place: a cloud that waits for its turn has nothing to show yet."""
        for cloud, content in zip(self.clouds, contents, strict=False):
            cloud.draw(content, side_px=side_px(len(contents), room=self.page.room))
        self._titles = titles
        self.page.cloud_names = [f"{title}: {one.in_words}" for title, one in zip(titles, contents, strict=True)]
        if self.is_live:
            self.go_live()
        self._mark()

    def _mark(self) -> None:
        """Show in the clouds which objects are selected, and which are inside the slices."""
        for cloud, _ in zip(self.clouds, self._titles, strict=False):
            cloud.select(self.view.selected)
            cloud.show_only(self.view.inside)

    def _refresh(self) -> None:
        """Score, picture and list the objects in view."""
        if not self.page.is_waited_for:  # else the clouds still show other objects
            self._mark()
        self.places["title"].value = parts.title_line(self.summary)
        self.places["legend"].value = self._legend()
        scored = f"Scored: {self._range}; " if self._range else ""
        self.places["scores"].value = parts.score_table(self._sides(), note=f"{scored}± half the 68 % interval")
        self.places["status"].value = parts.text_note(self._status())
        self._first = 0
        self._list()

    def _list(self) -> None:
        """Picture and list the objects in view, in their order."""
        view, n, (by, descending) = self.view, len(self.view.rows), self.view.order
        self.listed = view.listed(max(self.n_listed, self._first + self.n_cutouts))
        name = column_label(by, quantity=view.quantity)
        order = f"{'highest' if descending else 'lowest'} {name}" if by else parts.ORDER[view.magnitude is None]
        note = f"{min(n, self.n_listed):,} of {n:,} {view.word}{'' if view.what == 'all' else f' of the {view.what}'}"
        about = {"numbers": self.listed[: self.n_listed], "note": f"{note}, {order} first; Enter selects one"}
        about |= {"order": view.order, "on_sky": "ra" in view.objects and not is_simulated(view.objects)}
        self.places["galaxies"].value = parts.object_table(self.table(), **about)
        self.places["cutouts"].value = self._pictures(f"{order} first")

    def _status(self) -> str:
        """How many objects are in view, how many are left out, and why some of a selection have no score."""
        view, n = self.view, len(self.view.objects)
        unknown = f" The truth of {view.n_unknown:,} others is unknown." if view.n_unknown else ""
        if view.what == "all":
            return f"All {n:,} {view.word}.{unknown} Lasso some in the cloud, click one, or move a slider."
        out = int((~view.quantity.is_scored(view.objects["truth"].to_numpy(float)[view.rows])).sum())
        if view.what == "selection" and out and self._range:
            unknown = f" Not scored: {out:,} of them, outside {self._range}.{unknown}"
        return f"{len(view.rows):,} of {n:,} {view.word} in the {view.what}.{unknown}"

    def _pictures(self, order: str) -> str:
        surveys, name = self.view.pictured, self.view.values["survey"]
        if self.view.survey is None:
            return parts.text_note(f"No pictures: pass the survey of {name} to explore_predictions, as survey=….")
        listed = self.view.objects.iloc[self.listed[self._first :][: self.n_cutouts]]
        order = f"{self._first + 1:,} to {self._first + len(listed):,} of {len(self.view.rows):,}, {order}"
        about = {"surveys": surveys, "order": order, "stretch": self.stretch.value}
        return parts.object_cards(listed, **about) if surveys else ""

    @property
    def summary(self) -> str:
        """What is shown, in one line."""
        simulated = f"simulated {self.view.word}" if is_simulated(self.view.objects) else ""
        return " · ".join(filter(None, [f"{' and '.join(self._names)} on {self._where}", self._shared, simulated]))

    @property
    def _where(self) -> str:
        return in_words("survey", value=self.view.values["survey"])

    def _sides(self) -> dict[str, pd.DataFrame]:
        """Scores under the headings of their columns."""
        scores, names = self.view.scores.items(), brief_names(self._names)
        return {what if not self.view.other else f"{names[k]} · {what}": scores for (k, what), scores in scores}

    @property
    def _range(self) -> str:
        ends = self.view.quantity.scored
        return f"{ends[0]:g} < true {self.view.quantity.axis} ≤ {ends[1]:g}" if ends else ""

    # What is kept.

    def table(self) -> pd.DataFrame:
        """Return the objects that are listed, brightest outliers first."""
        return self.view.table(self.listed[: self.n_listed])

    def _whole_table(self) -> pd.DataFrame:
        return self.view.table(self.view.listed(len(self.view.rows)))

    def _figure(self) -> Figure:
        view, title = self.view, [f"Predictions on {self._where}", self._shared, *self.view.cuts_in_words]
        return plot_exploration(
            view.objects,
            quantity=view.quantity,
            x=view.x,
            rows=view.rows if view.what == "selection" else None,
            inside=view.inside,
            sides=self._sides(),
            models=self._names,
            axes=self._axes,
            colour=self.colour.value or None,
            surveys=view.pictured,
            listed=self.listed[self._first :],
            objects=view.word,
            title=" · ".join(filter(None, title)),
        )

    def _save(self, ending: str) -> None:
        path = gathering.selection_file(self.filename.value, folder=self.directory, ending=ending)
        rows, was_there = self.view.rows, path.exists()
        try:
            if is_figure := ending == ".png":
                self._save_figure(path)
            else:
                gathering.save_selection(self.view.table(rows), path=path, comment=self.view.about)
        except (OSError, AstrolabError) as error:
            self.places["status"].value = parts.text_note(f"Not saved: {error}")
        else:
            self.link(path)
            instead = ", in place of the file of that name" if was_there else ""
            what = "Figure" if is_figure else f"{len(rows):,} {self.view.word}"
            self.places["status"].value = parts.text_note(f"{what} saved as {path}{instead}")
