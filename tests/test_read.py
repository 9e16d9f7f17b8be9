"""One reader, one contract: what later editions may change is accepted, every broken rule is reported at once."""

from __future__ import annotations

import codecs
import dataclasses

import duckdb
import numpy as np
import openpyxl
import pandas as pd
import pytest

from tne_eval.catalog import get_source
from tne_eval.catalog.entries import Column, Source, Sum
from tne_eval.errors import ContractError
from tne_eval.sources.contract import MAX_ROWS_LISTED, check_table
from tne_eval.sources.read import melt_table, read_table


def _uai(number: int) -> str:
    return f"{number:07d}" + "ABCDEFGHJKLMNPRSTUVWXYZ"[number % 23]


UAI = [_uai(20_000 + place) for place in range(4)]

SOURCE = Source(
    id="essai",
    label="Essai",
    producer="Personne",
    licence="Licence Ouverte 2.0 (Etalab)",
    url="https://example.org",
    vintage="2021",
    grain="collège",
    files=("essai*.csv",),
    key=("uai", "rentree"),
    columns=(
        Column("uai", ("UAI",), "uai", missing=()),
        Column("rentree", ("Rentrée scolaire",), "school_year", missing=()),
        Column("dep", ("Code du département",), "departement", missing=()),
        Column("secteur", ("Secteur",), values=("PUBLIC", "PRIVE"), missing=()),
        Column("inscrits", ("Inscrits",), "integer", low=0, missing=("", "ns")),
        Column("presents", ("Présents",), "integer", low=0, missing=("", "ns")),
        Column("taux", ("Taux",), "number", low=0, high=100),
        Column("note", ("Note",), "number", required=False),
    ),
    at_most=(("presents", "inscrits"),),
)
HEADER = "UAI;Rentrée scolaire;Code du département;Secteur;Inscrits;Présents;Taux"
ROWS = [
    f"{UAI[0]};2021-2022;002;PUBLIC;100;98;90.5",
    f"{UAI[1]};2021-2022;02A;PRIVE;50;50;",
    f"{UAI[2]};2021-2022;971;PUBLIC;ns;;100",
]


def _write(folder, *lines, name="essai.csv", encoding="utf-8", end="\n"):
    path = folder / name
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def _problems(path, source=SOURCE):
    with pytest.raises(ContractError) as caught:
        read_table(path, source)
    for problem in caught.value.problems:
        assert problem.file == path.name
        assert problem.found and problem.expected and problem.remedy
    return caught.value.problems


def _places(problems):
    return [(problem.row, problem.column) for problem in problems]


def test_a_table_keeps_its_values_and_its_row_numbers(tmp_path):
    table = read_table(_write(tmp_path, HEADER, *ROWS), SOURCE)
    assert list(table.columns) == [column.name for column in SOURCE.columns]
    assert list(table.index) == [2, 3, 4]
    assert list(table["dep"]) == ["02", "2A", "971"]
    assert list(table["rentree"]) == [2021, 2021, 2021]
    assert table["inscrits"].isna().tolist() == [False, False, True]
    assert table["taux"].iloc[0] == 90.5 and np.isnan(table["taux"].iloc[1])
    assert table["note"].isna().all()
    assert table.attrs["headers"]["dep"] == "Code du département"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_order_names_extra_columns_mark_and_line_ends_do_not_matter(tmp_path, end, mark):
    expected = read_table(_write(tmp_path, HEADER, *ROWS), SOURCE)
    lines = ["taux;presents;inscrits;secteur;dep;extra;rentree;uai"]
    for row in ROWS:
        uai, year, dep, sector, entered, present, rate = row.split(";")
        lines.append(";".join([rate, present, entered, sector, f'"{dep}"', '"n; importe"', year, uai]))
    path = tmp_path / "autre.csv"
    path.write_bytes(mark + (end.join(lines) + end).encode())
    pd.testing.assert_frame_equal(read_table(path, SOURCE), expected)


def test_quoted_fields_hold_separators_and_line_ends(tmp_path):
    path = _write(tmp_path, HEADER + ";Nom", ROWS[0] + ';"A; ""B""\nC"', ROWS[1] + ";x")
    assert len(read_table(path, SOURCE)) == 2


def test_dates_of_the_api_are_school_years(tmp_path):
    rows = [row.replace("2021-2022", "2021-09-01T00:00:00+00:00") for row in ROWS]
    assert list(read_table(_write(tmp_path, HEADER, *rows), SOURCE)["rentree"]) == [2021] * 3


