"""What a file declares of itself is taken at its word; what cannot be read is said under its own name."""

import gzip
import struct
import sys
import warnings
from subprocess import run

import astropy.units as u
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from astrolab.datasets.checking import verify_survey
from astrolab.datasets.formats import open_fits, read_contents
from astrolab.datasets.manifest import Format
from astrolab.datasets.reading import read_file
from astrolab.errors import AstrolabWarning, CorruptFileError, DataError, DataNotFoundError, SchemaError

N = 4
COLUMNS = {
    "redshift": np.array([0.1, 0.2, 0.3, 0.4]),
    "mag_g": np.array([20.5, 21.5, 22.5, 23.5]),
    "mag_r": np.array([20.25, 21.25, 22.25, 23.25]),
}
ID = {"column": "id", "scheme": "x"}
NULL = -(2**31)


@pytest.fixture
def read(tmp_path, catalogue_manifest):
    """Read a file of the folder as a catalogue."""

    def one(name, kind, **changes):
        manifest = catalogue_manifest(path=name, layout={"format": kind} | changes.pop("layout", {}), **changes)
        return read_file(tmp_path / name, manifest=manifest)

    return one


def write(path, kind, columns):
    """The same columns in any format."""
    if kind == "csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    elif kind == "parquet":
        pd.DataFrame(columns).to_parquet(path)
    elif kind == "fits":
        Table(columns).write(path, format="fits", overwrite=True)
    elif kind == "hdf5":
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = np.char.encode(values) if np.asarray(values).dtype.kind == "U" else values
    else:
        np.savez(path, **columns)


KINDS = ["csv", "parquet", "fits", "hdf5", "npz"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "ids", [np.arange(10000.0, 10004), np.arange(10000.0, 10004).astype(str)], ids=["float", "text"]
)
def test_whole_numbers_written_through_a_float_are_the_ids_they_were(tmp_path, read, kind, ids):
    write(tmp_path / "a.npz", kind, COLUMNS | {"id": ids})
    found = read("a.npz", kind, id=ID).ids
    assert found.dtype == np.int64 and found.tolist() == [10000, 10001, 10002, 10003]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "ids",
    [
        np.array([1.0, 2.5, 3, 4]),
        np.array([1.0, np.nan, 3, 4]),
        np.array([1.0, 2.0**53, 3, 4]),
        np.array([1.0, 2.0**63, 3, 4]),
        np.array([1.0, np.inf, 3, 4]),
        np.array(["1", "2.5", "3.0", "4"]),
        np.array(["1", "1.2376487206937559e+18", "3", "4"]),
    ],
    ids=str,
)
def test_ids_that_a_float_has_spoilt_are_refused(tmp_path, read, kind, ids):
    write(tmp_path / "a.npz", kind, COLUMNS | {"id": ids})
    with pytest.raises(SchemaError, match=r"in row 1 of a column"):
        read("a.npz", kind, id=ID)


def test_float32_tells_fewer_ids_apart(tmp_path, read):
    for highest, is_refused in [(2**24 - 1, False), (2**24, True)]:
        write(tmp_path / "a.h5", "hdf5", COLUMNS | {"id": np.array([1, highest, 3, 4], dtype="f4")})
        if is_refused:
            with pytest.raises(SchemaError, match="float32"):
                read("a.h5", "hdf5", id=ID)
        else:
            assert read("a.h5", "hdf5", id=ID).ids.tolist() == [1, highest, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "ids", [["0022", "0023", "1", "2"], ["J1", "1.0", "2", "3"], ["99999999999999999999", "1", "2", "3"]]
)
def test_names_stay_text(tmp_path, read, kind, ids):
    write(tmp_path / "a.npz", kind, COLUMNS | {"id": np.array(ids)})
    assert read("a.npz", kind, id=ID).ids.tolist() == ids


def test_an_empty_name_is_a_gap(tmp_path, read):
    write(tmp_path / "a.fits", "fits", COLUMNS | {"id": np.array(["a", "", "c", "d"])})
    with pytest.raises(SchemaError, match="without gaps"):
        read("a.fits", "fits", id=ID)


