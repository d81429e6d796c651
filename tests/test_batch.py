import nbformat
import pytest

from astrolab import batch
from astrolab.errors import RunError

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def tiny_study(tmp_path, monkeypatch):
    """A notebook of two cells in place of a shipped one."""

    def make(source: str):
        parameters = nbformat.v4.new_code_cell('run_dir: str = ""  # folder', metadata={"tags": ["parameters"]})
        node = nbformat.v4.new_notebook(metadata=KERNEL, cells=[parameters, nbformat.v4.new_code_cell(source)])
        path = tmp_path / "90_tiny.ipynb"
        nbformat.write(node, path)
        monkeypatch.setattr(batch, "find_notebook", lambda study: path)

    return make


def test_training_bars_are_not_kept_in_the_notebook(tiny_study, tmp_path):
    bar = "sys.stderr.write('\\r 10%\\n'); sys.stderr.flush()"
    tiny_study(f"import sys; {bar}; print('kept', run_dir); n = sys.stderr.write('\\n')")
    path = batch.execute("tiny", parameters={}, folder=tmp_path / "run", progress=False)
    outputs = nbformat.read(path, as_version=4).cells[-1].outputs
    assert [(o.name, o.text) for o in outputs] == [("stdout", f"kept {tmp_path / 'run'}\n")]


def test_a_failing_cell_keeps_the_notebook_under_a_partial_name(tiny_study, tmp_path):
    tiny_study("1 / 0")
    with pytest.raises(RunError, match="ZeroDivisionError"):
        batch.execute("tiny", parameters={}, folder=tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "notebook.partial.ipynb").is_file()
    assert not (tmp_path / "run" / "notebook.ipynb").exists()
