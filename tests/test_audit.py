"""The audit finds planted defects, all those published on the programme's tables, and nothing in clean data."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from tne_eval import french
from tne_eval.audit import (
    Finding,
    audit_file,
    audit_programme,
    describe_finding,
    findings_frame,
    rules,
)
from tne_eval.audit.finding import SEVERITIES
from tne_eval.audit.settings import read_settings
from tne_eval.audit.tables import make_raw_table, normalise_name, read_raw_table
from tne_eval.errors import ContractError
from tne_eval.paths import shipped

SETTINGS = read_settings()
LIMITS = SETTINGS.limits


def series(values, unit="total", first=202011) -> pd.DataFrame:
    months = pd.period_range(f"{first // 100}-{first % 100:02d}", periods=len(values), freq="M")
    return pd.DataFrame(
        {"unit": unit, "period": months.strftime("%Y%m").astype(int), "value": np.asarray(values, float)}
    )


def falls(frame, **options) -> list[Finding]:
    return rules.falling_series(frame, LIMITS, where="t", column="c", period_type="month", **options)


# --- rules, one by one: a planted defect is found, clean data give nothing ---------------------------------------


def test_a_cumulative_series_that_falls():
    clean = np.cumsum(np.full(40, 500.0))
    assert falls(series(clean)) == []
    broken = clean.copy()
    broken[20:] -= 900
    (found,) = falls(series(broken))
    assert found.value == 500 - 900 and dict(found.facts)["first"] == "06/2022"
    # a short one only when it is declared to be cumulative
    assert falls(series([10, 30, 20])) == []
    assert len(falls(series([10, 30, 20]), declared=True)) == 1


def test_a_series_that_goes_up_and_down_is_not_taken_for_a_cumulative_one():
    rng = np.random.default_rng(1)
    for _ in range(50):
        assert falls(series(1000 + rng.normal(0, 30, 60))) == []


def test_each_unit_is_looked_at_on_its_own():
    rising = np.cumsum(np.full(20, 10.0))
    frame = pd.concat([series(rising, "A"), series(rising + 5000, "B")]).sample(frac=1, random_state=0)
    assert falls(frame) == []


@pytest.mark.parametrize("declared", [True, False])
def test_gaps_of_a_monthly_series(declared):
    frame = series(range(30))
    assert rules.missing_periods(frame, LIMITS, where="t", period_type="month") == []
    holed = frame[~frame["period"].isin([202108, 202208])] if declared else frame[frame["period"] != 202108]
    (found,) = rules.missing_periods(holed, LIMITS, where="t", period_type="month")
    assert dict(found.facts)["periods"] == ("08/2021, 08/2022" if declared else "08/2021")


def test_a_series_by_quarter_or_without_a_step_has_no_gap():
    quarters = series(range(36)).iloc[::3]
    assert rules.missing_periods(quarters, LIMITS, where="t", period_type="month") == []
    scattered = series(range(52)).iloc[[0, 15, 51]]
    assert rules.missing_periods(scattered, LIMITS, where="t", period_type="month") == []


def test_a_period_without_a_figure():
    frame = series(range(12)).rename(columns={"value": "visits"})
    assert rules.empty_periods(frame, where="t", period_type="month") == []
    frame.loc[4, "visits"] = np.nan
    (found,) = rules.empty_periods(frame, where="t", period_type="month")
    assert dict(found.facts)["periods"] == "03/2021"


@pytest.mark.parametrize(("part", "count"), [(61, 1), (20, 0), (0, 0)])
def test_unknown_share(part, count):
    assert len(rules.unknown_share(part, 100, LIMITS, where="t", column="c")) == count
    assert rules.unknown_share(part, 0, LIMITS, where="t", column="c") == []


def test_tables_with_the_same_figures_under_different_names():
    rng = np.random.default_rng(2)
    base = pd.DataFrame({"a": rng.integers(1000, 9000, 12), "b": rng.integers(1000, 9000, 12)}).astype(float)
    other = pd.DataFrame({"a": rng.integers(1000, 9000, 12), "b": rng.integers(1000, 9000, 12)}).astype(float)
    shuffled = base.sample(frac=1, random_state=1).rename(columns={"a": "x", "b": "y"})
    moved = base.copy()
    moved.loc[0, "a"] += 1
    moved.loc[1, "a"] -= 1

    def found(digests, **tables):
        return [(one.rule, one.value) for one in rules.identical_tables(tables, digests, LIMITS)]

    assert found({"p": "1", "q": "2"}, p=base, q=other) == []
    assert found({"p": "1", "q": "1"}, p=base, q=base.copy()) == [("identical_files", 2)]
    assert found({"p": "1", "q": "2", "r": "3"}, p=base, q=shuffled, r=other) == [("identical_tables", 2)]
    assert found({"p": "1", "q": "2"}, p=base, q=moved) == [("identical_totals", 2)]
    # a few small numbers in common are no copy
    few = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert found({"p": "1", "q": "2"}, p=few, q=few.copy()) == []


def test_columns_with_the_same_figures():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({name: rng.integers(0, 9999, 50) for name in "abc"}).astype(float)
    assert rules.identical_columns(frame, LIMITS, where="t") == []
    frame["d"] = frame["b"]
    (found,) = rules.identical_columns(frame, LIMITS, where="t")
    assert found.subject == "b, d"


def test_missing_because_small_but_not_by_chance():
    rng = np.random.default_rng(4)
    size = pd.Series(rng.lognormal(4.5, 0.8, 2000).round())
    values = pd.Series(rng.normal(100, 15, 2000))
    by_chance = values.mask(rng.random(2000) < 0.08)
    assert rules.missing_by_size(by_chance, size, LIMITS, where="t", column="ips") == []
    small = values.mask((size < 40) & (rng.random(2000) < 0.7))
    (found,) = rules.missing_by_size(small, size, LIMITS, where="t", column="ips")
    # every unit without a figure is below 40: against its definition, P(smaller) − P(larger), by brute force
    without, having = size[small.isna()].to_numpy(), size[small.notna()].to_numpy()
    brute = np.sign(without[:, None] - having[None, :]).mean()
    assert found.value == pytest.approx(brute, abs=1e-12) and found.value < -0.9


def test_missing_rule_has_no_false_alarm_beyond_its_p():
    rng = np.random.default_rng(5)
    size = pd.Series(rng.lognormal(4.5, 0.8, 300))
    alarms = sum(
        bool(
            rules.missing_by_size(
                pd.Series(np.where(rng.random(300) < 0.2, np.nan, 1.0)), size, LIMITS, where="t", column="c"
            )
        )
        for _ in range(200)
    )
    assert alarms <= 2


def test_digit_preference():
    rng = np.random.default_rng(6)
    alarms = sum(
        bool(rules.digit_preference(pd.Series(rng.integers(100, 99999, 500)), LIMITS, where="t", column="c"))
        for _ in range(200)
    )
    assert alarms == 0
    counts = rng.integers(100, 99999, 600)
    counts[:240] = counts[:240] // 10 * 10
    (found,) = rules.digit_preference(pd.Series(counts), LIMITS, where="t", column="c")
    assert dict(found.facts)["digit"] == 0
    # too few counts, or counts too small for their last digit to be noise, are not judged
    assert rules.digit_preference(pd.Series(counts[:100]), LIMITS, where="t", column="c") == []
    assert rules.digit_preference(pd.Series(np.full(600, 5)), LIMITS, where="t", column="c") == []


def test_jumps():
    rng = np.random.default_rng(7)

    def found(values):
        return rules.jumps(series(values), LIMITS, where="t", column="c", period_type="month")

    assert not any(found(1000 + np.cumsum(rng.normal(0, 10, 60))) for _ in range(100))
    assert found(np.full(40, 7.0)) == []
    values = 1000 + np.cumsum(rng.normal(0, 10, 60))
    values[30:] += 500
    (one,) = found(values)
    assert abs(one.value) > LIMITS.jump_z
    # flat but for one step: the median absolute deviation is zero
    assert len(found(np.r_[np.full(60, 5.0), np.full(60, 9.0)])) == 1


def test_duplicated_keys_and_constant_columns():
    frame = pd.DataFrame({"unit": list("abcdefghijkl"), "x": range(12)})
    assert rules.duplicated_keys(frame, ["unit"], where="t") == []
    (found,) = rules.duplicated_keys(pd.concat([frame, frame.iloc[:2]]), ["unit"], where="t")
    assert found.value == 2
    assert rules.constant_columns(frame[["x"]], LIMITS, where="t") == []
    (found,) = rules.constant_columns(frame[["x"]] * 0 + 3, LIMITS, where="t")
    assert found.subject == "x"


def test_counters_above_their_denominator():
    row = {"unit": "Vosges", "counter": "tne_pupils_reached", "label": "Élèves", "denominator": 60_000}
    assert rules.counters_above(pd.DataFrame([{**row, "value": 60_000}]), LIMITS, where="t") == []
    (found,) = rules.counters_above(pd.DataFrame([{**row, "value": 90_617}]), LIMITS, where="t")
    assert dict(found.facts)["percent"] == 151


def test_rules_do_not_change_what_they_are_given():
    frame = series(np.r_[np.cumsum(np.ones(20)), 3.0])
    before = frame.copy(deep=True)
    falls(frame)
    rules.jumps(frame, LIMITS, where="t", column="c", period_type="month")
    rules.missing_periods(frame, LIMITS, where="t", period_type="month")
    pd.testing.assert_frame_equal(frame, before)


# --- tables ------------------------------------------------------------------------------------------------------


def test_names_of_the_api():
    assert normalise_name("Nombre d'élèves") == "nombre_d_eleves"
    assert normalise_name("REP +") == "rep_plus"


def test_parts_of_a_table():
    cells = pd.DataFrame(
        {
            "annee": ["2021", "2021", "2022"],
            "date_de_saisie": ["2021-03-31", "2021-04-30", "2022-01-31"],
            "code_departement": ["02", "02", "02"],
            "departement": ["Aisne"] * 3,
            "participants": ["10", "12,5", None],
        }
    )
    table = make_raw_table("t", cells, SETTINGS)
    assert (table.period, table.period_type, list(table.periods)) == (
        "date_de_saisie",
        "month",
        [202103, 202104, 202201],
    )
    assert table.key == ("code_departement", "departement") and list(table.figures) == ["participants"]
    assert table.figures["participants"].tolist()[:2] == [10, 12.5]


@pytest.mark.parametrize("written", ["2021-03", "2021-03-31", "2021-03-31T00:00:00+00:00", "31/03/2021", "Mars 2021"])
def test_ways_to_write_a_month(written):
    table = make_raw_table("t", pd.DataFrame({"mois": [written], "x": ["1"]}), SETTINGS)
    assert list(table.periods) == [202103] and table.period_type == "month"


@pytest.mark.parametrize("written", ["Août", "aout", "8", "08"])
def test_a_month_in_two_columns(written):
    table = make_raw_table("t", pd.DataFrame({"annee": ["2022"], "mois_saisie": [written], "x": ["1"]}), SETTINGS)
    assert list(table.periods) == [202208] and table.key == () and list(table.figures) == ["x"]


def test_what_is_no_month_is_no_period():
    table = make_raw_table("t", pd.DataFrame({"mois": ["2021-13", "2021-03"], "x": ["1", "2"]}), SETTINGS)
    assert table.periods is None


def test_a_file_that_is_no_table_is_refused(tmp_path):
    page = tmp_path / "page.csv"
    page.write_text("<!doctype html><html></html>")
    with pytest.raises(ContractError, match="web page"):
        read_raw_table(page, SETTINGS)
    with pytest.raises(ContractError, match="no file"):
        audit_file(tmp_path / "absent.csv")
    with pytest.raises(ContractError, match=r"\.xlsx"):
        read_raw_table(tmp_path / "book.xlsx", SETTINGS)
    assert audit_file(tmp_path / "book.xlsx") == []


# --- the programme's own tables, of their true shape, holding the published defects -----------------------------

COUNTERS = pd.read_csv(shipped("embedded") / "tne_counters.csv", dtype={"departement": str})
NAMES = {
    "02": "Aisne",
    "13": "Bouches-du-Rhône",
    "18": "Cher",
    "25": "Doubs",
    "29": "Finistère",
    "2A": "Corse",
    "34": "Hérault",
    "38": "Isère",
    "86": "Vienne",
    "88": "Vosges",
    "95": "Val-d'Oise",
    "971": "Guadeloupe",
}
FIRST_WAVE = ("02", "95")
MONTHS = [str(month) for month in pd.period_range("2020-11", "2025-03", freq="M")]
UNKNOWN, ATTENDANCES = 32_688, 53_491


def _training() -> pd.DataFrame:
    """460 rows or so: département × month, cumulative, with the published ends and unknown total."""
    ends = COUNTERS.dropna(subset="tne_attendances").set_index("departement")["tne_attendances"].astype(int)
    unknown = (ends * UNKNOWN // ATTENDANCES).astype(int)
    unknown.iloc[0] += UNKNOWN - unknown.sum()
    rows = []
    for code, name in NAMES.items():
        months = MONTHS if code in FIRST_WAVE else MONTHS[14:]
        for place, month in enumerate(months, start=1):
            share = place / len(months)
            total, blank = int(ends[code] * share), int(unknown[code] * share)
            rows.append(
                {
                    "annee": month[:4],
                    "date_de_saisie": f"{month}-28",
                    "departement": name,
                    "nombre_total_de_participants": total,
                    "nombre_de_personnes_precisees": total - blank,
                    "enseignement_public": int((total - blank) * 0.75),
                    "enseignement_prive": int((total - blank) * 0.03),
                    "etablissement_1er_degre": int((total - blank) * 0.59),
                    "etablissement_2nd_degre": int((total - blank) * 0.14),
                    "profil_stagiaire_enseignant": int((total - blank) * 0.64),
                    "profil_stagiaire_formateurs_cadres_personnel_de_l_en": int((total - blank) * 0.36),
                    "formes_non_connus": blank,
                }
            )
    return pd.DataFrame(rows)


def _deployment() -> pd.DataFrame:
    reached = COUNTERS.dropna(subset="tne_pupils_reached").set_index("departement")["tne_pupils_reached"].astype(int)
    teachers = (reached * 16_667 // reached.sum()).astype(int)
    return pd.DataFrame(
        [
            {
                "annee": "2025",
                "mois_des_donnees": "juin",
                "date_des_donnees": "2025-06",
                "numero_du_departement": "20" if code == "2A" else code,
                "departement": name,
                "nombre_d_enseignants": teachers[code],
                "nombre_d_eleves": reached[code],
            }
            for code, name in NAMES.items()
        ]
    )


NAMES_OF_MONTHS = [french.month(dt.date(2000, place, 1)).split()[0] for place in range(1, 13)]


def _audience() -> pd.DataFrame:
    """Fifty months of a cumulative series, two falls, three Augusts missing, one month there but empty."""
    months = [month for month in MONTHS if month not in ("2021-08", "2022-08", "2023-08")]
    at = {"2020-11": 400, "2024-08": 80_549, "2024-09": 79_166, "2025-02": 95_672, "2025-03": 94_383}
    visitors = pd.Series(at).reindex(MONTHS).interpolate().round().astype(int)[months]
    table = pd.DataFrame(
        {
            "annee": [month[:4] for month in months],
            "mois_saisie": [NAMES_OF_MONTHS[int(month[5:]) - 1] for month in months],
            "nombre_de_connexion_a_la_plateforme_tne": np.linspace(900, 255_998, len(months)).round().astype(int),
            "nombre_de_visiteurs_uniques_a_la_plateforme_tne": visitors.to_numpy(),
            "nombre_total_de_pages_vues_sur_la_plateforme_tne": np.linspace(9000, 1_479_500, len(months)).astype(int),
        }
    ).astype(object)
    table.iloc[months.index("2022-05"), 2:] = ""
    return table


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")

    def put(source: str, frame: pd.DataFrame) -> None:
        place = folder / source / "2025-06-30"
        place.mkdir(parents=True)
        frame.to_csv(place / f"fr-en-{source}.csv", sep=";", index=False, encoding="utf-8-sig")
        (place / "origin.json").write_text("{}")

    put("tne_personnels_formes", _training())
    put("tne_audiences", _audience())
    put("tne_deploiement", _deployment())
    # the three "splits": the same figures, exported in another order, or byte for byte
    put("tne_deploiement_1d", _deployment())
    put("tne_deploiement_2d", _deployment().iloc[::-1])
    put("tne_deploiement_inclusif", _deployment().sample(frac=1, random_state=3))
    put("ips_colleges_2022", pd.DataFrame({"uai": ["0020001A"]}))  # not a table of the programme
    return folder


@pytest.fixture(scope="module")
def found(panel, raw):
    return audit_programme(panel, raw)


def only(found, rule, where="") -> list[Finding]:
    return [one for one in found if one.rule == rule and where in one.where]


def test_the_fixtures_hold_the_published_totals():
    training = _training()
    last = training[training["date_de_saisie"] == "2025-03-28"]
    assert last["nombre_total_de_participants"].sum() == ATTENDANCES and last["formes_non_connus"].sum() == UNKNOWN
    assert _deployment()["nombre_d_eleves"].sum() == 2_435_461 and len(_audience()) == 50


def test_the_cumulative_series_falls_twice(found):
    told = [describe_finding(one) for one in only(found, "falling_series", "audiences")]
    assert len(told) == 2
    flat = [text.replace("\u202f", " ").replace("\u00a0", " ") for text in told]
    assert any("80 549 (08/2024) à 79 166 (09/2024)" in text for text in flat)
    assert any("95 672 (02/2025) à 94 383 (03/2025)" in text for text in flat)
    assert only(found, "falling_series", "formes") == []


def test_august_and_an_empty_month(found):
    (gap,) = only(found, "missing_periods")
    assert dict(gap.facts)["periods"] == "08/2021, 08/2022, 08/2023" and gap.where == "tne_audiences"
    (empty,) = only(found, "empty_periods")
    assert dict(empty.facts)["periods"] == "05/2022"


def test_sixty_one_percent_are_unknown(found):
    (one,) = only(found, "unknown_share")
    facts = dict(one.facts)
    assert (facts["unknown"], facts["total"], facts["percent"]) == (UNKNOWN, ATTENDANCES, 61)


def test_splits_that_do_not_split(found):
    (bytes_,) = only(found, "identical_files")
    (values,) = only(found, "identical_tables")
    assert dict(bytes_.facts)["names"] == "tne_deploiement, tne_deploiement_1d"
    assert dict(values.facts)["count"] == 4 and values.severity == "impossible"
    assert only(found, "identical_totals") == []


def test_counters_above_what_exists(found):
    told = {one.subject: dict(one.facts) for one in only(found, "counter_above", "tne_counters")}
    assert told["Vosges, tne_pupils_reached"]["percent"] == 151
    assert told["Aisne, tne_attendances"]["ratio"] == pytest.approx(13_811 / 2_955)
    # the raw table says the same, once and not once a copy
    deployed = [one for one in only(found, "counter_above", "deploiement") if one.subject.startswith("Vosges")]
    assert len(deployed) == 1 and dict(deployed[0].facts)["percent"] == 151
    stock = {one.subject for one in found if one.rule in ("counter_above_stock", "counter_above_distinct")}
    assert len(stock) >= 10 and "Vosges" in stock


def test_nothing_is_found_beyond_the_published_defects(found):
    known = {
        "falling_series",
        "missing_periods",
        "empty_periods",
        "unknown_share",
        "identical_files",
        "identical_tables",
        "counter_above",
        "counter_above_stock",
        "counter_above_distinct",
    }
    assert {one.rule for one in found} == known


def test_mended_tables_raise_no_alarm(panel, raw, tmp_path):
    """The same tables without their defects."""
    mended = tmp_path / "raw"
    shutil.copytree(raw, mended)
    for copy in ("1d", "2d", "inclusif"):
        shutil.rmtree(mended / f"tne_deploiement_{copy}")
    months = pd.DataFrame({"date_de_saisie": MONTHS, "visiteurs_uniques": np.arange(len(MONTHS)) * 1800 + 400})
    (old,) = (mended / "tne_audiences").glob("*/*.csv")
    months.to_csv(old, sep=";", index=False)
    training = _training()
    training["formes_non_connus"] = training["nombre_total_de_participants"] // 10
    (old,) = (mended / "tne_personnels_formes").glob("*/*.csv")
    training.to_csv(old, sep=";", index=False)
    rules_found = {one.rule for one in audit_programme(panel, mended)}
    assert rules_found == {"counter_above", "counter_above_stock", "counter_above_distinct"}


def test_two_vintages_of_one_source_are_no_copies(panel, raw, tmp_path):
    again = tmp_path / "raw"
    shutil.copytree(raw / "tne_deploiement", again / "tne_deploiement")
    shutil.copytree(raw / "tne_deploiement" / "2025-06-30", again / "tne_deploiement" / "2025-09-30")
    assert only(audit_programme(panel, again), "identical_files") == []


def test_the_latest_vintage_is_the_one_judged(panel, raw, tmp_path):
    again = tmp_path / "raw"
    shutil.copytree(raw / "tne_audiences", again / "tne_audiences")
    newer = again / "tne_audiences" / "2025-09-30"
    newer.mkdir()
    mended = pd.DataFrame({"date_de_saisie": MONTHS, "visiteurs_uniques": np.arange(len(MONTHS)) * 1800 + 400})
    mended.to_csv(newer / "f.csv", sep=";", index=False)
    assert {one.where for one in audit_programme(panel, again)} == {"tne_counters"}


def test_schools_without_ips_are_found_by_size(panel, tmp_path):
    rng = np.random.default_rng(8)
    size = rng.lognormal(4.5, 0.8, 1500).round().astype(int)
    schools = [f"{place:07d}A" for place in range(1500)]

    def put(source: str, frame: pd.DataFrame) -> None:
        (tmp_path / source / "2023").mkdir(parents=True, exist_ok=True)
        frame.to_csv(tmp_path / source / "2023" / "f.csv", sep=";", index=False)

    put(
        "effectifs_ecoles",
        pd.DataFrame({"rentree_scolaire": "2023", "numero_ecole": schools, "nombre_total_eleves": size}),
    )
    ips = pd.DataFrame({"rentree_scolaire": "2023-2024", "uai": schools, "ips": rng.normal(100, 10, 1500).round(1)})
    put("ips_ecoles_2022", ips[size >= 40])
    (one,) = only(audit_programme(panel, tmp_path), "missing_by_size")
    assert one.where == "ips_ecoles_2022" and one.value < -0.9
    assert dict(one.facts)["missing"] == int((size < 40).sum())
    put("ips_ecoles_2022", ips[rng.random(1500) > 0.08])
    assert only(audit_programme(panel, tmp_path), "missing_by_size") == []


def test_without_raw_tables_the_shipped_counters_are_judged(panel, tmp_path):
    told = audit_programme(panel)
    assert told == audit_programme(panel, tmp_path) == audit_programme(panel, tmp_path / "absent")
    assert {one.where for one in told} == {"tne_counters"}
    ranks = [SEVERITIES.index(one.severity) for one in told]
    assert ranks == sorted(ranks)


def test_a_raw_file_that_is_no_table_is_named(panel, raw, tmp_path):
    broken = tmp_path / "raw"
    shutil.copytree(raw, broken)
    (old,) = (broken / "tne_audiences").glob("*/*.csv")
    old.write_text("<html>erreur</html>")
    with pytest.raises(ContractError, match="tne_audiences/"):
        audit_programme(panel, broken)


def test_a_finding_is_plain_data_and_says_itself_in_french(found):
    for one in found:
        assert json.loads(json.dumps(one.to_dict(), allow_nan=False))["rule"] == one.rule
        text = describe_finding(one)
        assert text.endswith(".") and "{" not in text and "nan" not in text.split() and "n.d." not in text
    with pytest.raises(dataclasses.FrozenInstanceError):
        found[0].rule = "x"
    assert len(findings_frame(found)) == len(found) and len(findings_frame([])) == 0


# --- the real open data ------------------------------------------------------------------------------------------


@pytest.mark.opendata
def test_published_files_at_hand(opendata):
    """The counters' file shows its known defects; files of results raise no alarm."""
    told = audit_file(opendata / "tne" / "tne_departements_official_aggregates.csv")
    assert {(one.subject, dict(one.facts)["percent"]) for one in told} >= {("Vosges, tne_pupils_reached", 151)}
    assert audit_file(opendata / "segregation" / "fr-en-indicateur_segregation_sociale_colleges.csv") == []
    assert audit_file(opendata / "ivac" / "fr-en-indicateurs-valeur-ajoutee-colleges.csv") == []
    assert audit_file(next((opendata / "dnb-departement").glob("*.csv"))) == []
