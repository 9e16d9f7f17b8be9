"""Many segments at once: each statistic equals its scalar namesake, segment by segment; laws and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tne_eval.errors import DesignError
from tne_eval.indicators import arrays, inequality, moments, quantiles, segments
from tne_eval.indicators.segments import sort_segments

# name: (of many segments, of one); the first table needs rows sorted by their value, the second a position.
ALONE = {
    "mean": (lambda rows: rows.mean, moments.mean),
    "variance": (segments.variance, moments.variance),
    "gini": (segments.gini, inequality.gini),
    "ge(-1)": (
        lambda rows: segments.generalized_entropy(rows, -1),
        lambda v, w: inequality.generalized_entropy(v, -1, w),
    ),
    "ge(0)": (lambda rows: segments.generalized_entropy(rows, 0), lambda v, w: inequality.generalized_entropy(v, 0, w)),
    "ge(1)": (lambda rows: segments.generalized_entropy(rows, 1), lambda v, w: inequality.generalized_entropy(v, 1, w)),
    "ge(2)": (lambda rows: segments.generalized_entropy(rows, 2), lambda v, w: inequality.generalized_entropy(v, 2, w)),
    "atkinson(0.5)": (lambda rows: segments.atkinson(rows, 0.5), lambda v, w: inequality.atkinson(v, 0.5, w)),
    "atkinson(1)": (lambda rows: segments.atkinson(rows, 1), lambda v, w: inequality.atkinson(v, 1, w)),
    "atkinson(2)": (lambda rows: segments.atkinson(rows, 2), lambda v, w: inequality.atkinson(v, 2, w)),
    "median": (lambda rows: segments.quantile(rows, 0.5), lambda v, w: quantiles.quantile(v, 0.5, w)),
    "quantile(0)": (lambda rows: segments.quantile(rows, 0), lambda v, w: quantiles.quantile(v, 0, w)),
    "quantile(1)": (lambda rows: segments.quantile(rows, 1), lambda v, w: quantiles.quantile(v, 1, w)),
    "d9/d1": (segments.quantile_ratio, lambda v, w: quantiles.quantile_ratio(v, weight=w)),
    "s80/s20": (segments.share_ratio, lambda v, w: quantiles.share_ratio(v, weight=w)),
}
ALONG = {
    "concentration": (segments.concentration_index, inequality.concentration_index),
    "wagstaff": (
        lambda rows: segments.concentration_index(rows, "wagstaff", (0, 200)),
        lambda v, p, w: inequality.concentration_index(v, p, w, "wagstaff", (0, 200)),
    ),
    "erreygers": (
        lambda rows: segments.concentration_index(rows, "erreygers", (0, 200)),
        lambda v, p, w: inequality.concentration_index(v, p, w, "erreygers", (0, 200)),
    ),
    "slope": (lambda rows: segments.gradient(rows)[0], lambda v, p, w: inequality.gradient(v, p, w).slope),
    "r2": (lambda rows: segments.gradient(rows)[1], lambda v, p, w: inequality.gradient(v, p, w).r2),
    "sii": (segments.slope_index_of_inequality, inequality.slope_index_of_inequality),
    "rii": (segments.relative_index_of_inequality, inequality.relative_index_of_inequality),
}


def sample(seed: int, *, ties: bool, count: int = 40, rows: int = 4000):
    rng = np.random.default_rng(seed)
    code = np.concatenate([np.arange(count), np.arange(count), rng.integers(0, count, rows - 2 * count)])
    rng.shuffle(code)
    value, position = rng.gamma(4, 10, rows).clip(1, 199), rng.normal(100, 15, rows)
    weight = rng.gamma(1, 3, rows)
    weight[rng.random(rows) < 0.05] = 0
    if ties:
        value, position, weight = np.round(value / 5) * 5 + 1, np.round(position / 10) * 10, np.ceil(weight)
    for one in range(count):  # two ranks and a weight in each
        held = np.flatnonzero(code == one)[:2]
        weight[held], position[held], value[held] = 1.0, (80, 120), (1.0, 199.0)
    return code, value, weight, position


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", ALONE)
def test_a_statistic_is_that_of_each_segment(name, ties):
    many, one = ALONE[name]
    code, value, weight, _ = sample(1, ties=ties)
    expected = [one(value[code == place], weight[code == place]) for place in range(code.max() + 1)]
    np.testing.assert_allclose(many(sort_segments(code, value, weight)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", ALONG)
def test_a_statistic_along_a_position_is_that_of_each_segment(name, ties):
    many, one = ALONG[name]
    code, value, weight, position = sample(2, ties=ties)
    expected = [
        one(value[code == place], position[code == place], weight[code == place]) for place in range(code.max() + 1)
    ]
    np.testing.assert_allclose(many(sort_segments(code, value, weight, position)), expected, rtol=1e-12, atol=1e-13)


def test_ranks_are_those_of_each_segment():
    code, value, weight, position = sample(3, ties=True)
    rows = sort_segments(code, value, weight, position)
    for place in range(code.max() + 1):
        own = rows.code == place
        np.testing.assert_allclose(
            segments.mid_rank(rows)[own], arrays.mid_rank(rows.rank_by[own], rows.weight[own]), rtol=1e-13
        )


def test_nothing_is_lost_in_rounding_among_many_segments():
    """The last of 20,000 heavy segments is as exact as alone."""
    rng = np.random.default_rng(4)
    code = np.repeat(np.arange(20_000), 20)
    value, weight = rng.gamma(3, 5, len(code)), rng.gamma(1, 1e6, len(code))
    own = code == 19_999
    assert segments.gini(sort_segments(code, value, weight))[-1] == pytest.approx(
        inequality.gini(value[own], weight[own]), rel=1e-12
    )


def brute_tail_gap(value, position, weight, share=0.25):
    """Whole weights, written out as copies; every copy of a tie takes the mean of its tie."""
    value, position = np.repeat(value, weight), np.repeat(position, weight)
    value = np.array([value[position == own].mean() for own in position])
    value = np.repeat(value[np.argsort(position)], 4)  # a quarter of any number of copies is then whole
    part = round(share * len(value))
    return value[-part:].mean() - value[:part].mean()


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 50), st.integers(1, 4), st.integers(0, 6)), min_size=1, max_size=30
    )
)
@settings(max_examples=150, deadline=None)
def test_gap_between_tails_by_brute_force(rows):
    code, value, weight, position = (np.array(column) for column in zip(*rows, strict=True))
    code = np.unique(code, return_inverse=True)[1]
    gaps = segments.tail_gap(sort_segments(code, value, weight, position))
    for place in range(code.max() + 1):
        own = code == place
        assert gaps[place] == pytest.approx(brute_tail_gap(value[own], position[own], weight[own]), abs=1e-10)


def test_gap_between_groups_by_hand():
    code, value, weight = [0, 0, 0, 1, 1], [10, 20, 40, 5, 8], [1, 3, 2, 1, 1]
    gaps = segments.group_gap(code, [True, True, False, False, True], value, weight)
    assert gaps == pytest.approx([(10 + 60) / 4 - 40, 3])
    with pytest.raises(DesignError, match="one of the two groups"):
        segments.group_gap(code, [True, True, False, True, True], value, weight)


def test_ratio_of_tails_is_that_of_shares_where_whole_units_fill_them():
    value = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 5.0, 3.5, 8.0, 7.0])
    rows = sort_segments(np.zeros(10, dtype=int), value)
    assert segments.tail_ratio(rows, 0.2) == pytest.approx([quantiles.share_ratio(value)], rel=1e-12)
    with pytest.raises(DesignError, match="holds nothing"):
        segments.tail_ratio(sort_segments([0, 0, 0], [0, 0, 1]))


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 70_000)), min_size=1))
@settings(max_examples=30, deadline=None)
def test_rows_come_in_the_order_of_a_comparison_sort(rows):
    """With ties, and with more segments than sixteen bits can name."""
    rank_by, code = (np.array(column) for column in zip(*rows, strict=True))
    rank_by = rank_by / 8
    code = np.concatenate([code, np.arange(code.max() + 1)])
    rank_by = np.concatenate([rank_by, np.zeros(len(code) - len(rank_by))])
    found = sort_segments(code, np.arange(len(code)), None, rank_by)
    order = np.lexsort((rank_by, code))
    assert np.array_equal(found.rank_by, rank_by[order]) and np.array_equal(found.code, code[order])
    assert np.array_equal(rank_by[found.value.astype(int)], found.rank_by)


def test_keeping_segments_is_sorting_fewer():
    code, value, weight, position = sample(5, ties=True)
    wanted = np.arange(code.max() + 1) % 3 == 0
    kept = sort_segments(code, value, weight, position).keep(wanted)
    rows = wanted[code]
    fresh = sort_segments(code[rows] // 3, value[rows], weight[rows], position[rows])
    assert np.array_equal(kept.start, fresh.start) and np.array_equal(kept.rank_by, fresh.rank_by)
    np.testing.assert_allclose(segments.concentration_index(kept), segments.concentration_index(fresh), rtol=1e-12)


@given(st.permutations(range(12)), st.integers(2, 5))
@settings(max_examples=50, deadline=None)
def test_order_of_rows_and_copies_do_not_matter(order, copies):
    rng = np.random.default_rng(6)
    code, value, position = np.arange(12) % 3, rng.gamma(3, 5, 12), rng.integers(0, 3, 12).astype(float)
    position[:6] = (0, 0, 0, 1, 1, 1)
    order = np.array(order)
    many = np.tile(order, copies)
    for statistic, _ in ALONG.values():
        expected = statistic(sort_segments(code, value, None, position))
        shuffled = statistic(sort_segments(code[order], value[order], None, position[order]))
        copied = statistic(sort_segments(code[many], value[many], None, position[many]))
        weighted = statistic(sort_segments(code, value, np.full(12, float(copies)), position))
        for other in (shuffled, copied, weighted):
            np.testing.assert_allclose(other, expected, rtol=1e-10, atol=1e-12)


def test_the_arrays_of_the_caller_are_left_alone():
    code, value, weight, position = sample(7, ties=False)
    before = [array.copy() for array in (code, value, weight, position)]
    rows = sort_segments(code, value, weight, position)
    for statistic, _ in ALONG.values():
        statistic(rows)
    for array, copy in zip((code, value, weight, position), before, strict=True):
        assert np.array_equal(array, copy)


ROWS = ([0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: sort_segments([0, 0, 2], [1, 2, 3]), "no row of positive weight"),
        (lambda: sort_segments([0, 1], [1, 2], [1, 0]), "no row of positive weight"),
        (lambda: sort_segments([-1, 0], [1, 2]), "whole numbers from 0"),
        (lambda: sort_segments([0.0, 0.5], [1, 2]), "whole numbers from 0"),
        (lambda: sort_segments(np.array([], dtype=int), []), "whole numbers from 0"),
        (lambda: sort_segments([0, 0], [1, np.nan]), "missing or infinite"),
        (lambda: sort_segments([0, 0], [1, 2], [-1, 1]), "weights"),
        (lambda: sort_segments([0, 0], [1, 2], rank_by=[1]), "shape"),
        (lambda: segments.gini(sort_segments(*ROWS, rank_by=[2, 1, 1, 2])), "sorted by their value"),
        (lambda: segments.gini(sort_segments([0, 0], [-1, 2])), "zero or more"),
        (lambda: segments.gini(sort_segments([0, 0, 1], [1, 2, 0])), "positive mean"),
        (lambda: segments.generalized_entropy(sort_segments([0, 0], [0, 2]), 0), "above zero"),
        (lambda: segments.generalized_entropy(sort_segments(*ROWS), np.inf), "finite"),
        (lambda: segments.generalized_entropy(sort_segments([0, 0], [1e-3, 1]), -200.0), "too far from zero"),
        (lambda: segments.atkinson(sort_segments(*ROWS), 0), "above zero"),
        (lambda: segments.gradient(sort_segments(*ROWS, rank_by=[1, 1, 1, 2])), "vary"),
        (lambda: segments.slope_index_of_inequality(sort_segments(*ROWS, rank_by=[1, 1, 1, 2])), "vary"),
        (lambda: segments.concentration_index(sort_segments(*ROWS), "other"), "unknown correction"),
        (lambda: segments.concentration_index(sort_segments(*ROWS), "erreygers", (0, 1)), "outside the bounds"),
        (lambda: segments.concentration_index(sort_segments(*ROWS), "erreygers", (1, 0)), "bounds are"),
        (lambda: segments.concentration_index(sort_segments([0, 0], [1, 1]), "wagstaff", (0, 1)), "one bound"),
        (lambda: segments.quantile(sort_segments(*ROWS), 1.5), "between 0 and 1"),
        (lambda: segments.quantile_ratio(sort_segments(*ROWS), 0.1, 0.9), "upper is"),
        (lambda: segments.quantile_ratio(sort_segments([0, 0], [0, 1])), "is zero"),
        (lambda: segments.share_ratio(sort_segments([0, 0], [1, 1])), "no unit lies above"),
        (lambda: segments.share_ratio(sort_segments([0, 0], [0, 1]), 0.5, 0.5), "holds nothing"),
        (lambda: segments.share_ratio(sort_segments(*ROWS), 0.8, 0.8), "sum is 1"),
        (lambda: segments.tail_gap(sort_segments(*ROWS), 0.6), "0.5"),
    ],
)
def test_refusals(call, match):
    with pytest.raises(DesignError, match=match):
        call()
