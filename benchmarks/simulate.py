"""Galaxies per second against GalSim: the same galaxies, neighbours and seeing, side by side.

    python benchmarks/simulate.py [--n 64] [--survey twin-galaxiesml] [--json FILE]

Both draw every galaxy of every stamp in five bands, without noise. GalSim draws what the twin approximates: a de
Vaucouleurs bulge and an exponential disc convolved with a Moffat profile and the pixel, by its default method and
accuracy, one process per core. Prints the ratio, and how far the stamps are apart.
"""

import argparse
import json
import multiprocessing
import os
import platform
import time
from pathlib import Path

import galsim
import numpy as np
import torch

from astrolab.datasets.manifests import load_manifest
from astrolab.datasets.twins import twin_knobs
from astrolab.datasets.twins.render import Sources, render_stamps
from astrolab.datasets.twins.simulation import EXPOSURE, draw_scene
from astrolab.datasets.twins.workers import map_on_cores

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
    """List what GalSim needs for every stamp."""
    names = ("x_px", "y_px", "flux", "radius_px", "axis_ratio", "angle_rad")
    arrays = {name: getattr(sources, name).double().numpy() for name in names}
    rows = [[] for _ in fwhm_px]
    for row, stamp in enumerate(sources.stamp.tolist()):
        rows[stamp].append({name: array[row] for name, array in arrays.items()})
    return [(rows[stamp], fwhm_px[stamp], size, beta) for stamp in range(len(fwhm_px))]


def stamps_per_s(knobs, *, n, seed, n_min_s=3.0):
    """Time the twin's renderer on this process' cores: the best of several runs."""
    scene = draw_scene(knobs, n=n, rng=np.random.default_rng(seed))
    pieces = [scene.part(start, stop=start + EXPOSURE["cpu"]) for start in range(0, n, EXPOSURE["cpu"])]

    def render(piece):
        sources, options = inputs_of(piece, knobs=knobs)
        return render_stamps(sources, **options)

    best, begin = np.inf, time.perf_counter()
    while time.perf_counter() - begin < n_min_s:
        start = time.perf_counter()
        map_on_cores(render, items=pieces, device=torch.device("cpu"))
        best = min(best, time.perf_counter() - start)
    return n / best


def inputs_of(scene, *, knobs):
    """Give the galaxies and neighbours of a scene, and the other arguments of `render_stamps`."""
    fwhm_px = torch.as_tensor(scene.fwhm_px, dtype=torch.float32)
    options = {"n_stamps": len(fwhm_px), "size": knobs.image_size, "fwhm_px": fwhm_px, "beta": knobs.seeing_beta}
    return merged(*scene.sources(device="cpu")), options


def merged(central, neighbours):
    """Put central galaxies and neighbours into one list."""
    return Sources(*(torch.cat([getattr(central, f), getattr(neighbours, f)]) for f in Sources.__dataclass_fields__))


def noise_per_s(shape, *, n_runs=3):
    """Time the sky noise apart."""
    start = time.perf_counter()
    for seed in range(n_runs):
        torch.empty(shape).normal_(generator=torch.Generator().manual_seed(seed))
    return n_runs * shape[0] / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=64, help="stamps that GalSim draws")
    parser.add_argument("--n-ours", type=int, default=1024, help="stamps that the twin draws for its timing")
    parser.add_argument("--survey", default="twin-galaxiesml")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    knobs = twin_knobs(load_manifest(asked.survey))
    n_cores = len(os.sched_getaffinity(0))

    sources, options = inputs_of(draw_scene(knobs, n=asked.n, rng=np.random.default_rng(asked.seed)), knobs=knobs)
    fwhm_px = options["fwhm_px"].double().numpy()
    jobs = stamp_jobs(sources, fwhm_px=fwhm_px, size=knobs.image_size, beta=knobs.seeing_beta)
    start = time.perf_counter()
    truth = np.stack([draw_stamp(job) for job in jobs])
    galsim_1 = asked.n / (time.perf_counter() - start)
    with multiprocessing.get_context("spawn").Pool(n_cores) as pool:
        pool.map(draw_stamp, jobs[:n_cores], chunksize=1)
        start = time.perf_counter()
        pool.map(draw_stamp, jobs, chunksize=4)
        galsim_all = asked.n / (time.perf_counter() - start)

    ours = render_stamps(sources, **options).double().numpy()
    flux, true_flux = ours.sum((2, 3)), truth.sum((2, 3))
    torch.set_num_threads(1)
    ours_1 = stamps_per_s(knobs, n=asked.n_ours, seed=asked.seed)
    torch.set_num_threads(n_cores)
    ours_all = stamps_per_s(knobs, n=asked.n_ours, seed=asked.seed)
    result = {
        "survey": asked.survey,
        "machine": f"{platform.processor() or platform.machine()}, {n_cores} cores",
        "n_stamps_compared": asked.n,
        "n_galaxies_per_stamp": len(sources) / asked.n,
        "size_px": knobs.image_size,
        "galsim_stamps_per_s_1_core": galsim_1,
        "galsim_stamps_per_s_all_cores": galsim_all,
        "astrolab_stamps_per_s_1_core": ours_1,
        "astrolab_stamps_per_s_all_cores": ours_all,
        "noise_stamps_per_s_all_cores": noise_per_s((1024, PHOTOMETRIC_BANDS, knobs.image_size, knobs.image_size)),
        "ratio_1_core": ours_1 / galsim_1,
        "ratio_all_cores": ours_all / galsim_all,
        "flux_difference_max": float(np.abs(flux / true_flux - 1).max()),
        "flux_difference_median": float(np.median(np.abs(flux / true_flux - 1))),
        "pixel_residual_max_of_peak": float((np.abs(ours - truth).max((2, 3)) / truth.max((2, 3))).max()),
    }
    for name, value in result.items():
        print(f"{name:34s} {value:.5g}" if isinstance(value, float) else f"{name:34s} {value}")
    print(f"ratio: {result['ratio_all_cores']:.0f} times the stamps per second of GalSim on the same {n_cores} cores")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
