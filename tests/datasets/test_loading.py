"""A name becomes a survey: files found, twins simulated, recipes combined, real files read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import astrolab.datasets.loading
import astrolab.datasets.twins
from astrolab.datasets.loading import load_survey
from astrolab.datasets.manifest import parse_manifest
from astrolab.datasets.overlap import audit_leaks, concat
from astrolab.datasets.scaling import fit_scaling
from astrolab.datasets.splits import split
from astrolab.errors import ConfigError, DataNotFoundError, ManifestError, SchemaError, UnknownNameError

MANIFESTS = Path(__file__).parent / "manifests"
SPLITS = ("train", "validation", "test")


@pytest.fixture
def on_disk(tmp_path, write_published):
    """Three files in the published schema, 20 + 8 + 8 galaxies."""
    return {
        name: write_published(tmp_path / f"{name}.hdf5", n=n, size=16, seed=seed)
        for seed, (name, n) in enumerate(zip(SPLITS, (20, 8, 8), strict=True))
    }


def test_the_files_of_a_survey_are_one_survey(tmp_path, on_disk, images_manifest):
    survey = load_survey(images_manifest(tmp_path, sizes=[16]))
    np.testing.assert_array_equal(survey.ids, np.concatenate([on_disk[name]["object_id"] for name in SPLITS]))
    np.testing.assert_array_equal(survey.inputs["image"][[30, 3]][0], on_disk["test"]["image"][2])
    magnitudes = [on_disk["validation"][f"{band}_cmodel_mag"][0] for band in "grizy"]
    np.testing.assert_array_equal(survey.inputs["magnitudes"][[20]], np.float32([magnitudes]))
    assert [len(part) for part in split(survey)] == [20, 8, 8]
    assert survey.provenance.files == tuple(f"{name}.hdf5" for name in SPLITS)
    assert repr(survey).startswith("Tiny survey: 36 galaxies · image 5×16×16 hsc-g…hsc-y")


def test_the_digest_changes_with_a_file(tmp_path, on_disk, images_manifest, write_published):
    manifest = images_manifest(tmp_path, sizes=[16])
    before = load_survey(manifest).digest
    assert load_survey(manifest).digest == before
    images = on_disk["test"]["image"].copy()
    images[0, 0, 0, 0] += 1
    write_published(tmp_path / "test.hdf5", n=8, size=16, seed=2, image=images)
    assert load_survey(manifest).digest != before


def test_a_survey_says_how_to_load_it_again(tmp_path, on_disk, images_manifest):
    options = {"n": 10, "seed": 1, "image_size": 8, "directory": str(tmp_path), "where": "z > 0.5"}
    survey = load_survey(images_manifest(sizes=[16]), **options)
    assert survey.provenance.loading == {"name_or_path": "tiny", **options}


def test_n_chooses_a_reproducible_part(tmp_path, on_disk, images_manifest):
    manifest = images_manifest(tmp_path, sizes=[16])
    part = load_survey(manifest, n=10, seed=1)
    assert len(part) == 10
    np.testing.assert_array_equal(part.ids, load_survey(manifest, n=10, seed=1).ids)
    assert set(part.ids) < set(load_survey(manifest, n=11, seed=1).ids)
    for n in (0, 37):
        with pytest.raises(ConfigError):
            load_survey(manifest, n=n)


def test_sizes_are_cut_from_the_centre(tmp_path, on_disk, images_manifest):
    manifest = images_manifest(tmp_path, sizes=[16])
    survey = load_survey(manifest, image_size=8)
    np.testing.assert_array_equal(survey.inputs["image"][:1][0], on_disk["train"]["image"][0, :, 4:12, 4:12])
    with pytest.raises(ConfigError, match="24 px"):
        load_survey(manifest, image_size=24)


def test_files_elsewhere_and_files_nowhere(tmp_path, on_disk, images_manifest):
    manifest = images_manifest(sizes=[16])
    assert len(load_survey(manifest, directory=tmp_path)) == 36
    with pytest.raises(DataNotFoundError):
        load_survey(manifest, directory=tmp_path / "elsewhere")
    with pytest.raises(UnknownNameError):
        load_survey("galaxiesmll")


def test_where_chooses_objects_before_n_does(tmp_path, on_disk, images_manifest):
    manifest = images_manifest(tmp_path, sizes=[16], where="z < 3 and `hsc-i` > 20")
    whole = load_survey(images_manifest(tmp_path, sizes=[16]))
    bright = whole.labels["z"].to_numpy() < 3
    survey = load_survey(manifest)
    np.testing.assert_array_equal(survey.ids, whole.ids[bright & (whole.inputs["magnitudes"][:][:, 2] > 20)])
    assert survey.digest != whole.digest and "where z < 3" in repr(survey)
    far = load_survey(manifest, where="z >= 3")
    np.testing.assert_array_equal(far.ids, whole.ids[~bright])
    assert len(load_survey(manifest, n=5)) == 5
    again = load_survey(images_manifest(tmp_path, sizes=[16]), **{"where": survey.provenance.loading["where"]})
    assert again.digest == survey.digest
    with pytest.raises(ConfigError, match="36 galaxies"):
        load_survey(manifest, where="z > 5")
    with pytest.raises(UnknownNameError, match="hsc-i"):
        load_survey(manifest, where="`hsc-j` > 5")


@pytest.fixture
def without_ids(tmp_path, catalogue_manifest):
    """Write a catalogue without ids, and split it: the redshifts, which are all different, on each side."""

    def sides(table, *, name="table", path="galaxies.csv", **changes):
        table.to_csv(tmp_path / path, index=False)
        parts = split(load_survey(catalogue_manifest(tmp_path, name=name, path=path, **changes)))
        return [frozenset(part.labels["z"]) for part in parts]

    return sides


def test_without_ids_the_split_hangs_on_the_rows(without_ids):
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.uniform(15, 25, (300, 3)), columns=["mag_g", "mag_r", "redshift"]).assign(note=range(300))
    table["redshift"] /= 10
    sides = without_ids(table)
    assert [len(side) for side in sides] == [253, 27, 20]  # frozen: a change of these changes everybody's test set
    assert sides == without_ids(table, name="renamed", path="other.csv")
    assert sides == without_ids(table.sample(frac=1, random_state=0))
    half = table.iloc[150:]
    assert without_ids(half) == [side & frozenset(half["redshift"]) for side in sides]
    doubled = without_ids(pd.concat([table, table.assign(note=-1)]))
    assert doubled == sides, "rows that are the same stay together"
    shares = [len(side) / 300 for side in without_ids(table, split=[0.5, 0.2, 0.3])]
    assert shares == pytest.approx([0.5, 0.2, 0.3], abs=0.06)


def test_images_without_ids_are_split_by_file_and_row(tmp_path, on_disk, images_manifest):
    options = {"sizes": [16], "id": None, "magnitudes": None, "files": ["train.hdf5"], "split": [0.4, 0.3, 0.3]}
    parts = [
        split(load_survey(images_manifest(tmp_path, name=name, **options)), honour_published=False) for name in "ab"
    ]
    for one, other in zip(*parts, strict=True):
        assert list(one.labels["z"]) == list(other.labels["z"])


def test_a_split_for_some_files_only_is_refused(tmp_path, on_disk, images_manifest):
    files = [{"path": "train.hdf5", "split": "train"}, {"path": "test.hdf5"}]
    with pytest.raises(ManifestError, match="to every entry"):
        load_survey(images_manifest(tmp_path, files=files, sizes=[16]))


@pytest.fixture
def twins(tmp_path, monkeypatch, write_published):
    """Two twins of 40 and 20 galaxies that have 16 in common, and their union; simulating is writing files."""
    manifests, calls = {}, []

    def simulate(manifest, *, n, seed, directory=None, image_size=None):
        assert image_size == 8
        calls.append((manifest.name, n, seed))
        folder = tmp_path / manifest.name
        folder.mkdir(exist_ok=True)
        first = 0 if manifest.name == "twin-faint" else -(manifest.twin.n // 5)
        counts = [n // 2, n // 4, n - n // 2 - n // 4]
        starts = np.cumsum([first, *counts])
        for name, start, count in zip(SPLITS, starts, counts, strict=False):
            ids = {"object_id": 10**15 + np.arange(start, start + count)}
            write_published(folder / f"{name}.hdf5", n=count, size=8, seed=len(calls), **ids)
        return [folder / f"{name}.hdf5" for name in SPLITS]

    monkeypatch.setattr(astrolab.datasets.twins, "simulate_survey", simulate, raising=False)
    base = {"version": "1", "simulated": True}
    shared = {
        "label": [{"name": "z", "column": ["specz_redshift"]}],
        "id": {"column": "object_id", "scheme": "twin"},
        "input": {"image": {"key": "image", "channels": list("grizy"), "sizes": [8]}},
        "files": [{"path": f"{name}.hdf5", "split": name} for name in SPLITS],
    }
    for name, n in [("twin-faint", 40), ("twin-bright", 20)]:
        twin = {"twin": {"of": "x", "simulator": "s", "n": n, "knobs": {"seeing_arcsec": 0.6}}}
        manifests[name] = parse_manifest(base | shared | twin | {"name": name, "title": name}, where=name)
    recipe = {"recipe": {"members": ["twin-faint", "twin-bright"], "keep": "twin-bright"}}
    combo = base | recipe | {"name": "twin-combo", "title": "Combo twin"}
    manifests["twin-combo"] = parse_manifest(combo, where="combo")
    monkeypatch.setattr(astrolab.datasets.loading, "load_manifest", lambda m: manifests[m] if isinstance(m, str) else m)
    return calls


def test_a_twin_is_as_large_as_its_knob_says(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "data"))
    manifest = tmp_path / "large.toml"
    manifest.write_text(
        'name = "large"\ntitle = "Large twin"\nversion = "1"\nsimulated = true\n'
        '[id]\ncolumn = "object_id"\nscheme = "large"\n'
        '[twin]\nof = "galaxiesml"\nsimulator = "hsc_grizy"\nn = 12\n'
        '[twin.knobs]\nselection = "spectroscopic"\nimage_size = 127\n'
    )
    assert load_survey(manifest).inputs["image"].shape == (12, 5, 127, 127)
    assert load_survey(manifest, image_size=32).inputs["image"].shape == (12, 5, 32, 32)


def test_labels_outside_the_range_of_the_manifest_are_refused(tmp_path, write_published, images_manifest):
    z = np.linspace(0.1, 0.9, 20)
    z[3] = -99
    write_published(tmp_path / "train.hdf5", n=20, size=16, specz_redshift=z)
    label = {"name": "z", "column": "specz_redshift"}
    ranged = [label | {"possible": [0, 4]}]
    manifest = images_manifest(tmp_path, files=["train.hdf5"], sizes=[16], label=ranged)
    with pytest.raises(SchemaError, match=r"1 of 20 galaxies outside what is possible, \[0, 4\]: -99 \(1 times"):
        load_survey(manifest)
    for other in ([label | {"name": "depth"}], [label | {"missing": [-99]}]):
        survey = load_survey(images_manifest(tmp_path, files=["train.hdf5"], sizes=[16], label=other))
        assert len(survey) == 20
    assert survey.labels["z"].isna().tolist() == [row == 3 for row in range(20)]


def test_a_twin_is_simulated_and_read_by_the_same_reader(twins):
    survey = load_survey("twin-faint", n=24, seed=5)
    assert twins == [("twin-faint", 24, 5)]
    assert len(survey) == 24 and survey.provenance.simulated
    assert survey.provenance.knobs == {"seeing_arcsec": 0.6, "n": 24, "seed": 5}
    assert repr(survey).startswith("twin-faint (simulated): 24 galaxies")
    load_survey("twin-faint")
    assert twins[-1] == ("twin-faint", 40, 0)


def test_a_recipe_combines_its_members(twins):
    combo = load_survey("twin-combo", n=60)
    assert twins == [("twin-faint", 40, 0), ("twin-bright", 20, 0)]
    assert len(combo) == 40 + 20 - 16
    assert combo.name == "twin-combo" and combo.provenance.title == "Combo twin" and combo.provenance.simulated
    assert combo.ids[combo.column("member") == "twin-bright"].tolist() == list(range(10**15 - 4, 10**15 + 16))
    load_survey("twin-combo", n=30)
    assert twins[2:] == [("twin-faint", 20, 0), ("twin-bright", 10, 0)]


def test_the_common_size_of_different_files(tmp_path, write_published, images_manifest):
    write_published(tmp_path / "train.hdf5", size=16)
    write_published(tmp_path / "test.hdf5", size=20, seed=1)
    manifest = images_manifest(tmp_path, files=["train.hdf5", "test.hdf5"], sizes=[16, 18])
    assert load_survey(manifest).inputs["image"].shape == (12, 5, 16, 16)
    with pytest.raises(SchemaError, match="at most 16"):
        load_survey(manifest, image_size=18)


def test_real_sdss_and_boss_catalogues(shared_data):
    """Counts, depths and redshifts as their sources state them; no galaxy of one is in the other."""
    folder = shared_data / "photoz_sdss_ugriz"
    mgs = load_survey(MANIFESTS / "sdss_mgs.toml", directory=folder)
    boss = load_survey(MANIFESTS / "boss_dr10.toml", directory=folder)
    assert (len(mgs), len(boss)) == (10_000, 6_000)
    assert (
        mgs.specs["magnitudes"].channels
        == boss.specs["magnitudes"].channels
        == tuple(f"sdss-{band}" for band in "ugriz")
    )
    first = np.float32([19.655096, 18.149183, 17.298376, 16.878389, 16.562674])
    np.testing.assert_array_equal(mgs.inputs["magnitudes"][:1][0], first)
    assert mgs.labels["z"][0] == 0.083125 and boss.labels["z"][5999] < 1
    r_mgs, r_boss = (np.median(survey.inputs["magnitudes"][:][:, 2]) for survey in (mgs, boss))
    assert r_mgs < 17.77 < r_boss  # the limit of the main sample (Strauss et al. 2002)
    parts, moved = split(mgs), split(boss)
    assert len(parts.test) == 5_000 and 400 < len(parts.validation) < 700
    union = concat([parts.test, moved.test], name="union")
    tests = {"mgs": parts.test, "boss": moved.test, "union": union}
    audit_leaks(train={"mgs": parts.train, "boss": moved.train}, test=tests).require_clean()


@pytest.mark.parametrize(("name", "size"), [("hsc_scenes", 48), ("hsc_cutouts", 50)])
def test_real_hsc_pixels(shared_data, name, size):
    survey = load_survey(MANIFESTS / f"{name}.toml", directory=shared_data / "hsc_grizy_scenes")
    images = survey.inputs["image"][:]
    assert images.shape == (2, 5, size, size) and images.dtype.kind == "f"
    assert survey.labels.shape == (2, 0)
    assert np.isfinite(images).all()
    scaled = fit_scaling(survey).apply({"image": images})["image"]
    assert 0.8 < scaled.max() < 1.5 and -1 < scaled.min()