@pytest.mark.parametrize("scale", [None, 0.001])
@pytest.mark.parametrize("form", ["I", "J", "K"])
def test_fits_nulls_are_unknown_scaled_or_not(tmp_path, read, form, scale):
    null = np.iinfo(f"i{dict(I=2, J=4, K=8)[form]}").min
    stored = np.array([20, null, 22, 23]) if scale is None else np.array([20000, null, 22000, 23000])
    columns = [fits.Column(name=name, format="D", array=values) for name, values in COLUMNS.items()]
    columns[1] = fits.Column(name="mag_g", format=form, array=stored, null=null)
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    if scale:
        fits.setval(tmp_path / "a.fits", "TSCAL2", value=scale, ext=1)
    survey = read("a.fits", "fits")
    np.testing.assert_array_equal(survey.inputs["magnitudes"][:][:, 0], [20, np.nan, 22, 23])
    alone = {"channels": ["r"], "columns": ["mag_r"], "unit": "AB mag"}
    survey = read("a.fits", "fits", label=[{"name": "z", "column": "mag_g"}], magnitudes=alone)
    np.testing.assert_array_equal(survey.labels["z"], [20, np.nan, 22, 23])


def test_fits_columns_of_every_other_type(tmp_path, read):
    big = np.array([2**63 + 1, 2**63 + 3, 5, 7], dtype="u8")
    columns = [fits.Column(name=name, format="D", array=values) for name, values in COLUMNS.items()]
    columns += [
        fits.Column(name="unsigned", format="K", bzero=2**63, array=big),
        fits.Column(name="known", format="L", array=np.array([True, False, True, False])),
        fits.Column(name="id", format="8A", array=np.array(["M31", "M33", "NGC 5", "M1"])),
        fits.Column(name="vary", format="PJ()", array=np.array([np.arange(2)] * N + [None], dtype=object)[:N]),
        fits.Column(name="square", format="4D", dim="(2,2)", array=np.ones((N, 2, 2))),
        fits.Column(name="far", format="K", array=np.array([2**60 + 1, 2**60 + 3, -1, 5]), null=-1),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes().replace(b"M33\0\0\0\0\0", b"M\xe933    ").replace(b"TM31", b"\0M31")
    (tmp_path / "a.fits").write_bytes(content)
    survey = read("a.fits", "fits", id=ID)
    assert survey.ids.tolist() == ["M31", "M\\xe933", "NGC 5", "M1"]  # padding goes, no byte is lost
    assert survey.catalogue["unsigned"][:].tolist() == big.tolist()
    np.testing.assert_array_equal(survey.catalogue["known"][:], [np.nan, 0, 1, 0])  # a zero byte is neither T nor F
    assert survey.catalogue["far"][:].tolist() == [2**60 + 1, 2**60 + 3, None, 5]
    assert [list(row) for row in survey.catalogue["vary"][:]] == [[0, 1]] * N and "square" not in survey.catalogue
    for column, words in [("square", "one value an object"), ("vary", "must be numbers")]:
        with pytest.raises(SchemaError, match=words):
            read("a.fits", "fits", label=[{"name": "z", "column": column}])


def test_nulls_in_ascii_tables(tmp_path, read):
    columns = [fits.Column(name=name, format="E12.4", array=values, null="NULL") for name, values in COLUMNS.items()]
    columns[1] = fits.Column(name="mag_g", format="I8", array=np.array([20, 21, 22, 23]), null="NULL")
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(content[:5760] + content[5760:].replace(b"      21", b"    NULL"))
    np.testing.assert_array_equal(read("a.fits", "fits").inputs["magnitudes"][:][:, 0], [20, np.nan, 22, 23])


@pytest.mark.parametrize("kind", ["csv", "parquet", "hdf5"])
def test_nulls_of_integers_in_other_formats(tmp_path, read, kind):
    """In HDF5 as astropy writes a masked table."""
    table = Table(COLUMNS | {"mag_g": MaskedColumn([20, 0, 22, 23], mask=[0, 1, 0, 0])})
    table["other"] = MaskedColumn([2**60 + 1, 0, 3, 4], mask=[0, 1, 0, 0])
    if kind == "hdf5":
        table.write(tmp_path / "a.dat", path="data", format="hdf5", serialize_meta=True)
    elif kind == "csv":
        table.to_pandas().to_csv(tmp_path / "a.dat", index=False)
    else:
        table.to_pandas().to_parquet(tmp_path / "a.dat")
    survey = read("a.dat", kind)
    np.testing.assert_array_equal(survey.inputs["magnitudes"][:][:, 0], [20, np.nan, 22, 23])
    assert survey.catalogue["other"][:].tolist() == [2**60 + 1, None, 3, 4]


@pytest.mark.parametrize(("dtype", "scale"), [("i2", 1), ("i4", 0.5), ("u2", 1)])
def test_blank_pixels_are_nan(tmp_path, images_manifest, dtype, scale):
    pixels = np.arange(24).reshape(1, 2, 3, 4).astype(dtype)
    hdu = fits.PrimaryHDU(pixels)
    hdu.header["BLANK"] = 5 - (32768 if dtype == "u2" else 0)
    hdu.writeto(tmp_path / "a.fits")
    if scale != 1:
        fits.setval(tmp_path / "a.fits", "BSCALE", value=scale)
    image = read_file(tmp_path / "a.fits", manifest=fits_manifest(images_manifest)).inputs["image"]
    expected = np.where(pixels == 5, np.nan, pixels * scale)
    np.testing.assert_array_equal(image[:], expected)
    assert image.dtype.isnative


def fits_manifest(
    images_manifest,
    folder=None,
    *,
    key="PRIMARY",
    bands="gr",
    unit="",
    table=None,
    name="a.fits",
    form="fits",
    label=None,
):
    return images_manifest(
        folder,
        label=label,
        files=[{"path": name}],
        image={"key": key, "channels": list(bands)} | ({"unit": unit} if unit else {}),
        format={"format": form} | ({"table": table} if table else {}),
        **dict.fromkeys(["id", "sky", "magnitudes"]),
    )


@pytest.mark.parametrize("kind", ["fits", "parquet", "parquet by astropy", "hdf5", "hdf5 by astropy"])
@pytest.mark.parametrize(
    ("declared", "manifest", "agrees"),
    [
        ("mag", "AB mag", True),
        ("mag", "Vega mag", True),
        ("nJy", "AB mag", False),
        ("mag", "nJy", False),
        ("uJy", "nJy", False),
        ("nmgy", "nanomaggy", True),
        ("furlong per fortnight", "nJy", True),
    ],
)
def test_a_unit_that_the_file_declares_must_be_that_of_the_manifest(tmp_path, read, kind, declared, manifest, agrees):
    path, format_ = tmp_path / "a.dat", kind.split()[0]
    if "astropy" in kind:
        table = Table(COLUMNS)
        table["mag_r"].unit = u.Unit(declared, parse_strict="silent")
        table.write(path, format=format_, **({"path": "data", "serialize_meta": True} if format_ == "hdf5" else {}))
    elif kind == "fits":
        Table(COLUMNS).write(path, format="fits")
        fits.setval(path, "TUNIT3", value=declared, ext=1)
    elif kind == "hdf5":
        write(path, kind, COLUMNS)
        with h5py.File(path, "a") as file:
            file["mag_r"].attrs["units"] = declared
    else:
        found = pa.table({name: pa.array(values) for name, values in COLUMNS.items()})
        fields = [field.with_metadata({"unit": declared}) if field.name == "mag_r" else field for field in found.schema]
        pq.write_table(found.cast(pa.schema(fields)), path)
    magnitudes = {"channels": ["g", "r"], "columns": ["mag_g", "mag_r"], "unit": manifest}
    if agrees:
        assert len(read("a.dat", format_, magnitudes=magnitudes)) == N
    else:
        with pytest.raises(SchemaError, match=rf"'mag_r' in a\.dat is {manifest}[\s\S]*declares {declared}"):
            read("a.dat", format_, magnitudes=magnitudes)


def test_positions_and_pixels_in_another_unit(tmp_path, read, images_manifest):
    Table(COLUMNS | {"ra": np.ones(N), "dec": np.ones(N)}, units={"ra": "rad", "dec": "deg"}).write(tmp_path / "a.fits")
    with pytest.raises(SchemaError, match="is deg, says"):
        read("a.fits", "fits", sky={"ra": "ra", "dec": "dec"})
    fits.writeto(tmp_path / "b.fits", np.ones((1, 2, 4, 4)), fits.Header({"BUNIT": "adu"}))
    read_file(tmp_path / "b.fits", manifest=fits_manifest(images_manifest, name="b.fits", unit="HSC calexp counts"))
    with pytest.raises(SchemaError, match="declares adu"):
        read_file(tmp_path / "b.fits", manifest=fits_manifest(images_manifest, name="b.fits", unit="nJy"))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("image", data=np.ones((N, 2, 4, 4))).attrs["unit"] = "uJy"
    with pytest.raises(SchemaError, match="declares uJy"):
        read_file(
            tmp_path / "c.h5",
            manifest=fits_manifest(images_manifest, key="image", unit="nJy", name="c.h5", form="hdf5"),
        )


def test_unnamed_hdus_are_called_by_their_number(tmp_path, images_manifest):
    stamps = np.random.default_rng(0).normal(size=(N, 2, 5, 5))
    table = fits.BinTableHDU(Table({"z": np.arange(N)}))
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(stamps[:, 0]), table, fits.ImageHDU(stamps[:, 1])]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    survey = read_file(tmp_path / "a.fits", manifest=fits_manifest(images_manifest, key=["1", "3"], table="2"))
    np.testing.assert_array_equal(survey.inputs["image"][:], stamps)
    assert survey.catalogue["z"][:].tolist() == [0, 1, 2, 3]
    with pytest.raises(SchemaError, match="available: PRIMARY, 1, 2, 3"):
        read_file(tmp_path / "a.fits", manifest=fits_manifest(images_manifest, key="9"))


