"""Sources of the catalogue → `raw/<source>/<vintage>/`: downloaded, checked whole, then published."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tne_eval.catalog import Source, get_source, list_sources
from tne_eval.errors import TneError
from tne_eval.sources.addresses import Address, FetchError, can_fetch, list_addresses
from tne_eval.sources.body import Progress, unfollowed
from tne_eval.sources.portal import describe
from tne_eval.sources.received import check_files, check_head, count_rows
from tne_eval.sources.store import (
    Held,
    clear,
    describe_origin,
    list_held,
    lock_work,
    publish,
    sha256_of,
    sha256_of_all,
    verify,
    vintage_of,
)
from tne_eval.sources.transport import HEAD, Answer, download
from tne_eval.sources.unpack import unpack
from tne_eval.sources.web import Limits, Web, open_web


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What became of a source. `status`: fetched, up_to_date or failed.

    `path` is the file, or the folder of several; `sha256` that of the file, or of the list of several; `rows` counts
    records without header (None where the format does not tell); `message` and `error` say what went wrong.
    """

    id: str
    status: str
    path: Path | None = None
    vintage: str = ""
    sha256: str = ""
    bytes: int = 0
    rows: int | None = None
    message: str = ""
    error: TneError | None = None

    def to_dict(self) -> dict:
        return {
            "id": self.id,
            "status": self.status,
            "path": str(self.path) if self.path else None,
            "vintage": self.vintage,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "rows": self.rows,
            "message": self.message,
            "error": self.error.to_dict() if self.error else None,
        }


@dataclass(frozen=True, slots=True)
class FetchEvent:
    """Source number `place` of `count`: bytes `done`, their `total` (None: not announced), its result at last."""

    id: str
    place: int
    count: int
    done: int
    total: int | None
    result: FetchResult | None = None


class _ChangedMeanwhile(Exception):
    """The data set was published anew while it was downloaded."""


def fetch_sources(
    ids: Iterable[str] | None,
    raw: str | Path,
    *,
    base_url: str | None = None,
    on_event: Callable[[FetchEvent], None] = lambda event: None,
    refresh: bool = False,
    limits: Limits | None = None,
) -> list[FetchResult]:
    """Fetch sources one after the other; one that fails does not stop the others.

    Parameters
    ----------
    ids : sources of the catalogue; None for all that have a public address.
    raw : folder of raw files.
    base_url : scheme and host to ask instead of the producers' own.
    on_event : called as bytes come and when a source ends.

    Raises
    ------
    UnknownNameError : a name that the catalogue does not hold; nothing has been fetched.
    """
    wanted = [source for source in list_sources() if can_fetch(source)] if ids is None else map(get_source, ids)
    sources = list(dict.fromkeys(source.id for source in wanted))
    results = []
    for place, id in enumerate(sources, start=1):
        event = partial(FetchEvent, id, place, len(sources))
        try:
            result = fetch_source(
                get_source(id),
                Path(raw),
                base_url=base_url,
                refresh=refresh,
                on_progress=lambda done, total, event=event: on_event(event(done, total)),
                limits=limits,
            )
        except TneError as error:
            result = FetchResult(id, "failed", message=str(error), error=error)
        results.append(result)
        on_event(event(result.bytes, result.bytes, result))
    return results


def fetch_source(
    source: Source,
    raw: Path,
    *,
    base_url: str | None = None,
    refresh: bool = False,
    on_progress: Progress | None = None,
    limits: Limits | None = None,
) -> FetchResult:
    """Fetch one source into `raw/<source>/<vintage>/`, or say that it is up to date.

    Parameters
    ----------
    source : the catalogue entry.
    raw : folder of raw files.
    base_url : scheme and host to ask instead of the producer's own; http only for this very machine.
    refresh : ask for the body even if nothing says that it changed.
    on_progress : called with bytes received and announced (None where the server does not say).

    Raises
    ------
    MissingDataError : no public address, or nothing there any more.
    FetchError : refused, too large, too slow or cut. What can be resumed is kept, hidden; nothing is published.
    ContractError : a file that is not what the entry says, every problem at once; nothing is published.
    """
    addresses = list_addresses(source, base_url)
    follow = on_progress or unfollowed
    try:
        with open_web(addresses[0].url, limits or Limits()) as web, lock_work(Path(raw), source.id) as work:
            try:
                return _fetch(web, source, addresses, Path(raw), work, refresh, follow)
            except _ChangedMeanwhile:
                return _fetch(web, source, addresses, Path(raw), work, refresh, follow)
    except _ChangedMeanwhile:
        raise FetchError(
            f"source {source.id}: the data set is being published anew",
            where=addresses[0].metadata,
            why="what the portal says of it changed twice while it was downloaded",
            remedy="fetch again in an hour",
        ) from None
    except OSError as error:
        raise FetchError(
            f"source {source.id}: the files could not be written",
            where=str(error.filename or raw),
            why=error.strerror or str(error),
            remedy="check the free space and the permissions of this folder, then fetch again",
        ) from error


