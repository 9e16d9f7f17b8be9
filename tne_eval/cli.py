"""One function per verb, no logic: read the words, call the library, print one clear result."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tne_eval import __version__
from tne_eval.errors import ContractError, ReportError, TneError

app = typer.Typer(
    help="Evaluate the Territoires Numériques Éducatifs: indicators, impact, reports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Reports = Annotated[Path, typer.Option("--out", help="Folder of the reports.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]


class Listed(StrEnum):
    """What `list` can show."""

    territories = "territories"
    sources = "sources"
    indicators = "indicators"
    designs = "designs"


@app.command("list")
def list_entries(kind: Listed, as_json: Json = False) -> None:
    """Show what the catalogue holds."""
    from tne_eval import catalog

    entries = getattr(catalog, f"list_{kind.value}")()
    rows = [{"id": entry.id, "label": getattr(entry, "label", None) or entry.name} for entry in entries]
    if as_json:
        _print_json(rows)
    else:
        _print_table(rows)


@app.command()
def fetch(
    sources: Annotated[list[str] | None, typer.Argument(help="Source ids; see: tne-eval list sources.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every open source of the catalogue.")] = False,
    base_url: Annotated[str | None, typer.Option(help="A mirror that takes the place of every site.")] = None,
    to: Annotated[Path, typer.Option(help="Folder of raw files.")] = Path("data/raw"),
    as_json: Json = False,
) -> None:
    """Download open data, checked against its contract; what is there already is never overwritten."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    from tne_eval.sources.fetch import fetch_sources

    if every == bool(sources):
        raise typer.BadParameter("name at least one source, or --all")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with _progress(columns, quiet=as_json) as progress:
        task = progress.add_task("", total=None)

        def follow(event) -> None:
            label = f"{event.id} ({event.place}/{event.count})"
            progress.update(task, completed=event.done, total=event.total, description=label, refresh=True)

        results = fetch_sources(sources or None, to, base_url=base_url, on_event=follow)
    if as_json:
        _print_json([result.to_dict() for result in results])
    else:
        for result in results:
            typer.echo(f"{result.status:<10}  {result.id}  {result.path or result.message}")
    failed = [result.error for result in results if result.error is not None]
    if failed:
        raise typer.Exit(failed[0].exit_code)


@app.command("import")
def import_files(
    path: Annotated[Path, typer.Argument(help="A file, or a folder of files.")],
    source: Annotated[str | None, typer.Option(help="Its source; by default recognised by its columns.")] = None,
    to: Annotated[Path, typer.Option(help="Folder of raw files.")] = Path("data/raw"),
    as_json: Json = False,
) -> None:
    """Take in files that you already have, after the same checks as a download."""
    from tne_eval.sources.importing import import_path

    results = import_path(path, to, source)
    if as_json:
        _print_json(
            [
                {"file": str(one.path), "source": one.source, "status": one.status, "target": str(one.target or "")}
                for one in results
            ]
        )
    else:
        for one in results:
            typer.echo(f"{one.status:<10}  {one.source or '-'}  {one.target or one.path}")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A file, or a folder of files.")],
    source: Annotated[str | None, typer.Option(help="Its source; by default recognised by its columns.")] = None,
    as_json: Json = False,
) -> None:
    """Check files against the contract of their source; say also what is odd in them without breaking it."""
    from tne_eval.audit import audit_file, describe_finding, severity_word
    from tne_eval.sources.importing import check_files

    checks = check_files(path, source)
    problems = [problem for one in checks for problem in one.problems]
    if as_json:
        _print_json([problem.to_dict() for problem in problems])
    else:
        for one in checks:
            typer.echo(f"{'NO' if one.problems else 'ok'}  {one.path}  {one.source}")
            for problem in (*one.problems, *one.findings):
                typer.echo(f"    {problem}")
            if one.source and not one.problems:
                for finding in audit_file(one.path):
                    typer.echo(f"    {severity_word(finding)} : {describe_finding(finding)}")
    if problems:
        raise typer.Exit(ContractError.exit_code)


@app.command()
def request(
    kind: Annotated[str, typer.Argument(help="Whom to ask: depp, canope, academie, banque, collectivites.")],
    territory: Annotated[str, typer.Argument(help="A territory id.")],
    to: Annotated[Path, typer.Option(help="Folder to write.")] = Path(),
) -> None:
    """Write the note that asks for the missing data (Word and Markdown, in French)."""
    from tne_eval.audit import write_request

    note = write_request(kind, territory, to)
    typer.echo(f"{note.docx}\n{note.markdown}")


@app.command()
def template(
    path: Annotated[Path, typer.Argument(help="The file to write, .xlsx or .csv.")] = Path("registre.xlsx"),
) -> None:
    """Write an empty treatment register, with its instructions in French."""
    from tne_eval.sources.register import write_register_template

    write_register_template(path)
    typer.echo(str(path))


@app.command()
def build(
    source: Annotated[Path, typer.Option("--from", help="Folder of raw open-data files.")],
    to: Annotated[Path, typer.Option(help="Folder to write.")] = Path("data/embedded"),
    as_json: Json = False,
) -> None:
    """Turn raw open-data files into the tables of figures that reports use."""
    from tne_eval.sources.build import build_embedded
    from tne_eval.sources.reconcile import format_reconciliation

    result = build_embedded(source, to)
    if as_json:
        _print_json({"folder": str(to), "files": [str(path) for path in result.written]})
    else:
        typer.echo(format_reconciliation(result.reconciliation))
        typer.echo(f"{len(result.written)} files in {to}")


