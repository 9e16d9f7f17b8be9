"""Indicators of the catalogue on the shipped figures: published values, laws, refusals."""

import numpy as np
import pandas as pd
import pytest

import tne_eval as tne
from tne_eval.catalog import get_indicator, list_indicators
from tne_eval.errors import ContractError, DesignError, MissingDataError, UnknownNameError
from tne_eval.indicators import audit_counters, gini, gradient, indicator_table
from tne_eval.indicators.compute import all_rows, indicator_tables
from tne_eval.indicators.formulas import select
from tne_eval.indicators.panel_index import PanelIndex
from tne_eval.indicators.snee_regions import region_table
from tne_eval.sources import PANEL_COLUMNS

IDS = [entry.id for entry in list_indicators() if not entry.needs]
TO_FETCH = [entry for entry in list_indicators() if entry.needs]

# Success rates read in the published file by the authors of the programme's data file.
SUCCESS = {
    "02": [84.5, 87.9, 88.0, 84.7, 88.5, 86.1, 80.8, 83.6, 80.8],
    "95": [86.2, 88.6, 86.3, 85.6, 89.1, 85.6, 85.3, 86.9, 79.1],
}


@pytest.fixture(scope="module")
def index(panel):
    return PanelIndex(panel)


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
def test_a_territory_has_its_own_rows_those_of_its_academie_and_those_of_france(index, id):
    rows = all_rows(get_indicator(id), index)
    keys = ["unit_type", "unit", "period", "value", "n", "status"]
    # Guadeloupe is alone in its académie.
    for territory, departement, academie in (("aisne", "02", "Amiens"), ("guadeloupe", "971", None)):
        kept = rows["unit_type"].eq("france") | rows["unit"].isin([departement, academie])
        if not (kept & rows["unit_type"].eq("departement")).any():
            with pytest.raises(MissingDataError, match=territory.capitalize()):
                tne.compute_indicator(id, index, territory)
            continue
        found = tne.compute_indicator(id, index, territory).frame
        pd.testing.assert_frame_equal(found[keys], rows.loc[kept, keys].reset_index(drop=True), check_dtype=False)


def test_the_median_stands_for_france_where_nothing_is_published(index):
    result = tne.compute_indicator("fibre_percent", index, "aisne")
    median = indicator_table("fibre_percent", index).median()
    assert result.series("france").to_dict() == pytest.approx(median.to_dict(), rel=1e-12)


def test_what_is_done_to_a_result_does_not_reach_the_next_one(index):
    first = tne.compute_indicator("fibre_percent", index, "aisne")
    before = first.frame.copy()
    for table in (first.frame, indicator_table("fibre_percent", index), region_table(index)):
        numbers = table.columns.get_indexer(table.select_dtypes("number").columns)
        table.iloc[:, numbers] = 0.0
    pd.testing.assert_frame_equal(tne.compute_indicator("fibre_percent", index, "aisne").frame, before)
    assert indicator_table("fibre_percent", index).max(axis=None) > 90
    assert (region_table(index)["grants"] > 0).all()


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


@pytest.mark.parametrize("entry", TO_FETCH, ids=lambda entry: entry.id)
def test_what_is_not_shipped_says_which_source_to_fetch(panel, entry):
    with pytest.raises(MissingDataError, match="not in the panel") as caught:
        tne.compute_indicator(entry.id, panel)
    assert all(source in caught.value.remedy for source in entry.needs)


def test_several_tables_are_those_of_each(panel):
    tables = indicator_tables(IDS, panel)
    assert list(tables) == IDS
    for id in ("gini_ips_colleges", "quartile_gap_ips_colleges", "dnb_serie_gap", "segregation_private"):
        pd.testing.assert_frame_equal(tables[id], indicator_table(id, panel))


def schools(rows: list[tuple], unit_type: str = "college") -> pd.DataFrame:
    """Panel rows from (unit, period, variable, value) or (unit, period, variable, value, group)."""
    frame = pd.DataFrame([(*row, "")[:5] for row in rows], columns=["unit", "period", "variable", "value", "group"])
    filled = {"unit_type": unit_type, "period_type": "school_year", "weight": 1.0, "n": 1.0}
    return frame.assign(**filled, status="observed", source="schools")[list(PANEL_COLUMNS)]


def uai(number: int) -> str:
    """A school number with its check letter: 20001 is the first of the Aisne."""
    return f"{number:07d}" + "ABCDEFGHJKLMNPRSTUVWXYZ"[number % 23]


AISNE = [uai(20_000 + place) for place in range(1, 6)]