def test_folder_names_are_no_patterns(tmp_path):
    folder = tmp_path / "un [essai] (2021)=*"
    folder.mkdir()
    assert len(read_table(_write(folder, HEADER, *ROWS), SOURCE)) == 3


def test_one_error_holds_every_problem(tmp_path):
    path = _write(
        tmp_path,
        HEADER,
        f"{UAI[0]};2021-2022;2;PUBLIC;100;101;90.5",
        f"{UAI[0]};2021-2022;02;MIXTE;-1;0;190",
        "0020001A;2021-2023;02;PUBLIC;1 234;x;90,5",
        f"{UAI[3]};2021-2022;02;PUBLIC;10",
        f"{UAI[3]};2021-2022;02;PUBLIC;10;9;1;9",
    )
    found = set(_places(_problems(path)))
    assert found == {
        (2, "dep"),
        (2, "presents"),
        (3, "secteur"),
        (3, "inscrits"),
        (3, "taux"),
        (3, "uai, rentree"),
        (4, "uai"),
        (4, "rentree"),
        (4, "inscrits"),
        (4, "presents"),
        (4, "taux"),
        (5, None),
        (6, None),
    }


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("Inscrits", "1 234"),
        ("Inscrits", "1\u202f234"),
        ("Inscrits", "12,0"),
        ("Inscrits", "1E5"),
        ("Inscrits", "s"),
        ("Inscrits", "nd"),
        ("Inscrits", "///"),
        ("Inscrits", "<5"),
        ("Inscrits", "-3"),
        ("Inscrits", "١٢"),
        ("Taux", "inf"),
        ("Taux", "nan"),
        ("Taux", "1e999"),
        ("Taux", "90,5"),
        ("Taux", "100.1"),
        ("Taux", "90 %"),
        ("Code du département", "1"),
        ("Code du département", "02100"),
        ("Code du département", ""),
        ("Secteur", "public"),
        ("Secteur", "=1+1"),
        ("UAI", "0020000A"),
        ("UAI", "02000"),
        ("UAI", "Total"),
        ("Rentrée scolaire", "2021-2023"),
        ("Rentrée scolaire", "44197"),
        ("Rentrée scolaire", "2021/2022"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path, column, cell):
    cells = ROWS[0].split(";")
    cells[HEADER.split(";").index(column)] = cell
    kept = next(entry.name for entry in SOURCE.columns if column in entry.labels)
    problems = _problems(_write(tmp_path, HEADER, *ROWS[1:], ";".join(cells)))
    assert _places(problems) == [(4, kept)]
    assert problems[0].found == repr(cell)


@pytest.mark.parametrize("cell", ["caf\ufffd", "dÃ©cembre", "a\x07b", "=1+1", "x" * 1001, "Note"])
def test_a_text_that_is_damaged_a_formula_or_the_header_is_refused(tmp_path, cell):
    source = dataclasses.replace(SOURCE, columns=(*SOURCE.columns[:-1], Column("note", ("Note",))))
    path = _write(tmp_path, HEADER + ";Note", ROWS[0] + ";bien", f'{ROWS[1]};"{cell}"')
    assert _places(_problems(path, source)) == [(3, "note")]


@pytest.mark.parametrize("cell", ["NA", "None", "null", "1E5", "True", "2021-01-01", " L’Haÿ-les-Roses "])
def test_a_text_is_never_taken_for_something_else(tmp_path, cell):
    source = dataclasses.replace(SOURCE, columns=(*SOURCE.columns[:-1], Column("note", ("Note",))))
    path = _write(tmp_path, HEADER + ";Note", f"{ROWS[0]};{cell}")
    assert list(read_table(path, source)["note"]) == [cell.strip()]


def test_values_with_decomposed_accents_are_the_same_values(tmp_path):
    columns = tuple(
        dataclasses.replace(column, values=("PUBLIC", "PRIVÉ")) if column.name == "secteur" else column
        for column in SOURCE.columns
    )
    path = _write(tmp_path, HEADER, ROWS[0].replace("PUBLIC", "PRIVE\u0301"))
    assert list(read_table(path, dataclasses.replace(SOURCE, columns=columns))["secteur"]) == ["PRIVÉ"]


def test_rows_left_out_do_not_hide_a_second_header(tmp_path):
    source = dataclasses.replace(SOURCE, keep={"secteur": ["PUBLIC"]})
    assert list(read_table(_write(tmp_path, HEADER, *ROWS), source).index) == [2, 4]
    assert _places(_problems(_write(tmp_path, HEADER, *ROWS, HEADER), source)) == [(5, "secteur")]


