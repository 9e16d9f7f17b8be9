"""The body of an answer, piece by piece and never more than allowed, and what an error page says."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator

import httpx

from tne_eval.sources.addresses import FetchError
from tne_eval.sources.web import Fault, Web

_CHUNK = 1 << 20
Progress = Callable[[int, int | None], None]


def unfollowed(done: int, total: int | None) -> None:
    """A progress that nobody looks at."""


def read_body(
    web: Web, response: httpx.Response, cap: int, on_progress: Progress = unfollowed, start: int = 0
) -> Iterator[bytes]:
    """The plain body, piece by piece; `start` bytes of it are there already."""
    url = str(response.url)
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip"):
        remedy = "tell the maintainers of tne-eval"
        raise FetchError(
            f"unknown compression {coding[:40]!r}", where=url, why="only gzip was asked for", remedy=remedy
        )
    announced = response.headers.get("content-length", "")
    total = start + int(announced) if announced.isdecimal() and len(announced) < 20 else None
    if total is not None and total > cap:
        raise _too_large(url, cap, f"it announces {total / 1e6:.0f} MB")
    unzip = _Gunzip(url) if coding == "gzip" else None
    received = given = start
    for block in response.iter_raw():
        received += len(block)
        if time.monotonic() > web.deadline:
            raise FetchError(
                f"the download took more than {web.limits.total:.0f} s",
                where=url,
                why=f"{received / 1e6:.1f} MB came in that time",
                remedy="fetch again at another time: what can be resumed is kept",
            )
        for piece in unzip.pieces(block) if unzip else (block,):
            given += len(piece)
            if max(given, received) > cap:
                raise _too_large(url, cap, f"{received / 1e6:.1f} MB on the line, {given / 1e6:.1f} MB decompressed")
            yield piece
        on_progress(received, total)
    if unzip and not unzip.whole:
        raise Fault(FetchError("the compressed body is cut", where=url, remedy="fetch again"), web.limits.tries)


def _too_large(url: str, cap: int, why: str) -> FetchError:
    return FetchError(
        f"the file is larger than the {cap / 1e6:.0f} MB allowed",
        where=url,
        why=why,
        remedy="if that is right, raise `max_mb` in the catalogue entry, or ask the server for less with `query`",
    )


class _Gunzip:
    """A gzip body, opened by pieces of 1 MiB at most, so that a bomb meets the cap before it fills the memory."""

    def __init__(self, url: str) -> None:
        self._url, self._stream = url, zlib.decompressobj(wbits=31)

    def pieces(self, block: bytes) -> Iterator[bytes]:
        while block:
            if self._stream.eof:
                self._stream = zlib.decompressobj(wbits=31)
            try:
                piece = self._stream.decompress(block, _CHUNK)
            except zlib.error as error:
                raise FetchError(
                    "the body is not the gzip it says", where=self._url, why=str(error), remedy="try again later"
                ) from error
            block = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if piece:
                yield piece

    @property
    def whole(self) -> bool:
        return self._stream.eof


def error_message(raw: bytes) -> str:
    """`CODE: message` of an error of the API in JSON; "" for anything else."""
    try:
        answer = json.loads(raw)
    except ValueError:
        return ""
    if not isinstance(answer, dict) or not {"error_code", "message", "error"} & set(answer):
        return ""
    parts = (answer.get("error_code"), answer.get("message") or answer.get("error"))
    return clean(": ".join(str(part) for part in parts if part).encode())[:300]


def clean(raw: bytes) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in raw.decode("utf-8", "replace")).split())
