import json
from types import SimpleNamespace

import pytest

from astrolab.errors import ConfigError, CorruptFileError, DataNotFoundError, PredictionError
from astrolab.exploring.gathering import gather_predictions, recorded_z_range
from astrolab.predictions import save_predictions


@pytest.fixture
def folders(predictions, tmp_path):
    for name in ("first", "second"):
        save_predictions(predictions, path=tmp_path / name / "predictions.parquet")
    return tmp_path / "first", tmp_path / "second"


def test_a_table_a_run_its_folder_and_its_file_are_the_same(predictions, folders):
    sources = [predictions, SimpleNamespace(folder=folders[0]), folders[0], str(folders[0] / "predictions.parquet")]
    for source in sources:
        assert gather_predictions(source).equals(predictions)


def test_a_ledger_reads_its_predictions_itself(predictions):
    ledger = SimpleNamespace(predictions=lambda: predictions)
    assert gather_predictions(ledger) is predictions


def test_several_runs_are_told_apart_by_name(predictions, folders):
    by_key = gather_predictions({"mine": predictions, "theirs": folders[1]})
    assert by_key["run"].value_counts().to_dict() == {"mine": 6, "theirs": 6}
    by_folder = gather_predictions([SimpleNamespace(folder=folders[0]), folders[1]])
    assert by_folder["run"].unique().tolist() == ["first", "second"]
    assert by_folder["object_id"].dtype == "int64"


def test_runs_whose_folders_have_one_name_are_told_apart_by_where_they_are(predictions, tmp_path):
    for place, part in (("a", predictions.query("arm == 'tl'")), ("b", predictions.query("arm == 'lora'"))):
        save_predictions(part, path=tmp_path / place / "same" / "predictions.parquet")
    folders = [tmp_path / "a" / "same", tmp_path / "b" / "same"]
    for sources in (folders, [str(folder / "predictions.parquet") for folder in folders]):
        table = gather_predictions(sources)
        assert table.groupby("run", sort=False)["arm"].unique().map(list).tolist() == [["tl"], ["lora"]]
    assert gather_predictions(folders)["run"].unique().tolist() == ["a/same", "b/same"]
    assert len(gather_predictions([folders[0], str(folders[0])])) == 3, "one run, named twice"


def test_anything_else_is_refused(predictions, tmp_path):
    for source in (7, [predictions]):
        with pytest.raises(PredictionError, match="predictions table"):
            gather_predictions(source)
    with pytest.raises(PredictionError, match="no run"):
        gather_predictions([])
    with pytest.raises(DataNotFoundError):
        gather_predictions(tmp_path / "nothing")


def record(folder, text):
    (folder / "run.json").write_text(text if isinstance(text, str) else json.dumps({"parameters": text}))


def test_the_range_that_is_scored_is_that_of_the_run(predictions, folders):
    first, second = folders
    record(first, {"z_range": [0, 1.5]})
    ledger = SimpleNamespace(predictions=lambda: predictions, folders=[first])
    run, file = SimpleNamespace(folder=first), str(first / "predictions.parquet")
    for source in (first, file, run, ledger, [second, first], {"one": first, "mine": predictions}):
        assert recorded_z_range(source) == (0.0, 1.5)


def test_without_a_record_the_range_is_that_of_the_paper(predictions, folders):
    first, second = folders
    assert recorded_z_range(predictions) == recorded_z_range([first, second]) == (0.3, 1.5)
    for parameters in (None, {}, {"z_range": None}, {"z_range": []}):
        record(first, parameters)
        assert recorded_z_range(first) == (0.3, 1.5)


def test_runs_that_were_scored_differently_need_a_range(folders):
    for folder, high in zip(folders, (1.5, 2.0), strict=True):
        record(folder, {"z_range": [0.3, high]})
    with pytest.raises(ConfigError, match=r"0\.3 to 1\.5 in first; 0\.3 to 2 in second"):
        recorded_z_range(folders)
    for content in (b"{", b"\xff\xfe", b"[]", b"{}", b'{"parameters": {"z_range": ["a", 1]}}'):
        (folders[0] / "run.json").write_bytes(content)
        with pytest.raises(CorruptFileError, match="damaged"):
            recorded_z_range(folders[0])
