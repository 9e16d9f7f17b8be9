"""The malformed corpus: for any source of the catalogue, one valid file and at least sixty broken ones.

Everything is made from the entry itself. Each broken file says what its contract promises to report: the rows and
columns planted, or only that the file is refused. A defect that an entry cannot carry (no UAI, no bound) is left out,
and others of the same kind, on other columns, take its place.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import io
import itertools
import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import openpyxl
import pandas as pd

from tne_eval.catalog.entries import Column, Source

ENOUGH = 60
MOST = 90
ROWS = 24
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_DEPARTEMENTS = ("01", "02", "2A", "2B", "13", "59", "75", "95", "971", "974")
_ACADEMIES = ("Amiens", "Corse", "Lille", "Versailles", "Guadeloupe", "Paris")
_COMMUNES = ("80001", "80002", "80003", "80004", "80005", "80006", "80007", "80008", "2A004", "97411", "59350")
_NUMERIC = ("integer", "number")


@dataclasses.dataclass(frozen=True)
class Broken:
    """A broken file: its `name`, how to write it in a folder, and the (row, column) that must be reported."""

    name: str
    write: Callable[[Path], Path]
    planted: frozenset[tuple[int | None, str | None]] = frozenset()


@dataclasses.dataclass(frozen=True)
class Table:
    """Headers and rows of texts, in the layout of a source."""

    source: Source
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def cell(self, row: int, column: int, text: str) -> Table:
        """The table with another text in one cell (`row` counts from 0)."""
        line = list(self.rows[row])
        line[column] = text
        return self.with_row(row, tuple(line))

    def with_row(self, row: int, line: tuple[str, ...]) -> Table:
        return dataclasses.replace(self, rows=(*self.rows[:row], line, *self.rows[row + 1 :]))

    def lines(self) -> list[str]:
        return [self.join(line) for line in (self.headers, *self.rows)]

    def join(self, cells: tuple[str, ...]) -> str:
        mark = self.source.separator
        return mark.join('"' + cell.replace('"', '""') + '"' if mark in cell or '"' in cell else cell for cell in cells)

    def text(self) -> str:
        return "\n".join(self.lines()) + "\n"


# --- a valid file ----------------------------------------------------------------------------------------------------


def uai(number: int) -> str:
    return f"{number:07d}{_LETTERS[number % 23]}"


def siren(number: int) -> str:
    """Nine digits with their Luhn key."""
    digits = [int(digit) for digit in f"{number:08d}"]
    doubled = [digit if place % 2 == 0 else 2 * digit - 9 * (digit > 4) for place, digit in enumerate(digits)]
    return f"{number:08d}{-sum(doubled) % 10}"


def _number(column: Column, row: int, decimal: str) -> str:
    low = column.low if column.low is not None else 0.0
    high = column.high if column.high is not None else low + 400.0
    value = low + (high - low) * (0.2 + 0.5 * ((row * 7) % 23) / 23)
    if column.type == "integer":
        whole = min(max(round(value), int(-(-low // 1))), int(high // 1))
        return str(whole)
    return f"{value:.4f}".rstrip("0").rstrip(".").replace(".", decimal)


def _valid_cell(column: Column, row: int, source: Source) -> str:
    if column.name in source.keep:
        return source.keep[column.name][0]
    if column.values and column.type not in _NUMERIC:
        return column.values[row % len(column.values)]
    year = 2012 + row % 12
    department = _DEPARTEMENTS[row % len(_DEPARTEMENTS)]
    simple = {
        "text": f"{column.name} {row + 1:03d}",
        "year": str(year),
        "school_year": f"{year}-{year + 1}",
        "date": str(dt.date(year, 9, 1) + dt.timedelta(days=row)),
        "uai": uai(20_000 + row),
        "siren": siren(20_000_000 + row),
        "departement": department,
        "academie": _ACADEMIES[row % len(_ACADEMIES)],
        "zone": f"D{department}",
        "commune": _COMMUNES[row % len(_COMMUNES)],
        "iris": f"02{100 + row:03d}0101"[:9],
    }
    return simple[column.type] if column.type in simple else _number(column, row, source.decimal)


def valid_table(source: Source) -> Table:
    """Twenty-four rows, or as many as the key allows, that keep every rule of the entry."""
    columns = source.columns
    free = [column for column in columns if column.name in source.key]
    rows, keys = [], set()
    for row in itertools.islice(itertools.count(), 400):
        cells = {column.name: _valid_cell(column, row, source) for column in columns}
        _repair(cells, source)
        key = tuple(cells[column.name] for column in free) or (row,)
        if key not in keys:
            keys.add(key)
            rows.append(tuple(cells[column.name] for column in columns))
        if len(rows) == ROWS:
            break
    return Table(source, tuple(_header(column) for column in columns), tuple(rows))


def _header(column: Column) -> str:
    return column.name if "*" not in column.name else column.name.replace("*", "2025_03")


def _repair(cells: dict[str, str], source: Source) -> None:
    """Make the figures of a row keep the pairs and the sums of the entry."""
    types = {column.name: column for column in source.columns}

    def value(name: str) -> float:
        return float(cells[name].replace(",", "."))

    def write(name: str, number: float) -> None:
        whole = types[name].type == "integer"
        cells[name] = str(round(number)) if whole else f"{number:.6g}".replace(".", source.decimal)

    for rule in source.sums:
        if rule.total:
            parts = [max(types[part].low or 0.0, 0.0) for part in rule.parts]
            base = [part + 3 + place for place, part in enumerate(parts)]
            for part, number in zip(rule.parts, base, strict=True):
                write(part, number)
            write(rule.total, sum(base))
            if rule.apart:
                write(rule.apart, 0)
        else:
            share = rule.value / len(rule.parts)
            for part in rule.parts:
                write(part, share)
            write(rule.parts[0], rule.value - sum(value(part) for part in rule.parts[1:]))
    for _ in range(len(source.at_most) + 1):
        for small, large in source.at_most:
            if cells[small] and cells[large] and types[small].type in _NUMERIC and value(small) > value(large):
                _lift(small, large, cells, source, write, value)


def _lift(small, large, cells, source, write, value) -> None:
    """Raise the larger of a pair, unless a sum fixes it: then lower the smaller."""
    totals = {rule.total for rule in source.sums} | {part for rule in source.sums for part in rule.parts}
    high = next(column.high for column in source.columns if column.name == large)
    if large not in totals and (high is None or value(small) <= high):
        write(large, value(small))
    elif small not in totals:
        write(small, value(large))
    else:
        write(large, value(small))


# --- ways to write a table -------------------------------------------------------------------------------------------


def _bytes(content: bytes, name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write


def write_csv(table: Table, name: str) -> Callable[[Path], Path]:
    return _bytes(table.text().encode(), name)


def write_xlsx(table: Table, name: str, change: Callable | None = None) -> Callable[[Path], Path]:
    """The table as texts in a workbook, its header on the row of the entry; `change` then gets (book, sheet)."""

    def write(folder: Path) -> Path:
        book = openpyxl.Workbook()
        sheet = book.active
        for _ in range(table.source.header_row - 1):
            sheet.append(["Titre"])
        for line in (table.headers, *table.rows):
            sheet.append(list(line))
        if change:
            change(book, sheet)
        path = folder / name
        book.save(path)
        return path

    return write


def write_parquet(table: Table, name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        frame = pd.DataFrame(list(table.rows), columns=list(table.headers), dtype=object)
        duckdb.from_df(frame).write_parquet(str(path))
        return path

    return write


def zipped(members: dict[str, bytes], *, link: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.external_attr = ((stat.S_IFLNK if name == link else stat.S_IFREG) | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


# --- what is broken --------------------------------------------------------------------------------------------------


def file_name(source: Source, suffix: str = ".csv") -> str:
    """A name that the source's patterns know, where one has this suffix."""
    pattern = next((name for name in source.files if name.endswith(suffix)), "")
    return pattern.replace("*", "_essai").replace("?", "x") if pattern else f"{source.id}{suffix}"


