"""Tables of schools of two kinds: means done by hand, both sides hidden together, communes of another vintage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tne_eval.catalog import disclosure_rule
from tne_eval.paths import shipped
from tne_eval.sources.tables.kinds import (
    AREA,
    DNB_BY_AREA,
    DNB_BY_PRIORITY,
    IPS_BY_AREA,
    IPS_BY_PRIORITY,
    IVAC_BY_PRIORITY,
    by_kind,
)

SHIPPED = {table.name: table for table in (IPS_BY_PRIORITY, DNB_BY_PRIORITY, IVAC_BY_PRIORITY)}


def _schools(numbers: dict[bool, int], each: float = 20.0) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"departement": "02", "session": 2021, "rural": kind, "present": each, "success": 10.0 * place + 40 * kind}
            for kind, size in numbers.items()
            for place in range(size)
        ]
    )


def _made(schools: pd.DataFrame) -> pd.DataFrame:
    return by_kind(schools, "session", "rural", AREA, "present", "success").set_index("rural")


def test_means_are_weighted_and_counted_by_kind():
    schools = _schools({True: 3, False: 4})
    schools.loc[0, "present"] = 60.0
    table = _made(schools)
    # Rural 40, 50, 60 with weights 60, 20, 20; urban 0, 10, 20, 30.
    assert table.loc["rural", ["schools", "present", "success"]].tolist() == [3, 100, 46]
    assert table.loc["urban", ["schools", "present", "success"]].tolist() == [4, 80, 15]
    assert set(table["status"]) == {"observed"}


@pytest.mark.parametrize(
    ("numbers", "each"), [({True: 2, False: 9}, 20.0), ({True: 9, False: 2}, 20.0), ({True: 3, False: 9}, 3.0)]
)
def test_both_kinds_are_hidden_where_one_is_small(numbers, each):
    table = _made(_schools(numbers, each))
    assert table[["present", "success"]].isna().all(axis=None) and set(table["status"]) == {"hidden"}


def test_a_departement_of_one_kind_is_not_there():
    assert _made(_schools({False: 9})).empty


def test_the_callers_schools_are_not_modified():
    schools = _schools({True: 3, False: 4})
    before = schools.copy()
    _made(schools)
    pd.testing.assert_frame_equal(schools, before)


def _density(levels: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame({"code_commune": list(levels), "densite": pd.array(list(levels.values()), dtype="Int64")})


def test_rural_is_read_on_communes_of_today():
    """Annecy-le-Vieux (74011) merged into Annecy (74010), whose level is the densest of both."""
    communes = ["74010", "74011", "74010", "01001", "01001", "01001"]
    frames = {
        "densite": _density({"74010": 1, "74011": 5, "01001": 6}),
        "dnb_etablissement": pd.DataFrame(
            {
                "type_d_etablissement": "COLLEGE",
                "session": 2021,
                "code_departement": "74",
                "commune": communes,
                "presents": 50,
                "admis": [45, 45, 45, 30, 30, 30],
            }
        ),
    }
    table = DNB_BY_AREA.make(frames).set_index("area")
    assert table["dnb_success_by_area_percent"].to_dict() == {"rural": 60.0, "urban": 90.0}
    assert table["schools"].to_dict() == {"rural": 3, "urban": 3}


def _ips_by_area(departement: str, ips: list[float], communes: list[str | None], levels: dict) -> pd.DataFrame:
    """The table made of écoles, with their IPS and communes, and of the levels of density of communes."""
    ecoles = pd.DataFrame(
        {
            "code_du_departement": departement,
            "rentree_scolaire": 2021,
            "uai": [f"{departement.zfill(3)}000{number}X" for number in range(len(ips))],
            "effectifs": np.nan,
            "ips": ips,
            "code_insee_de_la_commune": communes,
        }
    )
    frames = {"densite": _density(levels), "ips_ecoles_2021": ecoles, "ips_ecoles_2022": ecoles[:0]}
    return IPS_BY_AREA.make(frames).set_index("area")


def test_ecoles_by_area_count_each_school_once():
    ips = [80.0, 90.0, 100.0, 100.0, 110.0, 120.0, 150.0]
    table = _ips_by_area("02", ips, ["02001"] * 3 + ["02408"] * 3 + [None], {"02001": 7, "02408": 2})
    assert table["ips_by_area_mean"].to_dict() == {"rural": 90.0, "urban": 110.0}


def test_an_arrondissement_takes_the_level_of_its_city():
    """Files of schools name Marseille by arrondissement, the density grid by commune."""
    communes = ["13001"] * 3 + ["13201", "13208", "13216"]
    table = _ips_by_area("13", [80.0, 90.0, 100.0, 100.0, 110.0, 120.0], communes, {"13001": 6, "13055": 1})
    assert table["ips_by_area_mean"].to_dict() == {"rural": 90.0, "urban": 110.0}


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_kind_under_the_rule(name):
    rule, table = disclosure_rule(), SHIPPED[name]
    frame = pd.read_csv(shipped("embedded") / f"{name}.csv", dtype={"departement": str})
    shown = frame[frame["status"] == "observed"]
    assert len(shown) and shown["schools"].min() >= rule["min_schools"]
    if table.weight:
        assert shown[table.weight].min() >= rule["min_pupils"]
    assert frame.groupby(["departement", table.period])["status"].nunique().eq(1).all()
    assert frame.groupby(["departement", table.period]).size().eq(2).all()


def test_priority_schools_are_those_of_the_enrolment_table():
    """REP and REP+ collèges with an IPS are never more than those of the enrolment table, and nearly all of them."""
    frame = pd.read_csv(shipped("embedded") / "ips_colleges_priority.csv", dtype={"departement": str})
    colleges = pd.read_csv(shipped("embedded") / "colleges.csv", dtype={"departement": str})
    own = frame[frame["priority"] == "yes"].set_index(["departement", "school_year"])["schools"]
    all_of_them = colleges.set_index(["departement", "school_year"])[["rep_colleges", "rep_plus_colleges"]].sum(axis=1)
    all_of_them = all_of_them.loc[own.index]
    assert (own <= all_of_them).all() and own.sum() >= 0.98 * all_of_them.sum()
