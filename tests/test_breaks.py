"""Series that start anew: raw differences across a break are refused; ranks and standard scores cross it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tne_eval as tne
from tne_eval.catalog import get_indicator, list_indicators
from tne_eval.errors import DesignError, MissingDataError
from tne_eval.indicators import indicator_table
from tne_eval.indicators.breaks import change, rank_change, standardized, standardized_change

IPS = get_indicator("gini_ips_colleges")
TABLE = pd.DataFrame(
    {2021: [1.0, 2.0, 3.0, 4.0], 2022: [40.0, 20.0, 10.0, 30.0], 2023: [1.0, np.nan, 2.0, 3.0]}, index=list("abcd")
)


@pytest.mark.parametrize(
    ("first", "last", "broken"),
    [(2021, 2022, (2022,)), (2022, 2021, (2022,)), (2020, 2023, (2022, 2023)), (2022, 2022, ()), (2023, 2025, ())],
)
def test_a_break_lies_between_the_period_before_it_and_its_own(first, last, broken):
    assert IPS.breaks_between(first, last) == broken


def test_a_raw_difference_across_a_break_is_refused(panel):
    result = tne.compute_indicator("gini_ips_colleges", panel, "aisne")
    for call in (result.change, lambda: change(IPS, TABLE, 2021, 2022)):
        with pytest.raises(DesignError, match="starts anew in 2022") as caught:
            call()
        assert "rank_change" in caught.value.remedy and "standardized_change" in caught.value.remedy


@pytest.mark.parametrize("entry", [entry for entry in list_indicators() if entry.breaks], ids=lambda entry: entry.id)
def test_every_break_of_the_catalogue_is_respected(entry):
    for period in entry.breaks:
        table = pd.DataFrame({period - 1: [1.0, 2.0], period: [2.0, 3.0]})
        with pytest.raises(DesignError, match=str(period)):
            change(entry, table, period - 1, period)


def test_every_indicator_on_the_ips_respects_both_breaks():
    on_ips = [entry for entry in list_indicators() if str(entry.inputs.get("value", "")).startswith("ips_")]
    assert len(on_ips) >= 8 and all(entry.breaks == (2022, 2023) for entry in on_ips)


def test_without_a_break_the_difference_is_that_of_the_values(panel):
    result = tne.compute_indicator("dnb_success_percent", panel, "aisne")
    assert result.change(2019, 2023) == result.series()[2023] - result.series()[2019]
    assert result.change() == result.series().iloc[-1] - result.series().iloc[0]
    assert result.change(2019, 2023, "france") == result.series("france")[2023] - result.series("france")[2019]
    table = indicator_table("dnb_success_percent", panel)
    entry = get_indicator("dnb_success_percent")
    assert change(entry, table, 2019, 2023)["02"] == pytest.approx(result.change(2019, 2023))


def test_ranks_cross_a_break_by_hand():
    assert list(rank_change(TABLE, 2021, 2022)) == [3, 0, -2, -1]
    # b is not known in 2023: a, c and d only are ranked.
    assert rank_change(TABLE, 2021, 2023).to_dict() == {"a": 0, "c": 0, "d": 0}


def test_standard_scores_by_hand():
    scores = standardized(TABLE)
    # 1, 2, 3, 4: mean 2.5, variance 1.25
    assert scores[2021].to_numpy() == pytest.approx(np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25))
    assert scores[2023].isna().to_dict() == {"a": False, "b": True, "c": False, "d": False}
    expected = (np.array([15.0, -5, -15, 5]) / np.sqrt(125)) - np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25)
    assert standardized_change(TABLE, 2021, 2022).to_numpy() == pytest.approx(expected)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=3, max_size=20).filter(
        lambda rows: all(len(set(column)) > 1 for column in zip(*rows, strict=True))
    ),
    st.floats(0.1, 10),
    st.floats(-100, 100),
)
@settings(max_examples=80, deadline=None)
def test_a_new_scale_in_the_second_period_changes_nothing(rows, factor, shift):
    table = pd.DataFrame(rows, columns=[2021, 2022], dtype=float)
    rescaled = table.assign().copy()
    rescaled[2022] = np.round(factor * 1024) / 1024 * table[2022] + np.round(shift)
    pd.testing.assert_series_equal(rank_change(rescaled, 2021, 2022), rank_change(table, 2021, 2022))
    np.testing.assert_allclose(
        standardized_change(rescaled, 2021, 2022), standardized_change(table, 2021, 2022), atol=1e-8
    )
    assert rank_change(table, 2021, 2022).sum() == pytest.approx(0)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: change(IPS, TABLE, 2023, 2030), MissingDataError, "2030"),
        (lambda: rank_change(TABLE, 2019, 2021), MissingDataError, "2019"),
        (lambda: standardized_change(TABLE, 2019, 2021), MissingDataError, "2019"),
        (lambda: rank_change(TABLE.head(1), 2021, 2022), DesignError, "fewer than two units"),
        (lambda: standardized(TABLE * 0), DesignError, "do not vary in 2021, 2022, 2023"),
        (
            lambda: standardized_change(TABLE.assign().replace({3.0: np.nan, 2.0: np.nan}), 2021, 2023),
            DesignError,
            ".",
        ),
    ],
)
def test_refusals(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_a_period_without_a_value_is_an_error(panel):
    result = tne.compute_indicator("dnb_success_percent", panel, "aisne")
    with pytest.raises(MissingDataError, match="2015"):
        result.change(2015, 2023)


def test_a_gap_too_small_to_be_read_says_so(panel):
    result = tne.compute_indicator("quartile_gap_ips_colleges", panel, "aisne")
    limit = result.indicator.smallest_readable_gap
    assert result.gap_is_readable() == (abs(result.gap()) > limit)
    assert not result.indicator.is_readable(limit) and result.indicator.is_readable(-limit - 0.01)
    assert tne.compute_indicator("dnb_success_percent", panel, "aisne").gap_is_readable()
