"""How long the explorers take in the kernel: from a table to a usable widget, from a lasso to scores and pictures.

    python benchmarks/explore.py [--rows 300000] [--selected 10000] [--json FILE]

The cloud is one model on one test set, with a magnitude, positions and pixels; what is timed ends where the message to
the browser is ready. Goals: 2 s to a usable widget, 0.3 s after a lasso, 0.1 s a move of a knob. Each is run several
times: the median counts, the slowest is written beside it.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import astrolab as al
from astrolab.datasets.rows import LazyRows
from astrolab.datasets.survey import Provenance, Survey
from astrolab.datasets.twins.galaxies import twin_knobs
from astrolab.datasets.twins.galaxies.simulation import simulate_arrays
from astrolab.predictions import KEYS
from astrolab.tasks import REDSHIFT, InputSpec

GOALS_S = {"to_usable_widget": 2.0, "lasso": 0.3, "twin_move": 0.1}
BANDS = ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")
N_STAMPS = 256


class RepeatedRows(LazyRows):
    """Few stamps as the images of many galaxies: rows are read as from a file, and memory stays small."""

    def __init__(self, stamps, *, n):
        self.stamps, self.shape, self.dtype = stamps, (n, *stamps.shape[1:]), stamps.dtype

    def _read(self, numbers):
        return self.stamps[numbers % len(self.stamps)]


def make_galaxies(n, *, seed):
    """A survey of n galaxies, and one model's predictions of it."""
    random = np.random.default_rng(seed)
    knobs = twin_knobs(al.load_manifest("twin-galaxiesml"))
    stamps = simulate_arrays(knobs, n=N_STAMPS, seed=seed)[0].numpy()
    truth = random.gamma(3.0, 0.2, n)
    survey = Survey(
        name="twin-galaxiesml",
        inputs={"image": RepeatedRows(stamps, n=n), "magnitudes": random.normal(21, 1.5, (n, 5)).astype(np.float32)},
        specs={"image": InputSpec(("band", "y", "x"), BANDS), "magnitudes": InputSpec(("band",), BANDS, "AB mag")},
        labels=pd.DataFrame({"z": truth}),
        ids=2**55 + random.permutation(n),
        catalogue={"i_half_light_radius": random.uniform(2, 9, n)},
        sky_deg=np.stack([random.uniform(149, 151, n), random.uniform(1, 3, n)], axis=1),
        provenance=Provenance(survey="twin-galaxiesml", title="GalaxiesML twin", simulated=True),
        task=REDSHIFT,
    )
    pred = truth + (1 + truth) * 0.03 * random.standard_t(2, n)
    columns = {name: "" for name in KEYS} | {"arm": "lora", "strategy": "lora", "seed": 0, "survey": survey.name}
    columns |= {"object_id": survey.ids, "truth.z": truth, "pred.z": pred, "simulated": True}
    return survey, pd.DataFrame(columns)


def seconds(action):
    """Time one call."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def message(explorer):
    """What the browser is sent of everything that changed."""
    return [cloud.widget.get_state() for cloud in explorer.clouds if cloud.scatter is not None], [
        place.get_state() for place in explorer.places.values()
    ]


def open_explorer(table, survey):
    """Everything that a notebook cell does: the widget, the cloud, the static figure beside it, the message."""
    explorer = al.explore_predictions(table, survey=survey)
    explorer.go_live()
    explorer._repr_mimebundle_()
    message(explorer)
    return explorer


def lasso(explorer, rows):
    """What happens when the browser says which galaxies are inside a lasso."""
    explorer.clouds[0].widget.selection = rows
    return [place.get_state() for place in explorer.places.values()]


def twin_moves(n):
    """Times of moves of a knob, with two published-size networks answering."""
    survey = al.load_survey("twin-galaxiesml", n=64, seed=0)
    scaling = al.fit_scaling(survey)
    networks = {
        f"network {seed}": al.make_model("cnn", survey=survey, inputs=("image",), seed=seed).eval() for seed in (0, 1)
    }
    explorer = al.explore_twin(models={name: (network, scaling) for name, network in networks.items()})
    times = []
    for z in np.linspace(0.2, 2.0, n):

        def move(z=z):
            explorer.knobs["z"].value = float(z)
            return [place.get_state() for place in explorer.places.values()]

        times.append(seconds(move)[0])
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--selected", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    survey, table = make_galaxies(asked.rows, seed=asked.seed)
    first, explorer = seconds(lambda: open_explorer(table, survey))  # brings the libraries
    opened = [seconds(lambda: open_explorer(table, survey))[0] for _ in range(asked.repeats)]
    random = np.random.default_rng(asked.seed)
    choices = [np.sort(random.choice(asked.rows, asked.selected, replace=False)) for _ in range(asked.repeats)]
    lassoed = [seconds(lambda rows=rows: lasso(explorer, rows.astype(np.uint32)))[0] for rows in choices]
    drawn = [seconds(explorer._repr_mimebundle_)[0] for _ in range(3)]
    times = {"to_usable_widget": opened, "lasso": lassoed, "twin_move": twin_moves(4 * asked.repeats)}
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"torch on {torch.get_num_threads()} threads",
        "n_rows": asked.rows,
        "n_selected": asked.selected,
        "first_call_with_imports_s": first,
        "of_which_static_figure_s": float(np.median(drawn)),
        **{
            name: {"median_s": float(np.median(each)), "slowest_s": float(max(each)), "goal_s": GOALS_S[name]}
            for name, each in times.items()
        },
    }
    for name, each in times.items():
        median, goal = float(np.median(each)), GOALS_S[name]
        print(f"{name:18s} {1e3 * median:8.0f} ms (slowest {1e3 * max(each):.0f}), {median / goal:.2f} of the goal")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
