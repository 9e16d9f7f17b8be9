"""Indicators of the catalogue on the shipped figures: published values, laws, refusals."""

import numpy as np
import pandas as pd
import pytest

import tne_eval as tne
from tne_eval.catalog import list_indicators
from tne_eval.errors import MissingDataError, UnknownNameError
from tne_eval.indicators import audit_counters, gini, indicator_table
from tne_eval.indicators.formulas import select

IDS = [entry.id for entry in list_indicators()]

# Success rates read in the published file by the authors of the programme's data file.
SUCCESS = {
    "02": [84.5, 87.9, 88.0, 84.7, 88.5, 86.1, 80.8, 83.6, 80.8],
    "95": [86.2, 88.6, 86.3, 85.6, 89.1, 85.6, 85.3, 86.9, 79.1],
}


@pytest.mark.parametrize("unit", SUCCESS)
def test_success_rates_are_the_published_ones(panel, unit):
    table = indicator_table("dnb_success_percent", panel)
    assert table.shape == (101, 9)
    assert list(table.loc[unit].round(1)) == SUCCESS[unit]


@pytest.mark.parametrize("id", IDS)
def test_every_indicator_speaks_of_a_demonstrator(panel, id):
    result = tne.compute_indicator(id, panel, "val-d-oise")
    assert np.isfinite(result.value)
    own = result.frame[result.frame["unit_type"] == "departement"]
    assert set(own["unit"]) == {"95"} and set(own["label"]) == {"Val-d'Oise"}
    assert (result.frame["source"] != "").all() and result.frame["period"].notna().all()
    assert not result.frame.duplicated(["unit_type", "unit", "period"]).any()


@pytest.mark.parametrize("id", IDS)
def test_rows_and_categories_may_come_in_any_order(panel, id):
    shuffled = panel.sample(frac=1, random_state=3)
    shuffled["unit"] = shuffled["unit"].astype(str)
    pd.testing.assert_frame_equal(
        indicator_table(id, shuffled), indicator_table(id, panel), check_exact=False, rtol=1e-10, check_names=False
    )


def test_aggregates_are_sums_of_candidates(panel):
    result = tne.compute_indicator("dnb_success_percent", panel, "aisne")
    admitted, present = (select(panel, name) for name in ("dnb_admitted", "dnb_present"))
    sums = [rows.groupby("period")["value"].sum() for rows in (admitted, present)]
    for period, value in result.series("france").items():
        assert value == pytest.approx(100 * sums[0][period] / sums[1][period], rel=1e-12)
    amiens = ["02", "60", "80"]
    top = admitted[admitted["unit"].isin(amiens) & (admitted["period"] == 2023)]["value"].sum()
    bottom = present[present["unit"].isin(amiens) & (present["period"] == 2023)]["value"].sum()
    assert result.series("academie")[2023] == pytest.approx(100 * top / bottom, rel=1e-12)


def test_gap_between_girls_and_boys_by_hand(panel):
    def total(name, unit="95", period=2023):
        rows = select(panel, name, {"serie": "generale"})
        return rows[(rows["unit"] == unit) & (rows["period"] == period)]["value"].sum()

    girls = total("dnb_girls_admitted") / total("dnb_girls_present")
    boys = (total("dnb_admitted") - total("dnb_girls_admitted")) / (total("dnb_present") - total("dnb_girls_present"))
    result = tne.compute_indicator("dnb_girls_boys_gap", panel, "val-d-oise")
    assert result.series()[2023] == pytest.approx(100 * (girls - boys), rel=1e-12)


def test_gini_between_groups_by_hand(panel):
    rows = select(panel, "ips_college_mean")
    own = rows[(rows["unit"] == "02") & (rows["period"] == 2022)]
    result = tne.compute_indicator("gini_ips_colleges", panel, "aisne")
    assert result.series()[2022] == pytest.approx(gini(own["value"], own["n"]), rel=1e-12)
    assert result.indicator.breaks == (2022, 2023)


@pytest.mark.parametrize(
    ("unit", "quarter", "percent"),
    [
        ("02", 20174, 20),
        ("02", 20194, 62),
        ("02", 20204, 80),
        ("02", 20223, 96),
        ("95", 20174, 47),
        ("95", 20194, 78),
        ("95", 20204, 92),
        ("95", 20223, 96),
    ],
)
def test_fibre(panel, unit, quarter, percent):
    assert indicator_table("fibre_percent", panel).loc[unit, quarter] == pytest.approx(percent, abs=0.5)


def test_fibre_lead_is_over_the_median(panel):
    table = indicator_table("fibre_percent", panel)
    lead = indicator_table("fibre_lead", panel)
    assert lead.loc["02", 20194] == pytest.approx(table.loc["02", 20194] - table[20194].median())
    assert lead.median().abs().max() < 1e-9


def test_segregation_and_fragility_are_the_published_ones(panel):
    poor = indicator_table("disadvantaged_percent", panel)
    assert list(poor.loc["02", [2014, 2024]]) == [50.6, 49.0] and list(poor.loc["95", [2014, 2024]]) == [34.4, 35.6]
    fragility = indicator_table("ifn_mean", panel)[2020]
    assert fragility["02"] == pytest.approx(99.6, abs=0.05) and fragility["95"] == pytest.approx(94.8, abs=0.05)
    assert fragility.median() == pytest.approx(99.2, abs=0.05)


def test_counters_against_their_denominators(panel):
    audit = audit_counters(panel).set_index("territory")
    assert len(audit) == 12 and audit["attendances"].sum() == 53_491 and audit["pupils_reached"].sum() == 2_435_461
    vosges = audit.loc["vosges"]
    assert vosges["stock"] == pytest.approx(59_200, abs=100)
    assert vosges["years"] == 3 and vosges["distinct"] == pytest.approx(vosges["stock"] * (1 + 2 / 15))
    assert vosges["verdict"] == "impossible"
    for row in audit.itertuples():
        expected = (
            "impossible"
            if row.pupils_reached > row.distinct
            else "above_stock"
            if row.pupils_reached > row.stock
            else "plausible"
        )
        assert row.verdict == expected
    assert set(audit["verdict"]) == {"plausible", "above_stock", "impossible"}


def test_what_the_source_does_not_cover_is_an_error(panel):
    with pytest.raises(MissingDataError, match="Guadeloupe"):
        tne.compute_indicator("ifn_mean", panel, "guadeloupe")


def test_unknown_names(panel):
    with pytest.raises(UnknownNameError, match="dnb_success_percent"):
        tne.compute_indicator("dnb_succes", panel)
    with pytest.raises(UnknownNameError, match="val-d-oise"):
        tne.compute_indicator("dnb_success_percent", panel, "val-doise")


def test_an_aggregate_leaves_out_what_is_unknown_and_gives_up_beyond_one_in_twenty(panel):
    gap = tne.compute_indicator("dnb_girls_boys_gap", panel, "aisne").series("france")
    assert 2024 in gap.index  # one cell of one département is hidden that year
    hidden = panel.copy()
    rows = (hidden["variable"] == "dnb_girls_present") & hidden["unit"].isin(["01", "03", "04", "05", "06", "07"])
    hidden.loc[rows, "value"] = np.nan
    assert tne.compute_indicator("dnb_girls_boys_gap", hidden, "aisne").series("france").empty
    assert "01" not in indicator_table("dnb_girls_boys_gap", hidden).dropna().index
