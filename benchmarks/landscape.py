"""A loss landscape in batches against the usual loop: load the weights of a place, predict all, go to the next.

    python benchmarks/landscape.py [--stars 79] [--n 25] [--repeats 5] [--json FILE]

The network is the published one of stellar spectra, 1462-1024-512-64-1 with BatchNorm, on random directions. Both are
given the same directions and the same spectra in memory; the loop moves the weights as the formula says, and predicts
the whole set at once. They take turns, so that other work on the machine slows both. Values must agree to 1e-5. The
time of the processor is measured beside that of the clock, because only the clock waits for others.
"""

import argparse
import copy
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import astrolab as al
from astrolab.datasets.survey import Provenance, Survey
from astrolab.tasks import InputSpec, find_quantity, make_task

N_PIXELS = 1462


def make_stars(n, *, seed):
    """Spectra of noise and labels of nothing: the time does not depend on them."""
    random = np.random.default_rng(seed)
    grid = tuple(10 ** (3.602 + 1e-4 * np.arange(N_PIXELS)))
    return Survey(
        name="stars",
        inputs={"spectrum": random.normal(1, 0.1, (n, N_PIXELS)).astype(np.float32)},
        specs={"spectrum": InputSpec(("pixel",), grid=grid)},
        labels=pd.DataFrame({"feh": random.normal(-1.5, 0.4, n)}),
        ids=np.arange(n),
        provenance=Provenance(survey="stars", title="stars"),
        task=make_task([find_quantity("feh")]),
        objects="stars",
    )


@torch.no_grad()
def one_at_a_time(network, *, plane, survey, scaling, n):
    """The usual loop over the grid."""
    own, places = copy.deepcopy(network), np.linspace(-1, 1, n)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inputs = scaling.apply({"spectrum": torch.tensor(np.asarray(survey.inputs["spectrum"]))})
    truth = torch.tensor(survey.labels.to_numpy(np.float32))
    first, second = plane.directions
    loss = np.empty((n, n))
    for row, b in enumerate(places.tolist()):
        for column, a in enumerate(places.tolist()):
            moved = {name: start[name] + a * first[name] + b * second[name] for name in first}
            own.load_state_dict(start | moved)
            loss[row, column] = float((own(inputs) - truth).square().mean())
    return loss


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=79)
    parser.add_argument("--n", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    survey = make_stars(asked.stars, seed=0)
    network = al.make_model("spectrum_mlp", survey=survey, seed=0).eval()
    scaling = al.fit_scaling(survey, inputs=network.inputs, method="standard")
    plane = al.random_plane(network, seed=0)
    how = {"plane": plane, "survey": survey, "scaling": scaling, "n": asked.n}
    clock, processor = ({"one at a time": [], "in batches": []} for _ in range(2))
    for _ in range(asked.repeats):
        marks = [(time.perf_counter(), time.process_time())]
        loop = one_at_a_time(network, **how)
        marks.append((time.perf_counter(), time.process_time()))
        batched = al.loss_landscape(network, **how).loss
        marks.append((time.perf_counter(), time.process_time()))
        for name, spent in zip(clock, np.diff(marks, axis=0), strict=True):
            clock[name].append(spent[0])
            processor[name].append(spent[1])
    error = float(np.abs(batched / loop - 1).max())
    assert error < 1e-5
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"torch on {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}",
        "n_stars": asked.stars,
        "n_places": asked.n**2,
        "largest_relative_difference": error,
    }
    for kind, times in (("clock", clock), ("processor", processor)):
        ratios = np.divide(*times.values())
        result[kind] = {f"{name.replace(' ', '_')}_s": each for name, each in times.items()}
        result[kind]["times_as_fast"] = float(np.median(ratios))
        each = ", ".join(f"{name} {np.median(spent):.2f} s" for name, spent in times.items())
        print(f"{kind}: {each}; {np.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})")
    print(f"largest relative difference of a loss: {error:.1e}")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
