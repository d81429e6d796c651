from dataclasses import replace
from pathlib import Path

import pytest
from astrolab.datasets.manifest_schema import FileEntry, Image, Label, Magnitudes, Manifest, Recipe, Twin

from astrolab.errors import ConfigError, ManifestError

FILES = tuple(FileEntry(path=f"{s}_{split}.h5", aliases=(f"deep/{split}{s}.h5",), split=split, size=s)
              for s in (64, 127) for split in ("train", "test"))  # fmt: skip


def survey(**changes):
    image = Image(key=("image",), bands=("g", "r"), sizes=(64, 127))
    whole = {"name": "sky", "title": "Sky", "version": "1", "kind": "images", "image": image, "files": FILES}
    return Manifest(**{**whole, **changes})


@pytest.mark.parametrize(("wanted", "on_disk"), [(None, 64), (32, 64), (64, 64), (65, 127), (127, 127)])
def test_the_smallest_size_that_is_large_enough(wanted, on_disk):
    assert survey().size_on_disk(wanted) == on_disk
    assert {f.size for f in survey().select_files(size=wanted)} == {on_disk}


def test_a_size_that_nobody_has():
    with pytest.raises(ConfigError, match="64 px, 127 px"):
        survey().size_on_disk(128)


def test_files_of_a_split():
    assert [f.path for f in survey().select_files(split="test")] == ["64_test.h5"]
    with pytest.raises(ConfigError, match="validation"):
        survey().select_files(split="validation")


def test_a_file_is_known_by_all_its_names():
    assert survey().entry_for(Path("any/where/127_test.h5")).size == 127
    assert survey().entry_for(Path("any/where/deep/train64.h5")).path == "64_train.h5"
    with pytest.raises(ManifestError, match="64_train"):
        survey().entry_for(Path("shallow/train64.h5"))


def test_hashes_carry_their_algorithm():
    assert FileEntry(path="a").known_hash is None
    assert FileEntry(path="a", md5="0" * 32).known_hash == "md5:" + "0" * 32
    assert FileEntry(path="a", md5="0" * 32, sha256="1" * 64).known_hash == "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": None}, r"needs the section \[image\]"),
        ({"kind": "catalogue"}, r"\[format\]"),
        ({"kind": "recipe", "image": None, "files": ()}, r"\[recipe\]"),
        ({"image": Image(key=("image",), bands=("g", "g"), sizes=(64, 127))}, "named twice"),
        ({"image": Image(key=("a", "b"), bands=("g", "r", "i"), sizes=(64, 127))}, "3 bands but 2 keys"),
        ({"magnitudes": Magnitudes(bands=("g", "r"), columns=("g_mag",))}, "2 bands but 1 columns"),
        ({"magnitudes": Magnitudes(bands=("u",), columns=("u_mag",))}, "not among those"),
        ({"files": (*FILES, FileEntry(path="64_test.h5"))}, "named twice"),
        ({"magnitudes": Magnitudes(bands=("g", "r"), columns=("mag", "mag"))}, "'mag' is given for two bands"),
        ({"image": Image(key=("a", "a"), bands=("g", "r"), sizes=(64, 127))}, "'a' is given for two bands"),
        ({"label": Label("z", ("z",)), "magnitudes": Magnitudes(("g",), ("z",))}, "'z' is an input too"),
        ({"files": (FileEntry(path="a.h5", size=32),)}, "size 32"),
        ({"twin": Twin(of="galaxiesml", simulator="hsc", n=10)}, "simulated = true"),
        ({"recipe": Recipe(members=("a", "b"), keep="c")}, "not one of the members"),
    ],
)
def test_contradictions_are_named(changes, words):
    with pytest.raises(ManifestError, match=words):
        survey(**changes)


def test_all_contradictions_are_named_at_once():
    with pytest.raises(ManifestError, match=r"(?s)2 problems.*needs the section.*size 64"):
        survey(image=None, label=Label(name="z", column=("z",)), files=FILES[:1])


def test_as_stored_no_column_has_a_meaning():
    stored = survey(label=Label(name="z", column=("zspec",)), columns={"a": "b"}).as_stored()
    assert stored == survey() and stored.label is None and stored.columns == {}


def test_how_many_galaxies():
    counted = tuple(replace(entry, n=10) for entry in FILES)
    assert survey().n_galaxies is None
    assert survey(files=counted).n_galaxies == 20  # train and test of 64 px; those of 127 px are the same galaxies
    assert survey(n=7).n_galaxies == 7
    assert survey(simulated=True, twin=Twin(of="galaxiesml", simulator="hsc", n=4000)).n_galaxies == 4000
