"""Answers over https: statuses, redirects, resumed downloads. Nothing here knows what a source is."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from tne_eval.errors import MissingDataError
from tne_eval.sources.addresses import FetchError, follow
from tne_eval.sources.body import Progress, clean, error_message, read_body, unfollowed
from tne_eval.sources.web import Fault, Web, try_again

MAX_REDIRECTS = 5
MAX_ANSWER = 20_000_000
HEAD = 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_TRY_LATER = "try again later"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came with a body: the headers that tell one edition of a file from another."""

    url: str
    etag: str = ""
    last_modified: str = ""
    content_type: str = ""
    resumable: bool = False


def read_json(web: Web, url: str) -> object:
    """The JSON at an address.

    Raises
    ------
    FetchError, MissingDataError (404) : as `download`; or an answer that is no JSON.
    """

    def get() -> bytes:
        with _answer(web, url, {}) as response:
            return b"".join(read_body(web, response, MAX_ANSWER))

    raw = try_again(web, get)
    try:
        return json.loads(raw)
    except ValueError as error:
        raise FetchError(
            "the server answered something else than JSON",
            where=url,
            why=f"it begins with {clean(raw[:80])!r}",
            remedy="open the address in a browser: a proxy or a page of maintenance may stand in between",
        ) from error


def download(
    web: Web,
    url: str,
    part: Path,
    *,
    cap: int,
    held: Answer | None = None,
    check_head: Callable[[bytes], None] = lambda head: None,
    on_progress: Progress = unfollowed,
) -> Answer | None:
    """Write the body at an address into `part`, resuming what an interrupted download left there.

    Parameters
    ----------
    part : the file to write; `<part>.json` beside it says of which edition it is.
    cap : the most bytes allowed, on the line and once decompressed.
    held : the edition already held: the server is asked for a body only if it has another one.
    check_head : called once with the first bytes; may raise to refuse the body before the rest comes.
    on_progress : called with bytes received and announced (None where the server does not say).

    Returns
    -------
    Answer, or None when the edition already held is still the right one.

    Raises
    ------
    FetchError : refused, too large, too slow, or cut more often than `Limits` allow.
    MissingDataError : no such address (404).
    """
    note = part.with_name(part.name + ".json")

    def get() -> Answer | None:
        start, known = _resumable(part, note, url)
        with _answer(web, url, _asking(start, known, held)) as response:
            if response.status_code == 304:
                return None
            if response.status_code == 416:
                if known and response.headers.get("content-range") == f"bytes */{start}":
                    return known
                raise _restart(part, web, url)
            found = _describe(url, response)
            if response.status_code == 206:
                if not known or not response.headers.get("content-range", "").startswith(f"bytes {start}-"):
                    raise _restart(part, web, url)
                found = known
            else:
                start = 0
            note.write_text(json.dumps(asdict(found)), encoding="utf-8")
            with part.open("ab" if start else "wb") as stream:
                head = b"" if start == 0 else None
                for piece in read_body(web, response, cap, on_progress, start):
                    stream.write(piece)
                    stream.flush()
                    if head is not None:
                        head += piece[:HEAD]
                        if len(head) >= HEAD:
                            check_head(head)
                            head = None
            if head is not None:
                check_head(head)
            return found

    try:
        return try_again(web, get)
    except FetchError:
        if not _resumable(part, note, url)[1]:
            part.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
        raise


def _describe(url: str, response: httpx.Response) -> Answer:
    etag = response.headers.get("etag", "")
    plain = "content-encoding" not in response.headers
    ranges = response.headers.get("accept-ranges", "").lower() == "bytes"
    return Answer(
        url,
        etag,
        response.headers.get("last-modified", ""),
        response.headers.get("content-type", ""),
        resumable=plain and ranges and etag.startswith('"'),
    )


