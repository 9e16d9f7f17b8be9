"""Which source a file is of: its columns first, then its name; what stays doubtful is refused, never guessed."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tne_eval.catalog import list_sources
from tne_eval.catalog.entries import Source
from tne_eval.errors import ContractError
from tne_eval.sources.messages import phrase, problem
from tne_eval.sources.read import MAX_COLUMNS, match_columns, open_table, read_header, scan_text, sheet_header

NEAREST = 3
_NAMES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Fit:
    """How well headers fit a source: columns `found`, required columns `missing`."""

    source: Source
    found: int
    missing: tuple[str, ...]


def recognise_source(path: str | Path) -> Source:
    """The source whose columns a file holds, under any of their names.

    A source fits when all its required columns are there, and half of all its columns; one that requires a single
    column is known by its name only. Where several fit, the file name decides, then the number of columns found. A
    file named as one source, that fits no other better, is taken for it: its contract then says what is missing.

    Raises
    ------
    ContractError : no table; columns of no source (the nearest are listed with what is missing); or of several.
    """
    path = Path(path)
    with open_table(path) as plain:
        if plain.suffix.lower() == ".geojson":
            fits = [Fit(source, 1, ()) for source in list_sources() if not source.columns]
        else:
            fits = _fits(plain, path.name)
    named = [fit for fit in fits if _named(path.name, fit.source)]
    whole = [fit for fit in fits if not fit.missing and (fit in named or _telling(fit))]
    chosen = [fit for fit in whole if fit in named] or whole
    most = max((fit.found for fit in chosen), default=0)
    best = [fit.source for fit in chosen if fit.found == most]
    if len(named) == 1 and named[0].missing and named[0].found >= most:
        return named[0].source
    if len(best) == 1:
        return best[0]
    if best:
        names = ", ".join(source.id for source in best)
        raise ContractError([problem("several_sources", path.name, 1, names=names)])
    raise ContractError([problem("unknown_file", path.name, 1, near=nearest(fits))])


def _telling(fit: Fit) -> bool:
    """Whether the columns found are enough to tell a source without its name."""
    required = sum(column.required for column in fit.source.columns)
    return required >= 2 and 2 * fit.found >= len(fit.source.columns)


def nearest(fits: Iterable[Fit]) -> str:
    """The sources that lack the fewest columns, each with what is missing."""
    lacking = [fit for fit in fits if fit.missing]
    ranked = sorted(lacking, key=lambda fit: (len(fit.missing) - fit.found, fit.source.id))[:NEAREST]
    return "; ".join(phrase("missing_names", source=fit.source.id, names=_short(fit.missing)) for fit in ranked)


def _short(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")


def _named(name: str, source: Source) -> bool:
    """Whether a file is named as one of the source's, packed or not."""
    plain = name.removesuffix(".gz") if name.endswith(".gz") else name
    stem = plain.removesuffix(".zip")
    names = {plain, stem, *(f"{stem}{suffix}" for suffix in (".csv", ".parquet", ".xlsx") if plain.endswith(".zip"))}
    patterns = {*source.files, *(Path(pattern).with_suffix(".*").name for pattern in source.files)}
    return any(fnmatchcase(each, pattern) for each in names for pattern in patterns)


def _fits(plain: Path, file: str) -> list[Fit]:
    suffix = plain.suffix.lower()
    if suffix == ".csv":
        _, problems = scan_text(plain, file)
        if problems:
            raise ContractError(problems)
        by_separator = {source.separator for source in list_sources()}
        headers = {separator: _csv_header(plain, separator, file) for separator in by_separator}
        return [_fit(source, headers[source.separator], file) for source in list_sources() if source.columns]
    if suffix == ".parquet":
        columns = _parquet_header(plain, file)
        return [_fit(source, columns, file) for source in list_sources() if source.columns]
    return _xlsx_fits(plain, file)


def _fit(source: Source, headers: list[str], file: str) -> Fit:
    places, _ = match_columns(headers, source, file, 1)
    missing = tuple(column.name for column in source.columns if column.required and column.name not in places)
    return Fit(source, len(places), missing)


def _csv_header(plain: Path, separator: str, file: str) -> list[str]:
    try:
        headers = read_header(plain, separator)
    except csv.Error as error:
        raise ContractError([problem("long_line", file, 1, limit=csv.field_size_limit())]) from error
    if len(headers) > MAX_COLUMNS:
        raise ContractError([problem("many_columns", file, 1, count=len(headers), limit=MAX_COLUMNS)])
    return headers


def _parquet_header(plain: Path, file: str) -> list[str]:
    import duckdb

    with duckdb.connect() as connection:
        try:
            found = connection.execute("select name from parquet_schema(?) where num_children is null", [str(plain)])
            return [row[0] for row in found.fetchall()]
        except duckdb.Error as error:
            why = str(error).splitlines()[0].replace(str(plain), file)[:120]
            raise ContractError([problem("not_parquet", file, why=why)]) from error


def _xlsx_fits(plain: Path, file: str) -> list[Fit]:
    """Each source looks for its header on its own row, in the visible sheet where most of it is found."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(plain, read_only=True)
    except Exception as error:  # openpyxl lets errors of zip, XML and its own out
        why = f"{type(error).__name__}: {error}".replace(str(plain), file)[:120]
        raise ContractError([problem("not_xlsx", file, why=why)]) from error
    try:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if not sheets:
            raise ContractError([problem("no_sheet", file)])
        sources = [source for source in list_sources() if source.columns]
        headers = {row: [sheet_header(sheet, row) for sheet in sheets] for row in {s.header_row for s in sources}}
        return [
            max((_fit(source, header, file) for header in headers[source.header_row]), key=lambda fit: fit.found)
            for source in sources
        ]
    except ContractError:
        raise
    except Exception as error:  # a damaged sheet is only met when its rows are read
        raise ContractError([problem("not_xlsx", file, why=f"{type(error).__name__}: {error}"[:120])]) from error
    finally:
        book.close()