def test_a_day_that_does_not_exist_is_refused(tmp_path):
    source = dataclasses.replace(SOURCE, columns=(Column("jour", (), "date", missing=()),), key=(), at_most=())
    path = _write(tmp_path, "jour", "2024-02-29", "2023-02-29", "2024-04-31")
    assert _places(_problems(path, source)) == [(3, "jour"), (4, "jour")]


@pytest.mark.parametrize("many", [False, True])
def test_few_and_many_rows_are_read_alike(tmp_path, many):
    """Many rows go through categories; the first ones, blanks included, are the same either way."""
    rows = [f"{_uai(n)};2021-2022;02;PUBLIC;{'ns' if n % 7 == 0 else n % 90 + 10};;{n % 9 / 2}" for n in range(5000)]
    table = read_table(_write(tmp_path, HEADER, *(rows if many else rows[:100])), SOURCE).iloc[:100]
    assert list(table.index) == list(range(2, 102))
    assert list(table["uai"]) == [_uai(n) for n in range(100)]
    assert table["presents"].isna().all() and list(table["taux"]) == [n % 9 / 2 for n in range(100)]
    assert [None if pd.isna(value) else value for value in table["inscrits"]] == [
        None if n % 7 == 0 else n % 90 + 10 for n in range(100)
    ]


def test_problems_far_down_a_large_file_are_on_their_rows(tmp_path):
    rows = [f"{_uai(n)};2021-2022;02;PUBLIC;9;9;1" for n in range(60_000)]
    rows[10] += ";1"
    rows[50_000] = rows[50_000].replace(";02;", ";2;")
    rows[59_999] = rows[59_998]
    assert set(_places(_problems(_write(tmp_path, HEADER, *rows)))) == {
        (12, None),
        (50_002, "dep"),
        (60_001, "uai, rentree"),
    }


def test_a_byte_that_is_not_utf8_is_on_its_row_in_a_large_file(tmp_path):
    rows = [f"{_uai(n)};2021-2022;02;PUBLIC;9;9;1;é{'x' * 100}" for n in range(60_000)]
    content = "\n".join([HEADER + ";Nom", *rows]).encode()
    place = content.index(rows[55_000].encode()) + 10
    path = tmp_path / "essai.csv"
    path.write_bytes(content[:place] + b"\xe9" + content[place + 1 :])
    (problem,) = _problems(path)
    assert problem.row == 55_002 and "0xe9" in problem.found and "UTF-8" in problem.remedy


def test_a_wide_table_becomes_rows_of_the_panel(tmp_path):
    from tne_eval.sources.panel import PANEL_COLUMNS

    table = read_table(_write(tmp_path, HEADER, *ROWS), SOURCE)
    panel = melt_table(
        table,
        "essai",
        unit_type="college",
        unit="uai",
        period_type="school_year",
        period="rentree",
        group=("secteur", "dep"),
        variables=("taux", "presents"),
        n="inscrits",
    )
    assert list(panel.columns) == list(PANEL_COLUMNS) and len(panel) == 6
    row = panel[(panel["unit"] == UAI[1]) & (panel["variable"] == "presents")].iloc[0]
    assert (row["period"], row["group"], row["value"], row["n"], row["status"]) == (
        2021,
        "PRIVE / 2A",
        50,
        50,
        "observed",
    )
    assert list(panel.loc[panel["value"].isna(), "status"]) == ["missing"] * 2


