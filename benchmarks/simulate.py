"""Galaxies per second against GalSim: the same galaxies, neighbours and seeing, side by side; stars per second.

    python benchmarks/simulate.py [--n 64] [--survey twin-galaxiesml] [--json FILE]
    python benchmarks/simulate.py --survey twin-lamost [--n-ours 2048] [--json FILE]

Both draw every galaxy of every stamp in five bands, without noise. GalSim draws what the twin approximates: a de
Vaucouleurs bulge and an exponential disc convolved with a Moffat profile and the pixel, by its default method and
accuracy, one process per core. Prints the ratio, and how far the stamps are apart.

Of a twin of stars it times the drawing and observing of `--n-ours` stars, and the same with the files written.
"""

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from functools import partial
from pathlib import Path

import galsim
import numpy as np
import torch

from astrolab.datasets.manifest import load_manifest
from astrolab.datasets.twins import simulate_survey
from astrolab.datasets.twins.galaxies import twin_knobs
from astrolab.datasets.twins.galaxies.render import render_scene
from astrolab.datasets.twins.galaxies.simulation import EXPOSURE, draw_scene, map_on_cores
from astrolab.datasets.twins.stars import SIMULATOR, StarTwinKnobs
from astrolab.datasets.twins.stars.observing import observe
from astrolab.datasets.twins.stars.population import draw_survey

PHOTOMETRIC_BANDS = 5


def draw_stamp(job):
    """Draw one stamp with GalSim: (band, y, x)."""
    sources, fwhm_px, size, beta = job
    stamp = [galsim.ImageF(size, size, scale=1.0) for _ in fwhm_px]
    for source in sources:
        for band, fwhm in enumerate(fwhm_px):
            _galsim_profile(source, band=band, fwhm=fwhm, beta=beta).drawImage(
                image=stamp[band], add_to_image=True, scale=1.0
            )
    return np.stack([image.array for image in stamp])


def _galsim_profile(source, *, band, fwhm, beta):
    angle, parts = source["angle_rad"] * galsim.radians, []
    for number, kind in enumerate((galsim.DeVaucouleurs, galsim.Exponential)):
        ratio = source["axis_ratio"][number]
        part = kind(half_light_radius=source["radius_px"][number] * np.sqrt(ratio), flux=source["flux"][band, number])
        parts.append(part.shear(q=ratio, beta=angle))
    seeing = galsim.Moffat(beta=beta, fwhm=fwhm)
    return galsim.Convolve(galsim.Add(parts), seeing).shift(source["x_px"], source["y_px"])


def stamp_jobs(sources, *, fwhm_px, size, beta):
    """List what GalSim needs for every stamp: its central galaxy and its neighbours."""
    names = ("x_px", "y_px", "flux", "radius_px", "axis_ratio", "angle_rad")
    rows = [[] for _ in fwhm_px]
    for part in sources:
        arrays = {name: getattr(part, name).double().numpy() for name in names}
        for row, stamp in enumerate(part.stamp.tolist()):
            rows[stamp].append({name: array[row] for name, array in arrays.items()})
    return [(rows[stamp], fwhm_px[stamp], size, beta) for stamp in range(len(fwhm_px))]


def stamps_per_s(draw, *, n):
    """Time one drawing of n stamps."""
    start = time.perf_counter()
    draw()
    return n / (time.perf_counter() - start)


def drawing(knobs, *, n, seed):
    """Prepare n stamps, and give what draws them with the twin's renderer on this process' cores."""
    scene = draw_scene(knobs, n=n, rng=np.random.default_rng(seed))
    pieces = [scene.part(start, stop=start + EXPOSURE["cpu"]) for start in range(0, n, EXPOSURE["cpu"])]
    render = partial(blended, knobs=knobs)
    return lambda: map_on_cores(render, items=pieces, device=torch.device("cpu"))


def side_by_side(theirs, ours, *, n, n_ours, n_rounds):
    """Time both in turn: medians over the rounds, so that a busy moment of the machine hits both or is left out."""
    ours()
    rounds = np.array([(stamps_per_s(theirs, n=n), stamps_per_s(ours, n=n_ours)) for _ in range(n_rounds)])
    galsim_per_s, astrolab_per_s = np.median(rounds, axis=0)
    ratios = rounds[:, 1] / rounds[:, 0]
    return {
        "galsim_stamps_per_s": float(galsim_per_s),
        "astrolab_stamps_per_s": float(astrolab_per_s),
        "ratio": float(np.median(ratios)),
        "ratio_lowest": float(ratios.min()),
        "ratio_highest": float(ratios.max()),
    }


def blended(scene, *, knobs):
    """Draw a scene as the simulation does: every galaxy alone, then its neighbours."""
    central, neighbours = scene.sources(device="cpu")
    fwhm_px = torch.as_tensor(scene.fwhm_px, dtype=torch.float32)
    options = {"n_stamps": len(fwhm_px), "size": knobs.image_size, "beta": knobs.seeing_beta}
    return render_scene(central, neighbours=neighbours, fwhm_px=fwhm_px, **options)[1]


