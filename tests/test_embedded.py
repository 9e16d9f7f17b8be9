"""The shipped figures: rebuilt byte for byte, equal to the reference values, never on too few schools or pupils."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from tne_eval.catalog import disclosure_rule, get_source
from tne_eval.errors import ContractError, MissingDataError
from tne_eval.paths import shipped
from tne_eval.sources import academie_of, describe_panel, list_departements, load_panel
from tne_eval.sources.build import build_embedded, find_files
from tne_eval.sources.panel import STATUSES
from tne_eval.sources.read import read_table
from tne_eval.sources.reconcile import format_reconciliation
from tne_eval.sources.tables import TABLES
from tne_eval.sources.tables.groups import weighted_quantile, with_ips_groups

EMBEDDED = shipped("embedded")
NAMES = [table.name for table in TABLES]
GROUPED = ["ips_ecoles", "ips_colleges", "dnb_colleges", "ivac_colleges"]


def _read(name: str) -> pd.DataFrame:
    table = next(table for table in TABLES if table.name == name)
    text = {field.name: "string" for field in table.fields if field.type == "string"}
    blanks = {field.name: [""] for field in table.fields if field.type != "string"}
    return pd.read_csv(EMBEDDED / f"{name}.csv", dtype=text, keep_default_na=False, na_values=blanks)


def _raw(opendata: Path, source: str) -> pd.DataFrame:
    (path,) = find_files(opendata, get_source(source))
    return read_table(path, get_source(source))


def _package() -> dict:
    return json.loads((EMBEDDED / "datapackage.json").read_text(encoding="utf-8"))


# What the committed figures are, with no raw file at hand.


def test_the_package_describes_every_file():
    resources = {resource["path"]: resource for resource in _package()["resources"]}
    files = {path.name for path in EMBEDDED.iterdir()}
    assert set(resources) | {"datapackage.json"} == files
    for path, resource in resources.items():
        raw = (EMBEDDED / path).read_bytes()
        assert resource["hash"] == f"sha256:{hashlib.sha256(raw).hexdigest()}"
        assert resource["bytes"] == len(raw)
        assert resource["sources"] and all(source["path"].startswith("https://") for source in resource["sources"])
        assert resource["licenses"][0]["name"] == "etalab-2.0"
        assert b"\r" not in raw
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_table_keeps_its_schema(name):
    table = next(table for table in TABLES if table.name == name)
    frame = _read(name)
    assert list(frame.columns) == [field.name for field in table.fields]
    keys = frame[list(table.key)]
    assert not keys.duplicated().any() and not keys.isna().any(axis=None)
    assert keys.astype(str).equals(frame.sort_values(list(table.key))[list(table.key)].astype(str))
    for field in table.fields:
        if field.variable and not field.empty:
            assert frame[field.name].notna().all(), field.name


def test_the_panel_holds_every_variable_once():
    panel = load_panel()
    assert set(panel["status"].unique()) <= set(STATUSES)
    assert (panel["value"].isna() == (panel["status"] != "observed")).all()
    key = ["unit_type", "unit", "period_type", "period", "group", "variable"]
    assert not panel.duplicated(key).any()
    departements = set(panel.loc[panel["unit_type"] == "departement", "unit"].unique())
    assert departements == set(list_departements())
    academies = set(panel.loc[panel["unit_type"] == "academie", "unit"].unique())
    assert academies == {academie_of(code) for code in list_departements()}
    assert set(panel.loc[panel["unit_type"] == "france", "unit"].unique()) == {"France"}
    assert list(describe_panel(panel)["table"]) == NAMES


@pytest.mark.parametrize("name", GROUPED)
def test_no_group_under_three_schools_or_eleven_pupils(name):
    rule = disclosure_rule()
    frame = _read(name)
    assert frame["schools"].min() >= rule["min_schools"] == 3
    pupils = {
        "ips_ecoles": "ips_ecole_pupils",
        "ips_colleges": "ips_college_pupils",
        "dnb_colleges": "dnb_college_present",
        "ivac_colleges": "ivac_candidates",
    }[name]
    assert frame[pupils].dropna().min() >= rule["min_pupils"] == 11
    assert set(frame["departement"]) == set(list_departements())
    assert set(frame["ips_group"]) <= {f"{number:02d}" for number in range(1, 21)}
    mean = next(column for column in frame if column.endswith("mean"))
    period = "session" if "session" in frame else "school_year"
    assert frame.groupby(["departement", period])[mean].is_monotonic_increasing.all()
    spread = frame.groupby(["departement", period])["schools"].agg(lambda schools: schools.max() - schools.min())
    assert spread.max() <= 1


def test_no_dnb_figure_under_eleven_pupils():
    frame = _read("dnb")
    assert len(frame) == 101 * 2 * 2 * frame["session"].nunique()
    assert frame["dnb_present"].min() >= 11
    assert frame["dnb_girls_present"].min() >= 11
    assert (frame["dnb_present"] - frame["dnb_girls_present"]).min() >= 11
    statuses = frame.loc[frame["dnb_girls_present"].isna(), "girls_status"].value_counts().to_dict()
    assert statuses == {"hidden_by_producer": 205, "hidden": 12}
    girls = [name for name in frame if name.startswith("dnb_girls_")]
    assert (frame[girls].isna().nunique(axis=1) == 1).all()


def test_no_pupils_of_one_or_two_colleges_even_by_subtraction():
    frame = _read("colleges")
    assert (frame["colleges"] >= 3).all()
    rep, rep_plus = frame["rep_colleges"], frame["rep_plus_colleges"]
    other = frame["colleges"] - rep - rep_plus
    shown = {name: frame[f"{name}_pupils"].notna() for name in ("priority", "rep", "rep_plus")}
    assert not (shown["priority"] & ((rep + rep_plus).between(1, 2) | other.between(1, 2))).any()
    assert not (shown["rep"] & rep.between(1, 2)).any()
    assert not (shown["rep_plus"] & rep_plus.between(1, 2)).any()
    # With the sum and one part shown, the other part is known; with both parts, all others are.
    assert not (shown["priority"] & shown["rep"] & rep_plus.between(1, 2)).any()
    assert not (shown["priority"] & shown["rep_plus"] & rep.between(1, 2)).any()
    assert not (shown["rep"] & shown["rep_plus"] & other.between(1, 2)).any()
    whole = shown["priority"] & shown["rep"] & shown["rep_plus"]
    assert (frame["priority_pupils"] == frame["rep_pupils"] + frame["rep_plus_pupils"])[whole].all()
    shown = frame["private_pupils"].notna()
    public = frame["colleges"] - frame["private_colleges"]
    assert not (shown & (frame["private_colleges"].between(1, 2) | public.between(1, 2))).any()


def _success(frame: pd.DataFrame) -> pd.Series:
    totals = frame.groupby("session")[["dnb_admitted", "dnb_present"]].sum()
    return (100 * totals["dnb_admitted"] / totals["dnb_present"]).round(1)


def test_dnb_success_rates_of_the_reference():
    frame = _read("dnb")
    assert list(_success(frame[frame["departement"] == "02"])) == [84.5, 87.9, 88.0, 84.7, 88.5, 86.1, 80.8, 83.6, 80.8]
    assert list(_success(frame[frame["departement"] == "95"])) == [86.2, 88.6, 86.3, 85.6, 89.1, 85.6, 85.3, 86.9, 79.1]
    treated = ["02", "13", "18", "2A", "25", "29", "34", "38", "86", "88", "95", "971"]
    never = _success(frame[~frame["departement"].isin(treated)])
    assert list(never) == [87.4, 89.1, 87.4, 86.5, 90.4, 88.2, 87.8, 89.1, 85.8]


def test_segregation_of_the_reference():
    frame = _read("segregation").set_index(["unit", "school_year"])["disadvantaged_percent"]
    assert frame[("02", 2014)] == 50.6 and frame[("02", 2024)] == 49.0
    assert frame[("95", 2014)] == 34.4 and frame[("95", 2024)] == 35.6


def test_priority_education_of_the_reference():
    frame = _read("colleges").set_index(["departement", "school_year"])
    for code, expected in {"02": [11, 4], "95": [28, 7]}.items():
        for year in range(2019, 2024):
            assert list(frame.loc[(code, year), ["rep_colleges", "rep_plus_colleges"]]) == expected
    # A collège opened in 2024 in the Val-d'Oise, in REP.
    assert frame.loc[("95", 2024), "rep_colleges"] == 29


def test_fibre_of_the_reference():
    frame = _read("fibre").pivot(index="quarter", columns="departement", values="fibre_percent")
    quarters = [20174, 20194, 20204, 20223]
    assert list(frame.loc[quarters, "02"]) == [20, 62, 80, 96]
    assert list(frame.loc[quarters, "95"]) == [47, 78, 92, 96]
    assert list(frame.loc[quarters].median(axis=1)) == [16, 32, 49, 74.5]
    assert frame.loc[20242, "02"] == 97.17
    assert frame.index.max() == 20242
    missing = frame.isna().stack()
    assert set(missing[missing].index.get_level_values(1)) == {"976"}


def test_digital_fragility_of_the_reference():
    frame = _read("ifn").set_index("departement")
    assert frame.loc["02", "ifn_mean"].round(1) == 99.6
    assert frame.loc["95", "ifn_mean"].round(1) == 94.8
    assert frame["ifn_mean"].median().round(1) == 99.2
    assert set(list_departements()) - set(frame.index) == {"971", "973", "976"}
    cuts = frame[["ifn_d1", "ifn_q1", "ifn_median", "ifn_q3", "ifn_d9"]]
    assert (cuts.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_counters_and_skills_hold_what_was_observed():
    counters = _read("tne_counters")
    assert counters["tne_attendances"].sum() == 53_491
    assert counters["tne_pupils_reached"].sum() == 2_435_461
    assert set(counters["month"]) == {202503, 202506}
    skills = _read("skills")
    assert sorted(skills["date"].unique()) == [20220901, 20231201]
    france = skills[skills["unit"] == "France"].set_index("date")
    assert list(france["skill_6e_fluency"]) == [55.6, 57.3]
    assert list(france["skill_6e_problems"]) == [44.9, 48.6]


def test_outlines_are_light_valid_and_complete():
    raw = (EMBEDDED / "contours.json").read_bytes()
    assert len(raw) < 120_000
    features = json.loads(raw)["features"]
    assert [feature["properties"]["code"] for feature in features] == list_departements()
    outlines = np.array([shapely.geometry.shape(feature["geometry"]) for feature in features])
    assert shapely.is_valid(outlines).all() and not shapely.is_empty(outlines).any()
    assert shapely.coverage_is_valid(outlines)


# Independent checks of the statistics.


@pytest.mark.parametrize("seed", range(5))
def test_weighted_quantiles_against_numpy_and_against_copies(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 50, 200).astype(float)
    weights = rng.integers(0, 9, 200).astype(float)
    shares = [0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
    ours = weighted_quantile(values, weights, shares)
    np.testing.assert_array_equal(ours, np.quantile(values, shares, weights=weights, method="inverted_cdf"))
    copies = np.sort(np.repeat(values, weights.astype(int)))
    expected = [copies[max(int(np.ceil(share * len(copies) - 1e-9)) - 1, 0)] for share in shares]
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 6, 59, 60, 61, 139, 1000])
def test_groups_are_nearly_equal_cuts_of_the_sorted_schools(size):
    rng = np.random.default_rng(size)
    schools = pd.DataFrame({"dep": "02", "ips": rng.integers(80, 90, size), "uai": rng.permutation(size).astype(str)})
    grouped, left_out = with_ips_groups(schools, ["dep"], "ips", "uai")
    if size < 3:
        assert grouped.empty and list(left_out["schools"]) == [size] * bool(size)
        return
    ordered = sorted(zip(schools["ips"], schools["uai"], strict=True))
    expected = [list(map(tuple, part)) for part in np.array_split(np.array(ordered, dtype=object), min(20, size // 3))]
    found = [list(zip(part["ips"], part["uai"], strict=True)) for _, part in grouped.groupby("ips_group")]
    assert found == expected
    assert left_out.empty


def test_groups_short_of_pupils_are_merged():
    schools = pd.DataFrame({"dep": "02", "ips": range(9), "uai": list("abcdefghi"), "pupils": [1] * 3 + [9] * 6})
    grouped, left_out = with_ips_groups(schools, ["dep"], "ips", "uai", "pupils")
    assert grouped.groupby("ips_group")["uai"].agg("".join).to_dict() == {"01": "abcde", "02": "fghi"}
    assert left_out.empty
    grouped, left_out = with_ips_groups(schools.assign(pupils=1), ["dep"], "ips", "uai", "pupils")
    assert grouped.empty and list(left_out["schools"]) == [9]


# From the raw files.


@pytest.fixture(scope="module")
def rebuilt(opendata, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures") / "embedded"
    return build_embedded(opendata, folder), folder


@pytest.mark.opendata
def test_a_rebuild_equals_the_committed_figures_byte_for_byte(rebuilt):
    result, folder = rebuilt
    assert {path.name for path in result.written} == {path.name for path in EMBEDDED.iterdir()}
    for path in result.written:
        assert path.read_bytes() == (EMBEDDED / path.name).read_bytes(), path.name
    assert [path.name for path in folder.parent.iterdir()] == ["embedded"]
    assert result.left_out == ()
    assert "barometre_2023 / fibre_2024" in format_reconciliation(result.reconciliation)


@pytest.mark.opendata
def test_ips_means_of_the_reference(opendata):
    before, after = _raw(opendata, "ips_colleges_2021"), _raw(opendata, "ips_colleges_2022")
    means = [raw.groupby("code_du_departement")["ips"].mean().round(1) for raw in (before, after)]
    assert [mean["02"] for mean in means] == [92.2, 93.7]
    assert [mean["95"] for mean in means] == [105.1, 104.5]
    sizes = after.groupby("code_du_departement").size()
    assert (sizes["02"], sizes["95"]) == (71, 138)
    assert before["ips"].isna().sum() == 5


@pytest.mark.opendata
def test_ips_groups_against_brute_force(opendata):
    raw = _raw(opendata, "ips_colleges_2022")
    table = _read("ips_colleges")
    for code in ("02", "95", "2A", "976", "59"):
        schools = sorted(
            raw[raw["code_du_departement"] == code][["ips", "uai", "effectifs"]].itertuples(index=False, name=None)
        )
        count = min(20, len(schools) // 3)
        size, more = divmod(len(schools), count)
        rows = table[(table["departement"] == code) & (table["school_year"] == 2022)]
        assert len(rows) == count
        start = 0
        for number, row in enumerate(rows.itertuples()):
            part = schools[start : start + size + (number < more)]
            start += len(part)
            pupils = sum(school[2] for school in part)
            assert row.schools == len(part)
            assert row.ips_college_pupils == pupils
            assert row.ips_college_mean == pytest.approx(sum(s[0] * s[2] for s in part) / pupils, abs=5.1e-4)


@pytest.mark.opendata
def test_groups_add_up_to_the_colleges_they_are_made_of(opendata):
    raw = _raw(opendata, "dnb_colleges_2021")
    table = _read("dnb_colleges")
    assert table["schools"].sum() == len(raw) == 6_935
    assert table["dnb_college_present"].sum() == raw["presents"].sum() == 789_901
    admitted = (table["dnb_college_success_percent"] * table["dnb_college_present"] / 100).sum()
    assert admitted == pytest.approx(raw["admis"].sum(), abs=5)


@pytest.mark.opendata
def test_linkage_of_colleges_by_uai(opendata):
    first, later = _raw(opendata, "dnb_colleges_2021"), _raw(opendata, "ivac")
    seen = later.groupby("uai")["session"].nunique()
    always = first[first["numero_college"].isin(seen.index[seen == 3])]
    assert len(always) == 6_525
    counts = always.groupby("code_departement").size()
    assert (counts["02"], counts["95"]) == (65, 132)
    groups = _read("ivac_colleges")
    assert groups.groupby("session")["schools"].sum().to_dict() == {2022: 6_621, 2023: 6_613, 2024: 6_627}
    assert groups.groupby("session")["ips_lag"].unique().map(list).to_dict() == {2022: [0], 2023: [0], 2024: [1]}


@pytest.mark.opendata
def test_reconciliation_of_sources(rebuilt):
    table = rebuilt[0].reconciliation.set_index(["comparison", "right_source"])
    fibre = table.loc[("fibre_percent, trimestres communs", "fibre_2024")]
    assert fibre["compared"] == 200 and fibre["largest_difference"] <= 0.5
    enrolment = table.loc[("nombre_eleves_total par collège, rentrée 2020", "dnb_colleges_2021")]
    assert enrolment["compared"] == 6_934 and enrolment["differing"] == 0
    present = table.loc[("dnb_present, session 2021", "dnb_colleges_2021")]
    assert (present["left"], present["right"]) == (842_617, 789_901)


def _linked(opendata: Path, folder: Path) -> Path:
    """The raw folder again, file by file, so that a test may change one."""
    for path in opendata.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(opendata)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    return folder


@pytest.mark.opendata
def test_every_missing_source_is_named_at_once(opendata, tmp_path):
    raw = _linked(opendata, tmp_path / "raw")
    shutil.rmtree(raw / "fibre")
    shutil.rmtree(raw / "contours")
    with pytest.raises(MissingDataError) as caught:
        build_embedded(raw, tmp_path / "out")
    for id in ("barometre_2023", "fibre_2024", "contours"):
        assert id in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.opendata
def test_broken_files_are_all_named_and_nothing_is_written(opendata, tmp_path):
    raw = _linked(opendata, tmp_path / "raw")
    shutil.copytree(EMBEDDED, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for place, old, new in (
        ("ips/fr-en-ips_colleges.csv", ";98.5\n", ";9,85\n"),
        ("segregation/fr-en-indicateur_segregation_sociale_colleges.csv", '"002"', '"2"'),
        ("contours/departements-1000m.geojson", '"code":"02"', '"code":"2"'),
    ):
        text = (raw / place).read_text(encoding="utf-8")
        assert old in text
        (raw / place).unlink()
        (raw / place).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        build_embedded(raw, tmp_path / "out")
    assert {problem.file for problem in caught.value.problems} == {
        "fr-en-ips_colleges.csv",
        "fr-en-indicateur_segregation_sociale_colleges.csv",
        "departements-1000m.geojson",
    }
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]


@pytest.mark.opendata
def test_later_editions_enter_without_a_change_of_code(opendata, tmp_path):
    raw = _linked(opendata, tmp_path / "raw")
    dnb = raw / "dnb-departement" / "fr-en-resultats-detailles-au-dnb_2016-2024.csv"
    table = pd.read_csv(dnb, sep=";", dtype=str, keep_default_na=False)
    added = table[table["Année"] == "2024"].assign(Année="2025")
    added["Code département"] = added["Code département"].str.zfill(3)
    for column in ("Inscrits", "Présents", "Admis", "Admis sans mention"):
        added[column] = (added[column].astype(int) + 1).astype(str)
    dnb.unlink()
    later = raw / "fr-en-resultats-detailles-au-dnb.csv"
    pd.concat([table, added]).to_csv(later, sep=";", index=False, encoding="utf-8-sig")
    ips = pd.read_csv(raw / "ips" / "fr-en-ips-colleges-ap2022.csv", sep=";", dtype=str, keep_default_na=False)
    ips = ips.assign(rentree_scolaire="2023-2024", ips_national="105.0", effectifs=ips["effectifs"].str[:-2])
    ips = ips.rename(columns={"nom_de_l_etablissment": "nom_de_l_etablissement"})
    ips.to_csv(raw / "ips" / "fr-en-ips-colleges-ap2023.csv", sep=";", index=False)
    build_embedded(raw, tmp_path / "out")
    panel = load_panel(tmp_path / "out")
    assert panel[panel["variable"] == "dnb_present"]["period"].max() == 2025
    assert (panel[panel["variable"] == "dnb_present"].groupby("period").size() == 404).all()
    assert panel[panel["variable"] == "ips_college_mean"]["period"].max() == 2023
    groups = pd.read_csv(tmp_path / "out" / "ivac_colleges.csv")
    assert set(groups["ips_lag"]) == {0}
    resources = json.loads((tmp_path / "out" / "datapackage.json").read_text(encoding="utf-8"))["resources"]
    assert resources[0]["vintage"] == "2016-2025" and resources[0]["until"] == "2025-06"


@pytest.mark.opendata
def test_two_editions_that_disagree_are_refused(opendata, tmp_path):
    raw = _linked(opendata, tmp_path / "raw")
    ips = pd.read_csv(raw / "ips" / "fr-en-ips-colleges-ap2022.csv", sep=";", dtype=str, keep_default_na=False)
    ips.to_csv(raw / "fr-en-ips-colleges-ap2022 (1).csv", sep=";", index=False)
    build_embedded(raw, tmp_path / "same")
    assert (tmp_path / "same" / "ips_colleges.csv").read_bytes() == (EMBEDDED / "ips_colleges.csv").read_bytes()
    ips.loc[3, "ips"] = "99.9"
    ips.to_csv(raw / "fr-en-ips-colleges-ap2022 (1).csv", sep=";", index=False)
    with pytest.raises(ContractError) as caught:
        build_embedded(raw, tmp_path / "other")
    assert len(caught.value.problems) == 1
    assert not (tmp_path / "other").exists()


def test_the_latest_vintage_under_a_source_is_the_one_that_is_built(tmp_path):
    from tne_eval.catalog import get_source
    from tne_eval.sources.build import find_files

    name = "fr-en-indicateurs-valeur-ajoutee-colleges.csv"
    for place in ("ivac/2024", "ivac/2025", "ivac/.part", ".part/ivac", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / name).touch()
    assert find_files(tmp_path, get_source("ivac")) == [tmp_path / "ivac" / "2025" / name]
    (tmp_path / "ivac").rename(tmp_path / "others")
    assert [path.parent.name for path in find_files(tmp_path, get_source("ivac"))] == ["elsewhere", "2024", "2025"]