def test_irregular_headers_are_said_once(tmp_path, read):
    Table(COLUMNS).write(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    end = content.rindex(b"END ".ljust(80), 0, -1000)
    cards = b"TNULL1  = 'none'".ljust(80) + b"lower   = 3".ljust(80) + b"END".ljust(80)
    (tmp_path / "a.fits").write_bytes(content[:end] + cards + content[end + len(cards) :])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert len(read("a.fits", "fits")) == N
    assert [one.category for one in said] == [AstrolabWarning] and "FITS standard" in str(said[0].message)


def rows_in(path, *, key):
    return read_contents(path, layout=Format(format="hdf5"), arrays={key: 4})[1][key].rows


def spliced(folder, **contents):
    """HDF5 files by name, each made by a function of the open file."""
    for name, make in contents.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            make(file)


def test_linked_virtual_and_external_parts(tmp_path, read, images_manifest, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stamps = np.random.default_rng(0).normal(size=(N, 2, 5, 5))
    spliced(tmp_path, source=lambda file: file.create_dataset("image", data=stamps))

    def survey(file):
        for name, values in COLUMNS.items():
            file[f"deep/{name}"] = values
        file["soft"] = h5py.SoftLink("/deep/mag_g")
        file["linked"] = h5py.ExternalLink("source.h5", "image")
        layout = h5py.VirtualLayout((2 * N, 2, 5, 5), "f8")
        layout[:N] = layout[N:] = h5py.VirtualSource("source.h5", "image", (N, 2, 5, 5))
        file.create_virtual_dataset("virtual", layout)
        layout = h5py.VirtualLayout((2 * N, 2, 5, 5), "f8")
        layout[:N] = h5py.VirtualSource("source.h5", "image", (N, 2, 5, 5))
        file.create_virtual_dataset("half", layout)
        file.create_dataset("raw", data=stamps, external=[("raw.bin", 0, stamps.nbytes)])
        file["nowhere"], file["loop"] = h5py.SoftLink("/deep/gone"), h5py.SoftLink("/loop")
        file["empty"], file["single"], file["names"] = h5py.Empty("f8"), 3.0, np.array([b"a"] * N)

    spliced(tmp_path, survey=survey)
    for key, expected in [("linked", stamps), ("virtual", np.concatenate([stamps] * 2)), ("raw", stamps)]:
        rows = rows_in(tmp_path / "survey.h5", key=key)
        np.testing.assert_array_equal(rows[[N - 1, 0]], expected[[N - 1, 0]])
        np.testing.assert_array_equal(rows[:], expected)
    magnitudes = {"channels": ["g"], "columns": ["soft"]}
    soft = read("survey.h5", "hdf5", label=[{"name": "z", "column": "deep/redshift"}], magnitudes=magnitudes)
    np.testing.assert_array_equal(soft.inputs["magnitudes"][:][:, 0], COLUMNS["mag_g"].astype("f4"))
    (tmp_path / "raw.bin").write_bytes(b"\0" * 100)
    (tmp_path / "source.h5").unlink()
    faults = {"linked": "a link to image in source.h5, which is not there", "nowhere": "a link to /deep/gone"}
    faults |= {"virtual": "a part of it in source.h5", "raw": "12 of 200 values in raw.bin", "empty": "no value at all"}
    faults |= {"single": "a single value", "loop": "a link to /loop", "deep": "without it", "names": "numbers"}
    for key, words in faults.items():
        with pytest.raises(DataError, match=words):
            manifest = fits_manifest(images_manifest, key=key, name="survey.h5", form="hdf5")
            read_file(tmp_path / "survey.h5", manifest=manifest)
    assert len(read("survey.h5", "hdf5", layout={"table": "deep"})) == N  # the rest of the file can be used
    spliced(tmp_path, source=lambda file: file.create_dataset("image", data=stamps))
    with pytest.raises(DataNotFoundError, match="200 of 400 values"):
        rows_in(tmp_path / "survey.h5", key="half")


def test_an_hdf5_filter_that_is_not_installed_is_named(tmp_path, images_manifest, write_published, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    path = tmp_path / "train.hdf5"
    write_published(path, options={"chunks": (2, 5, 64, 64), "compression": "gzip"})
    content = path.read_bytes()
    at = content.index(b"deflate\0")  # its number lies eight bytes before
    content = content[: at - 8] + struct.pack("<H", 32001) + content[at - 6 : at] + b"blosc\0\0\0" + content[at + 8 :]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"'blosc' \(32001\)") as caught:
        read_file(path, manifest=images_manifest())
    assert "pip install hdf5plugin" in caught.value.remedy
    assert not isinstance(caught.value, CorruptFileError) and "elete" not in str(caught.value)


@pytest.mark.parametrize("layout", [{}, {"table": "data"}])
def test_a_compound_dataset_is_a_table(tmp_path, read, layout):
    table = Table(COLUMNS | {"id": np.arange(N) + 2**60, "name": ["a", "b", "c", "d"]})
    table.write(tmp_path / "a.h5", path="data", format="hdf5")
    survey = read("a.h5", "hdf5", layout=layout, id=ID)
    assert survey.ids.tolist() == table["id"].tolist() and survey.catalogue["name"][:].tolist() == list("abcd")
    np.testing.assert_array_equal(survey.labels["z"], COLUMNS["redshift"])
    np.testing.assert_array_equal(survey.inputs["magnitudes"][[2, 0]][:, 1], COLUMNS["mag_r"][[2, 0]].astype("f4"))


def test_of_several_compound_datasets_one_is_named(tmp_path, read):
    for path in ("first", "second"):
        Table(COLUMNS).write(tmp_path / "a.h5", path=path, format="hdf5", append=True)
    assert len(read("a.h5", "hdf5", layout={"table": "second"})) == N
    with pytest.raises(SchemaError, match="available: first/redshift, first/mag_g"):
        read("a.h5", "hdf5")
    with pytest.raises(SchemaError, match="available: first, second"):
        read("a.h5", "hdf5", layout={"table": "third"})


def test_every_level_of_a_parquet_index_is_a_column(tmp_path, read):
    table = pd.DataFrame(COLUMNS | {"id": np.arange(N) + 2**60, "ra": np.linspace(1, 2, N)})
    table.set_index(["id", "ra"]).to_parquet(tmp_path / "a.parquet")
    survey = read("a.parquet", "parquet", id=ID)
    assert survey.ids.tolist() == table["id"].tolist() and survey.catalogue["ra"][:].tolist() == table["ra"].tolist()


def test_parquet_as_other_programs_write_it(tmp_path, read):
    """Decimal numbers, categories, nulls; and a folder whose name looks like a partition."""
    columns = {name: pa.array(values) for name, values in COLUMNS.items()}
    columns["mag_g"] = pa.array([20.5, None, 22.5, 23.5]).cast(pa.decimal128(5, 2))
    columns["id"] = pa.array(["a", "b", "a2", "d"]).dictionary_encode()
    (tmp_path / "redshift=9").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "redshift=9" / "a.parquet")
    survey = read("redshift=9/a.parquet", "parquet", id=ID)
    np.testing.assert_array_equal(survey.inputs["magnitudes"][:][:, 0], [20.5, np.nan, 22.5, 23.5])
    assert survey.ids.tolist() == ["a", "b", "a2", "d"] and survey.labels["z"].tolist() == [0.1, 0.2, 0.3, 0.4]


def test_columns_of_one_name_are_refused_where_they_are_used(tmp_path, read):
    (tmp_path / "a.csv").write_text("redshift,mag_g,mag_g,mag_r,x,x\n0.1,20,21,22,1,2\n")
    one = pa.array([1.0])
    pq.write_table(pa.Table.from_arrays([one] * 4, ["redshift", "mag_g", "mag_r", "mag_g"]), tmp_path / "a.parquet")
    fits.BinTableHDU(Table(COLUMNS)).writeto(tmp_path / "a.fits")
    fits.setval(tmp_path / "a.fits", "TTYPE3", value="mag_g", ext=1)
    for kind in ("csv", "parquet", "fits"):
        with pytest.raises(SchemaError, match="several columns of this name"):
            read(f"a.{kind}", kind)
    survey = read("a.csv", "csv", magnitudes={"channels": ["r"], "columns": ["mag_r"]})
    assert len(survey) == 1 and "x" not in survey.catalogue


CSV = "redshift,mag_g,mag_r\n0.1,20,21\n0.2,22,23\n"


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + CSV.encode(),
        CSV.replace("\n", "\r\n").encode(),
        CSV.replace("20,21", '"20","21"').encode(),
        CSV.replace("20,21", "20,21,").encode(),
        CSV.replace("\n0.2", "\n# a remark\n\n0.2").encode(),
        CSV.rstrip().encode(),
    ],
    ids=["BOM", "CRLF", "quotes", "trailing delimiter", "remark", "no end"],
)
def test_csv_as_others_write_it(tmp_path, read, content):
    (tmp_path / "a.csv").write_bytes(content)
    survey = read("a.csv", "csv", layout={"comment": "#"})
    np.testing.assert_array_equal(survey.inputs["magnitudes"][:], [[20, 21], [22, 23]])
    assert survey.labels["z"].tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CSV.replace("22", "INDEF"), "'mag_g' in a.csv must be numbers[\\s\\S]*row 1 holds 'INDEF'"),
        (CSV.replace("22", '"1,022.5"'), "row 1 holds '1,022.5'"),
        (CSV.replace("22", '"22,5"'), "row 1 holds '22,5'"),
        (CSV.replace("\n0.2", "\n# a remark\n0.2"), "'redshift'[\\s\\S]*row 1 holds '# a remark'"),
        (CSV.replace("22", "2\0"), "row 1 holds"),
        (CSV.replace("0.1,20", "0.1,20,5,6"), "names and skip_rows"),
        (CSV.replace("22,23\n", "22"), "cut short: its last line has 2"),
        (CSV + "0.3,21,\xe9", "not UTF-8[\\s\\S]*iconv"),
    ],
)
def test_csv_that_is_refused_says_where(tmp_path, read, content, words):
    (tmp_path / "a.csv").write_bytes(content.encode("latin1"))
    with pytest.raises(DataError, match=words):
        read("a.csv", "csv")


