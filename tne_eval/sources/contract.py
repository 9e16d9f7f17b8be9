"""The contract of a raw file: every rule its source declares, checked on whole columns, every breach at once.

Cells are judged once per distinct text: a column of 400,000 rows costs its few thousand distinct values. Values are
made from codes when a rule asks for them, so that a table of millions of rows never stands whole in memory.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from tne_eval.catalog.entries import Column, Source
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.geography import list_departements, normalise_academie, normalise_departement
from tne_eval.sources.messages import phrase, problem
from tne_eval.sources.periods import parse_period

# A column that is wrong throughout says so once more, not 400,000 times.
MAX_ROWS_LISTED = 1000
# Two periods with the same figures throughout are a copy; on a handful of rows it may be chance.
MIN_ROWS_FOR_COPY = 20
# Longer than any name or label of the catalogue's files: beyond, quotes or separators went wrong.
MAX_TEXT = 1000

_INTEGER = re.compile(r"-?\d{1,15}(?:\.0+)?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d+)?(?:[eE]-?\d{1,3})?", re.ASCII)
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ][\d:.+Z]*)?", re.ASCII)
_YEAR = re.compile(r"(\d{4})(?:-\d{2}(?:-\d{2}(?:[T ][\d:.+Z]*)?)?)?", re.ASCII)
_UAI = re.compile(r"(\d{7})([A-HJ-NPR-Z])", re.ASCII)
_UAI_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_IRIS = re.compile(r"(?:\d{2}|2[AB])\d{7}", re.ASCII)
_ZONE = re.compile(r"R\d{2}", re.ASCII)
_SIREN = re.compile(r"\d{9}", re.ASCII)
# Control and replacement characters, and UTF-8 that was read as Windows-1252.
_DAMAGED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ufffd\ufffe\uffff]|Ã[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ©¨ª®«¢´§]|â€"
)


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
        return float(dt.date.fromisoformat(match[1]).strftime("%Y%m%d")) if match else None
    except ValueError:
        return None


def _uai(cell: str) -> str | None:
    match = _UAI.fullmatch(cell)
    return cell if match and _UAI_LETTERS[int(match[1]) % 23] == match[2] else None


def _iris(cell: str) -> str | None:
    return cell if _IRIS.fullmatch(cell) and cell[:2] in _commune_prefixes() else None


@cache
def _commune_prefixes() -> frozenset[str]:
    """First two characters of a commune code: a département, 97 or 98 overseas."""
    return frozenset(code[:2] for code in list_departements()) | {"98"}


def _commune(cell: str) -> str | None:
    """A commune, past or present, or an arrondissement: the official list tells them from postal codes."""
    from tne_eval.sources.communes import commune_change  # which takes its own types from here

    try:
        commune_change(cell)
    except ContractError:
        return None
    return cell


def _siren(cell: str) -> str | None:
    """Nine digits whose Luhn sum is a multiple of ten."""
    if not _SIREN.fullmatch(cell):
        return None
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(cell))
    return cell if sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0 else None


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
    numeric: bool = False
    whole: bool = False


# What each expects, in words: messages.toml, [phrase].
TYPES: dict[str, _Type] = {
    "text": _Type(_text),
    "integer": _Type(_integer, numeric=True, whole=True),
    "number": _Type(_number, numeric=True),
    "year": _Type(_year, numeric=True, whole=True),
    "school_year": _Type(_school_year, numeric=True, whole=True),
    "date": _Type(_date, numeric=True, whole=True),
    "uai": _Type(_uai),
    "iris": _Type(_iris),
    "commune": _Type(_commune),
    "siren": _Type(_siren),
    "departement": _Type(_departement),
    "academie": _Type(_academie),
    "zone": _Type(_zone),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A column read: its distinct `texts`, the value `known` of each (NaN or None where not known), what is `wrong`
    with each ("" where nothing is), and for each row the place of its text in these (`codes`)."""

    codes: np.ndarray
    texts: np.ndarray
    known: np.ndarray
    wrong: list[str]

    @property
    def values(self) -> np.ndarray:
        return self.known[self.codes] if len(self.texts) else self.known[:0]


def _unfit(cell: str, header: str) -> str:
    """What a text should have been instead, or nothing."""
    if len(cell) > MAX_TEXT:
        return phrase("short_text", limit=MAX_TEXT)
    if cell.startswith("="):
        return phrase("no_formula")
    if cell.strip() == header:
        return phrase("not_header")
    return phrase("clean_text") if _DAMAGED.search(cell) else ""


def _expected(cell: str, column: Column, decimal: str, header: str) -> tuple[object, str]:
    """(value, what was expected instead): the value of one cell under the rules of its column."""
    if cell in column.missing or ("" in column.missing and not cell.strip()):
        return None, ""
    kind = TYPES[column.type]
    if decimal == "," and column.type == "number":
        cell = "?" if "." in cell else cell.replace(",", ".")
    if column.type == "text" and (unfit := _unfit(cell, header)):
        return None, unfit
    value = kind.parse(cell)
    if value is None:
        marks = ", ".join(repr(mark) for mark in column.missing if mark)
        what = phrase(column.type)
        return None, phrase("or_marks", what=what, marks=marks) if marks else what
    if column.values and value not in column.values:
        value = unicodedata.normalize("NFC", str(value))
        if value not in column.values:
            return None, phrase("one_of", values=", ".join(map(repr, column.values)))
    if column.low is not None and value < column.low:
        return None, phrase("at_least", bound=column.low)
    if column.high is not None and value > column.high:
        return None, phrase("at_most", bound=column.high)
    return value, ""


