"""One reader for every raw file: CSV, Parquet or xlsx, packed or not → a checked table with the columns of its source.

Cells are read as text, held as categories (each distinct text once), checked, and only then given their type.
"""

from __future__ import annotations

import csv
import glob
import re
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tne_eval.catalog.entries import Source
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.archive import PACKED_SUFFIXES, TABLE_SUFFIXES, open_plain, table_suffix
from tne_eval.sources.contract import Judged, check_judged, convert_judged, judge_table, split_column
from tne_eval.sources.messages import phrase, problem

if TYPE_CHECKING:
    import duckdb

MAX_COLUMNS = 2000
MAX_LINE = 1_000_000
# What DuckDB may hold at once; beyond, it works in a temporary folder.
MEMORY = "300MB"
# Under this number of rows, plain texts are quicker to fetch than categories are to make.
FEW_ROWS = 2000
SMALL_FILE = 1_000_000
_BLOCK = 1 << 22
_NOT_TEXT = {b"\xff\xfe": "utf16", b"\xfe\xff": "utf16", b"\x1f\x8b": "gzip_inside", b"PK\x03\x04": "zip_inside"}
_MERGED = re.compile(rb'<mergeCell [^>]*ref="([A-Z]+(\d+):[A-Z]+(\d+))"')


@dataclass(frozen=True, slots=True)
class Texts:
    """A raw file as it is written: `table` holds the texts of the columns found (None where the file cannot be read
    at all), `judged` what each text is worth under the contract, `problems` everything that breaks it.

    The index of `table` is the row number in the file (the header is row 1); `table.attrs["headers"]` gives the header
    that each column had, `table.attrs["all_headers"]` every header of the file, blanks around it included.
    """

    table: pd.DataFrame | None
    judged: Mapping[str, Judged]
    problems: tuple[Problem, ...]


