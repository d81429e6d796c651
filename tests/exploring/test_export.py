import csv

import pytest
from astropy.table import Table
from astropy.units import deg, mag

from astrolab.errors import ConfigError
from astrolab.exploring.columns import describe_galaxies
from astrolab.exploring.export import save_galaxies


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
