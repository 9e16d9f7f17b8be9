"""School life: every way to enter and leave a panel, and the counts known for the real files."""

from __future__ import annotations

import pandas as pd
import pytest

from tne_eval.catalog import get_source
from tne_eval.errors import ContractError, MissingDataError
from tne_eval.sources.read import read_table
from tne_eval.sources.school_life import attrition, follow_schools, merger_candidates


def _uai(number: int) -> str:
    return f"{number:07d}" + "ABCDEFGHJKLMNPRSTUVWXYZ"[number % 23]


A, B, C, D, E, F = (_uai(20_000 + place) for place in range(6))
CORSE = _uai(6_200_001)
LIVES = {
    A: [2021, 2022, 2023, 2024],
    B: [2021, 2022],
    C: [2023, 2024],
    D: [2021, 2024],
    E: [2021, 2023],
    F: [2022, 2024],
    CORSE: [2021, 2022, 2023, 2024],
}
PRESENCE = pd.DataFrame(
    [(uai, period) for uai, periods in LIVES.items() for period in periods], columns=["uai", "period"]
)


def _events(*rows):
    return pd.DataFrame(rows, columns=["uai", "event", "into"])


def test_every_way_to_enter_and_leave():
    life = follow_schools(PRESENCE).set_index("uai")
    assert life.loc[[A, B, C, D, E, F, CORSE], "status"].tolist() == [
        "present",
        "closed",
        "opened",
        "reappears",
        "closed",
        "reappears",
        "present",
    ]
    assert life["gaps"].to_dict() == {A: (), B: (), C: (), D: (2022, 2023), E: (2022,), F: (2023,), CORSE: ()}
    assert life.loc[D, ["first", "last", "seen"]].tolist() == [2021, 2024, 2]
    assert life["departement"].to_dict() == {**dict.fromkeys((A, B, C, D, E, F), "02"), CORSE: "2A"}
    assert set(life["basis"]) == {"files"} and set(life["merged_into"]) == {""}
    assert life.index.is_monotonic_increasing and list(life.columns) == [
        "departement",
        "first",
        "last",
        "seen",
        "gaps",
        "status",
        "merged_into",
        "basis",
    ]


def test_a_directory_says_more_on_schools_that_left_and_on_no_other():
    events = _events((B, "merged", C), (E, "open", ""), (A, "closed", ""), (D, "open", None))
    life = follow_schools(PRESENCE, events=events).set_index("uai")
    assert life.loc[B, ["status", "merged_into", "basis"]].tolist() == ["merged", C, "events"]
    assert life.loc[E, ["status", "merged_into", "basis"]].tolist() == ["absent", "", "events"]
    # Seen in the last period: what the directory says came later.
    assert life.loc[A, ["status", "merged_into", "basis"]].tolist() == ["present", "", "files"]
    assert life.loc[D, "status"] == "reappears"


def test_order_repetition_and_other_columns_do_not_matter():
    shuffled = pd.concat([PRESENCE, PRESENCE]).sample(frac=1, random_state=1).assign(note="x")
    before = shuffled.copy()
    pd.testing.assert_frame_equal(follow_schools(shuffled), follow_schools(PRESENCE))
    pd.testing.assert_frame_equal(shuffled, before)


def test_periods_of_the_reader_and_one_period():
    typed = PRESENCE.astype({"period": "Int64"})
    pd.testing.assert_frame_equal(follow_schools(typed), follow_schools(PRESENCE))
    assert set(follow_schools(PRESENCE[PRESENCE["period"] == 2021])["status"]) == {"present"}


def test_attrition_counts_what_stays_throughout():
    table = attrition(PRESENCE, 2021, 2024).set_index("departement")
    assert table.loc["02"].to_dict() == {"base": 4, "kept": 1, "left": 3, "kept_share": 0.25}
    assert table.loc["2A"].to_dict() == {"base": 1, "kept": 1, "left": 0, "kept_share": 1.0}
    assert attrition(PRESENCE, 2023, 2024)["kept"].tolist() == [2, 1]
    assert attrition(PRESENCE, 2022, 2022)["left"].sum() == 0


@pytest.mark.parametrize(("base", "until"), [(2020, 2024), (2021, 2025), (2024, 2021)])
def test_attrition_needs_two_periods_in_order(base, until):
    with pytest.raises(MissingDataError):
        attrition(PRESENCE, base, until)


def _places(call):
    with pytest.raises(ContractError) as caught:
        call()
    assert all(problem.found and problem.expected and problem.remedy for problem in caught.value.problems)
    return [(problem.row, problem.column) for problem in caught.value.problems]


