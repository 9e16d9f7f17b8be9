"""The contract of a raw file: every rule its source declares, checked on whole columns, every breach at once.

Cells are judged once per distinct text: a column of 400,000 rows costs its few thousand distinct values.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tne_eval.catalog.entries import Column, Source
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.geography import normalise_academie, normalise_departement
from tne_eval.sources.periods import parse_period

# A column that is wrong throughout says so once more, not 400,000 times.
MAX_ROWS_LISTED = 1000
# Two periods with the same figures throughout are a copy; on a handful of rows it may be chance.
MIN_ROWS_FOR_COPY = 20

_INTEGER = re.compile(r"-?\d{1,15}(?:\.0+)?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d+)?(?:[eE]-?\d{1,3})?", re.ASCII)
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ][\d:.+Z]*)?", re.ASCII)
_YEAR = re.compile(r"(\d{4})(?:-\d{2}(?:-\d{2}(?:[T ][\d:.+Z]*)?)?)?", re.ASCII)
_UAI = re.compile(r"(\d{7})([A-HJ-NPR-Z])", re.ASCII)
_UAI_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_IRIS = re.compile(r"(?:\d{2}|2[AB])\d{7}", re.ASCII)
_ZONE = re.compile(r"R\d{2}", re.ASCII)


def _text(cell: str) -> str | None:
    return cell.strip() or None


def _integer(cell: str) -> float | None:
    return float(cell) if _INTEGER.fullmatch(cell) else None


def _number(cell: str) -> float | None:
    value = float(cell) if _NUMBER.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else None


def _year(cell: str) -> float | None:
    match = _YEAR.fullmatch(cell)
    return float(match[1]) if match and 1990 <= int(match[1]) <= 2100 else None


def _school_year(cell: str) -> float | None:
    try:
        return float(parse_period(cell, "school_year")) if _year(cell[:4]) else None
    except ContractError:
        return _year(cell) if _DAY.fullmatch(cell) else None


def _date(cell: str) -> float | None:
    match = _DAY.fullmatch(cell)
    try:
        return float(parse_period(match[1], "date")) if match else None
    except ContractError:
        return None


def _uai(cell: str) -> str | None:
    match = _UAI.fullmatch(cell)
    return cell if match and _UAI_LETTERS[int(match[1]) % 23] == match[2] else None


def _iris(cell: str) -> str | None:
    return cell if _IRIS.fullmatch(cell) else None


def _departement(cell: str) -> str | None:
    try:
        return normalise_departement(cell)
    except ContractError:
        return None


def _academie(cell: str) -> str | None:
    try:
        return normalise_academie(cell)
    except ContractError:
        return None


def _zone(cell: str) -> str | None:
    """`D02` → `02`, `R11` and `FRANCE` as they are."""
    if cell == "FRANCE" or _ZONE.fullmatch(cell):
        return cell
    return _departement(cell) if cell.startswith("D") else None


@dataclass(frozen=True, slots=True)
class _Type:
    parse: Callable[[str], object]
    expected: str
    numeric: bool = False
    whole: bool = False


TYPES: dict[str, _Type] = {
    "text": _Type(_text, "a text"),
    "integer": _Type(_integer, "a whole number", numeric=True, whole=True),
    "number": _Type(_number, "a number", numeric=True),
    "year": _Type(_year, "a year such as 2021", numeric=True, whole=True),
    "school_year": _Type(_school_year, "a school year such as 2021-2022", numeric=True, whole=True),
    "date": _Type(_date, "a day such as 2021-12-31", numeric=True, whole=True),
    "uai": _Type(_uai, "a UAI: seven digits and their check letter"),
    "iris": _Type(_iris, "an IRIS code of nine characters"),
    "departement": _Type(_departement, "a département code such as '02', '002', '2A', '971', or its name"),
    "academie": _Type(_academie, "the name of an académie"),
    "zone": _Type(_zone, "a zone such as D02, R11 or FRANCE"),
}


@dataclass(frozen=True, slots=True)
class _Judged:
    """A column read: `values` (NaN or None where not known) and, by distinct text, what is wrong with it."""

    values: np.ndarray
    codes: np.ndarray
    texts: np.ndarray
    wrong: list[str]


def _expected(cell: str, column: Column, decimal: str) -> tuple[object, str]:
    """(value, what was expected instead): the value of one cell under the rules of its column."""
    if cell in column.missing or (not cell.strip() and "" in column.missing):
        return None, ""
    kind = TYPES[column.type]
    if decimal == "," and column.type == "number":
        cell = "?" if "." in cell else cell.replace(",", ".")
    value = kind.parse(cell)
    if value is None:
        marks = [mark for mark in column.missing if mark]
        return None, kind.expected + (f", or {', '.join(map(repr, marks))} where not known" if marks else "")
    if column.values and value not in column.values:
        return None, "one of " + ", ".join(map(repr, column.values))
    if column.low is not None and value < column.low:
        return None, f"at least {column.low:g}"
    if column.high is not None and value > column.high:
        return None, f"at most {column.high:g}"
    return value, ""


def _judge(cells: pd.Series, column: Column, decimal: str) -> _Judged:
    codes, texts = pd.factorize(cells.to_numpy(dtype=object))
    pairs = [_expected(str(text), column, decimal) for text in texts]
    if TYPES[column.type].numeric:
        known = np.array([np.nan if value is None else value for value, _ in pairs], dtype=float)
    else:
        known = np.array([value for value, _ in pairs] or [None], dtype=object)
    values = known[codes] if len(texts) else known[:0]
    return _Judged(values, codes, texts, [wrong for _, wrong in pairs])


def _judge_all(table: pd.DataFrame, source: Source) -> dict[str, _Judged]:
    return {
        column.name: _judge(table[column.name], column, source.decimal)
        for column in source.columns
        if column.name in table
    }


def check_table(table: pd.DataFrame, source: Source, file: str) -> list[Problem]:
    """Every breach of the source's contract in a table of texts.

    Parameters
    ----------
    table : cells as text, one column for each column of the source found in the file, the row number in the file as
        index (the header is row 1).
    source : the catalogue entry.
    file : name of the file, for the messages.

    Returns
    -------
    Problems, empty when the table keeps its contract: required columns, types, bounds, allowed values, unique key,
    `at_most` pairs, sums, and a period that is a copy of another. Above 1,000 rows with the same breach in one column,
    a last problem counts the others.
    """
    problems = _missing_columns(table, source, file)
    if table.empty:
        return [*problems, Problem(file, None, None, "no row", "at least one row of data", "Export the file again.")]
    judged = _judge_all(table, source)
    rows = table.index.to_numpy()
    for name, column in judged.items():
        problems += _wrong_cells(column, name, rows, file)
    problems += _repeated_keys(judged, source, rows, file)
    problems += _broken_pairs(judged, source, rows, file)
    problems += _broken_sums(judged, source, rows, file)
    return problems + _copied_periods(judged, source, file)


def convert_table(table: pd.DataFrame, source: Source) -> pd.DataFrame:
    """The table that `check_table` passed, with values: text, Int64 or float64; not known is None or NA."""
    types = {column.name: TYPES[column.type] for column in source.columns}
    values = {}
    for name, judged in _judge_all(table, source).items():
        series = pd.Series(judged.values, index=table.index)
        values[name] = series.astype("Int64") if types[name].whole else series
    for column in source.columns:
        if column.name not in values:
            empty = np.nan if types[column.name].numeric else None
            series = pd.Series(empty, index=table.index, dtype=float if types[column.name].numeric else object)
            values[column.name] = series.astype("Int64") if types[column.name].whole else series
    return pd.DataFrame(values, index=table.index)[[column.name for column in source.columns]]


def _missing_columns(table: pd.DataFrame, source: Source, file: str) -> list[Problem]:
    headers = [str(header) for header in table.attrs.get("all_headers", table.columns)]
    problems = []
    for column in source.columns:
        if column.name in table or not column.required:
            continue
        names = (column.name, *column.labels)
        near = {match for name in names for match in difflib.get_close_matches(name, headers, n=1, cutoff=0.75)}
        remedy = f"Rename {sorted(near)[0]!r}." if near else "Check the separator, the header row and the export."
        expected = " or ".join(map(repr, names))
        problems.append(Problem(file, 1, column.name, "no such column", f"a column named {expected}", remedy))
    return problems


def _listed(rows: np.ndarray, make: Callable[[int], Problem], file: str, column: str | None) -> list[Problem]:
    """A problem for each position in `rows`, the first thousand; then one that counts the others."""
    problems = [make(int(place)) for place in rows[:MAX_ROWS_LISTED]]
    if len(rows) > MAX_ROWS_LISTED:
        others = f"{len(rows) - MAX_ROWS_LISTED} more row(s) alike"
        problems.append(Problem(file, None, column, others, "none", "Correct the column throughout."))
    return problems


def _wrong_cells(judged: _Judged, name: str, rows: np.ndarray, file: str) -> list[Problem]:
    wrong = np.array([bool(text) for text in judged.wrong])
    if not wrong.any():
        return []

    def make(place: int) -> Problem:
        code = judged.codes[place]
        found = repr(str(judged.texts[code]))[:80]
        return Problem(file, int(rows[place]), name, found, judged.wrong[code], "Correct this cell.")

    return _listed(np.flatnonzero(wrong[judged.codes]), make, file, name)


def _repeated_keys(judged: dict[str, _Judged], source: Source, rows: np.ndarray, file: str) -> list[Problem]:
    if not source.key or not set(source.key) <= set(judged):
        return []
    key = pd.DataFrame({name: pd.factorize(judged[name].values)[0] for name in source.key})
    again = key.duplicated().to_numpy()
    if not again.any():
        return []
    number = key.groupby(list(source.key), sort=False).ngroup().to_numpy()
    first = pd.Series(rows).groupby(number).transform("first").to_numpy()
    names = ", ".join(source.key)

    def make(place: int) -> Problem:
        found = ", ".join(str(judged[name].texts[judged[name].codes[place]]) for name in source.key)
        return Problem(
            file,
            int(rows[place]),
            names,
            f"{found} again, first on row {first[place]}",
            "each key once",
            "Keep one of the rows.",
        )

    return _listed(np.flatnonzero(again), make, file, names)


def _broken_pairs(judged: dict[str, _Judged], source: Source, rows: np.ndarray, file: str) -> list[Problem]:
    problems = []
    for small, large in source.at_most:
        if small not in judged or large not in judged:
            continue
        left, right = judged[small].values, judged[large].values

        def make(place: int, small=small, large=large, left=left, right=right) -> Problem:
            found = f"{left[place]:g} above {large} {right[place]:g}"
            return Problem(file, int(rows[place]), small, found, f"at most {large}", "Correct one of the two cells.")

        with np.errstate(invalid="ignore"):
            problems += _listed(np.flatnonzero(left > right), make, file, small)
    return problems


def _broken_sums(judged: dict[str, _Judged], source: Source, rows: np.ndarray, file: str) -> list[Problem]:
    problems = []
    for rule in source.sums:
        if not {*rule.parts, *([rule.total] if rule.total else [])} <= set(judged):
            continue
        total = judged[rule.total].values if rule.total else np.full(len(rows), rule.value)
        added = np.sum([judged[part].values for part in rule.parts], axis=0)
        names = " + ".join(rule.parts)

        def make(place: int, added=added, total=total, names=names, rule=rule) -> Problem:
            expected = f"{total[place]:g}" + (f", the value of {rule.total}" if rule.total else "")
            return Problem(
                file, int(rows[place]), names, f"a sum of {added[place]:g}", expected, "Correct one of the cells."
            )

        apart = np.nan_to_num(judged[rule.apart].values) if rule.apart in judged else 0.0
        with np.errstate(invalid="ignore"):
            short = np.minimum(np.abs(added - total), np.abs(added + apart - total))
            problems += _listed(np.flatnonzero(short > rule.tolerance + 1e-9), make, file, names)
    return problems


def _copied_periods(judged: dict[str, _Judged], source: Source, file: str) -> list[Problem]:
    """A period whose figures are all those of another one: a file filled twice with the same vintage."""
    types = {column.name: column.type for column in source.columns}
    period = next((name for name in source.key if types[name] in ("year", "school_year")), None)
    figures = [name for name in judged if types[name] in ("integer", "number") and name not in source.key]
    if period is None or not figures or not set(source.key) <= set(judged):
        return []
    order = [name for name in source.key if name != period]
    frame = pd.DataFrame({name: judged[name].values for name in (*order, *figures)})
    marks = pd.util.hash_pandas_object(frame.astype(dict.fromkeys(order, str)), index=False)
    years = pd.Series(judged[period].values)
    digest = marks.groupby(years).agg(["size", lambda part: int(np.bitwise_xor.reduce(part.to_numpy()))])
    digest.columns = ["rows", "mark"]
    copies = digest[(digest["rows"] >= MIN_ROWS_FOR_COPY) & digest.duplicated(keep="first")]
    problems = []
    for year, row in copies.iterrows():
        model = digest.index[(digest["mark"] == row["mark"]) & (digest["rows"] == row["rows"])][0]
        problems.append(
            Problem(
                file,
                None,
                period,
                f"{year:g} holds the figures of {model:g}, row for row",
                "figures of its own for each period",
                "Export the file again.",
            )
        )
    return problems
