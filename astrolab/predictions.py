"""The predictions table: one row an object, model and test set; how it is joined, read label by label and kept.

Its columns are `KEYS`, then ``truth.<label>`` (NaN where unknown) and ``pred.<label>`` for every label, or
``error.<input>`` for a network without labels; then ``simulated``, conditions and whatever was kept of the survey. The
task travels in ``table.attrs["task"]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from astrolab.errors import ConfigError, CorruptFileError, DataNotFoundError, PredictionError, SchemaError
from astrolab.files import DIGEST_PLACE, digest_fault, write_atomically, write_digest
from astrolab.tasks import Quantity, Task, find_quantity, make_task

MODEL_KEYS = ("run", "fit", "arm", "strategy", "seed", "trained_on")
TEST_KEYS = ("survey", "split")
KEYS = (*MODEL_KEYS, *TEST_KEYS, "object_id")
CONDITIONS = ("direction", "fraction", "scale")  # what may be turned while the arm stays the same
GROUP_KEYS = (*MODEL_KEYS, *TEST_KEYS, *CONDITIONS)
FLAGS = ("simulated", "cut_short")  # what is true of one prediction is true of their score
_METADATA_KEY = b"astrolab"


def predictions_table(
    *,
    truth: Mapping[str, np.ndarray],
    pred: Mapping[str, np.ndarray],
    errors: Mapping[str, np.ndarray] | None = None,
    object_id: Sequence[int] | Sequence[str] | None = None,
    task: Task | None = None,
    simulated: bool = False,
    **identity: object,
) -> pd.DataFrame:
    """Make a predictions table of arrays, such as the predictions of a network of another package.

    Parameters
    ----------
    truth, pred : mapping of str to array, shape (n,)
        By label; a label without a truth is unknown.
    errors : mapping of str to array, optional
        By input, of a network without labels.
    object_id : sequence of int or str, optional
        By default numbers from 0.
    task : Task, optional
        By default that of the labels.
    **identity
        Others of `KEYS` (else empty, the seed 0) and further columns, e.g. ``arm="lora", fraction=0.1``.

    >>> predictions_table(truth={"z": [0.5, 1.0]}, pred={"z": [0.4, 1.1]}, arm="lora")[["arm", "object_id", "pred.z"]]
        arm  object_id  pred.z
    0  lora          0     0.4
    1  lora          1     1.1
    """
    n = len(next(iter((*pred.values(), *(errors or {}).values()))))
    keys = dict.fromkeys(KEYS, "") | {"seed": 0, "object_id": np.arange(n) if object_id is None else object_id}
    columns = keys | {name: value for name, value in identity.items() if name in KEYS}
    for label, values in pred.items():
        columns |= {f"truth.{label}": truth.get(label, np.nan), f"pred.{label}": values}
    columns |= {f"error.{name}": values for name, values in (errors or {}).items()} | {"simulated": simulated}
    table = pd.DataFrame(columns | {name: value for name, value in identity.items() if name not in KEYS})
    table.attrs["task"] = (task or task_of(table)).to_dict()
    return table


def labels_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Give the labels that a table has predictions of; ``error.<input>`` for a network without labels."""
    names = [str(name) for name in table.columns]
    labels = [name.removeprefix("pred.") for name in names if name.startswith("pred.")]
    return tuple(labels or [name for name in names if name.startswith("error.")])


def task_of(table: pd.DataFrame) -> Task:
    """Give the task of a table, or the one made from the names of its labels where the table has lost it."""
    if "task" in table.attrs:
        return Task.from_dict(table.attrs["task"])
    return make_task([find_quantity(label) for label in labels_of(table) if not label.startswith("error.")])


def quantity_of(label: str, *, task: Task) -> Quantity:
    """Give the quantity of a label of a table: that of the task, or an error of reconstruction."""
    if label.startswith("error."):
        return Quantity(label, f"reconstruction error of the {label.removeprefix('error.')}")
    return task.quantity(label)


