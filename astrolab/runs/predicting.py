"""A survey predicted with a model of a run, as a folder of Parquet parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from astrolab.datasets.loading import load_survey
from astrolab.datasets.spectra import bridge_spectra
from astrolab.errors import RunError, unknown_name
from astrolab.predictions import concat_predictions, load_predictions, save_predictions
from astrolab.runs.finding import find_run_folders
from astrolab.runs.moving import reload_model
from astrolab.runs.record import RECORD, load_record


def predict_survey(
    run: str, *, survey: str, out: Path, arm: str, seed: int, directory: Path | None, rows_per_part: int
) -> pd.DataFrame:
    """Predict a survey into tables ``part-00000.parquet`` and so on, those that are there already left as they are."""
    from astrolab.models.network import digest
    from astrolab.trainers.predicting import predict

    folder = Path(run)
    if not (folder / RECORD).is_file():
        folder = next((one for one in find_run_folders() if one.match(run)), folder)
    fits, end = load_record(folder)["fits"], f"-s{seed}"
    names = [name for name in fits if (name == arm + end if arm else name.endswith(end))]
    if len(names) != 1:
        remedy = "Name the arm of one of them, and its seed."
        raise unknown_name(f"model of {folder.name}", name=arm and arm + end, names=fits, remedy=remedy)
    fit, name = fits[names[0]], names[0]
    model, scaling = reload_model(folder, arm=name.removesuffix(end), seed=seed)
    if model.reference is None:
        received, remedy = "a model without a reference", "Run the study again with this version of astrolab."
        raise RunError(f"A survey was to be predicted with {name}.", received=received, remedy=remedy)
    learned = model.network.trained_on
    sizes = [learned.shapes[name][-1] for name, spec in learned.specs.items() if len(spec.axes) == 3]
    objects = load_survey(survey, image_size=next(iter(sizes), None), directory=directory)
    for bridge in [spec.bridge for spec in learned.specs.values() if spec.bridge]:
        objects = bridge_spectra(objects, bridge=bridge)
    origin = {"model": digest(model.network), "survey": objects.digest, "labels": list(objects.labels)}
    origin |= {"rows_per_part": rows_per_part}
    identity = {"run": folder.resolve().name, "fit": name, "cut_short": fit["cut_short"], **fit["condition"]}
    identity |= {"arm": fit["arm"], "seed": seed}
    parts = []
    for number, start in enumerate(tqdm(range(0, len(objects), rows_per_part), unit="part", disable=None)):
        path = out / f"part-{number:05d}.parquet"
        if path.is_file():
            table = load_predictions(path)
            if other := [what for what, value in origin.items() if table.attrs.get(what) != value]:
                made = "made by {run} {fit} of {survey}".format(**table.iloc[0])
                received = f"{path.name} with another {', '.join(other)}, {made}"
                remedy = "Name another folder, or remove the parts in this one."
                raise RunError(f"Predictions were to go on in {out}.", received=received, remedy=remedy)
        else:
            rows = objects.take(np.arange(start, min(start + rows_per_part, len(objects))))
            table = concat_predictions([predict(model, survey=rows, scaling=scaling)], **identity)
            save_predictions(table, path=path, metadata=origin | identity)
        parts.append({"part": path.name, "n": len(table), "n_unlike": int(table["unlike"].sum())})
        tqdm.write("{part}  {n:,} objects, {n_unlike:,} unlike the training set".format(**parts[-1]))
    return pd.DataFrame(parts)
