"""Check and import the files that a user already has: one check, then read-only copies by source and vintage."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

_PERIODS = ("year", "school_year", "date")
_STAGING = ".importing-"


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
    One ImportResult for each table. The vintage is the last period that the file holds, or the first 12 characters of
    its sha256 when it holds none; where another edition lies under this name already, both are joined by a hyphen.

    Raises
    ------
    ContractError : every problem of every file; nothing is written. A kill leaves each vintage whole or absent, and a
    second import ends the work.
    """
    checks = check_files(path, source)
    problems = [each for check in checks for each in check.problems]
    if problems:
        raise ContractError([*problems])
    known = [check for check in checks if check.source]
    _refuse_same_names(known)
    raw = Path(raw)
    results = [
        ImportResult(check.path, "", "", None, check.sha256, "left_aside", check.findings)
        for check in checks
        if not check.source
    ]
    plans = _plan(known, raw)
    if any(not plan.present for plan in plans):
        with _lock(raw):
            _commit([plan for plan in plans if not plan.present], raw)
    for plan in plans:
        status = "present" if plan.present else "imported"
        results += [
            ImportResult(
                check.path,
                check.source,
                plan.target.name,
                plan.target / check.path.name,
                check.sha256,
                status,
                check.findings,
            )
            for check in plan.checks
        ]
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
        sha256 = hash_file(path)
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


def hash_file(path: Path) -> str:
    """sha256 of a file, read block by block."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _same_files(checks: list[FileCheck]) -> list[FileCheck]:
    """A finding on each file whose bytes are those of an earlier one."""
    first: dict[str, str] = {}
    told = []
    for check in checks:
        other = first.setdefault(check.sha256, check.path.name) if check.sha256 else check.path.name
        if check.sha256 and other != check.path.name:
            same = finding("same_file", check.path.name, other=other)
            check = FileCheck(
                check.path, check.source, check.problems, (*check.findings, same), check.vintage, check.sha256
            )
        told.append(check)
    return told


@dataclass(frozen=True, slots=True)
class _Plan:
    """Files that make one vintage together, where they go, and whether they are there already."""

    target: Path
    checks: tuple[FileCheck, ...]
    present: bool


def _refuse_same_names(checks: list[FileCheck]) -> None:
    places: dict[tuple[str, str, str], Path] = {}
    problems = []
    for check in checks:
        place = (check.source, check.vintage, check.path.name)
        if place in places:
            problems.append(problem("same_name", check.path.name, source=check.source))
        places.setdefault(place, check.path)
    if problems:
        raise ContractError(problems)


def _plan(checks: list[FileCheck], raw: Path) -> list[_Plan]:
    vintages: dict[tuple[str, str], list[FileCheck]] = {}
    for check in checks:
        vintages.setdefault((check.source, check.vintage), []).append(check)
    plans = []
    for (source, vintage), files in vintages.items():
        target = raw / source / vintage
        if target.exists() and not _holds(target, files):
            joined = hashlib.sha256("".join(sorted(check.sha256 for check in files)).encode()).hexdigest()
            mark = files[0].sha256 if len(files) == 1 else joined
            target = raw / source / f"{vintage}-{mark[:12]}"
        plans.append(_Plan(target, tuple(files), target.exists()))
    return plans


def _holds(target: Path, files: list[FileCheck]) -> bool:
    return all(
        (target / file.path.name).is_file() and hash_file(target / file.path.name) == file.sha256 for file in files
    )


@contextlib.contextmanager
def _lock(raw: Path) -> Iterator[None]:
    """One import at a time in a folder; what a killed one left half done is removed."""
    raw.mkdir(parents=True, exist_ok=True)
    handle = os.open(raw, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for left in raw.glob(f"{_STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _commit(plans: list[_Plan], raw: Path) -> None:
    """Every vintage is made beside, whole and on disk, before the first is renamed in its place."""
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=raw))
    try:
        for number, plan in enumerate(plans):
            _stage(plan, staging / str(number))
        for number, plan in enumerate(plans):
            plan.target.parent.mkdir(parents=True, exist_ok=True)
            (staging / str(number)).rename(plan.target)
            _sync(plan.target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _stage(plan: _Plan, folder: Path) -> None:
    folder.mkdir()
    entries = []
    for check in plan.checks:
        copy = folder / check.path.name
        shutil.copyfile(check.path, copy)
        if hash_file(copy) != check.sha256:
            raise ContractError([problem("changed", check.path.name)])
        entries.append({"file": check.path.name, "sha256": check.sha256, "bytes": copy.stat().st_size})
    source = get_source(plan.checks[0].source)
    origin = {
        "source": source.id,
        "vintage": plan.target.name,
        "how": "import",
        "producer": source.producer,
        "licence": source.licence,
        "url": source.url,
        "files": entries,
    }
    text = json.dumps(origin, ensure_ascii=False, indent=2) + "\n"
    (folder / "origin.json").write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o444)
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