@app.command()
def report(
    territory: Annotated[str | None, typer.Argument(help="A territory id; see: tne-eval list territories.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All territories, the synthesis and the index.")] = False,
    edition: Annotated[str | None, typer.Option(help="Such as 2026-S2; else that of the latest figures.")] = None,
    out: Reports = Path("reports"),
    as_json: Json = False,
) -> None:
    """Make the evaluation report of a territory, or all of them."""
    if every == (territory is not None):
        raise typer.BadParameter("name one territory, or --all")
    if every:
        results = _report_all(out, edition, quiet=as_json)
    else:
        from tne_eval.report import make_report

        results = [make_report(territory, out, edition=edition)]
    if as_json:
        _print_json([_row(result) for result in results])
    else:
        for result in results:
            typer.echo(f"{_STATUS[result.status]} {result.html}" + (f"\n  {result.message}" if result.message else ""))
        fresh = sum(result.status == "up_to_date" for result in results)
        if fresh == len(results):
            typer.echo("Rien à refaire : tout est à jour.")
        if every:
            typer.echo(f"Ouvrir : {out / 'index.html'}")
    if any(result.status == "failed" for result in results):
        raise typer.Exit(ReportError.exit_code)


_STATUS = {"made": "fait      ", "up_to_date": "à jour    ", "failed": "EN ÉCHEC  "}


def _row(result) -> dict:
    return {
        "id": result.id,
        "status": result.status,
        "html": str(result.html),
        "message": result.message,
    }


def _progress(columns: tuple, *, quiet: bool):
    """A bar on the error stream. It has no thread of its own: reports are forked from this process."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True, auto_refresh=False)


def _report_all(out: Path, edition: str | None, *, quiet: bool) -> list:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    from tne_eval.report import make_all_reports

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with _progress(columns, quiet=quiet) as progress:
        task = progress.add_task("", total=None)

        def follow(event) -> None:
            progress.update(task, completed=event.done, total=event.total, description=event.id, refresh=True)

        return make_all_reports(out, edition=edition, on_event=follow)


@app.command()
def compare(
    report: Annotated[str, typer.Argument(help="A territory id, or another report's name.")],
    first: Annotated[str | None, typer.Argument(help="An edition; by default the one before the second.")] = None,
    second: Annotated[str | None, typer.Argument(help="An edition; by default the newest.")] = None,
    out: Reports = Path("reports"),
    as_json: Json = False,
) -> None:
    """Show every number that moved between two editions of a report, by how much, and what may have moved it."""
    from tne_eval.report.compare import compare_editions, describe, shown_moves
    from tne_eval.report.editions import find_edition, previous_edition

    after = find_edition(out, report, second)
    before = find_edition(out, report, first) if first else previous_edition(after.parent, after.name)
    if before is None:
        raise ReportError("a first edition has none to be compared with", where=str(after))
    comparison = compare_editions(before, after)
    if as_json:
        _print_json(comparison.to_dict())
    else:
        for line in (*describe(comparison), *(" | ".join(row) for row in shown_moves(comparison))):
            typer.echo(line)


@app.command()
def verify(
    report: Annotated[str, typer.Argument(help="A territory id, or another report's name.")],
    edition: Annotated[str | None, typer.Argument(help="An edition; by default the newest.")] = None,
    out: Reports = Path("reports"),
    as_json: Json = False,
) -> None:
    """Make an edition again, elsewhere, and compare every file byte for byte."""
    from tne_eval.report.editions import find_edition
    from tne_eval.report.verify import describe_verification, verify_edition

    verification = verify_edition(find_edition(out, report, edition))
    if as_json:
        _print_json(verification.to_dict())
    else:
        for line in describe_verification(verification):
            typer.echo(line)
    if not verification.identical:
        raise typer.Exit(ReportError.exit_code)


@app.command()
def crate(
    report: Annotated[str, typer.Argument(help="A territory id, or another report's name.")],
    to: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    edition: Annotated[str | None, typer.Option(help="By default the newest.")] = None,
    out: Reports = Path("reports"),
) -> None:
    """Write an edition as an RO-Crate (extra `crate`)."""
    from tne_eval.report.crate import export_crate
    from tne_eval.report.editions import find_edition

    typer.echo(str(export_crate(find_edition(out, report, edition), to)))


@app.command()
def lab(
    notebook: Annotated[str, typer.Argument(help="A notebook's name.")] = "exploration",
) -> None:
    """Open the exploration notebook, or another one, in JupyterLab."""
    from jupyterlab.labapp import LabApp

    from tne_eval.errors import UnknownNameError
    from tne_eval.paths import shipped

    known = sorted(path.stem for path in shipped("notebooks").glob("*.ipynb"))
    if notebook not in known:
        raise UnknownNameError("notebook", notebook, known)
    LabApp.launch_instance([str(shipped("notebooks") / f"{notebook}.ipynb")])


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check that this installation can do its work."""
    from tne_eval.doctor import examine

    checks = examine()
    if as_json:
        _print_json([{"check": check.id, "ok": check.passed, "detail": check.detail} for check in checks])
    else:
        for check in checks:
            typer.echo(f"{'ok ' if check.passed else 'NO '} {check.id}: {check.detail}")
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_table(rows: list[dict]) -> None:
    width = max(len(row["id"]) for row in rows)
    for row in rows:
        typer.echo(f"{row['id']:<{width}}  {row['label']}")


def main() -> None:
    """Entry point: an error of ours is printed without traceback, with its own exit code."""
    try:
        app()
    except TneError as error:
        if "--json" in sys.argv:
            _print_json(error.to_dict())
        else:
            typer.echo(f"tne-eval: {error}", err=True)
        raise SystemExit(error.exit_code) from None
