"""Commune codes, schools' numbers and académies: known mergers, real files, and errors that teach."""

from __future__ import annotations

import io
import json
import tarfile
import tomllib

import pandas as pd
import pytest

from tne_eval.errors import ContractError, MissingDataError
from tne_eval.sources.communes import (
    academie_in,
    commune_change,
    commune_now,
    commune_of_arrondissement,
    commune_vintages,
    communes_now,
    departement_of_commune,
    departement_of_uai,
    departements_of_communes,
    departements_of_uais,
)
from tne_eval.sources.geography import normalise_academie, normalise_departement
from tne_eval.sources.tables.communes import (
    HERE,
    changed_codes,
    code_runs,
    commune_tables,
    postal_codes,
    read_vintages,
)

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def _uai(number: int) -> str:
    return f"{number:07d}" + LETTERS[number % 23]


def _problem(call, *arguments):
    with pytest.raises(ContractError) as caught:
        call(*arguments)
    (problem,) = caught.value.problems
    assert problem.found and problem.expected and problem.remedy
    return problem


def _raw(opendata, name, separator=";"):
    (path,) = opendata.rglob(name)
    return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")


# Journal officiel: Valserhône (2019), Annecy (2017), Saint-Denis (2025), Le Chesnay-Rocquencourt (2019), Saline (2019),
# Cherbourg-en-Cotentin (2016), Vallons-de-l'Erdre (2018, from Maine-et-Loire to Loire-Atlantique).
@pytest.mark.parametrize(
    ("old", "now"),
    [
        ("01033", "01033"),
        ("01091", "01033"),
        ("01205", "01033"),
        ("74010", "74010"),
        ("74011", "74010"),
        ("74093", "74010"),
        ("74268", "74010"),
        ("93059", "93066"),
        ("93066", "93066"),
        ("78524", "78158"),
        ("50173", "50129"),
        ("49144", "44180"),
        ("02691", "02691"),
        ("2A004", "2A004"),
        ("97411", "97411"),
    ],
)
def test_known_mergers(old, now):
    assert commune_now(old) == now


def test_a_change_says_kind_and_year():
    change = commune_change("93059")
    assert (change.name, change.kind, change.commune, change.year) == (
        "Pierrefitte-sur-Seine",
        "delegated",
        "93066",
        2025,
    )
    assert commune_change("01091").year is None  # 1 January 2019: before the first vintage is compared
    assert commune_change("02691") is None
    # Sannerville left Saline on 31 December 2019.
    assert (commune_change("14666").kind, commune_change("14666").commune) == ("recreated", "14712")
    assert commune_now("14666") == "14666"


def test_arrondissements_are_those_of_the_three_cities():
    cities = {
        "75056": [f"751{number:02d}" for number in range(1, 21)],
        "69123": [f"6938{number}" for number in range(1, 10)],
        "13055": [f"132{number:02d}" for number in range(1, 17)],
    }
    for city, arrondissements in cities.items():
        for code in arrondissements:
            assert commune_of_arrondissement(code) == city
            assert commune_now(code) == code
            assert departement_of_commune(code) == city[:2]
    for code in ("75121", "69390", "13217"):
        _problem(commune_of_arrondissement, code)
    assert commune_of_arrondissement("74093") == "74010"


@pytest.mark.parametrize(
    ("commune", "departement"),
    [
        ("2A004", "2A"),
        ("2B033", "2B"),
        ("97105", "971"),
        ("97209", "972"),
        ("97302", "973"),
        ("97411", "974"),
        ("97611", "976"),
        ("97801", "978"),
        ("98818", "988"),
        ("49144", "44"),
        ("95500", "95"),
    ],
)
def test_departement_of_a_commune(commune, departement):
    assert departement_of_commune(commune) == departement


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2691", "'02691'"),
        (2691, "Keep codes as text"),
        (2691.0, "Keep codes as text"),
        (None, "Keep codes as text"),
        ("2a004", "'2A004'"),
        ("75001", "postal code of commune '75056'"),
        ("07000", "postal code shared by"),
        ("20100", "postal code shared by"),  # a village of Corse before 1976
        ("93059 ", "Near codes"),
        ("01999", "Near codes: 01"),
        ("99999", "No code looks like it"),
        ("1E5", "No code looks like it"),
        ("", "No code looks like it"),
        ("NA", "No code looks like it"),
        ("20004", "No code looks like it"),
    ],
)
def test_what_is_no_commune_is_refused_with_a_remedy(value, words):
    assert words in _problem(commune_now, value).remedy


def test_a_code_of_another_year_is_refused():
    assert commune_now("93059", 2024) == "93066"
    assert "'93066'" in _problem(commune_now, "93059", 2025).found
    assert "2019" in _problem(commune_now, "01091", 2019).found
    assert "'14712'" in _problem(commune_now, "14666", 2019).found
    assert commune_now("14666", 2021) == "14666"


