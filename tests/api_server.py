"""A server on this machine that speaks the forms of Opendatasoft Explore v2.1, and fails on demand.

Bodies come from DuckDB on fixture tables, so that `select`, `where`, `group_by` and `order_by` are really executed.
It is written from the public form of the API, not from the code under test.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import duckdb
import pandas as pd

ROOT = "/api/explore/v2.1/catalog/datasets"


class OdsqlError(Exception):
    """A query that the server cannot read."""


@dataclass
class DataSet:
    """A data set of the portal: `names` of its fields with their `labels`, rows, and what its description says."""

    names: list[str]
    rows: list[tuple]
    types: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    modified: str = "2025-03-04T10:00:00+00:00"
    processed: str = "2025-03-04T11:00:00+00:00"
    records: int | None = None

    def __post_init__(self) -> None:
        self.types = self.types or ["VARCHAR"] * len(self.names)
        self.labels = self.labels or [name.replace("_", " ").capitalize() for name in self.names]

    def ask(self, query: dict[str, str]) -> tuple[list[str], list[tuple]]:
        select, group = query.get("select", "*"), query.get("group_by", "")
        names = [re.split(r"\s+as\s+", item.strip(), flags=re.I)[-1] for item in group.split(",") if item]
        group_names = ", ".join(names)
        if group:
            # The API gives the groups whether or not they are selected.
            own = [item for item, name in zip(group.split(","), names, strict=True) if not _names(name, select)]
            select = ", ".join([*own, *([] if select == "*" else [select])])
        sql = f"select {_sql(select)} from t"
        for word, text in (
            ("where", query.get("where")),
            ("group by", group_names),
            ("order by", query.get("order_by")),
        ):
            sql += f" {word} {_sql(text)}" if text else ""
        with duckdb.connect(config={"threads": 1}) as connection:
            rows = pd.DataFrame(self.rows, columns=self.names, dtype=object)
            connection.register("rows", rows)
            columns = (f"cast({name} as {kind}) as {name}" for name, kind in zip(self.names, self.types, strict=True))
            connection.execute(f"create table t as select {', '.join(columns)} from rows")
            try:
                done = connection.execute(sql)
            except duckdb.Error as error:
                raise OdsqlError(f"ODSQL query is malformed: {str(error).splitlines()[0][:120]}") from error
            return [column[0] for column in done.description], done.fetchall()

    def describe(self, slug: str) -> dict:
        kinds = {"VARCHAR": "text", "INTEGER": "int", "DOUBLE": "double", "DATE": "date"}
        return {
            "dataset_id": slug,
            "has_records": True,
            "fields": [
                {"name": name, "label": label, "type": kinds[kind], "description": None, "annotations": {}}
                for name, label, kind in zip(self.names, self.labels, self.types, strict=True)
            ],
            "metas": {
                "default": {
                    "title": slug,
                    "modified": self.modified,
                    "data_processed": self.processed,
                    "records_count": len(self.rows) if self.records is None else self.records,
                    "license": "Licence Ouverte v2.0 (Etalab)",
                }
            },
        }


def _names(name: str, select: str) -> bool:
    return name in [item.strip() for item in select.split(",")]


def _sql(odsql: str) -> str:
    """ODSQL writes texts in double quotes and dates as date'2020-01-01'."""
    return re.sub(r'"([^"]*)"', lambda match: "'" + match[1].replace("'", "''") + "'", odsql)


@dataclass
class StaticFile:
    """A file at a fixed address."""

    content: bytes
    etag: str = '"v1"'
    last_modified: str = "Tue, 04 Mar 2025 10:00:00 GMT"
    ranges: bool = True


@dataclass
class Fault:
    """What goes wrong on the next `times` requests whose address contains `where`."""

    kind: str
    where: str
    times: int = 1
    value: object = None


class ApiServer(ThreadingHTTPServer):
    """`data_sets` by slug, `files` by path, `faults` to come, and the `requests` received as (address, headers)."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data_sets: dict[str, DataSet] = {}
        self.files: dict[str, StaticFile] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fail(self, kind: str, where: str = "/exports/", times: int = 1, value: object = None) -> None:
        self.faults.append(Fault(kind, where, times, value))

    def asked(self, where: str) -> int:
        """How many requests had `where` in their address."""
        return sum(where in address for address, _ in self.requests)

    def next_fault(self, address: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.where in address:
                    fault.times -= 1
                    return fault
        return None

    def handle_error(self, request, client_address) -> None:
        """A client that leaves is part of the tests."""


@contextmanager
def running():
    server = ApiServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def log_message(self, *words) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers)))
        fault = self.server.next_fault(self.path)
        with suppress(BrokenPipeError, ConnectionResetError):
            if fault and self._fail(fault):
                return
            self._serve(fault)

    def _send(
        self, status: int, body: bytes, headers: dict | None = None, *, cut: int | None = None, delay=0.0
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(body), "Connection": "close", **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        body = body[:cut]
        step = max(len(body) // 20, 1) if delay else max(len(body), 1)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            time.sleep(delay)

    def _json(self, status: int, value: object, headers: dict | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _error(self, status: int, code: str, message: str) -> None:
        self._json(status, {"error_code": code, "message": message})

    def _fail(self, fault: Fault) -> bool:
        """Whether the fault was the whole answer."""
        kind, value = fault.kind, fault.value
        if kind == "429":
            self._json(429, {"error_code": "TooManyRequests"}, {} if value is None else {"Retry-After": value})
        elif kind == "503 odsql":
            self._error(503, "ODSQLError", "ODSQL query is malformed: Unknown field: tauxx")
        elif kind in ("502", "503", "504", "500"):
            self._send(int(kind), b"<html><body>upstream</body></html>", {"Content-Type": "text/html"})
        elif kind == "html":
            self._send(200, b"\n<!DOCTYPE html><html><body>Maintenance</body></html>", {"Content-Type": "text/html"})
        elif kind == "json error":
            self._error(200, "InternalError", "the export failed")
        elif kind == "redirect":
            self._send(302, b"", {"Location": value})
        elif kind == "body":
            self._send(200, value, {"Content-Type": "text/csv"})
        elif kind == "gzip":
            self._send(200, value, {"Content-Encoding": "gzip"})
        elif kind == "cut gzip":
            body = gzip.compress(b"a;b\n" * 50_000)[:-20]
            self._send(200, body, {"Content-Encoding": "gzip"})
        elif kind == "brotli":
            self._send(200, b"\x8b\x03\x80", {"Content-Encoding": "br"})
        elif kind == "endless":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"a;b\n")
            for _ in range(5_000):  # 200 MB: without end, as far as a client with a cap can tell
                self.wfile.write(b"0;0\n" * 10_000)
        elif kind == "trickle":
            self.send_response(200)
            self.end_headers()
            for _ in range(250):
                self.wfile.write(b"0;0\n")
                time.sleep(0.02)
        elif kind == "silent":
            time.sleep(float(value))
        elif kind == "hang up":
            pass
        else:
            return False
        return True

    def _serve(self, fault: Fault | None) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path in self.server.files:
            self._static(self.server.files[parts.path], fault)
            return
        if parts.path == ROOT:
            start, count = int(query.get("offset", 0)), int(query.get("limit", 10))
            slugs = sorted(self.server.data_sets)
            results = [{"dataset_id": slug} for slug in slugs[start : start + count]]
            self._json(200, {"total_count": len(slugs), "results": results})
            return
        slug, _, verb = parts.path.removeprefix(ROOT + "/").partition("/")
        data_set = self.server.data_sets.get(slug)
        if not parts.path.startswith(ROOT) or data_set is None:
            self._error(404, "NotFoundException", f"Unknown dataset: {slug}")
            return
        try:
            self._data_set(slug, data_set, verb, query, fault)
        except OdsqlError as error:
            self._error(400, "ODSQLError", str(error))

    def _data_set(self, slug: str, data_set: DataSet, verb: str, query: dict, fault: Fault | None) -> None:
        if not verb:
            self._json(200, data_set.describe(slug))
            if fault and fault.kind == "then change":
                fault.value()
        elif verb == "records":
            self._records(data_set, query)
        elif verb in ("exports/csv", "exports/json"):
            names, rows = data_set.ask(query)
            limit = int(query.get("limit", -1))
            rows = rows if limit < 0 else rows[:limit]
            body = _csv(data_set, names, rows, query) if verb.endswith("csv") else _objects(names, rows)
            self._export(body, fault)
        else:
            self._error(404, "NotFoundException", f"Unknown verb: {verb}")

    def _records(self, data_set: DataSet, query: dict) -> None:
        limit, offset = int(query.get("limit", 10)), int(query.get("offset", 0))
        if not -1 <= limit <= 100:
            raise OdsqlError(
                f"Invalid value for limit API parameter: {limit} was found but -1 <= limit <= 100 is expected."
            )
        if limit + offset > 10_000:
            raise OdsqlError("Invalid value for offset API parameter: offset + limit should be at most 10000.")
        names, rows = data_set.ask(query)
        page = [dict(zip(names, row, strict=True)) for row in rows[offset : offset + limit]]
        self._send(200, json.dumps({"total_count": len(rows), "results": page}, default=str).encode())

    def _export(self, body: bytes, fault: Fault | None) -> None:
        """Exports are made on the fly: compressed for who asks, without ETag nor Range."""
        headers = {"Content-Type": "text/csv; charset=utf-8"}
        cut = fault.value if fault and fault.kind == "cut" else None
        if cut is None and "gzip" in self.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        self._send(200, body, headers, cut=cut, delay=fault.value if fault and fault.kind == "slow" else 0.0)

    def _static(self, file: StaticFile, fault: Fault | None) -> None:
        headers = {"Last-Modified": file.last_modified} if file.last_modified else {}
        headers |= {"ETag": file.etag} if file.etag else {}
        headers |= {"Accept-Ranges": "bytes"} if file.ranges else {}
        asked = self.headers
        if (file.etag and asked.get("If-None-Match") == file.etag) or (
            file.last_modified and asked.get("If-Modified-Since") == file.last_modified
        ):
            self.send_response(304)
            self.end_headers()
            return
        body, status = file.content, 200
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.get("Range", ""))
        if wanted and file.ranges and asked.get("If-Range", file.etag) == file.etag:
            start = int(wanted[1])
            if start >= len(body):
                self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        cut = fault.value if fault and fault.kind == "cut" else None
        self._send(status, body, headers, cut=cut, delay=fault.value if fault and fault.kind == "slow" else 0.0)


def _csv(data_set: DataSet, names: list[str], rows: list[tuple], query: dict) -> bytes:
    labels = dict(zip(data_set.names, data_set.labels, strict=True))
    header = [labels.get(name, name) for name in names] if query.get("use_labels", "true") == "true" else names
    text = io.StringIO()
    writer = csv.writer(text, delimiter=query.get("delimiter", ";"), lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _objects(names: list[str], rows: list[tuple]) -> bytes:
    return json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str).encode()
