"""What is visibly wrong is noticed by import, verify and load alike, with counts and all of it at once."""

import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from own_surveys import FILES, IMAGES, TABLE

from astrolab.datasets.checking import import_survey, repeated_far_out, verify_survey
from astrolab.datasets.loading import load_survey
from astrolab.datasets.manifest import list_manifests, load_manifest, parse_manifest
from astrolab.errors import (
    AstrolabError,
    AstrolabWarning,
    ConfigError,
    DataNotFoundError,
    ManifestError,
    SchemaError,
    UnknownNameError,
)

N = 400
MANIFESTS = Path(__file__).parent / "manifests"
OWN = TABLE.replace('"zspec"', '"zspec"\npossible = [0, 2]').replace("[format]", "missing = [-99.0]\n[format]") + FILES
STAMPS = IMAGES.replace('["g", "r"]', '["g", "r", "i"]')
pytestmark = pytest.mark.usefixtures("data_folder")


def galaxies(n=N, *, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.05, 1.2, n)
    magnitudes = 20 + z[:, None] * [2, 1, 0.3] + rng.normal(0, 0.05, (n, 3))
    places = {"ra": rng.uniform(150, 151, n), "dec": rng.uniform(1, 2, n)}
    return pd.DataFrame({"id": np.arange(n), "zspec": z, **places, **dict(zip("gri", magnitudes.T, strict=True))})


@pytest.fixture
def said(tmp_path):
    """What import and load say of a table, and whether each refused it."""

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
        except (ManifestError, SchemaError, ConfigError, UnknownNameError) as error:
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
    assert all("[input.magnitudes] r (column 'r'): looks like 'not measured'" in text for _, text in (imported, loaded))
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
        (
            lambda z: np.where(np.arange(N) % 33 == 0, -9.0, z),
            "13 of 400 galaxies outside what is possible, [-0.01, 20]",
        ),
        (lambda z: z * 299_792.458, "400 of 400 galaxies outside what is possible, [-0.01, 20]"),
        (lambda z: np.where(np.arange(N) == 7, 1e20, z), "1 of 400 galaxies outside what is possible, [-0.01, 20]"),
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
            verdict == "refused"
            and "validation.csv: [[label]] z: 1 of 30" in text
            and "test.csv: [[label]] z: 1" in text
        )


def test_labels_that_are_only_suspected(said):
    (verdict, text), (loaded, warned) = said(changed("zspec", 9.99))
    assert (verdict, loaded) == ("refused", "accepted") and "9.99 (13 times)" in text and "9.99 (13 times)" in warned
    ranged = TABLE.replace('column = "zspec"', 'column = "zspec"\npossible = [0, 10]') + FILES
    assert said(text=ranged) == [("accepted", ""), ("accepted", "")]
    table = galaxies().assign(zspec=lambda t: np.log1p(t.zspec)).rename(columns={"zspec": "log1pz"})
    for verdict, text in said(table, text=TABLE.replace("zspec", "log1pz") + FILES):
        assert verdict == "accepted" and "looks like log(1 + z)" in text


def test_an_unknown_label_and_an_input_that_is_no_magnitude_are_accepted_without_a_word(said, tmp_path):
    table = galaxies().assign(g=lambda t: 1e4 * t.g)
    table.loc[::3, "zspec"] = np.nan
    text = TABLE.replace("[input.magnitudes]", "[input.features]") + FILES
    assert said(table, text=text) == [("accepted", ""), ("accepted", "")]
    assert load_survey(tmp_path / "mine.toml").labels["z"].isna().sum() == 134
    for verdict, words in said(table.assign(zspec=np.nan)):
        assert verdict == "refused" or "not one value is known" in words  # refused for its magnitudes


