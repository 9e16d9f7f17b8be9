"""Known defects that break no contract: what a reader of one file should be told before using its figures.

A finding has the shape of a problem, and never fails a check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from tne_eval.catalog import list_sources
from tne_eval.catalog.entries import Column, Source
from tne_eval.errors import Problem
from tne_eval.sources.communes import commune_change
from tne_eval.sources.contract import Judged
from tne_eval.sources.geography import list_departements
from tne_eval.sources.messages import finding
from tne_eval.sources.read import Texts, match_columns

# Above this many of the 101, a column of départements means to hold all of them.
_NEARLY_ALL = 80
_DATE_IN_NAME = re.compile(r"(\d{4})[_-](\d{2})")
# Flags that exclude one another in every file of the producer.
_ONE_OF_TWO = (("rep", "rep_plus"),)
# A target and the values observed beside it, in the files of the Baromètre.
_TARGET, _OBSERVED = "indic_vc", ("indic_va", "indic_vi")
_WHOLE_AS_DECIMAL = re.compile(r"-?\d+\.0+")


def find_defects(texts: Texts, source: Source, file: str) -> list[Problem]:
    """Every finding of a file that was read; none where it could not be."""
    if texts.table is None:
        return []
    table, judged = texts.table, texts.judged
    columns = {column.name: column for column in source.columns}
    found = [*_headers(table, source, file), *_missing(judged, columns, file)]
    for name, column in judged.items():
        found += _cells(column, columns[name], source, file)
    found += _places(judged, columns, file)
    found += _flags(judged, file)
    found += _targets(table, judged, file)
    found += _copies(judged, columns, source, file)
    return found


def _examples(texts: Sequence) -> str:
    return ", ".join(repr(str(text)) for text in texts[:5]) + (", …" if len(texts) > 5 else "")


def _headers(table: pd.DataFrame, source: Source, file: str) -> Iterator[Problem]:
    headers = table.attrs["all_headers"]
    for place, header in enumerate(headers, start=1):
        if not header.strip():
            yield finding("unnamed_column", file, source.header_row, place=place)
    padded = [header for header in headers if header.strip() and header != header.strip()]
    if padded:
        yield finding("blank_in_header", file, source.header_row, names=_examples(padded))
    dated = {name: match[0] for name in table.attrs["headers"].values() if (match := _DATE_IN_NAME.search(name))}
    if len(set(dated.values())) > 1:
        yield finding("header_dates", file, source.header_row, names=", ".join(dated))
    whole = [other.id for other in list_sources() if _gathers(headers, other, source)]
    if whole:
        yield finding("gathered", file, source.header_row, count=len(whole) + 1, names=", ".join([source.id, *whole]))


def _gathers(headers: Sequence[str], other: Source, source: Source) -> bool:
    """Whether a file of `source` also holds every figure of `other`, some of which are no columns of `source`."""
    own = {name for column in source.columns for name in (column.name, *column.labels)}
    figures = [column for column in other.columns if column.type in ("integer", "number")]
    if other.id == source.id or len(figures) < 3 or own >= {column.name for column in figures}:
        return False
    places, _ = match_columns(headers, other, "", 1)
    return all(column.name in places for column in figures)


def _missing(judged: dict[str, Judged], columns: dict[str, Column], file: str) -> Iterator[Problem]:
    """Cells without a value, in one finding for the columns that lack as many."""
    alike: dict[tuple[int, str], list[str]] = {}
    total = 0
    for name, column in judged.items():
        total = len(column.codes)
        absent = [place for place, text in enumerate(column.texts) if _absent(str(text), columns[name])]
        counts = np.bincount(column.codes, minlength=len(column.texts))[absent] if absent else np.zeros(0, dtype=int)
        if counts.sum():
            marks = ", ".join(sorted({repr(str(column.texts[place]).strip()) for place in absent}))
            alike.setdefault((int(counts.sum()), marks), []).append(name)
    for (count, marks), names in alike.items():
        yield finding("missing_cells", file, None, ", ".join(names), count=count, total=total, marks=marks)


def _cells(judged: Judged, column: Column, source: Source, file: str) -> Iterator[Problem]:
    texts = judged.texts
    if not len(texts):
        return
    counts = np.bincount(judged.codes, minlength=len(texts))
    if column.type in ("departement", "academie", "zone"):
        yield from _written(judged, column, file)
    if column.type == "commune":
        yield from _communes(judged, column, file)
    if column.type == "number" and source.decimal == ",":
        commas = [text for text in texts if "," in str(text)]
        if commas:
            yield finding("decimal_comma", file, None, column.name, example=repr(str(commas[0])))
    if column.type == "integer":
        decimals = [text for text in texts if _WHOLE_AS_DECIMAL.fullmatch(str(text))]
        if decimals:
            yield finding("whole_as_decimal", file, None, column.name, example=repr(str(decimals[0])))
    if column.type == "school_year":
        lengths = {len(str(text)): str(text) for text in texts if str(text)}
        if len(lengths) > 1:
            yield finding("period_forms", file, None, column.name, examples=_examples(sorted(lengths.values())))
    padded = [place for place, text in enumerate(texts) if str(text).strip() and str(text) != str(text).strip()]
    if padded:
        count = int(counts[padded].sum())
        yield finding("padded_cells", file, None, column.name, count=count, example=repr(str(texts[padded[0]]))[:60])
    if "siren" in column.name and "uai" not in column.name and column.name not in source.key:
        again = [texts[place] for place in np.flatnonzero(counts > 1) if not _absent(str(texts[place]), column)]
        if again:
            yield finding("repeated_identifier", file, None, column.name, count=len(again), examples=_examples(again))


def _absent(text: str, column: Column) -> bool:
    return text in column.missing or (not text.strip() and "" in column.missing)


def _written(judged: Judged, column: Column, file: str) -> Iterator[Problem]:
    """Codes not written as INSEE writes them, or in several ways."""
    pairs = [(str(text), value) for text, value in zip(judged.texts, judged.known, strict=True) if value is not None]
    forms: dict[str, set[str]] = {}
    for text, value in pairs:
        forms.setdefault(value, set()).add(text)
    several = sorted({text for texts in forms.values() if len(texts) > 1 for text in texts})
    if several:
        count = sum(len(texts) > 1 for texts in forms.values())
        yield finding("mixed_codes", file, None, column.name, count=count, examples=_examples(several))
    other = sorted({text for text, value in pairs if text != value and len(text) <= 3})
    if other and column.type == "departement":
        yield finding("code_forms", file, None, column.name, count=len(other), examples=_examples(other))


def _communes(judged: Judged, column: Column, file: str) -> Iterator[Problem]:
    """Codes of communes that are no longer, and of arrondissements of Paris, Lyon and Marseille."""
    changes = [change for code in judged.known if code is not None and (change := commune_change(code))]
    arrondissements = sorted({change.code for change in changes if change.kind == "arrondissement"})
    former = sorted({change.code for change in changes if change.kind not in ("arrondissement", "recreated")})
    for key, codes in (("arrondissements", arrondissements), ("former_communes", former)):
        if codes:
            yield finding(key, file, None, column.name, count=len(codes), examples=_examples(codes))


def _places(judged: dict[str, Judged], columns: dict[str, Column], file: str) -> Iterator[Problem]:
    known = set(list_departements())
    for name, column in judged.items():
        if columns[name].type not in ("departement", "zone", "iris"):
            continue
        cut = {place: _departement(value) for place, value in enumerate(column.known) if value is not None}
        absent = sorted(known - set(cut.values()))
        if absent and len(known) - len(absent) >= _NEARLY_ALL:
            yield finding("absent_departements", file, None, name, count=len(absent), names=", ".join(absent))
        if columns[name].type == "departement":
            outside = [place for place, code in cut.items() if code not in known]
            if outside:
                count = int(np.isin(column.codes, outside).sum())
                names = ", ".join(sorted({cut[place] for place in outside}))
                yield finding("outside", file, None, name, count=count, names=names)


def _departement(value: str) -> str:
    return value if len(value) <= 3 else value[:3] if value[:2] == "97" else value[:2]


def _flags(judged: dict[str, Judged], file: str) -> Iterator[Problem]:
    for first, second in _ONE_OF_TWO:
        if first in judged and second in judged:
            both = int(((judged[first].values == 1) & (judged[second].values == 1)).sum())
            if both:
                yield finding("both_marked", file, None, f"{first}, {second}", count=both, first=first, second=second)


def _targets(table: pd.DataFrame, judged: dict[str, Judged], file: str) -> Iterator[Problem]:
    observed = [judged[name].values for name in _OBSERVED if name in judged]
    if _TARGET not in judged or not observed:
        return
    alone = ~np.isnan(judged[_TARGET].values) & np.all([np.isnan(values) for values in observed], axis=0)
    places = np.flatnonzero(alone)
    if len(places):
        yield finding("targets", file, None, _TARGET, count=len(places), first=int(table.index[places[0]]))


def _copies(judged: dict[str, Judged], columns: dict[str, Column], source: Source, file: str) -> Iterator[Problem]:
    """Two columns of figures that are one and the same."""
    figures = [name for name in judged if columns[name].type in ("integer", "number") and name not in source.key]
    marks = {}
    for name in figures:
        column = judged[name]
        if np.unique(column.known[~np.isnan(column.known)]).size > 2:
            hashes = pd.util.hash_array(column.known) if len(column.texts) else np.zeros(0, dtype="uint64")
            places = np.arange(1, len(column.codes) + 1, dtype="uint64") * np.uint64(0x9E3779B97F4A7C15)
            marks[name] = int(np.bitwise_xor.reduce(hashes[column.codes] * (places | np.uint64(1))))
    for first, second in combinations(marks, 2):
        if marks[first] == marks[second]:
            yield finding("same_figures", file, None, second, other=first)