def broken_files(source: Source) -> Iterator[Broken]:
    """From sixty to ninety broken files of a source, in a fixed order."""
    if not source.columns:
        return _outlines(source)
    table = valid_table(source)
    makers = (_encodings, _shapes, _files, _workbooks, _rules, _cells)
    return itertools.islice(itertools.chain.from_iterable(make(table) for make in makers), MOST)


def _encodings(table: Table) -> Iterator[Broken]:
    name, text = file_name(table.source), table.text()
    accent = "été " + text.replace("\n", " é\n", 1)
    contents = {
        "cp1252": accent.encode("cp1252", errors="replace"),
        "latin-1 throughout": (text + "é").encode("latin-1", errors="replace"),
        "utf-16": text.encode("utf-16"),
        "utf-16 big-endian": b"\xfe\xff" + text.encode("utf-16-be"),
        "utf-16 without mark": text.encode("utf-16-le"),
        "utf-32": text.encode("utf-32"),
        "one line in cp1252": text.encode() + "é".encode("cp1252"),
        "cut inside a character": (text + "é").encode()[:-1],
        "nul": text.encode().replace(b"\n", b"\0\n", 1),
    }
    for label, content in contents.items():
        yield Broken(label, _bytes(content, name))


def _shapes(table: Table) -> Iterator[Broken]:
    name, lines, mark = file_name(table.source), table.lines(), table.source.separator
    last = len(lines)
    other = "," if mark == ";" else ";"
    required = [place for place, column in enumerate(table.source.columns) if column.required]
    first = required[0]

    def shape(label: str, new: list[str], *planted: tuple[int | None, str | None]) -> Broken:
        return Broken(label, _bytes(("\n".join(new) + "\n").encode(), name), frozenset(planted))

    def header(label: str, place: int, text: str) -> Broken:
        names = (*table.headers[:place], text, *table.headers[place + 1 :])
        return shape(label, [table.join(names), *lines[1:]], (1, table.source.columns[place].name))

    yield shape("another separator", [line.replace(mark, other) for line in lines])
    yield shape(
        "one field more on each row", [lines[0], *(line + mark + "9" for line in lines[1:])], (2, None), (last, None)
    )
    yield shape("one field more on one row", [*lines[:3], lines[3] + mark + "9", *lines[4:]], (4, None))
    if len(table.headers) > 1:
        yield shape("one field less", [*lines[:-1], lines[-1].rsplit(mark, 1)[0]], (last, None))
        yield shape("a footnote", [*lines, "Source : DEPP"], (last + 1, None))
        yield shape("two footnotes", [*lines, "Lecture : voir", "Source : DEPP"], (last + 1, None), (last + 2, None))
        yield shape("a title above", ["Tableau", *lines])
    yield shape("a header twice", [lines[0], *lines], (2, None))
    yield shape("no header", lines[1:])
    yield shape("header only", lines[:1])
    yield shape("two tables", [*lines, "", *lines], (last + 1, None))
    yield shape("a blank line", [*lines[:5], "", *lines[5:]], (6, None))
    yield shape("mixed line ends", [lines[0] + "\r", *lines[1:]])
    yield shape("an open quote", [*lines[:2], '"' + lines[2], *lines[3:]])
    if not table.source.keep:  # there, a row of another kind is left out, and its cells with it
        yield shape("a row of blanks", [*lines[:-1], mark * (len(table.headers) - 1) or " ", lines[-1]])
        yield shape("a total row", [*lines, mark.join(["Total"] * len(table.headers))], (last + 1, None))
    yield shape("a duplicate column", [line + mark + line.split(mark)[0] for line in lines])
    yield shape("too many columns", [mark.join(f"c{n}" for n in range(100_000))])
    yield shape("a line of a megabyte", [*lines[:-1], lines[-1] + "x" * 1_100_000])
    yield header("a column renamed", first, table.headers[first] + "_2")
    yield header("a column in another case", first, table.headers[first].swapcase() + "É")
    for place in required[1:6]:
        yield header(f"no column {table.source.columns[place].name}", place, f"colonne_{place}")


