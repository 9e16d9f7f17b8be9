"""Editions of a report: their names and order, the record of one, the one before it, what two were made from.

An edition is a folder `<report>/<YYYY-S1 or S2>` with its `manifest.json`. Names sort as their half-years do.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tne_eval.errors import ReportError, UnknownNameError
from tne_eval.report.manifest import EDITION, FILE_NAME, Manifest, check_edition, run_id_of, sha256

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NOTEBOOK = re.compile(r"[A-Za-z0-9_-]+\.ipynb")
_MAPPINGS = ("notebook", "parameters", "tables", "designs", "versions")
# What each input of a manifest is, in the terms of the question "what moved this number?".
_CAUSES = {
    "tables": "data",
    "designs": "design",
    "code": "code",
    "version": "code",
    "notebook": "code",
    "catalog": "code",
    "versions": "environment",
    "environment": "environment",
    "lock": "environment",
    "parameters": "parameters",
    "seed": "design",
    "previous": "previous",
}
# "altered": changed by hand after it was made; "unexplained": by nothing that is recorded.
CAUSES = ("altered", "data", "design", "code", "environment", "parameters", "previous", "other", "unexplained")
_REMEDY = "make the edition again with `tne-eval report <territory> --edition <edition>`, or take it from a copy"


@dataclass(frozen=True, slots=True, eq=False)
class InputChange:
    """An input that is not the same in two manifests: its `cause` (one of CAUSES), its name, and its hash or value
    before and after ("" where it was not there)."""

    cause: str
    name: str
    before: str
    after: str


def last_day(edition: str) -> dt.date:
    """Last day of the half-year: 30 June or 31 December."""
    year, half = check_edition(edition).split("-S")
    if int(year) < dt.MINYEAR:
        raise ReportError(f"edition {edition!r} has no such year", remedy="write it as 2026-S1 or 2026-S2")
    return dt.date(int(year), 6, 30) if half == "1" else dt.date(int(year), 12, 31)


def list_editions(folder: str | Path) -> list[str]:
    """Editions in the folder of a report, oldest first: its real folders so named that hold a manifest."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    places = (place for place in folder.iterdir() if EDITION.fullmatch(place.name) and not place.is_symlink())
    return sorted(place.name for place in places if (place / FILE_NAME).is_file())


def previous_edition(folder: str | Path, edition: str) -> Path | None:
    """Folder of the newest edition before this one in the folder of a report; None when there is none."""
    check_edition(edition)
    older = [name for name in list_editions(folder) if name < edition]
    return Path(folder) / older[-1] if older else None


def find_edition(out: str | Path, report: str, edition: str | None = None) -> Path:
    """Folder of an edition of a report; the newest when none is named.

    Parameters
    ----------
    out : folder of the reports.
    report : a territory id, or another report's name.
    edition : such as "2026-S1", or None.

    Raises
    ------
    UnknownNameError : no such report there, or no such edition of it; those that are there are listed.
    """
    out = Path(out)
    if not isinstance(report, str) or not _ID.fullmatch(report) or not list_editions(out / report):
        there = [place.name for place in out.iterdir() if list_editions(place)] if out.is_dir() else []
        raise UnknownNameError(f"report in {out}:", report, there or ["none: `tne-eval report` makes them"])
    names = list_editions(out / report)
    if edition is not None and check_edition(edition) not in names:
        raise UnknownNameError(f"edition of {report}:", edition, names)
    return out / report / (edition or names[-1])


def previous_facts(folder: str | Path, edition: str) -> dict[str, str]:
    """What a change log against the edition before depends on: its name, and one hash of its record and tables.

    Empty when there is no edition before. The bytes are hashed as they are now, so that a damaged edition is seen.
    """
    previous = previous_edition(folder, edition)
    if previous is None:
        return {}
    digest = hashlib.sha256()
    for path in (previous / FILE_NAME, *table_files(previous)):
        digest.update(f"{path.name}\0{sha256(path)}\0".encode())
    return {"edition": previous.name, "sha256": digest.hexdigest()}


def table_files(folder: Path) -> list[Path]:
    """The tables of an edition, by name."""
    return sorted((folder / "tables").glob("*.csv"))