def test_a_commune_divided_since_is_refused_for_that_year_only():
    # L'Oie and Sainte-Florence left Essarts en Bocage on 1 January 2024.
    assert "85165, 85212" in _problem(commune_now, "85084", 2023).found
    assert commune_now("85084", 2024) == commune_now("85084") == "85084"


def test_an_unknown_vintage_is_refused():
    first, last = commune_vintages()
    for vintage in (first - 1, last + 1):
        with pytest.raises(MissingDataError, match="not known"):
            commune_now("02691", vintage)


def test_a_column_reports_every_wrong_code_and_is_left_alone():
    column = pd.Series(["02691", "74093", "2691", "74093", "99999"], name="commune", index=[9, 8, 7, 6, 5])
    with pytest.raises(ContractError) as caught:
        communes_now(column, file="essai.csv")
    places = [(problem.file, problem.row, problem.column) for problem in caught.value.problems]
    assert places == [("essai.csv", 4, "commune"), ("essai.csv", 6, "commune")]
    good = column.iloc[[0, 1, 3]]
    pd.testing.assert_series_equal(
        communes_now(good, file="essai.csv"),
        pd.Series(["02691", "74010", "74010"], name="commune", index=[9, 8, 6], dtype=object),
    )
    assert list(column)[1] == "74093"
    assert list(departements_of_communes(good, file="essai.csv")) == ["02", "74", "74"]


def test_blank_cells_are_refused_unless_allowed():
    column = pd.Series(["74093", "", None], name="commune")
    with pytest.raises(ContractError) as caught:
        communes_now(column, file="essai.csv")
    assert [problem.row for problem in caught.value.problems] == [3, 4]
    assert list(communes_now(column, file="essai.csv", blank=True)) == ["74010", None, None]


def test_a_column_of_postal_codes_is_seen_even_when_each_is_a_commune_too():
    # Both a postal code and an INSEE code each: a value alone cannot tell.
    both = ["02100", "02110", "02120", "02130", "02140", "02150", "02160", "02190", "02200", "02210", "02220", "02230"]
    kept = [code for code in both if _is_commune(code)]
    assert len(kept) >= 8
    problem = _problem(lambda: communes_now(pd.Series(kept, name="code"), file="essai.csv"))
    assert "all postal codes" in problem.found
    assert len(communes_now(pd.Series([*kept, "02691"], name="code"), file="essai.csv")) == len(kept) + 1


def _is_commune(code):
    try:
        return bool(commune_now(code))
    except ContractError:
        return False


@pytest.mark.parametrize(
    ("number", "departement"),
    [
        (20_001, "02"),
        (950_650, "95"),
        (10_001, "01"),
        (6_200_001, "2A"),
        (7_200_002, "2B"),
        (9_710_003, "971"),
        (9_760_004, "976"),
        (9_750_001, "975"),
        (9_830_266, "988"),
        (9_840_021, "987"),
        (9_870_001, "986"),
    ],
)
def test_departement_of_a_school(number, departement):
    assert departement_of_uai(_uai(number)) == departement


@pytest.mark.parametrize("number", [200_001, 960_001, 990_001, 9_770_001, 9_880_001, 1_000_001, 7_500_001, 1])
def test_numbers_that_say_no_departement(number):
    assert repr(_uai(number)) in _problem(departement_of_uai, _uai(number)).found


@pytest.mark.parametrize("value", ["0020001A", "0020001", "", None, 20_001, "0020001c", "02A0001X"])
def test_what_is_no_school_number_is_refused(value):
    _problem(departement_of_uai, value)


def test_a_column_of_schools():
    column = pd.Series([_uai(20_001), "0020001A", _uai(960_001)], name="uai")
    with pytest.raises(ContractError) as caught:
        departements_of_uais(column, file="essai.csv", first_row=5)
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [(6, "uai"), (7, "uai")]


@pytest.mark.parametrize(
    ("code", "year", "name"),
    [
        ("14", 2019, "Caen"),
        ("50", 2019, "Caen"),
        ("61", 1997, "Caen"),
        ("27", 2019, "Rouen"),
        ("76", 2019, "Rouen"),
        ("14", 2020, "Normandie"),
        ("76", 2026, "Normandie"),
        ("94", 2019, "Créteil"),
        ("94", 2020, "Créteil"),
        ("02", 2016, "Amiens"),
    ],
)
def test_academies_through_the_years(code, year, name):
    assert academie_in(code, year) == name


def test_academies_not_described():
    with pytest.raises(MissingDataError):
        academie_in("971", 1996)
    for code in ("96", "002", "987"):
        with pytest.raises(ContractError):
            academie_in(code, 2020)


def _record(code, kind="commune-actuelle", **more):
    return {"code": code, "nom": f"Nom {code}", "type": kind, **more}