@pytest.mark.parametrize("kind", ["csv", "fits", "parquet", "hdf5"])
@pytest.mark.parametrize(("column", "code"), [("zspec", -99), ("r", -99), ("r", 99), ("r", 35.0), ("logm", -99)])
def test_nan_hides_no_code_beside_it(tmp_path, kind, column, code):
    """What is said of a column with gaps is what is said of the same rows without them."""
    said = []
    for n_gaps in (0, 1, 200):
        table = galaxies(300 + n_gaps).assign(logm=lambda t: t.zspec + 9)
        table.loc[::33, column] = code
        table.loc[300:, column] = np.nan
        table = table.sample(frac=1, random_state=1)
        if kind == "csv":
            table.to_csv(tmp_path / "mine.csv", index=False)
        elif kind == "parquet":
            table.to_parquet(tmp_path / "mine.parquet")
        elif kind == "fits":
            Table.from_pandas(table).write(tmp_path / "mine.fits", overwrite=True)
        else:
            with h5py.File(tmp_path / "mine.hdf5", "w") as file:
                file.update({name: table[name].to_numpy() for name in table})
        text = TABLE.replace('"csv"', f'"{kind}"') + FILES.replace("csv", kind)
        label = '[[label]]\nname = "logm"\ncolumn = "logm"\n[id]'
        (tmp_path / "mine.toml").write_text(text.replace("[id]", label))
        said.append(outcome(load_survey, tmp_path / "mine.toml"))
    assert said[0][0] == ("refused" if column == "zspec" else "accepted")
    assert f"{code:g} (10 times)" in said[0][1]
    assert [verdict for verdict, _ in said] == [said[0][0]] * 3
    assert all(f"{code:g} (10 times)" in text for _, text in said)


def test_a_code_is_known_in_single_precision_too(tmp_path):
    label = '[[label]]\nname = "z"\ncolumn = "zspec"\nmissing = [-99.9]\n[id]'
    with h5py.File(tmp_path / "mine.hdf5", "w") as file:
        file.update({name: column.astype("f4") for name, column in changed("zspec", -99.9).items()})
    text = TABLE.partition("[[label]]")[0] + label + TABLE.partition("[id]")[2].replace('"csv"', '"hdf5"')
    (tmp_path / "mine.toml").write_text(text + FILES.replace("csv", "hdf5"))
    assert load_survey(tmp_path / "mine.toml").labels["z"].isna().sum() == 13


def test_objects_of_which_nothing_is_measured_are_counted_and_left_out(said, tmp_path):
    table = galaxies()
    table.loc[:9, ["g", "r", "i"]] = np.nan
    table.loc[5:14, ["g", "r"]] = np.nan
    table.loc[15:17, ["g", "r", "i"]] = [np.nan, 99.0, -99.0]  # no magnitudes
    words = "no input of 13 of 400 galaxies has a measured value"
    (_, imported), (loaded, warned) = said(table)
    assert loaded == "accepted" and words in warned and "99 (3 times)" in imported
    with pytest.warns(AstrolabWarning, match=words):
        survey = load_survey(tmp_path / "mine.toml")
    assert survey.ids.tolist() == [*range(10, 15), *range(18, N)]
    text = "keep_unmeasured = true\n" + TABLE + FILES
    _, (loaded, warned) = said(text=text)
    assert loaded == "accepted" and words not in warned
    with pytest.warns(AstrolabWarning):
        kept = load_survey(tmp_path / "mine.toml")
    assert len(kept) == N and kept.digest != survey.digest
    second = '[input.size]\nchannels = ["size"]\ncolumns = ["size"]\n[format]'
    table["size"] = np.where(table.index < 3, 1.0, np.nan)
    _, (loaded, warned) = said(table, text=(TABLE + FILES).replace("[format]", second))
    assert "no input of 10 of 400 galaxies has a measured value" in warned
    for verdict, refused in said(table.assign(g=np.nan, r=np.nan, i=np.nan)):
        assert verdict == "refused" and "no input of 400 of 400 galaxies" in refused


