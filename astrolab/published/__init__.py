"""What papers printed: numbers with their source, to be shown beside what was measured here, never mixed with it."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

from astrolab.errors import unknown_name


def list_published() -> tuple[str, ...]:
    """Return the studies whose printed numbers ship with astrolab."""
    return tuple(sorted(entry.name[:-4] for entry in files(__name__).iterdir() if entry.name.endswith(".csv")))


def load_published(study: str, *, direction: str | None = None) -> pd.DataFrame:
    """Return the numbers that a paper printed, each with the table it stands in.

    They were measured on other data, with other weights; a figure that shows them must say so.

    Parameters
    ----------
    study : str
        Name of a study, e.g. ``"lora_vs_transfer"``.
    direction : {"forward", "reverse"}, optional
        Keep the models of one direction, and those that have none (trained on both surveys at once).

    Returns
    -------
    DataFrame
        Columns ``study``, ``direction``, ``model`` (the paper's name), ``arm`` (ours), ``dataset`` (the paper's name),
        ``survey`` (ours), ``metric``, ``value``, ``source``, and ``fraction`` (of the fine-tuning set) where that was
        varied. Training costs have the data set ``"training"``.

    Raises
    ------
    UnknownNameError
        If no such study, or no such direction, was published.

    Examples
    --------
    >>> table = load_published("lora_vs_transfer", direction="forward")
    >>> table.query("arm == 'lora' and metric == 'scatter'").set_index("dataset")["value"].to_dict()
    {'TransferZ-Images': 0.0476, 'GalaxiesML': 0.0184, 'Combo': 0.0223}
    """
    if study not in list_published():
        raise unknown_name("study with published numbers", name=study, names=list_published())
    with files(__name__).joinpath(f"{study}.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, keep_default_na=False)
    if direction is None:
        return table
    if direction not in set(table["direction"]):
        raise unknown_name("direction", name=direction, names=table["direction"].unique())
    return table[table["direction"].isin([direction, "both"])].reset_index(drop=True)