def _files(table: Table) -> Iterator[Broken]:
    source, content, name = table.source, table.text().encode(), file_name(table.source)
    stem = name.removesuffix(".csv")
    packed = gzip.compress(content)
    bomb = zipped({name: b"0" * 60_000_000}) if _bomb_once(source) else None

    def folder(place: Path) -> Path:
        (place / name).mkdir()
        return place / name

    def dangling(place: Path) -> Path:
        (place / name).symlink_to(place / "nulle part")
        return place / name

    def slip(member: str) -> Callable[[Path], Path]:
        return _bytes(zipped({member: content}), f"{stem}.zip")

    yield Broken("a folder", folder)
    yield Broken("a dangling link", dangling)
    yield Broken("nothing there", lambda place: place / name)
    yield Broken("another kind of file", _bytes(content, f"{stem}.ods"))
    yield Broken("empty", _bytes(b"", name))
    yield Broken("blank", _bytes(b"\n \n\n", name))
    yield Broken("web page", _bytes(b"<!DOCTYPE html><html><body>503</body></html>", name))
    yield Broken("JSON error", _bytes(b'{"error_code": "ODSQLError", "message": "x"}', name))
    yield Broken("gzip under the name of a CSV", _bytes(packed, name))
    yield Broken("workbook under the name of a CSV", _bytes(zipped({"xl/workbook.xml": b"<x/>"}), name))
    yield Broken("gzip cut short", _bytes(packed[:-12], f"{stem}.csv.gz"))
    yield Broken("gzip damaged", _bytes(packed[:-6] + b"\0\0\0\0" + packed[-2:], f"{stem}.csv.gz"))
    yield Broken("no gzip", _bytes(content, f"{stem}.csv.gz"))
    yield Broken("zip cut short", _bytes(zipped({name: content})[:-30], f"{stem}.zip"))
    yield Broken("zip of two", _bytes(zipped({name: content, "autre.csv": content}), f"{stem}.zip"))
    yield Broken("zip of none", _bytes(zipped({}), f"{stem}.zip"))
    yield Broken("zip in zip", _bytes(zipped({"dedans.zip": zipped({name: content})}), f"{stem}.zip"))
    yield Broken("zip that climbs", slip("../" + name))
    yield Broken("zip from the root", slip("/etc/" + name))
    yield Broken("zip from another disk", slip("C:\\" + name))
    yield Broken("zip of a link", _bytes(zipped({name: b"/etc/passwd"}, link=name), f"{stem}.zip"))
    yield Broken("parquet in name", _bytes(b"PAR1 rien", f"{stem}.parquet"))
    yield Broken("workbook in name", _bytes(b"PK\x03\x04 rien", f"{stem}.xlsx"))
    if bomb:
        yield Broken("zip bomb", _bytes(bomb, f"{stem}.zip"))
        yield Broken("gzip bomb", _bytes(gzip.compress(b"0" * 60_000_000, 1), f"{stem}.csv.gz"))


