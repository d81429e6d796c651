"""Spectra of a few stars as they were observed and as a model sees them, and predictions of two labels by two arms."""

import numpy as np
import pandas as pd

from astrolab.datasets.survey import Provenance, Survey
from astrolab.tasks import InputSpec, find_quantity, make_task

N = 40
LABELS = make_task([find_quantity("feh"), find_quantity("alpha_fe")])
IDS = np.array([f"{number:04d}" for number in range(20, 20 + N)])  # text, with zeros in front
SPEED_KM_S = np.linspace(-300, 300, N)
GRID = 10 ** (3.602 + 1e-4 * np.arange(1462))  # the model's
OBSERVED = np.arange(3600.0, 9800.0, 4.0)


def stars(*, is_bridged: bool, **changes) -> Survey:
    """A survey of the stars; the fourth star lacks its red half, and of the observed ones one stretch is bad."""
    wave = GRID if is_bridged else OBSERVED
    random = np.random.default_rng(len(wave))
    flux = 1 + 0.02 * random.normal(size=(N, len(wave)))
    ivar = np.full(flux.shape, 2500.0)
    ivar[3, len(wave) // 2 :] = 0
    how = {"bridge": {"normalised": True}} if is_bridged else {"velocity": "rv"}
    feh = np.linspace(-2.5, 0.4, N)
    alpha_fe = np.where(np.arange(N) % 4 == 1, np.nan, 0.1 - 0.1 * feh)
    spec = InputSpec(("pixel",), unit="flux", grid=wave, companions=("ivar",), medium="vacuum", **how)
    survey = {
        "name": "twin-desi",
        "inputs": {"spectrum": flux.astype(np.float32), "spectrum.ivar": ivar},
        "specs": {"spectrum": spec},
        "labels": pd.DataFrame({"feh": feh, "alpha_fe": alpha_fe}),
        "ids": IDS,
        "catalogue": {"rv": SPEED_KM_S},
        "provenance": Provenance(survey="twin-desi", title="DESI twin", simulated=True),
        "task": LABELS,
        "objects": "stars",
    }
    return Survey(**survey | changes)


def predicted(survey: Survey) -> pd.DataFrame:
    """Predictions of two arms: the second is better, most of all of metal-poor stars."""
    tables = []
    for arm, width in (("zero_shot", 0.2), ("lora", 0.05)):
        columns = {"survey": survey.name, "object_id": survey.ids, "arm": arm, "seed": 0, "simulated": True}
        for number, (name, truth) in enumerate(survey.labels.items()):
            noise = np.random.default_rng([number, len(arm)]).normal(size=len(survey))
            columns |= {f"truth.{name}": truth, f"pred.{name}": np.nan_to_num(truth) + width * noise}
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    table.attrs["task"] = LABELS.to_dict()
    return table
