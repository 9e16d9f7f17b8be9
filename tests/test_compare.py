"""Two editions compared: every number that moved, by how much, and why."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pandas as pd
import pytest
from test_editions import INPUTS, rewrite, write_edition

from tne_eval.errors import ReportError
from tne_eval.report import manifest
from tne_eval.report.blocks import Bullets, Grid, Paragraph, Table, Title
from tne_eval.report.compare import CHANGE_LOG, change_log, compare_editions, describe, shown_moves
from tne_eval.report.editions import read_record
from tne_eval.report.html import check_page, render_report
from tne_eval.report.run import csv_text

NEW_DATA = {"tables": {**INPUTS["tables"], "dnb": {"sha256": "f" * 64}}}
NEW_DESIGN = {"designs": {**INPUTS["designs"], "naive": "f" * 64}}
EFFECTS = "design,treated,estimate,p_value,verdict\nnaive,18,{},{},no effect\nwithin,18,{},{},no effect\n"


def pair(tmp_path, before, after, **changes):
    one = write_edition(tmp_path / "2025-S1", before)
    return one, write_edition(tmp_path / "2025-S2", after, **changes)


def compared(tmp_path, before, after, **changes):
    return compare_editions(*pair(tmp_path, {"t": before}, {"t": after}, **changes))


def cells(comparison):
    return [(move.row, move.column, move.before, move.after) for move in comparison.moves]


def tree(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


# --- numbers -------------------------------------------------------------------------------------------------


def test_a_number_that_moved(tmp_path):
    folders = pair(
        tmp_path,
        {"effets": EFFECTS.format(1.25, 0.5, -2.0, 0.125)},
        {"effets": EFFECTS.format(1.25, 0.5, -3.0, 0.125)},
        **NEW_DATA,
    )
    before = tree(tmp_path)
    comparison = compare_editions(*folders)
    (move,) = comparison.moves
    assert (move.table, move.row, move.column) == ("effets", "within", "estimate")
    assert (move.before, move.after, move.kind, move.causes) == ("-2.0", "-3.0", "number", ("data",))
    assert (move.difference, move.relative) == (-1.0, -0.5)
    assert (comparison.id, comparison.first, comparison.second) == ("cher", "2025-S1", "2025-S2")
    assert [(one.table, one.status, one.key) for one in comparison.tables] == [("effets", "changed", ("design",))]
    assert tree(tmp_path) == before


def test_the_same_edition_twice(tmp_path):
    folder = write_edition(tmp_path / "2025-S1", {"t": "a,b\nx,1\n"})
    comparison = compare_editions(folder, folder)
    assert comparison.moves == comparison.tables == comparison.inputs == comparison.altered == ()
    assert "aucun nombre n’a bougé" in describe(comparison)[0]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("0.1", "0.10000000000000002", "noise"),
        ("1234567.0", "1234567.0000001", "noise"),
        ("86.81114", "86.81119", "noise"),
        ("-0.0001", "0.0001", "noise"),
        ("0.0", "1e-17", "noise"),
        ("1", "1.0", "noise"),
        ("86.811", "86.812", "number"),
        ("0.0004", "0.0006", "number"),
        ("3", "4", "number"),
        ("1.5", "", "number"),
        ("", "1.5", "number"),
        ("1.5", "impossible", "number"),
        ("a", "b", "text"),
        ("true", "false", "text"),
        ("01", "02", "text"),
        ("1e999", "2e999", "text"),
        ("nan", "inf", "text"),
        ("1_0", "１０", "text"),
    ],
)
def test_noise_is_told_from_moves(tmp_path, old, new, kind):
    comparison = compared(tmp_path, f"k,v\nx,{old}\n", f"k,v\nx,{new}\n", **NEW_DATA)
    (move,) = comparison.moves
    assert (move.kind, move.before, move.after) == (kind, old, new)
    assert math.isnan(move.difference) == (kind == "text" or "" in (old, new) or new == "impossible")


def test_every_move_is_found_whatever_the_size(tmp_path):
    """A thousand cells, some moved: against numpy on the same arrays."""
    draw = np.random.default_rng(3)
    old = draw.normal(50, 20, (250, 4))
    new = old + draw.choice([0.0, 1e-12, 0.7], old.shape, p=[0.7, 0.1, 0.2])
    names = [f"r{place}" for place in range(250)]

    def text(values, order):
        frame = pd.DataFrame(values, columns=list("abcd")).assign(k=names)[["k", *"abcd"]]
        return csv_text(Grid(tuple(frame.columns), tuple(frame.iloc[order].itertuples(index=False, name=None))))

    comparison = compared(tmp_path, text(old, np.arange(250)), text(new, draw.permutation(250)), **NEW_DATA)
    moved = {(move.row, move.column): move for move in comparison.moves if move.kind == "number"}
    where = {(f"r{row}", "abcd"[column]): (row, column) for row, column in np.argwhere(np.abs(new - old) > 0.5)}
    assert set(moved) == set(where)
    for cell, place in where.items():
        assert moved[cell].difference == new[place] - old[place]
        assert moved[cell].relative == (new[place] - old[place]) / abs(old[place])
    noise = sum(move.kind == "noise" for move in comparison.moves)
    assert noise == ((new != old) & (np.abs(new - old) < 0.5)).sum() > 0


def test_extreme_numbers(tmp_path):
    comparison = compared(tmp_path, "k,v,w\nx,-1.7e308,1e-308\n", "k,v,w\nx,1.7e308,1e308\n", **NEW_DATA)
    assert [math.isfinite(move.relative) for move in comparison.moves] == [False, False]
    assert not comparison.to_frame()[["difference", "relative"]].isin([math.inf, -math.inf]).any(axis=None)


# --- rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "rows", "key"),
    [
        ("indicateur,periode,unite,territoire", ["dnb,2024,percent,86.5", "ips,2023,points,1.5"], "indicateur periode"),
        ("territoire,periode,valeur", ["Cher,2016,1.5", "Cher,2017,1.5"], "territoire periode"),
        ("period,gap,estimate", ["2016,1.5,2.5", "2017,1.5,2.5"], "period"),
        ("id,pre,post,estimate", ["main,2016 2017,2018,1.5", "b,2016,2018,1.5"], "id"),
        ("need,year,status,territories", ["a,2016,x,12", "a,2017,x,12"], "need year"),
        ("unit,name,rank", ["18,Cher,1", "2A,Corse-du-Sud,2"], "unit"),
        ("design,window,adjusted,estimate", ["a,w,false,1.5", "a,w,true,1.5"], "design window adjusted"),
        ("de,a,tirages", ["-7.5,-7.25,2", "-7.25,-7.0,2"], ""),
        ("group,count", ["a,3", "a,4"], ""),
        ("group,count", ["a,3", "a,3"], ""),
    ],
)
def test_the_key_of_the_tables_that_reports_hold(tmp_path, header, rows, key):
    before = "\n".join([header, *rows]) + "\n"
    after = f"{before}zz,{rows[0].partition(',')[2]}\n"
    comparison = compared(tmp_path, before, after, **NEW_DATA)
    (table,) = comparison.tables
    assert table.key == tuple(key.split())
    assert comparison.moves == () and len(table.rows_appeared) == 1 and table.rows_vanished == ()
    assert any("par leur place" in line for line in describe(comparison)) == (not key)


def test_rows_are_matched_whatever_their_order(tmp_path):
    before = "k,v\na,1\nb,2\nc,3\n"
    comparison = compared(tmp_path, before, "k,v\nc,3\na,1.5\nd,9\n", **NEW_DATA)
    assert cells(comparison) == [("a", "v", "1", "1.5")]
    assert comparison.tables[0].rows_appeared == ("d",) and comparison.tables[0].rows_vanished == ("b",)


def test_a_new_period_is_a_new_row(tmp_path):
    head = "indicateur,periode,valeur\n"
    comparison = compared(tmp_path, head + "dnb,2024,86.5\n", head + "dnb,2025,87.5\n", **NEW_DATA)
    assert comparison.moves == ()
    assert comparison.tables[0].rows_appeared == ("dnb, 2025",)
    assert comparison.tables[0].rows_vanished == ("dnb, 2024",)


def test_by_place_where_nothing_identifies_a_row(tmp_path):
    comparison = compared(tmp_path, "a,b\n1.5,1\n2.5,1\n", "a,b\n1.5,1\n2.5,3\n0.5,1\n", **NEW_DATA)
    assert cells(comparison) == [("2", "b", "1", "3")] and comparison.tables[0].key == ()
    assert comparison.tables[0].rows_appeared == ("3",)
    assert shown_moves(comparison)[0][1] == "ligne 2"


def test_columns_and_tables_that_come_and_go(tmp_path):
    folders = pair(
        tmp_path,
        {"t": "k,old,v\na,1.5,2.5\n", "gone": "k\na\n", CHANGE_LOG: "k,v\na,1\n"},
        {"t": "new,k,v\n7.5,a,3.5\n", "come": "k\na\n", CHANGE_LOG: "k,v\na,2\n"},
        **NEW_DATA,
    )
    comparison = compare_editions(*folders)
    status = {one.table: one.status for one in comparison.tables}
    assert status == {"come": "appeared", "gone": "vanished", "t": "changed"}
    table = comparison.tables[-1]
    assert (table.columns_appeared, table.columns_vanished) == (("new",), ("old",))
    assert cells(comparison) == [("a", "v", "2.5", "3.5")]
    text = " ".join(describe(comparison))
    assert all(word in text for word in ("gone", "come", "new", "old"))


# --- causes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        (NEW_DATA, ("data",)),
        (NEW_DESIGN, ("design",)),
        ({"code": "f" * 64}, ("code",)),
        ({"versions": {"numpy": "2.4.0"}}, ("environment",)),
        ({**NEW_DATA, **NEW_DESIGN, "code": "f" * 64}, ("data", "design", "code")),
        ({"previous": {"edition": "2024-S2", "sha256": "f" * 64}}, ("unexplained",)),
        ({}, ("unexplained",)),
    ],
)
def test_the_cause_is_what_changed(tmp_path, changes, causes):
    old, new = EFFECTS.format(1.5, 0.5, 1.5, 0.5), EFFECTS.format(2.5, 0.5, 1.5, 0.5)
    comparison = compare_editions(*pair(tmp_path, {"e": old}, {"e": new}, **changes))
    assert [move.causes for move in comparison.moves] == [causes]


def test_another_design_is_not_a_cause(tmp_path):
    """Both designs moved, only one of them was changed; a table that names none may have moved by it."""
    old, new = EFFECTS.format(1.5, 0.5, 1.5, 0.5), EFFECTS.format(2.5, 0.5, 2.5, 0.5)
    before = {"e": old, "events_within": "period,v\n1,1.5\n", "events_naive": "period,v\n1,1.5\n", "x": "k,v\na,1\n"}
    after = {"e": new, "events_within": "period,v\n1,2.5\n", "events_naive": "period,v\n1,2.5\n", "x": "k,v\na,2\n"}
    comparison = compare_editions(*pair(tmp_path, before, after, **NEW_DESIGN, code="f" * 64))
    causes = {(move.table, move.row): move.causes for move in comparison.moves}
    assert causes == {
        ("e", "naive"): ("design", "code"),
        ("e", "within"): ("code",),
        ("events_naive", "1"): ("design", "code"),
        ("events_within", "1"): ("code",),
        ("x", "a"): ("design", "code"),
    }


def test_a_table_changed_by_hand_is_said(tmp_path):
    first, second = pair(tmp_path, {"t": "k,v\na,1\n"}, {"t": "k,v\na,1\n"})
    (second / "tables/t.csv").write_text("k,v\na,9\n")
    (first / "tables/more.csv").write_text("k\na\n")
    comparison = compare_editions(first, second)
    assert comparison.altered == ("2025-S1/tables/more.csv", "2025-S2/tables/t.csv")
    assert comparison.moves[0].causes == ("altered",)
    assert "2025-S2/tables/t.csv" in describe(comparison)[-1]


# --- what cannot be compared ---------------------------------------------------------------------------------


def test_two_reports_are_not_compared(tmp_path):
    one = write_edition(tmp_path / "cher" / "2025-S1", {})
    other = write_edition(tmp_path / "aisne" / "2025-S1", {}, id="aisne")
    with pytest.raises(ReportError, match="two reports"):
        compare_editions(one, other)


@pytest.mark.parametrize(
    "content",
    [b"", b"a,a\n1,2\n", b"a,b\n1\n", b"a\n1,2\n", b"a\n\xff\n", b'a\n"x\n', b"a\n" + b"x" * 200_000 + b"\n"],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, content):
    first, second = pair(tmp_path, {"t": "a\n1\n"}, {"t": "a\n2\n"})
    (second / "tables/t.csv").write_bytes(content)
    with pytest.raises(ReportError, match="table that cannot be read") as caught:
        compare_editions(first, second)
    assert caught.value.where == str(second / "tables/t.csv") and caught.value.why and caught.value.remedy


def test_malformed_manifest(tmp_path):
    first, second = pair(tmp_path, {}, {})
    rewrite(second, lambda record: record.pop("outputs"))
    with pytest.raises(ReportError) as caught:
        compare_editions(first, second)
    assert str(second / "manifest.json") in caught.value.where and "--edition" in caught.value.remedy


# --- as data, and in French ----------------------------------------------------------------------------------


def test_frame(tmp_path):
    frame = compared(tmp_path, "k,v,w,x\na,1,2.5,u\n", "k,v,w,x\na,2,,z\n", **NEW_DATA).to_frame()
    assert list(frame["before"]) == [1, 2.5, "u"] and list(frame["after"]) == [2, "", "z"]
    assert list(frame["kind"]) == ["number", "number", "text"] and set(frame["causes"]) == {"data"}
    data = compared(tmp_path / "json", "k,v\na,1\n", "k,v\na,\n", **NEW_DATA).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False))["moves"][0]["difference"] is None
    assert compared(tmp_path / "same", "k\na\n", "k\na\n").to_frame().empty


HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "[x](javascript:alert(1))",
    "[x](https://evil.example)",
    "\x1b[2J\x1b]0;x\x07",
    "\u202etxt",
    "**b**",
    "{first}",
    "{0.__class__}",
    "a\nb",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(tmp_path, text):
    grids = [Grid(("k", text, "v"), ((text, other, value),)) for other, value in (("one", 1.5), (text, 2.5))]
    folders = pair(tmp_path, {"t": csv_text(grids[0])}, {"t": csv_text(grids[1])}, **NEW_DATA)
    comparison = compare_editions(*folders)
    assert [move.row for move in comparison.moves] == [text, text]
    assert (comparison.moves[0].column, comparison.moves[0].after) == (text, text)
    lines = [*describe(comparison), *(cell for row in shown_moves(comparison) for cell in row)]
    assert not any(char in line for line in lines for char in "\x1b\x07\u202e\n")
    blocks = change_log(read_record(folders[1]), folders[1], folders[0])
    page = render_report([Title("Cher", level=1), *blocks], production=[], edition="2025-S2")
    check_page(page)
    assert "<script" not in page and "evil.example</a>" not in page and "<strong>b" not in page
    table = next(block for block in blocks if isinstance(block, Table))
    assert not any(line.startswith("=") for line in csv_text(table.data).replace(",", "\n").splitlines())


def test_hostile_names_of_inputs(tmp_path):
    names = {name: {"sha256": "f" * 64} for name in ("<b>x</b>", "{second}", "**y**", "\x1b[2J")}
    folders = pair(tmp_path, {"t": "k,v\na,1\n"}, {"t": "k,v\na,2\n"}, tables=names)
    assert "\x1b" not in "".join(describe(compare_editions(*folders)))
    blocks = change_log(read_record(folders[1]), folders[1], folders[0])
    page = render_report([Title("Cher", level=1), *blocks], production=[], edition="2025-S2")
    check_page(page)
    assert "<b>" not in page and "{second}" in page and "**y**" in page


def test_change_log_of_a_first_edition(tmp_path):
    folder = write_edition(tmp_path / "2025-S1", {})
    title, said = change_log(read_record(folder), folder, None)
    assert isinstance(title, Title) and isinstance(said, Paragraph) and said.text.startswith("Première édition")


def test_change_log_while_the_report_is_being_made(tmp_path):
    """The folder has tables and no manifest yet: the plan takes its place."""
    first, second = pair(tmp_path, {"t": "k,v\na,1.25\n"}, {"t": "k,v\na,2.5\n"}, **NEW_DATA)
    made = read_record(second)
    (second / "manifest.json").unlink()
    plan = manifest.Manifest(made.id, made.edition, made.run_id, made.inputs)
    blocks = change_log(plan, second, first)
    assert [type(block) for block in blocks] == [Title, Bullets, Table]
    assert blocks[1].items[0] == "Entre 2025-S1 et 2025-S2, 1 nombre a bougé, dans 1 tableau."
    assert "données (dnb, ips)" not in blocks[1].items[1] and "données (dnb)" in blocks[1].items[1]
    table = blocks[2]
    assert table.name == CHANGE_LOG
    assert table.frame.rows == (("t", "a", "v", "1,250", "2,500", "+1,250", "données"),)
    assert table.data.rows[0][3:6] == (1.25, 2.5, 1.25)


def test_change_log_when_the_previous_edition_is_damaged(tmp_path):
    first, second = pair(tmp_path, {"t": "k,v\na,1\n"}, {"t": "k,v\na,2\n"})
    (first / "manifest.json").write_text("{")
    blocks = change_log(read_record(second), second, first)
    assert isinstance(blocks[1], Paragraph) and "2025-S1" in blocks[1].text and "ne peut plus être lu" in blocks[1].text


def test_the_page_shows_the_largest_and_the_file_holds_all(tmp_path):
    old = "k,v\n" + "".join(f"r{place},100.0\n" for place in range(90))
    new = "k,v\n" + "".join(f"r{place},{100 + place}.0\n" for place in range(90))
    folders = pair(tmp_path, {"t": old}, {"t": new}, **NEW_DATA)
    table = change_log(read_record(folders[1]), folders[1], folders[0])[-1]
    assert len(table.frame.rows) == 40 and table.frame.rows[0][1] == "r89" and len(table.data.rows) == 89
    assert "40" in table.note and "89" in table.note


def test_noise_alone_is_said_and_not_shown(tmp_path):
    folders = pair(tmp_path, {"t": "k,v\na,0.3\n"}, {"t": "k,v\na,0.30000000000000004\n"}, code="f" * 64)
    blocks = change_log(read_record(folders[1]), folders[1], folders[0])
    assert [type(block) for block in blocks] == [Title, Bullets]
    assert "aucun nombre n’a bougé" in blocks[1].items[0] and "1 nombre" in blocks[1].items[1]
