"""The treatment register: contract, template, treated shares with and without it, dilution."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math

import openpyxl
import pandas as pd
import pytest

from tne_eval.catalog import get_territory, list_territories
from tne_eval.errors import ContractError, DesignError, MissingDataError, ReportError
from tne_eval.sources.register import (
    ANY,
    COMPONENTS,
    effect_on_treated,
    read_register,
    register_source,
    treated_shares,
    write_register_template,
)

HEADER = "uai;component;level;announced;convention;delivery;dose;dose_unit;source"


def _uai(number: int) -> str:
    return f"{number:07d}" + "ABCDEFGHJKLMNPRSTUVWXYZ"[number % 23]


AISNE, HERAULT, PARIS, CORSE = _uai(20_001), _uai(340_001), _uai(750_001), _uai(6_200_001)
ROWS = [
    f"{AISNE};Équipement;Collège;21/09/2020;2020-10-01;01/03/2021;12,5;écrans;convention",
    f"{AISNE};FORMATION;college;;;;;;bon",
    f"{HERAULT};ressources;École;2022-09-27;;15/01/2023;;;liste",
    f"{CORSE};parentalité;;;;;0;séances;liste",
]


def _write(folder, *rows, header=HEADER, name="registre.csv"):
    path = folder / name
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def _places(path):
    with pytest.raises(ContractError) as caught:
        read_register(path)
    assert all(problem.file == path.name for problem in caught.value.problems)
    assert all(problem.found and problem.expected and problem.remedy for problem in caught.value.problems)
    return [(problem.row, problem.column) for problem in caught.value.problems]


def test_a_register_is_read_as_written_or_not(tmp_path):
    path = _write(tmp_path, *ROWS)
    register = read_register(path)
    frame = register.frame
    assert list(frame["uai"]) == [AISNE, AISNE, HERAULT, CORSE]
    assert list(frame["departement"]) == ["02", "02", "34", "2A"]
    assert list(frame["component"]) == ["equipement", "formation", "ressources", "parentalite"]
    assert frame["level"].fillna("").tolist() == ["college", "college", "ecole", ""]
    assert frame.loc[2, ["announced", "convention", "delivery"]].tolist() == [20200921, 20201001, 20210301]
    assert frame["delivery"].isna().tolist() == [False, True, False, True]
    assert frame.loc[2, "dose"] == 12.5 and math.isnan(frame.loc[3, "dose"]) and frame.loc[5, "dose"] == 0
    assert list(frame.index) == [2, 3, 4, 5]
    assert register.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert register.findings == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        register.sha256 = ""


def test_a_workbook_gives_the_same_register(tmp_path):
    csv = read_register(_write(tmp_path, *ROWS)).frame
    book = openpyxl.Workbook()
    for row in [HEADER, *ROWS]:
        book.active.append(row.split(";"))
    for place, day in ((4, pd.Timestamp(2020, 9, 21)), (6, pd.Timestamp(2021, 3, 1))):
        book.active.cell(2, place).value = day.to_pydatetime()
    book.active.cell(2, 7).value = 12.5
    book.save(tmp_path / "registre.xlsx")
    pd.testing.assert_frame_equal(read_register(tmp_path / "registre.xlsx").frame, csv)


def test_french_headers_and_few_columns_are_enough(tmp_path):
    path = _write(tmp_path, f"{AISNE};équipement;bon", header="UAI;Volet;Source")
    frame = read_register(path).frame
    assert frame["component"].tolist() == ["equipement"]
    assert frame[["announced", "convention", "delivery", "dose"]].isna().all(axis=None)


def test_every_problem_at_once(tmp_path):
    path = _write(
        tmp_path,
        f"{AISNE};équipement;collège;;;;;;bon",
        f"{AISNE};EQUIPEMENT;;;;;;;bon",
        "0020001A;tablettes;maison;31/02/2021;2021-02-30;44197;-1;;",
        f"{HERAULT};formation;;2022-01-01;2021-01-01;2020-01-01;x;h;bon",
        f"{HERAULT};ressources;;2022-01-01;;2020-01-01;3;;bon",
        f"{HERAULT};parentalite;;01/09/21;;;;;=1+1",
        f"{HERAULT};equipement;;;;",
    )
    assert set(_places(path)) == {
        (3, "uai, component"),
        (4, "uai"),
        (4, "component"),
        (4, "level"),
        (4, "announced"),
        (4, "convention"),
        (4, "delivery"),
        (4, "dose"),
        (4, "dose_unit"),
        (4, "source"),
        (5, "convention"),
        (5, "delivery"),
        (5, "dose"),
        (6, "delivery"),
        (6, "dose_unit"),
        (7, "announced"),
        (7, "source"),
        (8, None),
    }
    places = _places(path)
    assert len(places) == len(set(places)) and places == sorted(places, key=lambda place: (place[0], place[1] or ""))


@pytest.mark.parametrize("days", list(itertools.product(["", "2021-01-01", "2021-01-02"], repeat=3)))
def test_days_are_in_order_when_known(tmp_path, days):
    path = _write(tmp_path, f"{AISNE};equipement;;{';'.join(days)};;;bon")
    known = [day for day in days if day]
    if known == sorted(known):
        assert len(read_register(path).frame) == 1
    else:
        assert all(column in ("convention", "delivery") for _, column in _places(path))


@pytest.mark.parametrize("missing", ["uai", "component", "source"])
def test_a_missing_column_is_named(tmp_path, missing):
    names = [name for name in ("uai", "component", "source") if name != missing]
    cells = {"uai": AISNE, "component": "formation", "source": "bon"}
    path = _write(tmp_path, ";".join(cells[name] for name in names), header=";".join(names))
    assert (1, missing) in _places(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe1;2", b"<html>", HEADER.encode(), b"PK\x03\x04"])
def test_what_is_no_register_is_refused(tmp_path, content):
    path = tmp_path / "registre.csv"
    path.write_bytes(content)
    assert _places(path)


def test_schools_elsewhere_are_findings_not_errors(tmp_path):
    abroad = _uai(990_001)
    register = read_register(_write(tmp_path, *ROWS, f"{PARIS};formation;;;;;;;bon", f"{abroad};formation;;;;;;;bon"))
    assert [(finding.row, finding.column) for finding in register.findings] == [(6, "uai"), (7, "uai")]
    assert "75" in register.findings[0].found and "not known" in register.findings[1].found
    assert len(register.frame) == 6


@pytest.mark.parametrize("name", ["registre.xlsx", "registre.csv"])
def test_the_template_is_refused_until_its_example_is_removed(tmp_path, name):
    path = write_register_template(tmp_path / name)
    assert _places(path) == [(2, "uai")]
    assert [child.name for child in tmp_path.iterdir()] == [name]
    if name.endswith("xlsx"):
        book = openpyxl.load_workbook(path)
        sheet = book[book.sheetnames[0]]
        for place, cell in enumerate(ROWS[0].split(";"), start=1):
            sheet.cell(2, place).value = cell
        book.save(path)
        help_text = "\n".join(str(row[0].value) for row in book[book.sheetnames[1]].iter_rows())
        assert all(column.name in help_text for column in register_source().columns)
    else:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        assert lines[0] == HEADER
        path.write_text("\n".join([lines[0], ROWS[0], ""]), encoding="utf-8")
    assert read_register(path).frame["uai"].tolist() == [AISNE]


def test_a_template_overwrites_nothing(tmp_path):
    path = _write(tmp_path, *ROWS)
    before = path.read_bytes()
    for wrong in (path, tmp_path / "registre.ods", tmp_path / "absent" / "registre.csv"):
        with pytest.raises(ReportError):
            write_register_template(wrong)
    assert path.read_bytes() == before and [child.name for child in tmp_path.iterdir()] == ["registre.csv"]


def _share(table, territory, level, component):
    chosen = table[(table["territory"] == territory) & (table["level"] == level) & (table["component"] == component)]
    (row,) = chosen.to_dict("records")
    return row


def _bounds(row):
    return row["low"], row["likely"], row["high"]


def test_shares_without_a_register_are_published_or_unknown(panel):
    table = treated_shares(None, panel)
    assert len(table) == 12 * 2 * (len(COMPONENTS) + 1)
    assert ((table["low"] >= 0) & (table["low"] <= table["high"]) & (table["high"] <= 1)).all()
    known = table["likely"].notna()
    assert table["likely"][known].between(table["low"][known], table["high"][known]).all()
    assert (table["flag"] != "").eq(table["source"] != "").all()
    isere = _share(table, "isere", "college", ANY)
    assert _bounds(isere) == pytest.approx((71 / 97, 71 / 97, 71 / 97))
    assert (isere["basis"], isere["scope"], isere["flag"]) == ("published", "publics", "V")
    assert "isere.fr" in isere["source"]
    assert _bounds(_share(table, "isere", "ecole", "equipement")) == pytest.approx((0.4, 0.4, 0.4))
    assert _share(table, "isere", "ecole", ANY)["high"] == 1
    # 203 of 776 schools were announced, which bounds nothing.
    oise = _share(table, "val-d-oise", "ecole", ANY)
    assert (oise["low"], oise["high"], oise["basis"]) == (0, 1, "announced")
    assert oise["likely"] == pytest.approx(203 / 776)
    # 21 collèges of about a hundred; of a given component, at most as many.
    whole, part = (_share(table, "herault", "college", name) for name in (ANY, "formation"))
    assert 21 / 105 < whole["low"] <= whole["likely"] <= whole["high"] < 21 / 95
    assert (part["low"], part["high"], part["basis"]) == (0, whole["high"], "published_any")
    for level, component in itertools.product(("ecole", "college"), (*COMPONENTS, ANY)):
        row = _share(table, "aisne", level, component)
        assert (row["low"], row["high"], row["basis"]) == (0, 1, "bounds") and math.isnan(row["likely"])


def test_shares_of_a_register(tmp_path, panel):
    rows = [f"{_uai(20_100 + place)};equipement;college;;;;;;bon" for place in range(10)]
    rows += [f"{_uai(20_200 + place)};equipement;;;;;;;bon" for place in range(2)]
    rows += [f"{_uai(20_300)};equipement;ecole;;;;;;bon", f"{_uai(20_100)};formation;college;;;;;;bon"]
    register = read_register(_write(tmp_path, *rows))
    table = treated_shares(register, panel)
    counts = panel[(panel["variable"] == "colleges") & (panel["unit"] == "02") & (panel["period"] >= 2020)]["value"]
    equipment = _share(table, "aisne", "college", "equipement")
    assert equipment["basis"] == "register" and register.sha256 in equipment["source"]
    assert equipment["low"] == pytest.approx(10 / counts.max())
    assert equipment["high"] == pytest.approx(12 / counts.min())
    assert math.isnan(equipment["likely"])
    training = _share(table, "aisne", "college", "formation")
    assert training["likely"] == pytest.approx(1 / counts[counts.index[0]])
    # Silence is not zero: on the components without a row, on the territories without one.
    assert _bounds(_share(table, "aisne", "college", "parentalite"))[::2] == (0, 1)
    whole = _share(table, "aisne", "college", ANY)
    assert (whole["low"], whole["high"]) == (pytest.approx(10 / counts.max()), 1)
    assert _share(table, "isere", "college", ANY)["basis"] == "published"
    # Écoles have no total in the panel, unless one is given.
    assert _share(table, "aisne", "ecole", "equipement")["basis"] == "register_no_total"
    totals = pd.DataFrame([("02", "ecole", 400)], columns=["departement", "level", "schools"])
    ecole = _share(treated_shares(register, panel, totals), "aisne", "ecole", "equipement")
    assert (ecole["low"], ecole["high"]) == (1 / 400, 3 / 400)


def test_more_schools_than_there_are_is_refused(tmp_path, panel):
    rows = [f"{_uai(20_100 + place)};equipement;college;;;;;;bon" for place in range(200)]
    with pytest.raises(ContractError, match="200 schools"):
        treated_shares(read_register(_write(tmp_path, *rows)), panel)


def test_a_panel_without_colleges_is_refused(panel):
    with pytest.raises(MissingDataError, match="collèges"):
        treated_shares(None, panel[panel["variable"] != "colleges"])


def test_published_figures_exist_and_name_a_source():
    from tne_eval.sources.register import _data

    names = {territory.id for territory in list_territories()}
    for entry in _data()["published"]:
        assert entry["territory"] in names and entry["component"] in (*COMPONENTS, ANY)
        figures = {figure.id: figure for figure in get_territory(entry["territory"]).figures}
        for key in ("share", "treated", "total"):
            if key in entry:
                assert figures[entry[key]].source and figures[entry[key]].flag


@pytest.mark.opendata
def test_the_list_of_herault_is_a_register(opendata, tmp_path, panel):
    """The académie's list of schools: 21 collèges and 109 écoles, as published."""
    (path,) = opendata.rglob("Etablissements-scolaires-du-TNE-34.xlsx")
    second = pd.read_excel(path, sheet_name="2D", header=2, dtype=str).dropna(subset=["UAI"])
    first = pd.read_excel(path, sheet_name="1D", dtype=str).dropna(subset=["UAI"])
    colleges = second[second["Nom"].str.startswith("COLLEGE")]
    rows = [f"{uai.strip()};equipement;college;;;;;;liste" for uai in colleges["UAI"]]
    rows += [f"{uai.strip()};equipement;ecole;;;;;;liste" for uai in first["UAI"]]
    register = read_register(_write(tmp_path, *rows))
    assert register.findings == () and set(register.frame["departement"]) == {"34"}
    assert register.frame["level"].value_counts().to_dict() == {"ecole": 109, "college": len(colleges)}
    share = _share(treated_shares(register, panel), "herault", "college", "equipement")
    published = _share(treated_shares(None, panel), "herault", "college", ANY)
    assert share["likely"] == pytest.approx(published["likely"] * len(colleges) / 21)