def test_where_of_a_manifest_is_checked_on_import(said):
    for where, words in (("zz > 1", "'zz'"), ("z >", "invalid syntax"), ("z > 5", "true for none of 400 galaxies")):
        for verdict, text in said(galaxies(), text=f'where = "{where}"\n' + TABLE + FILES):
            assert verdict == "refused" and words in text
    assert said(text='where = "z < 1"\n' + TABLE + FILES) == [("accepted", ""), ("accepted", "")]


def test_spectra_are_looked_at_too(tmp_path):
    text = TABLE.partition("[[label]]")[0] + '[input.spectrum]\nkey = "flux"\naxes = ["pixel"]\n'
    (tmp_path / "mine.toml").write_text(text + '[[files]]\npath = "mine.h5"\n')
    flux = np.random.default_rng(0).normal(size=(50, 30))
    flux[3], flux[7, 2] = 0, np.nan
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["flux"] = flux
    (verdict, text), (loaded, warned) = (outcome(call, tmp_path / "mine.toml") for call in (import_survey, load_survey))
    assert (verdict, loaded) == ("refused", "accepted")
    assert "[input.spectrum]: NaN or infinity in 1 of 50 galaxies, mine:mine.h5:7" in text
    assert "[input.spectrum]: every pixel of 1 of 50 galaxies has one value: 0" in warned


def test_a_column_that_is_label_and_input_or_two_bands(said):
    for last, words in (("r", "one column or key for several channels"), ("zspec", "'zspec' is an input too")):
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
        assert verdict == "accepted" and "40 of 440 rows have the measurements and the labels of another" in text


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
def stamps(tmp_path):
    rng = np.random.default_rng(0)
    images = (rng.normal(0, 1, (100, 3, 8, 8)) + rng.uniform(5, 50, (100, 3, 1, 1))).astype("f4")
    (tmp_path / "mine.toml").write_text(STAMPS)

    def say(change):
        change(images)
        with h5py.File(tmp_path / "mine.h5", "w") as file:
            file["image"], file["z"] = images, rng.uniform(0.1, 1, 100)
        return [outcome(call, tmp_path / "mine.toml") for call in (import_survey, load_survey)]

    return say


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[::4, 1].fill(0), "[input.image] r: every pixel of 25 of 100 galaxies has one value: 0"),
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
    assert found.query("not ok").check.tolist() == ["tables"]
    assert found.query("check == 'doubled'").detail.str.contains("3 of 403").all()


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()

    def write(text=OWN, **changes):
        columns = {
            "id": np.arange(5) + 2**60,
            "zspec": [0.1, 0.2, 0.3, 0.4, 0.5],
            "ra": [10.0, 20, 30, 40, 50],
            "dec": [-5.0, 0, 5, 10, 15],
            "g": [20.0, 21, 22, -99, 23],
            "r": [19.0, 20, 21, 22, 23],
            "i": [18.5, 19, 20, 21.5, 22],
            **changes,
        }
        pd.DataFrame({k: v for k, v in columns.items() if v is not None}).to_csv(folder / "mine.csv", index=False)
        (folder / "my.toml").write_text(text)
        return folder / "my.toml"

    return write


def problems_of(path, **options):
    with pytest.raises(ManifestError) as caught:
        import_survey(path, **options)
    return str(caught.value)


def test_a_good_survey_is_known_by_its_name(own):
    manifest = import_survey(own())
    assert "mine" in list_manifests() and load_manifest("mine") == manifest
    survey = load_survey("mine")
    assert survey.ids[0] == 2**60 and survey.specs["magnitudes"].channels == ("g", "r", "i")
    assert np.isnan(survey.inputs["magnitudes"][:]).sum() == 1


def test_files_may_lie_elsewhere(own, tmp_path):
    path = own()
    path.rename(tmp_path / "my.toml")
    assert "no such file" in problems_of(tmp_path / "my.toml")
    import_survey(tmp_path / "my.toml", directory=tmp_path / "own")
    assert len(load_survey("mine")) == 5


