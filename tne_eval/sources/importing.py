"""Check and import the files that a user already has: one check, then read-only copies by source and vintage."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tne_eval.catalog import Source, get_source
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.archive import PACKED_SUFFIXES, TABLE_SUFFIXES, table_suffix
from tne_eval.sources.contours import read_outlines
from tne_eval.sources.contract import Judged
from tne_eval.sources.findings import find_defects
from tne_eval.sources.messages import finding, problem
from tne_eval.sources.read import open_table, read_texts
from tne_eval.sources.recognise import recognise_source
from tne_eval.sources.store import describe_origin, list_held, lock_work, publish, sha256_of

_PERIODS = ("year", "school_year", "date")
# Below the work folder of a source, beside what a fetch may have left to resume.
_STAGED = "import"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A file checked: its `source` ("" where not recognised and left aside), what breaks the contract (`problems`),
    defects that do not (`findings`), and the `vintage` under which it would be kept."""

    path: Path
    source: str
    problems: tuple[Problem, ...]
    findings: tuple[Problem, ...]
    vintage: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """A file imported: `status` is imported, present (the same bytes were there already) or left_aside (no source)."""

    path: Path
    source: str
    vintage: str
    target: Path | None
    sha256: str
    status: str
    findings: tuple[Problem, ...] = ()


def check_files(path: str | Path, source: str | Source | None = None) -> list[FileCheck]:
    """Check a file, or every table of a folder, against the contract of its source.

    Parameters
    ----------
    path : a file, or a folder read at any depth; hidden files and files that are no table are not looked at.
    source : the source of every file, or its id; by default each file is recognised by its columns. In a folder, a
        table of no known source is left aside, with a finding.

    Returns
    -------
    One FileCheck for each table, in the order of their paths. Raises UnknownNameError on an unknown source id.
    """
    path = Path(path)
    source = get_source(source) if isinstance(source, str) else source
    if not path.is_dir():
        return [_check_file(path, source, alone=True)]
    checks = [_check_file(file, source, alone=False, folder=path) for file in _tables(path)]
    if not any(check.source or check.problems for check in checks):
        checks.append(FileCheck(path, "", (problem("no_table", path.name),), ()))
    return _same_files(checks)


def check_path(path: str | Path, source: str | Source | None = None) -> list[Problem]:
    """Everything that breaks the contract in a file or a folder: `check_files`, problems only."""
    return [each for check in check_files(path, source) for each in check.problems]


def import_path(path: str | Path, raw: str | Path, source: str | Source | None = None) -> list[ImportResult]:
    """Check a file or a folder, then copy it, read-only, with its sha256 and an `origin.json`.

    Parameters
    ----------
    path, source : as in `check_files`.
    raw : folder of raw files; each file goes to `<raw>/<source>/<vintage>/`, under its own name, as it is.

    Returns
    -------
    One ImportResult for each table, in the order of their paths. The vintage is the last period that the file holds, or
    the first 12 characters of its sha256 when it holds none; where other files lie under this name already, the first
    characters of a sha256 are added.

    Raises
    ------
    ContractError : every problem of every file; nothing is written. A kill leaves each vintage whole or absent, and a
    second import ends the work.
    """
    checks = check_files(path, source)
    known = [check for check in checks if check.source]
    problems = [each for check in checks for each in check.problems] + _same_names(known)
    if problems:
        raise ContractError(problems)
    results = [
        ImportResult(check.path, "", "", None, check.sha256, "left_aside", check.findings)
        for check in checks
        if not check.source
    ]
    vintages: dict[tuple[str, str], list[FileCheck]] = {}
    for check in known:
        vintages.setdefault((check.source, check.vintage), []).append(check)
    results += _publish_all(vintages, Path(raw))
    return sorted(results, key=lambda result: str(result.path))


def _tables(folder: Path) -> list[Path]:
    """Files of a folder, at any depth, that may hold a table."""
    files = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        packed = path.suffix.lower() in PACKED_SUFFIXES
        if not hidden and (packed or table_suffix(path) in TABLE_SUFFIXES) and not (path.is_dir() and not path.suffix):
            files.append(path)
    return files