# Effect on all = share × effect on treated: known truths, undone.
@pytest.mark.parametrize("effect", [-4.0, 0.0, 2.5])
@pytest.mark.parametrize("share", [0.05, 0.26, 0.5, 1.0])
def test_dilution_is_undone(effect, share):
    diluted = share * effect
    result = effect_on_treated(diluted, diluted - 0.5, diluted + 0.5, share, share)
    assert (result.estimate_low, result.estimate_high) == pytest.approx((effect, effect))
    assert (result.low, result.high) == pytest.approx((effect - 0.5 / share, effect + 0.5 / share))


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ((1.0, 0.5, 2.0, 0.25, 0.5), (2.0, 4.0, 1.0, 8.0)),
        ((-1.0, -2.0, -0.5, 0.25, 0.5), (-4.0, -2.0, -8.0, -1.0)),
        ((-1.0, -2.0, 0.5, 0.25, 0.5), (-4.0, -2.0, -8.0, 2.0)),
        ((0.0, -1.0, 1.0, 0.1, 1.0), (0.0, 0.0, -10.0, 10.0)),
        ((-1.0, None, None, 0.25, 0.5), (-4.0, -2.0, None, None)),
        ((-1.0, -2.0, 0.5, 1.0, 1.0), (-1.0, -1.0, -2.0, 0.5)),
    ],
)
def test_bounds_of_the_effect_on_treated(figures, expected):
    result = effect_on_treated(*figures)
    assert dataclasses.astuple(result) == pytest.approx(expected)


