"""Damaged files of every kind that astrolab reads: each gives a value or an AstrolabError, never a raw traceback.

A couple of hundred in the suite; ``ASTROLAB_FUZZ=20000 pytest tests/datasets/test_fuzzing.py`` makes 20,000, spread
over the families. A case is known by its family and number, and is the same in every run; ``ASTROLAB_FUZZ_CASE=csv:17``
lets a debugger see that one, in this process. All others run in a child process: a crash of HDF5 or a hang is a
failure like another.
"""

import gzip
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import psutil
import pytest
import simulated_runs
import torch
from astropy.io import fits
from local_server import serve
from typer.testing import CliRunner

import astrolab as al
from astrolab.cli import app
from astrolab.datasets import fetching
from astrolab.datasets.scaling import InputScaling, Scaling
from astrolab.errors import AstrolabError
from astrolab.parameters import list_presets, load_preset

N_CASES = int(os.environ.get("ASTROLAB_FUZZ", "240"))
SECONDS_A_CASE, MEMORY_BYTES = 5, 3 << 30
BANDS, N_ROWS = ("g", "r", "i"), 12

# ---- small valid files -------------------------------------------------------------------------------------------

LABEL = '[[label]]\nname = "z"\ncolumn = "zspec"\npossible = [0, 3]\n[id]\ncolumn = "id"\nscheme = "own"\n'
SKY = '[sky]\nra = "ra"\ndec = "dec"\n'
MAGNITUDES = '[input.magnitudes]\nchannels = ["g", "r", "i"]\ncolumns = ["g", "r", "i"]\nmissing = [-99.0]\n'
IMAGE = '[input.image]\nkey = "image"\nchannels = ["g", "r", "i"]\nsizes = [8]\nscale_arcsec = 0.2\n'
SPECTRUM = '[input.spectrum]\nkey = "flux"\ngrid = "wave"\ncompanions = { ivar = "ivar" }\n'
CITATION = '[citation]\nkeys = ["arXiv:2410.00271"]\ntext = "We thank."\nbibtex = "@misc{a, title = {b}}"\n'


def manifest(path, *, seen=MAGNITUDES, layout="", sections="", entry=""):
    head = f'name = "small"\ntitle = "Small"\nversion = "1"\n{CITATION}'
    layout = f"[format]\n{layout}\n" if layout else ""
    return f'{head}{seen}{LABEL}{sections}{layout}[[files]]\npath = "{path}"\n{entry}'


def columns():
    random = np.random.default_rng(0)
    photometry = {band: random.normal(22, 1, N_ROWS).round(3) for band in BANDS}
    places = {"ra": random.uniform(149, 151, N_ROWS).round(4), "dec": random.uniform(1, 3, N_ROWS).round(4)}
    return {"id": 10_000 + np.arange(N_ROWS), "zspec": random.uniform(0.1, 2, N_ROWS).round(3), **places, **photometry}


def images():
    return np.random.default_rng(1).normal(size=(N_ROWS, 3, 8, 8)).astype(np.float32)


def write_h5(path, *, arrays, **options):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, **(options if name == "image" else {}))


def write_fits(path, *hdus):
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)


def as_table(name="CAT"):
    return fits.BinTableHDU.from_columns(
        [fits.Column(name, "K" if name == "id" else "D", array=values) for name, values in columns().items()],
        name=name,
    )


def write_lamost(path):
    vectors = {"FLUX": 1.0, "IVAR": 1.0, "WAVELENGTH": np.linspace(4000, 4010, 20), "ANDMASK": 0.0}
    arrays = {name: np.broadcast_to(value, (N_ROWS, 20)) for name, value in vectors.items()}
    table = fits.BinTableHDU.from_columns([fits.Column(name, "20E", array=one) for name, one in arrays.items()])
    write_fits(path, table, as_table("CATALOGUE"))


def write_desi(path):
    hdus = [as_table("FIBERMAP")]
    for arm, start in {"B": 4000, "R": 4016}.items():
        arrays = {"WAVELENGTH": start + 0.8 * np.arange(30), "FLUX": np.ones((N_ROWS, 30), "f4")}
        arrays |= {"IVAR": np.ones((N_ROWS, 30), "f4"), "MASK": np.zeros((N_ROWS, 30), "i4")}
        hdus += [fits.ImageHDU(values, name=f"{arm}_{name}") for name, values in arrays.items()]
    write_fits(path, *hdus)


