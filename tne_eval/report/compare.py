"""Two editions compared: every number that moved, by how much, and which recorded input may have moved it.

Rows are matched by the shortest run of first columns that identifies them in both editions; by place where none does.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tne_eval.errors import ReportError
from tne_eval.french import HARD, NARROW, UNKNOWN, listing, number, phrase
from tne_eval.report.editions import InputChange, list_causes, list_changes, read_record, table_files
from tne_eval.report.manifest import Manifest, sha256

if TYPE_CHECKING:
    from tne_eval.report.blocks import Block

_Row = tuple[str, ...]
PRINTED_DECIMALS = 3  # the most that a report prints
CHANGE_LOG = "changements"  # the table of the change log itself, which is not compared
_SAME = 1e-9  # relative: below it, two floats differ by the order of their sums
_PERIODS = {"periode", "period", "session", "annee", "year", "rentree"}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_HASH = re.compile(r"[0-9a-f]{64}")  # on the page its start is enough
_SHOWN = 40  # rows of the change log on the page
_COLUMNS = ("table", "row", "column", "before", "after", "difference", "cause")
_SPACES = {NARROW, HARD}


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """A cell that is not the same in two editions.

    `row` is the key of its row, or its place counted from 1; `before` and `after` are the texts of the CSV.
    `kind` is "number", "noise" (a number, moved by less than a report prints) or "text". `difference` is after less
    before and `relative` that over the absolute value of before; NaN where one of them is not a number, or before
    is 0. `causes`, of CAUSES, are those that may have moved it: one alone is the cause.
    """

    table: str
    row: str
    column: str
    before: str
    after: str
    difference: float
    relative: float
    kind: str
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TableChange:
    """A table that is not the same: `status` is changed, appeared or vanished; `key` names the columns that match its
    rows (none: matched by place); rows by their key, columns by their name."""

    table: str
    status: str
    key: tuple[str, ...] = ()
    rows_appeared: tuple[str, ...] = ()
    rows_vanished: tuple[str, ...] = ()
    columns_appeared: tuple[str, ...] = ()
    columns_vanished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two editions of a report: inputs, tables and cells that are not the same, and files changed after they were
    made (`altered`, as edition/tables/name.csv)."""

    id: str
    first: str
    second: str
    inputs: tuple[InputChange, ...]
    tables: tuple[TableChange, ...]
    moves: tuple[Move, ...]
    altered: tuple[str, ...]

    def to_dict(self) -> dict:
        """All of it as JSON values; what is not a number is None."""
        data = asdict(self)
        for move in data["moves"]:
            move.update({name: None for name in ("difference", "relative") if math.isnan(move[name])})
        return data

    def to_frame(self):
        """One row a move: table, row, column, before, after (numbers where they are), difference, relative, kind,
        causes."""
        import pandas as pd

        columns = ("table", "row", "column", "before", "after", "difference", "relative", "kind", "causes")
        rows = [
            (m.table, m.row, m.column, *_values(m), m.difference, m.relative, m.kind, " ".join(m.causes))
            for m in self.moves
        ]
        return pd.DataFrame(rows, columns=list(columns)).astype({"before": object, "after": object})


def compare_editions(first: str | Path, second: str | Path) -> Comparison:
    """Every number that moved from one edition of a report to another.

    Parameters
    ----------
    first, second : folders `<report>/<edition>`; what is "before" is in the first.

    Raises
    ------
    ReportError : a manifest or a table that cannot be read, or editions of two reports.
    """
    first, second = Path(first), Path(second)
    return compare_records(read_record(first), first, read_record(second), second)


