import h5py
import numpy as np
import pandas as pd
import pytest
from astrolab.datasets.importing import import_survey
from astrolab.datasets.manifests import list_manifests, load_manifest

from astrolab.datasets.loading import load_survey
from astrolab.errors import AstrolabWarning, ManifestError

CATALOGUE = """
name = "my-survey"
title = "My own survey"
version = "1"
kind = "catalogue"
[label]
name = "z"
column = "zspec"
range = [0, 2]
[id]
column = "id"
scheme = "mine"
[sky]
ra = "ra"
dec = "dec"
[magnitudes]
bands = ["sdss-g", "sdss-r"]
columns = ["g", "r"]
missing = [-99.0]
[format]
format = "csv"
[[files]]
path = "mine.csv"
"""
IMAGES = """
name = "my-images"
title = "My own images"
version = "1"
kind = "images"
[label]
name = "z"
column = "z"
[image]
key = "image"
bands = ["g", "r"]
[[files]]
path = "mine.h5"
"""


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()

    def write(text=CATALOGUE, **changes):
        columns = {
            "id": np.arange(5) + 2**60,
            "zspec": [0.1, 0.2, 0.3, 0.4, 0.5],
            "ra": [10.0, 20, 30, 40, 50],
            "dec": [-5.0, 0, 5, 10, 15],
            "g": [20.0, 21, 22, -99, 23],
            "r": [19.0, 20, 21, 22, 23],
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
    assert "my-survey" in list_manifests() and load_manifest("my-survey") == manifest
    survey = load_survey("my-survey")
    assert survey.ids[0] == 2**60 and survey.bands == ("sdss-g", "sdss-r")
    assert np.isnan(survey.inputs["magnitudes"][:]).sum() == 1


def test_files_may_lie_elsewhere(own, tmp_path):
    path = own()
    path.rename(tmp_path / "my.toml")
    assert "no such file" in problems_of(tmp_path / "my.toml")
    import_survey(tmp_path / "my.toml", directory=tmp_path / "own")
    assert len(load_survey("my-survey")) == 5


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
        "1 of 5 galaxies outside [0, 2]",
        "1 ids occur more than once: 1",
        "[sky] ra (column 'ra'): 1 values outside [0, 360]",
        "sdss-g (column 'g'): looks like 'not measured' but is not under missing = [-99.0]: 99 (2 times)",
        "-9999 (1 times), 1e+20 (1 times)",
    ):
        assert words in text
    assert "5 problems" in text
    assert "my-survey" not in list_manifests()


def test_missing_columns_bring_the_nearest(own):
    text = problems_of(own(zspec=None, z_spec=[0.1] * 5, g=None, G=[20.0] * 5))
    assert "2 problems" in text
    assert "no column 'zspec'; the nearest is 'z_spec'; it has id, ra, dec, r, z_spec, G" in text
    assert "no column 'g'; the nearest is 'G'" in text


def test_fluxes_called_magnitudes(own):
    text = problems_of(own(r=[1900.0, 2000, 2100, 2200, 2300]))
    assert "the median is 2100, which is no magnitude; is the unit 'AB mag' right?" in text
    import_survey(own(CATALOGUE.replace("missing =", 'unit = "nJy"\nmissing ='), g=[900.0] * 5, r=[1900.0] * 5))


def test_a_band_without_a_measurement(own):
    assert "sdss-g (column 'g'): not one value is measured" in problems_of(own(g=[-99.0] * 5))


def test_a_name_that_is_taken(own):
    assert "comes with astrolab" in problems_of(own(CATALOGUE.replace("my-survey", "galaxiesml")))


def test_one_object_in_two_files(own, tmp_path):
    path = own(CATALOGUE + '[[files]]\npath = "more.csv"\n')
    pd.read_csv(tmp_path / "own" / "mine.csv").head(2).to_csv(tmp_path / "own" / "more.csv", index=False)
    assert "2 ids are both in mine.csv and in more.csv" in problems_of(path)


def test_a_file_yet_to_be_fetched_is_no_problem(own, caplog):
    import_survey(own(CATALOGUE + '[[files]]\npath = "far.csv"\nurls = ["https://example.org/far.csv"]\n'))
    assert "far.csv is not here yet" in caplog.text


def test_a_hash_that_does_not_match(own):
    assert "md5:" in problems_of(own(CATALOGUE + f'md5 = "{32 * "0"}"\n'))


def test_images(own, tmp_path):
    path = own(IMAGES)
    pixels = np.random.default_rng(0).normal(size=(4, 2, 8, 8)).astype(np.float32)

    def write(image):
        with h5py.File(tmp_path / "own" / "mine.h5", "w") as file:
            file["image"], file["z"] = image, np.ones((4, 1))

    write(pixels)
    assert import_survey(path).bands == ("g", "r")
    write(pixels[:, :1])
    assert "(4, 1, 8, 8)" in problems_of(path)
    pixels[:, 1] = 0
    write(pixels)
    assert "[image] r: every pixel of 4 of 4 galaxies has one value: 0" in problems_of(path)
    pixels[2, 0, 0, 0] = np.inf
    write(pixels)
    with pytest.warns(AstrolabWarning, match="every pixel of 3 of 4"):
        assert "[image]: NaN or infinity in 1 of 4 galaxies, my-images:mine.h5:2" in problems_of(path)


def test_a_recipe_of_known_surveys(own, tmp_path):
    recipe = 'name = "both"\ntitle = "Both"\nversion = "1"\nkind = "recipe"\n[recipe]\nmembers = ["my-survey", "{}"]\n'
    recipe += 'keep = "my-survey"\n'
    import_survey(own())
    (tmp_path / "both.toml").write_text(recipe.format("galaxyml"))
    assert "Did you mean 'galaxiesml'" in problems_of(tmp_path / "both.toml")
    (tmp_path / "both.toml").write_text(recipe.format("galaxiesml"))
    assert import_survey(tmp_path / "both.toml").recipe.keep == "my-survey"


def test_real_galaxies_of_the_sdss(shared_data, tmp_path):
    text = """
        name = "sdss-mgs"
        title = "SDSS main galaxy sample"
        version = "1"
        kind = "catalogue"
        [label]
        name = "z"
        column = "zs"
        [magnitudes]
        bands = ["sdss-u", "sdss-g", "sdss-r", "sdss-i", "sdss-z"]
        columns = ["u", "g", "r", "i", "z"]
        [format]
        format = "csv"
        delimiter = "whitespace"
        comment = "#"
        names = ["zs", "u", "g", "r", "i", "z", "u-g", "g-r", "r-i", "i-z",
                 "eu", "eg", "er", "ei", "ez", "eu-g", "eg-r", "er-i", "ei-z"]
        [[files]]
        path = "SDSS_MGS.train"
        split = "train"
        [[files]]
        path = "SDSS_MGS.test"
        split = "test"
    """
    (tmp_path / "mgs.toml").write_text(text)
    import_survey(tmp_path / "mgs.toml", directory=shared_data / "photoz_sdss_ugriz")
    survey = load_survey("sdss-mgs")
    assert len(survey) == 10_000 and survey.labels["z"].between(0, 1).all()
