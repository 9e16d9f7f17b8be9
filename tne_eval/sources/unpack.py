"""Archives that were downloaded: judged by their directory alone, then only the files of the source are taken out."""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from tne_eval.catalog.entries import Source
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.addresses import fits

MAX_MEMBERS = 1000
MAX_RATIO = 200
# Under this size a high ratio hurts nobody.
FREE_BYTES = 20_000_000
_CHUNK = 1 << 20
# A workbook is a zip archive too: this member tells it from one that packs workbooks.
_WORKBOOK = "[Content_Types].xml"
_ARCHIVES = (".zip", ".gz", ".7z", ".tar", ".rar", ".bz2", ".xz", ".tgz")
_REMEDY = "Do not open it; tell the producer, or import a file that you trust (tne-eval import)."
_DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def unpack(part: Path, name: str, source: Source, folder: Path) -> list[Path]:
    """Put a downloaded file into `folder`: as it is, or what it packs where the source wants plain files.

    A `.zip` or `.gz` that the source's patterns name is kept packed.

    Raises
    ------
    ContractError : a damaged archive, a bomb, a path that leaves the folder, a link, a password, too many members, an
        archive inside, no file of the source. Nothing has been taken out.
    """
    suffix = PurePosixPath(name).suffix.lower()
    with part.open("rb") as stream:
        magic = stream.read(4)
    cap = source.max_mb * 1_000_000
    try:
        if magic.startswith(b"PK\3\4"):
            with zipfile.ZipFile(part) as archive:
                workbook = suffix == ".xlsx" and _WORKBOOK in archive.namelist()
                wanted = _judge(archive, name, source, part.stat().st_size, names_matter=not workbook)
                if not workbook and suffix != ".zip":
                    return [_extract(archive, member, folder, name, cap) for member in wanted]
        elif magic.startswith(b"\x1f\x8b") and suffix != ".gz":
            with gzip.open(part) as stream:
                return [_copy(stream, folder / name, name, _limit(cap, part.stat().st_size))]
    except _DAMAGED as error:
        found = f"a damaged archive ({str(error)[:80] or type(error).__name__})"
        raise ContractError([Problem(name, None, None, found, "a whole one", "Fetch it again.")]) from error
    return [part.rename(folder / name)]


def _judge(
    archive: zipfile.ZipFile, name: str, source: Source, packed: int, *, names_matter: bool
) -> list[zipfile.ZipInfo]:
    """Members that are the source's files, once the whole directory of the archive is found harmless."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    found = [f"{len(members)} members"] if len(members) > MAX_MEMBERS else []
    size = sum(member.file_size for member in members)
    if size > _limit(source.max_mb * 1_000_000, packed):
        found.append(f"{size / 1e6:.0f} MB packed in {packed / 1e6:.1f} MB")
    for member in members[:MAX_MEMBERS]:
        if why := _unsafe(member):
            found.append(f"{why} ({member.filename[:80]!r})")
    wanted = [member for member in members if fits(_base(member), source)]
    if names_matter and not wanted:
        found.append("no file of this source (" + ", ".join(_base(member)[:60] for member in members[:10]) + ")")
    if names_matter and len({_base(member) for member in wanted}) < len(wanted):
        found.append("several files of one name")
    if found:
        expected = f"an archive of {' or '.join(source.files)}, at most {source.max_mb} MB, {MAX_MEMBERS} members, "
        expected += f"opening to at most {MAX_RATIO} times its size, plain files only"
        raise ContractError([Problem(name, None, None, what, expected, _REMEDY) for what in found[:20]])
    return wanted


def _base(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).name


def _limit(cap: int, packed: int) -> int:
    """The most bytes that `packed` bytes may open to."""
    return min(cap, max(FREE_BYTES, MAX_RATIO * packed))


def _unsafe(member: zipfile.ZipInfo) -> str:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in member.filename:
        return "a path that leaves the folder"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "a link or special file"
    if member.flag_bits & 1:
        return "a file under a password"
    return "an archive inside the archive" if path.suffix.lower() in _ARCHIVES else ""


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, name: str, cap: int) -> Path:
    with archive.open(member) as stream:
        return _copy(stream, folder / _base(member), name, _limit(cap, member.compress_size))


def _copy(stream: IO[bytes], target: Path, name: str, limit: int) -> Path:
    """Copy, and refuse what opens to more than its archive said."""
    size = 0
    with target.open("wb") as copy:
        while block := stream.read(_CHUNK):
            size += len(block)
            if size > limit:
                found = f"more than {limit / 1e6:.0f} MB once opened"
                raise ContractError([Problem(name, None, None, found, f"at most {limit / 1e6:.0f} MB", _REMEDY)])
            copy.write(block)
    return target