GOOD = "\n".join([HEADER, *ROWS, ""])
BROKEN = {
    "empty": b"",
    "blank": b"\n \n",
    "header only": (HEADER + "\n").encode(),
    "no header": "\n".join(ROWS).encode(),
    "header twice": "\n".join([HEADER, HEADER, *ROWS]).encode(),
    "comma": GOOD.replace(";", ",").encode(),
    "cp1252": GOOD.encode("cp1252"),
    "utf-16": GOOD.encode("utf-16"),
    "one line in cp1252": GOOD.encode() + "é;1".encode("cp1252"),
    "nul": GOOD.replace("PRIVE", "PRI\0VE").encode(),
    "gzip": b"\x1f\x8b\x08\x00" + b"x" * 30,
    "workbook": b"PK\x03\x04" + b"x" * 30,
    "web page": b"<!DOCTYPE html><html><body>404</body></html>",
    "json": b'{"error_code": "ODSQLError"}',
    "renamed": GOOD.replace("Inscrits", "Inscrit").encode(),
    "no accent": GOOD.replace("Présents", "Presents").encode(),
    "other case": GOOD.replace("UAI;", "Uai;").encode(),
    "duplicate header": GOOD.replace("Taux", "Inscrits").encode(),
    "one field more": GOOD.replace(ROWS[1], ROWS[1] + ";9").encode(),
    "one field more everywhere": "\n".join([HEADER, *(row + ";9" for row in ROWS)]).encode(),
    "one field less": GOOD.replace(ROWS[1], ROWS[1][:-1]).encode(),
    "total row": (GOOD + "Total;;;;150;148;\n").encode(),
    "footnote": (GOOD + "Source : DEPP\n").encode(),
    "two tables": (GOOD + "\n" + GOOD).encode(),
    "open quote": GOOD.replace("PRIVE", '"PRIVE').encode(),
    "text after a quote": GOOD.replace("PRIVE", '"PRI"VE').encode(),
    "mixed line ends": GOOD.replace("\n", "\r\n", 2).encode(),
    "same row twice": (GOOD + ROWS[0] + "\n").encode(),
    "many columns": (";".join(f"c{i}" for i in range(5000)) + "\n").encode(),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_one_contract_error(tmp_path, kind):
    path = tmp_path / "essai.csv"
    path.write_bytes(BROKEN[kind])
    assert _problems(path)


def test_decomposed_accents_in_the_header_are_the_same_letters(tmp_path):
    path = _write(tmp_path, HEADER.replace("é", "e\u0301"), *ROWS)
    assert len(read_table(path, SOURCE)) == 3


def test_a_renamed_column_is_shown_with_its_near_name(tmp_path):
    path = tmp_path / "essai.csv"
    path.write_bytes(BROKEN["renamed"])
    problem = _problems(path)[0]
    assert (problem.row, problem.column) == (1, "inscrits")
    assert "'Inscrit'" in problem.remedy


def test_a_field_too_many_is_located_and_later_rows_keep_their_number(tmp_path):
    bad = ROWS[2].replace("971", "999")
    problems = _problems(_write(tmp_path, HEADER, ROWS[0] + ";9", ROWS[1], bad))
    assert _places(problems) == [(2, None), (4, "dep")]
    assert "8 fields" in problems[0].found and "7 fields" in problems[0].expected


@pytest.mark.parametrize("name", ["absent.csv", "folder.csv", "essai.txt", "essai.ods"])
def test_what_is_no_readable_file_is_refused(tmp_path, name):
    if name.startswith("folder"):
        (tmp_path / name).mkdir()
    elif name.startswith("essai"):
        _write(tmp_path, HEADER, *ROWS, name=name)
    _problems(tmp_path / name)


def test_the_same_vintage_twice_is_seen(tmp_path):
    rows = [f"{_uai(n)};{{}};02;PUBLIC;{n % 97 + 10};{n % 97};{n % 50}" for n in range(30_000, 30_040)]
    years = [row.format(year) for year in ("2021-2022", "2022-2023") for row in rows]
    problems = _problems(_write(tmp_path, HEADER, *years))
    assert "2022 holds the figures of 2021" in problems[0].found
    years[-1] = years[-1][:-1] + "7"
    assert len(read_table(_write(tmp_path, HEADER, *years), SOURCE)) == 80


def test_a_column_wrong_throughout_is_counted_not_repeated(tmp_path):
    rows = [f"{_uai(n)};2021-2022;02;PUBLIC;x;0;1" for n in range(40_000, 42_500)]
    problems = _problems(_write(tmp_path, HEADER, *rows))
    assert len(problems) == MAX_ROWS_LISTED + 1
    assert problems[-1].found.startswith("1500 more")


def test_parts_must_add_up():
    source = dataclasses.replace(
        SOURCE,
        key=(),
        at_most=(),
        columns=tuple(Column(name, (), "number") for name in ("a", "b", "apart", "total")),
        sums=(Sum(("a", "b"), total="total", apart="apart"), Sum(("a", "b"), value=100, tolerance=0.5)),
    )
    table = pd.DataFrame(
        {"a": ["60", "0.6", "50", "60"], "b": ["40.2", "0.4", "45", ""], "apart": ["0", "", "5", ""], "total": "100.2"},
        index=[2, 3, 4, 5],
    )
    table.loc[[3, 4], "total"] = ["1", "100"]
    assert _places(check_table(table, source, "essai")) == [(3, "a + b"), (4, "a + b")]


def test_parquet_is_held_to_the_same_contract(tmp_path):
    path = tmp_path / "essai.parquet"
    frame = pd.DataFrame([row.split(";") for row in ROWS], columns=HEADER.split(";"))
    frame["Taux"] = [90.5, None, 100.0]
    frame = frame.rename(columns={"Inscrits": "Inscrits "})
    duckdb.from_df(frame).write_parquet(str(path))
    table = read_table(path, SOURCE)
    assert list(table["taux"].fillna(-1)) == [90.5, -1, 100]
    duckdb.from_df(frame.assign(Taux=[90.5, float("inf"), 101.0])).write_parquet(str(path))
    assert _places(_problems(path)) == [(3, "taux"), (4, "taux")]
    path.write_bytes(b"PAR1 nonsense")
    _problems(path)


def test_merged_cells_blank_rows_and_two_sheets_are_refused(tmp_path):
    rows = [HEADER.split(";"), *(row.split(";") for row in ROWS)]
    path = _workbook(tmp_path / "essai.xlsx", rows)
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("D3:D4")
    book.save(path)
    assert (3, None) in _places(_problems(path))
    assert _places(_problems(_workbook(path, [*rows[:2], [], *rows[2:]]))) == [(3, None)]
    book = openpyxl.load_workbook(_workbook(path, rows))
    book.copy_worksheet(book.active)
    book.save(path)
    _problems(path)


def _workbook(path, rows, hidden_first=False):
    book = openpyxl.Workbook()
    sheet = book.active
    if hidden_first:
        sheet.append(["caché"])
        sheet.sheet_state = "hidden"
        sheet = book.create_sheet("données")
    for row in rows:
        sheet.append(row)
    book.save(path)
    return path


def test_xlsx_is_held_to_the_same_contract(tmp_path):
    rows = [HEADER.split(";"), *(row.split(";") for row in ROWS)]
    rows[1][4:] = [100, 98.0, 90.5]
    path = _workbook(tmp_path / "essai.xlsx", rows, hidden_first=True)
    table = read_table(path, SOURCE)
    assert list(table["dep"]) == ["02", "2A", "971"]
    assert table["inscrits"].iloc[0] == 100
    rows[1][6] = "=SUM(E2:F2)"
    rows[2][2] = 2
    assert _places(_problems(_workbook(tmp_path / "essai.xlsx", rows))) == [(3, "dep"), (2, "taux")]
    (tmp_path / "essai.xlsx").write_bytes(b"PK\x03\x04 nonsense")
    _problems(tmp_path / "essai.xlsx")


def test_headers_that_carry_a_date_are_kept_and_two_of_them_are_refused(tmp_path):
    source = get_source("tne_counters")
    header = "dep;participants_formations_cumul_2026_01;eleves_beneficiaires_2025_12"
    table = read_table(_write(tmp_path, header, "02;13811;141626"), source)
    assert table.attrs["headers"]["eleves_beneficiaires"] == "eleves_beneficiaires_2025_12"
    header += ";eleves_beneficiaires_2026_06"
    assert _places(_problems(_write(tmp_path, header, "02;13811;141626;1"), source)) == [(1, "eleves_beneficiaires")]


def test_a_later_edition_of_the_dnb_file_is_read(tmp_path):
    source = get_source("dnb_departement")
    labels = [column.labels[0] for column in source.columns] + ["Une colonne nouvelle"]
    counts = ["100", "90", "80", "20", "20", "20", "15"]
    girls = ["50", "45", "40", "10", "10", "10", "7"]
    rows = [
        ["2025", "002", "15 ans", "SERIE GENERALE", *counts, *girls, "5", "3", "x"],
        ["2026", "02A", "16 ans ou plus", "SERIE PROFESSIONNELLE", *counts[:-1], "20", *[""] * 7, "5", "", "x"],
    ]
    path = _write(tmp_path, ";".join(labels), *(";".join(row) for row in rows))
    assert list(read_table(path, source)["code_departement"]) == ["02", "2A"]
    rows[0][10] = "16"
    path = _write(tmp_path, ";".join(labels), *(";".join(row) for row in rows))
    assert [problem.row for problem in _problems(path, source)] == [2]


def test_a_large_file_is_read_in_seconds(tmp_path):
    count = 370_000
    numbers = np.arange(count)
    frame = pd.DataFrame(
        {
            "UAI": [_uai(int(number)) for number in numbers % 7000],
            "Rentrée scolaire": 1995 + numbers // 7000,
            "Code du département": "002",
            "Secteur": "PUBLIC",
            "Inscrits": numbers % 1000 + 10,
            "Présents": numbers % 1000,
            "Taux": numbers % 997 / 10,
        }
    )
    path = tmp_path / "essai.csv"
    frame.to_csv(path, sep=";", index=False)
    assert len(read_table(path, SOURCE)) == count
