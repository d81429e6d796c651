import pytest

from astrolab.errors import ConfigError
from astrolab.gallery.folders import require_replaceable


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


@pytest.mark.parametrize("content", [["thesis.tex"], ["index.html"], ["gallery.json", ".git"]])
def test_a_folder_that_holds_anything_else_is_refused(tmp_path, content):
    for name in content:
        touch(tmp_path / "site" / name)
    with pytest.raises(ConfigError, match="to do") as error:
        require_replaceable(tmp_path / "site", folders=[])
    assert sorted(content)[0] in str(error.value)


def test_a_file_and_a_folder_with_the_runs_in_it_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="is a file"):
        require_replaceable(touch(tmp_path / "site"), folders=[])
    touch(tmp_path / "gallery/gallery.json")
    run = touch(tmp_path / "gallery/runs/study/a/run.json").parent
    with pytest.raises(ConfigError, match="replaces"):
        require_replaceable(tmp_path / "gallery", folders=[run])


def test_nothing_an_empty_folder_and_an_older_gallery_are_fine(tmp_path):
    require_replaceable(tmp_path / "new", folders=[])
    (tmp_path / "empty").mkdir()
    require_replaceable(tmp_path / "empty", folders=[])
    touch(tmp_path / "old/gallery.json")
    touch(tmp_path / "old/index.html")
    require_replaceable(tmp_path / "old", folders=[])
