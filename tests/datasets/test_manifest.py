"""A manifest says what it means: by name or path, with every problem named at once, as its README explains."""

import re
import tomllib
import typing
from pathlib import Path

import pytest
from own_surveys import FILES as ONE_FILE
from own_surveys import TABLE
from pydantic import BaseModel

from astrolab.datasets.manifest import (
    Format,
    Manifest,
    data_dir,
    list_manifests,
    load_manifest,
    parse_manifest,
    register,
    registry_dir,
    shipped_manifests,
)
from astrolab.errors import ConfigError, DataNotFoundError, ManifestError, UnknownNameError
from astrolab.parameters import shipped_folder
from astrolab.tasks import REDSHIFT

GOOD = TABLE + ONE_FILE
pytestmark = pytest.mark.usefixtures("data_folder")


def changed(**changes):
    """The good manifest with other sections; None takes one out."""
    return {key: value for key, value in (tomllib.loads(GOOD) | changes).items() if value is not None}


def problems_of(table):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(table, where="my.toml")
    return str(caught.value)


# ---- by name, by path --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_manifests())
def test_shipped_manifests_are_right(name):
    manifest = load_manifest(name)
    assert manifest.name == name and manifest.folder is None
    assert manifest.description and manifest.licence
    assert manifest.simulated or manifest.citation.bibtex
    if manifest.recipe:
        assert set(manifest.recipe.members) <= set(shipped_manifests())
        return
    assert {f.split for f in manifest.files} == {"train", "validation", "test"}
    if manifest.objects == "stars":
        assert manifest.inputs["spectrum"].medium == "vacuum" and manifest.inputs["spectrum"].velocity
        assert manifest.task.name == "abundances"
    else:
        assert manifest.inputs["image"].channels == ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")
        assert manifest.task.name == "redshift" and manifest.task.quantity("z").scored == (0.3, 1.5)


def test_published_numbers_of_galaxiesml():
    manifest = load_manifest("galaxiesml")
    assert sum(f.n for f in manifest.select_files(size=64)) == 286_401  # Do et al. 2024, abstract
    assert manifest.labels[0].column == ("specz_redshift",)
    assert "5x64x64_training.hdf5" in manifest.select_files(split="train")[0].names
    assert all(f.urls[0] == f"https://zenodo.org/records/11117528/files/{f.path}" for f in manifest.files)


def test_a_survey_by_its_path(tmp_path):
    (tmp_path / "my.toml").write_text(GOOD)
    manifest = load_manifest(tmp_path / "my.toml")
    assert manifest == load_manifest(str(tmp_path / "my.toml"))
    assert manifest.folder == tmp_path
    assert manifest.labels[0].column == ("zspec",) and manifest.inputs["magnitudes"].columns == ("g", "r", "i")
    assert load_manifest(manifest) is manifest


def test_a_registered_survey_goes_by_its_name(tmp_path):
    (tmp_path / 'a "quoted" folder').mkdir()
    path = tmp_path / 'a "quoted" folder' / "my.toml"
    path.write_text(GOOD)
    register(load_manifest(path), text=GOOD)
    assert "mine" in list_manifests() and "mine" not in shipped_manifests()
    assert load_manifest("mine") == load_manifest(path)
    kept = registry_dir() / "mine.toml"
    kept.write_text(kept.read_text().replace("folder =", "# folder ="))
    with pytest.raises(ManifestError, match="import it again"):
        load_manifest("mine")


def test_names_and_paths_that_are_not_there(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'galaxiesml'"):
        load_manifest("galaxyml")
    with pytest.raises(DataNotFoundError, match=r"absent\.toml"):
        load_manifest(tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"name = ", b"name = '\xff'"])
def test_what_is_not_toml(tmp_path, content):
    (tmp_path / "my.toml").write_bytes(content)
    with pytest.raises(ManifestError, match="not TOML"):
        load_manifest(tmp_path / "my.toml")


def test_the_data_folder_is_what_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))
    assert data_dir() == tmp_path and registry_dir() == tmp_path / "manifests"
    monkeypatch.setenv("ASTROLAB_DATA_DIR", "~/sky")
    assert data_dir() == Path.home() / "sky"
    monkeypatch.setenv("ASTROLAB_DATA_DIR", "")
    assert data_dir().name == "astrolab" and data_dir().is_absolute()


# ---- what its sections mean --------------------------------------------------------------------------------------


def test_a_known_label_brings_its_quantity_and_the_manifest_changes_it():
    assert parse_manifest(changed(), where="x").task == REDSHIFT
    label = {"name": "z", "column": "zspec", "possible": [0, 1.5], "scored": [0, 0.3]}
    task = parse_manifest(changed(label=[label]), where="x").task
    assert task.name == "redshift" and task.loss == REDSHIFT.loss
    assert task.labels[0].possible == (0, 1.5) and task.labels[0].scored == (0, 0.3)
    assert task.labels[0].error == "per_one_plus" and task.labels[0].words == "redshift"
    several = [{"name": name, "column": name, "unit": "km/s"} for name in ("vr", "sigma")]
    task = parse_manifest(changed(label=several), where="x").task
    assert task.label_names == ("vr", "sigma") and task.quantity("vr").axis == "vr (km/s)"
    assert parse_manifest(changed(label=None), where="x").task.labels == ()