def _resumable(part: Path, note: Path, url: str) -> tuple[int, Answer | None]:
    """Bytes held and the edition they are of; 0 and None where a download must start afresh."""
    try:
        known = Answer(**json.loads(note.read_text(encoding="utf-8")))
        size = part.stat().st_size
    except (OSError, ValueError, TypeError):
        return 0, None
    return (size, known) if known.resumable and known.url == url and size else (0, None)


def _asking(start: int, known: Answer | None, held: Answer | None) -> dict[str, str]:
    if known:
        return {"Range": f"bytes={start}-", "If-Range": known.etag, "Accept-Encoding": "identity"}
    if held and held.etag:
        return {"If-None-Match": held.etag}
    if held and held.last_modified:
        return {"If-Modified-Since": held.last_modified}
    return {}


def _restart(part: Path, web: Web, url: str) -> Fault:
    part.unlink(missing_ok=True)
    error = FetchError("the server could not resume an interrupted download", where=url, remedy="fetch again")
    return Fault(error, web.limits.tries)


@contextmanager
def _answer(web: Web, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The streamed answer (200, 206, 304 or 416) at the end of the redirects."""
    place = url
    try:
        for _ in range(MAX_REDIRECTS + 1):
            with web.client.stream("GET", place, headers=headers) as response:
                if response.status_code not in _REDIRECTS:
                    _refuse_status(web, place, response)
                    yield response
                    return
                place = follow(place, response.headers.get("location", ""))
    except httpx.TransportError as error:
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            raise FetchError(
                "the certificate of the server could not be verified",
                where=place,
                why=str(error),
                remedy="behind a proxy that opens https, set SSL_CERT_FILE to its certificates; never turn checks off",
            ) from error
        raise Fault(
            FetchError(
                "the connection failed or was cut",
                where=place,
                why=f"{type(error).__name__}: {error}".rstrip(": "),
                remedy="check the network and the proxy (HTTPS_PROXY), then fetch again: what can be resumed is kept",
            ),
            web.limits.tries,
        ) from error
    except httpx.InvalidURL as error:
        raise FetchError("not an address", where=place[:200], why=str(error), remedy="correct the entry") from error
    raise FetchError(f"more than {MAX_REDIRECTS} redirects", where=url, remedy="correct the address in the catalogue")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refuse_status(web: Web, url: str, response: httpx.Response) -> None:
    status = response.status_code
    if status in (200, 206, 304, 416):
        return
    said = _said(web, response)
    if status in (404, 410):
        raise MissingDataError(
            f"nothing is published at this address any more (HTTP {status})",
            where=url,
            why=said,
            remedy="find the new address on the producer's site and correct the catalogue entry",
        )
    if status == 429:
        wait = _retry_after(response)
        asked = f"it asks to wait {wait:.0f} s; " if wait is not None else ""
        error = FetchError(
            "the server asks for fewer requests (HTTP 429)", where=url, why=said, remedy=asked + _TRY_LATER
        )
        raise Fault(error, web.limits.tries, wait)
    if "odsql" in said.lower():
        raise FetchError(
            f"the server refuses the query (HTTP {status})",
            where=url,
            why=said,
            remedy="correct `query` in the catalogue entry: the names of the data set's columns may have changed",
        )
    error = FetchError(f"the server answered HTTP {status}", where=url, why=said, remedy=_TRY_LATER)
    if status in (502, 504):
        raise Fault(error, web.limits.tries)
    if status == 503:
        raise Fault(error, web.limits.tries_when_unavailable, _retry_after(response))
    raise error


def _said(web: Web, response: httpx.Response) -> str:
    """What an error page says, in one short line."""
    raw = b""
    for piece in read_body(web, response, MAX_ANSWER):
        raw += piece
        if len(raw) > 10_000:
            break
    return error_message(raw) or clean(raw[:200])


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait; a date counts from the server's own."""
    asked = response.headers.get("retry-after", "").strip()
    if asked.isdecimal() and len(asked) < 10:
        return float(asked)
    try:
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(response.headers.get("date", ""))
        return max(0.0, wait.total_seconds())
    except (ValueError, TypeError):
        return None
