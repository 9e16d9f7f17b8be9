"""`raw/<source>/<vintage>/`: whole and checked files, read-only, never overwritten; `origin.json` says where from.

Work in progress is in `raw/.part/<source>/`, on the same disk, so that a rename publishes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from tne_eval.catalog.entries import Source
from tne_eval.errors import ContractError, Problem

ORIGIN = "origin.json"
_WORK = ".part"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Held:
    """A vintage that is there: its folder and its origin."""

    folder: Path
    origin: Mapping

    @property
    def files(self) -> list[Path]:
        return [self.folder / name for name in self.origin["files"]]

    @property
    def urls(self) -> set[str]:
        return {file["url"] for file in self.origin["files"].values()}


@contextmanager
def lock_work(raw: Path, source: str) -> Iterator[Path]:
    """The work folder of a source, for one process at a time; others wait. It goes when it is empty."""
    folder = raw / _WORK / source
    handle = _lock(folder)
    try:
        yield folder
    finally:
        # Removed while still locked: whoever waits sees that its folder is gone, and makes another.
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()
        os.close(handle)


def _lock(folder: Path) -> int:
    while True:
        with suppress(FileNotFoundError):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                if folder.exists() and not folder.is_dir():
                    raise
                continue  # another had it, and has just removed it
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)


def clear(work: Path) -> None:
    """Empty the work folder."""
    for path in work.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def list_held(raw: Path, source: str) -> list[Held]:
    """Vintages of a source, the latest first. A folder without a readable origin is not ours: it is left alone."""
    held = []
    for path in (raw / source).glob(f"*/{ORIGIN}"):
        with suppress(OSError, ValueError):
            origin = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(origin, dict) and isinstance(origin.get("files"), dict):
                held.append(Held(path.parent, origin))
    return sorted(held, key=_age, reverse=True)


def _age(held: Held) -> tuple[str, str, int]:
    """Day, then moment of publication, then order of arrival: that alone where the producer gives no date."""
    day = _DAY.match(held.folder.name)
    data_set = held.origin.get("data_set") or {}
    return day[0] if day else "", data_set.get("processed", ""), held.origin.get("arrival", 0)


def verify(held: Held) -> None:
    """Refuse a vintage whose files are no longer those that were fetched.

    Raises
    ------
    ContractError : every file that is missing or changed.
    """
    problems = []
    for name, file in held.origin["files"].items():
        path = held.folder / name
        found = sha256_of(path) if path.is_file() else "no file"
        if found != file["sha256"]:
            remedy = f"Move the folder {held.folder} away, then fetch again."
            problems.append(Problem(str(path), None, None, found, f"sha256 {file['sha256']}, as fetched", remedy))
    if problems:
        raise ContractError(problems)


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_all(files: Mapping[str, Mapping]) -> str:
    """sha256 of the only file, or of the list `sha256  name` of several."""
    if len(files) == 1:
        return next(iter(files.values()))["sha256"]
    lines = "".join(f"{file['sha256']}  {name}\n" for name, file in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def vintage_of(modified: str, files: Mapping[str, Mapping]) -> str:
    """Name of a vintage: the day on which the producer changed the data, or failing that a mark of their content.

    Parameters
    ----------
    modified : the producer's own date, or "".
    files : `last_modified` and `etag` headers and `sha256` of each file, by name.
    """
    if day := _DAY.match(modified):
        return day[0]
    days, etags = [], [file["etag"] for file in files.values()]
    for file in files.values():
        with suppress(ValueError, TypeError):
            days.append(f"{parsedate_to_datetime(file['last_modified']):%Y-%m-%d}")
    if days:
        return max(days)
    if all(etags):
        return f"etag-{hashlib.sha256(chr(10).join(etags).encode()).hexdigest()[:12]}"
    return f"sha256-{sha256_of_all(files)[:12]}"


def describe_origin(source: Source, files: Mapping[str, Mapping], **facts: object) -> dict:
    """The `origin.json` of a vintage: its source, what is told of how it came (`facts`), its files."""
    return {
        "source": source.id,
        "label": source.label,
        "producer": source.producer,
        "licence": source.licence,
        "citation": source.citation,
        "page": source.url,
        **facts,
        "sha256": sha256_of_all(files),
        "files": dict(sorted(files.items())),
    }


def publish(staged: Path, raw: Path, source: str, vintage: str, origin: Mapping) -> Held:
    """Give `staged` its place. A vintage that is there is never touched: another content of it gets a name of its own.

    Returns
    -------
    Held: the new folder, or the one that already held these very files.
    """
    sha256 = sha256_of_all(origin["files"])
    for name in (vintage, f"{vintage}-{sha256[:8]}"):
        folder = raw / source / name
        same = [held for held in list_held(raw, source) if held.folder == folder]
        if same and sha256_of_all(same[0].origin["files"]) == sha256:
            verify(same[0])
            return same[0]
        if not folder.exists():
            break
    else:
        remedy = f"Move {folder} away, then fetch again."
        raise ContractError([Problem(str(folder), None, None, "a folder of other files", "none", remedy)])
    arrival = 1 + len(list_held(raw, source))
    text = (
        json.dumps({**origin, "vintage": folder.name, "arrival": arrival}, ensure_ascii=False, indent=2, sort_keys=True)
        + "\n"
    )
    (staged / ORIGIN).write_text(text, encoding="utf-8")
    for path in staged.iterdir():
        path.chmod(0o444)
        _flush(path)
    _flush(staged)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(folder)
    _flush(folder.parent)
    return Held(folder, json.loads(text))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
