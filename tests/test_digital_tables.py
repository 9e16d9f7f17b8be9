"""Tables of digital use made from fetched files: sums done by hand, blanks, and a build that has none of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tne_eval.catalog import get_source
from tne_eval.errors import ContractError
from tne_eval.sources import build
from tne_eval.sources.panel import load_panel
from tne_eval.sources.read import read_table
from tne_eval.sources.tables import FETCHED, TABLES
from tne_eval.sources.tables.digital import ENT_DEVICES, ENT_USE, PIX_CAMPAIGNS, PIX_CERTIFICATIONS, PREMISES
from tne_eval.sources.tables.places import ILLECTRONISME

# The check letter of a UAI: the one at (its seven digits) modulo 23.
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
MONTHS = ("09", "10", "11", "12", "01", "02", "03", "04", "05", "06")


def _uai(number: int) -> str:
    return f"{number:07d}{_LETTERS[number % 23]}"


def _csv(folder, name: str, rows: list[dict], separator: str = ";"):
    path = folder / name
    pd.DataFrame(rows).to_csv(path, sep=separator, index=False)
    return path


def _frame(folder, source: str, name: str, rows: list[dict]) -> pd.DataFrame:
    entry = get_source(source)
    return read_table(_csv(folder, name, rows, entry.separator), entry)


def _cells(table: pd.DataFrame, period: str = "school_year") -> pd.DataFrame:
    return table.set_index(["departement", period])


def _week(number: int, day: str, pupils, users=20, parents=1, teachers=2) -> dict:
    profiles = {
        "globales": (0, 0),
        "eleve": (pupils, users),
        "parent": (parents, 11),
        "enseignant": (teachers, 4),
        "admin_vie_scol_tech": (0, 0),
    }
    counts = {}
    for name, (visits, people) in profiles.items():
        counts |= {f"visites_{name}": visits, f"utilisateurs_{name}": people}
    return {"departement": "Aisne", "uai": _uai(number), "debutsemaine": day} | counts


def _year(number: int, pupils: int, **other) -> list[dict]:
    """A week in each of ten months of 2022-2023."""
    return [_week(number, f"{2022 if month > '08' else 2023}-{month}-05", pupils, **other) for month in MONTHS]


def _ent(folder) -> list[dict]:
    return [
        *(row for number in (20001, 20002, 20003) for row in _year(number, 100)),
        _week(20001, "2023-08-28", 7),  # the last week of August is still of 2022-2023
        _week(20001, "2023-09-04", 5000),  # and this one of 2023-2024, which has only begun
        *(row for number in (600001, 600002) for row in _year(number, 50)),  # two schools: hidden
        *(row for number in (800001, 800002, 800003) for row in _year(number, 10, users=3)),  # nine pupils: hidden
        *_year(990001, 900),  # abroad
    ]


def test_visits_by_school_year(tmp_path):
    raw = _frame(tmp_path, "dnma_profils", "fr-en-dnma-par-uai-profils.csv", _ent(tmp_path))
    table = _cells(ENT_USE.make({"dnma_profils": raw}))
    assert list(table.index) == [("02", 2022), ("02", 2023), ("60", 2022), ("80", 2022)]
    # 3 schools × 10 weeks × 100, and 7; parents 3 × 10 + 1; teachers twice as many.
    aisne = table.loc[("02", 2022)]
    assert list(aisne[["schools", "ent_visits_pupils", "ent_visits_parents", "ent_visits_teachers"]]) == [
        3,
        3007,
        31,
        62,
    ]
    assert aisne["ent_visits_pupils_status"] == "observed"
    assert table.loc[("60", 2022), "ent_visits_pupils_status"] == "hidden"
    somme = table.loc[("80", 2022)]
    assert np.isnan(somme["ent_visits_pupils"]) and somme["ent_visits_pupils_status"] == "hidden"
    assert somme["ent_visits_parents"] == 30 and somme["ent_visits_parents_status"] == "observed"


def test_a_school_year_not_yet_over_and_a_blank_cell_are_missing(tmp_path):
    numbers = (20001, 20002, 20003)
    rows = [row for number in numbers for row in _year(number, 100)]
    rows[0]["visites_eleve"] = None
    rows += [_week(number, "2023-09-04", 5) for number in numbers]
    raw = _frame(tmp_path, "dnma_profils", "fr-en-dnma-par-uai-profils.csv", rows)
    table = _cells(ENT_USE.make({"dnma_profils": raw}))
    assert list(table["ent_visits_pupils_status"]) == ["missing", "missing"]
    assert list(table["ent_visits_parents_status"]) == ["observed", "missing"]
    assert table["ent_visits_pupils"].isna().all()


def _months(rows_a_month: int | None, pupils: int, users: int) -> list[dict]:
    rows = _year(20001, pupils, users=users)
    for row in rows:
        day = row.pop("debutsemaine")
        del row["uai"]
        row |= {"annee": int(day[:4]), "mois": int(day[5:7]), "lignes": rows_a_month}
    return rows


def _of_server(folder, rows: list[dict]) -> pd.DataFrame:
    raw = _frame(folder, "dnma_profils", "fr-en-dnma-par-uai-profils.csv", rows)
    return _cells(ENT_USE.make({"dnma_profils": raw}))


def test_sums_by_the_server_count_schools_at_the_least(tmp_path):
    rows = _months(11, 300, 60)
    rows += [row | {"departement": "Etranger"} for row in rows]
    rows.append(rows[0] | {"annee": 2022, "mois": 8})  # a month of another school year, which it does not fill
    table = _of_server(tmp_path, rows)
    assert list(table.index) == [("02", 2021), ("02", 2022)]
    # Eleven rows in a month of at most five weeks are of three schools at least, sixty weekly users twelve people.
    assert table.loc[("02", 2022), ["schools", "ent_visits_pupils", "ent_visits_pupils_status"]].tolist() == [
        3,
        3000,
        "observed",
    ]
    # Four parents a week at least would be too few people: 11 × 1 / 5.
    assert table.loc[("02", 2022), "ent_visits_parents_status"] == "hidden"
    assert table.loc[("02", 2021), "ent_visits_pupils_status"] == "missing"


@pytest.mark.parametrize(("rows_a_month", "users"), [(10, 60), (11, 50), (None, 60)])
def test_sums_by_the_server_on_too_few_schools_or_people_are_hidden(tmp_path, rows_a_month, users):
    table = _of_server(tmp_path, _months(rows_a_month, 300, users))
    assert table["ent_visits_pupils"].isna().all() and set(table["ent_visits_pupils_status"]) == {"hidden"}


def _device_months(**changed) -> list[dict]:
    row = {
        "departement": "Aisne",
        "lignes": 15,
        "visites_ordinateur": 60,
        "visites_smartphone": 30,
        "visites_tablette": 10,
    }
    return [row | {"annee": 2022 if month > "08" else 2023, "mois": int(month)} | changed for month in MONTHS]


def _devices(folder, rows: list[dict]) -> pd.Series:
    raw = _frame(folder, "dnma_appareils", "fr-en-dnma-par-uai-appareils.csv", rows)
    return _cells(ENT_DEVICES.make({"dnma_appareils": raw})).loc[("02", 2022)]


def test_devices_of_a_whole_school_year(tmp_path):
    found = _devices(tmp_path, _device_months())
    assert found[["schools", "ent_visits_by_smartphone", "ent_visits_by_device"]].tolist() == [3, 300, 1000]
    assert _devices(tmp_path, _device_months(lignes=10))["ent_visits_by_device_status"] == "hidden"
    assert _devices(tmp_path, _device_months()[1:])["ent_visits_by_device_status"] == "missing"
    assert _devices(tmp_path, _device_months(visites_tablette=None))["ent_visits_by_device_status"] == "missing"


def test_devices_by_school_are_refused(tmp_path):
    rows = [
        {"departement": "Aisne", "uai": _uai(20001), "debutsemaine": "2022-09-05"}
        | dict.fromkeys(("visites_ordinateur", "visites_smartphone", "visites_tablette"), 1)
    ]
    raw = _frame(tmp_path, "dnma_appareils", "fr-en-dnma-par-uai-appareils.csv", rows)
    with pytest.raises(ContractError, match="the server's sums"):
        ENT_DEVICES.make({"dnma_appareils": raw})


def test_illectronisme_is_weighted_by_the_people_of_the_departement():
    """One intercommunalité on two départements: each takes its own communes; a small unknown part is left out."""
    communes = ["02001", "02408", "60057", "60159", "80021"]
    frames = {
        "illectronisme": pd.DataFrame({"code_epci": ["A", "B", "C"], "taux_illectronisme": [20.0, 10.0, None]}),
        "epci": pd.DataFrame(
            {"code_commune": communes, "epci": ["A", "B", "B", "C", "C"], "departement": ["02", "02", "60", "60", "80"]}
        ),
        "populations": pd.DataFrame({"code_commune": communes, "population_municipale": [300, 100, 95, 5, 50]}),
    }
    table = ILLECTRONISME.make(frames).set_index("departement")
    assert table.loc["02", ["illectronisme_percent", "population_covered_percent"]].tolist() == [17.5, 100]
    assert table.loc["60", ["illectronisme_percent", "population_covered_percent"]].tolist() == [10, 95]
    assert np.isnan(table.loc["80", "illectronisme_percent"]) and table.loc["80", "population_covered_percent"] == 0


def test_a_city_of_arrondissements_counts_in_its_intercommunalite():
    """Populations are by arrondissement, intercommunalités by city: Marseille outweighs Aubagne four to one."""
    frames = {
        "illectronisme": pd.DataFrame({"code_epci": ["A", "B"], "taux_illectronisme": [20.0, 10.0]}),
        "epci": pd.DataFrame({"code_commune": ["13055", "13005"], "epci": ["A", "B"], "departement": ["13", "13"]}),
        "populations": pd.DataFrame(
            {"code_commune": ["13201", "13216", "13005"], "population_municipale": [100, 300, 100]}
        ),
    }
    table = ILLECTRONISME.make(frames).set_index("departement")
    assert table.loc["13", ["illectronisme_percent", "population_covered_percent"]].tolist() == [18, 100]


def _campaign(number: int, level: str, parts: list, total, code: str = "002") -> list[dict]:
    return [
        {
            "annee": 2023,
            "uai": _uai(number),
            "departement_code": code,
            "niveau_scolaire": level,
            "palier": palier,
            "total_participation_par_palier": part,
            "total_participants": total,
        }
        for palier, part in enumerate(parts)
    ]


def test_a_total_repeated_on_each_palier_is_taken_once(tmp_path):
    rows = [
        *_campaign(20001, "6EME", [10, 20, 30], 60),
        *_campaign(20001, "3EME", [1, 2], None),  # no total: 3
        *_campaign(20001, "TERMINALE", [400], 400),  # no level of collège
        *_campaign(20002, "6EME", [5, 5], 10),
        *_campaign(20003, "6EME", [8], 8),
        *_campaign(600001, "6EME", [50], 50, "060"),
        *(row for number in (800001, 800002, 800003) for row in _campaign(number, "6EME", [None, 9], None, "080")),
    ]
    name = "fr-en-pix_resultats_des_campagnes_de_rentree_par_eple.csv"
    table = _cells(PIX_CAMPAIGNS.make({"pix_campagnes": _frame(tmp_path, "pix_campagnes", name, rows)}))
    assert table.loc[("02", 2023), ["schools", "pix_campaign_participants"]].tolist() == [3, 60 + 3 + 10 + 8]
    assert table.loc[("60", 2023), "pix_campaign_participants_status"] == "hidden"
    assert table.loc[("80", 2023), "pix_campaign_participants_status"] == "missing"
    assert np.isnan(table.loc[("80", 2023), "pix_campaign_participants"])


@pytest.mark.parametrize("level", ["6e", "5EME", "4ème", "3 EME", "SIXIEME", "Troisième", "3EME PREPA METIERS"])
def test_levels_of_college(tmp_path, level):
    rows = [row for number in (20001, 20002, 20003) for row in _campaign(number, level, [5], 5)]
    name = "fr-en-pix_resultats_des_campagnes_de_rentree_par_eple.csv"
    table = PIX_CAMPAIGNS.make({"pix_campagnes": _frame(tmp_path, "pix_campagnes", name, rows)})
    assert table["pix_campaign_participants"].tolist() == [15]


def test_a_file_without_a_level_of_college_is_refused(tmp_path):
    name = "fr-en-pix_resultats_des_campagnes_de_rentree_par_eple.csv"
    raw = _frame(tmp_path, "pix_campagnes", name, _campaign(20001, "2NDE", [5], 5))
    with pytest.raises(ContractError, match="2NDE"):
        PIX_CAMPAIGNS.make({"pix_campagnes": raw})


def _certification(number: int, present: int, certified: int, code: str) -> dict:
    return {
        "annee": 2023,
        "departement_code": code,
        "uai": _uai(number),
        "secteur": "PUBLIC",
        "inscrits": 900,
        "inscrits_distincts": 900,
        "participants": present,
        "certifies": certified,
    }


CERTIFICATIONS = [
    *(_certification(number, 40, 30, "002") for number in (20001, 20002, 20003)),
    # One of three schools has nobody present: the sum would show two.
    *(_certification(number, present, 0, "060") for number, present in ((600001, 40), (600002, 40), (600003, 0))),
]


def test_pix_certifications(tmp_path):
    name = "fr-en-pix_certification_pix_inscription_et_passation_par_eple.csv"
    raw = _frame(tmp_path, "pix_certifications", name, CERTIFICATIONS)
    table = _cells(PIX_CERTIFICATIONS.make({"pix_certifications": raw}))
    assert table.loc[("02", 2023), ["pix_participants", "pix_certified"]].tolist() == [120, 90]
    assert table.loc[("60", 2023), ["pix_participants_status", "pix_certified_status"]].tolist() == ["hidden"] * 2


def test_a_blank_departement_is_refused(tmp_path):
    name = "fr-en-pix_certification_pix_inscription_et_passation_par_eple.csv"
    raw = _frame(tmp_path, "pix_certifications", name, [_certification(20001, 40, 30, "")])
    with pytest.raises(ContractError, match="departement_code"):
        PIX_CERTIFICATIONS.make({"pix_certifications": raw})


PREMISES_ROWS = [
    {"code_dep": "02", "type": "all", "date": "2023-12-31", "nbr": 100, "elig_ftth": 80, "elig_4gf": 30},
    {"code_dep": "02", "type": "pro", "date": "2023-12-31", "nbr": 10, "elig_ftth": 8, "elig_4gf": 3},
    {"code_dep": "60", "type": "all", "date": "2023-12-31", "nbr": 100, "elig_ftth": 80, "elig_4gf": None},
]


def test_premises(tmp_path):
    raw = _frame(tmp_path, "arcep_fibre_departement", "departement_techno.csv", PREMISES_ROWS)
    table = _cells(PREMISES.make({"arcep_fibre_departement": raw}), "quarter")
    assert list(table.index) == [("02", 20234), ("60", 20234)]
    assert table["premises"].tolist() == [100, 100]
    assert table["premises_4g_fixed"].iloc[0] == 30 and np.isnan(table["premises_4g_fixed"].iloc[1])


@pytest.mark.opendata
def test_a_build_adds_the_tables_whose_files_are_there(opendata, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    needed = {id for table in TABLES for id in table.sources} | {build.CONTOURS}
    for path in {path for id in needed for path in build.find_files(opendata, get_source(id))}:
        (raw / path.name).symlink_to(path)
    plain = build.build_embedded(raw, tmp_path / "plain")
    names = {path.name for path in plain.written}
    assert not names & {f"{table.name}.csv" for table in FETCHED}
    assert {id for table in FETCHED for id in table.sources} - needed <= set(plain.skipped)

    _csv(raw, "departement_techno.csv", PREMISES_ROWS, get_source("arcep_fibre_departement").separator)
    _csv(raw, "fr-en-dnma-par-uai-profils.csv", _ent(raw))
    more = build.build_embedded(raw, tmp_path / "more")
    assert {path.name for path in more.written} - names == {"premises.csv", "ent_use.csv"}
    assert set(plain.skipped) - set(more.skipped) == {"arcep_fibre_departement", "dnma_profils"}
    for name in names - {"datapackage.json"}:
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "more" / name).read_bytes()
    resources = json.loads((tmp_path / "more" / "datapackage.json").read_text(encoding="utf-8"))["resources"]
    assert {"premises", "ent_use"} <= {resource["name"] for resource in resources}
    panel = load_panel(tmp_path / "more")
    found = panel[(panel["variable"] == "ent_visits_pupils") & (panel["unit"] == "02")]
    assert found[["period", "value", "n", "status"]].values.tolist()[0] == [2022, 3007, 3, "observed"]
    assert (panel["value"].isna() == (panel["status"] != "observed")).all()
    shipped = load_panel()
    assert set(shipped["variable"]) < set(panel["variable"])
