"""Where a source is: the address of each file, the name it gets, and where a redirect may lead."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from tne_eval.catalog.entries import Source
from tne_eval.errors import FetchError, MissingDataError

PORTAL = "https://data.education.gouv.fr"
_CATALOGUE = "/api/explore/v2.1/catalog/datasets"
_QUERY = ("select", "where", "group_by", "order_by")
_PORTS = {"http": 80, "https": 443}
_SAFE_NAME = re.compile(r"[\w.()' -]{1,150}")


@dataclass(frozen=True, slots=True)
class Address:
    """One file to download: its `url`, the `name` it is stored under, and the address of its `metadata` or ""."""

    url: str
    name: str
    metadata: str = ""


def can_fetch(source: Source) -> bool:
    """Whether the entry says where a public file is."""
    return source.access == "open" and bool(source.slug or source.download)


def list_addresses(source: Source, base_url: str | None = None) -> list[Address]:
    """Addresses of the files of a source, one for each of its periods.

    Raises
    ------
    MissingDataError : no public file.
    FetchError : an address that is not https, or an entry that names no file.
    """
    if source.access != "open":
        raise MissingDataError(
            f"source {source.id}: no public file exists",
            where=source.url,
            why=f"access is {source.access}",
            remedy=f"ask {source.producer} for the file, then: tne-eval import PATH --source {source.id}",
        )
    if source.slug:
        data_set = f"{PORTAL}{_CATALOGUE}/{quote(source.slug, safe='')}"
        url = f"{data_set}/exports/csv?{urlencode(_export_query(source), quote_via=quote)}"
        return [Address(rebase(url, base_url), _name(source, f"{source.slug}.csv", ""), rebase(data_set, base_url))]
    if not source.download:
        raise MissingDataError(
            f"source {source.id}: the catalogue has no address for it",
            where=source.url,
            remedy=f"get the file there, then: tne-eval import PATH --source {source.id}",
        )
    if "{period}" in source.download and not source.periods:
        raise FetchError(
            f"source {source.id}: its address needs a period and the entry lists none",
            where=source.download,
            remedy=f"add periods to catalog/sources/{source.id}.toml",
        )
    periods = source.periods if "{period}" in source.download else ("",)
    return [_download(source, period, base_url) for period in periods]


def _download(source: Source, period: str, base_url: str | None) -> Address:
    url = source.download.replace("{period}", quote(period, safe=""))
    return Address(rebase(url, base_url), _name(source, unquote(PurePosixPath(urlsplit(url).path).name), period))


def _export_query(source: Source) -> dict[str, str]:
    asked = {word: source.query[word] for word in _QUERY if source.query.get(word)}
    form = {"limit": "-1", "delimiter": source.separator, "use_labels": "false", "lang": "fr"}
    return {**asked, **form, "timezone": "Europe/Paris"}


def fits(name: str, source: Source) -> bool:
    """Whether a file of this name belongs to the source."""
    return any(fnmatchcase(name, pattern) for pattern in source.files)


def _name(source: Source, given: str, period: str) -> str:
    """The first name that the source's patterns recognise and that tells its periods apart."""
    path = PurePosixPath(given or source.id)
    made = [given, f"{path.stem}_{period}{path.suffix}", f"{period}_{given}"]
    made += [pattern.replace("*", period) for pattern in source.files if not set(pattern) & set("?[")]
    for name in made:
        if period in name and fits(name, source) and _SAFE_NAME.fullmatch(name) and not name.startswith("."):
            return name
    raise FetchError(
        f"source {source.id}: no file name fits its patterns",
        why=f"tried {', '.join(made)}; the patterns are {', '.join(source.files)}",
        remedy=f"correct `files` in catalog/sources/{source.id}.toml",
    )


def list_near_url(metadata: str, offset: int) -> str:
    """Address of a page of 100 identifiers of data sets, beside the one at `metadata`."""
    return f"{metadata.rpartition('/')[0]}?select=dataset_id&limit=100&offset={offset}"


def is_loopback(url: str) -> bool:
    """Whether an address is on this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def rebase(url: str, base_url: str | None) -> str:
    """`url` with the scheme and host of `base_url`; https, or http on this very machine.

    Raises
    ------
    FetchError : any other address.
    """
    if base_url is not None:
        try:
            base, parts = urlsplit(base_url), urlsplit(url)
            allowed = base.scheme == "https" or (base.scheme == "http" and is_loopback(base_url))
            port_is_a_number = base.port is None or base.port > 0
        except ValueError:
            allowed = port_is_a_number = False
        if not (allowed and port_is_a_number and base.hostname) or base.query or base.fragment or base.username:
            raise FetchError(
                f"base address {base_url[:200]!r} refused",
                why="only https is allowed, and http for 127.0.0.1, ::1 or localhost; no user name, query or fragment",
                remedy="give an address such as https://mirror.example.org",
            )
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + parts.path, parts.query, ""))
    if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
        raise FetchError(f"address {url[:200]!r} refused", why="only https is allowed", remedy="correct the entry")
    return url


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def follow(url: str, location: str) -> str:
    """Where a redirect leads: an address of the same scheme, host and port.

    Raises
    ------
    FetchError : a redirect to http or to another host.
    """
    try:
        target = urljoin(url, location)
        same = bool(location) and _origin(target) == _origin(url)
    except ValueError:
        target, same = location, False
    if not same:
        raise FetchError(
            f"redirect refused: {url[:200]} leads to {target[:200]!r}",
            why="a redirect may only lead to https on the same host",
            remedy="if that place is the producer's, write it as the address of this source in the catalogue",
        )
    return target


def result_columns(source: Source) -> tuple[str, ...]:
    """Columns that the source's `select` and `group_by` give; empty where they are those of the data set."""
    if not source.slug or not (source.query.get("select") or source.query.get("group_by")):
        return ()
    asked = [_alias(item) for word in ("group_by", "select") for item in _split(source.query.get(word, ""))]
    return () if "*" in asked else tuple(dict.fromkeys(asked))


def _split(text: str) -> list[str]:
    """Items between commas, those inside brackets or quotes left alone."""
    items, depth, quoted, start = [], 0, "", 0
    for place, char in enumerate(text):
        if quoted:
            quoted = "" if char == quoted else quoted
        elif char in "\"'":
            quoted = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and depth == 0:
            items.append(text[start:place])
            start = place + 1
    return [item.strip() for item in (*items, text[start:]) if item.strip()]


def _alias(item: str) -> str:
    return re.split(r"\s+as\s+", item, flags=re.IGNORECASE)[-1].strip().strip("`")
