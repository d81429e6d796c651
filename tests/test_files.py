import errno
import hashlib
import shutil
import subprocess
import sys

import pytest

from astrolab.errors import ConfigError, DiskFullError
from astrolab.files import (
    DIGEST_PLACE,
    digest_fault,
    require_space,
    sha256_of,
    short_names,
    source_digest,
    with_ending,
    write_atomically,
    write_digest,
)


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), write_atomically(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "model"
    for text in ("first", "second"):
        with write_atomically(path) as part:
            part.mkdir()
            (part / "card").write_text(text)
    assert (path / "card").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_a_killed_process_left_goes_with_the_next_write_and_nothing_else(tmp_path):
    path = tmp_path / "model-[1]"
    code = (
        "import os, sys, signal; from astrolab.files import write_atomically\n"
        "with write_atomically(sys.argv[1]) as part:\n"
        "    part.mkdir(); (part / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    (abandoned,) = tmp_path.iterdir()
    of_another = abandoned.with_name(abandoned.name.replace("model", "other"))
    of_another.mkdir()
    elsewhere = tmp_path / ".part-anothermachine-1-model-[1]"
    elsewhere.mkdir()
    with write_atomically(path) as part:
        assert not abandoned.exists()
        part.mkdir()
    assert path.is_dir() and of_another.is_dir() and elsewhere.is_dir()


def test_a_file_holds_the_digest_of_all_else_in_it(tmp_path):
    path, text = tmp_path / "card.json", f'{{"a": 1, "digest": "{DIGEST_PLACE}", "b": "{"x" * 3_000_000}"}}'
    path.write_text(text)
    assert sha256_of(path) == hashlib.sha256(text.encode()).hexdigest()
    write_digest(path)
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert path.read_text() == text.replace("0" * 64, expected)
    assert digest_fault(path) == ""
    path.write_text(path.read_text().replace('"a": 1', '"a": 2'))
    assert "edited" in digest_fault(path)
    for content in ("", "{}", DIGEST_PLACE[:10]):
        path.write_text(content)
        assert "without the digest" in digest_fault(path)


def test_a_full_disk_is_named_and_cleaned_up(tmp_path):
    with pytest.raises(DiskFullError, match="to do"), write_atomically(tmp_path / "weights") as part:
        part.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_fit_is_refused_before_writing(tmp_path):
    with pytest.raises(DiskFullError, match="takes"):
        require_space(tmp_path / "new" / "weights", needed_bytes=shutil.disk_usage(tmp_path).total * 10)


def test_numbers_after_a_dot_stay_in_a_name():
    names = ["z_0.3", "z_0.7", "low z < 0.5", "mine.CSV", "mine.csv", "mine"]
    given = [with_ending(f"folder.d/{name}", ending=".ecsv", instead_of=(".csv",)) for name in names]
    expected = ["z_0.3.ecsv", "z_0.7.ecsv", "low z < 0.5.ecsv", "mine.ecsv", "mine.ecsv", "mine.ecsv"]
    assert [path.name for path in given] == expected and {path.parent.name for path in given} == {"folder.d"}


def test_a_digest_of_source_changes_with_what_runs_and_with_nothing_else(tmp_path):
    def digest(text):
        (tmp_path / "code.py").write_text(text)
        return source_digest([tmp_path / "code.py"])

    plain = "class Star:\n    mass = 1\n\n\ndef shine(x):\n    return x + 1\n"
    documented = "class Star:\n  'A star.'\n  mass = 1  # solar\ndef shine(x):\n  'Shine.'\n  # so\n  return (x + 1)\n"
    assert digest(documented) == digest(plain)
    assert (
        len({digest(text) for text in (plain, plain.replace("+", "-"), plain.replace("mass = 1", "mass = '1'"))}) == 3
    )
    assert digest("def f():\n    'Only words.'") == digest("def f():\n    pass")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "runs").write_text("a file where a folder is to be")
    with pytest.raises(ConfigError, match="ASTROLAB_RUNS_DIR"), write_atomically(tmp_path / "runs" / "one.json"):
        pass
    with pytest.raises(ConfigError, match="Read-only file system"), write_atomically(tmp_path / "one.json") as part:
        part.write_text("half")
        raise OSError(errno.EROFS, "Read-only file system")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_as_many_parents_as_it_takes_to_be_the_only_one(tmp_path):
    folders = [tmp_path / name for name in ("a/x/run", "b/x/run", "b/y/run", "other")]
    assert list(short_names(folders).values()) == ["a/x/run", "b/x/run", "y/run", "other"]


def test_a_folder_that_is_there_twice_has_one_name(tmp_path):
    assert short_names([tmp_path / "a", tmp_path / "a"]) == {tmp_path / "a": "a"}
