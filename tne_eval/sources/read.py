"""One reader for every raw file: CSV, Parquet or xlsx → a checked table with the columns of its source."""

from __future__ import annotations

import csv
import glob
import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import duckdb
import numpy as np
import openpyxl
import pandas as pd

from tne_eval.catalog.entries import Source
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.contract import check_table, convert_table

MAX_COLUMNS = 2000
_EXPORT_AGAIN = "Export the file again as CSV in UTF-8."
_NOT_TEXT = {
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or a workbook",
}


def read_table(path: str | Path, source: Source) -> pd.DataFrame:
    """Read a raw file and check it against the contract of its source.

    Parameters
    ----------
    path : a .csv, .parquet or .xlsx file. Columns may come in any order, under any of their names, among others.
    source : the catalogue entry.

    Returns
    -------
    DataFrame with the columns of the source, under their first name, in the order of the entry; the index is the row
    number in the file (the header is row 1); `attrs["file"]` its name and `attrs["headers"]` the name each column had.
    Rows that `source.keep` does not want are left out.

    Raises
    ------
    ContractError : every problem of the file at once.
    """
    path = Path(path)
    table, problems = _read_text(path, source)
    if table is None:
        raise ContractError(problems)
    problems += check_table(table, source, path.name)
    if problems:
        raise ContractError(problems)
    values = convert_table(table, source)
    values.attrs = {"file": path.name, "headers": table.attrs["headers"]}
    return values


def _read_text(path: Path, source: Source) -> tuple[pd.DataFrame | None, list[Problem]]:
    if not path.exists() or not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        return None, [Problem(path.name, None, None, found, "a file", "Check the path.")]
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".xlsx": _read_xlsx}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        found = f"a file in {path.suffix!r}"
        return None, [Problem(path.name, None, None, found, "a .csv, .parquet or .xlsx file", _EXPORT_AGAIN)]
    try:
        table, problems = reader(path, source)
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        return None, [Problem(path.name, None, None, found, "a readable file", "Check its permissions.")]
    if table is not None:
        for name, wanted in source.keep.items():
            if name in table:
                table = table[table[name].isin(wanted).to_numpy()]
    return table, problems


def _match(headers: Sequence[str], source: Source, file: str, row: int) -> tuple[dict[str, int], list[Problem]]:
    """Place of each column of the source among the headers. The first of its names that is there wins."""
    names = [unicodedata.normalize("NFC", header).strip() for header in headers]
    problems = [
        Problem(file, row, name, f"{names.count(name)} columns of this name", "one", "Rename or drop the others.")
        for name in sorted(set(names))
        if name and names.count(name) > 1
    ]
    places = {}
    for column in source.columns:
        for wanted in (column.name, *column.labels):
            found = [place for place, name in enumerate(names) if name == wanted or _like(name, wanted)]
            if len({names[place] for place in found}) > 1:
                seen = ", ".join(names[place] for place in found)
                problems.append(
                    Problem(file, row, column.name, f"several columns ({seen})", "one", "Keep the latest only.")
                )
            if found:
                places[column.name] = found[0]
                break
    return places, problems


def _like(name: str, wanted: str) -> bool:
    return "*" in wanted and fnmatchcase(name, wanted)


def _table(columns: dict[str, Sequence], rows: Sequence[int], headers: Sequence[str], places: dict) -> pd.DataFrame:
    table = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    table.index = pd.Index(np.asarray(rows, dtype="int64"))
    table.attrs = {
        "headers": {name: headers[place].strip() for name, place in places.items()},
        "all_headers": [header.strip() for header in headers],
    }
    return table


