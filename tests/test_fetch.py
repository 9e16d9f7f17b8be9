"""Fetch: the real API's forms, every fault of a network, and a store that only ever holds whole and checked files."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path

import httpx
import openpyxl
import pytest
from api_server import ROOT, DataSet, StaticFile, running

from tne_eval.catalog import Column, Source, get_source, list_sources
from tne_eval.errors import ContractError, MissingDataError, TneError, UnknownNameError
from tne_eval.sources import fetch as fetch_module
from tne_eval.sources.addresses import FetchError, can_fetch, follow, list_addresses, rebase, result_columns
from tne_eval.sources.fetch import fetch_source, fetch_sources
from tne_eval.sources.received import count_rows
from tne_eval.sources.store import list_held, lock_work
from tne_eval.sources.web import Limits

QUICK = Limits(connect=2, read=1, total=20, backoff=0.01, longest_wait=1)
SLUG = "fr-en-cantines"
ROWS = [
    (str(2019 + year), f"{code:02d}", 100 * code + year, 'l\'école; "A"\nB') for year in range(3) for code in (1, 2)
]

# No département has the number 20.
CODES = [f"{number:02d}" for number in range(1, 96) if number != 20]

COLUMNS = (
    Column("annee", ("Année",), "year", missing=()),
    Column("code_departement", ("Code département",), "departement", missing=()),
    Column("repas", ("Repas servis",), "integer", low=0),
)


def make_source(**changes) -> Source:
    source = Source(
        id="cantines",
        label="Cantines",
        producer="DEPP",
        licence="Licence Ouverte 2.0 (Etalab)",
        url="https://data.education.gouv.fr/explore/dataset/fr-en-cantines/",
        vintage="2019 et suivantes",
        grain="année × département",
        files=("fr-en-cantines*.csv",),
        columns=COLUMNS,
        key=("annee", "code_departement"),
        slug=SLUG,
        citation="DEPP, Cantines",
    )
    return dataclasses.replace(source, **changes)


def make_file_source(**changes) -> Source:
    return make_source(**{"slug": "", "download": "https://data.example.fr/fichiers/fr-en-cantines.csv", **changes})


CSV = "\ufeffannee;code_departement;repas\r\n2019;01;100\r\n2019;02;200\r\n".encode()


def long_csv(rows: int) -> bytes:
    lines = [f"{1990 + n // 90};{CODES[n % 90]};{n}" for n in range(rows)]
    return ("annee;code_departement;repas\n" + "\n".join(lines) + "\n").encode()


def bomb(mb: int) -> bytes:
    return gzip.compress(b"a;b\n" + b"0;0\n" * (mb * 250_000))


@pytest.fixture
def server():
    with running() as server:
        server.data_sets[SLUG] = make_data_set()
        server.files["/fichiers/fr-en-cantines.csv"] = StaticFile(CSV)
        yield server


def make_data_set(**changes) -> DataSet:
    names = ["annee", "code_departement", "repas", "nom"]
    labels = ["Année", "Code département", "Repas servis", "Nom"]
    return DataSet(names, list(ROWS), ["VARCHAR", "VARCHAR", "INTEGER", "VARCHAR"], labels, **changes)


@pytest.fixture
def raw(tmp_path) -> Path:
    return tmp_path / "raw"


def tree(folder: Path) -> dict[str, str]:
    """Every path, hidden ones included, with mode and content."""
    return {
        path.relative_to(folder).as_posix(): f"{stat.S_IMODE(path.stat().st_mode):o} "
        + ("folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
    }


def published(raw: Path) -> dict[str, str]:
    return {name: mark for name, mark in tree(raw).items() if not name.startswith(".")} if raw.exists() else {}


def get(source: Source, raw: Path, server, limits: Limits = QUICK, **words):
    return fetch_source(source, raw, base_url=server.url, limits=limits, **words)


def refused(kind: type[TneError], source: Source, raw: Path, server, limits: Limits = QUICK) -> str:
    """The text of the error; nothing has been published, and it says what to do."""
    before = published(raw)
    with pytest.raises(kind) as caught:
        get(source, raw, server, limits)
    assert published(raw) == before
    assert caught.value.remedy or all(problem.remedy for problem in caught.value.problems)
    return str(caught.value)


# The main path


def test_an_export_is_stored_under_its_day_with_its_origin(server, raw):
    seen = []
    result = get(make_source(), raw, server, on_progress=lambda done, total: seen.append((done, total)))
    folder = raw / "cantines" / "2025-03-04"
    file = folder / "fr-en-cantines.csv"
    assert (result.status, result.vintage, result.path, result.rows) == ("fetched", "2025-03-04", file, 6)
    assert result.bytes == file.stat().st_size
    assert result.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.read_text(encoding="utf-8-sig").startswith("annee;code_departement;repas;nom\n")
    assert {path.name for path in folder.iterdir()} == {"fr-en-cantines.csv", "origin.json"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o444 for path in folder.iterdir())
    origin = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
    assert origin["sha256"] == result.sha256 and origin["licence"] == "Licence Ouverte 2.0 (Etalab)"
    assert origin["citation"] == "DEPP, Cantines" and origin["files"]["fr-en-cantines.csv"]["rows"] == 6
    assert seen and seen[-1][0] == seen[-1][1]
    assert not (raw / ".part").exists()


def test_the_address_is_that_of_the_real_api():
    query = {"where": 'annee >= "2020" and x in ("a","b")', "select": "annee, sum(repas) as repas", "group_by": "annee"}
    (address,) = list_addresses(make_source(query=query))
    parts = httpx.URL(address.url)
    assert (parts.scheme, parts.host) == ("https", "data.education.gouv.fr")
    assert parts.path == "/api/explore/v2.1/catalog/datasets/fr-en-cantines/exports/csv"
    form = {"limit": "-1", "delimiter": ";", "use_labels": "false", "lang": "fr", "timezone": "Europe/Paris"}
    assert dict(parts.params) == {**query, **form}
    assert "delimiter=%3B" in address.url and "timezone=Europe%2FParis" in address.url
    assert address.metadata == "https://data.education.gouv.fr/api/explore/v2.1/catalog/datasets/fr-en-cantines"


def test_every_source_with_an_address_has_a_safe_one():
    for source in list_sources():
        if can_fetch(source):
            addresses = list_addresses(source)
            assert len({address.name for address in addresses}) == len(addresses)
            assert all(address.url.startswith("https://") and "{" not in address.url for address in addresses)
            assert all(any(Path(a.name).match(pattern) for pattern in source.files) for a in addresses)


def test_the_second_time_no_body_is_asked(server, raw):
    first = get(make_source(), raw, server)
    before = tree(raw)
    second = get(make_source(), raw, server)
    assert second == dataclasses.replace(first, status="up_to_date")
    assert server.asked("/exports/") == 1 and tree(raw) == before
    third = get(make_source(), raw, server, refresh=True)
    assert third == second and server.asked("/exports/") == 2 and tree(raw) == before


def test_a_new_edition_stands_beside_the_old_one(server, raw):
    first = get(make_source(), raw, server)
    kept = tree(raw / "cantines" / "2025-03-04")
    data_set = server.data_sets[SLUG]
    data_set.rows.append(("2022", "01", 7, "x"))
    data_set.modified = "2026-01-02T00:00:00+00:00"
    second = get(make_source(), raw, server)
    assert (second.status, second.vintage, second.rows) == ("fetched", "2026-01-02", 7)
    # The same day again, with other figures: the day's folder is not touched.
    data_set.rows.append(("2022", "02", 8, "x"))
    data_set.processed = "2026-01-03T00:00:00+00:00"
    third = get(make_source(), raw, server)
    assert third.status == "fetched" and third.vintage == f"2026-01-02-{third.sha256[:8]}"
    assert get(make_source(), raw, server) == dataclasses.replace(third, status="up_to_date")
    assert [held.folder.name for held in list_held(raw, "cantines")] == [third.vintage, "2026-01-02", "2025-03-04"]
    assert tree(raw / "cantines" / "2025-03-04") == kept and first.path.exists() and second.path.exists()


def test_the_same_figures_processed_anew_are_up_to_date(server, raw):
    get(make_source(), raw, server)
    before = tree(raw)
    server.data_sets[SLUG].processed = "2030-01-01T00:00:00+00:00"
    assert get(make_source(), raw, server).status == "up_to_date"
    assert tree(raw) == before


def test_a_stored_file_that_was_changed_is_said_and_left(server, raw):
    path = get(make_source(), raw, server).path
    path.chmod(0o644)
    path.write_bytes(b"annee;code_departement;repas\n2019;01;1\n")
    assert "as fetched" in refused(ContractError, make_source(), raw, server)


def test_a_folder_of_someone_else_is_not_touched(server, raw):
    other = raw / "cantines" / "2025-03-04"
    other.mkdir(parents=True)
    (other / "mine.txt").write_text("mine", encoding="utf-8")
    result = get(make_source(), raw, server)
    assert result.vintage == f"2025-03-04-{result.sha256[:8]}"
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def test_select_where_and_group_by_are_done_by_the_server(server, raw):
    query = {
        "select": "sum(repas) as total",
        "where": 'code_departement in ("01","02") and annee >= "2020"',
        "group_by": "annee",
        "order_by": "annee",
    }
    result = get(make_source(query=query), raw, server)
    assert result.path.read_text(encoding="utf-8-sig").split() == ["annee;total", "2020;302", "2021;304"]
    assert result.rows == 2
    only_where = get(make_source(query={"where": 'annee = "2020"'}), raw / "b", server)
    assert only_where.rows == 2


QUERIES = [source for source in list_sources() if can_fetch(source) and source.query]


@pytest.mark.parametrize("source", QUERIES, ids=lambda source: source.id)
def test_the_queries_of_the_catalogue_are_understood(server, raw, source):
    """On a data set of one département, whose columns are those that the query names."""
    words = " ".join(source.query.get(word, "") for word in ("select", "group_by"))
    sums = list(dict.fromkeys(re.findall(r"sum\((\w+)\)", words)))
    days = list(dict.fromkeys(re.findall(r"(?:year|month)\((\w+)\)", words)))
    plain = [name.strip() for name in source.query.get("group_by", "").split(",") if name.strip().isidentifier()]
    names = [*sums, *days, *plain]
    kinds = ["INTEGER"] * len(sums) + ["DATE"] * len(days) + ["VARCHAR"] * len(plain)
    row = ["2024-03-04" if kind == "DATE" else "AISNE" if kind == "VARCHAR" else 5 for kind in kinds]
    server.data_sets[source.slug] = DataSet(names, [tuple(row), tuple(row)], kinds)
    result = get(source, raw, server)
    header, line = result.path.read_text(encoding="utf-8-sig").splitlines()
    assert tuple(header.split(";")) == result_columns(source) and result.rows == 1
    assert line.split(";").count("10") >= len(sums)


def test_columns_that_a_query_does_not_give_are_refused(server, raw):
    assert result_columns(make_source(query={"select": "f(a, 'x, y') as b, c", "group_by": "d as e"})) == (
        "e",
        "b",
        "c",
    )
    server.fail("body", value=b"annee;totale\n2020;3\n")
    query = {"select": "sum(repas) as total", "group_by": "annee"}
    text = refused(ContractError, make_source(query=query), raw, server)
    assert "'total'" in text and "totale" in text
    # Where the entry describes the result, the result is checked against it.
    described = (Column("annee", (), "year"), Column("total", (), "integer", high=250))
    assert "at most 250" in refused(ContractError, make_source(query=query, columns=described, key=()), raw, server)


# What is refused


@pytest.mark.parametrize(
    ("kind", "value", "error", "said"),
    [
        ("html", None, ContractError, "web page"),
        ("json error", None, ContractError, "InternalError: the export failed"),
        ("body", b"", ContractError, "empty file"),
        ("body", b"\xef\xbb\xbf\n \n", ContractError, "empty file"),
        ("body", b"annee,code_departement,repas\n2019,01,3\n", ContractError, "separated by ','"),
        ("body", b"annee;code_departement;repas\n", ContractError, "0 rows"),
        ("body", b"annee;code_departement;repas\n2019;01;-3\n" * 6, ContractError, "at least 0"),
        ("body", b"annee;code_departement;repas_\n" + b"2019;01;3\n" * 6, ContractError, "'repas_'"),
        ("gzip", bomb(8), FetchError, "larger than the 2 MB"),
        ("endless", None, FetchError, "larger than the 2 MB"),
        ("body", b"a;b\n" * 600_000, FetchError, "announces 2 MB"),
        ("brotli", None, FetchError, "unknown compression 'br'"),
        ("503 odsql", None, FetchError, "Unknown field: tauxx"),
        ("500", None, FetchError, "HTTP 500"),
        ("redirect", "http://data.example.fr/x", FetchError, "redirect refused"),
        ("redirect", "https://data.example.fr/x", FetchError, "same host"),
        ("redirect", "file:///etc/passwd", FetchError, "redirect refused"),
        ("redirect", "", FetchError, "redirect refused"),
    ],
)
def test_one_answer_is_enough_to_refuse(server, raw, kind, value, error, said):
    server.fail(kind, value=value, times=9)
    assert said in refused(error, make_source(max_mb=2), raw, server)
    assert server.asked("/exports/") == 1
    assert not (raw / ".part").exists()
    server.faults.clear()
    assert get(make_source(max_mb=2), raw, server).status == "fetched"


def test_memory_does_not_follow_a_bomb(server, raw):
    server.fail("gzip", value=bomb(100))
    tracemalloc.start()
    try:
        refused(FetchError, make_source(max_mb=80), raw, server)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_wrong_count_and_a_column_renamed_by_the_producer_are_refused(server, raw):
    server.data_sets[SLUG].records = 7
    text = refused(ContractError, make_source(), raw, server)
    assert "6 rows" in text and "7, as the portal says" in text
    server.data_sets[SLUG] = make_data_set()
    server.data_sets[SLUG].names[1] = "code_department"
    assert "'code_department'" in refused(ContractError, make_source(), raw, server)


def test_a_data_set_that_has_gone_names_the_near_ones(server, raw):
    server.data_sets |= {f"fr-en-autre-{place:03d}": make_data_set() for place in range(150)}
    server.data_sets["fr-en-cantines_v2"] = server.data_sets.pop(SLUG)
    text = refused(MissingDataError, make_source(), raw, server)
    assert "has gone" in text and "fr-en-cantines_v2" in text and "Unknown dataset" in text
    gone = make_file_source(download="https://data.example.fr/nulle-part.csv")
    assert "HTTP 404" in refused(MissingDataError, gone, raw, server)


def test_an_answer_that_is_not_the_api_is_said(server, raw):
    server.fail("html", ROOT)
    assert "something else than JSON" in refused(FetchError, make_source(), raw, server)
    server.fail("body", ROOT, value=b'{"results": []}')
    assert "metas.default" in refused(FetchError, make_source(), raw, server)


def test_sources_without_an_open_file(server, raw):
    assert "ask DEPP" in refused(MissingDataError, make_source(access="restricted"), raw, server)
    assert "tne-eval import" in refused(MissingDataError, make_source(slug=""), raw, server)
    no_period = make_source(slug="", download="https://data.example.fr/{period}.csv")
    assert "lists none" in refused(FetchError, no_period, raw, server)
    assert "fits its patterns" in refused(FetchError, make_source(files=("autre[0-9].csv",)), raw, server)
    assert not raw.exists() and not server.requests


@pytest.mark.parametrize(
    "base",
    [
        "http://data.example.fr",
        "http://127.0.0.1.example.fr",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "file:///tmp",
        "127.0.0.1:80",
        "https://",
        "https://a:b@data.example.fr",
        "https://data.example.fr:port",
        "",
    ],
)
def test_only_https_or_this_machine(base, raw):
    with pytest.raises(FetchError, match="only https"):
        fetch_source(make_source(), raw, base_url=base)
    assert not raw.exists()


def test_addresses_of_the_catalogue_are_https(raw):
    with pytest.raises(FetchError, match="only https"):
        fetch_source(make_file_source(download="http://data.example.fr/fr-en-cantines.csv"), raw)
    assert rebase("https://a.fr/x?y=1", "http://[::1]:8/m/") == "http://[::1]:8/m/x?y=1"
    assert rebase("https://a.fr/x?y=1", "https://b.fr") == "https://b.fr/x?y=1"


def test_redirects_stay_at_home(server, raw):
    assert follow("https://a.fr/x", "/y") == "https://a.fr/y"
    assert follow("https://a.fr/x", "https://A.fr:443/y") == "https://A.fr:443/y"
    for place in (
        "http://a.fr/x",
        "https://b.fr/x",
        "//b.fr/x",
        "https://a.fr:444/x",
        "https://a.fr@b.fr/",
        "https://[",
    ):
        with pytest.raises(FetchError):
            follow("https://a.fr/x", place)
    path = "/fichiers/fr-en-cantines.csv"
    server.fail("redirect", path, times=5, value=path)
    assert get(make_file_source(), raw, server).status == "fetched"
    server.fail("redirect", path, times=6, value=path)
    assert "more than 5 redirects" in refused(FetchError, make_file_source(), raw / "b", server)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
def test_a_certificate_that_nobody_signed_is_refused(raw, tmp_path):
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", tmp_path / "key", "-out", tmp_path / "cert"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *names], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with running() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        base = server.url.replace("http:", "https:")
        with pytest.raises(FetchError, match="certificate") as caught:
            fetch_source(make_source(), raw, base_url=base, limits=QUICK)
    assert "SSL_CERT_FILE" in caught.value.remedy and not server.requests


# What is tried again


@pytest.mark.parametrize(
    ("kind", "value", "tries"),
    [("429", "0", 4), ("502", None, 4), ("504", None, 4), ("hang up", None, 4), ("cut", 40, 4), ("503", None, 3)],
)
def test_what_may_pass_is_tried_again_and_not_for_ever(server, raw, kind, value, tries):
    server.fail(kind, value=value, times=tries - 1)
    assert get(make_source(), raw, server).status == "fetched"
    assert server.asked("/exports/") == tries
    server.requests.clear()
    server.fail(kind, value=value, times=99)
    refused(FetchError, make_source(), raw / "b", server)
    assert server.asked("/exports/") == tries


def test_a_cut_compressed_body_is_tried_again(server, raw):
    server.fail("cut gzip")
    assert get(make_source(), raw, server).rows == 6 and server.asked("/exports/") == 2


def test_the_server_is_waited_for_as_it_asks(server, raw):
    server.fail("429", value="1")
    start = time.monotonic()
    get(make_source(), raw, server, dataclasses.replace(QUICK, longest_wait=2))
    assert time.monotonic() - start >= 1
    server.requests.clear()
    server.fail("429", value="5", times=9)
    assert "wait 5 s" in refused(FetchError, make_source(), raw / "b", server)
    assert server.asked("/exports/") == 1


def test_time_is_counted(server, raw):
    server.fail("silent", value=0.5, times=9)
    limits = dataclasses.replace(QUICK, read=0.1, tries=2)
    assert "ReadTimeout" in refused(FetchError, make_source(), raw, server, limits)
    server.faults.clear()
    server.fail("trickle")
    assert "took more than" in refused(FetchError, make_source(), raw, server, dataclasses.replace(QUICK, total=0.5))


def test_nobody_there(raw):
    with running() as server:
        base = server.url
    with pytest.raises(FetchError, match="connection failed"):
        fetch_source(make_source(), raw, base_url=base, limits=QUICK)
    assert not published(raw)


def test_a_data_set_published_anew_meanwhile_is_fetched_again(server, raw):
    data_set = server.data_sets[SLUG]

    def change() -> None:
        data_set.processed += "+"
        data_set.rows.append((str(2030 + len(data_set.rows)), "01", 5, "x"))

    server.fail("then change", f"{SLUG}", value=change)
    result = get(make_source(), raw, server)
    assert (result.status, result.rows) == ("fetched", 7) and server.asked("/exports/") == 2
    server.fail("then change", f"{SLUG}", times=99, value=change)
    assert "published anew" in refused(FetchError, make_source(), raw / "b", server)


# Files at fixed addresses


def test_a_file_is_asked_again_only_if_it_changed(server, raw):
    first = get(make_file_source(), raw, server)
    assert (first.vintage, first.rows, first.path.read_bytes()) == ("2025-03-04", 2, CSV)
    before = tree(raw)
    assert get(make_file_source(), raw, server) == dataclasses.replace(first, status="up_to_date")
    assert server.requests[-1][1]["If-None-Match"] == '"v1"' and tree(raw) == before
    path = "/fichiers/fr-en-cantines.csv"
    server.files[path] = StaticFile(CSV + b"2020;01;3\r\n", '"v2"', "Wed, 05 Mar 2025 10:00:00 GMT")
    second = get(make_file_source(), raw, server)
    assert (second.status, second.vintage, second.rows) == ("fetched", "2025-03-05", 3)


@pytest.mark.parametrize(
    ("etag", "last_modified", "vintage"),
    [('"v1"', "", "etag-"), ("", "", "sha256-"), ('W/"v1"', "Sun, 01 Jun 2025 00:00:00 GMT", "2025-06-01")],
)
def test_a_vintage_without_a_day_is_a_mark_of_the_content(server, raw, etag, last_modified, vintage):
    server.files["/fichiers/fr-en-cantines.csv"] = StaticFile(CSV, etag, last_modified)
    assert get(make_file_source(), raw, server).vintage.startswith(vintage)
    assert get(make_file_source(), raw, server).status == "up_to_date"


def test_one_file_a_period_and_only_the_changed_ones_come_again(server, raw):
    source = make_file_source(
        files=("fr-en-cantines*.csv",),
        download="https://data.example.fr/{period}/departement.csv",
        periods=("2020_t3", "2020_t4"),
    )
    bodies = [b"annee;code_departement;repas\n" + line for line in (b"2019;01;1\n", b"2020;01;2\n2020;02;2\n")]
    for period, body in zip(source.periods, bodies, strict=True):
        server.files[f"/{period}/departement.csv"] = StaticFile(body, f'"{period}"')
    first = get(source, raw, server)
    assert first.path == raw / "cantines" / "2025-03-04" and first.rows == 3
    names = {"fr-en-cantines2020_t3.csv", "fr-en-cantines2020_t4.csv", "origin.json"}
    assert {path.name for path in first.path.iterdir()} == names
    assert get(source, raw, server).status == "up_to_date"
    new = StaticFile(bodies[1] + b"2021;01;3\n", '"new"', "Fri, 07 Mar 2025 10:00:00 GMT")
    server.files["/2020_t4/departement.csv"] = new
    second = get(source, raw, server)
    assert (second.status, second.vintage, second.rows) == ("fetched", "2025-03-07", 4)
    assert (second.path / "fr-en-cantines2020_t3.csv").read_bytes() == bodies[0]
    server.files.pop("/2020_t3/departement.csv")
    refused(MissingDataError, source, raw / "b", server)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_is_resumed_where_the_server_can(server, raw, ranges):
    body = long_csv(5000)
    server.files["/fichiers/fr-en-cantines.csv"] = StaticFile(body, ranges=ranges)
    server.fail("cut", "cantines.csv", value=40_000, times=4)
    refused(FetchError, make_file_source(), raw, server, dataclasses.replace(QUICK, tries=1))
    parts = sorted(path.name for path in raw.rglob("*") if path.is_file())
    assert parts == (["fr-en-cantines.csv.part", "fr-en-cantines.csv.part.json"] if ranges else [])
    server.faults.clear()
    server.requests.clear()
    assert get(make_file_source(), raw, server).path.read_bytes() == body
    assert ("Range" in server.requests[0][1]) is ranges
    assert not (raw / ".part").exists()


def test_a_file_that_changed_since_the_cut_starts_afresh(server, raw):
    path, body = "/fichiers/fr-en-cantines.csv", long_csv(5000)
    server.files[path] = StaticFile(body)
    server.fail("cut", path, value=40_000)
    refused(FetchError, make_file_source(), raw, server, dataclasses.replace(QUICK, tries=1))
    server.files[path] = StaticFile(long_csv(4000), '"v2"')
    result = get(make_file_source(), raw, server)
    assert server.requests[-1][1]["If-Range"] == '"v1"' and result.path.read_bytes() == long_csv(4000)


def test_a_whole_part_left_behind_is_not_asked_again(server, raw, monkeypatch):
    def die(*words):
        raise KeyboardInterrupt

    body = long_csv(5000)
    server.files["/fichiers/fr-en-cantines.csv"] = StaticFile(body)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        # As a kill would: nothing after the download, not even the cleaning.
        patch.setattr(fetch_module, "_stage", die)
        patch.setattr(fetch_module, "clear", lambda work: None)
        get(make_file_source(), raw, server)
    part = raw / ".part" / "cantines" / "fr-en-cantines.csv.part"
    assert part.read_bytes() == body and not published(raw)
    assert get(make_file_source(), raw, server).path.read_bytes() == body
    assert server.requests[-1][1]["Range"] == f"bytes={len(body)}-"


# Archives


def zip_of(members: dict[str, bytes], **attributes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            archive.writestr(info, content)
    return buffer.getvalue()


def zip_source(server, content: bytes, **changes) -> Source:
    server.files["/fichiers/cantines.zip"] = StaticFile(content)
    return make_file_source(**{"download": "https://data.example.fr/fichiers/cantines.zip", "max_mb": 60, **changes})


def test_only_the_files_of_the_source_leave_an_archive(server, raw):
    archive = zip_of({"dossier/fr-en-cantines-2019.csv": CSV, "dossier/lisez-moi.txt": b"bonjour"})
    result = get(zip_source(server, archive), raw, server)
    assert result.path.name == "fr-en-cantines-2019.csv" and result.path.read_bytes() == CSV
    assert {path.name for path in result.path.parent.iterdir()} == {"fr-en-cantines-2019.csv", "origin.json"}
    origin = json.loads((result.path.parent / "origin.json").read_text(encoding="utf-8"))
    assert origin["files"][result.path.name]["archive_sha256"] == hashlib.sha256(archive).hexdigest()
    assert get(zip_source(server, archive), raw, server).status == "up_to_date"


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for line in (["annee", "code_departement", "repas"], ["2019", "01", 100]):
        book.active.append(line)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_a_workbook_comes_as_it_is_or_out_of_an_archive(server, raw):
    server.files["/fichiers/fr-en-cantines.xlsx"] = StaticFile(workbook())
    words = {"files": ("fr-en-cantines*.xlsx",), "max_mb": 60}
    plain = make_file_source(download="https://data.example.fr/fichiers/fr-en-cantines.xlsx", **words)
    result = get(plain, raw, server)
    assert result.path.read_bytes() == workbook_of(server) and result.rows is None
    packed = zip_source(server, zip_of({"fr-en-cantines-2019.xlsx": workbook_of(server)}), **words)
    second = get(packed, raw / "b", server)
    assert second.path.name == "fr-en-cantines-2019.xlsx" and second.sha256 == result.sha256


def workbook_of(server) -> bytes:
    return server.files["/fichiers/fr-en-cantines.xlsx"].content


GOOD = "fr-en-cantines.csv"


@pytest.mark.parametrize(
    ("members", "attributes", "said"),
    [
        ({"../fr-en-cantines.csv": CSV}, {}, "leaves the folder"),
        ({GOOD: CSV, "/etc/x": b""}, {}, "leaves the folder"),
        ({GOOD: CSV, "a\\..\\..\\x": b""}, {}, "leaves the folder"),
        ({GOOD: CSV, "C:/x": b""}, {}, "leaves the folder"),
        ({GOOD: b"/etc/passwd"}, {"external_attr": (stat.S_IFLNK | 0o777) << 16}, "a link"),
        ({GOOD: b"0;0\n" * 6_000_000}, {}, "24 MB packed in"),
        ({GOOD: CSV, "b.csv": bytes(61_000_000)}, {}, "61 MB packed in"),
        ({GOOD: CSV} | {f"{place}.txt": b"" for place in range(1100)}, {}, "1101 members"),
        ({GOOD: CSV, "b.zip": b""}, {}, "archive inside"),
        ({"autre.csv": CSV}, {}, "no file of this source (autre.csv)"),
        ({"a/" + GOOD: CSV, "b/" + GOOD: CSV}, {}, "several files of one name"),
    ],
)
def test_a_hostile_archive_is_refused_unopened(server, raw, tmp_path, members, attributes, said):
    before = set(tmp_path.parent.iterdir())
    assert said in refused(ContractError, zip_source(server, zip_of(members, **attributes)), raw, server)
    assert not list(raw.rglob("*")) and set(tmp_path.parent.iterdir()) == before


def test_an_archive_that_lies_about_its_size_or_is_damaged_is_refused(server, raw):
    content = zip_of({GOOD: CSV * 1000})
    lying = content.replace(len(CSV * 1000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert lying != content
    assert "damaged archive" in refused(ContractError, zip_source(server, lying), raw, server)
    assert "damaged archive" in refused(ContractError, zip_source(server, content[:-30]), raw, server)


def test_a_gzip_file_is_opened_and_a_bomb_is_not(server, raw):
    path = "/fichiers/fr-en-cantines.csv.gz"
    source = make_file_source(download=f"https://data.example.fr{path}", max_mb=60)
    server.files[path] = StaticFile(gzip.compress(CSV))
    assert get(source, raw, server).path.read_bytes() == CSV
    for bad, said in ((gzip.compress(bytes(30_000_000)), "once opened"), (gzip.compress(CSV)[:-9], "damaged")):
        server.files[path] = StaticFile(bad, '"bad"')
        assert said in refused(ContractError, source, raw / "b", server)


# Several sources, several processes, and sudden death


def test_one_failing_source_does_not_stop_the_others(server, raw, monkeypatch):
    good, gone = make_source(), make_source(id="gone", slug="fr-en-gone")
    known = {source.id: source for source in (gone, good)}
    monkeypatch.setattr(fetch_module, "list_sources", lambda: [*known.values(), make_source(id="closed", slug="")])
    monkeypatch.setattr(fetch_module, "get_source", known.__getitem__)
    events = []
    results = fetch_sources(None, raw, base_url=server.url, on_event=events.append, limits=QUICK)
    assert [(result.id, result.status) for result in results] == [("gone", "failed"), ("cantines", "fetched")]
    assert "has gone" in results[0].message and results[0].error.exit_code == MissingDataError.exit_code
    assert [event.result for event in events if event.result] == results
    assert {(event.id, event.place, event.count) for event in events} == {("gone", 1, 2), ("cantines", 2, 2)}
    assert json.loads(json.dumps([result.to_dict() for result in results]))[0]["error"]["exit_code"] == 5


def test_names_are_checked_before_anything_is_fetched(server, raw):
    with pytest.raises(UnknownNameError, match="ivak"):
        fetch_sources(["ivac", "ivak"], raw, base_url=server.url)
    assert not server.requests and not raw.exists()
    assert get_source("ivac").id == "ivac"


CHILD = """
import sys, pathlib
sys.path.insert(0, {tests!r})
from test_fetch import *
source = make_file_source() if sys.argv[3] == "file" else make_source()
print(fetch_source(source, pathlib.Path(sys.argv[1]), base_url=sys.argv[2], limits=QUICK).status)
"""


def child(raw: Path, server, kind: str) -> subprocess.Popen:
    code = CHILD.format(tests=str(Path(__file__).parent))
    words = [sys.executable, "-c", code, str(raw), server.url, kind]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", ["file", "export"])
def test_killed_in_the_middle_then_run_again_gives_the_same_tree(server, raw, tmp_path, kind):
    server.files["/fichiers/fr-en-cantines.csv"] = StaticFile(long_csv(9000))
    server.data_sets[SLUG].rows = [(str(1990 + place // 90), CODES[place % 90], place, "x") for place in range(180)]
    source = make_file_source() if kind == "file" else make_source()
    expected = get(source, tmp_path / "whole", server)
    server.fail("slow", "cantines.csv" if kind == "file" else "/exports/", value=0.2)
    killed = child(raw, server, kind)
    limit = time.monotonic() + 15
    while time.monotonic() < limit and not any(path.stat().st_size for path in raw.rglob("*.csv.part")):
        time.sleep(0.01)
    assert any(path.stat().st_size for path in raw.rglob("*.csv.part"))
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL and not published(raw)
    result = get(source, raw, server)
    assert (result.status, result.sha256) == ("fetched", expected.sha256)
    assert tree(raw) == tree(tmp_path / "whole")
    assert ("Range" in server.requests[-1][1]) is (kind == "file")


# Children that die at chosen lines of the code under test, by fractions of all the lines that a whole fetch runs.
SWEEP = """
import os, pathlib, shutil, signal, sys, types
sys.path.insert(0, {tests!r})
from test_fetch import *
folder, server = pathlib.Path(sys.argv[1]), types.SimpleNamespace(url=sys.argv[2])

