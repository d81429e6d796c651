"""Images a second of `astrolab.fit`, of the published recipe, and of Lightning's Trainer, on the same file and cores.

    python benchmarks/train.py [--n 2048] [--batch-size 128] [--epochs 3] [--json docs/benchmarks/train.json]

All three train the same network from the same initial weights, with the same loss, optimiser, clipping, batch size and
number of galaxies, read from one HDF5 file, and validate after each epoch; none writes checkpoints. They run in turn,
in processes of their own, for several rounds. The first epoch of each is a warm-up and is not counted; of all others
the fastest is, because whatever else the machine does only ever slows an epoch down. On a machine that others use too,
compare the CPU time an image takes (workers and warm-up included) instead of images a second, under OMP_NUM_THREADS=1:
threads that wait for each other count as busy.

plain      as the published code does it: the file is opened for every item, DataLoader workers are started every epoch
lightning  an ordinary Dataset (file opened once a worker, workers kept) under lightning.Trainer, fp32
astrolab   `fit` with its defaults, but bfloat16 (and so channels_last) on CPUs with units for it too
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from astrolab.datasets.formats import H5Rows
from astrolab.datasets.survey import Provenance, Survey
from astrolab.models.registry import make_model
from astrolab.tasks import QUANTITIES, REDSHIFT, InputSpec
from astrolab.trainers.hardware import has_bfloat16_units
from astrolab.trainers.objectives import lorentzian_loss

MODULES = {"plain": "torch", "lightning": "lightning", "astrolab": "astrolab.trainers.loop"}
CONTENDERS = tuple(MODULES)
BANDS = ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")
LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 1.0e-3, 1.0e-4, 1.0


class GalaxyFile(Dataset):
    """Images and redshifts of an HDF5 file: opened for every item, or once in each process."""

    def __init__(self, path, *, part, opens_every_time):
        self.path, self.part, self.opens_every_time = path, part, opens_every_time
        self.file = None
        with h5py.File(path) as file:
            self.n = len(file[f"{part}/image"])

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if self.opens_every_time:
            with h5py.File(self.path) as file:
                return self._item(file, index)
        self.file = self.file or h5py.File(self.path)
        return self._item(self.file, index)

    def _item(self, file, index):
        group = file[self.part]
        return torch.from_numpy(group["image"][index]), torch.tensor(group["z"][index], dtype=torch.float32)


def loaders(arguments, *, opens_every_time):
    def loader(part):
        return DataLoader(
            GalaxyFile(arguments.file, part=part, opens_every_time=opens_every_time),
            batch_size=arguments.batch_size,
            shuffle=part == "train",
            num_workers=arguments.workers,
            persistent_workers=not opens_every_time and arguments.workers > 0,
            pin_memory=device_of().type == "cuda",
        )

    return loader("train"), loader("validation")


def device_of():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def survey_of(path, *, part):
    import pandas as pd

    with h5py.File(path) as file:
        images, z = H5Rows(file[f"{part}/image"]), file[f"{part}/z"][:]
    return Survey(
        name=part,
        inputs={"image": images},
        specs={"image": InputSpec(("band", "y", "x"), BANDS)},
        labels=pd.DataFrame({"z": z}),
        ids=np.arange(len(z)),
        provenance=Provenance(survey=part, title="noise", simulated=True),
        task=REDSHIFT,
    )


def new_network(arguments):
    return make_model("cnn", survey=survey_of(arguments.file, part="train"), seed=0, width=arguments.width)


def loss_of(network, images, truth):
    pred = network({"image": images})[:, 0]
    return lorentzian_loss(pred, truth=truth, quantity=QUANTITIES["z"]).mean()


def run_plain(arguments):
    """The loop of the published code, fp32, with a running loss read every step."""
    device = device_of()
    network = new_network(arguments).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    train, validation = loaders(arguments, opens_every_time=True)
    times = []
    for _ in range(arguments.epochs + 1):
        begun, running = perf_counter(), 0.0
        network.train()
        for images, truth in train:
            images, truth = images.to(device), truth.to(device).clamp(0, 4)
            optimizer.zero_grad()
            loss = loss_of(network, images, truth)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
            optimizer.step()
            running += loss.item()
        network.eval()
        with torch.no_grad():
            for images, truth in validation:
                running += loss_of(network, images.to(device), truth.to(device)).item()
        times.append(perf_counter() - begun)
    return times


def run_lightning(arguments):
    """The same network under Lightning's Trainer with an ordinary DataLoader."""
    import lightning

    class Redshift(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.times = new_network(arguments), []

        def training_step(self, batch, _):
            return loss_of(self.network, batch[0], batch[1].clamp(0, 4))

        def validation_step(self, batch, _):
            loss_of(self.network, *batch)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

        def on_train_epoch_start(self):
            self.times.append(perf_counter())

        def on_train_end(self):
            self.times.append(perf_counter())

    module = Redshift()
    trainer = lightning.Trainer(
        max_epochs=arguments.epochs + 1,
        gradient_clip_val=CLIP_NORM,
        accelerator=device_of().type.replace("cuda", "gpu"),
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, *loaders(arguments, opens_every_time=False))
    return np.diff(module.times).tolist()


def run_astrolab(arguments):
    """`fit` on surveys that are read from the file."""
    from astrolab.datasets.scaling import fit_scaling
    from astrolab.trainers.config import TrainConfig
    from astrolab.trainers.loop import fit

    train, validation = (survey_of(arguments.file, part=part) for part in ("train", "validation"))
    result = fit(
        new_network(arguments),
        train=train,
        validation=validation,
        scaling=fit_scaling(train, method="none"),
        config=TrainConfig(
            epochs=arguments.epochs + 1,
            batch_size=arguments.batch_size,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            clip_norm=CLIP_NORM,
            label_clamp=(0, 4),
            patience=None,
            precision="bfloat16" if has_bfloat16_units(device_of()) else "auto",
        ),
        progress=False,
    )
    return result.history["time_s"].tolist()


def measure(arguments):
    """Run one contender in this process, and print what it took as JSON."""
    importlib.import_module(MODULES[arguments.contender])
    torch.optim.Adam([torch.zeros(1)])  # the first optimiser of a process imports half of torch
    begun, cpu_begun = perf_counter(), cpu_s()
    times = {"plain": run_plain, "lightning": run_lightning, "astrolab": run_astrolab}[arguments.contender](arguments)
    whole = perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    found = {
        "images_per_s": arguments.n / min(times[1:]),
        "cpu_ms_per_image": 1e3 * (cpu_s() - cpu_begun) / (arguments.n * len(times)),
        "epoch_s": times,
        "outside_epochs_s": whole - sum(times),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "peak_memory_of_a_worker_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit,
    }
    if torch.cuda.is_available():
        found["peak_gpu_bytes"] = torch.cuda.max_memory_allocated()
    print(json.dumps(found))


def cpu_s():
    """CPU time so far of this process and of the workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def write_file(path, *, n, size):
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for part, count in (("train", n), ("validation", max(n // 8, 1))):
            file[f"{part}/image"] = rng.normal(size=(count, len(BANDS), size, size)).astype(np.float32)
            file[f"{part}/z"] = rng.uniform(0, 2, count).astype(np.float32)


def machine():
    device = device_of()
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": f"{device.type}: {name}",
        "cores": len(os.sched_getaffinity(0)),
        "bfloat16_units": has_bfloat16_units(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def compare(arguments):
    """Run every contender in turn, in processes of their own."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "galaxies.hdf5"
        write_file(path, n=arguments.n, size=arguments.size)
        for contender in CONTENDERS * arguments.rounds:
            command = [sys.executable, __file__, *sys.argv[1:], "--contender", contender, "--file", path]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured = json.loads(output.splitlines()[-1])
            print(
                f"{contender:<10} {measured['images_per_s']:8.1f} images/s   "
                f"{measured['cpu_ms_per_image']:6.1f} ms of CPU an image   "
                f"peak {measured['peak_memory_bytes'] / 1e6:6.0f} MB",
                flush=True,
            )
            found[contender] = max(found.get(contender, measured), measured, key=lambda one: one["images_per_s"])
    mine, ratios = found["astrolab"], {}
    for contender in ("plain", "lightning"):
        faster = mine["images_per_s"] / found[contender]["images_per_s"]
        leaner = found[contender]["cpu_ms_per_image"] / mine["cpu_ms_per_image"]
        ratios[contender] = {"images_per_s": faster, "cpu_time": leaner}
        print(
            f"astrolab against {contender}: {faster:.2f}× the images a second, {leaner:.2f}× an image for its CPU time"
        )
    names = ("n", "batch_size", "epochs", "rounds", "size", "width", "workers")
    settings = {name: getattr(arguments, name) for name in names}
    return {"machine": machine(), "settings": settings, "contenders": found, "ratios": ratios}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2048, help="galaxies to train on")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3, help="epochs counted, after one of warm-up")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--width", type=int, default=64, help="channels after the stem; 64 is ResNet18")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="DataLoader workers")
    parser.add_argument("--json", type=Path, help="write what was measured here")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        measure(arguments)
        return
    found = compare(arguments)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