def _decode(raw: bytes, file: str) -> tuple[str, list[Problem]]:
    def refuse(found: str, row: int | None = None) -> tuple[str, list[Problem]]:
        return "", [Problem(file, row, None, found, "a CSV file in UTF-8", _EXPORT_AGAIN)]

    if not raw.strip():
        return refuse("an empty file")
    for mark, found in _NOT_TEXT.items():
        if raw.startswith(mark):
            return refuse(found)
    if b"\0" in raw:
        return refuse("a NUL byte", raw[: raw.index(b"\0")].count(b"\n") + 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return refuse("a character that is not UTF-8", raw[: error.start].count(b"\n") + 1)
    start = text[:200].lstrip().lower()
    if start.startswith(("<!doctype", "<html", "<?xml")):
        return refuse("a web page")
    if start.startswith(("{", "[")):
        return refuse("a JSON answer")
    return text, []


def _read_csv(path: Path, source: Source) -> tuple[pd.DataFrame | None, list[Problem]]:
    text, problems = _decode(path.read_bytes(), path.name)
    if problems:
        return None, problems
    first, _, rest = text.partition("\n")
    headers = next(csv.reader([first.rstrip("\r")], delimiter=source.separator))
    if len(headers) > MAX_COLUMNS:
        found = f"{len(headers)} columns"
        return None, [Problem(path.name, 1, None, found, f"at most {MAX_COLUMNS}", _EXPORT_AGAIN)]
    other = "," if source.separator == ";" else ";"
    if source.separator not in first and other in first:
        found = f"fields separated by {other!r}"
        return None, [Problem(path.name, 1, None, found, f"by {source.separator!r}", _EXPORT_AGAIN)]
    places, problems = _match(headers, source, path.name, 1)
    if not rest.strip():
        return _table({name: [] for name in places}, [], headers, places), problems
    names = [f"c{place}" for place in range(len(headers))]
    # A column is read for its field count, even when none is known.
    wanted = [names[place] for place in places.values()] or names[:1]
    with duckdb.connect() as connection:
        try:
            relation = connection.execute(
                f"select {', '.join(wanted)} from read_csv(?, delim=?, header=false, skip=1, auto_detect=false,"
                " quote='\"', escape='\"', columns=?, all_varchar=true, null_padding=false, strict_mode=true,"
                " store_rejects=true, hive_partitioning=false)",
                [glob.escape(str(path)), source.separator, dict.fromkeys(names, "VARCHAR")],
            )
            cells = relation.fetchnumpy()
            rejects = connection.execute(
                "select line, any_value(error_type), any_value(error_message) from reject_errors group by line"
                " order by line"
            ).fetchall()
        except duckdb.Error as error:
            found = "lines that cannot be told apart (" + str(error).splitlines()[0][:120] + ")"
            expected = "one record per line, one kind of line end"
            return None, [*problems, Problem(path.name, None, None, found, expected, _EXPORT_AGAIN)]
    problems += [_reject(path.name, int(line), str(kind), str(message)) for line, kind, message in rejects]
    count = len(next(iter(cells.values())))
    blank = _blank_lines(text, count + len(rejects))
    problems += [
        Problem(path.name, row, None, "a blank line", "a record", "Remove it, and any second table below it.")
        for row in blank
    ]
    rejected = np.array([line for line, _, _ in rejects] + blank, dtype="int64")
    rows = np.setdiff1d(np.arange(2, count + len(rejected) + 2), rejected)[:count]
    columns = {name: _filled(cells[names[place]]) for name, place in places.items()}
    return _table(columns, rows, headers, places), problems


def _filled(cells: np.ndarray) -> np.ndarray:
    """DuckDB gives a blank cell as masked: a blank text here."""
    return np.where(np.ma.getmaskarray(cells), "", np.ma.getdata(cells)) if np.ma.isMaskedArray(cells) else cells


def _reject(file: str, row: int, kind: str, message: str) -> Problem:
    if kind in ("MISSING COLUMNS", "TOO MANY COLUMNS"):
        expected, found = (part.strip() for part in message.removeprefix("Expected Number of Columns:").split("Found:"))
        return Problem(file, row, None, f"{found} fields", f"{expected} fields, as in the header", "Correct this line.")
    return Problem(file, row, None, message or kind.lower(), "a record", "Check the quotes of this line.")


def _blank_lines(text: str, records: int) -> list[int]:
    """Rows of blank lines before the last record; none where quoted fields hold line ends, as lines are not rows."""
    lines = text.rstrip().split("\n")
    blank = [place for place, line in enumerate(lines, start=1) if not line.strip()] if len(lines) > records + 1 else []
    return blank if len(lines) == records + 1 + len(blank) else []


def _read_parquet(path: Path, source: Source) -> tuple[pd.DataFrame | None, list[Problem]]:
    with duckdb.connect() as connection:
        try:
            file = glob.escape(str(path))
            scan = "from read_parquet(?, hive_partitioning=false)"
            headers = [row[0] for row in connection.execute(f"describe select * {scan}", [file]).fetchall()]
            places, problems = _match(headers, source, path.name, 1)
            if not places:
                return _table({}, [], headers, places), problems
            picked = ", ".join(
                'cast("' + headers[place].replace('"', '""') + f'" as varchar) as c{place}' for place in places.values()
            )
            cells = connection.execute(f"select {picked} {scan}", [file]).fetchnumpy()
        except duckdb.Error as error:
            found = str(error).splitlines()[0][:120]
            return None, [Problem(path.name, None, None, found, "a Parquet file", "Fetch the file again.")]
    columns = {name: _filled(cells[f"c{place}"]) for name, place in places.items()}
    count = len(next(iter(columns.values())))
    return _table(columns, range(2, count + 2), headers, places), problems


def _read_xlsx(path: Path, source: Source) -> tuple[pd.DataFrame | None, list[Problem]]:
    """First visible sheet. Formulas are read as such, so that one never computed is no blank cell."""
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=False)
    except Exception as error:  # openpyxl lets errors of zip, XML and its own out
        found = f"{type(error).__name__}: {error}"[:120]
        return None, [Problem(path.name, None, None, found, "an Excel workbook (.xlsx)", "Save the file again.")]
    try:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        lines = [[_cell(cell) for cell in line] for line in sheets[0].iter_rows(values_only=True)] if sheets else []
    finally:
        book.close()
    top = source.header_row
    if len(lines) < top:
        return None, [Problem(path.name, None, None, "no header", f"a header on row {top}", "Check the sheet.")]
    headers = lines[top - 1]
    places, problems = _match(headers, source, path.name, top)
    body = [(row, line) for row, line in enumerate(lines[top:], start=top + 1) if any(line)]
    width = len(headers)
    columns = {name: [line[place] if place < len(line) else "" for _, line in body] for name, place in places.items()}
    problems += [
        Problem(path.name, row, None, f"{len(line)} cells", f"at most {width}", "Remove the cells beyond the header.")
        for row, line in body
        if any(line[width:])
    ]
    return _table(columns, [row for row, _ in body], headers, places), problems


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
