"""Run folders: everything a study made, and everything needed to know how.

::

    runs/lora_vs_transfer/2026-11-21T07-35-12-3fa9c1d2/
        run.json              parameters, task, move, digests of code and data, circumstances, fits, status
        notebook.ipynb        the executed notebook        report.html  the same, self-contained
        predictions.parquet   one row an object, model and test set      scores.csv   computed from it, no GPU needed
        histories.csv         losses and rates an epoch    costs.csv    what each fit cost
        figures/              PNG and PDF of each figure
        models/<arm>-s<seed>/ weights (safetensors), model card
    runs/store/<digest>.safetensors    fits that several runs share, such as base models

`record` says what is in ``run.json`` and names folders, `run` is an open one, `moving` makes its surveys ready and
takes a finished run up again, `finding` reads folders, and `ledger` is any number of finished runs in one table.
"""

from astrolab.runs.record import find_unfinished, load_record, new_run_folder, parameters_digest, runs_dir
from astrolab.runs.run import Run, open_run

__all__ = ["Run", "find_unfinished", "load_record", "new_run_folder", "open_run", "parameters_digest", "runs_dir"]