def test_the_derivation_on_a_small_world():
    # b joins a between the two vintages and stays delegated; c had joined a before, and is apart again.
    vintages = {
        2001: [
            _record("01001", anciensCodes=["01003"], codesPostaux=["01100"]),
            _record("01002"),
            _record("01003", "commune-deleguee", chefLieu="01001"),
        ],
        2002: [
            _record("01001", anciensCodes=["01002", "01009"], codesPostaux=["01100", "01110"]),
            _record("01002", "commune-deleguee", chefLieu="01001"),
            _record("01003", codesPostaux=["01100"]),
            _record("75101", "arrondissement-municipal", commune="75056"),
        ],
    }
    assert changed_codes(vintages) == [
        ("01002", "Nom 01002", "delegated", "01001", "2002"),
        ("01003", "Nom 01003", "recreated", "01001", "2002"),
        ("01009", "", "merged", "01001", ""),
        ("75101", "Nom 75101", "arrondissement", "75056", ""),
    ]
    assert code_runs({"01001", "01002", "01004", "2A001"}) == [
        ("01", "001", "002"),
        ("01", "004", "004"),
        ("2A", "001", "001"),
    ]
    assert postal_codes(vintages[2002]) == [("01100", "", "2"), ("01110", "01001", "1")]
    assert commune_tables(vintages)["in_force.csv"] == b"prefix,first,last\n01,001,001\n01,003,003\n"


def test_archives_are_checked(tmp_path):
    content = json.dumps([_record("01001")]).encode()
    path = tmp_path / "etalab-decoupage-administratif-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("package/data/communes.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    origin = {
        "vintage": {"2001": {"version": "1.0.0", "sha256": "0" * 64}, "2002": {"version": "2.0.0", "sha256": "0" * 64}}
    }
    with pytest.raises(ContractError) as caught:
        read_vintages(tmp_path, origin)
    assert [problem.found for problem in caught.value.problems] == ["an archive with another sha256", "no such file"]


def test_the_shipped_tables_are_small_and_say_where_they_come_from():
    assert sum(path.stat().st_size for path in HERE.iterdir()) < 400_000
    origin = tomllib.loads((HERE / "origin.toml").read_text(encoding="utf-8"))
    assert origin["licence"].startswith("Licence Ouverte")
    assert pd.read_csv(HERE / "changed.csv", dtype=str)["code"].is_unique
    # Insee: 34 935 communes on 1 January 2024, 34 875 on 1 January 2025, in the 101 départements.
    runs = pd.read_csv(HERE / "in_force.csv", dtype=str)
    inside = runs[~(runs["prefix"].eq("98") | runs["prefix"].eq("97") & runs["first"].gt("700"))]
    size = (inside["last"].astype(int) - inside["first"].astype(int) + 1).sum()
    assert size == 34_875 + 2  # and Saint-Pierre-et-Miquelon's two


@pytest.mark.opendata
@pytest.mark.parametrize(
    ("name", "separator", "column"),
    [
        ("donnees-dnb.csv", ",", "commune"),
        ("fr-en-adresse-et-geolocalisation*.csv", ";", "code_commune"),
        ("fr-en-ips_colleges.csv", ";", "Code INSEE de la commune"),
        ("fr-en-ips_ecoles.csv", ";", "Code INSEE de la commune"),
    ],
)
def test_every_commune_of_the_real_files_is_known(opendata, name, separator, column):
    codes = _raw(opendata, name, separator)[column]
    now = communes_now(codes, file=name)
    assert 0 < (now != codes).sum() < len(codes) / 100


@pytest.mark.opendata
def test_communes_and_schools_agree_with_the_directory(opendata):
    name = "fr-en-adresse-et-geolocalisation*.csv"
    raw = _raw(opendata, name)
    told = raw["code_departement"].map(normalise_departement)
    assert (departements_of_communes(raw["code_commune"], file=name) == told).all()
    differ = departements_of_uais(raw["numero_uai"], file=name) != told
    # Saint-Barthélemy and Saint-Martin are numbered with Guadeloupe, and only they.
    assert set(told[differ]) == {"977", "978"}
    assert set(raw.loc[differ, "numero_uai"].str[:3]) == {"971"}


@pytest.mark.opendata
def test_postal_codes_of_the_directory_are_refused(opendata):
    raw = _raw(opendata, "fr-en-adresse-et-geolocalisation*.csv")
    with pytest.raises(ContractError) as caught:
        communes_now(raw["code_postal_uai"], file="annuaire")
    remedies = [problem.remedy for problem in caught.value.problems]
    assert sum("postal code" in remedy for remedy in remedies) > 0.8 * len(remedies)


@pytest.mark.opendata
def test_academies_agree_with_the_exam_file(opendata):
    raw = _raw(opendata, "fr-en-resultats-detailles-au-dnb*.csv")
    pairs = raw[["Année", "Code département", "Académie"]].drop_duplicates()
    pairs = pairs[pairs["Année"] != "2020"]  # the file still writes Caen and Rouen for that session
    assert {"CAEN", "ROUEN", "NORMANDIE"} <= set(pairs["Académie"])
    for year, code, academie in pairs.itertuples(index=False):
        mine = academie_in(normalise_departement(code), int(year))
        if academie in ("CAEN", "ROUEN"):
            assert mine.upper() == academie
        else:
            assert mine == normalise_academie(academie)