def read_table(path: str | Path, source: Source) -> pd.DataFrame:
    """Read a raw file and check it against the contract of its source.

    Parameters
    ----------
    path : a .csv, .parquet or .xlsx file, or one of these in a .gz or .zip archive. Columns may come in any order,
        under any of their names, among others.
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
    texts = read_texts(path, source)
    if texts.table is None or texts.problems:
        raise ContractError(texts.problems)
    judged, rows, headers = dict(texts.judged), texts.table.index, texts.table.attrs["headers"]
    del texts  # its codes would stay in memory beside the values
    values = convert_judged(judged, source, rows)
    values.attrs = {"file": Path(path).name, "headers": headers}
    return values


def read_texts(path: str | Path, source: Source) -> Texts:
    """A raw file as texts, judged under the contract of its source. Raises nothing: all problems are in the result."""
    path = Path(path)
    try:
        with open_table(path) as plain:
            reader = {".csv": _read_csv, ".parquet": _read_parquet, ".xlsx": _read_xlsx}.get(plain.suffix.lower())
            if reader is None:
                return Texts(None, {}, (problem("suffix", path.name, suffix=repr(path.suffix)),))
            table, problems = reader(plain, source, path.name)
    except ContractError as error:
        return Texts(None, {}, error.problems)
    if table is None:
        return Texts(None, {}, tuple(problems))
    for name, wanted in source.keep.items():
        if name in table:
            again = table.index[(table[name] == table.attrs["headers"][name]).to_numpy()]
            problems += [_header_again(path.name, int(row), name, table) for row in again]
            table = table[table[name].isin(wanted).to_numpy()]
    judged = judge_table(table, source)
    return Texts(table, judged, (*problems, *check_judged(table, judged, source, path.name)))


def _header_again(file: str, row: int, name: str, table: pd.DataFrame) -> Problem:
    """A header among rows of which the others are left out: it would go unseen with them."""
    found = repr(table.attrs["headers"][name])
    return problem("cell", file, row, name, found=found, expected=phrase("not_header"))


@contextmanager
def open_table(path: Path) -> Iterator[Path]:
    """The plain file behind a path; ContractError where there is none, or none that may be opened."""
    if not path.is_file():
        key = "folder" if path.is_dir() else "not_regular" if path.exists() else "no_file"
        raise ContractError([problem(key, path.name)])
    if table_suffix(path) not in TABLE_SUFFIXES and path.suffix.lower() not in PACKED_SUFFIXES:
        raise ContractError([problem("suffix", path.name, suffix=repr(path.suffix))])
    try:
        with open_plain(path) as plain:
            yield plain
    except OSError as error:
        raise ContractError([problem("unreadable", path.name, why=error.strerror or type(error).__name__)]) from error


def match_columns(headers: Sequence[str], source: Source, file: str, row: int) -> tuple[dict[str, int], list[Problem]]:
    """Place of each column of the source among the headers. The first of its names that is there wins."""
    names = [unicodedata.normalize("NFC", header).strip() for header in headers]
    problems = [
        problem("same_header", file, row, name, count=names.count(name))
        for name in sorted(set(names))
        if name and names.count(name) > 1
    ]
    places = {}
    for column in source.columns:
        for wanted in (column.name, *column.labels):
            wanted = unicodedata.normalize("NFC", wanted).strip()
            found = [place for place, name in enumerate(names) if name == wanted or _like(name, wanted)]
            if len({names[place] for place in found}) > 1:
                seen = ", ".join(names[place] for place in found)
                problems.append(problem("several_columns", file, row, column.name, names=seen))
            if found:
                places[column.name] = found[0]
                break
    return places, problems


def _like(name: str, wanted: str) -> bool:
    return "*" in wanted and fnmatchcase(name, wanted)


def _table(columns: Mapping[str, object], rows: pd.Index, headers: Sequence[str], places: dict) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            name: cells if isinstance(cells, pd.Categorical) else pd.Series(cells, dtype=object, index=rows)
            for name, cells in columns.items()
        },
        index=rows,
    )
    table.attrs = {
        "headers": {name: headers[place].strip() for name, place in places.items()},
        "all_headers": list(headers),
    }
    return table


def scan_text(path: Path, file: str) -> tuple[int, list[Problem]]:
    """(number of line ends, what makes the file no CSV in UTF-8), read block by block."""
    lines, first = 0, True
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            if not block.endswith(b"\n"):
                block += stream.readline(MAX_LINE)
            if first:
                first = False
                if problems := _first_block(block, file):
                    return 0, problems
            if b"\0" in block:
                return 0, [problem("nul", file, lines + block[: block.index(b"\0")].count(b"\n") + 1)]
            if not block.endswith(b"\n") and len(block) >= _BLOCK + MAX_LINE:
                return 0, [problem("long_line", file, lines + block.count(b"\n") + 1, limit=MAX_LINE)]
            if not block.isascii():
                try:
                    block.decode("utf-8")
                except UnicodeDecodeError as error:
                    return 0, [_not_utf8(block, error.start, lines, file)]
            lines += block.count(b"\n")
    return lines, [problem("empty_file", file)] if first else []


def _first_block(block: bytes, file: str) -> list[Problem]:
    for mark, key in _NOT_TEXT.items():
        if block.startswith(mark):
            return [problem(key, file)]
    start = block[:200].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not block.strip():
        return [problem("empty_file", file)]
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return [problem("web_page", file)]
    return [problem("json", file)] if start.startswith((b"{", b"[")) else []


def _not_utf8(block: bytes, place: int, lines: int, file: str) -> Problem:
    row = lines + block[:place].count(b"\n") + 1
    start = block.rfind(b"\n", 0, place) + 1
    text = block[max(start, place - 10) : place + 10].splitlines()[0].decode("cp1252", errors="replace")
    return problem("not_utf8", file, row, byte=f"0x{block[place]:02x}", text=text)


def read_header(path: Path, separator: str) -> list[str]:
    """Headers of a CSV file that `scan_text` passed, as they are written."""
    with path.open("rb") as stream:
        line = stream.readline(MAX_LINE).decode("utf-8-sig", errors="replace")
    return next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])


def _read_csv(path: Path, source: Source, file: str) -> tuple[pd.DataFrame | None, list[Problem]]:
    import duckdb

    lines, problems = scan_text(path, file)
    if problems:
        return None, problems
    try:
        headers = read_header(path, source.separator)
    except csv.Error:  # a field above the limit of the csv module
        return None, [problem("long_line", file, 1, limit=csv.field_size_limit())]
    if len(headers) > MAX_COLUMNS:
        return None, [problem("many_columns", file, 1, count=len(headers), limit=MAX_COLUMNS)]
    other = "," if source.separator == ";" else ";"
    if len(headers) == 1 and other in headers[0]:
        return None, [problem("separator", file, 1, other=other, separator=source.separator)]
    places, problems = match_columns(headers, source, file, 1)
    names = [f"c{place}" for place in range(len(headers))]
    # A column is read for its field count, even when none is known.
    wanted = [names[place] for place in places.values()] or names[:1]
    with _connect(path) as connection:
        try:
            connection.execute(
                f"create or replace temp table cells as select {', '.join(wanted)} from read_csv(?, delim=?,"
                " header=false, skip=1, auto_detect=false,"
                " quote='\"', escape='\"', columns=?, all_varchar=true, null_padding=false,"
                f" strict_mode=true, store_rejects=true, hive_partitioning=false, max_line_size={MAX_LINE})",
                [glob.escape(str(path)), source.separator, dict.fromkeys(names, "VARCHAR")],
            )
            rejects = connection.execute(
                "select line, any_value(error_type), any_value(error_message) from reject_errors group by line"
                " order by line"
            ).fetchall()
        except duckdb.Error as error:
            why = str(error).splitlines()[0].replace(str(path), file)[:120]
            return None, [*problems, problem("mixed_lines", file, why=why)]
        count, cells = _fetch(connection, wanted)
    problems += [_reject(file, int(line), str(kind), str(message)) for line, kind, message in rejects]
    blank = _blank_lines(path, lines, count + len(rejects))
    problems += [problem("blank_line", file, row) for row in blank]
    rejected = [int(line) for line, _, _ in rejects] + blank
    rows = pd.RangeIndex(2, count + 2)
    if rejected:
        everything = np.arange(2, count + len(rejected) + 2)
        rows = pd.Index(np.setdiff1d(everything, np.array(rejected))[:count])
    if len(rows) < count:  # rejected lines told of twice: numbers beyond them are approximate
        rows = pd.RangeIndex(2, count + 2)
    return _table({name: cells[names[place]] for name, place in places.items()}, rows, headers, places), problems


@contextmanager
def _connect(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of bounded memory, that works in a temporary folder beyond it; for a small file, one shared by all."""
    import duckdb

    if path.stat().st_size < SMALL_FILE:
        with _shared_database().cursor() as connection:
            yield connection
        return
    with TemporaryDirectory(prefix="tne-eval-") as folder:
        config = {"memory_limit": MEMORY, "temp_directory": folder, "preserve_insertion_order": True}
        with duckdb.connect(":memory:", config=config) as connection:
            yield connection