def _check_file(path: Path, source: Source | None, *, alone: bool, folder: Path | None = None) -> FileCheck:
    if folder is not None and path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return FileCheck(path, "", (problem("link_out", path.name),), ())
    try:
        source = source or recognise_source(path)
        sha256 = sha256_of(path)
        if not source.columns:
            return _check_outlines(path, source, sha256)
        texts = read_texts(path, source)
        findings = () if texts.problems else tuple(find_defects(texts, source, path.name))
        last = _last_period(texts.judged, source)
        return FileCheck(path, source.id, texts.problems, findings, last or sha256[:12], sha256)
    except ContractError as error:
        if not alone and (near := _nearest(error)):
            return FileCheck(path, "", (), (finding("not_recognised", path.name, near=near),))
        return FileCheck(path, "", error.problems, ())
    except OSError as error:
        why = error.strerror or type(error).__name__
        return FileCheck(path, "", (problem("unreadable", path.name, why=why),), ())


def _nearest(error: ContractError) -> str:
    """The nearest sources, where the error is that none fits."""
    unknown = problem("unknown_file", "", near="\0")
    before, _, after = unknown.expected.partition("\0")
    (first, *others) = error.problems
    if others or first.found != unknown.found:
        return ""
    return first.expected.removeprefix(before).removesuffix(after)


def _check_outlines(path: Path, source: Source, sha256: str) -> FileCheck:
    problems: Sequence[Problem] = ()
    try:
        with open_table(path) as plain:
            read_outlines(plain)
    except ContractError as error:
        problems = [Problem(path.name, p.row, p.column, p.found, p.expected, p.remedy) for p in error.problems]
    except RecursionError:
        problems = [problem("json", path.name)]
    return FileCheck(path, source.id, tuple(problems), (), sha256[:12], sha256)


def _last_period(judged: dict[str, Judged], source: Source) -> str:
    """The last period of a file, by the first column of its key that is one."""
    for column in source.columns:
        if column.name in source.key and column.type in _PERIODS and column.name in judged:
            column_judged = judged[column.name]
            used = column_judged.known[sorted(set(column_judged.codes.tolist()))]
            used = [value for value in used if value == value]
            return f"{max(used):.0f}" if used else ""
    return ""


def _same_files(checks: list[FileCheck]) -> list[FileCheck]:
    """A finding on each file whose bytes are those of an earlier one."""
    first: dict[str, str] = {}
    told = []
    for check in checks:
        other = first.setdefault(check.sha256, check.path.name) if check.sha256 else check.path.name
        if check.sha256 and other != check.path.name:
            same = finding("same_file", check.path.name, other=other)
            check = replace(check, findings=(*check.findings, same))
        told.append(check)
    return told


def _same_names(checks: list[FileCheck]) -> list[Problem]:
    """Files that would have the same place."""
    places = [(check.source, check.vintage, check.path.name) for check in checks]
    return [
        problem("same_name", check.path.name, source=check.source)
        for number, (check, place) in enumerate(zip(checks, places, strict=True))
        if place in places[:number]
    ]


def _publish_all(vintages: dict[tuple[str, str], list[FileCheck]], raw: Path) -> list[ImportResult]:
    """Every vintage is copied beside, whole, before the first is given its place."""
    results = []
    with ExitStack() as stack:
        works = {source: stack.enter_context(lock_work(raw, source)) for source in sorted({id for id, _ in vintages})}
        for work in works.values():
            stack.callback(shutil.rmtree, work / _STAGED, ignore_errors=True)
            shutil.rmtree(work / _STAGED, ignore_errors=True)
        staged = {place: _stage(checks, works[place[0]] / _STAGED / place[1]) for place, checks in vintages.items()}
        for (source, vintage), checks in vintages.items():
            before = {held.folder for held in list_held(raw, source)}
            folder = works[source] / _STAGED / vintage
            origin = describe_origin(get_source(source), staged[source, vintage], how="import", data_set=None)
            held = publish(folder, raw, source, vintage, origin)
            status = "present" if held.folder in before else "imported"
            results += [
                ImportResult(
                    check.path,
                    source,
                    held.folder.name,
                    held.folder / check.path.name,
                    check.sha256,
                    status,
                    check.findings,
                )
                for check in checks
            ]
    return results


def _stage(checks: list[FileCheck], folder: Path) -> dict[str, dict]:
    """Copies of some files, and what `origin.json` says of each; a file that changed since its check is refused."""
    folder.mkdir(parents=True)
    files = {}
    for check in checks:
        copy = folder / check.path.name
        shutil.copyfile(check.path, copy)
        if sha256_of(copy) != check.sha256:
            raise ContractError([problem("changed", check.path.name)])
        size = copy.stat().st_size
        files[copy.name] = {
            "url": "",
            "bytes": size,
            "sha256": check.sha256,
            "rows": None,
            "etag": "",
            "last_modified": "",
        }
    return dict(sorted(files.items()))
