"""Putting files in place so that a reader, or a kill at any instant, finds the old whole or the new whole."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tne_eval.errors import ReportError

STAGING = ".staging"
_PREVIOUS = ".previous-"
_PART = ".part-"


@contextlib.contextmanager
def locked(folder: Path, *, may_be_link: bool = False) -> Iterator[Path]:
    """Hold a folder, made if need be, against other runs; what a dead run left there is put right first."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink() and not may_be_link:
        raise ReportError("a report folder is a link to elsewhere", where=str(folder), remedy="remove the link")
    # The lock is on the folder itself: it leaves no file behind and ends with the process that holds it.
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        recover(folder)
        yield folder
    finally:
        os.close(handle)


def recover(folder: Path) -> None:
    """Undo or finish what a killed run left half done."""
    for previous in folder.glob(f"{_PREVIOUS}*"):
        final = folder / previous.name.removeprefix(_PREVIOUS)
        if final.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(final)
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    for part in folder.glob(f"{_PART}*"):
        part.unlink()


def publish_folder(staged: Path, final: Path) -> None:
    """Put a whole folder in the place of another: one exchange where the system can, otherwise two renames."""
    if not final.exists():
        staged.rename(final)
    elif _exchange(staged, final):
        shutil.rmtree(staged)
    else:
        previous = final.with_name(_PREVIOUS + final.name)
        final.rename(previous)
        staged.rename(final)
        shutil.rmtree(previous)


def publish_file(content: bytes, final: Path) -> bool:
    """Write a file at once; False when it already holds these bytes, and is left alone."""
    if final.is_file() and final.read_bytes() == content:
        return False
    part = final.with_name(_PART + final.name)
    part.write_bytes(content)
    part.replace(final)
    return True


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step (Linux renameat2); False where that does not exist."""
    if not sys.platform.startswith("linux"):
        return False
    here, exchange = -100, 2
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return swap(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0
