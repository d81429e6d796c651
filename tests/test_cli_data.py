import h5py
import numpy as np
import pytest
from local_server import serve
from own_surveys import IMAGES
from typer.testing import CliRunner

from astrolab.cli import data_app
from astrolab.errors import ChecksumError, ConfigError, DataNotFoundError, ManifestError, UnknownNameError

pytestmark = pytest.mark.usefixtures("data_folder")


@pytest.fixture
def mine(tmp_path):
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["image"], file["z"] = np.random.default_rng(0).normal(size=(3, 2, 8, 8)), np.ones(3)
    (tmp_path / "mine.toml").write_text(IMAGES)
    return tmp_path / "mine.toml"


def call(*arguments, exit_code=0):
    result = CliRunner().invoke(data_app, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.output


def test_list():
    output = call("list")
    assert "286,401" in output and "TransferZ-Images" in output and "data folder" in output


def test_info_and_cite():
    assert "specz_redshift" in call("info", "galaxiesml")
    assert "@misc{Do2024GalaxiesML" in call("cite", "combo")
    with pytest.raises(UnknownNameError, match="Did you mean 'galaxiesml'"):
        call("info", "galaxyml")


def test_import_then_verify(mine):
    assert "now known as 'mine'" in call("import", mine)
    assert "My own survey" in call("list")
    assert "0 wrong" in call("verify", "mine")
    with h5py.File(mine.parent / "mine.h5", "a") as file:
        file["z"][0] = 5.0
    assert "1 wrong" in call("verify", "mine", exit_code=1)
    with pytest.raises(ManifestError, match=r"1 of 3 galaxies outside what is possible, \[0, 2\]"):
        call("import", mine)


def test_import_from_another_folder(mine, tmp_path):
    (tmp_path / "manifests").mkdir()
    moved = mine.rename(tmp_path / "manifests" / "mine.toml")
    assert str(tmp_path) in call("import", moved, "--directory", tmp_path)


def test_fetch_what_is_here_and_what_nobody_has(mine):
    assert str(mine.parent / "mine.h5") in call("fetch", mine)
    with pytest.raises(DataNotFoundError, match="astrolab data simulate twin-galaxiesml"):
        call("fetch", "twin-galaxiesml")


def test_simulate(tmp_path):
    output = call("simulate", "twin-galaxiesml", "--n", 12, "--seed", 1)
    assert "12 galaxies" in output and "simulated" in output
    assert str(tmp_path / "data" / "twin-galaxiesml") in output
    assert "0 wrong" in call("verify", "twin-galaxiesml")
    with pytest.raises(ConfigError, match="astrolab data simulate twin-galaxiesml"):
        call("simulate", "galaxiesml")


DAMAGED = {
    "bad TOML": b"name = [",
    "missing keys": b'folder = "/"\nname = "torn"\n',
    "no folder": IMAGES.encode(),
    "a folder that is none": b"folder = 5\n" + IMAGES.encode(),
    "not UTF-8": b"\xff\xfe" + IMAGES.encode("utf-16-le"),
    "empty": b"",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_manifest_of_an_imported_survey_is_named_and_stops_no_other(mine, tmp_path, content):
    call("import", mine)
    (tmp_path / "data" / "manifests" / "torn.toml").write_bytes(content)
    lines = call("list").splitlines()
    assert any(line.startswith("torn") and "unusable: ManifestError" in line for line in lines)
    assert any(line.startswith("mine") and "My own survey" in line for line in lines)
    for command in ("info", "verify", "cite", "fetch"):
        with pytest.raises(ManifestError, match=r"torn\.toml"):
            call(command, "torn")
    with pytest.raises(ConfigError, match="astrolab data simulate twin-galaxiesml"):
        call("simulate", "galaxiesml")


def test_a_manifest_that_is_a_folder_or_a_member_of_itself_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="directory"):
        call("info", f"{tmp_path}/")
    text = 'name = "own"\ntitle = "Own"\nversion = "1"\n[recipe]\nmembers = ["own"]\nkeep = "own"\n'
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ManifestError, match="no member of itself"):
        call("import", tmp_path / "own.toml")


def test_a_hash_that_was_recorded_on_first_use_can_be_forgotten(mine, tmp_path):
    content = (mine.parent / "mine.h5").read_bytes()
    (mine.parent / "mine.h5").unlink()
    with serve() as server:
        server.files["mine.h5"] = content
        mine.write_text(IMAGES + f'urls = ["{server.url("mine.h5")}"]\n')
        path = tmp_path / "data" / "mine" / "1" / "mine.h5"
        assert str(path) in call("fetch", mine)
        path.unlink()
        server.files["mine.h5"] = content + b"published anew"
        with pytest.raises(ChecksumError, match="--forget"):
            call("fetch", mine)
        assert str(path) in call("fetch", mine, "--forget")
        assert "0 wrong" in call("verify", mine)
