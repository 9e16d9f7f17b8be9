"""A raw table of any source, read as text, with the part that each of its columns plays."""

from __future__ import annotations

import datetime as dt
import glob
import hashlib
import re
import unicodedata
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from tne_eval.audit.settings import Settings
from tne_eval.catalog import Column, Source
from tne_eval.errors import ContractError, Problem
from tne_eval.french import month
from tne_eval.sources.periods import parse_period
from tne_eval.sources.read import read_table

READABLE = (".csv", ".parquet")
_NUMBER = re.compile(r"-?\d{1,15}(?:[.,]\d+)?", re.ASCII)
_MONTH = re.compile(r"(\d{4})[-/](\d{2})(?:[-/]\d{2}(?:[T ].*)?)?|(?:\d{2}/)?(\d{2})/(\d{4})", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class RawTable:
    """A table as read: `cells` are texts under normalised names, `figures` the numeric columns as numbers.

    `period` names the column of periods ("" where there is none), `periods` holds them as whole numbers of
    `period_type` (month or school_year); `key` are the other columns that tell rows apart.
    """

    name: str
    sha256: str
    cells: pd.DataFrame = field(repr=False)
    figures: pd.DataFrame = field(repr=False)
    key: tuple[str, ...]
    period: str = ""
    period_type: str = ""
    periods: pd.Series | None = field(default=None, repr=False)

    def unit(self) -> pd.Series:
        """The key of each row but its period, as one text."""
        unit = pd.Series("", index=self.cells.index)
        for place, name in enumerate(self.key):
            unit = unit + (" / " if place else "") + self.cells[name].fillna("")
        return unit

    def series(self, column: str) -> pd.DataFrame:
        """`unit, period, value` of a column of figures."""
        return pd.DataFrame({"unit": self.unit(), "period": self.periods, "value": self.figures[column]})


def read_raw_table(path: str | Path, settings: Settings, name: str = "") -> RawTable:
    """Read a .csv or .parquet file whatever its source, and tell periods, keys and figures apart.

    Raises ContractError where the file cannot be read as a table.
    """
    path = Path(path)
    if path.suffix.lower() not in READABLE:
        found, expected = f"a file in {path.suffix!r}", f"a file in {' or '.join(READABLE)}"
        raise ContractError([Problem(path.name, None, None, found, expected, "Export the file again as CSV.")])
    cells = _read_cells(path, _any_source(path))
    cells = cells.rename(columns=dict(zip(cells.columns, _unique_names(cells.columns), strict=True)))
    cells.attrs = {}
    blank = set(settings.columns["blank"])
    cells = cells.map(lambda cell: None if cell is None or cell in blank else cell)
    return make_raw_table(name or path.name, cells, settings, hashlib.sha256(path.read_bytes()).hexdigest())


def make_raw_table(name: str, cells: pd.DataFrame, settings: Settings, sha256: str = "") -> RawTable:
    """The same from a frame of texts (None where blank), whose columns already have normalised names."""
    named = [column for column in cells if _matches(column, settings.columns["period"])]
    candidates = {column: found for column in named if (found := _periods(cells[column])) is not None}
    candidates |= _split_months(cells[named], candidates)
    # The finest one: months before years, then the column with the most of them.
    period = max(
        candidates, key=lambda column: (candidates[column][0] == "month", candidates[column][1].nunique()), default=""
    )
    rest = [column for column in cells if column not in candidates]
    figures = [
        column for column in rest if not _matches(column, settings.columns["code"]) and _is_numeric(cells[column])
    ]
    numbers = pd.DataFrame({column: _numbers(cells[column]) for column in figures}, index=cells.index)
    key = tuple(column for column in rest if column not in figures and cells[column].notna().any())
    period_type, periods = candidates[period] if period else ("", None)
    return RawTable(name, sha256, cells, numbers, key, period, period_type, periods)


def normalise_name(label: str) -> str:
    """`Nombre d'élèves` → `nombre_d_eleves`, the form of names in the API."""
    flat = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", flat.replace("+", " plus ")).strip("_") or "colonne"


def _read_cells(path: Path, source: Source) -> pd.DataFrame:
    """The cells of a file; a column with a text that the reader refuses (a badly decoded name) is left out."""
    try:
        return read_table(path, source)
    except ContractError as error:
        names = {problem.column for problem in error.problems}
        kept = tuple(column for column in source.columns if column.name not in names)
        if len(kept) + len(names) != len(source.columns) or not kept:
            raise
        return read_table(path, replace(source, columns=kept))


# The names of months as French writes them, without accents, and their numbers.
_MONTHS = {normalise_name(month(dt.date(2000, place, 1)).split()[0]): place for place in range(1, 13)}
_MONTHS |= {text: place for place in range(1, 13) for text in (str(place), f"{place:02d}")}


def _any_source(path: Path) -> Source:
    """A contract that only asks for a table: every column that the file has, as text."""
    headers, separator = _headers(path)
    columns = tuple(Column(name=header, labels=(), required=False) for header in dict.fromkeys(headers) if header)
    return Source(
        id="any",
        label="",
        producer="",
        licence="",
        url="",
        vintage="",
        grain="",
        files=(),
        columns=columns,
        separator=separator,
    )


def _headers(path: Path) -> tuple[list[str], str]:
    import duckdb

    if path.suffix.lower() == ".parquet" and path.is_file():
        with duckdb.connect() as connection:
            try:
                scan = "describe select * from read_parquet(?, hive_partitioning=false)"
                return [row[0].strip() for row in connection.execute(scan, [glob.escape(str(path))]).fetchall()], ";"
            except duckdb.Error:
                return [], ";"  # the reader says what is wrong
    if not path.is_file():
        return [], ";"
    with path.open("rb") as stream:
        first = stream.readline(1_000_000).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    separator = max(";,", key=first.count)
    return [unicodedata.normalize("NFC", part.strip().strip('"')).strip() for part in first.split(separator)], separator


def _unique_names(labels) -> list[str]:
    names: list[str] = []
    for label in labels:
        name = normalise_name(label)
        while name in names:
            name += "_bis"
        names.append(name)
    return names


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def first_match(names, patterns: tuple[str, ...]) -> str:
    """The first of the patterns that a name follows gives that name; "" where none does."""
    return next((name for pattern in patterns for name in names if fnmatchcase(name, pattern)), "")


def _is_numeric(cells: pd.Series) -> bool:
    known = cells.dropna().unique()
    return len(known) > 0 and all(_NUMBER.fullmatch(str(cell)) for cell in known)


def _numbers(cells: pd.Series) -> pd.Series:
    return cells.map(lambda cell: float(str(cell).replace(",", ".")), na_action="ignore").astype(float)


def _periods(cells: pd.Series) -> tuple[str, pd.Series] | None:
    """("month" or "school_year", periods) where every cell is one; None otherwise."""
    known = cells.dropna().unique()
    if len(known) == 0 or cells.isna().any():
        return None
    months = {cell: _month(str(cell)) for cell in known}
    if all(months.values()):
        return "month", cells.map(months).astype("int64")
    years = {cell: _year(str(cell)) for cell in known}
    return ("school_year", cells.map(years).astype("int64")) if all(years.values()) else None


def _year(cell: str) -> int | None:
    """`2021`, `2021-2022` or `2021-22` → 2021; None for anything else."""
    try:
        year = parse_period(cell, "school_year")
    except ContractError:
        return None
    return year if 1990 <= year <= 2100 else None


def _split_months(cells: pd.DataFrame, candidates: dict) -> dict[str, tuple[str, pd.Series]]:
    """Months written in two columns, a year and the name or number of a month."""
    years = next((periods for kind, periods in candidates.values() if kind == "school_year"), None)
    found: dict[str, tuple[str, pd.Series]] = {}
    if years is None:
        return found
    for column in cells:
        if column not in candidates and cells[column].notna().all():
            months = cells[column].map(lambda cell: _MONTHS.get(normalise_name(str(cell))))
            if months.notna().all():
                found[column] = ("month", years * 100 + months.astype("int64"))
    return found


def _month(cell: str) -> int | None:
    """`2021-03`, `2021-03-31`, `03/2021`, `31/03/2021` or `mars 2021` → 202103; None for anything else."""
    name, _, year = cell.rpartition(" ")
    if re.fullmatch(r"\d{4}", year, re.ASCII) and normalise_name(name) in _MONTHS:
        return int(year) * 100 + _MONTHS[normalise_name(name)]
    match = _MONTH.fullmatch(cell)
    if match is None:
        return None
    year, month = (match[1], match[2]) if match[1] else (match[4], match[3])
    return parse_period(f"{year}-{month}", "month") if 1 <= int(month) <= 12 else None