@cache
def _shared_database() -> duckdb.DuckDBPyConnection:
    """Opening a database costs more than reading a small file. A single thread: the process may still be forked."""
    import duckdb

    alone = {"async_threads": 0} if int(duckdb.__version__.split(".")[0]) >= 2 else {}
    return duckdb.connect(":memory:", config={"threads": 1, **alone})


def _fetch(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> tuple[int, dict[str, object]]:
    """(number of rows, cells by name) of the table `cells`: as texts where rows are few, else as categories.

    Columns leave one at a time, so that memory holds the texts of one column and the codes of the others.
    """
    count = connection.execute("select count(*) from cells").fetchone()[0]
    if count <= FEW_ROWS:
        texts = connection.execute(f"select {', '.join(names)} from cells").fetchnumpy()
        return count, {name: _filled(texts[name]) for name in names}
    columns = {}
    for name in names:
        connection.execute(
            f"create or replace temp type t_{name} as enum (select distinct {name} from cells where {name} <> '')"
        )
        texts = connection.execute(f"select unnest(enum_range(null::t_{name})) as texts").fetchnumpy()["texts"]
        codes = connection.execute(f"select enum_code({name}::t_{name}) as codes from cells").fetchnumpy()["codes"]
        columns[name] = _categories(codes, np.asarray(texts, dtype=object))
    return count, columns


def _categories(codes: np.ndarray, texts: np.ndarray) -> pd.Categorical:
    """DuckDB gives a blank cell as masked: one more category here, the blank text."""
    blank = np.ma.getmaskarray(codes)
    size = len(texts) + 1
    kind = "int8" if size < 127 else "int16" if size < 32_767 else "int32"
    codes = np.ma.getdata(codes).astype(kind)
    if blank.any():
        codes[blank] = len(texts)
        texts = np.append(texts, "")
    return pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype=object), validate=False)


