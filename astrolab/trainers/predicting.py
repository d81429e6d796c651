"""What networks answer: predictions beside their truth, along a path of networks, and embeddings as a survey."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from astrolab.datasets.digests import digest_rows
from astrolab.datasets.manifest import data_dir
from astrolab.datasets.scaling import Scaling
from astrolab.datasets.splits import subsample
from astrolab.datasets.survey import Survey
from astrolab.errors import ConfigError, PixelError, PredictionError
from astrolab.files import DIGEST_PLACE, digest_fault, require_space, write_atomically, write_digest
from astrolab.models.adapt import Adapted, merge
from astrolab.models.network import Network, digest
from astrolab.models.paths import interpolate
from astrolab.predictions import CONDITIONS, concat_predictions, predictions_table
from astrolab.tasks import InputSpec
from astrolab.trainers.config import Objective
from astrolab.trainers.feeding import some_ids
from astrolab.trainers.objectives import VALIDATION, MaskedReconstruction, draw_seeds

N_REFERENCE = 2000  # training objects, and held-out ones
UNLIKE = 0.01


def predict(
    model: Adapted | Network,
    *,
    survey: Survey,
    scaling: Scaling,
    batch_size: int = 1024,
    device: str = "auto",
    keep: Sequence[str] = (),
) -> pd.DataFrame:
    """Predict the labels of every object of a survey, beside their truth.

    Of a model with a reference (:func:`fit_reference`; :func:`reload_model` gives one), the table says of every object
    how far it lies, among the hidden features, from the nearest training object: ``typicality`` is the share of
    held-out objects that lie at least as far, ``unlike`` is whether that is below 1 % (1 % of like objects are, too).

    Inputs are read and scaled batch by batch, in the survey's order; the network is afterwards on the device and in the
    mode that it was in. A network without labels fills in a part of its inputs instead, the same of an object each
    time: a half, or ``network.mask_ratio``, in runs of ``network.mask_patch``; ``error.<input>`` is the mean squared
    error of what was hidden.

    Parameters
    ----------
    scaling : Scaling
        The input scaling the network was trained with.
    device : str
        A torch device, or ``"auto"``: the accelerator if there is one.
    keep : sequence of str
        Labels or catalogue columns to carry along, e.g. ``["i_mag"]``.

    Returns
    -------
    DataFrame
        `astrolab.predictions.KEYS` (``run`` and ``fit`` empty, ``arm`` the strategy, ``seed`` that of `adapt`;
        :meth:`Run.predict` fills them), ``truth.<label>`` and ``pred.<label>``, or ``error.<input>``; ``simulated``,
        the two of a reference, and those of `keep`. ``object_id`` is int64 or str, as in the survey.

    Raises
    ------
    ConfigError, UnknownNameError
        If a column to keep does not exist, or has the name of one of the table's own.
    SchemaError
        If the survey is not of the kind that the scaling was fitted on and the network trained on.
    PixelError, PredictionError
        If scaled inputs are NaN or infinite, or what the network answers to finite ones.
    """
    network = model.network if isinstance(model, Adapted) else model
    task, seeds = network.task, torch.from_numpy(draw_seeds(len(survey), stream=VALIDATION))
    ratio, patch = getattr(network, "mask_ratio", Objective().ratio), getattr(network, "mask_patch", 1)
    hide = MaskedReconstruction(network.inputs, ratio=ratio, patch=patch)

    def answer(inputs: dict[str, Tensor], part: slice) -> Tensor:
        if task.labels:
            return network(inputs)
        on_device = seeds[part].to(next(iter(inputs.values())).device)
        return hide.errors(network.reconstruct, inputs=inputs, seeds=on_device)

    settings = {"survey": survey, "scaling": scaling, "batch_size": batch_size, "device": device}
    made = _answers(network, answer=answer, n_columns=len(task.labels) or len(network.inputs), **settings).astype(float)
    strategy, flags = getattr(model, "strategy", ""), {}
    if reference := getattr(model, "reference", None):
        distances = _distances(_hidden(network, **settings), features=reference["features"].numpy())
        typicality = 1 - np.searchsorted(reference["held_out"].numpy(), distances) / len(reference["held_out"])
        flags = {"typicality": typicality, "unlike": typicality < UNLIKE}
    table = predictions_table(
        truth={name: survey.labels[name].to_numpy(float) for name in task.label_names if name in survey.labels},
        pred=dict(zip(task.label_names, made.T, strict=True)) if task.labels else {},
        errors={} if task.labels else dict(zip(network.inputs, made.T, strict=True)),
        object_id=survey.ids,
        task=task,
        simulated=survey.provenance.simulated,
        arm=strategy,
        strategy=strategy,
        seed=model.settings.seed if isinstance(model, Adapted) else -1,
        trained_on=network.trained_on.survey if network.trained_on else "",
        survey=survey.name,
        split=survey.part,
        **flags,
    )
    taken = [name for name in keep if name in table or name in CONDITIONS]
    if taken:
        asked = "Columns were to be kept beside the predictions."
        received = f"{', '.join(taken)}, which the predictions have of their own"
        raise ConfigError(asked, received=received, remedy="Leave them out of keep.")
    return table.assign(**{name: survey.column(name) for name in keep})


def predict_path(
    base: Network,
    *,
    adapted: Adapted,
    scales: Sequence[float],
    surveys: Sequence[Survey],
    scaling: Scaling,
    batchnorm: str = "interpolate",
    **options: Any,
) -> pd.DataFrame:
    """Predict surveys at several places of the straight line from a base network to its adapted one.

    Parameters
    ----------
    adapted : Adapted
        Made from it; for LoRA a scale is exactly the adapter's.
    scales : sequence of float
        0 is the base network, 1 the adapted one; less and more go beyond.
    surveys : sequence of Survey
        Usually the test sets of the pre-training and of the fine-tuning survey.
    batchnorm, **options
        As for :func:`astrolab.interpolate`; `batch_size`, `device` and `keep` as for :func:`astrolab.predict`.

    Returns
    -------
    DataFrame
        As from :func:`astrolab.predict`, with the strategy of `adapted` and the column ``scale``.

    Raises
    ------
    ModelError
        If the two networks differ in structure, or the adapted one has no place among plain networks (``residual``).
    """
    end = merge(adapted)
    identity = {"arm": adapted.strategy, "strategy": adapted.strategy, "seed": adapted.settings.seed}
    tables = []
    for scale in map(float, scales):
        network = interpolate(base, adapted=end, scale=scale, batchnorm=batchnorm)
        answers = [predict(network, survey=survey, scaling=scaling, **options) for survey in surveys]
        tables.append(concat_predictions(answers, scale=scale, **identity))
    return concat_predictions(tables)


def embed(
    model: Adapted | Network, *, survey: Survey, scaling: Scaling, batch_size: int = 1024, device: str = "auto"
) -> Survey:
    """Give the hidden features of every object as a survey with the one input ``"embedding"``, of shape (n, hidden).

    They are computed once, and kept in the data folder by what they depend on: the network and the data. Labels,
    weights and catalogue stay. `batch_size`, `device` and errors are those of :func:`astrolab.predict`.

    Examples
    --------
    ``make_model("mlp", survey=embed(model, survey=stars, scaling=scaling), seed=0)``
    """
    network = model.network if isinstance(model, Adapted) else model
    built_with = {name: value for name, value in network.spec.options.items() if name != "task"}
    known = {
        "network": [network.spec.name, built_with, digest(network)],
        "strategy": model.settings.to_dict() if isinstance(model, Adapted) else None,
        "scaling": scaling.to_dict(),
        "inputs": {name: digest_rows(survey, input_name=name) for name in network.inputs},
    }
    key = sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    path = data_dir() / "embeddings" / f"{key}.safetensors"
    if not path.is_file() or digest_fault(path):
        hidden = _hidden(network, survey=survey, scaling=scaling, batch_size=batch_size, device=device)
        path.parent.mkdir(parents=True, exist_ok=True)
        require_space(path, needed_bytes=hidden.nbytes)
        with write_atomically(path) as part:
            save_file({"embedding": torch.from_numpy(hidden)}, part, metadata={"file_digest": DIGEST_PLACE})
            write_digest(part)
    return replace(
        survey,
        inputs={"embedding": load_file(path)["embedding"].numpy()},
        specs={"embedding": InputSpec(("feature",))},
        provenance=replace(survey.provenance, digest=key, loading={}),
    )


def fit_reference(model: Adapted, *, train: Survey, validation: Survey, scaling: Scaling) -> Adapted:
    """Give a trained model with what its training set was like, by which :func:`astrolab.predict` knows other objects.

    ``reference["features"]`` (n, hidden) are hidden features of up to 2,000 training objects, ``["held_out"]`` the
    ascending distances of as many validation objects to the nearest of them, in standard deviations of each feature.
    """
    chosen = [subsample(one, n=min(len(one), N_REFERENCE)) for one in (train, validation)]
    features, held_out = (_hidden(model.network, survey=one, scaling=scaling) for one in chosen)
    arrays = {"features": features, "held_out": np.sort(_distances(held_out, features=features))}
    return replace(model, reference={name: torch.from_numpy(values) for name, values in arrays.items()})


def _distances(hidden: np.ndarray, *, features: np.ndarray) -> np.ndarray:
    from sklearn.metrics import pairwise_distances_argmin_min  # slow to import

    width = features.std(axis=0)
    width[width == 0] = 1
    return pairwise_distances_argmin_min(hidden / width, features / width)[1]


def _hidden(network: Network, **settings: Any) -> np.ndarray:
    return _answers(network, answer=lambda inputs, part: network.embed(inputs), **settings)


def _answers(
    network: Network,
    *,
    answer: Callable[[dict[str, Tensor], slice], Tensor],
    survey: Survey,
    scaling: Scaling,
    batch_size: int = 1024,
    device: str = "auto",
    n_columns: int | None = None,
) -> np.ndarray:
    """Ask a network about all objects of a survey that is proven to be of the kind it was trained on."""
    scaling.require_fits(survey, inputs=network.inputs)
    if network.trained_on is not None:
        network.trained_on.require_same(survey)
    parts = []
    with _evaluating(network, device=device) as place, torch.inference_mode():
        for start in range(0, len(survey), batch_size):
            part = slice(start, start + batch_size)
            read = {name: np.array(survey.inputs[name][part], dtype=np.float32) for name in network.inputs}
            inputs = scaling.apply({name: torch.from_numpy(values).to(place) for name, values in read.items()})
            _require_finite_inputs(inputs, ids=survey.ids[part], survey=survey.name)
            answers = answer(inputs, part)
            if answers.ndim != 2 or answers.shape != (len(survey.ids[part]), n_columns or answers.shape[1]):
                raise PredictionError(
                    f"{n_columns or 'Some'} numbers an object were to be predicted.",
                    received=f"outputs of shape {tuple(answers.shape)} for {len(survey.ids[part])} objects",
                    remedy=f"Use a network whose output has shape (n, {n_columns or 'features'}).",
                )
            parts.append(answers.float().cpu().numpy())
    made = np.concatenate(parts) if parts else np.empty((0, n_columns or network.n_hidden), dtype=np.float32)
    bad = ~np.isfinite(made).all(axis=1)
    if bad.any():
        raise PredictionError(
            f"The {survey.objects} of {survey.name} were to be predicted.",
            received=f"NaN or infinity for {bad.sum():,} of {len(bad):,}, object ids {some_ids(survey.ids[bad])}",
            remedy="The inputs are finite, so the weights are not: check how the training ended.",
        )
    return made


@contextmanager
def _evaluating(network: torch.nn.Module, *, device: str) -> Iterator[str]:
    """Evaluation mode on `device`; afterwards every module has its own mode and place again."""
    if device == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        device = "cpu" if accelerator is None else accelerator.type
    modes = [(module, module.training) for module in network.modules()]
    home = next((parameter.device for parameter in network.parameters()), device)
    try:
        network.to(device).eval()
        yield device
    finally:
        network.to(home)
        for module, mode in modes:
            module.training = mode


def _require_finite_inputs(inputs: dict[str, Tensor], *, ids: np.ndarray, survey: str) -> None:
    for name, values in inputs.items():
        bad = ~values.isfinite().flatten(1).all(dim=1).cpu().numpy()
        if bad.any():
            received = f"NaN or infinite values of {name} after scaling, for object ids {some_ids(ids[bad])}"
            remedy = f"Check the survey's files with `astrolab data verify {survey}`."
            raise PixelError(f"Objects of {survey} were to be predicted.", received=received, remedy=remedy)