def test_everything_wrong_is_named_in_one_message(own):
    text = problems_of(
        own(
            id=[1, 1, 2, 3, 4],
            zspec=[0.1, 0.2, 0.3, 0.4, 9.9],
            ra=[10.0, 20, 30, 40, 400],
            g=[20.0, 99, 99, -99, 23],
            r=[-9999, 20, 21, 22, 1e20],
        )
    )
    for words in (
        "1 of 5 galaxies outside what is possible, [0, 2]",
        "1 ids occur more than once: 1",
        "[sky] ra (column 'ra'): 1 values outside [0, 360]",
        "g (column 'g'): looks like 'not measured' but is not under missing = [-99.0]: 99 (2 times)",
        "-9999 (1 times), 1e+20 (1 times)",
    ):
        assert words in text
    assert "5 problems" in text
    assert "mine" not in list_manifests()


def test_missing_columns_bring_the_nearest(own):
    text = problems_of(own(zspec=None, z_spec=[0.1] * 5, g=None, G=[20.0] * 5))
    assert "2 problems" in text
    assert "'zspec' was asked for in mine.csv." in text and "available: id, ra, dec, r, i, z_spec, G" in text
    assert "Did you mean 'z_spec'?" in text and "Did you mean 'G'?" in text


def test_fluxes_called_magnitudes(own):
    text = problems_of(own(r=[1900.0, 2000, 2100, 2200, 2300]))
    assert "the median is 2100, which is no magnitude; is the unit 'AB mag' right?" in text
    import_survey(own(OWN.replace("missing =", 'unit = "nJy"\nmissing ='), g=[900.0] * 5, r=[1900.0] * 5))


def test_a_band_without_a_measurement(own):
    assert "g (column 'g'): not one value is measured" in problems_of(own(g=[-99.0] * 5))


def test_a_name_that_is_taken(own):
    assert "comes with astrolab" in problems_of(own(OWN.replace("mine", "galaxiesml")))


def test_one_object_in_two_files(own, tmp_path):
    path = own(OWN + '[[files]]\npath = "more.csv"\n')
    pd.read_csv(tmp_path / "own" / "mine.csv").head(2).to_csv(tmp_path / "own" / "more.csv", index=False)
    assert "2 ids are both in mine.csv and in more.csv" in problems_of(path)


def test_a_file_yet_to_be_fetched_is_no_problem(own, caplog):
    import_survey(own(OWN + '[[files]]\npath = "far.csv"\nurls = ["https://example.org/far.csv"]\n'))
    assert "far.csv is not here yet" in caplog.text


def test_a_hash_that_does_not_match(own):
    assert "md5:" in problems_of(own(OWN + f'md5 = "{32 * "0"}"\n'))


def test_images(own, tmp_path):
    path = own(IMAGES)
    pixels = np.random.default_rng(0).normal(size=(4, 2, 8, 8)).astype(np.float32)

    def write(image):
        with h5py.File(tmp_path / "own" / "mine.h5", "w") as file:
            file["image"], file["z"] = image, np.ones((4, 1))

    write(pixels)
    assert import_survey(path).inputs["image"].channels == ("g", "r")
    write(pixels[:, :1])
    assert "(4, 1, 8, 8)" in problems_of(path)
    pixels[:, 1] = 0
    write(pixels)
    assert "[input.image] r: every pixel of 4 of 4 galaxies has one value: 0" in problems_of(path)
    pixels[2, 0, 0, 0] = np.inf
    write(pixels)
    with pytest.warns(AstrolabWarning, match="every pixel of 3 of 4"):
        assert "[input.image]: NaN or infinity in 1 of 4 galaxies, mine:mine.h5:2" in problems_of(path)


