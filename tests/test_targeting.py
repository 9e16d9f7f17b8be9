"""Targeting against closed forms, brute force and linear programming, and what must not change it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from tne_eval.errors import DesignError
from tne_eval.indicators.equity import equity, left_out
from tne_eval.indicators.inequality import generalized_entropy, slope_index_of_inequality
from tne_eval.indicators.targeting import compare_with_poorest_first, targeting, targeting_bounds


def sample(size=200, seed=1, tied=True):
    rng = np.random.default_rng(seed)
    need = rng.normal(size=size).round(1) if tied else rng.normal(size=size)
    amount = np.where(rng.random(size) < 0.5, rng.gamma(2, 4000, size).round(), 0.0)
    return amount, need, rng.integers(20, 300, size).astype(float)


def one_by_one(amount, need, people):
    """The same data with one row per person."""
    people = people.astype(int)
    return np.repeat(amount / people, people), np.repeat(need, people), np.ones(people.sum())


# Concentration


def test_two_rows_in_closed_form():
    """All to the half of greatest need: 1/2; all to the other half: −1/2; the same for each person: 0."""
    for amounts, index, top in (([10, 0], 0.5, 0.5), ([0, 10], -0.5, 0.0), ([5, 5], 0.0, 0.25)):
        found = targeting(amounts, [3, 1], [40, 40])
        assert found.index == pytest.approx(index, abs=1e-12)
        assert found.top_share == pytest.approx(top, abs=1e-12)
        assert found.top_benchmark == 0.25
    assert targeting([10, 0], [3, 1], [40, 40]).largest == pytest.approx(0.5)


def test_the_index_is_a_sum_over_pairs_of_people():
    """C = mean over pairs of people of the gap in amount, signed by their gap in need, over twice the mean."""
    amount, need, people = sample(60)
    per_person = amount / people
    pairs = np.multiply.outer(people, people)
    gaps = np.subtract.outer(per_person, per_person) * np.sign(np.subtract.outer(need, need))
    expected = (pairs * gaps).sum() / people.sum() ** 2 / (2 * amount.sum() / people.sum())
    assert targeting(amount, need, people).index == pytest.approx(expected, abs=1e-12)


def test_the_curve_goes_from_the_greatest_need_down_and_encloses_the_index():
    amount, need, people = sample()
    found = targeting(amount, need, people)
    heights = np.diff(found.curve.population) * (found.curve.value[1:] + found.curve.value[:-1]) / 2
    assert 2 * heights.sum() - 1 == pytest.approx(found.index, abs=1e-12)
    first = need == need.max()
    assert found.curve.value[1] == pytest.approx(amount[first].sum() / amount.sum())
    assert found.curve.population[1] == pytest.approx(people[first].sum() / people.sum())


def test_the_top_quarter_is_that_of_people_counted_one_by_one():
    amount, need, people = sample(tied=False)
    each, rank, _ = one_by_one(amount, need, people)
    order = np.argsort(-rank, kind="stable")
    cut = len(each) / 4
    whole = int(cut)
    held = each[order[:whole]].sum() + (cut - whole) * each[order[whole]]
    assert targeting(amount, need, people).top_share == pytest.approx(held / amount.sum(), abs=1e-12)


def test_the_error_is_that_of_the_jackknife_by_cluster():
    rng = np.random.default_rng(8)
    cluster = np.repeat(np.arange(100), 12)
    need = rng.normal(size=1200) + rng.normal(size=100)[cluster]
    people = rng.integers(20, 300, 1200).astype(float)
    amount = people * rng.gamma(2, 20, 1200) * np.exp(0.1 * need + 0.4 * rng.normal(size=100)[cluster])
    found = targeting(amount, need, people, cluster=cluster)
    kept = [cluster != one for one in range(100)]
    left = np.array([targeting(amount[k], need[k], people[k]).index for k in kept])
    assert found.error == pytest.approx(np.sqrt(99 / 100 * ((left - left.mean()) ** 2).sum()), rel=0.03)
    assert (found.df, found.n_clusters, found.n) == (99, 100, 1200)
    assert found.high - found.index == pytest.approx(1.984217 * found.error, rel=1e-6)
    assert found.error > 1.2 * targeting(amount, need, people).error


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_order_unit_and_scale_of_need_do_not_matter(seed):
    amount, need, people = sample(40, seed)
    cluster = np.random.default_rng(seed).integers(0, 6, 40)
    one = targeting(amount, need, people, cluster=cluster).to_frame()
    order = np.random.default_rng(seed).permutation(40)
    other = targeting(100 * amount[order], np.exp(need[order]), 3 * people[order], cluster=cluster[order]).to_frame()
    pd.testing.assert_frame_equal(one.drop(columns="mean"), other.drop(columns="mean"), rtol=1e-9)
    assert other["mean"].item() == pytest.approx(one["mean"].item() * 100 / 3)
    mirror = targeting(amount, -need, people)
    assert mirror.index == pytest.approx(-one["index"].item(), abs=1e-12)


def test_a_row_of_k_times_the_people_is_k_rows():
    amount, need, people = sample(40)
    k = np.random.default_rng(0).integers(1, 4, 40)
    copies = np.repeat(np.arange(40), k)
    cluster = np.arange(40) % 7
    one = targeting(k * amount, need, k * people, cluster=cluster)
    many = targeting(amount[copies], need[copies], people[copies], cluster=cluster[copies])
    assert one.index == pytest.approx(many.index, abs=1e-12)
    assert one.error == pytest.approx(many.error, rel=1e-10)
    assert one.top_share == pytest.approx(many.top_share, abs=1e-12)
    assert equity(k * amount, need, k * people).within == pytest.approx(
        equity(amount[copies], need[copies], people[copies]).within, abs=1e-12
    )


# Poorest first


def brute_poorest_first(amount, need, people, ceiling):
    """Euros handed out class of need by class of need, in a loop."""
    left, given = amount.sum(), np.zeros(len(amount))
    for level in sorted(set(need), reverse=True):
        rows = np.flatnonzero(need == level)
        cost = ceiling * people[rows].sum()
        given[rows] = people[rows] * ceiling * min(1, left / cost)
        left -= given[rows].sum()
        if left <= 1e-6:
            break
    return given


@pytest.mark.parametrize("ceiling", [40.0, 60.0, 150.0, 1e6])
def test_poorest_first_is_a_loop_over_needs(ceiling):
    amount, need, people = sample()
    found = compare_with_poorest_first(amount, need, people, ceiling)
    expected = brute_poorest_first(amount, need, people, ceiling)
    np.testing.assert_allclose(found.amount, expected, rtol=1e-9, atol=1e-6)
    assert found.amount.sum() == pytest.approx(found.budget, rel=1e-12) == pytest.approx(amount.sum())
    both = sum(min(one, other) for one, other in zip(amount, expected, strict=True))
    assert found.overlap_amount == pytest.approx(both / amount.sum())
    assert found.displaced == pytest.approx(amount.sum() - both)
    assert set(found.rows) == set(np.flatnonzero(expected > 0))
    assert (np.diff(need[found.rows]) <= 0).all() and found.cut == need[found.rows].min()
    assert found.index_rule >= found.index_granted and found.need_rule >= found.need_granted
    part = expected / (ceiling * people)
    assert found.overlap_granted == pytest.approx(part[amount > 0].sum() / (amount > 0).sum())
    assert found.overlap_rule == pytest.approx(part[amount > 0].sum() / part.sum())
    assert found.people_rule == pytest.approx(amount.sum() / ceiling)
    assert found.need_rule == pytest.approx(np.average(need, weights=expected))


def test_no_other_allocation_reaches_more_need():
    """Maximum of Σ need × amount under the ceilings, by linear programming."""
    amount, need, people = sample(40)
    found = compare_with_poorest_first(amount, need, people, 60)
    best = linprog(-need, A_eq=np.ones((1, 40)), b_eq=[amount.sum()], bounds=np.c_[np.zeros(40), 60 * people])
    assert found.need_rule == pytest.approx(-best.fun / amount.sum(), rel=1e-9)


def test_the_rule_compared_with_itself_overlaps_fully():
    amount, need, people = sample(tied=False)
    rule = compare_with_poorest_first(amount, need, people, 70)
    same = compare_with_poorest_first(rule.amount, need, people, 70)
    assert same.overlap_amount == pytest.approx(1) and same.displaced == pytest.approx(0, abs=1e-6)
    assert same.overlap_rule == pytest.approx(1) and same.index_granted == pytest.approx(same.index_rule)


def test_ties_at_the_margin_share_by_people():
    found = compare_with_poorest_first([0, 0, 0, 90.0], [2, 1, 1, 0], [3, 2, 6, 10], 10)
    assert found.amount == pytest.approx([30, 15, 45, 0])
    assert found.fraction == pytest.approx([1, 0.75, 0.75, 0])
    assert found.rows.tolist() == [0, 1, 2]
    assert (found.overlap_amount, found.displaced, found.overlap_granted) == (0, 90, 0)
    exact = compare_with_poorest_first([30.0, 0, 0, 0], [2, 1, 1, 0], [3, 2, 6, 10], 10)
    assert exact.rows.tolist() == [0] and exact.overlap_granted == 1


def test_the_rule_does_not_depend_on_order_or_currency():
    amount, need, people = sample()
    order = np.random.default_rng(3).permutation(200)
    one = compare_with_poorest_first(amount, need, people, 70)
    other = compare_with_poorest_first(100 * amount[order], need[order], people[order], 7000)
    np.testing.assert_allclose(one.fraction[order], other.fraction, atol=1e-9)
    columns = ["overlap_amount", "overlap_granted", "overlap_rule", "need_granted", "need_rule", "index_rule", "cut"]
    pd.testing.assert_frame_equal(one.to_frame()[columns], other.to_frame()[columns], rtol=1e-9)


def test_a_ceiling_too_low_is_refused():
    with pytest.raises(DesignError, match="the ceiling is 1 per person") as caught:
        compare_with_poorest_first([10.0, 10], [1, 2], [5, 5], 1)
    assert "2 per person" in caught.value.why
    assert compare_with_poorest_first([10.0, 10], [1, 2], [5, 5], 2).fraction == pytest.approx([1, 1])
    for wrong in (0, -1, np.nan, "x"):
        with pytest.raises(DesignError, match="ceiling"):
            compare_with_poorest_first([10.0, 10], [1, 2], [5, 5], wrong)


# Equity


def test_slope_and_parts_of_equity():
    amount, need, people = sample(2000)
    found = equity(amount, need, people)
    assert found.slope == pytest.approx(slope_index_of_inequality(amount / people, need, people))
    assert found.progressivity == pytest.approx(found.slope * people.sum() / amount.sum())
    assert found.between + found.within == pytest.approx(found.total)
    assert found.total == pytest.approx(generalized_entropy(amount / people, 1, people))
    assert found.frame["rows"].sum() == 2000 and found.frame["people"].sum() == people.sum()
    assert len(found.frame) == 20 and (found.frame["need_low"].to_numpy()[1:] > found.frame["need_high"][:-1]).all()
    place = np.searchsorted(found.frame["need_high"], need)
    mean = found.frame["mean"].to_numpy()[place]
    assert found.spread == pytest.approx(np.sqrt(np.average((amount / people - mean) ** 2, weights=people)))
    inside = [generalized_entropy((amount / people)[place == one], 1, people[place == one]) for one in range(20)]
    np.testing.assert_allclose(found.frame["index"], inside, atol=1e-12)
    shares = [amount[place == one].sum() / amount.sum() for one in range(20)]
    assert found.within == pytest.approx(np.dot(shares, inside))


def test_amounts_that_follow_need_alone_leave_nothing_among_equals():
    need, people = np.repeat(np.arange(20.0), 10), np.full(200, 7.0)
    found = equity((3 + need) * people, need, people)
    assert found.spread == pytest.approx(0, abs=1e-12) and found.within == pytest.approx(0, abs=1e-12)
    # Need rises by one per class, ranks by 1/20.
    assert found.slope == pytest.approx(20) and found.within_percent == pytest.approx(0, abs=1e-9)
    assert equity((30 - need) * people, need, people).progressivity < 0


def test_equals_may_share_a_group_too():
    need, people = np.repeat(np.arange(20.0), 10), np.full(200, 7.0)
    rural = np.tile([True, False], 100)
    amount = np.where(rural, 30.0, 10.0) * people
    assert equity(amount, need, people).spread == pytest.approx(10)
    found = equity(amount, need, people, rural)
    assert found.spread == pytest.approx(0, abs=1e-12) and len(found.frame) == 40
    assert found.frame.loc[found.frame["group"].astype(bool), "mean"].tolist() == pytest.approx([30] * 20)
    with pytest.raises(DesignError, match="group has shape"):
        equity(amount, need, people, rural[:5])


# Left out


def test_left_out_counts():
    need = np.array([1.0, 2, 3, 4, 5, 6])
    granted = np.array([True, False, True, False, False, True])
    people = np.array([10.0, 10, 10, 10, 10, 20])
    found = left_out(need, granted, people, ["x", "y", "y", "x", "y", "y"])
    # 70 people: the half is reached at need 4, so that two rows lie above.
    assert found.median == 4 and found.mask.tolist() == [False] * 4 + [True, False]
    assert (found.rows, found.people, found.rows_share, found.people_share) == (1, 10, 0.5, pytest.approx(1 / 3))
    table = found.to_frame().set_index("area")
    assert table.loc["y"].to_dict() == {
        "above": 2, "left_out": 1, "people_above": 30, "people_left_out": 10, "share": 0.5
    }  # fmt: skip
    assert table.loc["x", "above"] == 0 and table.loc["x", "share"] is None
    assert left_out(need, granted, people).frame["area"].tolist() == ["all"]


def test_left_out_against_people_one_by_one():
    amount, need, people = sample()
    each = np.sort(np.repeat(need, people.astype(int)))
    found = left_out(need, amount > 0, people)
    assert found.median == each[int(np.ceil(len(each) / 2)) - 1]
    mask = (need > found.median) & (amount == 0)
    np.testing.assert_array_equal(found.mask, mask)
    assert found.people_share == pytest.approx(people[mask].sum() / people[need > found.median].sum())


def test_left_out_refuses():
    with pytest.raises(DesignError, match="granted 1"):
        left_out([1, 2], [True, None], [1, 1])
    with pytest.raises(DesignError, match="truth value"):
        left_out([1, 2], [1, 0], [1, 1])
    with pytest.raises(DesignError, match="above the median"):
        left_out([1, 1], [True, False], [1, 1])
    with pytest.raises(DesignError, match="area has 1"):
        left_out([1, 2], [True, False], [1, 1], ["a"])


# Bounds


def index_weights(need, people):
    """(n,) c with index = c · amount / total, pair by pair."""
    share = people / people.sum()
    below = (np.subtract.outer(need, need) > 0) @ share
    same = (np.subtract.outer(need, need) == 0) @ share
    return 2 * (below + same / 2) - 1


def top_weights(need, people):
    """(n,) part of each row inside the quarter of greatest need."""
    share = people / people.sum()
    above = (np.subtract.outer(need, need) < 0) @ share
    same = (np.subtract.outer(need, need) == 0) @ share
    return np.clip((0.25 - above) / same, 0, 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_bounds_are_those_of_linear_programming(seed, grouped):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(3, 14))
    need, people = rng.integers(0, 5, size).astype(float), rng.integers(1, 9, size).astype(float)
    low = rng.integers(0, 4, size) * 10.0
    high = low + rng.integers(0, 6, size) * 10.0
    inside = low + rng.random(size) * (high - low)
    need[0] = 5
    if inside.sum() == 0:
        return
    group = rng.integers(0, 3, size) if grouped else np.zeros(size, dtype=int)
    totals = {one: inside[group == one].sum() for one in set(group.tolist())}
    found = targeting_bounds(low, high, totals if grouped else inside.sum(), need, people, group if grouped else None)
    members = np.array([group == one for one in totals], dtype=float)
    for weights, ends in (
        (index_weights(need, people), (found.index_low, found.index_high)),
        (top_weights(need, people), (found.top_low, found.top_high)),
    ):
        for sign, end in zip((1, -1), ends, strict=True):
            best = linprog(sign * weights, A_eq=members, b_eq=list(totals.values()), bounds=np.c_[low, high])
            assert best.status == 0
            assert end == pytest.approx(sign * best.fun / inside.sum(), abs=1e-8)
    for end in (found.amount_low, found.amount_high):
        assert (end >= low - 1e-9).all() and (end <= high + 1e-9).all()
        np.testing.assert_allclose(members @ end, list(totals.values()), atol=1e-8)
    assert found.index_low - 1e-9 <= targeting(inside, need, people).index <= found.index_high + 1e-9


def test_known_amounts_leave_a_point_and_a_known_group_narrows():
    amount, need, people = sample(60)
    found = targeting_bounds(amount, amount, amount.sum(), need, people)
    index = targeting(amount, need, people).index
    assert (found.index_low, found.index_high) == pytest.approx((index, index))
    group = np.arange(60) // 3
    totals = {one: amount[group == one].sum() for one in range(20)}
    whole = np.array([totals[one] for one in group])
    wide = targeting_bounds(np.zeros(60), whole, amount.sum(), need, people)
    narrow = targeting_bounds(np.zeros(60), whole, totals, need, people, group)
    assert wide.index_low < narrow.index_low < index < narrow.index_high < wide.index_high
    assert narrow.to_frame()["statistic"].tolist() == ["index", "top_share"]


def test_bounds_that_exclude_the_total_are_refused():
    need, people = [1, 2], [1, 1]
    for total in (5, 41):
        with pytest.raises(DesignError, match="outside their bounds") as caught:
            targeting_bounds([5, 5], [20, 20], total, need, people)
        assert "10 to 40" in caught.value.why
    with pytest.raises(DesignError, match="need does not vary"):
        targeting_bounds([5, 5], [20, 20], 30, [1, 1], people)
    with pytest.raises(DesignError, match="bounds of 1 rows"):
        targeting_bounds([5, 21], [20, 20], 30, need, people)
    with pytest.raises(DesignError, match="totals do not match") as caught:
        targeting_bounds([5, 5], [20, 20], {"a": 10}, need, people, ["a", "b"])
    assert caught.value.why == "no total for b"
    with pytest.raises(DesignError, match="totals do not match"):
        targeting_bounds([5, 5], [20, 20], 20, need, people, ["a", "b"])


# What all of them refuse

FUNCTIONS = {
    "targeting": targeting,
    "poorest": lambda amount, need, people: compare_with_poorest_first(amount, need, people, 100),
    "equity": equity,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_inputs_are_refused_with_counts(name):
    one = FUNCTIONS[name]
    amount, need, people = sample(20)
    with pytest.raises(DesignError, match="of 20 rows: amount 2, need 3"):
        one(np.r_[[np.nan, np.inf], amount[2:]], np.r_[[np.nan] * 3, need[3:]], people)
    with pytest.raises(DesignError, match="2 of 20 rows have no people"):
        one(amount, need, np.r_[[0, 0], people[2:]])
    with pytest.raises(DesignError, match="1 amounts are below zero"):
        one(np.r_[-1, amount[1:]], need, people)
    with pytest.raises(DesignError, match="all amounts are zero"):
        one(0 * amount, need, people)
    with pytest.raises(DesignError, match="need does not vary"):
        one(amount, np.ones(20), people)
    with pytest.raises(DesignError, match="shapes"):
        one(amount, need[1:], people)
    with pytest.raises(DesignError, match="shapes"):
        one([], [], [])
    with pytest.raises(DesignError, match="something else than numbers"):
        one(amount, ["x"] * 20, people)


def test_clusters_are_checked():
    amount, need, people = sample(20)
    with pytest.raises(DesignError, match="cluster has shape"):
        targeting(amount, need, people, cluster=[1, 2])
    with pytest.raises(DesignError, match="two clusters"):
        targeting(amount, need, people, cluster=np.ones(20))
    with pytest.raises(DesignError, match="missing labels"):
        targeting(amount, need, people, cluster=[None] * 20)


def test_data_are_left_as_they_were():
    amount, need, people = sample()
    before = amount.copy(), need.copy(), people.copy()
    targeting(amount, need, people)
    compare_with_poorest_first(amount, need, people, 80)
    equity(amount, need, people)
    left_out(need, amount > 0, people)
    targeting_bounds(amount, amount + 5, amount.sum() + 50, need, people)
    for one, other in zip((amount, need, people), before, strict=True):
        np.testing.assert_array_equal(one, other)
