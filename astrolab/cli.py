"""The ``astrolab`` command."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from astrolab.cli_data import data_app
from astrolab.cli_results import results
from astrolab.errors import AstrolabError, ParameterError
from astrolab.parameters import find_notebook, list_studies, read_declarations, read_title
from astrolab.presets import list_presets, read_yaml

app = typer.Typer(
    help="What happens when a model learned on one survey must work on another.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.command()(results)


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="Name of a study; `astrolab studies` lists them.")],
    preset: Annotated[
        str | None, typer.Option(help="smoke, paper, …, or a YAML file; without one: the quick run.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME VALUE", help="Set one parameter; repeatable.")
    ] = None,
    directory: Annotated[Path | None, typer.Option(help="The run folder; by default a new one under runs/.")] = None,
) -> None:
    """Run a study's notebook and write its report. A run that was cut off goes on where it stopped."""
    from astrolab.batch import run_study

    given = dict(_name_and_value(text) for text in parameter or [])
    folder = run_study(study, preset=preset, parameters=given, directory=directory)
    scores = folder / "scores.csv"
    if scores.is_file():
        typer.echo(_score_table(pd.read_csv(scores)))
    typer.echo(f"\nrun folder  {folder}\nreport      {folder / 'report.html'}")


@app.command()
def studies() -> None:
    """List the studies that ship with astrolab, with their question and presets."""
    for name, notebook in list_studies().items():
        typer.echo(
            f"{name:<22} {read_title(notebook)}\n{'':<22} presets: quick (default), {', '.join(list_presets(name))}"
        )


@app.command()
def parameters(study: Annotated[str, typer.Argument(help="Name of a study.")]) -> None:
    """List the parameters of a study: name, type, default and what it means."""
    for parameter in read_declarations(find_notebook(study)).values():
        typer.echo(f"{parameter.name:<22} {parameter.kind:<10} {parameter.default!r}\n{'':<22} {parameter.help}")


@app.command()
def gallery(
    runs: Annotated[
        Path | None, typer.Argument(help="Folder of runs; by default runs/, or $ASTROLAB_RUNS_DIR.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the site; an older gallery there is replaced.")] = Path("site"),
) -> None:
    """Show runs as a small static site: an index with figures and scores, and one page a run."""
    from astrolab.gallery import listed_runs, write_gallery
    from astrolab.runs import runs_dir

    index = write_gallery(runs or runs_dir(), out=out)
    listed = listed_runs(out)
    for page, problems in listed.items():
        if problems:
            typer.echo(f"{page.removeprefix('runs/')}: {' '.join(problems)}")
    typer.echo(f"{len(listed)} runs, {sum(map(bool, listed.values()))} not whole\n{index}")


def _name_and_value(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ParameterError(
            "A parameter was set on the command line.",
            received=text,
            available="-p NAME VALUE",
            remedy=f"Give a value: -p {name} VALUE.",
        )
    return name, read_yaml(value, asked=f"Parameter {name!r} was set on the command line.")


def _score_table(scores: pd.DataFrame) -> str:
    from astrolab.metrics.scoring import format_scores

    return format_scores(scores)


def join_parameters(arguments: list[str]) -> list[str]:
    """Join each ``-p NAME VALUE`` into ``-p NAME=VALUE``, the one form that the option parser knows.

    >>> join_parameters(["run", "s", "-p", "epochs", "3", "-p", "seeds=[0]"])
    ['run', 's', '-p', 'epochs=3', '-p', 'seeds=[0]']
    """
    joined, rest = [], list(arguments)
    while rest:
        joined.append(rest.pop(0))
        if joined[-1] in ("-p", "--parameter") and len(rest) >= 2 and "=" not in rest[0]:
            joined.append(f"{rest.pop(0)}={rest.pop(0)}")
    return joined


def main() -> None:
    """Run the command; an astrolab error is printed in its four parts, without a traceback."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine, threads that spin starve each other
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the character ± shows a question mark
    try:
        app(args=join_parameters(sys.argv[1:]))
    except AstrolabError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)
