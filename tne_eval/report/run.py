"""Reports made, checked and published: one territory, or all of them two at a time.

A report is staged in a hidden folder, checked, then put in place whole; a failing one is kept aside and leaves the
good one where it is. A report whose inputs and files are as recorded is up to date, and nothing is written.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path

from tne_eval.catalog import get_territory, list_territories
from tne_eval.errors import ReportError, TneError
from tne_eval.paths import shipped
from tne_eval.report import manifest as records
from tne_eval.report.editions import previous_edition, previous_facts
from tne_eval.report.index import OTHERS, draw_map, write_index
from tne_eval.report.publish import STAGING, locked, publish_file, publish_folder

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


@dataclass(frozen=True, slots=True)
class ReportResult:
    """What became of a report: `status` is made, up_to_date or failed (`message` says why)."""

    id: str
    status: str
    folder: Path
    html: Path
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ReportEvent:
    """Progress of a run: `kind` is start or end (then with its `result`); `done` of `total` reports are ended."""

    kind: str
    id: str
    done: int
    total: int
    result: ReportResult | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A report to make. `id` names its folder: it comes from the catalogue."""

    id: str
    notebook: Path
    parameters: dict


def make_report(territory: str, out: str | Path | None = None, *, edition: str | None = None) -> ReportResult:
    """Make the report of a territory, unless it is up to date.

    Parameters
    ----------
    territory : id in the catalogue; an unknown one is an error that lists the near ones.
    out : folder of the reports; None takes `./reports`.
    edition : such as "2026-S1"; None takes the half-year of the latest figures.

    Returns
    -------
    ReportResult; a report that fails is a result with status "failed", and the previous one is left as it was.
    """
    (result,) = make_reports([territory_job(territory)], out, edition=edition, workers=1)
    return result


def make_all_reports(
    out: str | Path | None = None,
    *,
    edition: str | None = None,
    workers: int = 2,
    on_event: Callable[[ReportEvent], None] | None = None,
) -> list[ReportResult]:
    """Make every report (territories, synthesis, data) and the index; one that fails does not stop the others.

    Parameters
    ----------
    out : folder of the reports; None takes `./reports`.
    edition : such as "2026-S1"; None takes the half-year of the latest figures.
    workers : how many reports are made at a time.
    on_event : called, in this process, when a report starts and when it ends.
    """
    jobs = [territory_job(territory.id) for territory in list_territories()]
    jobs += [Job(id, shipped("notebooks") / f"{id.replace('-', '_')}.ipynb", {}) for id in OTHERS]
    return make_reports(jobs, out, edition=edition, workers=workers, on_event=on_event)


def territory_job(territory: str) -> Job:
    """What to run for a territory."""
    entry = get_territory(territory)
    return Job(entry.id, shipped("notebooks") / "evaluation_territoire.ipynb", {"territory": entry.id})


def make_reports(
    jobs: Sequence[Job],
    out: str | Path | None = None,
    *,
    edition: str | None = None,
    data: Path | None = None,
    workers: int = 2,
    on_event: Callable[[ReportEvent], None] | None = None,
) -> list[ReportResult]:
    """Make these reports, then the index; results come in the order of the jobs."""
    out = Path("reports" if out is None else out).absolute()
    data = shipped("embedded") if data is None else data
    edition = records.check_edition(edition or records.default_edition(records.read_tables(data)))
    results: dict[str, ReportResult] = {}

    def tell(kind: str, job: Job, result: ReportResult | None = None) -> None:
        if result is not None:
            results[job.id] = result
        if on_event is not None:
            on_event(ReportEvent(kind, job.id, len(results), len(jobs), result))

    waiting = []
    for job in jobs:
        if not job.notebook.is_file():
            folder = out / job.id
            message = f"the notebook {job.notebook.name} is missing"
            tell("end", job, ReportResult(job.id, "failed", folder, folder / "report.html", message))
            continue
        plan = _plan(job, edition, data, out)
        result = _look(plan, out)
        if result is None:
            waiting.append((job, plan))
        else:
            tell("end", job, result)
    if waiting:
        _make_waiting(waiting, out, workers, tell)
    write_index(out)
    return [results[job.id] for job in jobs]


# --- one report ----------------------------------------------------------------------------------------------