def _fetch(
    web: Web, source: Source, addresses: list[Address], raw: Path, work: Path, refresh: bool, follow: Progress
) -> FetchResult:
    data_set = describe(web, source, addresses[0]) if source.slug else None
    ours = [held for held in list_held(raw, source.id) if held.urls == {address.url for address in addresses}]
    if data_set and not refresh:
        for held in ours:
            if held.origin.get("data_set") == data_set.to_dict():
                verify(held)
                clear(work)
                return _result(source, held, "up_to_date")
    last = None if refresh or data_set or not ours else ours[0]
    if last:
        verify(last)
    answers = _download_all(web, source, addresses, work, last, follow)
    if last and not any(answers):
        clear(work)
        return _result(source, last, "up_to_date")
    try:
        if data_set and describe(web, source, addresses[0]) != data_set:
            raise _ChangedMeanwhile
        staged, files = _stage(source, addresses, answers, work, last)
        check_files([staged / name for name in files], source, files, data_set.records if data_set else None)
        there = {held.folder for held in list_held(raw, source.id)}
        vintage = vintage_of(data_set.modified if data_set else "", files)
        origin = describe_origin(
            source,
            files,
            slug=source.slug,
            query=dict(source.query),
            data_set=data_set.to_dict() if data_set else None,
        )
        held = publish(staged, raw, source.id, vintage, origin)
        return _result(source, held, "up_to_date" if held.folder in there else "fetched")
    finally:
        clear(work)


def _download_all(
    web: Web, source: Source, addresses: list[Address], work: Path, last: Held | None, follow: Progress
) -> list[Answer | None]:
    """Every body as `<name>.part` in the work folder; None for those that `last` holds already."""
    answers, before = [], 0
    for address in addresses:
        part = work / f"{address.name}.part"
        try:
            answer = download(
                web,
                address.url,
                part,
                cap=source.max_mb * 1_000_000,
                held=_answer_held(last, address.url),
                check_head=partial(check_head, name=address.name, source=source),
                on_progress=lambda done, total, before=before: follow(before + done, total and before + total),
            )
        except FetchError:
            raise
        except TneError:
            clear(work)
            raise
        before += part.stat().st_size if answer else 0
        answers.append(answer)
    return answers


def _stage(
    source: Source, addresses: list[Address], answers: list[Answer | None], work: Path, last: Held | None
) -> tuple[Path, dict[str, dict]]:
    """The files to publish, in a folder of their own, and what is known of each."""
    staged = work / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    files = {}
    for address, answer in zip(addresses, answers, strict=True):
        if answer is None:
            for name, file in last.origin["files"].items():
                if file["url"] == address.url:
                    shutil.copyfile(last.folder / name, staged / name)
                    files[name] = file
            continue
        part = work / f"{address.name}.part"
        with part.open("rb") as stream:
            check_head(stream.read(HEAD), address.name, source)  # again: a resumed one may never have been
        packed = sha256_of(part)
        for path in unpack(part, address.name, source, staged):
            sha256 = sha256_of(path)
            files[path.name] = {
                "url": answer.url,
                "etag": answer.etag,
                "last_modified": answer.last_modified,
                "content_type": answer.content_type,
                "sha256": sha256,
                "bytes": path.stat().st_size,
                "rows": count_rows(path),
                **({"archive_sha256": packed} if packed != sha256 else {}),
            }
    return staged, files


def _answer_held(held: Held | None, url: str) -> Answer | None:
    files = [file for file in held.origin["files"].values() if file["url"] == url] if held else []
    return Answer(url, files[0]["etag"], files[0]["last_modified"]) if files else None


def _result(source: Source, held: Held, status: str) -> FetchResult:
    files = held.origin["files"]
    rows = [file["rows"] for file in files.values()]
    return FetchResult(
        source.id,
        status,
        path=held.files[0] if len(files) == 1 else held.folder,
        vintage=held.folder.name,
        sha256=sha256_of_all(files),
        bytes=sum(file["bytes"] for file in files.values()),
        rows=None if None in rows else sum(rows),
    )
