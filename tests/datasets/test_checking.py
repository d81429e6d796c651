"""What is visibly wrong with values is noticed by import and by load alike, with counts."""

import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
from astrolab.datasets.importing import import_survey
from astrolab.datasets.manifests import load_manifest
from astrolab.datasets.verify import verify_survey

from astrolab.datasets.checking import repeated_far_out
from astrolab.datasets.loading import load_survey
from astrolab.errors import AstrolabError, AstrolabWarning, ManifestError, SchemaError

N = 400
TABLE = """
name = "mine"
title = "Mine"
version = "1"
kind = "catalogue"
[label]
name = "z"
column = "zspec"
[id]
column = "id"
scheme = "mine"
[sky]
ra = "ra"
dec = "dec"
[magnitudes]
bands = ["g", "r", "i"]
columns = ["g", "r", "i"]
[format]
format = "csv"
"""
FILES = '[[files]]\npath = "mine.csv"\n'
STAMPS = """
name = "stamps"
title = "Stamps"
version = "1"
kind = "images"
[label]
name = "z"
column = "z"
[image]
key = "image"
bands = ["g", "r", "i"]
[[files]]
path = "stamps.h5"
"""


def galaxies(n=N, *, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.05, 1.2, n)
    magnitudes = 20 + z[:, None] * [2, 1, 0.3] + rng.normal(0, 0.05, (n, 3))
    places = {"ra": rng.uniform(150, 151, n), "dec": rng.uniform(1, 2, n)}
    return pd.DataFrame({"id": np.arange(n), "zspec": z, **places, **dict(zip("gri", magnitudes.T, strict=True))})


@pytest.fixture
def said(tmp_path, monkeypatch):
    """What import and load say of a table, and whether each refused it."""
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "data"))

    def say(table=None, *, text=TABLE + FILES):
        if table is not None:
            table.to_csv(tmp_path / "mine.csv", index=False)
        (tmp_path / "mine.toml").write_text(text)
        return [outcome(call, tmp_path / "mine.toml") for call in (import_survey, load_survey)]

    return say


