import shutil
from pathlib import Path

import astrolab
from astrolab.runs.code import code_digest


def test_code_that_trains_otherwise_has_another_digest(tmp_path):
    package = tmp_path / "astrolab"
    shutil.copytree(Path(astrolab.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_digest(package)
    assert before == code_digest(Path(astrolab.__file__).parent)
    code_digest.cache_clear()
    (package / "plots" / "style.py").write_text("")
    assert code_digest(package) == before, "figures have no say in weights"
    code_digest.cache_clear()
    losses = package / "trainers" / "losses.py"
    losses.write_text(losses.read_text() + "\n")
    assert code_digest(package) != before
