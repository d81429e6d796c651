"""What the README shows can be typed as it stands."""

import re
from pathlib import Path

from simulated_runs import SURVEYS, write_run

import astrolab as al
from astrolab.parameters import default_parameters, find_notebook

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def code_under(heading: str) -> str:
    return re.search(r"```python\n(.*?)```", README.partition(f"## {heading}")[2], re.S)[1]


def test_the_code_fits_together_as_the_readme_shows():
    code = code_under("How the code fits together")
    for large, small in {"n=2000": "n=120", "epochs=2": "epochs=1"}.items():
        assert large in code
        code = code.replace(large, small)
    namespace = {}
    *statements, last = code.strip().splitlines()
    exec("\n".join(statements), namespace)
    scores = eval(last, namespace)
    assert sum(p.numel() for p in namespace["network"].parameters()) == 11_577_025
    assert namespace["adapted"].plan.n_trainable == 152_280
    assert set(scores["metric"]) >= {"bias", "scatter"} and scores["simulated"].all()


def test_the_ledger_is_used_as_the_readme_shows(tmp_path, monkeypatch):
    quick = default_parameters(find_notebook("lora_vs_transfer"))
    arms = {name: {survey: (0.01, width) for survey in SURVEYS} for name, width in (("lora", 0.02), ("tl", 0.06))}
    for name in ("first", "again"):
        write_run(tmp_path / "runs" / name, arms=arms, parameters=quick)
    write_run(tmp_path / "runs" / "smoke", arms=arms, parameters={"epochs": 1})
    fractions = {f"lora@{fraction}": arms["lora"] for fraction in (0.1, 0.5, 1.0)}
    write_run(tmp_path / "runs" / "other", arms=fractions, study="data_fractions", direction=None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASTROLAB_RUNS_DIR", raising=False)
    *statements, claims = code_under("Compare").strip().splitlines()
    *statements, comparison = statements
    namespace = {"al": al}
    exec("\n".join(statements), namespace)
    compared = eval(comparison, namespace)
    assert set(compared.query("metric == 'scatter'")["better"]) == {"lora"}
    assert set(eval(claims, namespace)["protocol"]) == {"fair"}
