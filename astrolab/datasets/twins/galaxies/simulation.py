"""A twin survey in memory: blocks of galaxies with their pixels and catalogue, each from its own seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from astrolab.datasets.twins.galaxies import MIN_FWHM_PX, HscTwinKnobs
from astrolab.datasets.twins.galaxies.catalogue import BLOCK, base_columns, measure_fluxes, measure_shapes
from astrolab.datasets.twins.galaxies.population import Galaxies, Shapes, draw_galaxies, draw_neighbours, draw_shapes
from astrolab.datasets.twins.galaxies.render import Sources, render_scene, seeing_terms

EXPOSURE = {"cpu": 128, "cuda": BLOCK}  # stamps made at once, on one core
COMMON_BLOCK = 64
Item, Result = TypeVar("Item"), TypeVar("Result")
Device = torch.device | str
Key = tuple[int, ...]
# depth (mag) and seeing (arcsec) of HSC's ultra-deep COSMOS coadds, from which the shared galaxies' pixels are taken
COSMOS = {"g": (27.8, 0.72), "r": (27.7, 0.50), "i": (27.3, 0.56), "z": (26.8, 0.53), "y": (25.9, 0.64)}


@dataclass(frozen=True, eq=False)
class Block:
    """Some galaxies of a survey: images (n, band, y, x) on the device, and the columns of their catalogue."""

    images: Tensor
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: np.ndarray) -> Block:
        """Give the galaxies at an index, in its order."""
        rows = torch.as_tensor(index, device=self.images.device)
        return Block(self.images[rows], {name: column[index] for name, column in self.columns.items()})


@dataclass(frozen=True, eq=False)
class Scene:
    """What is on the stamps: a galaxy in the middle of each, neighbours, and the seeing."""

    galaxies: Galaxies
    shapes: Shapes
    where: np.ndarray
    neighbours: Shapes
    fwhm_px: np.ndarray

    def part(self, start: int, *, stop: int) -> Scene:
        """Give some consecutive stamps of the scene."""
        rows = slice(start, stop)
        inside = slice(*np.searchsorted(self.where, [start, stop]))
        shapes, neighbours = self.shapes.take(rows), self.neighbours.take(inside)
        return Scene(self.galaxies.take(rows), shapes, self.where[inside] - start, neighbours, self.fwhm_px[rows])

    def sources(self, *, device: Device) -> tuple[Sources, Sources]:
        """Give the central galaxies and the neighbours as the renderer takes them."""
        return (
            as_sources(self.shapes, stamp=np.arange(len(self.galaxies)), device=device),
            as_sources(self.neighbours, stamp=self.where, device=device),
        )


def simulate_blocks(
    knobs: HscTwinKnobs, *, n: int, seed: int, device: Device = "cpu", morphology: bool = True
) -> Iterator[Block]:
    """Simulate a survey piece by piece, in the order of its catalogue."""
    common = _common_block(knobs, n=n, seed=seed, device=device, morphology=morphology)
    rng = np.random.default_rng([seed, n, zlib.crc32(b"places of the common galaxies")])
    places = np.sort(rng.permutation(n)[: len(common)])
    n_own = n - len(common)
    taken = 0
    for number, start in enumerate(range(0, n_own, BLOCK)):
        key = (seed, zlib.crc32(knobs.layout.encode()), number)
        own = _simulate(knobs, n=min(BLOCK, n_own - start), key=key, device=device, morphology=morphology)
        last = start + len(own) == n_own
        upto = len(common) if last else int(np.searchsorted(places - np.arange(len(common)), start + len(own)))
        yield _interleave(own, common.take(np.arange(taken, upto)), places[taken:upto] - start - taken)
        taken = upto


def simulate_arrays(
    knobs: HscTwinKnobs, *, n: int, seed: int, device: Device = "cpu", morphology: bool = False
) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Simulate a survey into one tensor on the device and the columns of its catalogue, without any file."""
    block = _joined(list(simulate_blocks(knobs, n=n, seed=seed, device=device, morphology=morphology)))
    return block.images, block.columns