def _plan(job: Job, edition: str, data: Path, out: Path) -> records.Manifest:
    previous = previous_facts(out / job.id, edition)
    return records.make_manifest(
        job.id, notebook=job.notebook, parameters=job.parameters, edition=edition, data=data, previous=previous
    )


def _look(plan: records.Manifest, out: Path) -> ReportResult | None:
    """The result when the report is up to date, otherwise None."""
    started = time.perf_counter()
    folder = out / plan.id
    if not (folder / plan.edition).is_dir():
        return None
    with locked(folder):
        if not records.is_up_to_date(plan, folder / plan.edition):
            return None
        _renew_latest(folder)
    return _result(plan, out, "up_to_date", "", started)


def _make(job: Job, plan: records.Manifest, out: Path) -> ReportResult:
    """Stage, run, check, publish."""
    from tne_eval.report.engine import execute_notebook

    started = time.perf_counter()
    with locked(out / job.id) as folder:
        final, staging = folder / plan.edition, folder / STAGING
        failed = folder / f"{plan.edition}.failed.ipynb"
        if records.is_up_to_date(plan, final):  # another run made it while this one waited for the folder
            _renew_latest(folder)
            return _result(plan, out, "up_to_date", "", started)
        staging.mkdir()
        executed = staging / "report.ipynb"
        try:
            notebook = execute_notebook(job.notebook, dict(job.parameters), executed)
            _write_outputs(notebook, plan, staging)
        except Exception as error:  # whatever broke, the other reports go on and this one says why
            if executed.is_file():
                publish_file(executed.read_bytes(), failed)
            shutil.rmtree(staging, ignore_errors=True)
            message = str(error) if isinstance(error, TneError) else f"{type(error).__name__}: {error}"
            return _result(plan, out, "failed", message, started)
        publish_folder(staging, final)
        failed.unlink(missing_ok=True)
        _renew_latest(folder)
    return _result(plan, out, "made", "", started)


def _result(plan: records.Manifest, out: Path, status: str, message: str, started: float) -> ReportResult:
    folder = out / plan.id / plan.edition
    return ReportResult(plan.id, status, folder, folder / "report.html", message, time.perf_counter() - started)


def _write_outputs(notebook, plan: records.Manifest, folder: Path) -> None:
    """Page, tables and figures of an executed notebook, checked; the manifest last, as the mark of a whole report."""
    from tne_eval.report.compare import change_log
    from tne_eval.report.html import check_page, notebook_blocks, render_report
    from tne_eval.report.pdf import pdf_bytes

    for kind in ("tables", "figures"):
        (folder / kind).mkdir()
    blocks = notebook_blocks(notebook)
    _write_tables(blocks, folder)
    changes = change_log(plan, folder, previous_edition(folder.parent, plan.edition))
    _write_tables(changes, folder)
    blocks = (*blocks, *changes)
    page = render_report(blocks, production=records.production_lines(plan), edition=plan.edition)
    check_page(page)
    (folder / "report.html").write_text(page, encoding="utf-8")
    pdf = pdf_bytes(blocks, production=records.production_lines(plan), edition=plan.edition)
    (folder / "report.pdf").write_bytes(pdf)
    done = replace(plan, outputs=records.list_outputs(folder), summary=_summary(blocks))
    records.write_manifest(done, folder)


def _write_tables(blocks: Iterable, folder: Path) -> None:
    """The values of tables and figures, and the drawings."""
    from tne_eval.report.blocks import Figure, Table

    named = [block for block in blocks if isinstance(block, Table | Figure)]
    for block in named:
        table = folder / "tables" / f"{block.name}.csv"
        if table.exists():
            raise ReportError(f"{block.name!r} names two tables or figures", remedy="give one another name")
        table.write_text(csv_text(block.data or block.frame if isinstance(block, Table) else block.data), "utf-8")
        if isinstance(block, Figure):
            (folder / "figures" / f"{block.name}.svg").write_text(block.svg, encoding="utf-8")


def _summary(blocks: Iterable) -> dict:
    from tne_eval.report.blocks import VERDICT_LABELS, Title, Verdict, plain_text

    titles = [plain_text(block.text) for block in blocks if isinstance(block, Title) and block.level == 1]
    verdicts = [block for block in blocks if isinstance(block, Verdict)]
    summary: dict = {"title": titles[0]}
    if verdicts:
        first = verdicts[0]
        label = first.label or VERDICT_LABELS[first.kind]
        summary["verdict"] = {"kind": first.kind, "label": label, "title": plain_text(first.title)}
    return summary


