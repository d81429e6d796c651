"""Classical models of scikit-learn in the place of a network: what a study on magnitudes has to be better than."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from astrolab.errors import unknown_name
from astrolab.models.network import Network, Shape, TrainingRecord
from astrolab.tasks import InputSpec, Task

if TYPE_CHECKING:
    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.survey import Survey


def _trees(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=300, learning_rate=0.06, early_stopping=False, random_state=seed)


def _neighbours(seed: int) -> Any:
    from sklearn.neighbors import KNeighborsRegressor

    return KNeighborsRegressor(n_neighbors=15, weights="distance")


BASELINES: Mapping[str, Callable[[int], Any]] = {"trees": _trees, "knn": _neighbours}


class Baseline(Network):
    """Gradient-boosted trees (``"trees"``) or the mean of the 15 nearest neighbours (``"knn"``), one model a label.

    It reads numbers in a row and the differences of neighbouring ones, of magnitudes the colours. Its settings are the
    same for every survey: it is what a study is compared with, not tuned to it.
    """

    name = "baseline"

    def __init__(self, *, inputs: Mapping[str, Shape], task: Task, kind: str):
        if kind not in BASELINES:
            raise unknown_name("baseline", name=kind, names=BASELINES)
        super().__init__(inputs=inputs, task=task, stages={}, kind=kind)
        self.fitted: list[Any] = []

    @classmethod
    def reads(cls, specs: Mapping[str, InputSpec]) -> tuple[str, ...]:
        """Return which inputs of a survey it can read: magnitudes, not spectra."""
        return tuple(name for name, spec in specs.items() if spec.axes == ("band",))[:1]

    def learn(self, survey: Survey, *, scaling: Scaling, seed: int) -> Baseline:
        """Fit a model for each label, on the objects for which it is known."""
        read = {name: torch.from_numpy(np.asarray(survey.inputs[name][:], np.float32)) for name in self.inputs}
        features = self.embed(scaling.apply(read)).numpy()
        weights = survey.weights if survey.weights is not None else {}
        for label, values in survey.labels[list(self.labels)].items():
            known, weight = values.notna().to_numpy(), weights.get(label)
            model = BASELINES[self.spec.options["kind"]](seed)
            by_weight = {} if weight is None or self.spec.options["kind"] == "knn" else {"sample_weight": weight[known]}
            self.fitted.append(model.fit(features[known], values[known], **by_weight))
        self.trained_on = TrainingRecord.of(survey, inputs=self.inputs)
        return self

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the numbers (n, k) and their differences (n, k - 1)."""
        (values,) = (inputs[name] for name in self.inputs)
        return torch.cat([values, values.diff(dim=1)], dim=1)

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels that the fitted models predict."""
        features = hidden.cpu().numpy()
        labels = np.stack([model.predict(features) for model in self.fitted], axis=1)
        return torch.from_numpy(labels.astype(np.float32)).to(hidden.device)
