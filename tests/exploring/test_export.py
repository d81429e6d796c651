import csv
from pathlib import Path
from types import SimpleNamespace

import pytest
from astropy.table import Table
from astropy.units import deg, mag

from astrolab.errors import ConfigError
from astrolab.exploring.columns import describe_galaxies
from astrolab.exploring.export import save_galaxies, selection_file, selections_folder


def test_ecsv_keeps_every_digit_and_the_units(predictions, survey, tmp_path):
    galaxies = describe_galaxies(predictions.query("arm == 'tl'"), survey=survey)
    path = save_galaxies(galaxies, path=tmp_path / "selection.ecsv", comment="three galaxies")
    table = Table.read(path)
    assert table["object_id"].tolist() == galaxies["object_id"].tolist()
    assert table["ra"].unit == deg and table["i_cmodel_mag"].unit == mag and table["pred"].unit is None
    assert table["pred"].tolist() == galaxies["pred"].tolist()
    assert table.meta["comments"] == ["three galaxies"]


def test_csv_is_plain(predictions, tmp_path):
    path = save_galaxies(predictions, path=tmp_path / "selection.csv")
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["object_id"]) for row in rows] == predictions["object_id"].tolist()
    assert [row["arm"] for row in rows] == predictions["arm"].tolist()


def test_other_kinds_of_files_are_refused(predictions, tmp_path):
    with pytest.raises(ConfigError, match=r"\.csv, \.ecsv"):
        save_galaxies(predictions, path=tmp_path / "selection.fits")
    assert not list(tmp_path.iterdir())


def test_selections_of_a_run_lie_in_its_folder_however_it_is_given(predictions, tmp_path):
    expected = tmp_path / "selections"
    for run in (SimpleNamespace(folder=tmp_path), tmp_path, str(tmp_path)):
        assert selections_folder(run) == expected
    for nothing in (predictions, {"mine": tmp_path}, [tmp_path], tmp_path / "predictions.parquet"):
        assert selections_folder(nothing) == Path()


def test_names_keep_their_dots_and_get_one_ending(tmp_path):
    names = {"z_0.3": "z_0.3.ecsv", "mine.csv": "mine.ecsv", "mine.ecsv": "mine.ecsv", " ": "selection.ecsv"}
    assert {name: selection_file(name, folder=tmp_path, ending=".ecsv").name for name in names} == names