def run(source, raw, last):
    lines = 0
    def trace(frame, event, argument):
        nonlocal lines
        if "/tne_eval/sources/" not in frame.f_code.co_filename:
            return None
        lines += event == "line"
        if lines == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    get(source, raw, server)
    sys.settrace(None)
    return lines

for source in (make_source(), make_file_source()):
    get(source, folder / "warm", server)
    shutil.rmtree(folder / "warm")
    lines = run(source, folder / "whole", -1)
    expected = tree(folder / "whole")
    for point in (10, 30, 50, 70, 85, 90, 94, 98):
        raw = folder / "raw"
        if os.fork() == 0:
            run(source, raw, lines * point // 100)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGKILL
        assert published(raw) in ({{}}, {{"cantines": expected["cantines"]}}, expected), point
        get(source, raw, server)
        assert tree(raw) == expected, point
        shutil.rmtree(raw)
    shutil.rmtree(folder / "whole")
"""


def test_killed_anywhere_then_run_again_gives_the_same_tree(server, tmp_path):
    code = SWEEP.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), server.url], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_two_processes_at_once_share_one_download(server, raw):
    server.fail("slow", "/exports/", value=0.02, times=2)
    children = [child(raw, server, "export") for _ in range(2)]
    out = [process.communicate(timeout=20) for process in children]
    assert sorted(stdout.strip() for stdout, _ in out) == ["fetched", "up_to_date"], out
    assert server.asked("/exports/") == 1 and len(list(raw.glob("cantines/*"))) == 1


def test_many_threads_at_once_share_one_download(server, raw):
    results = []
    threads = [threading.Thread(target=lambda: results.append(get(make_source(), raw, server))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.status for result in results) == ["fetched"] + ["up_to_date"] * 5
    assert server.asked("/exports/") == 1 and not (raw / ".part").exists()


def test_a_folder_that_cannot_be_written_is_said(server, tmp_path):
    (tmp_path / "raw").write_text("a file", encoding="utf-8")
    with pytest.raises(FetchError, match="could not be written") as caught:
        get(make_source(), tmp_path / "raw", server)
    assert "permissions" in caught.value.remedy


def test_settings_of_the_machine_that_cannot_be_used_are_said(raw, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/cert.pem")
    with pytest.raises(FetchError, match="network settings") as caught:
        fetch_source(make_source(), raw)
    assert "SSL_CERT_FILE" in caught.value.remedy


# The server itself, and small parts


def test_the_server_speaks_as_the_real_one(server):
    base = server.url + ROOT + f"/{SLUG}"
    with httpx.Client(trust_env=False) as client:
        described = client.get(base).json()
        assert described["metas"]["default"]["records_count"] == 6
        assert described["fields"][0] == {
            "name": "annee",
            "label": "Année",
            "type": "text",
            "description": None,
            "annotations": {},
        }
        page = client.get(base + "/records", params={"limit": 2, "offset": 1, "order_by": "repas"}).json()
        assert page["total_count"] == 6 and [row["repas"] for row in page["results"]] == [101, 102]
        for wrong in ({"limit": 101}, {"limit": 100, "offset": 9901}, {"where": "nope = 1"}, {"select": "sum("}):
            answer = client.get(base + "/records", params=wrong)
            assert (
                answer.status_code == 400 and answer.json()["error_code"] == "ODSQLError" and answer.json()["message"]
            )
        labelled = client.get(base + "/exports/csv").content
        assert labelled.decode("utf-8").startswith("\ufeffAnnée;Code département;Repas servis;Nom\r\n")
        plain = client.get(base + "/exports/csv", params={"use_labels": "false", "delimiter": ",", "limit": 1}).text
        assert plain.startswith("\ufeffannee,code_departement,repas,nom\r\n")
        assert len(client.get(base + "/exports/json").json()) == 6
        assert client.get(server.url + ROOT + "/rien").status_code == 404


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", 0),
        ("a;b", 0),
        ("a;b\n", 0),
        ("a;b\n1;2", 1),
        ("a;b\r\n1;2\r\n", 1),
        ('a;b\n1;"x\ny"\n2;"""\n"""\n3;z\n', 3),
    ],
)
def test_rows_are_counted_as_csv_counts_them(tmp_path, text, rows):
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    assert count_rows(path) == rows


def test_a_work_folder_that_goes_while_it_is_made_is_made_again(raw, monkeypatch):
    make, gone = os.mkdir, []

    def mkdir(path, *words, **more):
        if Path(path).name == "cantines" and not gone:
            gone.append(path)
            raise FileExistsError(path)
        make(path, *words, **more)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with lock_work(raw, "cantines") as work:
        assert gone and work.is_dir()
    assert not work.exists()


def test_a_file_in_the_place_of_the_work_folder_is_refused(raw):
    (raw / ".part").mkdir(parents=True)
    (raw / ".part" / "cantines").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError), lock_work(raw, "cantines"):
        pass
    assert (raw / ".part" / "cantines").read_text(encoding="utf-8") == "mine"