def test_what_an_input_is_made_of():
    inputs = {
        "image": {"key": ["a", "b"], "channels": ["u", "g"], "unit": "nJy", "scale_arcsec": 0.2},
        "spectrum": {"key": "flux", "grid": [4000.0, 5000.0], "companions": {"ivar": "iv"}}
        | {"medium": "air", "velocity": "rv", "resolution": [[3000, 1300], [6000, 1900]]},
        "embedding": {"key": "e", "axes": ["feature"]},
        "magnitudes": {"channels": ["u"], "columns": ["f_u"], "unit": "nJy"},
        "colours": {"channels": ["u-g"], "columns": ["u_g"]},
    }
    specs = {name: one.spec for name, one in parse_manifest(changed(input=inputs), where="x").inputs.items()}
    assert specs["image"].axes == ("band", "y", "x") and specs["image"].scale_arcsec == 0.2
    spectrum = specs["spectrum"]
    assert spectrum.axes == ("pixel",) and spectrum.companions == ("ivar",)
    assert (spectrum.medium, spectrum.velocity, spectrum.resolution) == ("air", "rv", (1500.0, 1700.0))
    assert specs["embedding"].axes == ("feature",) and specs["embedding"].may_miss and not specs["spectrum"].may_miss
    assert specs["magnitudes"].unit == "AB mag" and specs["colours"].unit == ""


def test_a_twin_is_laid_out_as_its_original(tmp_path):
    (tmp_path / "twin.toml").write_text(
        'name = "my-twin"\ntitle = "A twin of my own"\nversion = "1"\nsimulated = true\n'
        '[twin]\nof = "galaxiesml"\nsimulator = "hsc_grizy"\nn = 100\n[[label]]\nname = "z"\ncolumn = "truth"\n'
    )
    twin, original = load_manifest(tmp_path / "twin.toml"), load_manifest("galaxiesml")
    assert twin.inputs == original.inputs and twin.sky == original.sky
    assert [f.path for f in twin.files] == [f.path for f in original.files]
    assert not any(f.urls or f.n or f.about_gb for f in twin.files)
    assert twin.labels[0].column == ("truth",)


FILES = [
    {"path": f"{s}_{split}.h5", "aliases": [f"deep/{split}{s}.h5"], "split": split, "size": s}
    for s in (64, 127)
    for split in ("train", "test")
]
IMAGES = {"image": {"key": "image", "channels": ["g", "r"], "sizes": [64, 127]}}


def sky(**changes):
    return parse_manifest(changed(**{"input": IMAGES, "files": FILES, "format": None} | changes), where="sky")


@pytest.mark.parametrize(("wanted", "on_disk"), [(None, 64), (32, 64), (64, 64), (65, 127), (127, 127)])
def test_the_smallest_size_that_is_large_enough(wanted, on_disk):
    assert sky().size_on_disk(wanted) == on_disk
    assert {f.size for f in sky().select_files(size=wanted)} == {on_disk}


def test_sizes_splits_and_files_that_are_not_there():
    with pytest.raises(ConfigError, match="64 px, 127 px"):
        sky().size_on_disk(128)
    assert [f.path for f in sky().select_files(split="test")] == ["64_test.h5"]
    with pytest.raises(ConfigError, match="validation"):
        sky().select_files(split="validation")


def test_a_file_is_known_by_all_its_names():
    assert sky().entry_for(Path("any/where/127_test.h5")).size == 127
    assert sky().entry_for(Path("any/where/deep/train64.h5")).path == "64_train.h5"
    with pytest.raises(ManifestError, match="64_train"):
        sky().entry_for(Path("shallow/train64.h5"))


def test_hashes_carry_their_algorithm():
    hashes = [{}, {"md5": "0" * 32}, {"md5": "0" * 32, "sha256": "A" * 64}]
    files = sky(files=[{"path": f"{n}.h5"} | one for n, one in enumerate(hashes)]).files
    assert [f.known_hash for f in files] == [None, "md5:" + "0" * 32, "sha256:" + "a" * 64]


def test_how_many_objects():
    counted = [entry | {"n": 10} for entry in FILES]
    assert sky().n_objects is None
    assert sky(files=counted).n_objects == 20  # train and test of 64 px; those of 127 px are the same galaxies
    assert sky(n=7).n_objects == 7
    assert sky(simulated=True, twin={"of": "x", "simulator": "hsc", "n": 4000}).n_objects == 4000


# ---- what is wrong with it ---------------------------------------------------------------------------------------


def test_every_problem_is_named_at_once():
    table = changed(colour="blue", version=2, title=None)
    table["label"] = [{"nmae": "z", "column": 3}]
    table["files"] = [{"path": "../mine.csv"}, {"path": "b.csv", "sha256": "abc"}]
    text = problems_of(table)
    for words in (
        "unknown name 'colour'; did you mean 'columns'? the names here are name, title",
        "title: field required",
        "version: input should be a valid string (received 2)",
        "[[label]] number 1: unknown name 'nmae'; did you mean 'name'?",
        "[[files]] number 1 path: must be a path inside",
        "[[files]] number 2 sha256: string should match",
    ):
        assert words in text