def survey_of(path, write, **options):
    """A family of surveys with one file: make it in a folder; the file to damage; how it is read."""

    def make(folder):
        write(folder / path)
        (folder / "small.toml").write_text(manifest(path, sections=SKY, **options))

    return make, (path,), read_survey


def read_survey(folder):
    for act in (load_everything, lambda folder: al.import_survey(folder / "small.toml")):
        yield lambda act=act: act(folder)


def load_everything(folder):
    survey = al.load_survey(folder / "small.toml")
    for rows in (*survey.inputs.values(), *survey.catalogue.values()):
        np.asarray(rows[:])
        np.asarray(rows[[0, len(survey) - 1]])
    return survey.labels, survey.ids, survey.sky_deg, repr(survey), survey.digest


def plain_table(path):
    pd.DataFrame(columns()).to_csv(path, index=False)


HDF5_IMAGES = {"seen": IMAGE}
FITS_IMAGES = {"seen": IMAGE, "layout": 'format = "fits"'}
SURVEYS = {
    "hdf5-images": survey_of(
        "a.h5", lambda path: write_h5(path, arrays={"image": images(), **columns()}), **HDF5_IMAGES
    ),
    "hdf5-images-chunked": survey_of(
        "a.h5",
        lambda path: write_h5(
            path, arrays={"image": images(), **columns()}, chunks=(5, 3, 8, 8), compression="gzip", shuffle=True
        ),
        **HDF5_IMAGES,
    ),
    "hdf5-table": survey_of("a.h5", lambda path: write_h5(path, arrays=columns()), layout='format = "hdf5"'),
    "hdf5-compound": survey_of(
        "a.h5",
        lambda path: write_h5(path, arrays={"t": pd.DataFrame(columns()).to_records(index=False)}),
        layout='format = "hdf5"\ntable = "t"',
    ),
    "fits-images": survey_of(
        "a.fits", lambda path: write_fits(path, fits.ImageHDU(images(), name="IMAGE"), as_table()), **FITS_IMAGES
    ),
    "fits-images-compressed": survey_of(
        "a.fits",
        lambda path: write_fits(
            path, fits.CompImageHDU(images(), name="IMAGE", tile_shape=(1, 1, 8, 8), quantize_level=16), as_table()
        ),
        **FITS_IMAGES,
    ),
    "fits-images-gz": survey_of(
        "a.fits.gz", lambda path: write_fits(path, fits.ImageHDU(images(), name="IMAGE"), as_table()), **FITS_IMAGES
    ),
    "fits-table": survey_of("a.fits", lambda path: write_fits(path, as_table()), layout='format = "fits"'),
    "lamost": survey_of("a.fits", write_lamost, seen=SPECTRUM, layout='format = "lamost"'),
    "desi": survey_of("a.fits", write_desi, seen=SPECTRUM, layout='format = "desi"'),
    "csv": survey_of("a.csv", plain_table, layout='format = "csv"'),
    "csv-gz": survey_of("a.csv.gz", plain_table, layout='format = "csv"'),
    "parquet": survey_of(
        "a.parquet", lambda path: pd.DataFrame(columns()).to_parquet(path), layout='format = "parquet"'
    ),
    "npz": survey_of(
        "a.npz", lambda path: np.savez(path, image=images(), **columns()), seen=IMAGE, layout='format = "npz"'
    ),
}


# ---- what stands beside surveys ----------------------------------------------------------------------------------


def make_own_manifest(folder):
    plain_table(folder / "a.csv")
    (folder / "small.toml").write_text(manifest("a.csv", sections=SKY, layout='format = "csv"'))


def read_own_manifest(folder):
    yield lambda: al.load_manifest(folder / "small.toml")
    yield from read_survey(folder)
    yield lambda: al.verify_survey(folder / "small.toml")


def make_registry(folder):
    make_own_manifest(folder)
    al.import_survey(folder / "small.toml")


def read_registry(folder):
    yield al.list_manifests
    for words in (["list"], ["info", "small"], ["verify", "small"], ["cite", "small"], ["simulate", "galaxiesml"]):
        yield lambda words=words: command(*words)
    yield lambda: al.load_survey("small")