def compare_records(before: Manifest, first: Path, after: Manifest, second: Path) -> Comparison:
    """The same, of folders whose manifests are given: `after` may be the plan of a report that is being made."""
    if before.id != after.id:
        raise ReportError(
            "editions of two reports", where=f"{first}, {second}", why=f"{before.id} and {after.id}",
            remedy="name two editions of one report",
        )  # fmt: skip
    inputs = tuple(change for change in list_changes(before.inputs, after.inputs) if change.cause != "previous")
    altered = (*_altered(before, first), *_altered(after, second))
    designs = {*before.inputs["designs"], *after.inputs["designs"]}
    old, new = _tables(first), _tables(second)
    tables: list[TableChange] = []
    moves: list[Move] = []
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            tables.append(TableChange(name, "appeared" if name in new else "vanished"))
        elif old[name].read_bytes() != new[name].read_bytes():
            damaged = any(place.endswith(f"/tables/{name}.csv") for place in altered)
            change, cells = _compare_tables(name, _read_table(old[name]), _read_table(new[name]))
            tables.append(change)
            for row, column, one, two in cells:
                causes = list_causes(_possible(inputs, designs, name, row))
                causes = (*(("altered",) if damaged else ()), *causes) or ("unexplained",)
                texts = (name, _row_name(row), _plain(column), _plain(one), _plain(two))
                moves.append(Move(*texts, *_difference(one, two), causes))
    return Comparison(before.id, before.edition, after.edition, inputs, tuple(tables), tuple(moves), altered)


# --- tables --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _tables(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in table_files(folder) if path.stem != CHANGE_LOG}


def _altered(record: Manifest, folder: Path) -> tuple[str, ...]:
    """Tables of a folder that are not as its record says; a plan records none yet."""
    if not record.outputs:
        return ()
    there = {f"tables/{path.name}": sha256(path) for path in table_files(folder)}
    recorded = {name: digest for name, digest in record.outputs.items() if name.startswith("tables/")}
    names = sorted(name for name in {*there, *recorded} if there.get(name) != recorded.get(name))
    return tuple(f"{record.edition}/{name}" for name in names)


def _read_table(path: Path) -> _Table:
    remedy = "make the edition again, or take the file from a copy"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [tuple(row) for row in csv.reader(file, strict=True)]
    except (OSError, ValueError, csv.Error) as error:
        raise ReportError("a table that cannot be read", where=str(path), why=str(error)[:200], remedy=remedy) from None
    if not rows or len(set(rows[0])) != len(rows[0]):
        why = "two columns have one name" if rows else "it is empty"
        raise ReportError("a table that cannot be read", where=str(path), why=why, remedy=remedy)
    wrong = [str(place) for place, row in enumerate(rows, 1) if len(row) != len(rows[0])]
    if wrong:
        why = f"not {len(rows[0])} cells in row {', '.join(wrong[:10])}"
        raise ReportError("a table that cannot be read", where=str(path), why=why, remedy=remedy)
    return _Table(rows[0], tuple(rows[1:]))


def _compare_tables(name: str, old: _Table, new: _Table) -> tuple[TableChange, list[tuple[_Row, str, str, str]]]:
    """The change of a table, and its cells (row, column, before, after) whose texts are not the same."""
    key = find_key(old, new)
    before, after = _by_key(old, key), _by_key(new, key)
    shared = [column for column in old.columns if column in new.columns and column not in key]
    cells = []
    for row in before:
        if row not in after:
            continue
        one, two = (dict(zip(t.columns, rows[row], strict=True)) for t, rows in ((old, before), (new, after)))
        cells += [(row, column, one[column], two[column]) for column in shared if one[column] != two[column]]
    change = TableChange(
        name,
        "changed",
        key,
        tuple(_row_name(row) for row in after if row not in before),
        tuple(_row_name(row) for row in before if row not in after),
        tuple(_plain(column) for column in new.columns if column not in old.columns),
        tuple(_plain(column) for column in old.columns if column not in new.columns),
    )
    return change, cells


def find_key(old: _Table, new: _Table) -> tuple[str, ...]:
    """Columns that identify the rows of both tables; none when nothing does.

    The shortest run of first shared columns without a number (the first may hold whole numbers, and a period always
    does), with the columns of periods added: the same row of another period is another row.
    """
    shared = [column for column in old.columns if column in new.columns]
    periods = [column for column in shared if column in _PERIODS]
    run: list[str] = []
    for column in shared:
        cells = {*_cells(old, column), *_cells(new, column)}
        whole = not run or column in _PERIODS
        if any(_number(cell) is not None and not (whole and _WHOLE.fullmatch(cell)) for cell in cells):
            break
        run.append(column)
        key = tuple(column for column in shared if column in run or column in periods)
        if all(len(_by_key(table, key)) == len(table.rows) for table in (old, new)):
            return key
    return ()


