"""Evaluations at entry into collège from fetched files: tables by hand, and a known effect found through them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tne_eval as tne
from tne_eval.impact.family import estimate_family
from tne_eval.sources.geography import list_departements
from tne_eval.sources.panel import PANEL_COLUMNS
from tne_eval.sources.tables.evaluations import EVAL6E, EVAL6E_COLLEGES

YEARS = range(2017, 2026)
_GROUPS = {f"groupe_{number}": share for number, share in enumerate((5, 10, 20, 25, 25, 15), start=1)}


def _departements(effect: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """One row per département × rentrée × subject, the effect from 2021 on in the demonstrators."""
    rng = np.random.default_rng(seed)
    rows = []
    for code in list_departements():
        level = rng.normal(250, 5)
        for year in YEARS:
            for subject in ("Français", "Mathématiques"):
                score = level + rng.normal(0, 1) + effect * (code in ("02", "95") and year >= 2021)
                rows.append(
                    {"annee": year, "code_departement": code, "discipline": subject, "score_moyen": score} | _GROUPS
                )
    frame = pd.DataFrame(rows).assign(caracteristique="Ensemble")
    extra = frame.head(2).assign(caracteristique="Filles", score_moyen=999.0)
    national = frame.head(2).assign(code_departement=None)
    return pd.concat([frame, extra, national], ignore_index=True)


def test_scores_by_departement():
    raw = _departements()
    table = EVAL6E.make({"evaluations_6e_departement": raw})
    assert len(table) == 101 * len(YEARS) and not table.duplicated(["departement", "school_year"]).any()
    first = raw[(raw["code_departement"] == "02") & (raw["annee"] == 2019) & (raw["discipline"] == "Français")]
    own = table.set_index(["departement", "school_year"]).loc[("02", 2019)]
    assert own["eval6e_french_score"] == first["score_moyen"].iloc[0]
    assert own["eval6e_maths_fragile_percent"] == 15
    assert table["eval6e_french_score"].max() < 999


def _colleges() -> dict[str, pd.DataFrame]:
    numbers = [f"002000{number}X" for number in range(6)]
    ips = pd.DataFrame(
        {
            "code_du_departement": "02",
            "rentree_scolaire": 2021,
            "uai": numbers,
            "effectifs": np.nan,
            "ips": [80.0, 82, 84, 110, 112, 114],
            "code_insee_de_la_commune": None,
        }
    )
    rows = [
        {
            "uai": number,
            "annee": year,
            "discipline": subject,
            "caracteristique": "Ensemble",
            "effectif": 100,
            "score_moyen": score,
        }
        for year in (2018, 2022)
        for place, number in enumerate(numbers)
        for subject, score in (("Français", 200.0 + 10 * place), ("Mathématiques", 210.0 + 10 * place))
    ]
    later = ips.assign(rentree_scolaire=2022, ips=200.0 - ips["ips"], effectifs=100.0)
    return {
        "evaluations_6e_etablissement": pd.DataFrame(rows),
        "ips_colleges_2021": ips,
        "ips_colleges_2022": later,
    }


def test_groups_of_colleges_are_those_of_the_first_ips_in_every_year():
    table = EVAL6E_COLLEGES.make(_colleges()).set_index(["school_year", "ips_group"])
    for year in (2018, 2022):
        assert table.loc[(year, "01"), ["schools", "eval6e_college_pupils"]].tolist() == [3, 300]
        assert table.loc[(year, "01"), "eval6e_college_french_score"] == 210
        assert table.loc[(year, "02"), "eval6e_college_maths_score"] == 250
        assert table.loc[(year, "02"), "eval6e_college_ips_mean"] == 112


def test_a_college_without_a_subject_or_pupils_is_left_out():
    frames = _colleges()
    raw = frames["evaluations_6e_etablissement"]
    raw.loc[0, "score_moyen"] = np.nan
    table = EVAL6E_COLLEGES.make(frames).set_index(["school_year", "ips_group"])
    assert table.loc[(2018, "01"), "schools"] == 5 and (2018, "02") not in table.index


def _panel(table: pd.DataFrame) -> pd.DataFrame:
    long = table.melt(["departement", "school_year"], var_name="variable").rename(
        columns={"departement": "unit", "school_year": "period"}
    )
    fixed = {
        "unit_type": "departement",
        "period_type": "school_year",
        "group": "",
        "weight": np.nan,
        "n": np.nan,
        "status": "observed",
        "source": "simulated",
    }
    return long.assign(**fixed)[list(PANEL_COLUMNS)]


@pytest.mark.parametrize("effect", [0.0, 6.0])
def test_a_known_effect_is_found_in_the_scores(effect):
    panel = _panel(EVAL6E.make({"evaluations_6e_departement": _departements(effect)}))
    result = tne.estimate_impact("eval6e_french_score_national", panel)
    assert result.pre == (2017, 2018, 2019) and result.post == (2021, 2022, 2023, 2024, 2025)
    # Two départements, noise of 1 a year, 3 years before and 5 after: a standard error of about 0.5.
    assert result.estimate == pytest.approx(effect, abs=1.6)
    assert (result.p_value <= 0.05) == (effect > 0)


def test_the_family_waits_for_its_figures(panel):
    with pytest.raises(tne.errors.MissingDataError, match="tne-eval fetch evaluations_6e"):
        estimate_family("eval6e", panel, "aisne")
