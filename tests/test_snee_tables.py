"""SNEE by département: sums by hand, hidden cells, grants tied to écoles against every way to share them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from malformed import uai
from snee_files import write_snee_files

from tne_eval.catalog import get_source
from tne_eval.sources.geography import list_departements
from tne_eval.sources.package import table_csv
from tne_eval.sources.panel import STATUSES
from tne_eval.sources.read import read_table
from tne_eval.sources.tables.snee import SNEE, conventions_of, listed_of, tie_grants


def _raw_conventions(rows: list[tuple]) -> pd.DataFrame:
    """(SIREN, département, écoles, spending, grant)."""
    numbers, places, schools, spending, grants = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "siren_signataire_de_la_convention": numbers,
            "raison_sociale_du_signataire_de_la_convention": "Commune",
            "code_departement": places,
            "region_academique_ou_com": "Polynésie française",
            "nombre_de_communes": pd.array([1] * len(rows), dtype="Int64"),
            "nombre_d_ecoles": pd.array(schools, dtype="Int64"),
            "depenses_realisees_par_la_collectivite": spending,
            "montant_de_la_subvention": grants,
        }
    )


def _raw_schools(rows: list[tuple]) -> pd.DataFrame:
    """(UAI number, SIREN, classes)."""
    numbers, sirens, classes = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "uai": [uai(number) for number in numbers],
            "nom_de_l_ecole": "Ecole",
            "nom_de_la_commune_uai": "Laon",
            "code_departement": None,
            "siren_signataire_de_la_convention": sirens,
            "raison_sociale_du_signataire_de_la_convention": "#N/A",
            "nombre_de_classes_referentiel": pd.array(classes, dtype="Int64"),
        }
    )


def _ips(numbers: list[int], year: int = 2021) -> pd.DataFrame:
    uais = [uai(number) for number in numbers]
    places = [uai_[1:3] for uai_ in uais]
    return pd.DataFrame({"rentree_scolaire": year, "code_du_departement": places, "uai": uais, "ips": 100.0})


def _made(conventions, schools, ips) -> pd.DataFrame:
    frames = {"snee_collectivites": conventions, "snee_ecoles": schools, "ips_ecoles_2021": ips}
    return SNEE.make(frames).set_index("departement")


CONVENTIONS = [
    *(("A", "02", 1, 1000.0, 600.0), ("B", "02", 2, 3000.0, 1500.25), ("C", "02", 1, 500.0, 300.0)),
    *(("D", "60", 1, 100.0, 60.0), ("E", "60", 1, 100.0, 60.0)),
    *(("F", "80", 1, 100.0, 60.0), ("G", "80", 1, 100.0, 60.0), ("H", "80", 1, 100.0, None)),
    ("I", None, 1, 100.0, 55.0),
]
SCHOOLS = [
    *((20_001, "A", 4), (20_002, "B", 5), (20_003, None, 6)),
    *((600_001, "D", 1), (600_002, "E", 1), (600_003, "E", 1)),
    *((800_001, "F", 1), (800_002, "G", None), (800_003, "H", 1)),
    (9_840_001, "I", 2),
]


def test_sums_by_departement():
    ips = pd.concat([_ips([20_001, 20_003, 20_004, 20_005, 600_009, 800_001]), _ips([20_002], 2020)])
    table = _made(_raw_conventions(CONVENTIONS), _raw_schools(SCHOOLS), ips)
    assert list(table.index) == ["02", "60", "80"] and set(table["year"]) == {2024}
    aisne = table.loc["02"]
    assert aisne[["snee_conventions", "snee_schools", "snee_grants", "snee_spending", "snee_classes"]].tolist() == [
        3,
        3,
        2400.25,
        4500,
        15,
    ]
    assert aisne["snee_grant_percent"] == pytest.approx(100 * 2400.25 / 4500, rel=1e-15)
    # Two of the four écoles that have an IPS in 2021.
    assert aisne["snee_schools_percent"] == 50 and aisne["snee_schools_percent_status"] == "observed"


def test_two_conventions_are_hidden_and_an_unknown_term_is_missing():
    table = _made(_raw_conventions(CONVENTIONS), _raw_schools(SCHOOLS), _ips([600_001, 800_001]))
    amounts = ["snee_grants", "snee_spending", "snee_grant_percent", "snee_classes", "snee_schools_percent"]
    assert table.loc["60", amounts].isna().all()
    assert set(table.loc["60", [f"{name}_status" for name in amounts]]) == {"hidden"}
    assert table.loc["60", ["snee_conventions", "snee_schools"]].tolist() == [2, 3]
    assert table.loc["80", [f"{name}_status" for name in amounts]].tolist() == [
        "missing",
        "observed",
        "missing",
        "missing",
        "observed",
    ]
    assert table.loc["80", "snee_spending"] == 300 and table.loc["02", "snee_schools_percent_status"] == "missing"


def test_two_ecoles_are_hidden():
    table = _made(_raw_conventions(CONVENTIONS[:3]), _raw_schools(SCHOOLS[:2]), _ips([20_001]))
    assert np.isnan(table.loc["02", "snee_grants"]) and table.loc["02", "snee_grants_status"] == "hidden"
    unknown = _made(
        _raw_conventions([*CONVENTIONS[:2], ("C", "02", 1, 1.0, None)]), _raw_schools(SCHOOLS[:2]), _ips([])
    )
    assert set(unknown.loc["02", ["snee_grants_status", "snee_schools_percent_status"]]) == {"hidden"}


def test_an_ecole_listed_twice_counts_once():
    schools = _raw_schools([*SCHOOLS[:3], SCHOOLS[0]])
    table = _made(_raw_conventions(CONVENTIONS[:3]), schools, _ips([20_001]))
    assert table.loc["02", ["snee_schools", "snee_classes"]].tolist() == [3, 15]


def test_fields_are_the_columns_made_and_nothing_is_modified():
    frames = {
        "snee_collectivites": _raw_conventions(CONVENTIONS),
        "snee_ecoles": _raw_schools(SCHOOLS),
        "ips_ecoles_2021": _ips([20_001]),
    }
    before = {name: frame.copy() for name, frame in frames.items()}
    table = SNEE.make(frames)
    assert {field.name for field in SNEE.fields} == set(table) and set(SNEE.sources) == set(frames)
    holders = {field.empty for field in SNEE.fields if field.empty}
    assert set(table[sorted(holders)].to_numpy().ravel()) <= set(STATUSES)
    written = table_csv(table, SNEE.fields, SNEE.key).decode().splitlines()
    assert (
        len(written) == 4 and "02,2024,3,3,2400.25,observed,4500.00,observed,53.339,observed,15,observed" in written[1]
    )
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(frame, before[name])


def test_generated_files_by_departement(tmp_path):
    """The départements and the conventions without one add up to the published total."""
    paths = write_snee_files(tmp_path)
    frames = {id: read_table(path, get_source(id)) for id, path in paths.items()} | {"ips_ecoles_2021": _ips([20_001])}
    table = SNEE.make(frames)
    assert set(table["departement"]) <= set(list_departements()) and len(table) == 101
    assert table["snee_grants_status"].eq("observed").all()
    assert round(table["snee_grants"].sum() + 185_686, 2) == 103_095_993.73
    nord = table.set_index("departement").loc["59"]
    assert round(nord["snee_grants"], 2) == 5_270_453 and round(nord["snee_spending"], 2) == 10_537_288
    # Saint-Barthélemy's numbers are of Guadeloupe; those of the two other territories are not counted.
    assert 12_624 - 12 <= table["snee_schools"].sum() < 12_624


# --- grants tied to écoles -------------------------------------------------------------------------------------------


def _shares(conventions: list[tuple], schools: list[tuple]):
    """Every way to give each école without SIREN to a convention that misses écoles, and each grant to one école.

    Yields euros by école number. The extremes of what an école may have are among these.
    """
    listed = {name: [number for number, owner, _ in schools if owner == name] for name, *_ in conventions}
    free = {name: declared - len(listed[name]) for name, _, declared, _, _ in conventions}
    unknown = [number for number, owner, _ in schools if owner is None]
    for owners in itertools.product([name for name, left in free.items() if left > 0], repeat=len(unknown)):
        if any(owners.count(name) > free[name] for name in set(owners)):
            continue
        holders = {
            name: [*own, *(n for n, owner in zip(unknown, owners, strict=True) if owner == name)]
            for name, own in listed.items()
        }
        for name, _, declared, _, _ in conventions:
            holders[name] += ["elsewhere"] * (declared > len(holders[name]))
        for takers in itertools.product(*holders.values()):
            euros = dict.fromkeys((number for number, *_ in schools), 0.0)
            for taker, (*_, grant) in zip(takers, conventions, strict=True):
                if taker != "elsewhere":
                    euros[taker] += grant
            yield euros


def test_bounds_are_the_extremes_of_every_way_to_share():
    conventions = [
        ("A", "02", 1, 900.0, 600.0),
        ("B", "02", 3, 900.0, 500.0),
        ("C", "02", 2, 900.0, 700.0),
        ("D", "02", 2, 2000.0, 1000.0),
    ]
    schools = [
        (20_001, "A", 1),
        (20_002, "B", 1),
        (20_003, "D", 1),
        (20_004, "D", 1),
        (20_005, None, 1),
        (20_006, None, 1),
    ]
    table = tie_grants(conventions_of(_raw_conventions(conventions)), listed_of(_raw_schools(schools))).set_index("uai")
    ways = pd.DataFrame(list(_shares(conventions, schools))).rename(columns=uai)
    assert len(ways) > 20
    pd.testing.assert_series_equal(table["grant_low"], ways.min()[table.index], check_names=False)
    pd.testing.assert_series_equal(table["grant_high"], ways.max()[table.index], check_names=False)
    assert table["tie"].tolist() == ["exact", *["shared"] * 3, "unknown", "unknown"]
    assert table["grant"].tolist()[0] == 600 and table["grant"].isna().sum() == 5


def _tied(conventions: list[tuple], schools: list[tuple]) -> pd.DataFrame:
    return tie_grants(conventions_of(_raw_conventions(conventions)), listed_of(_raw_schools(schools)))


def test_a_signatory_that_signs_twice_shares_both_grants():
    table = _tied([("A", "02", 1, 900.0, 600.0), ("A", "02", 1, 900.0, 300.0)], [(20_001, "A", 1)])
    assert table.loc[0, ["tie", "grant_low", "grant_high"]].tolist() == ["shared", 0, 900] and np.isnan(
        table["grant"][0]
    )


def test_one_ecole_listed_of_several_declared_is_not_exact():
    table = _tied([("A", "02", 2, 900.0, 600.0)], [(20_001, "A", 1)])
    assert table.loc[0, ["tie", "grant_high"]].tolist() == ["shared", 600]
    assert _tied([("A", "02", None, 900.0, 600.0)], [(20_001, "A", 1)])["tie"].tolist() == ["shared"]


def test_two_ecoles_listed_of_one_declared_are_not_exact():
    table = _tied([("A", "02", 1, 900.0, 600.0)], [(20_001, "A", 1), (20_002, "A", 1)])
    assert table["tie"].tolist() == ["shared"] * 2 and table["grant_high"].tolist() == [600, 600]


def test_siren_that_signs_nothing_and_grants_that_are_not_known_are_bounded():
    conventions = [("A", "02", 1, 900.0, 600.0), (None, "02", 1, 900.0, 450.0), ("C", "80", 1, 800.0, None)]
    table = _tied(conventions, [(20_001, "A", 1), (20_002, "Z", 1), (800_001, "C", 1), (600_001, None, 1)])
    assert table["tie"].tolist() == ["exact", "unknown", "shared", "unknown"]
    # The convention without SIREN for Z; the spending for C; the only one that waits, for an école of 60.
    assert table["grant_high"].tolist() == [600, 450, 800, 450]
    assert table["grant_high"].notna().all()


def test_an_ecole_of_two_signatories_has_the_sum():
    conventions = [("A", "02", 1, 900.0, 600.0), ("B", "02", 1, 900.0, 300.0)]
    table = _tied(conventions, [(20_001, "A", 1), (20_001, "B", 1)])
    assert table.loc[0, ["tie", "grant", "grant_low", "grant_high"]].tolist() == ["exact", 900, 900, 900]
    assert table["siren"].tolist() == [None]
    twice = _tied(conventions, [(20_001, "A", 1), (20_001, "A", 1)])
    assert twice["siren"].tolist() == ["A"]
    assert twice.loc[0, ["tie", "grant"]].tolist() == ["exact", 600]


def test_scale_and_order():
    conventions = [("A", "02", 1, 900.0, 600.0), ("B", "02", 3, 900.0, 500.0), ("C", "02", 2, 900.0, 700.0)]
    schools = [(20_001, "A", 1), (20_002, "B", 1), (20_005, None, 1)]
    amounts = ["grant", "grant_low", "grant_high"]
    first = _tied(conventions, schools)
    double = _tied([(*row[:3], 2 * row[3], 2 * row[4]) for row in conventions], schools)
    pd.testing.assert_frame_equal(2 * first[amounts], double[amounts])
    turned = _tied(conventions[::-1], schools[::-1]).sort_values("uai").reset_index(drop=True)
    pd.testing.assert_frame_equal(turned, first)
