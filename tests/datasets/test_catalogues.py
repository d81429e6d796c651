"""Catalogues of every format give the same galaxies; odd headers and sentinels do not slip through."""

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from astrolab.datasets.catalogues import read_catalogue
from astrolab.errors import CorruptFileError, DataNotFoundError, SchemaError

TABLE = pd.DataFrame(
    {
        "id": [2**53 + 1, 2**60 + 1, 7],
        "redshift": [0.1, 0.2, 0.3],
        "mag_g": [20.5, -99.9, 21.5],
        "mag_r": [20.25, 21.0, 99.0],
        "field": ["D2", "D3", "W1"],
    }
)
MAGNITUDES = [[20.5, 20.25], [np.nan, 21.0], [21.5, np.nan]]


def write(path, *, kind):
    if kind == "csv":
        TABLE.to_csv(path, index=False)
    elif kind == "parquet":
        TABLE.to_parquet(path)
    elif kind == "fits":
        Table.from_pandas(TABLE).write(path, format="fits")
    else:
        with h5py.File(path, "w") as file:
            for name in TABLE:
                file[f"photometry/{name}"] = TABLE[name].to_numpy(dtype="S" if name == "field" else None)


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "hdf5"])
def test_every_format_gives_the_same_galaxies(tmp_path, catalogue_manifest, kind):
    write(tmp_path / "galaxies.dat", kind=kind)
    layout = {"format": kind} | ({"table": "photometry"} if kind == "hdf5" else {})
    manifest = catalogue_manifest(path="galaxies.dat", layout=layout, id={"column": "id", "scheme": "x"})
    survey = read_catalogue(tmp_path / "galaxies.dat", manifest=manifest)
    assert survey.ids.dtype == np.int64
    np.testing.assert_array_equal(survey.ids, TABLE["id"])
    np.testing.assert_array_equal(survey.labels["z"], TABLE["redshift"])
    np.testing.assert_array_equal(survey.inputs["magnitudes"][:], np.array(MAGNITUDES, dtype=np.float32))
    assert list(survey.table("field")["field"]) == ["D2", "D3", "W1"]
    assert survey.bands == ("g", "r") and survey.published_split is None


def test_the_catalogue_can_be_renamed(tmp_path, catalogue_manifest):
    write(tmp_path / "galaxies.csv", kind="csv")
    manifest = catalogue_manifest(columns={"patch": "field"})
    assert list(read_catalogue(tmp_path / "galaxies.csv", manifest=manifest).catalogue) == ["patch"]
    with pytest.raises(SchemaError, match="'plate' was asked for"):
        read_catalogue(tmp_path / "galaxies.csv", manifest=catalogue_manifest(columns={"patch": "plate"}))


def test_odd_headers_are_replaced_or_refused(tmp_path, catalogue_manifest):
    path = tmp_path / "galaxies.csv"
    path.write_text("#F:REDSHIFT;F:MAG_G;F:MAG_R\n0.1,20,21\n0.2,19,20\n")
    names = {"names": ["redshift", "mag_g", "mag_r"], "skip_rows": 1}
    survey = read_catalogue(path, manifest=catalogue_manifest(layout=names))
    np.testing.assert_array_equal(survey.inputs["magnitudes"][:], [[20, 21], [19, 20]])
    with pytest.raises(CorruptFileError, match="names and skip_rows"):
        read_catalogue(path, manifest=catalogue_manifest(layout=names | {"names": ["redshift", "mag_g"]}))


def test_blanks_comments_and_text_ids(tmp_path, catalogue_manifest):
    path = tmp_path / "galaxies.csv"
    path.write_text("# made by hand\nname redshift   mag_g mag_r\n007   0.1 20 21\n8 0.2   19 20\n")
    layout = {"delimiter": "whitespace", "comment": "#"}
    survey = read_catalogue(path, manifest=catalogue_manifest(layout=layout, id={"column": "name", "scheme": "x"}))
    assert list(survey.ids) == ["007", "8"]


def test_an_id_column_with_gaps_is_refused(tmp_path, catalogue_manifest):
    ids = {"column": "id", "scheme": "x"}
    with_gap = TABLE.astype({"id": "Int64"})
    with_gap.loc[1, "id"] = pd.NA
    with_gap.to_csv(tmp_path / "galaxies.csv", index=False)
    with_gap.to_parquet(tmp_path / "galaxies.parquet")
    for kind in ("csv", "parquet"):
        manifest = catalogue_manifest(path=f"galaxies.{kind}", layout={"format": kind}, id=ids)
        with pytest.raises(SchemaError, match="without gaps"):
            read_catalogue(tmp_path / f"galaxies.{kind}", manifest=manifest)


def test_text_where_numbers_must_be_is_refused(tmp_path, catalogue_manifest):
    path = tmp_path / "galaxies.csv"
    path.write_text("redshift,mag_g,mag_r\n0.1,twenty,21\n")
    with pytest.raises(SchemaError, match=r"'mag_g' in galaxies.*must be numbers"):
        read_catalogue(path, manifest=catalogue_manifest())


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "hdf5"])
def test_files_that_are_not_what_they_claim(tmp_path, catalogue_manifest, kind):
    path = tmp_path / "galaxies.dat"
    manifest = catalogue_manifest(path="galaxies.dat", layout={"format": kind})
    with pytest.raises(DataNotFoundError):
        read_catalogue(path, manifest=manifest)
    path.write_bytes(b"")
    with pytest.raises(CorruptFileError):
        read_catalogue(path, manifest=manifest)
    path.write_bytes(b"\xff\xfe\x00garbage,\n\x80\x81" * 100)
    with pytest.raises(CorruptFileError):
        read_catalogue(path, manifest=manifest)


def test_a_catalogue_without_rows_is_refused(tmp_path, catalogue_manifest):
    (tmp_path / "galaxies.csv").write_text("redshift,mag_g,mag_r\n")
    with pytest.raises(SchemaError, match="no rows"):
        read_catalogue(tmp_path / "galaxies.csv", manifest=catalogue_manifest())


def test_real_deep_photometry(shared_data, catalogue_manifest):
    path = shared_data / "photoz_deep_ugrizy" / "combined_catalog_DEEP23.fits"
    manifest = catalogue_manifest(
        path=path.name,
        layout={"format": "fits"},
        magnitudes={"bands": list("ugrizy"), "columns": list("ugrizy"), "missing": [-99.0, 99.0]},
    )
    survey = read_catalogue(path, manifest=manifest)
    assert len(survey) == 14_172
    assert set(survey.catalogue["source"][:]) == {"DEEP2/3"}
    magnitudes = survey.inputs["magnitudes"][:]
    assert 10 < np.nanmin(magnitudes) and np.nanmax(magnitudes) < 40


def test_simulated_rail_catalogue(shared_data, catalogue_manifest):
    path = shared_data / "photoz_dc2_rail" / "test_dc2_training_9816.hdf5"
    manifest = catalogue_manifest(
        path=path.name,
        layout={"format": "hdf5", "table": "photometry"},
        id={"column": "id", "scheme": "dc2"},
        magnitudes={"bands": list("ugrizy"), "columns": [f"mag_{b}_lsst" for b in "ugrizy"], "missing": [99.0]},
    )
    survey = read_catalogue(path, manifest=manifest)
    assert len(survey) == 10_225 and survey.ids.dtype == np.int64
    magnitudes = survey.inputs["magnitudes"][:]
    assert np.isnan(magnitudes).any(axis=0)[0] and np.nanmax(magnitudes) < 40