def n_common(knobs: HscTwinKnobs, *, n: int) -> int:
    """Give the number of galaxies that a twin of `n` galaxies shares with the other twin."""
    return min(max(round(n * knobs.n_common_per_galaxy), knobs.n_common_min), n // 4)


def _common_block(knobs: HscTwinKnobs, *, n: int, seed: int, **options) -> Block:
    """Galaxies of both twins: spectroscopic targets in COSMOS, with its depth and seeing where the pixels sample it."""
    wanted = n_common(knobs, n=n)
    own = zip(knobs.letters, knobs.depth_mag, knobs.seeing_arcsec, strict=True)
    depth, seeing = zip(*(COSMOS.get(letter, (depth, seeing)) for letter, depth, seeing in own), strict=True)
    is_sampled = min(seeing) > MIN_FWHM_PX * knobs.pixel_scale_arcsec
    imaging = {"depth_mag": depth, "seeing_arcsec": seeing if is_sampled else knobs.seeing_arcsec}
    alike = knobs.with_changes(selection="spectroscopic", type_mix=(1.0,) * 4, dust_scale=1.0, **imaging)
    keys = [(knobs.common_seed, seed, number) for number in range(max(1, -(-wanted // COMMON_BLOCK)))]
    blocks = [_simulate(alike, n=COMMON_BLOCK, key=key, is_common=True, **options) for key in keys]
    return _joined(blocks).take(np.arange(wanted))


def _joined(blocks: Sequence[Block]) -> Block:
    columns = {name: np.concatenate([block.columns[name] for block in blocks]) for name in blocks[0].columns}
    return Block(torch.cat([block.images for block in blocks]), columns)


def _interleave(own: Block, common: Block, places: np.ndarray) -> Block:
    """Put common galaxies at their places among a survey's own."""
    order = np.full(len(own) + len(common), -1)
    order[places] = len(own) + np.arange(len(common))
    order[order < 0] = np.arange(len(own))
    return _joined([own, common]).take(order)


def _simulate(
    knobs: HscTwinKnobs, *, n: int, key: Key, device: Device, morphology: bool, is_common: bool = False
) -> Block:
    rng = np.random.default_rng(key)
    scene = draw_scene(knobs, n=n, rng=rng)
    about = {"shapes": scene.shapes, "knobs": knobs, "key": key, "is_common": is_common}
    columns = base_columns(scene.galaxies, **about, rng=rng) | _crowding(knobs, scene=scene)
    device, seed = torch.device(device), int(rng.integers(2**62))
    at_once = EXPOSURE[device.type]

    def expose(start: int) -> tuple[Tensor, dict[str, Tensor]]:
        generator = torch.Generator(device=device).manual_seed(seed + start)
        return _expose(knobs, scene=scene.part(start, stop=start + at_once), generator=generator, morphology=morphology)

    exposures = map_on_cores(expose, items=range(0, n, at_once), device=device)
    images = torch.cat([image for image, _ in exposures])
    measured = {name: torch.cat([part[name] for _, part in exposures]) for name in exposures[0][1]}
    return Block(images, columns | _measured_columns(knobs, galaxies=scene.galaxies, measured=measured))


def draw_scene(knobs: HscTwinKnobs, *, n: int, rng: np.random.Generator) -> Scene:
    """Draw everything that is on some stamps before any pixel is."""
    galaxies = draw_galaxies(knobs, n=n, rng=rng)
    shapes = draw_shapes(galaxies, knobs=knobs, rng=rng)
    where, neighbours = draw_neighbours(knobs, n_stamps=n, rng=rng)
    scatter = np.exp(np.clip(knobs.seeing_scatter * rng.normal(size=(n, 1)), -0.3, 0.5))
    fwhm_px = np.array(knobs.seeing_arcsec) / knobs.pixel_scale_arcsec * scatter
    return Scene(galaxies, shapes, where, neighbours, fwhm_px)


def as_sources(shapes: Shapes, *, stamp: np.ndarray, device: Device = "cpu") -> Sources:
    """Give galaxies on the stamps of these numbers as the renderer takes them."""
    arrays = [getattr(shapes, field.name) for field in fields(Sources)[1:]]
    tensors = [torch.as_tensor(array, dtype=torch.float32, device=device) for array in arrays]
    return Sources(torch.as_tensor(stamp, dtype=torch.int64, device=device), *tensors)


def sky_noise(knobs: HscTwinKnobs, *, fwhm_px: Tensor) -> Tensor:
    """Sky noise per pixel that makes the 5σ point-source depth at a seeing: (n, band), flux units."""
    sigma, weight = (torch.tensor(term, device=fwhm_px.device) for term in seeing_terms(knobs.seeing_beta))
    pair = sigma[:, None] ** 2 + sigma[None, :] ** 2
    n_effective = fwhm_px**2 / (weight[:, None] * weight[None, :] / (2.0 * torch.pi * pair)).sum()
    depth = torch.tensor(knobs.depth_mag, device=fwhm_px.device)
    limit = 10.0 ** (-0.4 * (depth - knobs.zero_point_mag))
    typical = torch.tensor(knobs.seeing_arcsec, device=fwhm_px.device) / knobs.pixel_scale_arcsec
    n_effective = n_effective / fwhm_px**2 * typical**2  # the depth is quoted at the median seeing
    return limit / (5.0 * n_effective.sqrt())


def _expose(
    knobs: HscTwinKnobs, *, scene: Scene, generator: torch.Generator, morphology: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Render, measure the galaxy alone, add neighbours and noise."""
    central, neighbours = scene.sources(device=generator.device)
    fwhm_px = torch.as_tensor(scene.fwhm_px, dtype=torch.float32, device=generator.device)
    options = {"n_stamps": len(central), "size": knobs.image_size, "fwhm_px": fwhm_px, "beta": knobs.seeing_beta}
    alone, images = render_scene(central, neighbours=neighbours, **options)
    sky_sigma = sky_noise(knobs, fwhm_px=fwhm_px)
    noise, variance = draw_noise(images, knobs=knobs, sky_sigma=sky_sigma, generator=generator)
    ratio, error = measure_fluxes(alone, noise=noise, variance=variance)
    measured = {"flux_ratio": ratio, "flux_error": error}
    if morphology:
        measured |= measure_shapes(alone, sky_sigma=sky_sigma)
    return images.add_(noise), measured


def draw_noise(
    images: Tensor, *, knobs: HscTwinKnobs, sky_sigma: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Poisson and sky noise of stamps, and its variance: (n, band, y, x) each."""
    noise = torch.empty_like(images).normal_(generator=generator)
    variance = images.clamp(min=0.0).div_(knobs.gain).add_(sky_sigma[..., None, None] ** 2)
    return noise.mul_(variance.sqrt()), variance


def _measured_columns(knobs: HscTwinKnobs, *, galaxies: Galaxies, measured: dict[str, Tensor]) -> dict[str, np.ndarray]:
    values = {name: tensor.double().cpu().numpy() for name, tensor in measured.items()}
    ratio = values.pop("flux_ratio")
    values["cmodel_mag"] = galaxies.mag - 2.5 * np.log10(ratio)
    values["cmodel_magsigma"] = 2.5 / np.log(10.0) * values.pop("flux_error") / ratio
    if "peak" in values:
        per_arcsec2 = np.maximum(values.pop("peak"), 1e-6) / knobs.pixel_scale_arcsec**2
        values["peak_surface_brightness"] = knobs.zero_point_mag - 2.5 * np.log10(per_arcsec2)
    return {
        f"{letter}_{name}": column[:, band].astype(np.float32)
        for name, column in values.items()
        for band, letter in enumerate(knobs.letters)
    }


def _crowding(knobs: HscTwinKnobs, *, scene: Scene) -> dict[str, np.ndarray]:
    """Objects within 5, 10 and 15 px of the centre, the galaxy itself included."""
    radius = np.hypot(scene.neighbours.x_px, scene.neighbours.y_px)
    columns = {}
    for limit in (5, 10, 15):
        count = 1 + np.bincount(scene.where[radius < limit], minlength=len(scene.galaxies))
        names = [f"{letter}_central_image_pop_{limit}px_rad" for letter in knobs.letters]
        columns |= dict.fromkeys(names, count.astype(np.float32))
    return columns


def map_on_cores(function: Callable[[Item], Result], *, items: Sequence[Item], device: torch.device) -> list[Result]:
    """Apply a function to independent items, a core of a CPU and a single thread each, or one after the other on a GPU.

    Threads that share the many short operations of rendering would wait for the slowest of them thousands of times a
    second, and the last bit of a result would depend on their number.
    """
    n_threads = torch.get_num_threads()
    if device.type != "cpu" or n_threads == 1:
        return [function(item) for item in items]
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(n_threads)  # what threads started later take for theirs


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Do work on a single galaxy without sharing it: handing it out and waiting takes longer than the work."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