def test_wrong_presence_is_refused():
    assert _places(lambda: follow_schools(PRESENCE.rename(columns={"uai": "UAI"}))) == [(1, "uai")]
    wrong = PRESENCE.assign(uai=PRESENCE["uai"].where(PRESENCE["uai"] != A, "0020000Z"))
    assert _places(lambda: follow_schools(wrong)) == [(2, "uai"), (3, "uai"), (4, "uai"), (5, "uai")]
    for value in ("2021", 2021.5, None):
        odd = PRESENCE.astype({"period": object})
        odd.loc[0, "period"] = value
        assert _places(lambda odd=odd: follow_schools(odd)) == [(None, "period")]
    with pytest.raises(MissingDataError):
        follow_schools(PRESENCE.head(0))


def test_wrong_events_are_refused():
    events = _events((B, "fusion", ""), (C, "merged", ""), (D, "closed", A), (E, "open", ""), (E, "closed", ""))
    assert _places(lambda: follow_schools(PRESENCE, events=events)) == [
        (2, "event"),
        (3, "into"),
        (4, "into"),
        (6, "uai"),
    ]
    assert _places(lambda: follow_schools(PRESENCE, events=_events(("x", "open", "")))) == [(2, "uai")]


def test_mergers_are_only_candidates():
    # B (Annecy) leaves as C (Cran-Gevrier, merged into Annecy) enters; F enters a year later; E leaves Laon alone.
    rows = [
        (B, 2021, "74010"),
        (C, 2022, "74093"),
        (C, 2023, "74093"),
        (F, 2023, "74010"),
        (E, 2021, "02408"),
        (A, 2021, "74010"),
        (A, 2022, "74010"),
        (A, 2023, "74010"),
    ]
    presence = pd.DataFrame(rows, columns=["uai", "period", "commune"])
    pairs = merger_candidates(presence)
    assert pairs.to_dict("records") == [
        {"uai": B, "into": C, "commune": "74010", "last": 2021, "first": 2022, "pairs": 1, "flag": "à confirmer"}
    ]
    more = pd.concat([presence, pd.DataFrame([(D, 2022, "74010"), (D, 2023, "74010")], columns=presence.columns)])
    assert merger_candidates(more)[["uai", "into", "pairs"]].values.tolist() == [[B, C, 2], [B, D, 2]]
    assert follow_schools(presence).set_index("uai").loc[B, ["status", "merged_into"]].tolist() == ["closed", ""]
    assert merger_candidates(presence[presence["period"] == 2021]).empty


@pytest.fixture(scope="module")
def real(opendata):
    """Presence of collèges in the DNB of 2021 and in IVAC after."""
    (dnb,) = opendata.rglob("donnees-dnb.csv")
    (ivac,) = opendata.rglob("fr-en-indicateurs-valeur-ajoutee-colleges.csv")
    first = read_table(dnb, get_source("dnb_colleges_2021")).rename(columns={"numero_college": "uai"})
    frames = [first[["uai", "session"]], read_table(ivac, get_source("ivac"))[["uai", "session"]]]
    presence = pd.concat(frames, ignore_index=True).rename(columns={"session": "period"})
    return presence[presence["period"] <= 2024]


@pytest.mark.opendata
def test_real_colleges_kept_from_2021_to_2024(real):
    table = attrition(real, 2021, 2024)
    assert (table["base"].sum(), table["kept"].sum()) == (6935, 6525)
    assert table.set_index("departement").loc[["02", "95"], "kept"].tolist() == [65, 132]
    life = follow_schools(real)
    assert (life["status"] == "present").sum() == 6525
    assert life["status"].isin(["present", "opened", "reappears", "closed"]).all()


@pytest.mark.opendata
def test_most_real_colleges_that_left_the_files_are_still_open(real, opendata):
    (path,) = opendata.rglob("fr-en-adresse-et-geolocalisation*.csv")
    directory = pd.read_csv(path, sep=";", dtype=str, encoding="utf-8-sig")["numero_uai"]
    events = pd.DataFrame({"uai": directory, "event": "open", "into": ""})
    counts = follow_schools(real, events=events)["status"].value_counts()
    left = follow_schools(real)["status"].value_counts()["closed"]
    assert counts["absent"] + counts["closed"] == left
    assert counts["absent"] > counts["closed"]


@pytest.mark.opendata
def test_real_merger_candidates_are_few_and_in_one_commune(real, opendata):
    (path,) = opendata.rglob("fr-en-college-effectifs-niveau-sexe-lv.csv")
    raw = pd.read_csv(path, sep=";", dtype=str, encoding="utf-8-sig", keep_default_na=False)
    raw = raw[raw["Dénomination principale"].str.startswith("COLLEGE")]
    presence = pd.DataFrame(
        {"uai": raw["UAI"], "period": raw["Rentrée scolaire"].str[:4].astype(int), "commune": raw["Code commune"]}
    )
    pairs = merger_candidates(presence)
    life = follow_schools(presence).set_index("uai")
    assert 0 < pairs["uai"].nunique() < (life["status"] == "closed").sum()
    assert (life.loc[pairs["uai"], "last"].to_numpy() + 1 == life.loc[pairs["into"], "first"].to_numpy()).all()
    assert set(pairs["flag"]) == {"à confirmer"}
