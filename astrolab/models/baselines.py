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

    settings = {"loss": "absolute_error", "max_iter": 500, "learning_rate": 0.05, "early_stopping": False}
    return HistGradientBoostingRegressor(**settings, random_state=seed)


def _neighbours(seed: int) -> Any:
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), KNeighborsRegressor(10, weights="distance"))


BASELINES: Mapping[str, Callable[[int], Any]] = {"trees": _trees, "knn": _neighbours}


class Baseline(Network):
    """Gradient-boosted trees (``"trees"``) or the mean of the 10 nearest neighbours (``"knn"``), one model a label.

    Trees see magnitudes and colours, the differences of neighbouring ones; neighbours are those in colours and the
    middle magnitude. The settings are the same for every survey: they are what a study is compared with.
    """

    name = "baseline"

    def __init__(self, *, inputs: Mapping[str, Shape], task: Task, kind: str):
        if kind not in BASELINES:
            raise unknown_name("baseline", name=kind, names=BASELINES)
        super().__init__(inputs=inputs, task=task, stages={}, kind=kind)
        self.kind, self.fitted = kind, []
        self.centre = self.width = torch.zeros(())

    @classmethod
    def reads(cls, specs: Mapping[str, InputSpec]) -> tuple[str, ...]:
        """Return which inputs of a survey it can read: magnitudes, not spectra."""
        return tuple(name for name, spec in specs.items() if spec.axes == ("band",))[:1]

    def learn(self, survey: Survey, *, scaling: Scaling, seed: int) -> Baseline:
        """Fit a model for each label, on the objects for which it is known."""
        (name,) = self.inputs
        own = scaling.inputs[name]
        self.centre, self.width = torch.tensor(own.centre), torch.tensor(own.width)
        read = torch.from_numpy(np.asarray(survey.inputs[name][:], np.float32))
        features = self.embed({name: own.apply(read)}).numpy()
        for _, values in survey.labels[list(self.labels)].items():
            known = values.notna().to_numpy()
            self.fitted.append(BASELINES[self.kind](seed).fit(features[known], values[known]))
        self.trained_on = TrainingRecord.of(survey, inputs=self.inputs)
        return self

    def embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the middle magnitude, the colours and, for trees, all magnitudes; a missing one is the mean."""
        values = inputs[self.inputs[0]]
        magnitudes = values * self.width.to(values.device) + self.centre.to(values.device)
        middle = magnitudes[:, [magnitudes.shape[1] // 2]]
        rest = [magnitudes] if self.kind == "trees" else []
        return torch.cat([middle, -magnitudes.diff(dim=1), *rest], dim=1)

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the labels that the fitted models predict."""
        features = hidden.cpu().numpy()
        labels = np.stack([model.predict(features) for model in self.fitted], axis=1)
        return torch.from_numpy(labels.astype(np.float32)).to(hidden.device)