def packed(content, share):
    content = gzip.compress(content)
    return content[: int(len(content) * share)]


def test_downloads_that_broke_off(tmp_path, catalogue_manifest):
    many = Table({name: np.linspace(0.1, 30, 500) for name in COLUMNS})
    many.write(tmp_path / "a.fits")
    whole, text = (tmp_path / "a.fits").read_bytes(), many.to_pandas().to_csv(index=False).encode()
    many.to_pandas().to_parquet(tmp_path / "a.parquet")
    files = {"a.fits": whole[:-5760], "a.parquet": (tmp_path / "a.parquet").read_bytes()[:-900]}
    for share in (0.5, 0.97):
        files |= {f"a{share}.fits.gz": packed(whole, share), f"a{share}.csv.gz": packed(text, share)}
    flipped = bytearray(gzip.compress(whole))
    flipped[len(flipped) // 2] ^= 1
    files["flipped.fits.gz"] = bytes(flipped)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        kind = next(kind for kind in ("fits", "csv", "parquet") if kind in name)
        with pytest.raises(CorruptFileError, match=r"cut short|damaged"):
            read_file(tmp_path / name, manifest=catalogue_manifest(path=name, layout={"format": kind}))


def test_a_file_without_its_last_padding_is_whole(tmp_path, read):
    Table(COLUMNS).write(tmp_path / "a.fits")
    (tmp_path / "a.fits").write_bytes((tmp_path / "a.fits").read_bytes()[:-2000])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read("a.fits", "fits").labels["z"], COLUMNS["redshift"])


