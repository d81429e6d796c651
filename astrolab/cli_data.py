"""The ``astrolab data`` commands: what surveys there are, and how to get, check, import and cite them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from astrolab.datasets.cards import cite as cite_survey
from astrolab.datasets.cards import data_card, in_columns, survey_table
from astrolab.datasets.fetching import fetch as fetch_survey
from astrolab.datasets.fetching import realisations
from astrolab.datasets.manifest import Manifest, data_dir, load_manifest, shipped_manifests
from astrolab.errors import ConfigError

data_app = typer.Typer(help="Surveys: list, describe, simulate, fetch, verify, import, cite.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of a survey, or the path of its manifest.")]
Directory = Annotated[Path | None, typer.Option(help="Where the files are, instead of the data folder.")]


@data_app.command("list")
def list_surveys() -> None:
    """List the surveys that can be asked for by name."""
    rows = [("name", "kind", "title", "galaxies", "on disk")]
    for survey in survey_table().itertuples():
        unknown = "of its members" if survey.kind.startswith("recipe") else "?"
        n = unknown if pd.isna(survey.n) else f"{survey.n:,}"
        rows.append((survey.name, survey.kind, survey.title, n, survey.on_disk))
    typer.echo(in_columns(rows))
    typer.echo(f"\ndata folder  {data_dir()}")


@data_app.command()
def info(name: Name) -> None:
    """Show the data card of a survey: what it is, whose, which columns and files, how it is simulated."""
    typer.echo(data_card(name))


@data_app.command()
def simulate(
    name: Name,
    n: Annotated[int | None, typer.Option(help="How many galaxies; by default the manifest's number.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other galaxies.")] = 0,
    directory: Annotated[Path | None, typer.Option(help="Where to write, instead of the data folder.")] = None,
) -> None:
    """Simulate a twin survey; what was made before with the same settings is used again."""
    from astrolab.datasets.loading import load_survey

    manifest = load_manifest(name)
    if not manifest.simulated:
        raise _not_simulated(manifest.name)
    typer.echo(repr(load_survey(manifest, n=n, seed=seed, directory=directory)))
    for folder in [directory] if directory else _newest_folders(manifest):
        typer.echo(str(folder))


@data_app.command()
def fetch(
    name: Name,
    split: Annotated[str | None, typer.Option(help="train, validation or test; by default all.")] = None,
    size: Annotated[int | None, typer.Option(help="Image side length (px); by default the survey's first.")] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Forget hashes that were recorded on first use.")] = False,
) -> None:
    """Download the files of a survey, as far as they are not here; a download that broke off goes on."""
    for path in fetch_survey(name, split=split, size=size, forget=forget):
        typer.echo(str(path))


@data_app.command()
def verify(name: Name, directory: Directory = None) -> None:
    """Check every file of a survey to the last byte and pixel; exit code 1 if something is wrong."""
    from astrolab.datasets.checking import verify_survey

    table = verify_survey(name, directory=directory)
    marks = table.ok.map({True: "ok", False: "WRONG"})
    rows = zip(marks, table.file, table.check, table.detail, strict=True)
    typer.echo(in_columns([("", "file", "check", "detail"), *rows]))
    n_wrong = int((~table.ok).sum())
    typer.echo(f"\n{len(table)} checks, {n_wrong} wrong")
    if n_wrong:
        raise typer.Exit(1)


@data_app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="The manifest of your survey, a .toml file.")],
    directory: Annotated[Path | None, typer.Option(help="Where its files are, if not beside the manifest.")] = None,
) -> None:
    """Check a survey of your own against its manifest, and make it known by its name."""
    from astrolab.datasets.checking import import_survey

    manifest = import_survey(path, directory=directory)
    typer.echo(f"{manifest.title} is now known as {manifest.name!r}; its files stay in {manifest.folder}")


@data_app.command()
def cite(name: Name) -> None:
    """Print whom to thank: a sentence for the acknowledgements, and BibTeX."""
    typer.echo(cite_survey(name))


def _not_simulated(name: str) -> ConfigError:
    manifests = [load_manifest(other) for other in shipped_manifests()]
    twins = [manifest.name for manifest in manifests if manifest.twin and manifest.twin.of == name]
    return ConfigError(
        f"{name!r} was to be simulated.",
        received="a survey of real galaxies",
        available=", ".join(manifest.name for manifest in manifests if manifest.simulated),
        remedy=f"astrolab data simulate {twins[0]}" if twins else f"astrolab data fetch {name}",
    )


def _newest_folders(manifest: Manifest) -> list[Path]:
    members = [load_manifest(name) for name in manifest.recipe.members] if manifest.recipe else [manifest]
    return [realisations(member)[-1] for member in members]