def _filled(cells: np.ndarray) -> np.ndarray:
    """DuckDB gives a blank cell as masked: a blank text here."""
    return np.where(np.ma.getmaskarray(cells), "", np.ma.getdata(cells)) if np.ma.isMaskedArray(cells) else cells


def _reject(file: str, row: int, kind: str, message: str) -> Problem:
    if kind in ("MISSING COLUMNS", "TOO MANY COLUMNS"):
        expected, found = (part.strip() for part in message.removeprefix("Expected Number of Columns:").split("Found:"))
        return problem("fields", file, row, found=found, expected=expected)
    if kind == "LINE SIZE OVER MAXIMUM":
        return problem("long_line", file, row, limit=MAX_LINE)
    return problem("record", file, row, why=(message or kind.lower())[:120])


def _blank_lines(path: Path, ends: int, records: int) -> list[int]:
    """Rows of blank lines before the last record; none where quoted fields hold line ends, as lines are not rows."""
    if ends <= records + 1 and records:
        return []
    blank, last, row = [], 0, 0
    with path.open("rb") as stream:
        for row, line in enumerate(stream, start=1):
            if line.strip():
                last = row
            else:
                blank.append(row)
    blank = [row for row in blank if row < last]
    return blank if last == records + 1 + len(blank) else []


def _read_parquet(path: Path, source: Source, file: str) -> tuple[pd.DataFrame | None, list[Problem]]:
    import duckdb

    with _connect(path) as connection:
        try:
            name = glob.escape(str(path))
            scan = "from read_parquet(?, hive_partitioning=false)"
            headers = [row[0] for row in connection.execute(f"describe select * {scan}", [name]).fetchall()]
            places, problems = match_columns(headers, source, file, 1)
            if not places:
                return _table({}, pd.RangeIndex(0), headers, places), problems
            picked = ", ".join(
                'cast("' + headers[place].replace('"', '""') + f'" as varchar) as c{place}' for place in places.values()
            )
            connection.execute(f"create or replace temp table cells as select {picked} {scan}", [name])
            count, cells = _fetch(connection, [f"c{place}" for place in places.values()])
        except duckdb.Error as error:
            why = str(error).splitlines()[0].replace(str(path), file)[:120]
            return None, [problem("not_parquet", file, why=why)]
    columns = {name: cells[f"c{place}"] for name, place in places.items()}
    return _table(columns, pd.RangeIndex(2, count + 2), headers, places), problems