def test_the_command_line_names_a_torn_download(tmp_path):
    text = pd.DataFrame({name: np.linspace(1, 30, 500) for name in COLUMNS}).to_csv(index=False).encode()
    (tmp_path / "a.csv.gz").write_bytes(packed(text, 0.5))
    (tmp_path / "a.toml").write_text(
        'name="torn"\ntitle="torn"\nversion="1"\n[input.magnitudes]\nchannels=["g"]\ncolumns=["mag_g"]\n'
        '[format]\nformat="csv"\n[[files]]\npath="a.csv.gz"\n'
    )
    command = "import sys; sys.argv[0] = 'astrolab'; from astrolab.cli import main; main()"
    done = run([sys.executable, "-c", command, "data", "import", tmp_path / "a.toml"], capture_output=True, text=True)
    assert done.returncode == 2 and "cut short" in done.stderr
    assert "Traceback" not in done.stderr and "Aborted" not in done.stderr


def test_an_npz_of_columns_is_a_catalogue_and_a_bad_one_is_named(tmp_path, read, images_manifest):
    np.savez(tmp_path / "a.npz", **COLUMNS, object_column=np.array([{}, 1, 2, 3], dtype=object))
    assert len(read("a.npz", "npz")) == N  # the column that would be unpickled is not asked for
    np.savez(tmp_path / "b.npz", image=np.ones((N, 2, 5, 5)), z=np.full(N, np.inf))
    label = [{"name": "z", "column": "z"}]
    manifest = fits_manifest(images_manifest, tmp_path, key="image", name="b.npz", form="npz", label=label)
    assert "must be a number, or nothing" in " ".join(verify_survey(manifest).detail)
    np.save(tmp_path / "b.npy", np.ones(3))
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(CorruptFileError, match="not npz"):
        read_file(tmp_path / "b.npz", manifest=manifest)