def test_a_recipe_of_known_surveys(own, tmp_path):
    recipe = 'name = "both"\ntitle = "Both"\nversion = "1"\n[recipe]\nmembers = ["mine", "{}"]\n'
    recipe += 'keep = "mine"\n'
    import_survey(own())
    (tmp_path / "both.toml").write_text(recipe.format("galaxyml"))
    assert "Did you mean 'galaxiesml'" in problems_of(tmp_path / "both.toml")
    (tmp_path / "both.toml").write_text(recipe.format("galaxiesml"))
    assert import_survey(tmp_path / "both.toml").recipe.keep == "mine"


def test_real_galaxies_of_the_sdss(shared_data):
    import_survey(MANIFESTS / "sdss_mgs.toml", directory=shared_data / "photoz_sdss_ugriz")
    survey = load_survey("sdss_mgs")
    assert len(survey) == 10_000 and survey.labels["z"].between(0, 1).all()


N_FILE = 5
PIXELS = np.random.default_rng(0).normal(size=(N_FILE + 1, 2, 8, 8)).astype(np.float32)
SPLITS = ("train", "test")


def write_sky(folder, name="train", *, n=N_FILE, first_id=0, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "image": PIXELS[:n],
        "z_spec": np.linspace(0.1, 1, n),
        "object_id": np.arange(n) + first_id,
        "ra": np.full(n, 150.0),
        "dec": np.full(n, 2.0),
        **changes,
    }
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file.update({key: values for key, values in contents.items() if values is not None})


def sky_manifest(folder=None, **changes):
    table = {
        **{"name": "sky", "title": "Sky", "version": "1"},
        "label": [{"name": "z", "column": ["zspec", "z_spec"], "possible": [0, 2]}],
        "id": {"column": "object_id", "scheme": "sky"},
        "sky": {"ra": "ra", "dec": "dec"},
        "input": {"image": {"key": "image", "channels": ["g", "r"], "sizes": [8]}},
        "files": [{"path": f"{split}.h5", "split": split, "size": 8, "n": N_FILE} for split in SPLITS],
        **changes,
    }
    return parse_manifest(table, where="sky.toml", folder=folder)


@pytest.fixture
def probe(tmp_path):
    """What is wrong between a manifest and its file."""

    def run(manifest=None, **changes):
        write_sky(tmp_path, **changes)
        return schema_of(tmp_path, **(manifest or {}))

    return run


def schema_of(folder, **changes):
    manifest = sky_manifest(folder, **{"files": [{"path": "train.h5", "size": 8}]} | changes)
    found = verify_survey(manifest).query("check == 'schema'")
    return found.detail[~found.ok].tolist()


def test_a_file_that_fits_is_read(probe):
    assert not probe()


def test_every_problem_of_a_file_is_found(probe):
    problems = probe(
        image=np.ones((N_FILE, 3, 8, 8), np.float32),
        object_id=np.linspace(0, 1, N_FILE),
        ra=None,
        z_spec=np.ones((N_FILE, 2)),
    )
    found = "\n".join(problems)
    assert len(problems) == 4
    assert "(5, 3, 8, 8)" in found  # the number of bands
    assert "[[label]] z" in found and "(5, 2)" in found
    assert "[id]" in found and "float" in found
    assert "[sky]: 'ra' was asked for in train.h5" in found


def test_the_nearest_column_is_named(probe):
    problems = probe({"id": {"column": "ObjectID", "scheme": "sky"}})
    assert len(problems) == 1 and problems[0].startswith("[id]: 'ObjectID' was asked for")
    assert "available: dec, image, object_id, ra, z_spec. Did you mean 'object_id'?" in problems[0]


def test_magnitudes_are_tried_band_by_band(probe):
    photometry = {"channels": ["g", "r"], "columns": ["mag_g", "mag_r"]}
    inputs = {"image": {"key": "image", "channels": ["g", "r"], "sizes": [8]}, "magnitudes": photometry}
    problems = probe({"input": inputs}, G_mag=np.ones(N_FILE))
    assert [problem.split(":")[0] for problem in problems] == ["[input.magnitudes] g", "[input.magnitudes] r"]