def _renew_latest(folder: Path) -> None:
    """`latest.html` and `latest.pdf` are those of the newest edition."""
    editions = [page for page in folder.glob("*/report.html") if records.EDITION.fullmatch(page.parent.name)]
    if editions:
        newest = max(editions)
        publish_file(newest.read_bytes(), folder / "latest.html")
        if (pdf := newest.with_name("report.pdf")).is_file():
            publish_file(pdf.read_bytes(), folder / "latest.pdf")


def csv_text(grid) -> str:
    """A grid as CSV: comma, decimal point, line feed.

    A text that a spreadsheet could take for a formula (it begins with = + - @, a tab, a return, their full-width
    forms) or that begins with an apostrophe gets one apostrophe more: taking it away gives the text back. Numbers
    stay numbers.
    """
    return "".join(",".join(map(_csv_cell, row)) + "\n" for row in (grid.columns, *grid.rows))


def _csv_cell(value) -> str:
    if isinstance(value, str):
        text = f"'{value}" if value.startswith(_FORMULA_STARTS) else value
        return '"' + text.replace('"', '""') + '"' if any(char in text for char in ',"\r\n') else text
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else repr(value)


# --- several at a time ---------------------------------------------------------------------------------------


def _make_waiting(waiting: list, out: Path, workers: int, tell: Callable) -> None:
    # A process with threads is not forked: they would not be copied.
    forks = hasattr(os, "fork") and threading.active_count() == 1
    if forks:
        from tne_eval.report.engine import preload

        preload()
        gc.freeze()
    try:
        if len(waiting) > 1 and workers > 1:
            _make_in_workers(waiting, out, workers, tell, forks)
        else:
            _prepare(forks and len(waiting) > 1)
            for job, plan in waiting:
                tell("start", job)
                tell("end", job, _make(job, plan, out))
    finally:
        gc.unfreeze()


def _prepare(warmed: bool) -> None:
    """Make this process ready for forks that cost little."""
    if warmed:
        from tne_eval.report.engine import warm

        warm()
    # What is here now outlives every fork: the collector of a fork need not go through it, nor copy its pages.
    gc.freeze()


def _make_in_workers(waiting: list, out: Path, workers: int, tell: Callable, forks: bool) -> None:
    """Processes that make one report after another: forked from this one, which has imported the libraries, or started
    anew. One that dies costs the report that it was making."""
    context = multiprocessing.get_context("fork" if forks else "spawn")
    queue = list(waiting)
    processes, busy = {}, {}
    try:
        while queue or busy:
            while queue and len(busy) < workers:
                if idle := processes.keys() - busy.keys():
                    channel = idle.pop()
                else:
                    channel, process = _start_worker(context, out, forks)
                    processes[channel] = process
                job, plan = busy[channel] = queue.pop(0)
                tell("start", job)
                with contextlib.suppress(BrokenPipeError):  # it has just died: reading will say so
                    channel.send((job, plan))
            if not queue and len(busy) < workers:
                # While the last report is made; what goes wrong here is said when the index is written.
                with contextlib.suppress(Exception):
                    draw_map()
            for channel in connection.wait(list(busy)):
                job, plan = busy.pop(channel)
                try:
                    result = channel.recv()
                except (EOFError, ConnectionResetError):
                    process = processes.pop(channel)
                    channel.close()
                    process.join()
                    message = f"the process of this report ended with code {process.exitcode}"
                    result = _result(plan, out, "failed", message, time.perf_counter())
                tell("end", job, result)
    finally:
        for channel, process in processes.items():
            process.kill()
            process.join()
            channel.close()


def _start_worker(context, out: Path, forks: bool) -> tuple[connection.Connection, multiprocessing.Process]:
    channel, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, out, forks, os.getpid()))
    process.start()
    theirs.close()
    return channel, process


def _work(channel: connection.Connection, out: Path, forks: bool, parent: int) -> None:
    """Make what is asked until the parent, which ends this process, has nothing more to ask."""
    from tne_eval.report.fork import die_with_parent

    die_with_parent()
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is the parent's to deal with
    _prepare(forks)
    with contextlib.suppress(EOFError):
        while True:
            job, plan = channel.recv()
            channel.send(_make(job, plan, out))
