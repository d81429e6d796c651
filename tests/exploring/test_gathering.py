from types import SimpleNamespace

import pytest

from astrolab.errors import DataNotFoundError, PredictionError
from astrolab.exploring.gathering import gather_predictions
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