def _cells(table: _Table, column: str) -> tuple[str, ...]:
    place = table.columns.index(column)
    return tuple(row[place] for row in table.rows)


def _by_key(table: _Table, key: Collection[str]) -> dict[tuple[str, ...], tuple[str, ...]]:
    places = [table.columns.index(column) for column in key]
    if not places:
        return {(str(place),): row for place, row in enumerate(table.rows, 1)}
    return {tuple(row[place] for place in places): row for row in table.rows}


def _row_name(row: tuple[str, ...]) -> str:
    return ", ".join(map(_plain, row))


def _plain(cell: str) -> str:
    """The text of a cell: the apostrophe that keeps a spreadsheet from reading a formula is taken away."""
    return cell[1:] if cell.startswith("'") else cell


def _number(cell: str) -> float | None:
    value = float(cell) if _NUMBER.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else None


def _difference(before: str, after: str) -> tuple[float, float, str]:
    """(difference, relative difference, kind) of two cells."""
    old, new = _number(before), _number(after)
    if old is None or new is None:
        return math.nan, math.nan, "text" if old is new else "number"
    difference = new - old
    relative = difference / abs(old) if old else math.nan
    # Past what a float holds, a ratio says nothing.
    difference, relative = (value if math.isfinite(value) else math.nan for value in (difference, relative))
    same = abs(difference) <= _SAME * max(abs(old), abs(new)) or round(old, PRINTED_DECIMALS) == round(
        new, PRINTED_DECIMALS
    )
    return difference, relative, "noise" if same else "number"


def _possible(changes: Iterable[InputChange], designs: Collection[str], table: str, row: _Row) -> list[InputChange]:
    """Changes that may have moved a row: one that names designs is moved by no other design."""
    named = {design for design in designs if design in row or table.endswith(f"_{design}")}
    return [change for change in changes if change.cause != "design" or not named or change.name in named]


def _values(move: Move) -> tuple[float | int | str, float | int | str]:
    return _value(move.before, move.kind), _value(move.after, move.kind)


def _value(cell: str, kind: str) -> float | int | str:
    """A cell as a value: a number where it is one."""
    found = None if kind == "text" else _number(cell)
    return cell if found is None else int(cell) if _WHOLE.fullmatch(cell) else found


# --- in French -----------------------------------------------------------------------------------------------


def describe(comparison: Comparison) -> list[str]:
    """The comparison in French sentences: plain text, without the controls that a file's name may hold."""
    names = {"first": comparison.first, "second": comparison.second}
    moved = [move for move in comparison.moves if move.kind == "number"]
    noise = sum(move.kind == "noise" for move in comparison.moves)
    tables = len({move.table for move in moved})
    counts = {"moved": _count(len(moved), "moved_number"), "tables": _count(tables, "table")}
    lines = [phrase("compare.moved" if moved else "compare.same", **names, **counts)]
    if noise:
        lines.append(phrase("compare.noise", noise=_count(noise, "number")))
    lines.append(
        phrase("compare.inputs", inputs=_inputs(comparison)) if comparison.inputs else phrase("compare.no_input")
    )
    for status in ("appeared", "vanished"):
        if found := [one.table for one in comparison.tables if one.status == status]:
            lines.append(phrase(f"compare.{status}", names=listing(found)))
    for one in comparison.tables:
        if one.rows_appeared or one.rows_vanished:
            appeared, vanished = _count(len(one.rows_appeared), "row"), _count(len(one.rows_vanished), "row")
            lines.append(phrase("compare.rows", table=one.table, appeared=appeared, vanished=vanished))
        for what, columns in (("columns_appeared", one.columns_appeared), ("columns_vanished", one.columns_vanished)):
            if columns:
                lines.append(phrase(f"compare.{what}", table=one.table, columns=listing(columns)))
        if one.status == "changed" and not one.key:
            lines.append(phrase("compare.place", table=one.table))
    if comparison.altered:
        lines.append(phrase("compare.altered", names=listing(comparison.altered)))
    return [printable(line) for line in lines]


