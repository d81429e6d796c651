"""Run folders: everything a study made, and everything needed to know how.

::

    runs/lora_vs_transfer/2026-11-21T07-35-12-3fa9c1d2/
        run.json              parameters, digests of code and data, circumstances, one record a fit, status
        notebook.ipynb        the executed notebook        report.html  the same, self-contained
        predictions.parquet   one row a galaxy, arm, seed  scores.csv   computed from it, no GPU needed
        histories.csv         losses and rates an epoch    costs.csv    what each fit cost
        figures/              PNG and PDF of each figure
        models/<arm>-s<seed>/ weights (safetensors), model card
    runs/store/<digest>.safetensors    fits that several runs share, such as base models

`code` fingerprints what trains, `records` names folders and says what stands in ``run.json``, `shapes` whether it is
whole, `folder` is an open run, `trials` and `store` are how it trains; `ledger` reads any number of finished ones.
"""

from astrolab.runs.folder import Run, open_run
from astrolab.runs.records import (
    find_unfinished,
    load_record,
    new_run_folder,
    parameters_digest,
    runs_dir,
)

__all__ = [
    "Run",
    "find_unfinished",
    "load_record",
    "new_run_folder",
    "open_run",
    "parameters_digest",
    "runs_dir",
]