@pytest.mark.parametrize("path", ["a.h5", "deep/er/a.h5", "a..b.h5", ".hidden"])
def test_paths_that_stay_inside(path):
    assert parse_manifest(changed(files=[{"path": path}]), where="x").files[0].path == path


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a.h5", "a/../../b.h5", "..", r"..\a.h5", r"C:\a.h5", "C:a.h5", r"\\host\a", "", ".", 3]
)
def test_paths_that_leave_are_refused(path):
    assert "[[files]] number 1 path" in problems_of(changed(files=[{"path": path}]))


@pytest.mark.parametrize(
    ("section", "key", "values"),
    [
        ("files", "n", [-1, 1.0, True, "1"]),
        ("files", "urls", [["ftp://a"], ["file:///etc/passwd"], "https://a.org"]),
        ("label", "possible", [[4, 0], [0], [0, float("nan")], "0-4", ["0", "4"]]),
        ("label", "column", [[], 3, [3]]),
        ("label", "error", ["relative"]),
        ("input", "missing", [["-99"], 99, [True]]),
        ("input", "scale_arcsec", [0, -1.0, "0.2", float("inf")]),
        ("format", "format", ["xlsx", 1, ["csv"]]),
        (None, "name", ["my survey", "a/b", "..", ""]),
        (None, "columns", [{"a": 1}, ["a"]]),
        (None, "label", ["z", ["z"]]),
        (None, "files", [{"path": "a"}, ["a"]]),
        (None, "task", ["photometry"]),
    ],
)
def test_values_that_a_key_cannot_hold(section, key, values):
    for value in values:
        table = changed()
        if section is None:
            table[key] = value
        else:
            home = table[section]["magnitudes"] if section == "input" else table[section]
            (home[0] if isinstance(home, list) else home)[key] = value
        assert key in problems_of(table)


MAGNITUDES = {"channels": ["g", "r"], "columns": ["g", "r"]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": None}, "a network must have something to see"),
        ({"files": None}, r"needs \[\[files\]\]"),
        ({"format": None}, r"\[format\]"),
        ({"input": {"image": IMAGES["image"] | {"columns": ["a", "b"]}}}, "either key"),
        ({"input": {"image": {"key": "image"}}}, "images need channels"),
        ({"input": {"image": {"key": "image", "channels": ["g", "g"]}}}, "named twice"),
        ({"input": {"image": {"key": ["a", "b"], "channels": ["g", "r", "i"]}}}, "3 channels but 2 keys"),
        ({"input": {"image": {"key": ["a", "a"], "channels": ["g", "r"]}}}, "one column or key for several"),
        ({"input": {"image": IMAGES["image"] | {"missing": [0]}}}, "missing values are those of columns"),
        ({"input": {"magnitudes": MAGNITUDES | {"columns": ["g"]}}}, "2 channels but 1 columns"),
        ({"input": {"magnitudes": MAGNITUDES | {"columns": ["g", "zspec"]}}}, "'zspec' is an input too"),
        ({"files": [{"path": "a.csv"}, {"path": "b.csv", "aliases": ["a.csv"]}]}, "'a.csv' is named 2 times"),
        ({"files": [{"path": "a.h5", "size": 32}]}, "size 32"),
        ({"label": [{"name": "z", "column": "a"}, {"name": "z", "column": "b"}]}, "named twice"),
        ({"task": "redshift", "label": [{"name": "feh", "column": "a"}]}, "has the labels z"),
        ({"twin": {"of": "galaxiesml", "simulator": "hsc", "n": 10}}, "simulated = true"),
        ({"recipe": {"members": ["a", "b"], "keep": "c"}}, "not one of the members"),
        ({"recipe": {"members": ["mine", "b"], "keep": "b"}}, "no member of itself"),
    ],
)
def test_contradictions_are_named(changes, words):
    assert re.search(words, problems_of(changed(**changes)))


# ---- the README --------------------------------------------------------------------------------------------------

README = (shipped_folder("data_manifests") / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: tomllib.loads(text)["name"])
def test_the_examples_of_the_readme_are_right(example):
    assert parse_manifest(tomllib.loads(example), where="README").files


def test_the_readme_explains_every_key():
    table = README.split("## Every key")[1]
    for name, key in Manifest.model_fields.items():
        section = next((one for one in parts_of(key.annotation) if isinstance(one, type)), None)
        names = [one.alias or other for other, one in section.model_fields.items()] if section else []
        missing = [one for one in names or [key.alias or name] if not re.search(rf"`{one}`|\[{one}[].]", table)]
        assert not [one for one in missing if one != "folder"], f"{name}: {missing}"
    assert not [word for word in typing.get_args(Format.model_fields["format"].annotation) if f"`{word}`" not in table]


def parts_of(annotation):
    """Sections that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from parts_of(part)