def read_record(folder: str | Path) -> Manifest:
    """The manifest of an edition, every part of it checked.

    Parameters
    ----------
    folder : `<report>/<edition>`.

    Raises
    ------
    ReportError : no such folder or file, not JSON, parts missing or not of their form (all are listed), file names
        that lead out of the folder, or a `run_id` that is not that of the inputs.
    """
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        raise ReportError("no edition in this folder", where=str(path), remedy="name a folder <report>/<edition>")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(
            "a manifest that cannot be read", where=str(path), why=str(error)[:200], remedy=_REMEDY
        ) from None
    problems = list(_problems(record))
    if problems:
        raise ReportError("a malformed manifest", where=str(path), why="; ".join(problems)[:600], remedy=_REMEDY)
    if record["run_id"] != run_id_of(record["inputs"]):
        why = "run_id is not the hash of the inputs: one of them was changed by hand"
        raise ReportError("a manifest that was altered", where=str(path), why=why, remedy=_REMEDY)
    return Manifest(**record)


def list_changes(before: Mapping, after: Mapping) -> list[InputChange]:
    """Inputs of two manifests that are not the same, by cause; the name of the edition is not one."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    changes = [
        InputChange(_CAUSES.get(kind, "other"), name, old.get((kind, name), ""), new.get((kind, name), ""))
        for kind, name in {**old, **new}
        if old.get((kind, name)) != new.get((kind, name))
    ]
    return sorted(changes, key=lambda change: (CAUSES.index(change.cause), change.name))


def list_causes(changes: Iterable[InputChange]) -> tuple[str, ...]:
    """Causes of these changes, each once, in the order of CAUSES."""
    found = {change.cause for change in changes}
    return tuple(cause for cause in CAUSES if cause in found)


def _leaves(inputs: Mapping) -> Iterator[tuple[tuple[str, str], str]]:
    """((kind of input, name), its hash or value)."""
    for kind, value in inputs.items():
        if kind == "edition":
            continue
        if not isinstance(value, Mapping) or "sha256" in value:
            yield (kind, kind), _hash_or_text(value)
        else:
            for name, item in value.items():
                yield (kind, name), _hash_or_text(item)


def _hash_or_text(value: object) -> str:
    return str(value.get("sha256", dict(value)) if isinstance(value, Mapping) else value)


def _problems(record: object) -> Iterator[str]:
    fields = {"id", "edition", "run_id", "inputs", "outputs", "summary"}
    if not isinstance(record, dict):
        yield "it is not a JSON object"
        return
    if set(record) != fields:
        yield f"its parts are {sorted(record)}, not {sorted(fields)}"
        return
    if not _matches(_ID, record["id"]):
        yield "id is not the name of a report"
    if not _matches(EDITION, record["edition"]):
        yield "edition is not written as 2026-S1 or 2026-S2"
    if not _matches(_SHA256, record["run_id"]):
        yield "run_id is not a sha256"
    if not isinstance(record["summary"], dict):
        yield "summary is not an object"
    if not _can_be_written(record):
        yield "it holds a number or a text that JSON and UTF-8 do not"
    yield from _output_problems(record["outputs"])
    yield from _input_problems(record["inputs"], record["edition"])


def _output_problems(outputs: object) -> Iterator[str]:
    if not isinstance(outputs, dict) or not outputs:
        yield "outputs lists no file"
        return
    for name, digest in outputs.items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or any(char in name for char in "\\\0:"):
            yield f"outputs names {name[:80]!r}, which is not a file of the folder"
        if not _matches(_SHA256, digest):
            yield f"outputs gives no sha256 for {name[:80]!r}"


def _input_problems(inputs: object, edition: object) -> Iterator[str]:
    if not isinstance(inputs, dict):
        yield "inputs is not an object"
        return
    for name in _MAPPINGS:
        if not isinstance(inputs.get(name), dict):
            yield f"inputs.{name} is not an object"
    for name in ("catalog", "code"):
        if not isinstance(inputs.get(name), str):
            yield f"inputs.{name} is not a text"
    if inputs.get("edition") != edition:
        yield "inputs.edition is not the edition"
    notebook, tables, designs = (inputs.get(name) for name in ("notebook", "tables", "designs"))
    if isinstance(notebook, dict):
        if not _matches(_NOTEBOOK, notebook.get("name")):
            yield "inputs.notebook.name is not the name of a notebook"
        if not _matches(_SHA256, notebook.get("sha256")):
            yield "inputs.notebook.sha256 is not a sha256"
    if isinstance(tables, dict):
        for name, facts in tables.items():
            if not isinstance(facts, dict) or not _matches(_SHA256, facts.get("sha256")):
                yield f"inputs.tables gives no sha256 for {name[:80]!r}"
    if isinstance(designs, dict) and not all(isinstance(digest, str) for digest in designs.values()):
        yield "inputs.designs holds something else than hashes"


def _can_be_written(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):  # NaN, a lone surrogate
        return False
    return True


def _matches(pattern: re.Pattern, value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