def command(*words):
    result = CliRunner().invoke(app, ["data", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception


def make_fetched(folder):
    plain_table(folder / "a.csv")
    with serve() as server:
        server.files["a.csv"] = (folder / "a.csv").read_bytes()
        (folder / "small.toml").write_text(
            manifest("a.csv", layout='format = "csv"', entry=f'urls = ["{server.url("a.csv")}"]\n')
        )
        (folder / "a.csv").unlink()
        al.fetch(folder / "small.toml", progress=False)
    kept = folder / "data" / "small" / "1"
    (kept / ".b.csv.part").write_bytes(b"id,zspec")
    (kept / ".b.csv.part.json").write_text(json.dumps({"url": "http://127.0.0.1:9/b.csv", "validator": '"1"'}))


def read_fetched(folder):
    """Fetch again what is here, with a note of hashes that may be torn, and go on with a part beside a torn note."""
    kept, toml = folder / "data" / "small" / "1", folder / "small.toml"
    content = pd.DataFrame(columns()).to_csv(index=False).encode()

    def fetch_again(name):
        with serve() as server:
            server.files[name] = content
            text = re.sub(
                r"a\.csv|http:[^\"]*", lambda found: server.url(name) if ":" in found[0] else name, toml.read_text()
            )
            (folder / "again.toml").write_text(text)
            (path,) = al.fetch(folder / "again.toml", progress=False)
        if path.read_bytes() != content:
            raise AssertionError("another file than the server's")

    yield lambda: fetch_again("a.csv")
    yield lambda: fetch_again("b.csv")
    yield lambda: fetching.recorded_hash(al.load_manifest(toml), entry=al.load_manifest(toml).files[0])
    yield lambda: al.verify_survey(toml)
    assert kept.is_dir()


def make_scaling(folder):
    one = InputScaling("asinh", BANDS, (0.0, 0.0, 0.0), (1.0, 2.0, 3.0), 4.0, unit="nJy")
    Scaling({"image": one}).save(folder / "scaling.json")


def read_scaling(folder):
    yield lambda: Scaling.load(folder / "scaling.json").apply({"image": images()})


def make_model(strategy):
    def make(folder):
        make_own_manifest(folder)
        survey = al.load_survey(folder / "small.toml")
        base = al.make_model("mlp", survey=survey, hidden=(4, 4, 4, 2), batchnorm=True, seed=0)
        al.save_model(al.adapt(base, strategy=strategy), directory=folder / "model", base=base)

    return make


def read_model(folder):
    yield lambda: al.load_model(folder / "model")


def make_predictions(folder):
    table = simulated_runs.simulate({"lora": {"combo": (0.0, 0.01)}}, seeds=[0], n=20)
    al.save_predictions(table, path=folder / "predictions.parquet")


def read_predictions(folder):
    yield lambda: al.score(al.load_predictions(folder / "predictions.parquet"))


def make_run(folder):
    simulated_runs.write_run(folder / "runs" / "s" / "good", arms={"lora": {"combo": (0.0, 0.01)}}, n=20)
    simulated_runs.write_run(folder / "runs" / "s" / "bad", arms={"lora": {"combo": (0.0, 0.01)}}, n=20)


def read_run(folder):
    yield lambda: al.load_ledger(folder / "runs").newest().scores
    yield lambda: al.load_ledger(folder / "runs").predictions()
    yield lambda: al.find_run(folder / "runs" / "s" / "bad")


def make_preset(folder):
    shutil.copy(shipped_preset(), folder / "mine.yaml")


def shipped_preset():
    return list_presets("lora_vs_transfer")["smoke"]


def read_preset(folder):
    yield lambda: load_preset("lora_vs_transfer", preset=str(folder / "mine.yaml"))


MODEL_FILES = ("model/model.json", "model/model.safetensors")
LORA_FILES = (
    "model/model.json",
    "model/adapter_model.safetensors",
    "model/adapter_config.json",
    "model/base/model.json",
)
RUN_FILES = ("run.json", "run.json", "scores.csv", "predictions.parquet")
BESIDE = {
    "manifest": (make_own_manifest, ("small.toml",), read_own_manifest),
    "registry": (make_registry, ("data/manifests/small.toml",), read_registry),
    "fetched": (make_fetched, ("data/small/1/hashes.json", "data/small/1/.b.csv.part.json"), read_fetched),
    "scaling": (make_scaling, ("scaling.json",), read_scaling),
    "model": (make_model("full"), MODEL_FILES, read_model),
    "model-lora": (make_model("lora"), LORA_FILES, read_model),
    "predictions": (make_predictions, ("predictions.parquet",), read_predictions),
    "run": (make_run, tuple(f"runs/s/bad/{name}" for name in RUN_FILES), read_run),
    "preset": (make_preset, ("mine.yaml",), read_preset),
}
FAMILIES = {**SURVEYS, **BESIDE}


# ---- damage ------------------------------------------------------------------------------------------------------

TOKENS = [
    "NaN",
    "INDEF",
    "-",
    "1e999",
    "-1",
    "0",
    '""',
    "é",
    "null",
    "true",
    "[]",
    "{}",
    "9" * 30,
    "1.5",
    "'",
    '"',
    "\t",
]
VALUES = [None, True, -1, 0, 1.5, float("nan"), float("inf"), 10**30, "", "x", "é", [], [1], {}, {"x": 1}, [[]]]


def damage(content: bytes, *, name: str, random: np.random.Generator) -> bytes:
    """Damage a file as disks, networks and people do; what is packed also inside its packing."""
    if random.random() < 0.04:
        return [b"", b"\n", b"null", b"<!doctype html><html></html>", bytes(100)][random.integers(5)]
    if name.endswith(".gz") and random.random() < 0.6:
        return gzip.compress(damage(gzip.decompress(content), name=name.removesuffix(".gz"), random=random))
    if name.endswith(".npz") and random.random() < 0.6:
        return in_archive(content, random)
    if name.endswith(".json") and random.random() < 0.6:
        return edit_json(content, random)
    if name.endswith((".json", ".toml", ".yaml", ".csv")) and random.random() < 0.8:
        return edit_text(content, random)
    for _ in range(random.integers(1, 4)):
        content = edit_bytes(content, random)
    return content


def in_archive(content, random):
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        chosen = old.namelist()[random.integers(len(old.namelist()))]
        for name in old.namelist():
            new.writestr(name, edit_bytes(old.read(name), random) if name == chosen else old.read(name))
    return packed.getvalue()


def edit_bytes(content, random):
    if not content:
        return content
    size = len(content)
    # Headers lie at the ends, and decide more than what is between.
    reach = [min(size, 3000), size, size][random.integers(3)]
    start = int(random.integers(reach)) if random.random() < 0.75 else size - 1 - int(random.integers(min(size, 600)))
    stop = min(start + int(random.integers(1, 65)), size)
    before, run, after = content[:start], content[start:stop], content[stop:]
    kind = random.integers(9)
    if kind <= 1:
        return before + bytes([run[0] ^ (1 << int(random.integers(8)))]) + run[1:] + after
    if kind == 2:
        return before + bytes(len(run)) + after
    if kind == 3:
        return before + b"\xff" * len(run) + after
    if kind == 4:
        return before + random.bytes(len(run)) + after
    if kind == 5:
        return before
    if kind == 6:
        return before + random.bytes(len(run)) + run + after
    if kind == 7:
        return before + after[: len(run)] + run + after[len(run) :]
    return before + other_digits(run + after, random)


def other_digits(content, random):
    """Another number of as many digits in place of the next one, as in a header of FITS or npy."""
    found = re.search(rb"\d+", content)
    if not found:
        return content
    digits = "".join(map(str, random.integers(10, size=len(found[0])))).encode()
    return content[: found.start()] + digits + content[found.end() :]


def edit_text(content, random):
    lines = content.decode("utf-8", "replace").splitlines(keepends=True)
    for _ in range(random.integers(1, 3)):
        number, other = random.integers(len(lines), size=2)
        kind = random.integers(6)
        if kind == 0 and len(lines) > 1:
            del lines[number]
        elif kind == 1:
            lines.insert(other, lines[number])
        elif kind == 2:
            lines[number], lines[other] = lines[other], lines[number]
        else:
            lines[number] = other_token(lines[number], random)
        lines = lines or [""]
    encoding = ["latin-1", "utf-16"][random.integers(2)] if random.random() < 0.1 else "utf-8"
    return "".join(lines).encode(encoding, "replace")


def other_token(line, random):
    tokens = list(re.finditer(r"[^\s,=:\[\]]+", line))
    if not tokens:
        return line + TOKENS[random.integers(len(TOKENS))]
    found = tokens[random.integers(len(tokens))]
    return line[: found.start()] + TOKENS[random.integers(len(TOKENS))] + line[found.end() :]


def edit_json(content, random):
    """Another value, none, or another name at one place of the tree."""
    tree = {"": json.loads(content)}
    places = list(walk(tree))
    where, key = places[random.integers(len(places))]
    kind = random.integers(4)
    if kind == 0 and key != "":
        del where[key]
    elif kind == 1 and isinstance(where, dict) and key != "":
        where[key + "_"] = where.pop(key)
    else:
        where[key] = VALUES[random.integers(len(VALUES))]
    return json.dumps(tree[""]).encode()


def walk(node):
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from walk(node[key])


# ---- the run -----------------------------------------------------------------------------------------------------


class Hung(BaseException):
    """Raised by the clock; nothing that reads a file catches it."""


def ring(*_):
    raise Hung(f"after {SECONDS_A_CASE} s")


def attempt(act) -> str:
    """Nothing, or the raw traceback in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            act()
    except AstrolabError:
        return ""
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/astrolab/" in f.filename]
        place = (
            f"{frames[-1].filename.rpartition('/astrolab/')[2]}:{frames[-1].name}:{frames[-1].lineno}"
            if frames
            else "-"
        )
        return f"{type(error).__name__} at {place}: " + " ".join(str(error).split())[:110]
    return ""


def run_case(family: str, number: int, *, original: Path, folder: Path) -> list[str]:
    """Copy the valid files, damage one of them, read; return the raw tracebacks."""
    _, targets, read = FAMILIES[family]
    random = np.random.default_rng([zlib.crc32(family.encode()), number])
    shutil.copytree(original, folder)
    os.environ["ASTROLAB_DATA_DIR"] = str(folder / "data")
    target = folder / targets[random.integers(len(targets))]
    target.write_bytes(damage(target.read_bytes(), name=target.name, random=random))
    acts = read(folder)
    found = [text for text in map(attempt, acts) if text]
    shutil.rmtree(folder)
    return list(dict.fromkeys(found))


def run_batch(family, numbers, *, original, folder, report):
    """In the child: run cases one by one, noting each before it begins."""
    torch.set_num_threads(1)  # a forked process cannot use the threads of its parent
    limit = psutil.Process().memory_info().vms + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, ring)
    with report.open("a") as file:
        for number in numbers:
            print(json.dumps([number, None]), file=file, flush=True)
            signal.alarm(SECONDS_A_CASE)
            cpu_s = int(time.process_time()) + SECONDS_A_CASE + 1  # for what does not come back to Python
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, resource.RLIM_INFINITY))
            found = run_case(family, number, original=original, folder=folder / str(number))
            signal.alarm(0)
            print(json.dumps([number, found]), file=file, flush=True)


def outcomes(family: str, n: int, *, folder: Path) -> dict[int, list[str]]:
    """The raw tracebacks of n cases, by number; a child that dies is replaced and its death is one."""
    original, report = folder / "original", folder / "report.jsonl"
    original.mkdir(parents=True)
    os.environ["ASTROLAB_DATA_DIR"] = str(original / "data")
    make, _, read = FAMILIES[family]
    make(original)
    next(iter(read(original)))()  # undamaged, it must be read: else no damage is ever seen
    found: dict[int, list[str]] = {}
    while len(found) < n:
        report.write_text("")
        numbers = range(len(found), n)
        options = {"original": original, "folder": folder, "report": report}
        child = multiprocessing.get_context("fork").Process(target=run_batch, args=(family, numbers), kwargs=options)
        child.start()
        child.join()
        for number, tracebacks in map(json.loads, report.read_text().splitlines()):
            found[number] = [f"the interpreter died ({child.exitcode})"] if tracebacks is None else tracebacks
        assert found, f"the child died before its first case ({child.exitcode})"
    return found


def summary(found: dict[int, list[str]]) -> str:
    """Each kind of traceback at each place once, with how often, and one case to look at."""
    kinds = Counter(text.partition(": ")[0] for texts in found.values() for text in texts)
    first = {text.partition(": ")[0]: (number, text) for number, texts in reversed(found.items()) for text in texts}
    return "\n".join(f"{n:5} × {first[kind][1]}   [case {first[kind][0]}]" for kind, n in kinds.most_common())


@pytest.mark.timeout(0 if N_CASES > 240 else 120)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_damaged_file_ends_in_a_raw_traceback(family, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))
    chosen, _, number = os.environ.get("ASTROLAB_FUZZ_CASE", "").partition(":")
    if chosen:
        if chosen != family:
            pytest.skip("another family was asked for")
        FAMILIES[family][0](original := Path(tmp_path / "original"))
        found = {int(number): run_case(family, int(number), original=original, folder=tmp_path / "case")}
    else:
        found = outcomes(family, max(N_CASES // len(FAMILIES), 1), folder=tmp_path / family)
    n_raw = sum(map(bool, found.values()))
    assert not n_raw, f"{n_raw} of {len(found)} damaged inputs ended in a raw traceback:\n{summary(found)}"