def test_schools_one_by_one_take_the_place_of_groups(panel):
    """Département, académie and France are those of the schools themselves, whatever groups are beside them."""
    own, others = [80.0, 95.0, 130.0], {uai(600_001): 100.0, uai(600_002): 120.0, uai(6_200_001): 90.0}
    ips = dict(zip(AISNE, own, strict=False)) | others
    rows = schools([(number, 2022, "ips_college_mean", value) for number, value in ips.items()])
    beside = panel[(panel["variable"] == "ips_college_mean").to_numpy()].astype({"unit": str})
    result = tne.compute_indicator("gini_ips_colleges", pd.concat([beside, rows], ignore_index=True), "aisne")
    assert result.series()[2022] == pytest.approx(gini(own), rel=1e-12)
    assert result.series("france")[2022] == pytest.approx(gini(list(ips.values())), rel=1e-12)
    assert list(result.series().index) == [2022]
    assert result.frame["n"].max() == len(ips)


def test_schools_with_candidates_by_hand():
    success, ips, present = [70.0, 75, 92, 88, 99], [80.0, 90, 100, 110, 120], [50.0, 100, 80, 120, 30]
    names = ("dnb_college_success_percent", "dnb_college_ips_mean", "dnb_college_present")
    rows = schools(
        [
            (number, 2021, name, value)
            for name, values in zip(names, (success, ips, present), strict=True)
            for number, value in zip(AISNE, values, strict=True)
        ]
    )
    table = indicator_table("gradient_dnb_colleges", rows)
    assert table.loc["02", 2021] == pytest.approx(10 * gradient(success, ips, present).slope, rel=1e-12)


def test_a_part_of_too_few_schools_is_hidden():
    """A quarter of five schools is less than the three that the disclosure rule asks for; of twelve, it is three."""
    few = schools([(number, 2022, "ips_college_mean", 90.0 + 10 * at) for at, number in enumerate(AISNE)])
    result = tne.compute_indicator("quartile_gap_ips_colleges", few, "aisne")
    assert list(result.frame["status"].unique()) == ["hidden"] and result.value is None
    many = [uai(20_000 + at) for at in range(1, 13)]
    rows = schools([(number, 2022, "ips_college_mean", 90.0 + at) for at, number in enumerate(many)])
    assert indicator_table("quartile_gap_ips_colleges", rows).loc["02", 2022] == pytest.approx(100 - 91)


def test_what_the_producer_hides_says_so(panel):
    result = tne.compute_indicator("segregation_private", panel, "corse-du-sud")
    own = result.frame[result.frame["unit_type"] == "departement"]
    assert set(own["status"]) == {"hidden"} and own["value"].isna().all()


@pytest.mark.parametrize(
    ("rows", "error", "match"),
    [
        (
            [("0020001A", 2022, "ips_college_mean", 90.0), (AISNE[1], 2022, "ips_college_mean", 99.0)],
            ContractError,
            "UAI",
        ),
        ([("9990001A", 2022, "ips_college_mean", 90.0)], ContractError, "1 problem"),
        ([("002", 2022, "ips_college_mean", 90.0)], ContractError, "1 problem"),
        ([(AISNE[0], 2022, "ips_college_mean", 90.0)] * 2, DesignError, "two rows"),
        (
            [(AISNE[0], 2022, "ips_college_mean", 90.0), (AISNE[1], 2022, "ips_college_mean", np.inf)],
            DesignError,
            "inf",
        ),
        ([(number, 2022, "ips_college_mean", -1.0) for number in AISNE], DesignError, "zero"),
    ],
)
def test_schools_that_are_wrong_are_refused(rows, error, match):
    with pytest.raises(error, match=match):
        indicator_table("gini_ips_colleges", schools(rows))


@pytest.mark.parametrize("unit", ["2", "002", "975", "Aisne"])
def test_units_that_are_no_departements_are_refused(panel, unit):
    rows = panel[(panel["variable"] == "ips_college_mean").to_numpy()].astype({"unit": str})
    rows.loc[rows.index[0], "unit"] = unit
    with pytest.raises(ContractError):
        indicator_table("gini_ips_colleges", rows)


def test_a_missing_label_is_refused(panel):
    rows = panel[(panel["variable"] == "ips_college_mean").to_numpy()].astype({"group": object})
    rows.loc[rows.index[0], "group"] = None
    with pytest.raises(DesignError, match="'group'"):
        indicator_table("gini_ips_colleges", rows)


def test_every_unit_of_the_catalogue_can_be_said():
    from tne_eval.french import amount

    for entry in list_indicators():
        assert amount(12.5, entry.unit, entry.decimals)
