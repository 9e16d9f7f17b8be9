"""Robustness, families of outcomes, doses and context on the shipped figures, against calculations made apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import tne_eval as tne
from tne_eval.catalog import get_design, get_programme, get_territory, list_designs, list_territories
from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.impact import family, plan
from tne_eval.impact.context import put_in_context
from tne_eval.impact.doses import dose_responses, territory_doses
from tne_eval.impact.family import estimate_family
from tne_eval.impact.plan import REFUSALS, compare, exposure_date, first_periods
from tne_eval.impact.robustness import assess_robustness, curve_of_specifications
from tne_eval.indicators import indicator_table
from tne_eval.indicators.snee_regions import region_table
from tne_eval.report.sections.words import verdict_text
from tne_eval.results import Verdict
from tne_eval.sources.geography import list_regions, region_of

NAIVE, PRIMARY = "dnb_naive", "dnb_within_academie"


@pytest.fixture(scope="module")
def aisne(panel):
    return assess_robustness(NAIVE, panel, "aisne")


def _gap(panel, treated: str, controls: list[str]) -> float:
    """Difference-in-differences of the success rate by hand, sessions 2016-2019 against 2021-2023."""
    table = indicator_table("dnb_success_percent", panel)
    change = table[[2021, 2022, 2023]].mean(axis=1) - table[[2016, 2017, 2018, 2019]].mean(axis=1)
    return float(change[treated] - change[controls].mean())


def test_the_plain_estimator_is_the_effect_of_the_design(panel, aisne):
    effect = tne.estimate_impact(NAIVE, panel, "aisne")
    table = aisne.estimators.set_index("estimator")
    assert table.loc["did", "estimate"] == pytest.approx(effect.estimate)
    assert list(table.index) == ["did", "synthetic_control", "synthetic_did"]
    assert aisne.pools.set_index("id").loc["main", "estimate"] == pytest.approx(effect.estimate)
    assert (aisne.estimators["smallest_p"] == 1 / 90).all()


def test_without_each_control_in_turn(panel, aisne):
    controls = list(compare(NAIVE, panel, "aisne").controls)
    assert len(aisne.leave_one_out) == len(controls) == 89
    first = aisne.leave_one_out.iloc[0]
    others = [unit for unit in controls if unit != first["left_out"]]
    assert first["estimate"] == pytest.approx(_gap(panel, "02", others))


def test_without_the_regions_that_snee_helped_most(panel, aisne):
    euros = region_table(panel)["euros_per_pupil"]
    assert set(euros.index) < set(list_regions()) and len(euros) == 13
    kept = [
        unit
        for unit in compare(NAIVE, panel, "aisne").controls
        if region_of(unit) in euros.index and euros[region_of(unit)] <= euros.median()
    ]
    row = aisne.pools.set_index("id").loc["low_snee"]
    assert row["controls"] == len(kept) and row["estimate"] == pytest.approx(_gap(panel, "02", kept))


def test_snee_grants_a_pupil_are_the_published_total_over_the_pupils(panel):
    grants = {figure.id: figure.value for figure in get_programme("snee").figures}
    rows = panel[(panel["variable"] == "ips_ecole_pupils") & (panel["period"] == 2022)]
    bretagne = rows[rows["unit"].isin(["22", "29", "35", "56"])]["value"].sum()
    assert region_table(panel).loc["Bretagne", "euros_per_pupil"] == pytest.approx(grants["grants_bretagne"] / bretagne)


def test_the_composition_is_adjusted_by_the_school_year_of_the_session(panel, aisne):
    table = indicator_table("dnb_success_percent", panel)
    poor = indicator_table("disadvantaged_percent", panel)
    units = list(compare(NAIVE, panel, "aisne").table.index)
    change = table[[2021, 2022, 2023]].mean(axis=1) - table[[2016, 2017, 2018, 2019]].mean(axis=1)
    moved = poor[[2020, 2021, 2022]].mean(axis=1) - poor[[2015, 2016, 2017, 2018]].mean(axis=1)
    slope = np.polyfit(moved[units[1:]], change[units[1:]], 1)[0]
    net = (change - slope * moved)[units]
    expected = net.iloc[0] - net.iloc[1:].mean()
    assert aisne.pools.set_index("id").loc["composition", "estimate"] == pytest.approx(expected)


def test_a_small_stratum_says_what_it_cannot_give(panel):
    found = assess_robustness(PRIMARY, panel, "aisne")
    assert found.honest is None and found.reasons["honest"] == "too_few_assignments"
    assert "composition" in found.reasons and list(found.pools["id"]) == ["main"]
    with pytest.raises(DesignError, match="cannot be applied"):
        assess_robustness(PRIMARY, panel, "guadeloupe")


def test_the_curve_holds_every_choice_once(panel, aisne):
    curve = curve_of_specifications((PRIMARY, NAIVE), panel, "aisne", {NAIVE: aisne})
    choices = curve.frame[["design", "window", "estimator", "adjusted"]]
    assert not choices.duplicated().any() and {"did", "synthetic_did"} <= set(choices["estimator"])
    main = curve.frame[
        (curve.frame["window"] == "main") & ~curve.frame["adjusted"] & (curve.frame["estimator"] == "did")
    ]
    for row in main.itertuples():
        assert row.estimate == pytest.approx(tne.estimate_impact(row.design, panel, "aisne").estimate)
    assert curve.low <= curve.median <= curve.high


def test_wider_trends_give_wider_sets(aisne):
    width = (aisne.honest["high"] - aisne.honest["low"]).to_numpy()
    assert (np.diff(width) > 0).all() and list(aisne.honest["bound"]) == [0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize("territory", ["aisne", "val-d-oise", "vosges"])
def test_a_family_adjusts_and_never_lowers_p(panel, territory):
    found = estimate_family("gaps", panel, territory)
    assert list(found.frame["design"]) == [plan.id for plan in list_designs() if plan.family == "gaps"]
    for column in ("romano_wolf", "westfall_young"):
        assert (found.frame[column] >= found.frame["p_value"] - 1e-12).all()
    for result, row in zip(found.results, found.frame.itertuples(), strict=True):
        assert result.design.id == row.design
    with pytest.raises(UnknownNameError, match="gaps"):
        estimate_family("gap", panel)


def test_designs_that_differ_in_what_they_share_are_refused(panel, monkeypatch):
    """A family whose designs treat other places, or a curve whose designs have other levels, has no common test."""
    other = dataclasses.replace(get_design("dnb_late_gap_national"), treated=("aisne",))
    plans = [other if one.id == other.id else one for one in list_designs()]
    monkeypatch.setattr(family, "list_designs", lambda: plans)
    with pytest.raises(DesignError, match="other territories"):
        estimate_family("gaps", panel)
    loose = dataclasses.replace(get_design(NAIVE), alpha=0.1)
    monkeypatch.setattr(plan, "get_design", lambda name: loose if name == NAIVE else get_design(name))
    with pytest.raises(DesignError, match="other levels"):
        curve_of_specifications((PRIMARY, NAIVE), panel, "aisne")


def test_a_hidden_size_is_not_zero(panel):
    """One département with one hidden count: no size is known, so no size-rescaled test."""
    assert compare(NAIVE, panel, "aisne").size is not None
    held = panel.copy()
    row = held.index[(held["variable"] == "dnb_present") & (held["unit"] == "60") & (held["period"] == 2016)][0]
    held.loc[row, "value"] = np.nan
    sizes = compare(NAIVE, held, "aisne")
    assert "60" not in sizes.table.index or sizes.size is None


def test_doses_of_the_twelve(panel):
    doses = territory_doses(panel)
    assert list(doses.index) == [place.id for place in list_territories()]
    attendances = panel[(panel["variable"] == "tne_attendances") & (panel["unit"] == "02") & panel["value"].notna()]
    pupils = panel[(panel["variable"] == "college_pupils") & (panel["unit"] == "02") & (panel["period"] == 2024)]
    expected = 100 * attendances["value"].iloc[-1] / pupils["value"].iloc[0]
    assert doses.loc["aisne", "attendances"] == pytest.approx(expected)
    assert doses.loc["aisne", "years"] == pytest.approx(2024.5 - (2020 + 8 / 12))
    found = dose_responses(NAIVE, panel)
    estimates = [tne.estimate_impact(NAIVE, panel, place).estimate for place in doses.index]
    assert found["years"].slope == pytest.approx(np.polyfit(doses["years"], estimates, 1)[0])
    assert found["euros"].n == doses["euros"].notna().sum() < 12


def test_an_effect_in_context_is_made_of_its_parts(panel):
    place = get_territory("val-d-oise")
    effect = tne.estimate_impact(PRIMARY, panel, "val-d-oise")
    found = put_in_context(effect, panel, place)
    rate = indicator_table("dnb_success_percent", panel).loc[list(effect.controls), 2019].mean()
    assert found.itt == pytest.approx(effect.estimate / np.sqrt(rate * (100 - rate)))
    assert found.share_known and found.treated.estimate_low == pytest.approx(found.itt / place.treated_share.low)
    assert found.cost.high is None and found.cost.low == pytest.approx(
        found.cost_a_pupil[0] / (100 * found.itt_high), rel=1e-9
    )
    assert not put_in_context(tne.estimate_impact(PRIMARY, panel, "aisne"), panel, get_territory("aisne")).share_known
    with pytest.raises(DesignError, match="no effect"):
        put_in_context(tne.estimate_impact(PRIMARY, panel, "guadeloupe"), panel, get_territory("guadeloupe"))


def test_a_component_with_dates_of_its_own_moves_the_exposure():
    place = get_territory("aisne")
    assert exposure_date(place, "training", "latest") > exposure_date(place, "", "latest")
    assert exposure_date(place, "parents", "likely") == place.exposure.likely
    segregation = get_design("segregation_falsification")
    assert first_periods(segregation, [place]) == [2021] == first_periods(get_design(NAIVE), [place])
    assert first_periods(segregation, [get_territory("doubs")]) == [2022]  # 20 July 2022


def test_the_falsification_outcome_stays_quiet_for_the_pair(panel):
    result = tne.estimate_impact("segregation_falsification", panel)
    assert result.p_value > 0.05 and result.verdict is not Verdict.CREDIBLE


def test_the_panel_is_not_modified(panel):
    before = pd.util.hash_pandas_object(panel).sum()
    assess_robustness(NAIVE, panel, "vosges")
    estimate_family("gaps", panel, "vosges")
    dose_responses(NAIVE, panel)
    assert pd.util.hash_pandas_object(panel).sum() == before


def test_every_refusal_says_what_to_change(panel):
    """Each code in turn, made by taking away what the design needs; the result says it, and so does the error."""
    dnb = panel[panel["period_type"] == "exam_session"]
    worlds = {
        "outcome_missing": dnb[~((dnb["unit"] == "02") & (dnb["period"] == 2018))],
        "no_pre_period": dnb[~dnb["period"].isin([2017, 2018, 2019])],
        "no_exposed_period": dnb[dnb["period"] < 2020],
        "no_control_in_stratum": dnb[~dnb["unit"].isin(["60", "80"])],
    }
    assert set(worlds) == set(REFUSALS)
    for code, world in worlds.items():
        result = tne.estimate_impact(PRIMARY, world, "aisne")
        assert result.verdict is Verdict.REFUSED and result.reasons["estimate"] == code
        assert verdict_text(result, "l'Aisne", "dans l'Aisne")
        with pytest.raises(DesignError) as caught:
            assess_robustness(PRIMARY, world, "aisne")
        assert caught.value.remedy == REFUSALS[code][1] and caught.value.where == "aisne"
