from astrolab.naming import short_names


def test_as_many_parents_as_it_takes_to_be_the_only_one(tmp_path):
    folders = [tmp_path / name for name in ("a/x/run", "b/x/run", "b/y/run", "other")]
    assert list(short_names(folders).values()) == ["a/x/run", "b/x/run", "y/run", "other"]


def test_a_folder_that_is_there_twice_has_one_name(tmp_path):
    assert short_names([tmp_path / "a", tmp_path / "a"]) == {tmp_path / "a": "a"}