def _bomb_once(source: Source) -> bool:
    """Bombs are slow to make and know nothing of the source: one source in eight carries them."""
    return sum(source.id.encode()) % 8 == 0


def _workbooks(table: Table) -> Iterator[Broken]:
    name, top = file_name(table.source, ".xlsx"), table.source.header_row
    kept = table.source.keep
    place = next(n for n, column in enumerate(table.source.columns) if column.required and column.name not in kept)
    column = table.source.columns[place].name

    def hide(book, sheet) -> None:
        book.create_sheet("vide")
        sheet.sheet_state = "hidden"

    def merge(book, sheet) -> None:
        sheet.merge_cells(start_row=top + 1, end_row=top + 3, start_column=place + 1, end_column=place + 1)

    def formula(book, sheet) -> None:
        sheet.cell(top + 2, place + 1).value = "=A1"

    def second(book, sheet) -> None:
        sheet.append([])
        for line in (table.headers, *table.rows):
            sheet.append(list(line))

    def twin(book, sheet) -> None:
        book.copy_worksheet(sheet).title = "copie"

    yield Broken("a hidden sheet", write_xlsx(table, name, hide))
    yield Broken("merged cells", write_xlsx(table, name, merge), frozenset({(top + 1, None)}))
    yield Broken("a formula", write_xlsx(table, name, formula), frozenset({(top + 2, column)}))
    yield Broken(
        "two tables in a sheet", write_xlsx(table, name, second), frozenset({(top + len(table.rows) + 1, None)})
    )
    yield Broken("two sheets alike", write_xlsx(table, name, twin))


