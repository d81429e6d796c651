"""Explorers for JupyterLab; each has ``figure()``, ``table()``, ``snapshot(path)``, and is its figure when exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrolab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.twins.galaxies import HscTwinKnobs
    from astrolab.exploring.gathering import Surveys
    from astrolab.landscapes import Landscape
    from astrolab.models.adapt import Adapted
    from astrolab.tasks import Task
    from astrolab.widgets.adapter import AdapterExplorer
    from astrolab.widgets.landscape import LandscapeExplorer
    from astrolab.widgets.predictions import PredictionsExplorer
    from astrolab.widgets.twin import TwinExplorer

__all__ = ["explore_adapter", "explore_landscape", "explore_predictions", "explore_twin"]
NEEDED = ("ipywidgets", "anywidget", "jscatter")


def explore_predictions(
    predictions: Any,
    *,
    survey: Surveys = None,
    task: Task | None = None,
    directory: str | Path | None = None,
    n_cutouts: int = 12,
    n_listed: int = 50,
) -> PredictionsExplorer:
    """Explore predictions against truth: choose a model, lasso objects, see their scores, pictures and positions.

    Objects of unknown truth are counted, and not drawn. Errors of reconstruction are drawn against another column.

    Parameters
    ----------
    predictions : DataFrame, Run, Ledger, path, mapping of str to these, or sequence of runs or paths
        Predictions, wherever they are; several are distinguished by their names, or those of their folders.
    survey : Survey, or several, optional
        The test sets that were predicted, for cut-outs or spectra, positions, magnitudes and sizes; behind them the
        same surveys as they were read, where a bridge made what was predicted.
    task : Task, optional
        By default that of the predictions; ``task.with_scored(z=(0.0, 0.3))`` scores other true values.
    directory : path, optional
        Where selections are saved; by default the folder ``selections`` of the run, or here.
    n_cutouts, n_listed : int
        At most so many objects are shown as pictures and in the table.

    Returns
    -------
    PredictionsExplorer
        A widget; ``snapshot(path)`` keeps what it shows, ``close()`` frees its memory.

    Raises
    ------
    ConfigError
        If the notebook extra is not installed, or the runs were scored in different ranges and `task` is not given.
    PredictionError
        If there are no predictions, or `survey` holds none of the test sets that were predicted.
    """
    _require_notebook_stack("explore_predictions")
    from astrolab.widgets.predictions import PredictionsExplorer

    at_most = (n_cutouts, n_listed)
    return PredictionsExplorer(predictions, survey=survey, task=task, directory=directory, at_most=at_most)


def explore_adapter(
    path_predictions: pd.DataFrame, *, label: str | None = None, task: Task | None = None
) -> AdapterExplorer:
    """Explore the way from a base network to its adapted one: move the scale, see both surveys' scores and objects.

    Parameters
    ----------
    path_predictions : DataFrame
        Predictions with a column ``scale``, every object once at every scale, as `predict_path` returns them.
    label : str, optional
        By default the first.
    task : Task, optional
        As in `explore_predictions`.

    Raises
    ------
    PredictionError
        If the table is no path.
    """
    _require_notebook_stack("explore_adapter")
    from astrolab.widgets.adapter import AdapterExplorer

    return AdapterExplorer(path_predictions, label=label, task=task)


def explore_landscape(landscapes: Sequence[Landscape], *, log: str = "10") -> LandscapeExplorer:
    """Explore loss landscapes on one plane: turn the surface, choose the network, read the loss at any place.

    Parameters
    ----------
    landscapes : sequence of Landscape
        From :func:`astrolab.loss_landscape`, with arms that differ.
    log : {"10", "e", "none"}
        As for :func:`astrolab.plot_landscape`.
    """
    _require_notebook_stack("explore_landscape")
    from astrolab.widgets.landscape import LandscapeExplorer

    return LandscapeExplorer(landscapes, log=log)


def explore_twin(
    survey: str | HscTwinKnobs = "twin-galaxiesml",
    *,
    models: Mapping[str, tuple[Adapted, Scaling]] | None = None,
    image_size: int | None = None,
) -> TwinExplorer:
    """Turn the knobs of a simulated survey and see one galaxy in each band, its magnitudes, what each model answers.

    Parameters
    ----------
    survey : str or HscTwinKnobs
        Name of a twin with a manifest, or the settings of one.
    models : mapping of str to (Adapted or nn.Module, Scaling), optional
        Networks by name, each with the input scaling it was trained with.
    image_size : int, optional
        Side of the stamp (px); by default the size that the networks were trained on, where they know it (those of
        :func:`astrolab.reload_model` do), else the twin's own.

    Raises
    ------
    ConfigError
        If a network was trained on stamps of another size.
    UnknownNameError, ManifestError
        If there is no such twin, or a network does not predict redshifts.
    SchemaError
        If a network reads other bands.
    """
    _require_notebook_stack("explore_twin")
    from astrolab.widgets.twin import TwinExplorer

    return TwinExplorer(survey, models=models or {}, image_size=image_size)


def _require_notebook_stack(function: str) -> None:
    for name in NEEDED:
        try:
            import_module(name)
        except ImportError as error:
            asked = f"{function} was called, which draws a widget."
            received = f"an installation without {name} ({error})"
            raise ConfigError(asked, received=received, remedy="pip install 'astrolab[notebooks]'") from error
