"""Compressed files: refused before extraction when they are not one plain table, opened within a size limit."""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from tne_eval.errors import ContractError, Problem
from tne_eval.sources.messages import problem

TABLE_SUFFIXES = (".csv", ".parquet", ".xlsx", ".geojson")
PACKED_SUFFIXES = (".gz", ".zip")
# No public table of the catalogue opens to more; CSV packs 5 to 30 times, columns of one repeated value 100.
MAX_MB = 4_000
MAX_RATIO = 200
# Under this size a high ratio hurts nobody: a short table of zeros packs very well.
FREE_MB = 20
_MB = 1_000_000
_BLOCK = 1 << 20
# What macOS adds to the archives it makes.
_IGNORED = ("__MACOSX", ".DS_Store")


def table_suffix(path: Path) -> str:
    """Suffix of the table: `.csv` for `x.csv`, `x.csv.gz` and `x.CSV`; `.zip` says nothing of what it holds."""
    name = Path(path.stem) if path.suffix.lower() == ".gz" else path
    return name.suffix.lower()


@contextmanager
def open_plain(path: Path) -> Iterator[Path]:
    """The file itself, or what its archive holds, unpacked in a temporary folder that is removed afterwards.

    Raises
    ------
    ContractError : a damaged archive, a bomb, several members, or a member that is no plain table.
    OSError : a file that cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in PACKED_SUFFIXES:
        if suffix == ".xlsx":
            _refuse_large_workbook(path)
        yield path
        return
    with TemporaryDirectory(prefix="tne-eval-") as folder:
        unpack = _gunzip if suffix == ".gz" else _unzip
        plain = unpack(path, Path(folder))
        if plain.suffix.lower() == ".xlsx":
            _refuse_large_workbook(plain, path.name)
        yield plain


def _bomb(file: str, size: int, packed: int) -> Problem | None:
    ratio = size / max(packed, 1)
    if size <= MAX_MB * _MB and (size <= FREE_MB * _MB or ratio <= MAX_RATIO):
        return None
    return problem("bomb", file, size=round(size / _MB), ratio=round(ratio), limit=MAX_MB, most=MAX_RATIO)


def _copy(stream: BinaryIO, target: Path, file: str, packed: int) -> None:
    """Copy block by block; what grows beyond the limits is refused at once, whatever its archive announced."""
    size = 0
    with target.open("wb") as copy:
        while block := stream.read(_BLOCK):
            size += len(block)
            if bomb := _bomb(file, size, packed):
                raise ContractError([bomb])
            copy.write(block)


def _gunzip(path: Path, folder: Path) -> Path:
    if table_suffix(path) not in TABLE_SUFFIXES:
        raise ContractError([problem("suffix", path.name, suffix=repr("".join(path.suffixes[-2:])))])
    target = folder / f"table{table_suffix(path)}"
    try:
        with gzip.open(path) as stream:
            _copy(stream, target, path.name, path.stat().st_size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ContractError([problem("not_gzip", path.name)]) from error
    return target


def _unzip(path: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(path) as archive:
            member = _only_member(archive, path.name)
            target = folder / f"table{PurePosixPath(member.filename).suffix.lower()}"
            with archive.open(member) as stream:
                _copy(stream, target, path.name, member.compress_size)
    except ContractError:
        raise
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, ValueError) as error:
        raise ContractError([problem("not_zip", path.name, why=str(error)[:80])]) from error
    return target


def _only_member(archive: zipfile.ZipFile, file: str) -> zipfile.ZipInfo:
    """The single table that an archive holds, judged by its directory alone."""
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not set(PurePosixPath(member.filename).parts) & set(_IGNORED)
    ]
    problems = [
        problem("zip_unsafe", file, name=member.filename[:80], why=why)
        for member in members[:20]
        if (why := _unsafe(member))
    ]
    if len(members) != 1:
        names = ", ".join(member.filename[:40] for member in members[:5])
        problems.append(problem("zip_members", file, count=len(members), names=names))
    size = sum(member.file_size for member in members)
    if bomb := _bomb(file, size, sum(member.compress_size for member in members)):
        problems.append(bomb)
    if problems:
        raise ContractError(problems)
    return members[0]


def _unsafe(member: zipfile.ZipInfo) -> str:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "path"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "link"
    if member.flag_bits & 1:
        return "password"
    return "" if path.suffix.lower() in TABLE_SUFFIXES else path.suffix or "no suffix"


def _refuse_large_workbook(path: Path, file: str = "") -> None:
    """A workbook is a zip archive: what it would open to is known before it is opened."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # the reader of workbooks says what is wrong
    if bomb := _bomb(file or path.name, size, path.stat().st_size):
        raise ContractError([bomb])