def _rules(table: Table) -> Iterator[Broken]:
    """Rules that bind several cells: key, pairs, sums, and a period that is a copy of another."""
    source, name = table.source, file_name(table.source)
    places = {column.name: place for place, column in enumerate(source.columns)}
    last = len(table.rows) - 1
    if source.key and len(table.rows) > 1:
        line = list(table.rows[last])
        for key in source.key:
            line[places[key]] = table.rows[0][places[key]]
        again = table.with_row(last, tuple(line))
        yield Broken("a key twice", write_csv(again, name), frozenset({(last + 2, ", ".join(source.key))}))
        doubled = dataclasses.replace(table, rows=(*table.rows, table.rows[0]))
        yield Broken("a row twice", write_csv(doubled, name), frozenset({(last + 3, ", ".join(source.key))}))
    for small, large in source.at_most:
        high = next(column.high for column in source.columns if column.name == small)
        whole = next(column.type for column in source.columns if column.name == large)
        if whole not in _NUMERIC:
            continue
        value = float(table.rows[1][places[large]].replace(",", ".")) + 1
        if high is None or value <= high:
            more = table.cell(1, places[small], f"{value:g}".replace(".", source.decimal))
            yield Broken(f"{small} above {large}", write_csv(more, name), frozenset({(3, small)}))
    for rule in source.sums:
        part = rule.parts[0]
        value = float(table.rows[2][places[part]].replace(",", ".")) + 2 + 2 * rule.tolerance
        high = next(column.high for column in source.columns if column.name == part)
        if high is None or value <= high:
            more = table.cell(2, places[part], f"{value:g}".replace(".", source.decimal))
            yield Broken(f"{part} does not add up", write_csv(more, name), frozenset({(4, " + ".join(rule.parts))}))
    typed = [n for n, column in enumerate(source.columns) if column.required and _bad_cells(column, source)]
    if typed:
        several = table
        for row in (0, 1, last):
            several = several.cell(row, typed[0], _bad_cells(source.columns[typed[0]], source)[0][1])
        column = source.columns[typed[0]].name
        yield Broken(
            "three rows at once", write_csv(several, name), frozenset((row + 2, column) for row in (0, 1, last))
        )
    if len(typed) > 1:
        several = table
        for place in typed:
            several = several.cell(0, place, _bad_cells(source.columns[place], source)[0][1])
        names = frozenset((2, source.columns[place].name) for place in typed)
        yield Broken("every column at once", write_csv(several, name), names)