def shown_moves(comparison: Comparison) -> list[tuple[str, ...]]:
    """Moves as a reader sees them, the largest relative ones first, noise left out: texts, in the order of the French
    columns (table, row, column, before, after, difference, possible causes)."""

    def rank(move: Move) -> tuple[bool, float]:
        return move.kind != "number", -abs(move.relative) if math.isfinite(move.relative) else 0.0

    keys = {one.table: one.key for one in comparison.tables}
    seen = sorted((move for move in comparison.moves if move.kind != "noise"), key=rank)
    return [_shown(move, placed=not keys[move.table]) for move in seen]


def change_log(record: Manifest, folder: Path, previous: Path | None) -> list[Block]:
    """Blocks of a report on what changed since the edition before.

    Parameters
    ----------
    record : manifest of the report, or its plan while it is being made.
    folder : where its tables are.
    previous : folder of the edition before; None when there is none. One that cannot be read is said, and stops
        nothing: a report does not fail for what an older one has become.
    """
    from tne_eval.report.blocks import Bullets, Paragraph, Title, escape_inline

    title = Title(phrase("compare.title"), anchor=CHANGE_LOG)
    if previous is None:
        return [title, Paragraph(phrase("compare.first"))]
    try:
        comparison = compare_records(read_record(previous), previous, record, folder)
    except ReportError:
        return [title, Paragraph(phrase("compare.unreadable", edition=escape_inline(previous.name)))]
    blocks: list[Block] = [title, Bullets(tuple(escape_inline(line) for line in describe(comparison)))]
    rows = shown_moves(comparison)
    return [*blocks, _moves_table(comparison, rows)] if rows else blocks


def _moves_table(comparison: Comparison, rows: list[tuple[str, ...]]) -> Block:
    """The first moves for the page; all of them, with noise, for the file."""
    import pandas as pd

    from tne_eval.report.blocks import Table

    return Table(
        CHANGE_LOG,
        phrase("compare.caption", first=comparison.first),
        pd.DataFrame(rows[:_SHOWN], columns=[phrase(f"compare.column_{name}") for name in _COLUMNS]),
        note=phrase("compare.note", shown=str(_SHOWN), all=str(len(rows))) if len(rows) > _SHOWN else "",
        data=comparison.to_frame(),
    )


def _shown(move: Move, *, placed: bool) -> tuple[str, ...]:
    row = phrase("compare.row", row=move.row) if placed else move.row
    difference = number(move.difference, PRINTED_DECIMALS, sign=True) if math.isfinite(move.difference) else ""
    cells = [_printed(cell, move.kind) for cell in (move.before, move.after)]
    causes = listing(phrase(f"compare.cause_{cause}") for cause in move.causes)
    return tuple(printable(text) for text in (move.table, row, move.column, *cells, difference, causes))


def _printed(cell: str, kind: str) -> str:
    value = _value(cell, kind)
    if isinstance(value, float):
        return number(value, PRINTED_DECIMALS)
    return cell[:12] if _HASH.fullmatch(cell) else str(value) or UNKNOWN


def _inputs(comparison: Comparison) -> str:
    parts = []
    for cause in list_causes(comparison.inputs):
        names = dict.fromkeys(change.name for change in comparison.inputs if change.cause == cause)
        parts.append(f"{phrase(f'compare.cause_{cause}')} ({', '.join(names)})")
    return " ; ".join(parts)


def printable(text: str) -> str:
    """Text without controls, which a terminal would obey; French spaces are not controls."""
    return "".join(char if char.isprintable() or char in _SPACES else "\ufffd" for char in text)


def _count(count: int, what: str) -> str:
    return phrase(f"compare.count_{what}_{'one' if count < 2 else 'many'}", count=number(count))
