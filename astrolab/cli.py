"""The ``astrolab`` command: run studies, collect their results, show them; and the surveys they run on."""

from __future__ import annotations

import io
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrolab.errors import AstrolabError, ConfigError, ParameterError, RunError, unknown_name
from astrolab.parameters import find_notebook, list_presets, list_studies, read_declarations, read_title, read_yaml

if TYPE_CHECKING:
    from astrolab.runs.ledger import Ledger

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
data_app = typer.Typer(help="Surveys: list, describe, simulate, fetch, verify, import, cite.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def _study_of(context: typer.Context) -> str:
    return context.params["study"] or context.args[0]  # where the option that is typed has no value yet


def _parameter_names(context: typer.Context) -> list[str]:
    return [f"{name}=" for name in read_declarations(find_notebook(_study_of(context)))]


def _survey_names() -> list[str]:
    from astrolab.datasets.manifest import list_manifests

    return list(list_manifests())


_STUDY = "Name of a study, see `astrolab studies`; or the path of a notebook."
_SURVEY = "Name of a survey, or the path of its manifest."
_PRESET = "smoke, paper, …, a YAML file; by default the quick run."
_SET = {"metavar": "NAME=VALUE", "help": "Set one parameter; repeatable.", "autocompletion": _parameter_names}
Study = Annotated[str, typer.Argument(help=_STUDY, autocompletion=lambda: list(list_studies()))]
Preset = Annotated[str, typer.Option(help=_PRESET, autocompletion=lambda ctx: list(list_presets(_study_of(ctx))))]
Name = Annotated[str, typer.Argument(help=_SURVEY, autocompletion=_survey_names)]
Directory = Annotated[Path | None, typer.Option(help="Where the files are, instead of the data folder.")]


@app.callback(invoke_without_command=True)
def _astrolab(version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False) -> None:
    """What happens when a model learned on one survey must work on another."""
    if version:
        typer.echo(f"astrolab {metadata.version('astrolab')}")


@app.command()
def run(
    study: Study,
    preset: Preset = "",
    parameter: Annotated[list[str] | None, typer.Option("-p", "--parameter", **_SET)] = None,
    directory: Annotated[Path | None, typer.Option(help="The run folder; by default a new one under runs/.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be trained, on what.")] = False,
) -> None:
    """Run a study's notebook and write its report. A run that was cut off goes on where it stopped."""
    from astrolab.studies.running import how_to_go_on, plan_study

    given = dict(_name_and_value(text) for text in parameter or [])
    plan = plan_study(study, preset=preset, parameters=given, directory=directory)
    typer.echo(plan.header, err=not dry_run)
    if dry_run:
        return typer.echo("\n".join(plan.describe()))
    try:
        folder = plan.run()
    except KeyboardInterrupt:
        goes_on = how_to_go_on(plan.folder)
        typer.echo(
            f"\nInterrupted.{goes_on}" + f"\n{shlex.join(['astrolab', *sys.argv[1:]])}" * bool(goes_on), err=True
        )
        raise typer.Exit(130) from None
    scores = folder / "scores.csv"
    if scores.is_file():
        import pandas as pd

        from astrolab.metrics import format_scores
        from astrolab.runs.record import load_record

        typer.echo(format_scores(pd.read_csv(scores), width=_columns()))
        if finding := load_record(folder)["finding"]:
            typer.echo("\n".join(["", finding["question"], *finding["sentences"], finding["caution"]]))
    typer.echo(f"\nrun folder  {folder}\nreport      {folder / 'report.html'}")


@app.command()
def predict(
    run: Annotated[str, typer.Argument(help="A run folder, or its name under $ASTROLAB_RUNS_DIR or runs/.")],
    survey: Name,
    out: Annotated[Path, typer.Option(help="Folder of the Parquet parts; those that are there already stay.")],
    arm: Annotated[str, typer.Option(help="Which model of the run; by default its only one.")] = "",
    seed: Annotated[int, typer.Option(help="The seed that the model was trained with.")] = 0,
    directory: Directory = None,
    rows_per_part: Annotated[int, typer.Option(min=1, help="How many objects a part holds.")] = 100_000,
) -> None:
    """Predict a survey, with labels or without, with a model of a run. What was cut off goes on."""
    from astrolab.runs.predicting import predict_survey

    where = {"out": out, "directory": directory, "rows_per_part": rows_per_part}
    parts = predict_survey(run, survey=survey, arm=arm, seed=seed, **where)
    n, n_unlike = parts["n"].sum(), parts["n_unlike"].sum()
    typer.echo(f"{n:,} objects in {len(parts)} parts, {n_unlike:,} unlike the training set ({n_unlike / n:.1%})\n{out}")


def _columns() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _name_and_value(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        asked = "A parameter was set on the command line."
        raise ParameterError(asked, received=text, available="-p NAME=VALUE", remedy=f"Give a value: -p {name}=VALUE.")
    return name, read_yaml(value, asked=f"Parameter {name!r} was set on the command line.")


@app.command()
def studies() -> None:
    """List the studies that ship with astrolab, with their question and presets."""
    for name, notebook in list_studies().items():
        presets = ", ".join(["quick (default)", *list_presets(name)])
        typer.echo(f"{name:<22} {read_title(notebook)}\n{'':<22} presets: {presets}")


@app.command()
def parameters(study: Study) -> None:
    """List the parameters of a study: name, type, default and what it means."""
    for parameter in read_declarations(find_notebook(study)).values():
        typer.echo(f"{parameter.name:<22} {parameter.kind:<10} {parameter.default!r}\n{'':<22} {parameter.help}")


@app.command()
def gallery(
    runs: Annotated[Path | None, typer.Argument(help="Folder of runs; by default $ASTROLAB_RUNS_DIR or runs/.")] = None,
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


@app.command()
def results(
    directories: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="Run folders, or folders of them; by default runs/.")
    ] = None,
    study: Annotated[str | None, typer.Option(help="Runs of this study only.")] = None,
    where: Annotated[
        str, typer.Option(metavar="EXPR", help="Which rows, e.g. \"arm == 'lora' and p.epochs >= 8\".")
    ] = "",
    metric: Annotated[list[str] | None, typer.Option(help="Which metric; repeatable.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table to a .csv, .parquet or .tex file, too.")
    ] = None,
) -> None:
    """Collect runs into one table of scores and costs; print it, and write it to a file."""
    from astrolab.runs.ledger import load_ledger

    ledger = load_ledger(directories or None)
    for column, wanted in (("study", [study] if study else []), ("metric", metric or [])):
        known = set(ledger.runs["study"] if column == "study" else ledger.table["metric"])
        for name in wanted:
            if name not in known:
                raise unknown_name(f"{column} in these runs", name=name, names=known)
        ledger = ledger.where(**{column: wanted}) if wanted else ledger
    chosen = ledger.where(where)
    if where and chosen.table.empty:
        values = {name: map(str, ledger.table[name].unique()) for name in ("study", "arm", "survey", "metric")}
        asked = "Rows of the ledger were to be chosen by an expression."
        received = f"{where!r}, which holds for none of {len(ledger.table):,} rows"
        available = "; ".join(f"{name}: {', '.join(listed)}" for name, listed in values.items())
        raise RunError(asked, received=received, available=available, remedy="Ask for less.")
    typer.echo(describe_ledger(chosen))
    if out is not None:
        typer.echo(f"\nwritten to {chosen.save(out)}")


def describe_ledger(ledger: Ledger) -> str:
    """Return a ledger as text for the terminal: runs, then scores and costs of each experiment."""
    from astrolab.metrics import format_scores
    from astrolab.runs.ledger import COUNTS, summarise_costs

    lines = []
    for run in ledger.runs.itertuples():
        words = (run.study, run.preset, f"{run.n_fits} fits", f"experiment {run.experiment}", run.made_under)
        lines += [f"{run.run}  {run.status}", f"  {' · '.join(filter(None, words))}"]
    blocks = [repr(ledger), "\n".join(lines)]
    for experiment in ledger.table["experiment"].unique():
        part = ledger.where(experiment=experiment)
        scores = format_scores(part.scores.drop(columns=["study", "experiment"]), width=_columns())
        costs = summarise_costs(part).drop(columns=["study", "experiment", "search_time_s"])
        costs = costs.assign(**costs[list(COUNTS)].round(0).astype(int)).round({"time_s": 1, "peak_memory_MB": 0})
        heading = f"{part.table['study'].iloc[0]} · experiment {experiment}"
        blocks.append(f"{heading}\n{scores}\n\n{costs.to_string(index=False)}")
    if len(ledger.skipped):
        reasons = [f"  {row.folder}: {row.reason}" for row in ledger.skipped.itertuples()]
        blocks.append("\n".join(["skipped, because they cannot be read:", *reasons]))
    return "\n\n".join(blocks)


@data_app.command("list")
def list_surveys() -> None:
    """List the surveys that can be asked for by name."""
    import pandas as pd

    import astrolab as al
    from astrolab.datasets.cards import in_columns, survey_table

    rows = [("name", "kind", "title", "objects", "on disk")]
    for survey in survey_table().itertuples():
        unknown = "of its members" if survey.kind.startswith("recipe") else "?"
        n = unknown if pd.isna(survey.n) else f"{survey.n:,}"
        rows.append((survey.name, survey.kind, survey.title, n, survey.on_disk))
    typer.echo(in_columns(rows))
    typer.echo(f"\ndata folder  {al.data_dir()}")


@data_app.command()
def info(name: Name) -> None:
    """Show the data card of a survey: what it is, whose, which columns and files, how it is simulated."""
    from astrolab.datasets.cards import data_card

    typer.echo(data_card(name))


@data_app.command()
def simulate(
    name: Name,
    n: Annotated[int | None, typer.Option(help="How many objects; by default the manifest's number.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other objects.")] = 0,
    directory: Annotated[Path | None, typer.Option(help="Where to write, instead of the data folder.")] = None,
) -> None:
    """Simulate a twin survey; what was made before with the same settings is used again."""
    import astrolab as al
    from astrolab.datasets.fetching import realisations
    from astrolab.datasets.manifest import shipped_manifests

    manifest = al.load_manifest(name)
    if not manifest.simulated:
        simulated = [other for other in map(al.load_manifest, shipped_manifests()) if other.simulated]
        twins = [other.name for other in simulated if other.twin and other.twin.of == manifest.name]
        asked = f"{manifest.name!r} was to be simulated."
        available = ", ".join(other.name for other in simulated)
        remedy = f"astrolab data simulate {twins[0]}" if twins else f"astrolab data fetch {manifest.name}"
        raise ConfigError(asked, received=f"a survey of real {manifest.objects}", available=available, remedy=remedy)
    typer.echo(repr(al.load_survey(manifest, n=n, seed=seed, directory=directory)))
    members = [al.load_manifest(member) for member in manifest.recipe.members] if manifest.recipe else [manifest]
    for folder in [directory] if directory else [realisations(member)[-1] for member in members]:
        typer.echo(str(folder))


@data_app.command()
def fetch(
    name: Name,
    split: Annotated[str | None, typer.Option(help="train, validation or test; by default all.")] = None,
    size: Annotated[int | None, typer.Option(help="Image side length (px); by default the survey's first.")] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Forget hashes that were recorded on first use.")] = False,
) -> None:
    """Download the files of a survey, as far as they are not here; a download that broke off goes on."""
    import astrolab as al

    for path in al.fetch(name, split=split, size=size, forget=forget):
        typer.echo(str(path))


@data_app.command()
def verify(name: Name, directory: Directory = None) -> None:
    """Check every file of a survey to the last byte and pixel; exit code 1 if something is wrong."""
    import astrolab as al
    from astrolab.datasets.cards import in_columns

    table = al.verify_survey(name, directory=directory)
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
    import astrolab as al

    manifest = al.import_survey(path, directory=directory)
    typer.echo(f"{manifest.title} is now known as {manifest.name!r}; its files stay in {manifest.folder}")


@data_app.command()
def cite(name: Name) -> None:
    """Print whom to thank: a sentence for the acknowledgements, and BibTeX."""
    from astrolab.datasets.cards import cite as cite_survey

    typer.echo(cite_survey(name))


def main() -> None:
    """Run the command; an astrolab error is printed in its four parts, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the character ± shows a question mark
    try:
        app()
    except AstrolabError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)
