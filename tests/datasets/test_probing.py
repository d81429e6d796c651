import h5py
import numpy as np
import pytest
from astrolab.datasets.manifests import parse_manifest
from astrolab.datasets.probing import in_one_line, read_or_probe

from astrolab.errors import SchemaError

N = 6
IMAGES = {
    **{"name": "sky", "title": "Sky", "version": "1", "kind": "images"},
    "label": {"name": "z", "column": ["zspec", "z_spec"]},
    "id": {"column": "object_id", "scheme": "sky"},
    "sky": {"ra": "ra", "dec": "dec"},
    "image": {"key": "image", "bands": ["g", "r"], "sizes": [8]},
    "files": [{"path": "a.h5", "size": 8}],
}


def write_images(path, **changes):
    contents = {
        "image": np.ones((N, 2, 8, 8), np.float32),
        "z_spec": np.linspace(0.1, 1, N),
        "object_id": np.arange(N) + 2**60,
        "ra": np.full(N, 150.0),
        "dec": np.full(N, 2.0),
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, values in contents.items():
            if values is not None:
                file[name] = values


@pytest.fixture
def probe(tmp_path):
    def run(*, manifest=IMAGES, **changes):
        write_images(tmp_path / "a.h5", **changes)
        return read_or_probe(tmp_path / "a.h5", manifest=parse_manifest(manifest, where="a.toml", folder=tmp_path))

    return run


def test_a_file_that_fits_is_read(probe):
    survey, problems = probe()
    assert not problems and len(survey) == N and survey.inputs["image"].shape == (N, 2, 8, 8)


def test_every_problem_of_a_file_is_found(probe):
    survey, problems = probe(
        image=np.ones((N, 3, 8, 8), np.float32), object_id=np.linspace(0, 1, N), ra=None, z_spec=np.ones((N, 2))
    )
    assert survey is None
    found = "\n".join(problems)
    assert len(problems) == 4
    assert "(6, 3, 8, 8)" in found  # the number of bands
    assert "[label]" in found and "(6, 2)" in found
    assert "[id]" in found and "float" in found
    assert "[sky] ra: the file has no column 'ra'" in found


def test_the_nearest_column_is_named(probe):
    manifest = {**IMAGES, "id": {"column": "ObjectID", "scheme": "sky"}}
    _, problems = probe(manifest=manifest)
    assert problems == [
        "[id]: the file has no column 'ObjectID'; the nearest is 'object_id'; it has dec, image, object_id, ra, z_spec"
    ]


def test_magnitudes_are_tried_band_by_band(probe):
    photometry = {"bands": ["g", "r"], "columns": ["mag_g", "mag_r"]}
    _, problems = probe(manifest={**IMAGES, "magnitudes": photometry}, G_mag=np.ones(N))
    assert [problem.split(":")[0] for problem in problems] == ["[magnitudes] g", "[magnitudes] r"]


def test_what_is_no_hdf5_is_said_once(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"<html>not found</html>")
    _, problems = read_or_probe(tmp_path / "a.h5", manifest=parse_manifest(IMAGES, where="a.toml", folder=tmp_path))
    assert len(problems) == 1 and "not HDF5" in problems[0]


def test_an_error_in_one_line():
    error = SchemaError("Bands were counted.", received="three\nbands", available="two", remedy="Correct the manifest.")
    assert in_one_line(error) == "Bands were counted. Received: three bands; available: two. Correct the manifest."
