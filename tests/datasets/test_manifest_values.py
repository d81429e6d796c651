import pytest

from astrolab.datasets import manifest_values as values


@pytest.mark.parametrize("path", ["a.h5", "deep/er/a.h5", "a..b.h5", ".hidden"])
def test_paths_that_stay_inside(path):
    assert values.PATH.fits(path)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a.h5", "a/../../b.h5", "..", r"..\a.h5", r"C:\a.h5", "C:a.h5", r"\\host\a", "", ".", 3]
)
def test_paths_that_leave_are_refused(path):
    assert not values.PATH.fits(path)


@pytest.mark.parametrize(
    ("kind", "fitting", "unfitting"),
    [
        (values.COUNT, [0, 7], [-1, 1.0, True, "1"]),
        (values.RANGE, [[0, 4.0]], [[4, 0], [0], [0, float("nan")], "0-4"]),
        (values.NUMBERS, [[-99, 99.0]], [["-99"], 99, [True]]),
        (values.FOLDER_NAME, ["my-survey_1.0"], ["my survey", "a/b", "..", ""]),
        (values.ADDRESSES, [["https://a.org/b"]], [["ftp://a"], ["file:///etc/passwd"], "https://a.org"]),
        (values.hexadecimal(4), ["00Ff"], ["00f", "00fg"]),
        (values.one_of("a", "b"), ["a"], ["c", 1, ["a"]]),
        (values.RENAMES, [{"a": "b"}], [{"a": 1}, ["a"]]),
    ],
)
def test_what_fits(kind, fitting, unfitting):
    assert all(map(kind.fits, fitting))
    assert not any(map(kind.fits, unfitting))


def test_one_word_is_a_list_of_one():
    assert values.TEXTS.becomes("z") == ("z",)
    assert values.TEXTS.becomes(["z", "y"]) == ("z", "y")
