"""The effect on the shipped figures: the reference values of the programme's file, and a world whose truth is known."""

import numpy as np
import pandas as pd
import pytest

import tne_eval as tne
from tne_eval.catalog import list_territories
from tne_eval.errors import MissingDataError, ReportError, UnknownNameError
from tne_eval.report.facts import gather_synthesis, gather_territory
from tne_eval.results import Verdict
from tne_eval.sources.simulated import simulate_panel

TERRITORIES = [place.id for place in list_territories()]


@pytest.fixture(scope="module")
def pair(panel):
    return {design: tne.estimate_impact(design, panel) for design in ("dnb_naive", "dnb_within_academie")}


def test_naive_pair(pair):
    result = pair["dnb_naive"]
    assert result.estimate == pytest.approx(-2.54, abs=0.005)
    assert result.p_value == pytest.approx(0.0325, abs=0.0001) and result.exact
    assert result.n_assignments == 91 * 90 // 2 and len(result.controls) == 89
    assert result.pre == (2016, 2017, 2018, 2019) and result.post == (2021, 2022, 2023)
    with_break = result.sensitivities.set_index("id").loc["with_breaks"]
    assert with_break["estimate"] == pytest.approx(-3.18, abs=0.005)
    assert with_break["p_value"] == pytest.approx(0.0271, abs=0.0001)
    # 2.9 by permutation quantiles, 3.6 by 2.8 standard deviations.
    assert 2.8 < result.mde < 3.6
    assert result.low < result.estimate < result.high < 0


def test_naive_pair_is_not_believed(pair):
    result = pair["dnb_naive"]
    failed = {check.id for check in result.checks if check.passed is False}
    assert failed == {"academie_shocks"} and result.verdict is Verdict.FAILS


def test_within_academie_pair(pair):
    result = pair["dnb_within_academie"]
    assert result.estimate == pytest.approx(-1.14, abs=0.005)
    assert result.p_value == result.smallest_p == pytest.approx(1 / 12)
    assert result.sensitivities.set_index("id").loc["with_breaks", "estimate"] == pytest.approx(-1.21, abs=0.005)
    assert set(result.controls) == {"60", "80", "78", "91", "92"}
    units = result.units.set_index("unit")
    assert units.loc["02", "estimate"] == pytest.approx(-1.43, abs=0.005)
    assert units.loc["95", "estimate"] == pytest.approx(-0.84, abs=0.005)
    assert units.loc["02", "slope"] == pytest.approx(-0.67, abs=0.005)


def test_second_reference(pair):
    reference = pair["dnb_within_academie"].reference
    assert len(reference.academies) == 10 and reference.n_placebos == 861  # 862 with the estimate itself
    assert reference.p_value == pytest.approx(0.099, abs=0.0005)
    assert reference.low == pytest.approx(-2.5, abs=0.05) and reference.high == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(("territory", "smallest"), [(None, 1 / 12), ("aisne", 1 / 3), ("val-d-oise", 1 / 4)])
def test_what_cannot_be_had_is_not_given(panel, territory, smallest):
    result = tne.estimate_impact("dnb_within_academie", panel, territory)
    assert result.smallest_p == pytest.approx(smallest)
    assert (result.low, result.high, result.mde) == (None, None, None)
    assert set(result.reasons) == {"low", "high", "mde"}
    assert set(result.reasons.values()) == {"smallest_p_above_alpha"}
    assert result.verdict in (Verdict.FAILS, Verdict.UNKNOWABLE)


def test_pre_trend_fails_in_aisne_and_holds_in_val_d_oise(panel):
    aisne, val_d_oise = (tne.estimate_impact("dnb_within_academie", panel, id) for id in ("aisne", "val-d-oise"))
    assert aisne.checks[0].passed is False and aisne.verdict is Verdict.FAILS
    assert val_d_oise.checks[0].passed is True and val_d_oise.verdict is Verdict.UNKNOWABLE