def test_pixels_that_go_away_after_opening(tmp_path, images_manifest):
    fits.writeto(tmp_path / "a.fits", np.ones((1, 2, 40, 40)))
    image = read_file(tmp_path / "a.fits", manifest=fits_manifest(images_manifest)).inputs["image"]
    (tmp_path / "a.fits").write_bytes((tmp_path / "a.fits").read_bytes()[:4000])
    with pytest.raises(CorruptFileError, match="damaged or cut short"):
        image[:]
    (tmp_path / "a.fits").unlink()
    with pytest.raises(DataNotFoundError):
        image[:]


def test_a_damaged_tile_of_compressed_pixels(tmp_path, images_manifest):
    pixels = np.random.default_rng(0).integers(0, 9000, (N, 2, 30, 30)).astype("i4")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, name="SCI")]).writeto(tmp_path / "a.fits")
    manifest = fits_manifest(images_manifest, key="sci")
    np.testing.assert_array_equal(read_file(tmp_path / "a.fits", manifest=manifest).inputs["image"][:], pixels)
    content = bytearray((tmp_path / "a.fits").read_bytes())
    content[-6000:-3000] = b"\xff" * 3000
    (tmp_path / "a.fits").write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"a\.fits"), open_fits(tmp_path / "a.fits") as hdus:
        assert hdus["SCI"].data is not None


def test_a_file_that_this_user_may_not_read(tmp_path, read, monkeypatch):
    (tmp_path / "a.csv").write_text(CSV)
    monkeypatch.setattr(pd, "read_csv", _refuse)
    with pytest.raises(CorruptFileError, match="may not read"):
        read("a.csv", "csv")


def _refuse(*_, **__):
    raise PermissionError(13, "Permission denied")