def _bad_cells(column: Column, source: Source) -> list[tuple[str, str]]:
    """(what it is, cell that the contract refuses) for a column, the most telling first."""
    if column.name in source.keep:
        return []  # other values are rows that do not concern us
    other = "." if source.decimal == "," else ","
    number = [
        ("thin space", "1\u202f234"),
        ("space", "1 234"),
        ("unknown mark", "///"),
        ("small-cell mark", "<5"),
        ("secret mark", "zz"),
        ("infinite", "inf"),
        ("not a number", "nan"),
        ("formula", "=1+1"),
        ("percent sign", "90 %"),
        ("too large", "1e999"),
    ]
    by_type = {
        "integer": [("decimal", f"1{other}5"), ("scientific", "1E5"), ("other digits", "١٢"), *number],
        "number": [("decimal mark", f"90{other}5"), *number],
        "year": [("school year", "2020-2021"), ("serial date", "44197"), ("two digits", "21"), ("words", "an 2021")],
        "school_year": [("gap", "2021-2023"), ("slash", "2021/2022"), ("serial date", "44197"), ("words", "rentrée")],
        "date": [("serial date", "44197"), ("slashes", "01/09/2021"), ("no day", "2021-02-30"), ("words", "hier")],
        "uai": [
            ("check letter", uai(20_000)[:-1] + ("A" if uai(20_000)[-1] != "A" else "B")),
            ("forbidden letter", "0020000I"),
            ("lower case", uai(20_000).lower()),
            ("cut", "20000A"),
            ("total", "Total"),
        ],
        "siren": [("Luhn key", siren(20_000_000)[:-1] + str((int(siren(20_000_000)[-1]) + 1) % 10)), ("cut", "12345")],
        "departement": [("lost zero", "1"), ("postal code", "02100"), ("unknown", "99"), ("scientific", "1E5")],
        "academie": [("unknown", "Atlantide"), ("code", "20")],
        "zone": [("bare code", "02"), ("unknown", "D99"), ("words", "Total")],
        "commune": [
            ("lost zero", "1001"),
            ("postal code", "75011"),
            ("unknown", "99123"),
            ("scientific", "1E5"),
            ("name", "Laon"),
        ],
        "iris": [("lost zero", "20100101"), ("letters", "0201O0101"), ("words", "Total")],
        "text": [("lost character", "caf\ufffd"), ("formula", "=1+1"), ("control", "a\x07b"), ("endless", "x" * 5000)],
    }
    cells = list(by_type.get(column.type, [("words", "?!")]))
    if column.type == "text":
        cells += [("mojibake", "dÃ©cembre"), ("sum", "=SUM(A1:A9)"), ("bell", "\x1b[31m"), ("c1", "\x85x")]
    if column.type in _NUMERIC:
        if column.low is not None:
            cells.insert(0, ("below", f"{column.low - 1:g}".replace(".", source.decimal)))
        if column.high is not None:
            cells.insert(0, ("above", f"{column.high + 1:g}".replace(".", source.decimal)))
    if column.values:
        cells.append(("not of the list", "AUTRE"))
    if "" not in column.missing:
        cells.append(("blank", ""))
    accepted = {*column.missing, *column.values}
    return [(label, cell) for label, cell in cells if cell not in accepted]


def _cells(table: Table) -> Iterator[Broken]:
    """One wrong cell: each column's first kind, then each column's second, and so on."""
    name = file_name(table.source)
    by_column = [_bad_cells(column, table.source) for column in table.source.columns]
    for turn in range(max(map(len, by_column))):
        for place, bad in enumerate(by_column):
            if turn < len(bad):
                label, cell = bad[turn]
                column = table.source.columns[place].name
                row = (place + 3 * turn) % len(table.rows)
                if len(table.headers) == 1 and not cell.strip():
                    continue  # a blank line, not a blank cell
                yield Broken(
                    f"{column}: {label}", write_csv(table.cell(row, place, cell), name), frozenset({(row + 2, column)})
                )


def valid_outlines() -> dict:
    """A square for each of the 101 départements."""
    from tne_eval.sources.geography import list_departements

    def square(place: int) -> list:
        x, y = float(place % 10), float(place // 10)
        return [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1], [x, y]]]

    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"code": code},
                "geometry": {"type": "Polygon", "coordinates": square(place)},
            }
            for place, code in enumerate(list_departements())
        ],
    }


def _outlines(source: Source) -> Iterator[Broken]:
    name, whole = file_name(source, ".geojson"), valid_outlines()
    text = json.dumps(whole)
    contents = {
        "empty": b"",
        "blank": b"\n",
        "cut": text[:-20].encode(),
        "utf-16": text.encode("utf-16"),
        "cp1252": text.encode().replace(b'"01"', b'"\xe9"'),
        "web page": b"<!DOCTYPE html><html></html>",
        "JSON error": b'{"error": 404}',
        "a list": b"[]",
        "a number": b"1",
        "no features": b'{"features": null}',
        "deep": b"[" * 100_000,
        "nul": b"\0" * 50,
    }
    for label, content in contents.items():
        yield Broken(label, _bytes(content, name))
    for place, feature in enumerate(whole["features"][:60]):
        code = feature["properties"]["code"]
        less = {**whole, "features": [*whole["features"][:place], *whole["features"][place + 1 :]]}
        yield Broken(f"no {code}", _bytes(json.dumps(less).encode(), name))