def test_one_treated_has_a_rank_and_no_interval(panel):
    result = tne.estimate_impact("dnb_naive", panel, "val-d-oise")
    assert result.smallest_p == pytest.approx(1 / 90)
    assert (result.low, result.high) == (None, None) and result.mde > 0
    assert result.reasons == {"low": "one_treated", "high": "one_treated"}


def test_guadeloupe_is_alone_in_its_academie(panel):
    result = tne.estimate_impact("dnb_within_academie", panel, "guadeloupe")
    assert result.verdict is Verdict.REFUSED and result.estimate is None
    assert result.reasons["estimate"] == "no_control_in_stratum"
    assert tne.estimate_impact("dnb_naive", panel, "guadeloupe").estimate is not None


FIRST = {
    "aisne": 2021,
    "val-d-oise": 2021,
    "doubs": 2023,  # 20 July 2022: after 31 December, the next session
    "herault": 2023,  # 27 September 2022
    "corse-du-sud": 2024,  # 11 May 2023
    "vosges": 2023,  # derived: September 2022
}


@pytest.mark.parametrize("territory", TERRITORIES)
def test_every_territory_from_its_own_first_session(panel, territory):
    result = tne.estimate_impact("dnb_naive", panel, territory)
    assert result.post[0] == FIRST.get(territory, result.post[0])
    assert max(result.pre) < min(result.post) and 2020 not in result.pre + result.post
    assert result.treated[0] not in result.controls and len(result.controls) == 89
    assert (2024 in result.post) == (result.post == (2024,))


def test_results_say_all_of_themselves(pair):
    frame = pair["dnb_within_academie"].to_frame()
    assert len(frame) == 1 and frame.loc[0, "design"] == "dnb_within_academie"
    assert "no credible effect" in frame.loc[0, "verdict"] and "smallest_p" in frame
    assert "smallest_p_above_alpha" in frame.loc[0, "reasons"]


def test_the_panel_is_not_modified(panel):
    before = pd.util.hash_pandas_object(panel).sum()
    tne.estimate_impact("dnb_within_academie", panel)
    tne.compute_indicator("dnb_success_percent", panel, "aisne")
    assert pd.util.hash_pandas_object(panel).sum() == before


def test_an_unknown_name_lists_the_near_ones(panel):
    with pytest.raises(UnknownNameError, match="dnb_naive"):
        tne.estimate_impact("dnb_naif", panel)
    with pytest.raises(UnknownNameError, match="aisne"):
        tne.estimate_impact("dnb_naive", panel, "aine")


def test_a_panel_without_the_outcome_is_an_error(panel):
    with pytest.raises(MissingDataError, match="dnb_"):
        tne.estimate_impact("dnb_naive", panel[panel["variable"] != "dnb_admitted"])


@pytest.mark.parametrize("effect", [0.0, -4.0])
def test_a_known_effect_is_found(effect):
    """Within académie, académie shocks of any size cancel: the estimate is the truth plus département noise only."""
    estimates = [
        tne.estimate_impact(
            "dnb_within_academie", simulate_panel(seed=seed, effect=effect, academie_sd=5, departement_sd=0.3)
        ).estimate
        for seed in range(12)
    ]
    # Two départements, 3 + 4 in their strata, 4 sessions before and 3 after: standard error about 0.20 each.
    assert np.mean(estimates) == pytest.approx(effect, abs=3 * 0.2 / np.sqrt(12) + 0.05)


def test_the_naive_design_holds_where_academies_do_not_move():
    result = tne.estimate_impact("dnb_naive", simulate_panel(seed=1, effect=5, academie_sd=0, departement_sd=0.3))
    assert result.verdict is Verdict.CREDIBLE and result.low < 5 < result.high
    shares = {check.id: check.value for check in result.checks}
    assert shares["academie_shocks"] < 0.1


def test_no_simulated_figure_enters_a_report():
    world = simulate_panel(seed=1)
    for gather in (lambda: gather_territory("aisne", world), lambda: gather_synthesis(world)):
        with pytest.raises(ReportError, match="simulated"):
            gather()