def test_what_is_no_hdf5_is_said_once(tmp_path):
    (tmp_path / "train.h5").write_bytes(b"<html>not found</html>")
    problems = schema_of(tmp_path)
    assert len(problems) == 1 and "not HDF5" in problems[0]


def wrong(table):
    return {(row.file, row.check) for row in table.itertuples() if not row.ok}


def test_a_survey_that_is_right(tmp_path):
    for i, split in enumerate(SPLITS):
        write_sky(tmp_path, split, first_id=100 * i)
    table = verify_survey(sky_manifest(tmp_path))
    assert list(table.columns) == ["file", "check", "ok", "detail"] and table.ok.all()
    assert set(table.check) >= {"present", "size", "hash", "schema", "rows", "labels", "arrays", "ids"}
    assert "ids in common" in set(table.check)


def test_everything_wrong_is_found_at_once(tmp_path):
    pixels = PIXELS.copy()
    pixels[3, 1, 4, 4] = np.nan
    ids = np.array([0, 1, 1, 2, 3, 4]) + 2**60
    write_sky(tmp_path, n=N_FILE + 1, image=pixels, z_spec=np.linspace(0.1, 2.5, N_FILE + 1), object_id=ids)
    write_sky(tmp_path, "test", first_id=2**60)
    files = [{"path": "train.h5", "split": "train", "size": 8, "n": N_FILE, "bytes": 1, "md5": 32 * "0"}]
    table = verify_survey(sky_manifest(tmp_path, files=[*files, {"path": "test.h5", "split": "test", "size": 8}]))
    train = {check for file, check in wrong(table) if file == "train.h5"}
    assert train == {"size", "hash", "rows", "labels", "arrays", "ids"}
    assert wrong(table) - {("train.h5", check) for check in train} == {("train.h5 / test.h5", "ids in common")}
    details = table.set_index(["file", "check"]).detail
    assert "6 galaxies, 5 expected" in details["train.h5", "rows"]
    assert "1 ids occur more than once: 1152921504606846977" in details["train.h5", "ids"]
    assert "5 ids are both in train.h5 and in test.h5" in details["train.h5 / test.h5", "ids in common"]


def test_files_that_cannot_be_read(tmp_path):
    write_sky(tmp_path, "train", image=np.ones((N_FILE, 3, 8, 8), np.float32))
    (tmp_path / "test.h5").write_bytes(b"")
    table = verify_survey(sky_manifest(tmp_path))
    assert wrong(table) == {("train.h5", "schema"), ("test.h5", "schema")}
    assert table.query("check == 'schema'").detail.str.contains("empty file").sum() == 1


def test_an_absent_file_and_an_absent_survey(tmp_path):
    with pytest.raises(DataNotFoundError):
        verify_survey(sky_manifest(tmp_path))
    write_sky(tmp_path, "train")
    assert wrong(verify_survey(sky_manifest(tmp_path))) == {("test.h5", "present")}


def test_every_realisation_of_a_twin(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))
    twin = sky_manifest(simulated=True, twin={"of": "galaxiesml", "simulator": "hsc", "n": 2 * N_FILE})
    with pytest.raises(DataNotFoundError, match="astrolab data simulate sky"):
        verify_survey(twin)
    for seed in (0, 1):
        for i, split in enumerate(SPLITS):
            write_sky(tmp_path / "sky" / "1" / f"n10-s{seed}-abcd1234", split, first_id=100 * i)
    table = verify_survey(twin)
    assert table.ok.all()
    assert {"n10-s0-abcd1234/train.h5", "n10-s1-abcd1234/test.h5"} <= set(table.file)
    assert len(verify_survey(twin, directory=tmp_path / "sky" / "1" / "n10-s0-abcd1234")) == len(table) / 2


def test_a_recipe_is_its_members():
    with pytest.raises(DataNotFoundError, match="transferz"):
        verify_survey("combo")