def split_column(cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """(codes, distinct texts) of a column of texts, whether it comes as categories or as plain texts."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return cells.cat.codes.to_numpy(), cells.cat.categories.to_numpy(dtype=object)
    return pd.factorize(cells.to_numpy(dtype=object))


def _judge(cells: pd.Series, column: Column, decimal: str, header: str) -> Judged:
    codes, texts = split_column(cells)
    pairs = [_expected(str(text), column, decimal, header) for text in texts]
    if TYPES[column.type].numeric:
        known = np.array([np.nan if value is None else value for value, _ in pairs], dtype=float)
    else:
        known = np.array([value for value, _ in pairs] or [None], dtype=object)
    return Judged(codes, texts, known, [wrong for _, wrong in pairs])


def judge_table(table: pd.DataFrame, source: Source) -> dict[str, Judged]:
    """Every column of a table of texts, read under the rules of its source."""
    headers = table.attrs.get("headers", {})
    return {
        column.name: _judge(table[column.name], column, source.decimal, headers.get(column.name, column.name))
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
    return check_judged(table, judge_table(table, source), source, file)


def check_judged(table: pd.DataFrame, judged: dict[str, Judged], source: Source, file: str) -> list[Problem]:
    """`check_table`, for a table whose columns were judged already."""
    problems = _missing_columns(table, source, file)
    if not len(table.index):
        return [*problems, problem("no_row", file)]
    rows = table.index
    problems += _blank_rows(judged, rows, file)
    for name, column in judged.items():
        problems += _wrong_cells(column, name, rows, file)
    problems += _repeated_keys(judged, source, rows, file)
    problems += _broken_pairs(judged, source, rows, file)
    problems += _broken_sums(judged, source, rows, file)
    return problems + _copied_periods(judged, source, file)


def convert_judged(judged: dict[str, Judged], source: Source, rows: pd.Index) -> pd.DataFrame:
    """The columns that `check_judged` passed, with values: text, Int64 or float64; not known is None or NA.

    `judged` is emptied on the way: at no time are all codes and all values in memory together.
    """
    values = {}
    for column in source.columns:
        kind = TYPES[column.type]
        if column.name in judged:
            cells = judged.pop(column.name).values
        else:
            cells = np.full(len(rows), np.nan if kind.numeric else None, dtype=float if kind.numeric else object)
        if kind.whole:
            absent = np.isnan(cells)
            cells[absent] = 0
            values[column.name] = pd.Series(pd.arrays.IntegerArray(cells.astype("int64"), absent), index=rows)
        else:
            values[column.name] = pd.Series(cells, index=rows, dtype=cells.dtype)
    return pd.DataFrame(values, index=rows, copy=False)


def _missing_columns(table: pd.DataFrame, source: Source, file: str) -> list[Problem]:
    headers = [str(header) for header in table.attrs.get("all_headers", table.columns)]
    problems = []
    for column in source.columns:
        if column.name in table or not column.required:
            continue
        names = (column.name, *column.labels)
        near = {match for name in names for match in difflib.get_close_matches(name, headers, n=1, cutoff=0.75)}
        remedy = phrase("rename", near=sorted(near)[0]) if near else phrase("check_export")
        expected = phrase("or").join(map(repr, names))
        problems.append(problem("no_column", file, 1, column.name, names=expected, remedy=remedy))
    return problems


def _listed(places: np.ndarray, make: Callable[[int], Problem], file: str, column: str | None) -> list[Problem]:
    """A problem for each of the `places`, the first thousand; then one that counts the others."""
    problems = [make(int(place)) for place in places[:MAX_ROWS_LISTED]]
    if len(places) > MAX_ROWS_LISTED:
        problems.append(problem("more_rows", file, None, column, count=len(places) - MAX_ROWS_LISTED))
    return problems


def _wrong_cells(judged: Judged, name: str, rows: pd.Index, file: str) -> list[Problem]:
    wrong = np.array([bool(text) for text in judged.wrong])
    if not wrong.any():
        return []

    def make(place: int) -> Problem:
        code = judged.codes[place]
        found = repr(str(judged.texts[code]))
        found = found if len(found) <= 80 else found[:76] + "…" + found[-1]
        return problem("cell", file, int(rows[place]), name, found=found, expected=judged.wrong[code])

    return _listed(np.flatnonzero(wrong[judged.codes]), make, file, name)


def _blank_rows(judged: dict[str, Judged], rows: pd.Index, file: str) -> list[Problem]:
    """Rows without a single value, where no column forbids it."""
    blank = np.ones(len(rows), dtype=bool)
    for column in judged.values():
        empty = np.array([not str(text).strip() for text in column.texts])
        if not empty.any():
            return []
        blank &= empty[column.codes]
    return _listed(np.flatnonzero(blank), lambda place: problem("blank_line", file, int(rows[place])), file, None)


def _key_codes(judged: dict[str, Judged], key: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(one whole number per row for its key, whether every cell of the key can be read)."""
    first = judged[key[0]].codes
    number, whole, size = np.zeros(len(first), dtype="int64"), np.ones(len(first), dtype=bool), 1
    for name in key:
        column = judged[name]
        if not len(column.texts):
            continue
        known = pd.factorize(column.known)[0].astype("int64") + 1
        count = int(known.max()) + 1
        if size * count >= 2**62:
            number, distinct = pd.factorize(number)
            size = len(distinct)
        number *= count
        number += known[column.codes]
        size *= count
        wrong = np.array([bool(text) for text in column.wrong])
        if wrong.any():
            whole &= ~wrong[column.codes]
    return number, whole


def _repeated_keys(judged: dict[str, Judged], source: Source, rows: pd.Index, file: str) -> list[Problem]:
    if not source.key or not set(source.key) <= set(judged):
        return []
    number, whole = _key_codes(judged, source.key)
    again = np.flatnonzero(pd.Series(number).duplicated().to_numpy() & whole)
    if not len(again):
        return []
    firsts: dict[int, int] = {}
    met = np.flatnonzero(np.isin(number, number[again[:MAX_ROWS_LISTED]]) & whole)
    for place in met:
        firsts.setdefault(int(number[place]), int(rows[place]))
    names = ", ".join(source.key)

    def make(place: int) -> Problem:
        key = ", ".join(str(judged[name].texts[judged[name].codes[place]]) for name in source.key)
        return problem("key", file, int(rows[place]), names, key=key, first=firsts[int(number[place])])

    return _listed(again, make, file, names)


def _broken_pairs(judged: dict[str, Judged], source: Source, rows: pd.Index, file: str) -> list[Problem]:
    problems = []
    for small, large in source.at_most:
        if small not in judged or large not in judged:
            continue
        left, right = judged[small].values, judged[large].values

        def make(place: int, small=small, large=large, left=left, right=right) -> Problem:
            row = int(rows[place])
            return problem("at_most", file, row, small, small=left[place], large=large, value=right[place])

        with np.errstate(invalid="ignore"):
            problems += _listed(np.flatnonzero(left > right), make, file, small)
    return problems


def _broken_sums(judged: dict[str, Judged], source: Source, rows: pd.Index, file: str) -> list[Problem]:
    problems = []
    for rule in source.sums:
        if not {*rule.parts, *([rule.total] if rule.total else [])} <= set(judged):
            continue
        total = judged[rule.total].values if rule.total else np.full(len(rows), rule.value)
        added = np.zeros(len(rows))
        for part in rule.parts:
            added += judged[part].values
        names = " + ".join(rule.parts)

        def make(place: int, added=added, total=total, names=names, rule=rule) -> Problem:
            key = "sum_of" if rule.total else "sum"
            row = int(rows[place])
            return problem(key, file, row, names, added=added[place], total=total[place], name=rule.total)

        apart = np.nan_to_num(judged[rule.apart].values) if rule.apart in judged else 0.0
        with np.errstate(invalid="ignore"):
            short = np.minimum(np.abs(added - total), np.abs(added + apart - total))
            problems += _listed(np.flatnonzero(short > rule.tolerance + 1e-9), make, file, names)
    return problems


def _copied_periods(judged: dict[str, Judged], source: Source, file: str) -> list[Problem]:
    """A period whose figures are all those of another one: a file filled twice with the same vintage."""
    types = {column.name: column.type for column in source.columns}
    period = next((name for name in source.key if types[name] in ("year", "school_year")), None)
    figures = [name for name in judged if types[name] in ("integer", "number") and name not in source.key]
    if period is None or not figures or not set(source.key) <= set(judged):
        return []
    years, of_text = np.unique(judged[period].known, return_inverse=True)
    if len(years) < 2:
        return []
    marks = np.zeros(len(judged[period].codes), dtype="uint64")
    for name in (*(name for name in source.key if name != period), *figures):
        column = judged[name]
        if len(column.texts):
            known = column.known if TYPES[types[name]].numeric else column.known.astype(str).astype(object)
            marks *= np.uint64(1_000_003)
            marks ^= pd.util.hash_array(known)[column.codes]
    of_row = of_text[judged[period].codes]
    seen: dict[tuple[int, int], float] = {}
    problems = []
    for place, year in enumerate(years):
        own = marks[of_row == place]
        if np.isnan(year) or len(own) < MIN_ROWS_FOR_COPY:
            continue
        digest = (len(own), int(np.bitwise_xor.reduce(own)))
        if digest in seen:
            problems.append(problem("copied_period", file, None, period, period=year, model=seen[digest]))
        seen.setdefault(digest, year)
    return problems