def _read_xlsx(path: Path, source: Source, file: str) -> tuple[pd.DataFrame | None, list[Problem]]:
    """The visible sheet that holds the header. Formulas are read as such: one never computed is no blank cell."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=False)
    except Exception as error:  # openpyxl lets errors of zip, XML and its own out
        return None, [problem("not_xlsx", file, why=f"{type(error).__name__}: {error}".replace(str(path), file)[:120])]
    try:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if not sheets:
            return None, [problem("no_sheet", file)]
        top = source.header_row
        sheet, problems = _pick_sheet(sheets, source, file)
        if problems:
            return None, problems
        merged = _merged_areas(path, sheet, top)
        return _sheet_table(
            sheet, source, file, [problem("merged_cells", file, row, area=area) for area, row in merged]
        )
    except Exception as error:  # a damaged sheet is only met when its rows are read
        return None, [problem("not_xlsx", file, why=f"{type(error).__name__}: {error}"[:120])]
    finally:
        book.close()


def sheet_header(sheet, row: int) -> list[str]:
    """Cells of one row of a sheet, as texts, without the blank ones at its end."""
    for line in sheet.iter_rows(min_row=row, max_row=row, values_only=True):
        cells = [_cell(cell) for cell in line]
        while cells and not cells[-1]:
            cells.pop()
        return cells
    return []


def _pick_sheet(sheets: list, source: Source, file: str) -> tuple[object, list[Problem]]:
    """The only visible sheet, or the one of them whose header has the required columns."""
    required = {column.name for column in source.columns if column.required}
    fit = [
        sheet
        for sheet in sheets
        if required <= set(match_columns(sheet_header(sheet, source.header_row), source, file, 1)[0])
    ]
    if len(fit) > 1:
        names = ", ".join(str(sheet.title) for sheet in fit)
        return None, [problem("several_sheets", file, names=names)]
    return (fit or sheets)[0], []


def _merged_areas(path: Path, sheet, top: int) -> list[tuple[str, int]]:
    """Merged areas that reach the header or the rows below it, with their first row."""
    with zipfile.ZipFile(path) as archive, archive.open(sheet._worksheet_path) as stream:
        tail = b""
        areas = []
        while block := stream.read(_BLOCK):
            areas += _MERGED.findall(tail + block)
            tail = block[-200:]
    return sorted({(area.decode(), int(first)) for area, first, last in areas if int(last) >= top})


def _sheet_table(
    sheet, source: Source, file: str, problems: list[Problem]
) -> tuple[pd.DataFrame | None, list[Problem]]:
    top = source.header_row
    headers = sheet_header(sheet, top)
    if not headers:
        return None, [problem("no_header", file, row=top)]
    places, found = match_columns(headers, source, file, top)
    problems += found
    width, rows, blank = len(headers), [], []
    columns: dict[str, list[str]] = {name: [] for name in places}
    for row, line in enumerate(sheet.iter_rows(min_row=top + 1, values_only=True), start=top + 1):
        if all(cell is None or cell == "" for cell in line):
            blank.append(row)
            continue
        rows.append(row)
        for name, place in places.items():
            columns[name].append(_cell(line[place]) if place < len(line) else "")
        if any(cell is not None and cell != "" for cell in line[width:]):
            problems.append(problem("cells_beyond", file, row, count=len(line), width=width))
    problems += [problem("blank_line", file, row) for row in blank if rows and row < rows[-1]]
    return _table(columns, pd.Index(np.array(rows, dtype="int64")), headers, places), problems


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def melt_table(
    table: pd.DataFrame,
    source: str,
    *,
    unit_type: str,
    unit: str,
    period_type: str,
    period: str,
    variables: Sequence[str],
    group: Sequence[str] = (),
    n: str = "",
) -> pd.DataFrame:
    """A wide table as rows of the panel, one for each row and variable.

    Parameters
    ----------
    table : what `read_table` gives, without a missing `unit` or `period`.
    source : id of the source.
    unit, period, group, n : columns that hold the unit, the period, what names the group (joined by ` / `) and the
        number of pupils behind each figure ("": not known).
    variables : columns of figures; a figure not known has status `missing` and value NaN.

    Returns
    -------
    DataFrame with the columns of the panel; texts are categories, rows are in the order of `variables`, then of the
    table.
    """
    times = len(variables)
    rows = len(table)
    value = np.concatenate([table[name].to_numpy(dtype=float, na_value=np.nan) for name in variables])
    weight = np.full(rows * times, np.nan)
    size = np.tile(table[n].to_numpy(dtype=float, na_value=np.nan), times) if n else weight

    def one(text: str) -> pd.Categorical:
        return pd.Categorical.from_codes(np.zeros(rows * times, dtype="int8"), [text], validate=False)

    return pd.DataFrame(
        {
            "unit_type": one(unit_type),
            "unit": _tiled(table[unit], times),
            "period_type": one(period_type),
            "period": np.tile(table[period].to_numpy(dtype="int64"), times),
            "group": _tiled(_joined(table, group), times) if group else one(""),
            "variable": pd.Categorical.from_codes(np.repeat(np.arange(times, dtype="int16"), rows), list(variables)),
            "value": value,
            "weight": weight,
            "n": size,
            "status": pd.Categorical.from_codes(
                np.isnan(value).astype("int8"), ["observed", "missing"], validate=False
            ),
            "source": one(source),
        },
        copy=False,
    )


def _joined(table: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """The texts of several columns in one, by distinct combination."""
    number, texts = pd.factorize(table[names[0]])
    for name in names[1:]:
        codes, more = pd.factorize(table[name])
        number, pairs = pd.factorize(number * len(more) + codes)
        texts = np.array([f"{texts[pair // len(more)]} / {more[pair % len(more)]}" for pair in pairs], dtype=object)
    return pd.Series(pd.Categorical.from_codes(number, texts), index=table.index)


def _tiled(cells: pd.Series, times: int) -> pd.Categorical:
    codes, texts = split_column(cells)
    return pd.Categorical.from_codes(np.tile(codes, times), texts, validate=False)
