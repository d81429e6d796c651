"""Networks asked: along the way from a base network to the adapted one, and about a single object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from astrolab.errors import ConfigError, PredictionError, SchemaError, unknown_name
from astrolab.metrics import Sample, find_metric
from astrolab.metrics.scoring import default_metrics
from astrolab.predictions import labels_of, one_label, quantity_of, task_of
from astrolab.tasks import Quantity, Task

if TYPE_CHECKING:
    from torch import nn

    from astrolab.datasets.scaling import Scaling
    from astrolab.models.adapt import Adapted

N_METRICS = 3


@dataclass(frozen=True, eq=False)
class PathOfSurvey:
    """One test set along the path."""

    object_id: np.ndarray
    truth: np.ndarray
    preds: np.ndarray
    scored: np.ndarray


@dataclass(frozen=True, eq=False)
class AdapterPath:
    """The same objects at every scale of an adapter, 0 being the base network and 1 the adapted one.

    Predictions between two scales that were computed are interpolated.
    """

    scales: np.ndarray
    surveys: Mapping[str, PathOfSurvey]
    scores: pd.DataFrame
    quantity: Quantity
    simulated: bool

    @classmethod
    def of(cls, predictions: pd.DataFrame, *, label: str | None = None, task: Task | None = None) -> AdapterPath:
        """Arrange predictions with a column ``scale`` object by object, and score them at every scale."""
        missing = [name for name in ("survey", "object_id", "scale") if name not in predictions]
        scales = np.sort(predictions["scale"].unique()) if not missing else ()
        if len(scales) < 2:
            raise PredictionError(
                "The path between a base network and its adapted one was to be explored.",
                received=f"a table without {', '.join(missing)}" if missing else f"predictions at {len(scales)} scale",
                remedy="Predict at several scales of the adapter, such as 0, 0.25, 0.5, 0.75 and 1.",
            )
        task = task or task_of(predictions)
        label = label or labels_of(predictions)[0]
        known, quantity = one_label(predictions, label=label), quantity_of(label, task=task)
        surveys = {
            str(name): _arrange(rows, scales=scales, name=str(name), quantity=quantity)
            for name, rows in known.groupby("survey", sort=False)
        }
        rows = [
            {"scale": scale, "survey": name, "label": quantity.name, "metric": metric}
            | {"value": find_metric(metric)(Sample(one.truth[one.scored], preds[one.scored], quantity))}
            for name, one in surveys.items()
            for metric in default_metrics(task)[:N_METRICS]
            for scale, preds in zip(scales, one.preds, strict=True)
        ]
        scores = pd.DataFrame(rows)
        scores.attrs = {"task": task.to_dict()}
        simulated = "simulated" in predictions and bool(predictions["simulated"].any())
        return cls(scales, surveys, scores, quantity, simulated)

    def predictions_at(self, scale: float, *, survey: str) -> np.ndarray:
        """Give the predictions at a scale, linearly between the two nearest scales that were computed."""
        preds = self.surveys[survey].preds
        upper = int(np.clip(np.searchsorted(self.scales, scale), 1, len(self.scales) - 1))
        step = (scale - self.scales[upper - 1]) / (self.scales[upper] - self.scales[upper - 1])
        return (1.0 - step) * preds[upper - 1] + step * preds[upper]

    def scores_at(self, scale: float) -> pd.DataFrame:
        """Give the scores of every survey at a scale, linearly between the two nearest scales that were computed."""
        rows = []
        for (survey, metric), curve in self.scores.groupby(["survey", "metric"], sort=False):
            values = np.interp([scale, 0.0, 1.0], self.scales, curve["value"].to_numpy(), left=np.nan, right=np.nan)
            rows.append((survey, metric, *values.tolist()))
        return pd.DataFrame(rows, columns=["survey", "metric", "value", "base", "adapted"])


def _arrange(rows: pd.DataFrame, *, scales: np.ndarray, name: str, quantity: Quantity) -> PathOfSurvey:
    asked = f"Objects of {name!r} were to be followed along the scale of an adapter, and scored."
    ids, truths = (rows.loc[rows["scale"] == scales[0], column] for column in ("object_id", "truth"))
    preds = rows.groupby(["object_id", "scale"])["pred"].agg(["size", "first"]).unstack()
    if not (preds["size"] == 1).all(axis=None) or not np.isfinite(preds["first"]).all(axis=None):
        received = "objects that are not there exactly once at every scale"
        remedy = "Predict the same test set at every scale, with one seed."
        raise PredictionError(asked, received=received, remedy=remedy)
    truth = truths.to_numpy(float)
    scored = quantity.is_scored(truth)
    if not scored.any():
        received = f"no object with truth in {quantity.scored}"
        remedy = f"Widen the range: task=task.with_scored({quantity.name}=None) scores all objects."
        raise PredictionError(asked, received=received, remedy=remedy)
    return PathOfSurvey(ids.to_numpy(), truth, preds["first"].loc[ids].to_numpy().T, scored)


def answer(
    model: Adapted | nn.Module,
    *,
    label: str,
    scaling: Scaling,
    inputs: Mapping[str, np.ndarray],
    channels: Mapping[str, Sequence[str]],
) -> float:
    """Give the label that a network on the CPU predicts for one object, from its raw inputs and their channels."""
    import torch

    from astrolab.datasets.twins.galaxies.simulation import on_one_thread

    network = _network(model)
    if label not in network.labels:
        raise unknown_name("label of the network", name=label, names=network.labels)
    for name in network.inputs:
        if name not in inputs:
            raise unknown_name("input of an object", name=name, names=inputs)
        fitted = scaling.inputs[name].channels
        if tuple(channels[name]) != fitted:
            raise SchemaError(
                "A network was asked about an object.",
                received=f"its {name} in {', '.join(channels[name])}",
                available=f"a network that reads {', '.join(fitted)}, in this order",
                remedy="Ask a network that was trained in the channels of the object.",
            )
    values = {name: torch.from_numpy(np.array(inputs[name], dtype=np.float32))[None] for name in network.inputs}
    with on_one_thread(), torch.inference_mode():
        return float(network(scaling.apply(values))[0, network.labels.index(label)])


def stamp_size(models: Mapping[str, tuple[Adapted | nn.Module, Scaling]], *, asked: int | None = None) -> int | None:
    """Give the side (px) of the stamps that some networks were all trained on; None where nothing says it."""
    records = {name: _network(model).trained_on for name, (model, _) in models.items()}
    shapes = {name: list(record.shapes.values()) for name, record in records.items() if record}
    trained = {name: shape[-1] for name, each in shapes.items() for shape in each if len(shape) == 3}
    sizes = {size for size in (asked, *trained.values()) if size}
    if len(sizes) > 1:
        raise ConfigError(
            "Networks were to be asked about an object.",
            received=f"stamps of {asked} px" if asked else "networks that were trained on stamps of different sizes",
            available=", ".join(f"{name}: {size} px" for name, size in trained.items()),
            remedy="Ask for the image_size of the networks, or for none; ask networks of other sizes by themselves.",
        )
    return sizes.pop() if sizes else None


def _network(model: Adapted | nn.Module):
    from torch import nn

    return model if isinstance(model, nn.Module) else model.network