def test_bounds_hold_every_truth_inside_the_share_bounds():
    low, high, shares = -1.5, 0.75, (0.2, 0.6)
    result = effect_on_treated(-0.4, low, high, *shares)
    quotients = [value / (shares[0] + step * 0.01) for value in (low, -0.4, high) for step in range(41)]
    assert result.low == pytest.approx(min(quotients)) and result.high == pytest.approx(max(quotients))


def test_an_unbounded_share_gives_no_bound():
    assert effect_on_treated(-1.0, -2.0, 0.5, 0.0, 1.0) is None
    assert effect_on_treated(0.0, None, None, 0.0, 0.0) is None


@pytest.mark.parametrize(
    "figures",
    [
        (1.0, 2.0, 3.0, 0.5, 1.0),
        (1.0, 0.0, None, 0.5, 1.0),
        (math.nan, 0.0, 1.0, 0.5, 1.0),
        (1.0, 0.0, math.inf, 0.5, 1.0),
        (1.0, 0.0, 2.0, 0.6, 0.5),
        (1.0, 0.0, 2.0, -0.1, 0.5),
        (1.0, 0.0, 2.0, 0.5, 1.1),
        (1.0, 0.0, 2.0, math.nan, 1.0),
    ],
)
def test_figures_that_make_no_sense_are_refused(figures):
    with pytest.raises(DesignError):
        effect_on_treated(*figures)
