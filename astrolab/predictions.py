"""Network and survey in, one tidy table of truths and predictions out; and the file it is kept in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from astrolab.errors import (
    ConfigError,
    CorruptFileError,
    DataNotFoundError,
    PixelError,
    PredictionError,
    SchemaError,
    unknown_name,
)
from astrolab.files import DIGEST_PLACE, digest_fault, write_atomically, write_digest

if TYPE_CHECKING:
    import torch

    from astrolab.datasets.scaling import Scaling
    from astrolab.datasets.survey import Survey
    from astrolab.models.adapt import Adapted

COLUMNS = ("survey", "object_id", "label", "truth", "pred")
_METADATA_KEY = b"astrolab"


def predict(
    model: Adapted | torch.nn.Module,
    *,
    survey: Survey,
    scaling: Scaling,
    batch_size: int = 1024,
    label: str = "z",
    device: str = "auto",
    keep: Sequence[str] = (),
) -> pd.DataFrame:
    """Predict the label of every object of a survey, beside its truth.

    The network is put in evaluation mode on `device` and afterwards back as it was; inputs are read and scaled batch
    by batch, in the survey's order.

    Parameters
    ----------
    model : Adapted or torch.nn.Module
        The network, adapted or plain; its ``input_name`` says which input it takes.
    survey : Survey
        Objects to predict.
    scaling : Scaling
        The input scaling the network was trained with.
    batch_size : int
        Objects at a time.
    label : str
        Which label is the truth.
    device : str
        A torch device, or ``"auto"``: the accelerator if there is one.
    keep : sequence of str
        Labels or catalogue columns to carry along, e.g. ``["i_mag"]``.

    Returns
    -------
    DataFrame
        Columns ``survey``, ``object_id`` (int64 or str, as in the survey), ``label``, ``truth``, ``pred``,
        ``simulated``, and those of `keep`.

    Raises
    ------
    ConfigError
        If `batch_size` is not positive.
    UnknownNameError
        If the survey has no such input, label or column.
    SchemaError
        If its bands or units are not those of the scaling; if its pixel scale, stamp size or unit is not the one that
        the network was trained on.
    PixelError
        If the scaled inputs of an object are NaN or infinite.
    PredictionError
        If the network answers NaN or infinity, or not one number an object.
    """
    import torch

    if batch_size < 1:
        raise ConfigError("A batch size was asked for.", received=repr(batch_size), remedy="Use at least 1.")
    network = model if isinstance(model, torch.nn.Module) else model.network
    rows = _column(survey.inputs, name=network.input_name, kind=f"input of {survey.name}")
    truth = _column(survey.labels, name=label, kind=f"label of {survey.name}")
    if trained_on := getattr(network, "trained_on", None):
        trained_on.require_same(survey)
    scaling.require_fits(survey)
    kept = {name: _kept(survey, name=name) for name in keep}
    pred = np.empty(len(survey), dtype=np.float64)
    with _evaluating(network, device=_device(device)) as place, torch.inference_mode():
        for start in range(0, len(survey), batch_size):
            part = slice(start, start + batch_size)
            inputs = scaling.apply(torch.from_numpy(np.array(rows[part], dtype=np.float32)).to(place))
            _require_finite_inputs(inputs, ids=survey.ids[part], survey=survey.name)
            pred[part] = _require_one_each(network(inputs), n=len(inputs)).cpu().double().numpy()
    _require_finite(pred, ids=survey.ids, survey=survey.name)
    columns = {"survey": survey.name, "object_id": survey.ids, "label": label, "truth": np.asarray(truth, dtype=float)}
    return pd.DataFrame(columns | {"pred": pred, "simulated": survey.provenance.simulated} | kept)


def _column(columns: Mapping, *, name: str, kind: str):
    if name not in columns:
        raise unknown_name(kind, name=name, names=map(str, columns))
    return columns[name]


def _kept(survey: Survey, *, name: str) -> np.ndarray:
    if name in COLUMNS or name == "simulated":
        raise ConfigError(
            "Columns were to be kept beside the predictions.",
            received=f"{name!r}, which the predictions have of their own",
            remedy="Leave it out of keep.",
        )
    source = survey.labels if name in survey.labels else survey.catalogue
    return np.asarray(_column(source, name=name, kind=f"column of {survey.name}")[:])


def _device(name: str) -> str:
    import torch

    if name != "auto":
        return name
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if accelerator is None else accelerator.type


@contextmanager
def _evaluating(network: torch.nn.Module, *, device: str) -> Iterator[str]:
    """Evaluation mode on `device`; afterwards every module has its own mode and place again."""
    modes = [(module, module.training) for module in network.modules()]
    home = next((parameter.device for parameter in network.parameters()), device)
    try:
        network.to(device).eval()
        yield device
    finally:
        network.to(home)
        for module, mode in modes:
            module.training = mode


def _require_one_each(outputs: torch.Tensor, *, n: int) -> torch.Tensor:
    if tuple(outputs.shape) not in {(n,), (n, 1)}:
        raise PredictionError(
            "One number an object was to be predicted.",
            received=f"outputs of shape {tuple(outputs.shape)} for {n} objects",
            remedy="Use a network whose output has shape (n,).",
        )
    return outputs.reshape(n)


def _require_finite_inputs(inputs: torch.Tensor, *, ids: np.ndarray, survey: str) -> None:
    bad = ~inputs.isfinite().flatten(1).all(dim=1).cpu().numpy()
    if bad.any():
        raise PixelError(
            f"Objects of {survey} were to be predicted.",
            received=f"NaN or infinite inputs after scaling, for object ids {_first(ids[bad])}",
            remedy=f"Check the survey's files with `astrolab data verify {survey}`.",
        )


def _require_finite(pred: np.ndarray, *, ids: np.ndarray, survey: str) -> None:
    bad = ~np.isfinite(pred)
    if bad.any():
        raise PredictionError(
            f"Objects of {survey} were to be predicted.",
            received=f"NaN or infinity for {bad.sum():,} of {len(pred):,} objects, object ids {_first(ids[bad])}",
            remedy="The inputs are finite, so the weights are not: check how the training ended.",
        )


def _first(ids: np.ndarray, *, n: int = 3) -> str:
    return ", ".join(map(str, ids[:n])) + (", ..." if len(ids) > n else "")


def concat_predictions(tables: Sequence[pd.DataFrame], **constants: object) -> pd.DataFrame:
    """Stack predictions tables into one, with columns that are the same for all rows, such as the arm and the seed.

    Parameters
    ----------
    tables : sequence of DataFrame
        From :func:`predict` or this function.
    **constants
        Columns to add, e.g. ``arm="lora", seed=0``.

    Returns
    -------
    DataFrame
        ``object_id`` stays int64 where all tables have integers, and is text otherwise; never a float.

    Raises
    ------
    PredictionError
        If there are no tables, or ids are neither integers nor text.
    ConfigError
        If a constant would overwrite a column.

    Examples
    --------
    >>> a = pd.DataFrame({"object_id": [36407063378678903], "pred": [0.5]})
    >>> b = pd.DataFrame({"object_id": ["mine:1"], "pred": [0.7]})
    >>> concat_predictions([a, b], arm="lora")
               object_id  pred   arm
    0  36407063378678903   0.5  lora
    1             mine:1   0.7  lora
    """
    tables = list(tables)
    if not tables:
        raise PredictionError("Predictions were to be stacked.", received="no table", remedy="Pass at least one.")
    taken = {name for table in tables for name in table.columns} & constants.keys()
    if taken:
        raise ConfigError(
            "Predictions were to be stacked with constant columns.",
            received=f"constants that the tables already have as columns: {', '.join(sorted(taken))}",
            remedy="Use other names.",
        )
    integer = all(_has_integer_ids(table) for table in tables)
    if not integer:
        tables = [table.assign(object_id=table["object_id"].astype(str)) for table in tables]
    return pd.concat(tables, ignore_index=True).assign(**constants)


def _has_integer_ids(table: pd.DataFrame) -> bool:
    ids = table["object_id"]
    if pd.api.types.is_integer_dtype(ids):
        return True
    if pd.api.types.infer_dtype(ids) == "string":
        return False
    raise PredictionError(
        "Predictions were to be stacked or saved.",
        received=f"object ids of dtype {ids.dtype} ({pd.api.types.infer_dtype(ids)})",
        remedy="Use int64 or text throughout: ids above 2**53 do not survive as floats.",
    )


def save_predictions(
    predictions: pd.DataFrame, *, path: str | Path, metadata: Mapping[str, object] | None = None
) -> Path:
    """Keep a predictions table as Parquet; the file is either whole or not there.

    Parameters
    ----------
    predictions : DataFrame
        From :func:`predict` or :func:`concat_predictions`.
    path : path
        File to write.
    metadata : mapping, optional
        What can be written as JSON, e.g. digests; :func:`load_predictions` gives it back as ``table.attrs``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SchemaError
        If a column of a predictions table is missing.
    PredictionError
        If the object ids are neither integers nor text.
    DiskFullError
        If there is no room for the file.
    """
    path = Path(path)
    _require_columns(predictions.columns, where="the table to be saved")
    _has_integer_ids(predictions)
    table = pa.Table.from_pandas(predictions.rename_axis(None), preserve_index=False)
    notes = {_METADATA_KEY: json.dumps(dict(metadata or {})).encode(), b"file_digest": DIGEST_PLACE.encode()}
    table = table.replace_schema_metadata((table.schema.metadata or {}) | notes)
    with write_atomically(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")
        write_digest(unfinished)
    return path


def load_predictions(path: str | Path) -> pd.DataFrame:
    """Read a predictions table that was kept as Parquet.

    Parameters
    ----------
    path : path
        File from :func:`save_predictions`.

    Returns
    -------
    DataFrame
        The same table, to the last bit; its metadata in ``.attrs``.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    CorruptFileError
        If it is not, byte by byte, as :func:`save_predictions` wrote it.
    SchemaError
        If it is not a predictions table.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFoundError(
            "Predictions were to be read.", received=f"no file {path}", remedy="Check the path of the run folder."
        )
    if fault := digest_fault(path):
        raise CorruptFileError(
            f"Predictions were to be read from {path.name}.",
            received=fault,
            remedy="Copy the file again, or run the study again; "
            "to use a table of another origin, keep it with save_predictions first.",
        )
    table = pq.read_table(path)
    _require_columns(table.column_names, where=path.name)
    predictions = table.to_pandas()
    predictions.attrs = json.loads((table.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    return predictions


def _require_columns(columns: Sequence[str], *, where: str) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise SchemaError(
            "A predictions table was expected.",
            received=f"{where}, without {', '.join(missing)}",
            available=", ".join(map(str, columns)),
            remedy="Pass the table that `predict` returned.",
        )
