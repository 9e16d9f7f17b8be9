"""Rates, leverage, unit costs and ceilings of grants, by hand, by loops and by what the published totals imply."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tne_eval.errors import DesignError
from tne_eval.indicators.grants import EDGES, check_ceilings, leverage, rates_by_size, unit_costs


def sample(size=300, seed=2):
    rng = np.random.default_rng(seed)
    spending = np.exp(rng.normal(9.5, 1.3, size)).round(2)
    grant = (spending * np.where(spending < 2e5, 0.7, 0.5) * rng.uniform(0.6, 1, size)).round(2)
    return spending, grant, rng.choice(["02", "95", "2A"], size)


def test_rates_by_size_is_a_loop_over_classes():
    spending, grant, _ = sample()
    table = rates_by_size(spending, grant)
    assert len(table) == 7 and table["conventions"].sum() == 300
    for row, (low, high) in zip(table.itertuples(), pairwise(EDGES), strict=True):
        inside = [k for k in range(300) if low <= spending[k] < high]
        assert (row.low, row.high, row.conventions) == (low, high, len(inside))
        assert row.spending == pytest.approx(sum(spending[k] for k in inside))
        assert row.rate == pytest.approx(sum(grant[k] for k in inside) / sum(spending[k] for k in inside))
        assert row.median_rate == pytest.approx(np.median([grant[k] / spending[k] for k in inside]))


def test_the_lower_edge_belongs_to_a_class_and_empty_classes_have_no_rate():
    table = rates_by_size([5e3, 5e3 - 0.01, 2e5], [2500, 100, 8e4])
    assert table["conventions"].tolist() == [1, 1, 0, 0, 0, 0, 1]
    assert table["rate"].tolist()[1:4] == [0.5, None, None] and table["median_rate"].tolist()[6] == 0.4


def test_edges_are_checked():
    for edges in ([0.0], [0, 2, 2], [3, 1], [0, np.nan]):
        with pytest.raises(DesignError, match="do not rise"):
            rates_by_size([1.0], [1.0], edges)
    with pytest.raises(DesignError, match="1 of 2 conventions lie outside"):
        rates_by_size([1.0, 10.0], [1.0, 1.0], (0, 10))


def test_leverage_of_the_published_totals():
    """196,533,726.48 euros spent for 103,095,993.73 of grants: a rate of 52.5 %, as published."""
    found = leverage([196_533_726.48], [103_095_993.73])
    assert 1 / found.overall == pytest.approx(0.525, abs=5e-4)
    assert found.overall == pytest.approx(1.9063, abs=5e-5) and found.own == pytest.approx(found.overall - 1)


def test_leverage_by_group():
    spending, grant, group = sample()
    found = leverage(spending, grant, group)
    for row in found.frame.itertuples():
        mine = group == row.group
        assert row.leverage == pytest.approx(spending[mine].sum() / grant[mine].sum())
        assert row.conventions == mine.sum()
    assert np.average(found.frame["leverage"], weights=found.frame["grant"]) == pytest.approx(found.overall)
    assert leverage(spending, grant).to_frame()["group"].tolist() == ["all"]
    with pytest.raises(DesignError, match="without any grant: b"):
        leverage([1.0, 2], [1.0, 0], ["a", "b"])
    with pytest.raises(DesignError, match="group has 1"):
        leverage([1.0, 2], [1.0, 0], ["a"])


def test_unit_costs_bound_what_cannot_be_tied():
    # Two conventions with their schools, one whose schools are not known, one school without amount.
    table = unit_costs(
        grant=[100, 50, 30, np.nan],
        spending=[200, 80, 60, np.nan],
        classes=[4, 1, np.nan, 5],
        pupils=[80, 20, np.nan, 100],
        schools=[1, 1, 2, 1],
    ).set_index(["amount", "unit"])
    row = table.loc[("grant", "class")]
    assert (row["units"], row["tied_amount"], row["total_amount"]) == (10, 150, 180)
    assert (row["low"], row["high"], row["tied"]) == (15, 18, 30)
    assert row["tied_share"] == pytest.approx(150 / 180)
    row = table.loc[("spending", "school")]
    assert (row["low"], row["high"], row["tied"], row["tied_share"]) == (68, 68, 85, 1)


def test_any_way_of_tying_the_rest_lies_within_the_bounds():
    rng = np.random.default_rng(5)
    grant, classes = rng.gamma(2, 1000, 40), rng.integers(1, 9, 40).astype(float)
    known = rng.random(40) < 0.5
    rows = unit_costs(grant, grant, np.where(known, classes, np.nan), classes, np.ones(40))
    row = rows.iloc[0]
    for part in np.linspace(0, 1, 5):
        assert row["low"] <= (grant[known].sum() + part * grant[~known].sum()) / classes[known].sum() <= row["high"]
    full = rows[(rows["amount"] == "spending") & (rows["unit"] == "pupil")].iloc[0]
    assert full["low"] == full["high"] == full["tied"] == pytest.approx(grant.sum() / classes.sum())


def test_nothing_tied_has_no_point():
    row = unit_costs([100, np.nan], [100, np.nan], [np.nan, 4], [np.nan, 80], [np.nan, 1]).iloc[0]
    assert (row["low"], row["high"], row["tied"]) == (0, 25, None)


def test_unit_costs_refuse():
    good = [[1.0, 2], [1.0, 2], [1, 1], [1, 1], [1, 1]]
    for place, name in enumerate(["grant", "spending", "classes", "pupils", "schools"]):
        if place < 2:
            continue
        wrong = [list(column) for column in good]
        wrong[place] = [np.nan, 0]
        with pytest.raises(DesignError, match=f"no value above zero in {name[:5]}"):
            unit_costs(*wrong)
    with pytest.raises(DesignError, match="negative or infinite values in grant, pupil"):
        unit_costs([-1.0, 2], *good[1:3], [np.inf, 1], good[4])
    with pytest.raises(DesignError, match="differ in shape"):
        unit_costs([1.0], *good[1:])


def test_ceilings_under_both_readings():
    spending = np.array([1e5, 1e5, 2e5, 3e5, 3e5, 1e4])
    grant = np.array([7e4, 7.6e4, 1e5, 1.8e5, 2e5, 8.2e3])
    found = check_ceilings(spending, grant)
    assert found.above.tolist() == [False, True, False, True, True, True]
    # 300,000: 140,000 on the first 200,000 and 50,000 on the rest.
    assert found.above_by_bracket.tolist() == [False, True, False, False, True, True]
    table = found.to_frame().set_index("class")
    assert table["conventions"].to_dict() == {"below": 3, "from": 3}
    assert table["above"].to_dict() == {"below": 2, "from": 2}
    assert table["above_by_bracket"].to_dict() == {"below": 2, "from": 1}
    assert table.loc["below", "highest_rate"] == pytest.approx(0.82)
    assert table.loc["from", "excess"] == pytest.approx(3e4 + 5e4)
    assert table.loc["below", "excess"] == pytest.approx(6e3 + 1.2e3)


def test_ceilings_tolerate_rounding_only():
    # A grant of exactly the ceiling is not above it, whatever the binary fractions.
    spending = np.arange(1, 2000) * 7.3
    assert not check_ceilings(spending, 0.7 * spending, tolerance=0).above.any()
    assert check_ceilings(spending, 0.7 * spending * 1.001, tolerance=0).above.all()
    assert not check_ceilings(spending, 0.7 * spending * 1.001).above.any()
    assert check_ceilings([10.0], [1.0]).frame["highest_rate"].tolist() == [0.1, None]


def test_ceilings_refuse_parameters():
    for wrong in ({"rate_below": 70}, {"threshold": 0}, {"tolerance": -0.1}, {"rate_above": np.nan}):
        with pytest.raises(DesignError):
            check_ceilings([1.0], [0.5], **wrong)


def test_order_and_currency_do_not_matter():
    spending, grant, group = sample()
    order = np.random.default_rng(0).permutation(300)
    one, other = rates_by_size(spending, grant), rates_by_size(spending[order], grant[order])
    pd.testing.assert_frame_equal(one, other)
    cents = rates_by_size(100 * spending, 100 * grant, 100 * np.array(EDGES))
    assert one["rate"].astype(float).tolist() == pytest.approx(cents["rate"].astype(float).tolist())
    pd.testing.assert_frame_equal(
        leverage(spending, grant, group).frame, leverage(spending[order], grant[order], group[order]).frame
    )
    np.testing.assert_array_equal(
        check_ceilings(spending, grant).above,
        check_ceilings(100 * spending, 100 * grant, threshold=2e7).above,
    )


@pytest.mark.parametrize("function", [rates_by_size, leverage, check_ceilings])
def test_bad_amounts_are_refused_with_counts(function):
    with pytest.raises(DesignError, match="of 3 rows: spending 1, grant 2"):
        function([np.nan, 1, 2], [np.nan, np.nan, 1])
    with pytest.raises(DesignError, match="1 conventions spend nothing and 1 grants"):
        function([0.0, 1], [1.0, -1])
    with pytest.raises(DesignError, match="shapes"):
        function([1.0], [1.0, 2.0])


def test_data_are_left_as_they_were():
    spending, grant, group = sample()
    before = spending.copy(), grant.copy()
    rates_by_size(spending, grant)
    leverage(spending, grant, group)
    check_ceilings(spending, grant)
    unit_costs(grant, spending, np.where(grant > 5000, np.nan, 2), grant, grant)
    np.testing.assert_array_equal(spending, before[0])
    np.testing.assert_array_equal(grant, before[1])
