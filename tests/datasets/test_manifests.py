import tomllib

import pytest
from astrolab.datasets.manifests import (
    list_manifests,
    load_manifest,
    parse_manifest,
    register,
    shipped_manifests,
)

from astrolab.errors import DataNotFoundError, ManifestError, UnknownNameError

GOOD = """
name = "mine"
title = "My own survey"
version = "1"
kind = "catalogue"
[label]
name = "z"
column = "zspec"
[magnitudes]
bands = ["sdss-g", "sdss-r"]
columns = ["g", "r"]
missing = [-99]
[format]
format = "csv"
[[files]]
path = "mine.csv"
"""


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.parametrize("name", shipped_manifests())
def test_shipped_manifests_are_right(name):
    manifest = load_manifest(name)
    assert manifest.name == name and manifest.folder is None
    assert manifest.description and manifest.licence
    assert manifest.simulated or manifest.citation.bibtex
    if manifest.recipe:
        assert set(manifest.recipe.members) <= set(shipped_manifests())
    else:
        assert manifest.bands == ("hsc-g", "hsc-r", "hsc-i", "hsc-z", "hsc-y")
        assert {f.split for f in manifest.files} == {"train", "validation", "test"}


def test_published_numbers_of_galaxiesml():
    manifest = load_manifest("galaxiesml")
    assert sum(f.n for f in manifest.select_files(size=64)) == 286_401  # Do et al. 2024, abstract
    assert manifest.label.column == ("specz_redshift",)
    assert "5x64x64_training.hdf5" in manifest.select_files(split="train")[0].names
    assert all(f.urls[0] == f"https://zenodo.org/records/11117528/files/{f.path}" for f in manifest.files)


def test_a_survey_by_its_path(tmp_path):
    (tmp_path / "my.toml").write_text(GOOD)
    manifest = load_manifest(tmp_path / "my.toml")
    assert manifest == load_manifest(str(tmp_path / "my.toml"))
    assert manifest.folder == tmp_path
    assert manifest.label.column == ("zspec",) and manifest.magnitudes.missing == (-99.0,)
    assert load_manifest(manifest) is manifest


def test_a_registered_survey_goes_by_its_name(tmp_path):
    (tmp_path / 'a "quoted" folder').mkdir()
    path = tmp_path / 'a "quoted" folder' / "my.toml"
    path.write_text(GOOD)
    register(load_manifest(path), text=GOOD)
    assert "mine" in list_manifests() and "mine" not in shipped_manifests()
    assert load_manifest("mine") == load_manifest(path)


def test_an_unknown_name_brings_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'galaxiesml'"):
        load_manifest("galaxyml")


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"absent\.toml"):
        load_manifest(tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"name = ", b"name = '\xff'"])
def test_what_is_not_toml(tmp_path, content):
    (tmp_path / "my.toml").write_bytes(content)
    with pytest.raises(ManifestError, match="not TOML"):
        load_manifest(tmp_path / "my.toml")


def test_every_problem_is_named_at_once():
    table = tomllib.loads(GOOD)
    table["colour"] = "blue"
    table["version"] = 2
    del table["title"]
    table["label"] = {"nmae": "z", "column": 3}
    table["files"] = [{"path": "../mine.csv"}, {"path": "b.csv", "sha256": "abc"}]
    with pytest.raises(ManifestError) as caught:
        parse_manifest(table, where="my.toml")
    text = str(caught.value)
    for words in (
        "8 problems",
        "colour: unknown key; the keys here are name, title",
        "title: missing",
        "version: expected letters",
        "[label] nmae: unknown key; the keys here are name, column, range",
        "[label] name: missing",
        "[[files]] path: expected a path inside",
        "[[files]] sha256: expected 64 hexadecimal digits, got 'abc'",
    ):
        assert words in text


def test_a_catalogue_needs_something_for_a_network_to_see():
    table = tomllib.loads(GOOD)
    del table["magnitudes"]
    with pytest.raises(ManifestError, match=r"needs the section \[magnitudes\]"):
        parse_manifest(table, where="my.toml")


@pytest.mark.parametrize("change", [{"label": "z"}, {"files": {"path": "a"}}, {"files": ["a"]}])
def test_a_value_where_a_section_should_be(change):
    with pytest.raises(ManifestError, match=r"expected \["):
        parse_manifest({**tomllib.loads(GOOD), **change}, where="my.toml")


TWIN = """
name = "my-twin"
title = "A twin of my own"
version = "1"
simulated = true
[twin]
of = "galaxiesml"
simulator = "hsc_grizy"
n = 100
[label]
name = "z"
column = "truth"
"""


def test_a_twin_is_laid_out_as_its_original(tmp_path):
    (tmp_path / "twin.toml").write_text(TWIN)
    twin, original = load_manifest(tmp_path / "twin.toml"), load_manifest("galaxiesml")
    assert twin.image == original.image and twin.sky == original.sky
    assert [f.path for f in twin.files] == [f.path for f in original.files]
    assert not any(f.urls or f.n or f.about_gb for f in twin.files)
    assert twin.label.column == ("truth",)
