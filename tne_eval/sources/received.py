"""What came is what the entry says: judged on its first bytes, then whole, before anything is published."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from tne_eval.catalog.entries import Source
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.addresses import result_columns
from tne_eval.sources.body import error_message
from tne_eval.sources.read import read_table

_BOM = b"\xef\xbb\xbf"
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")
_PACKED = (b"PK\3\4", b"\x1f\x8b")
_JSON = (".json", ".geojson")
_BLOCK = 1 << 22
_AGAIN = "Open the address in a browser; fetch again later."


def check_head(head: bytes, name: str, source: Source) -> None:
    """Refuse a body by its first bytes: empty, a web page, an error of the API, another separator.

    Raises
    ------
    ContractError : what the body is instead of the file.
    """
    suffix = PurePosixPath(name).suffix.lower()
    start = head.removeprefix(_BOM).lstrip()
    expected = f"a {suffix} file" if suffix else "a file"
    row, remedy = None, _AGAIN
    first = start.split(b"\n", 1)[0]
    other = next((mark for mark in (b";", b",", b"\t", b"|") if mark in first), b"")
    if not start:
        found = "an empty file"
    elif start[:20].lower().startswith(_PAGES):
        found = "a web page"
    elif start.startswith((b"{", b"[")) and (suffix not in _JSON or error_message(start)):
        found = f"an error of the server ({error_message(start) or 'in JSON'})"
    elif suffix == ".csv" and not start.startswith(_PACKED) and source.separator.encode() not in first and other:
        found, expected, row = f"fields separated by {other.decode()!r}", f"fields separated by {source.separator!r}", 1
        remedy = f"Correct `separator` in catalog/sources/{source.id}.toml if the producer changed it."
    else:
        return
    raise ContractError([Problem(name, row, None, found, expected, remedy)])


def count_rows(path: Path) -> int | None:
    """Records of a CSV or Parquet file, without the header; None for another format."""
    import duckdb

    suffix = path.suffix.lower()
    if suffix == ".parquet":
        try:
            with duckdb.connect() as connection:
                rows = connection.execute("select sum(num_rows) from parquet_file_metadata(?)", [str(path)]).fetchone()
        except duckdb.Error:
            return None
        return int(rows[0])
    if suffix != ".csv":
        return None
    lines, quoted, last = 0, False, b"\n"
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            last = block[-1:]
            # Line ends inside quotes are text. A doubled quote closes and opens at once.
            for part in block.split(b'"'):
                lines += 0 if quoted else part.count(b"\n")
                quoted = not quoted
            quoted = not quoted
    return max(lines - (last == b"\n"), 0)


def check_files(paths: Sequence[Path], source: Source, files: Mapping[str, Mapping], records: int | None) -> None:
    """Check whole files against the contract of their source, and their rows against the portal's own count.

    Parameters
    ----------
    files : what is known of each file, `rows` among it, by name.
    records : rows that the portal announces for the whole data set, if it does.

    Raises
    ------
    ContractError : every problem of every file.
    """
    problems = []
    rows = sum(files[path.name]["rows"] or 0 for path in paths)
    if records is not None and _is_whole(source) and rows != records:
        remedy = "Fetch again; if it stays so, tell the producer that the export and the count disagree."
        problems.append(Problem(paths[0].name, None, None, f"{rows} rows", f"{records}, as the portal says", remedy))
    outputs = result_columns(source)
    for path in paths:
        if outputs:
            problems += _check_outputs(path, outputs, source.separator, files[path.name]["rows"])
        if source.columns and (not outputs or _describes(source, outputs)):
            try:
                read_table(path, source)
            except ContractError as error:
                problems += error.problems
    if problems:
        raise ContractError(list(dict.fromkeys(problems)))


def _is_whole(source: Source) -> bool:
    """Whether the query asks for every row of the data set."""
    query = source.query
    return not query.get("where") and not query.get("group_by") and "(" not in query.get("select", "")


def _describes(source: Source, outputs: Sequence[str]) -> bool:
    """Whether the entry's columns are those that its query gives, and not those of the data set."""
    return all({column.name, *column.labels} & set(outputs) for column in source.columns if column.required)


def _check_outputs(path: Path, outputs: Sequence[str], separator: str, rows: int | None) -> list[Problem]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        headers = next(csv.reader(stream, delimiter=separator), [])
    problems = []
    for name in outputs:
        if name not in headers:
            near = difflib.get_close_matches(name, headers, n=3, cutoff=0.6)
            remedy = f"Near: {', '.join(near)}. " if near else f"There are: {', '.join(headers)[:200]}. "
            remedy += "Correct `query` in the catalogue entry."
            problems.append(Problem(path.name, 1, name, "no such column", f"a column named {name!r}", remedy))
    if not rows:
        problems.append(Problem(path.name, None, None, "no row", "at least one row", "Check `where` in the entry."))
    return problems