def outcome(call, path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(path)
        except (ManifestError, SchemaError) as error:
            return "refused", str(error)
    return "accepted", "\n".join(str(w.message) for w in caught if w.category is AstrolabWarning)


def changed(column, value, *, every=33):
    table = galaxies()
    table[column] = table[column].astype(float)
    table.loc[::every, column] = value
    return table


def test_a_sound_table_is_accepted_without_a_word(said):
    assert said(galaxies()) == [("accepted", ""), ("accepted", "")]


@pytest.mark.parametrize("code", [-9.999995e8, 1e30, -666, 87.2, 99.99, 1e20])
def test_magnitudes_that_no_magnitude_can_be_are_named_and_not_measured(said, tmp_path, code):
    imported, loaded = said(changed("r", code))
    assert imported[0] == "refused" and loaded[0] == "accepted"
    assert all("[magnitudes] r (column 'r'): looks like 'not measured'" in text for _, text in (imported, loaded))
    assert all("(13 times)" in text and "[]: " in text for _, text in (imported, loaded))
    with pytest.warns(AstrolabWarning):
        magnitudes = load_survey(tmp_path / "mine.toml").inputs["magnitudes"][:]
    np.testing.assert_array_equal(np.argwhere(np.isnan(magnitudes)), [[row, 1] for row in range(0, N, 33)])
    shown = imported[1].split("[]: ")[1].split(" (")[0]  # what is named is what must be declared
    declared = TABLE.replace("[format]", f"missing = [{float(shown)!r}]\n[format]") + FILES
    assert said(text=declared) == [("accepted", ""), ("accepted", "")]


@pytest.mark.parametrize("code", [-1.0, 0.0, -9.99, 35.0])
def test_magnitudes_that_repeat_far_out_are_suspected_and_kept(said, tmp_path, code):
    (imported, text), (loaded, warned) = said(changed("i", code))
    assert (imported, loaded) == ("refused", "accepted") and f"{code:g} (13 times)" in text
    assert f"{code:g} (13 times)" in warned
    with pytest.warns(AstrolabWarning):
        assert np.isfinite(load_survey(tmp_path / "mine.toml").inputs["magnitudes"][:]).all()


def test_codes_do_not_hide_each_other_and_outliers_are_no_codes():
    bulk = np.random.default_rng(1).normal(22, 1, 2000)
    codes = np.repeat([-99.0, -1.0, 0.0, 99.9], [700, 500, 400, 300])
    assert repeated_far_out(np.concatenate([bulk, codes])).tolist() == [-99.0, -1.0, 0.0, 99.9]
    assert not len(repeated_far_out(np.concatenate([bulk, [-50.0, 0.0, 60.0]])))  # each once
    assert not len(repeated_far_out(np.round(bulk, 1)))  # coarse, but within
    assert repeated_far_out(np.concatenate([np.round(bulk, 1), [0.0] * 9])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("label", "counts"),
    [
        (lambda z: np.where(np.arange(N) % 33 == 0, -9.0, z), "13 of 400 galaxies outside [-0.01, 20]"),
        (lambda z: z * 299_792.458, "400 of 400 galaxies outside [-0.01, 20]"),
        (lambda z: np.where(np.arange(N) == 7, 1e20, z), "1 of 400 galaxies outside [-0.01, 20]"),
    ],
)
def test_redshifts_that_cannot_be_are_refused(said, label, counts):
    table = galaxies()
    table["zspec"] = label(table["zspec"])
    for verdict, text in said(table):
        assert verdict == "refused" and counts in text


def test_impossible_labels_of_validation_and_test_files_are_refused_too(said, tmp_path):
    files = "".join(f'[[files]]\npath = "{s}.csv"\nsplit = "{s}"\n' for s in ("train", "validation", "test"))
    for number, split in enumerate(("train", "validation", "test")):
        table = galaxies(30, seed=number)
        table["id"] += 1000 * number
        table.loc[3, "zspec"] = 0.5 if split == "train" else -9.0
        table.to_csv(tmp_path / f"{split}.csv", index=False)
    for verdict, text in said(text=TABLE + files):
        assert (
            verdict == "refused" and "validation.csv: [label] z: 1 of 30" in text and "test.csv: [label] z: 1" in text
        )


def test_labels_that_are_only_suspected(said):
    (verdict, text), (loaded, warned) = said(changed("zspec", 9.99))
    assert (verdict, loaded) == ("refused", "accepted") and "9.99 (13 times)" in text and "9.99 (13 times)" in warned
    ranged = TABLE.replace('column = "zspec"', 'column = "zspec"\nrange = [0, 10]') + FILES
    assert said(text=ranged) == [("accepted", ""), ("accepted", "")]
    table = galaxies().assign(zspec=lambda t: np.log1p(t.zspec)).rename(columns={"zspec": "log1pz"})
    for verdict, text in said(table, text=TABLE.replace("zspec", "log1pz") + FILES):
        assert verdict == "accepted" and "looks like log(1 + z)" in text


def test_a_column_that_is_label_and_input_or_two_bands(said):
    for last, words in (("r", "'r' is given for two bands"), ("zspec", "'zspec' is an input too")):
        changed_text = TABLE.replace('columns = ["g", "r", "i"]', f'columns = ["g", "r", "{last}"]') + FILES
        for verdict, text in said(galaxies(), text=changed_text):
            assert verdict == "refused" and words in text
    (verdict, text), (loaded, warned) = said(galaxies().assign(i=lambda t: t.r))  # under another name
    assert (verdict, loaded) == ("refused", "accepted")
    assert all("i (column 'i'): holds what r holds" in words for words in (text, warned))
    for verdict, text in said(galaxies().assign(i=lambda t: t.zspec)):
        assert verdict == "refused" and "holds the label" in text


def test_ids_twice_and_rows_twice(said):
    (verdict, text), (loaded, warned) = said(pd.concat([galaxies(), galaxies().head(40)]))
    assert (verdict, loaded) == ("refused", "accepted")
    assert all("40 ids occur more than once" in words for words in (text, warned))
    doubled = pd.concat([galaxies(), galaxies().head(40).assign(id=range(5000, 5040))])
    for verdict, text in said(doubled):
        assert verdict == "accepted" and "40 of 440 rows have the magnitudes and the label of another" in text


def test_ids_in_two_files_are_said_by_load_too(said, tmp_path):
    galaxies().head(7).to_csv(tmp_path / "more.csv", index=False)
    (verdict, text), (loaded, warned) = said(galaxies(), text=TABLE + FILES + '[[files]]\npath = "more.csv"\n')
    assert (verdict, loaded) == ("refused", "accepted")
    assert all("7 ids are both in mine.csv and in more.csv" in words for words in (text, warned))


@pytest.mark.parametrize(
    ("places", "verdict", "words"),
    [
        (lambda t: {"ra": t.ra.where(t.index > 2, 400.0)}, "refused", "3 values outside [0, 360] deg: 400 (3 times)"),
        (lambda t: {"dec": t.dec.where(t.index > 2, -999.0)}, "refused", "3 values outside [-90, 90] deg"),
        (lambda t: {"ra": t.index * 24 / N, "dec": t.index * 170 / N - 85}, "accepted", "hours, not degrees?"),
        (lambda t: {"ra": t.index * 6.28 / N, "dec": t.index * 3 / N - 1.5}, "accepted", "radians, not degrees?"),
    ],
)
def test_positions_outside_the_sphere_in_hours_or_in_radians(said, places, verdict, words):
    table = galaxies()
    for got, text in said(table.assign(**places(table))):
        assert got == verdict and words in text


@pytest.fixture
def stamps(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    images = (rng.normal(0, 1, (100, 3, 8, 8)) + rng.uniform(5, 50, (100, 3, 1, 1))).astype("f4")
    (tmp_path / "stamps.toml").write_text(STAMPS)

    def say(change):
        change(images)
        with h5py.File(tmp_path / "stamps.h5", "w") as file:
            file["image"], file["z"] = images, rng.uniform(0.1, 1, 100)
        return [outcome(call, tmp_path / "stamps.toml") for call in (import_survey, load_survey)]

    return say


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[::4, 1].fill(0), "[image] r: every pixel of 25 of 100 galaxies has one value: 0"),
        (lambda x: x[::4, :, :, :3].fill(-32768), "in 25 of 100 galaxies: -32768"),
        (lambda x: x[::4, 2, 0].fill(-9999), "in 25 of 100 galaxies: -9999"),
        (lambda x: x[::4, 2, 0].fill(1e30), "in 25 of 100 galaxies: 1e+30"),
        (lambda x: x[::4, :, 2].fill(np.nan), "NaN or infinity in 25 of 100 galaxies"),
        (lambda x: np.copyto(x[:, 2], x[:, 0]), "i: seems to hold the pixels of g"),
        (lambda x: np.copyto(x[50:60], x[:10]), "10 of 100 galaxies have the pixels of another"),
    ],
)
def test_stamps_that_miss_something_are_counted_by_galaxy(stamps, change, words):
    assert all(text == "" for _, text in stamps(lambda x: None))
    for verdict, text in stamps(change):
        assert words in text
        assert verdict == "accepted" or "NaN" in words