def noise_per_s(shape, *, n_runs=3):
    """Time the sky noise apart."""
    start = time.perf_counter()
    for seed in range(n_runs):
        torch.empty(shape).normal_(generator=torch.Generator().manual_seed(seed))
    return n_runs * shape[0] / (time.perf_counter() - start)


def stars_per_s(manifest, *, n, seed, n_rounds, n_cores):
    """Time whole simulations of a survey of stars, in memory and with its files: medians over the rounds."""
    knobs = StarTwinKnobs(**manifest.twin.knobs)

    def in_memory(n=n):
        observe(draw_survey(knobs, n=n, seed=seed), knobs=knobs, key=(seed,))

    def on_disk():
        with tempfile.TemporaryDirectory() as folder:
            simulate_survey(manifest, n=n, seed=seed, directory=folder)

    in_memory(n=256)  # profiles of lines are made once
    result = {"survey": manifest.name, "machine": machine(n_cores), "n_stars": n}
    for threads in dict.fromkeys((1, n_cores)):
        torch.set_num_threads(threads)
        for name, draw in (("", in_memory), ("with_files_", on_disk)):
            start = time.process_time()
            rates = [stamps_per_s(draw, n=n) for _ in range(n_rounds)]
            result[f"stars_per_s_{name}{threads}_threads"] = float(np.median(rates))
            result[f"stars_per_s_{name}{threads}_threads_best"] = max(rates)
            result[f"stars_per_cpu_s_{name}{threads}_threads"] = n * n_rounds / (time.process_time() - start)
    return result


def machine(n_cores):
    return f"{platform.processor() or platform.machine()}, {n_cores} cores"


def show(result, *, json_file):
    for name, value in result.items():
        print(f"{name:38s} {value:.5g}" if isinstance(value, float) else f"{name:38s} {value}")
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=64, help="stamps that GalSim draws")
    parser.add_argument("--n-ours", type=int, default=1024, help="stamps that the twin draws for its timing")
    parser.add_argument("--survey", default="twin-galaxiesml")
    parser.add_argument("--rounds", type=int, default=5, help="times that both are timed in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    manifest, n_cores = load_manifest(asked.survey), len(os.sched_getaffinity(0))
    if manifest.twin.simulator == SIMULATOR:
        counts = {"n": asked.n_ours, "n_rounds": asked.rounds}
        show(stars_per_s(manifest, seed=asked.seed, n_cores=n_cores, **counts), json_file=asked.json)
        return
    knobs = twin_knobs(manifest)

    scene = draw_scene(knobs, n=asked.n, rng=np.random.default_rng(asked.seed))
    jobs = stamp_jobs(scene.sources(device="cpu"), fwhm_px=scene.fwhm_px, size=knobs.image_size, beta=knobs.seeing_beta)
    truth = np.stack([draw_stamp(job) for job in jobs])
    ours = blended(scene, knobs=knobs).double().numpy()
    flux, true_flux = ours.sum((2, 3)), truth.sum((2, 3))
    draw = drawing(knobs, n=asked.n_ours, seed=asked.seed)
    counts = {"n": asked.n, "n_ours": asked.n_ours, "n_rounds": asked.rounds}
    torch.set_num_threads(1)
    one = side_by_side(lambda: [draw_stamp(job) for job in jobs], draw, **counts)
    torch.set_num_threads(n_cores)
    with multiprocessing.get_context("spawn").Pool(n_cores) as pool:
        pool.map(draw_stamp, jobs[:n_cores], chunksize=1)
        every = side_by_side(lambda: pool.map(draw_stamp, jobs, chunksize=4), draw, **counts)

    result = {
        "survey": asked.survey,
        "machine": machine(n_cores),
        "n_stamps_compared": asked.n,
        "n_galaxies_per_stamp": sum(len(job[0]) for job in jobs) / asked.n,
        "size_px": knobs.image_size,
        **{f"{name}_1_core": value for name, value in one.items()},
        **{f"{name}_all_cores": value for name, value in every.items()},
        "noise_stamps_per_s_all_cores": noise_per_s((1024, PHOTOMETRIC_BANDS, knobs.image_size, knobs.image_size)),
        "flux_difference_max": float(np.abs(flux / true_flux - 1).max()),
        "flux_difference_median": float(np.median(np.abs(flux / true_flux - 1))),
        "pixel_residual_max_of_peak": float((np.abs(ours - truth).max((2, 3)) / truth.max((2, 3))).max()),
    }
    show(result, json_file=asked.json)
    print(f"ratio: {result['ratio_all_cores']:.0f} times the stamps per second of GalSim on the same {n_cores} cores")


if __name__ == "__main__":
    main()