def truth_and_pred(table: pd.DataFrame, *, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Give the truths and predictions of a label; of ``error.<input>`` the truth is 0 and the prediction the error."""
    columns = (label, label) if label.startswith("error.") else (f"truth.{label}", f"pred.{label}")
    if not set(columns) <= set(table.columns):
        asked = f"The predictions of {label!r} were to be read."
        received = f"a table without {' or '.join(dict.fromkeys(columns))}"
        available = ", ".join(labels_of(table)) or f"columns {', '.join(map(str, table.columns))}"
        remedy = "Name a label of those above, and pass the table that `predict` returned."
        raise PredictionError(asked, received=received, available=available, remedy=remedy)
    truth, pred = (table[name].to_numpy(float) for name in columns)
    return (np.zeros_like(pred) if label.startswith("error.") else truth), pred


def one_label(table: pd.DataFrame, *, label: str | None = None, unknown: bool = False) -> pd.DataFrame:
    """Give the table of one label, with the plain columns ``truth``, ``pred`` and ``label`` beside all it has.

    Parameters
    ----------
    table : DataFrame
        From :func:`astrolab.predict` or :func:`concat_predictions`.
    label : str, optional
        By default the only one, or the first. For ``"error.<input>"`` the truth is 0 and the prediction the error.
    unknown : bool
        Whether objects of unknown truth stay.
    """
    label = next(iter(labels_of(table)), "<label>") if label is None else label
    truth, pred = truth_and_pred(table, label=label)
    plain = table.assign(truth=truth, pred=pred, label=label)
    return plain if unknown else plain[plain["truth"].notna()]


def concat_predictions(tables: Sequence[pd.DataFrame], **constants: object) -> pd.DataFrame:
    """Stack predictions tables of one task into one, with columns that are the same for all rows.

    Parameters
    ----------
    tables : sequence of DataFrame
        From :func:`astrolab.predict` or this function.
    **constants
        Columns to add, or of `MODEL_KEYS` to set, e.g. ``arm="lora", seed=0``.

    Returns
    -------
    DataFrame
        ``object_id`` stays int64 where all tables have integers, and is text otherwise; never a float. The task comes
        along.

    Raises
    ------
    PredictionError
        If there are no tables, they are of different tasks, or ids are neither integers nor text.
    ConfigError
        If a constant would overwrite another column.

    >>> a = pd.DataFrame({"object_id": [36407063378678903], "pred.z": [0.5]})
    >>> b = pd.DataFrame({"object_id": ["mine:1"], "pred.z": [0.7]})
    >>> concat_predictions([a, b], arm="lora")["object_id"].tolist()
    ['36407063378678903', 'mine:1']
    """
    tables = list(tables)
    if not tables:
        raise PredictionError("Predictions were to be stacked.", received="no table", remedy="Pass at least one.")
    taken = {name for table in tables for name in table.columns if name not in MODEL_KEYS} & constants.keys()
    if taken:
        received = f"constants that the tables already have as columns: {', '.join(sorted(taken))}"
        raise ConfigError("Predictions were to be stacked.", received=received, remedy="Use other names.")
    tasks = [task_of(table) for table in tables if "task" in table.attrs]
    other = next((task for task in tasks if task != tasks[0]), None)
    if other or len({labels_of(table) for table in tables}) > 1:
        names = dict.fromkeys(f"{task_of(table).name} ({', '.join(labels_of(table))})" for table in tables)
        received = f"tables of different tasks: {'; '.join(names)}" + " (with other ranges)" * (len(names) == 1)
        remedy = "Stack tables of one task; score and compare the others by themselves."
        raise PredictionError("Predictions were to be stacked.", received=received, remedy=remedy)
    if not all(_has_integer_ids(table) for table in tables):
        tables = [table.assign(object_id=table["object_id"].astype(str)) for table in tables]
    stacked = pd.concat(tables, ignore_index=True).assign(**constants)
    stacked.attrs = {"task": tasks[0].to_dict()} if tasks else {}
    return stacked


def join_fits(tables: Sequence[pd.DataFrame], *, over: Sequence[str]) -> pd.DataFrame:
    """Stack tables of fits that are one model together, of one label or one fold each; `over` tells them apart."""
    by_labels: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for table in tables:
        here = [name for name in over if name in table]
        parts = [f"-{name}{value}" for name in here for value in table[name].unique()]
        fits = reduce(lambda fit, part: fit.str.replace(part, "", regex=False), parts, table["fit"])
        by_labels.setdefault(labels_of(table), []).append(table.drop(columns=here).assign(fit=fits))
    stacked = [concat_predictions(parts) for parts in by_labels.values()]
    keys = [name for name in (*KEYS, *CONDITIONS) if name in stacked[0]]
    joined, quantities = stacked[0].assign(place=range(len(stacked[0]))), [*task_of(stacked[0]).labels]
    for other in stacked[1:]:
        quantities += task_of(other).labels
        own = [name for name in other if name.startswith(("truth.", "pred."))]
        joined = joined.merge(other[[*keys, *own, "cut_short"]], on=keys, how="outer", validate="1:1", sort=False)
        joined["cut_short"] = joined.pop("cut_short_x").eq(True) | joined.pop("cut_short_y").eq(True)
    joined = joined.sort_values("place", ignore_index=True).drop(columns="place")  # an outer merge orders by key
    joined.attrs = {"task": make_task(quantities).to_dict()}
    return joined


def _has_integer_ids(table: pd.DataFrame) -> bool:
    ids, kind = table["object_id"], pd.api.types.infer_dtype(table["object_id"])
    if pd.api.types.is_integer_dtype(ids) or kind == "string":
        return kind != "string"
    received = f"object ids of dtype {ids.dtype} ({kind})"
    remedy = "Use int64 or text throughout: ids above 2**53 do not survive as floats."
    raise PredictionError("Predictions were to be stacked or saved.", received=received, remedy=remedy)


def keep_common_seeds(predictions: pd.DataFrame, *, column: str = "arm") -> pd.DataFrame:
    """Give the rows of those training seeds that all models have, which `column` tells apart."""
    seeds_of = [set(seeds) for seeds in predictions.groupby(column)["seed"].unique()]
    return predictions[predictions["seed"].isin(set.intersection(*seeds_of) if seeds_of else ())]


def save_predictions(
    predictions: pd.DataFrame, *, path: str | Path, metadata: Mapping[str, object] | None = None
) -> Path:
    """Keep a predictions table as Parquet, with its task and units; the file is either whole or not there.

    Parameters
    ----------
    predictions : DataFrame
        From :func:`astrolab.predict` or :func:`concat_predictions`.
    path : path
        File to write.
    metadata : mapping, optional
        What can be written as JSON, e.g. digests; :func:`load_predictions` gives it back as ``table.attrs``.

    Raises
    ------
    SchemaError
        If a column of a predictions table is missing.
    """
    path = Path(path)
    _require_columns(predictions.columns, where="the table to be saved")
    _has_integer_ids(predictions)
    task = task_of(predictions)
    attrs = {"task": task.to_dict(), **(metadata or {})}
    bare = predictions.rename_axis(None)
    bare.attrs = {}
    table = pa.Table.from_pandas(bare, preserve_index=False)
    notes = {_METADATA_KEY: json.dumps(attrs).encode(), b"file_digest": DIGEST_PLACE.encode()}
    units = {f"{side}.{label.name}": label.unit for label in task.labels for side in ("truth", "pred")}
    fields = [one.with_metadata({"unit": units[one.name]}) if one.name in units else one for one in table.schema]
    table = table.cast(pa.schema(fields, metadata=(table.schema.metadata or {}) | notes))
    with write_atomically(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")
        write_digest(unfinished)
    return path


def load_predictions(path: str | Path) -> pd.DataFrame:
    """Read a predictions table that :func:`save_predictions` kept, to the last bit; its metadata are in ``.attrs``.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    CorruptFileError
        If it is not, byte by byte, as :func:`save_predictions` wrote it.
    """
    path = Path(path)
    if not path.is_file():
        remedy = "Check the path of the run folder."
        raise DataNotFoundError("Predictions were to be read.", received=f"no file {path}", remedy=remedy)
    if fault := digest_fault(path):
        remedy = "Copy or make the file again; a table of another origin: save_predictions keeps it."
        raise CorruptFileError(f"Predictions were to be read from {path.name}.", received=fault, remedy=remedy)
    table = pq.read_table(path)
    _require_columns(table.column_names, where=path.name)
    predictions = table.to_pandas()
    predictions.attrs = json.loads((table.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    return predictions


def _require_columns(columns: Sequence[str], *, where: str) -> None:
    missing = [name for name in KEYS if name not in columns]
    if not any(str(name).startswith(("pred.", "error.")) for name in columns):
        missing.append("pred.<label>")
    if missing:
        received, available = f"{where}, without {', '.join(missing)}", ", ".join(map(str, columns))
        remedy = "Pass the table that `predict` returned."
        raise SchemaError("A predictions table was expected.", received=received, available=available, remedy=remedy)