def test_a_large_file_is_looked_at_in_part_until_all_of_it_was_read(stamps, tmp_path, monkeypatch):
    monkeypatch.setattr("astrolab.datasets.checking.BATCH_BYTES", 20 * 3 * 8 * 8 * 4)
    _, (_, text) = stamps(lambda x: x[::4, 1].fill(0))
    assert "of 20 galaxies looked at has one value" in text


def test_the_number_and_the_hash_of_the_manifest_are_held_at_load(said, tmp_path):
    for verdict, text in said(galaxies(), text=TABLE + FILES + "n = 399\n"):
        assert verdict == "refused" and "400 galaxies, 399 expected" in text
    (tmp_path / "mine.toml").write_text(TABLE + FILES + f'sha256 = "{64 * "0"}"\n')
    with pytest.raises(AstrolabError, match=r"0000.*\n.*a file with sha256:"):
        load_survey(tmp_path / "mine.toml")


def test_verify_lists_what_is_suspected_and_fails_what_import_refuses(said, tmp_path):
    table = changed("g", 0.0)
    doubled = pd.concat([table, table.head(3).assign(id=[9001, 9002, 9003])])
    said(doubled)
    found = verify_survey(load_manifest(tmp_path / "mine.toml"))
    assert found.query("not ok").check.tolist() == ["magnitudes"]
    assert found.query("check == 'doubled'").detail.str.contains("3 of 403").all()
