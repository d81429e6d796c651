"""Classical models of scikit-learn in the place of a network: what a study has to be better than."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from astrolab.errors import require_known
from astrolab.models.network import Network, Shape, TrainingRecord
from astrolab.tasks import InputSpec, Task

if TYPE_CHECKING:
    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.survey import Survey


def _make(kind: str, *, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "trees":
        settings = {"loss": "absolute_error", "max_iter": 500, "learning_rate": 0.05, "early_stopping": False}
        return HistGradientBoostingRegressor(**settings, random_state=seed)
    model = KNeighborsRegressor(10, weights="distance") if kind == "knn" else RidgeCV(np.logspace(-2, 6, 25))
    return make_pipeline(StandardScaler(), model)


def _colours(magnitudes: Tensor) -> Tensor:
    return torch.cat([magnitudes[:, [magnitudes.shape[1] // 2]], -magnitudes.diff(dim=1)], dim=1)


@dataclass(frozen=True)
class Kind:
    """What a classical model reads: the axis of it, and the features that it sees of that."""

    axes: tuple[str, ...]
    features: Callable[[Tensor], Tensor]

    def reads(self, specs: Mapping[str, InputSpec]) -> tuple[str, ...]:
        """Return which input of a survey it reads: the first of its kind."""
        return tuple(name for name, spec in specs.items() if len(spec.axes) == 1 and spec.axes[0] in self.axes)[:1]


BASELINES: Mapping[str, Kind] = {
    "trees": Kind(("band",), lambda magnitudes: torch.cat([_colours(magnitudes), magnitudes], dim=1)),
    "knn": Kind(("band",), _colours),
    "ridge": Kind(("pixel", "feature"), lambda values: values),
}


class Baseline(Network):
    """A classical model a label: its settings are the same for every survey, as what a study is compared with.

    Of magnitudes, gradient-boosted trees (``"trees"``), which see them and the colours, differences of neighbouring
    ones, or the mean of the 10 nearest neighbours (``"knn"``) in colours and the middle magnitude. Of a spectrum or an
    embedding, ridge regression (``"ridge"``) on standardised values, its penalty chosen from 1e-2 to 1e6 by the error
    of each training object as predicted from all others.
    """

    name = "baseline"

    def __init__(self, *, inputs: Mapping[str, Shape], task: Task, kind: str):
        require_known("baseline", name=kind, names=BASELINES)
        super().__init__(inputs=inputs, task=task, stages={}, kind=kind)
        self.kind, self.fitted = kind, []
        self.centre = self.width = torch.zeros(())

    def learn(self, survey: Survey, *, scaling: Scaling, seed: int) -> Baseline:
        """Fit a model for each label, on the objects for which it is known."""
        (name,) = self.inputs
        own = scaling.inputs[name]
        self.centre, self.width = torch.tensor(own.centre), torch.tensor(own.width)
        read = torch.from_numpy(np.array(survey.inputs[name][:], np.float32))
        features = self.embed({name: own.apply(read)}).numpy()
        for _, values in survey.labels[list(self.labels)].items():
            known = values.notna().to_numpy()
            self.fitted.append(_make(self.kind, seed=seed).fit(features[known], values[known]))
        self.trained_on = TrainingRecord.of(survey, inputs=self.inputs)
        return self

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the features that the classical model sees; a missing magnitude is the mean."""
        values = inputs[self.inputs[0]]
        return BASELINES[self.kind].features(values * self.width.to(values.device) + self.centre.to(values.device))

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels that the fitted models predict."""
        features = hidden.cpu().numpy()
        labels = np.stack([model.predict(features) for model in self.fitted], axis=1)
        return torch.from_numpy(labels.astype(np.float32)).to(hidden.device)
