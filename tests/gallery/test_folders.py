import pytest

from astrolab.errors import ConfigError, DataNotFoundError, RunError
from astrolab.gallery.folders import find_run_folders, require_replaceable


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def test_runs_are_found_at_any_depth_whole_or_damaged_and_each_once(tmp_path):
    whole = touch(tmp_path / "runs/study/a/run.json").parent
    touch(whole / "models/base-s0/notebook.ipynb")  # inside a run: not another run
    damaged = touch(tmp_path / "runs/study/b/notebook.partial.ipynb").parent
    touch(tmp_path / "runs/store/abc.safetensors")
    touch(tmp_path / "runs/site/gallery.json")
    touch(tmp_path / "runs/site/runs/study/a/scores.csv")  # a copy in an older gallery
    touch(tmp_path / "runs/.ipynb_checkpoints/notebook.ipynb")
    assert find_run_folders(tmp_path / "runs") == [whole, damaged]
    assert find_run_folders([whole, tmp_path / "runs", str(damaged)]) == [whole, damaged]


def test_no_run_and_no_folder_are_two_errors(tmp_path):
    with pytest.raises(RunError, match="astrolab run"):
        find_run_folders(tmp_path)
    with pytest.raises(DataNotFoundError, match="nowhere"):
        find_run_folders(tmp_path / "nowhere")


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
