"""Adjusted p-values against loops, closed special cases and statsmodels; equivalence against loops."""

import itertools

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from tne_eval.errors import DesignError
from tne_eval.impact.assignments import assign
from tne_eval.impact.inference import permutation_p
from tne_eval.impact.multiple import adjust_familywise, equivalence_p, equivalence_test, excluded_effects
from tne_eval.impact.permutation import permutation_test


def permuted(n, k, outcomes, seed, effect=0.0):
    """Studentised statistics of several correlated outcomes under all assignments."""
    rng = np.random.default_rng(seed)
    treated = np.arange(n) < k
    common = rng.standard_normal(n)
    columns = []
    for place in range(outcomes):
        change = 0.6 * common + rng.standard_normal(n) + effect * treated * (place == 0)
        columns.append(permutation_test(change, treated, statistic="studentized").placebo)
    return np.column_stack(columns)


def brute_step_down(table, rule):
    """Python loops over assignments and hypotheses; rule "t" for largest statistics, "p" for smallest p-values."""
    rows, m = table.shape
    size = [[abs(x) for x in row] for row in table]
    if rule == "p":
        size = [
            [-sum(size[r][j] >= size[s][j] * (1 - 1e-9) for r in range(rows)) / rows for j in range(m)]
            for s in range(rows)
        ]
    order = sorted(range(m), key=lambda j: -size[0][j])
    adjusted, floor = [0.0] * m, 0.0
    for place, j in enumerate(order):
        left = order[place:]
        bar = size[0][j] - 1e-9 * abs(size[0][j])
        floor = max(floor, sum(max(size[s][i] for i in left) >= bar for s in range(rows)) / rows)
        adjusted[j] = floor
    return adjusted


@pytest.mark.parametrize("seed", range(4))
def test_adjusted_p_are_those_of_loops(seed):
    table = permuted(12, 3, 4, seed, effect=2.0)
    found = adjust_familywise(table)
    np.testing.assert_allclose(found.romano_wolf, brute_step_down(table, "t"), rtol=1e-12)
    np.testing.assert_allclose(found.westfall_young, brute_step_down(table, "p"), rtol=1e-12)
    np.testing.assert_allclose(found.p_value, [permutation_p(column) for column in table.T], rtol=1e-12)
    largest = np.abs(table).max(axis=1)
    single = [np.mean(largest >= abs(observed) * (1 - 1e-9)) for observed in table[0]]
    np.testing.assert_allclose(found.single_step, single, rtol=1e-12)


def test_they_are_between_the_plain_p_and_bonferroni_and_in_the_order_of_the_statistics():
    for seed in range(10):
        found = adjust_familywise(permuted(11, 2, 5, seed))
        for adjusted in (found.romano_wolf, found.westfall_young):
            assert (adjusted >= found.p_value - 1e-12).all()
            assert (np.diff(adjusted[np.argsort(-np.abs(found.statistic))]) >= -1e-12).all() or (
                adjusted is found.westfall_young and (np.diff(adjusted[np.argsort(found.p_value)]) >= -1e-12).all()
            )
        assert (found.westfall_young <= np.minimum(1, 5 * found.p_value) + 1e-12).all()
        assert (found.romano_wolf <= found.single_step + 1e-12).all()


def test_one_hypothesis_keeps_its_p():
    table = permuted(12, 3, 1, 1)
    found = adjust_familywise(table)
    assert found.romano_wolf == found.westfall_young == found.single_step == permutation_p(table[:, 0])


def test_copies_of_a_hypothesis_cost_nothing():
    table = np.repeat(permuted(12, 3, 1, 2), 4, axis=1) * np.array([1, -1, 1, -1])
    found = adjust_familywise(table)
    p = permutation_p(table[:, 0])
    for adjusted in (found.romano_wolf, found.westfall_young, found.single_step):
        np.testing.assert_array_equal(adjusted, np.full(4, p))
    scaled = adjust_familywise(table * np.array([1, 10, 0.1, 100]))
    np.testing.assert_array_equal(scaled.westfall_young, np.full(4, p))


def test_independent_hypotheses_give_holm_sidak_exactly_on_a_product_of_assignments():
    """Each hypothesis has assignments of its own, and all their combinations are rows: P(none) is a product."""
    # One distribution for all, so that largest statistics and smallest p agree with Šidák.
    same = np.arange(1, 10)[::-1].astype(float)
    rows = np.array(list(itertools.product(*[np.roll(same, shift) for shift in (0, 8, 6, 4)])))
    found = adjust_familywise(rows)
    holm = multipletests(found.p_value, method="holm-sidak")[1]
    np.testing.assert_allclose(found.romano_wolf, holm, rtol=1e-12)
    np.testing.assert_allclose(found.westfall_young, holm, rtol=1e-12)
    np.testing.assert_allclose(found.single_step, multipletests(found.p_value, method="sidak")[1], rtol=1e-12)


def test_smallest_p_gives_holm_sidak_for_independent_hypotheses_of_any_scale():
    rng = np.random.default_rng(3)
    rows = np.array(list(itertools.product(*[scale * rng.standard_normal(8) for scale in (1, 50, 0.01)])))
    found = adjust_familywise(rows)
    np.testing.assert_allclose(found.westfall_young, multipletests(found.p_value, method="holm-sidak")[1], rtol=1e-12)


def test_the_family_error_holds_where_all_nulls_are_true():
    """400 draws, 5 correlated outcomes: a false rejection in 5 % within 4 standard errors, twice that without."""
    rng = np.random.default_rng(9)
    treated = np.arange(14) < 3
    contrasts = assign(np.zeros(14), treated, seed=0).contrasts
    false, plain = 0, 0
    for _ in range(400):
        change = 0.3 * rng.standard_normal((14, 1)) + rng.standard_normal((14, 5))
        found = adjust_familywise(contrasts @ change)
        false += found.romano_wolf.min() <= 0.05
        plain += found.p_value.min() <= 0.05
    assert false / 400 <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400) and plain / 400 > 0.12


def test_the_order_of_hypotheses_and_of_assignments_does_not_matter():
    table = permuted(12, 2, 4, 5)
    kept = table.copy()
    found = adjust_familywise(table)
    order, rows = [2, 0, 3, 1], np.r_[0, 1 + np.random.default_rng(0).permutation(len(table) - 1)]
    moved = adjust_familywise(table[rows][:, order])
    np.testing.assert_array_equal(moved.romano_wolf, found.romano_wolf[order])
    np.testing.assert_array_equal(moved.westfall_young, found.westfall_young[order])
    np.testing.assert_array_equal(table, kept)
    frame = found.to_frame(["a", "b", "c", "d"])
    assert frame.loc["c", "romano_wolf"] == found.romano_wolf[2]


def test_an_infinite_ratio_is_the_largest():
    table = np.array([[np.inf, 1.0], [2.0, 3.0], [1.0, 0.5], [np.inf, 0.0]])
    found = adjust_familywise(table)
    np.testing.assert_array_equal(found.romano_wolf, [0.5, 0.5])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (np.ones(3), "shape"),
        (np.ones((0, 2)), "shape"),
        ([["a", "b"]], "numbers"),
        ([[1.0, np.nan, 2.0]], r"missing(.|\n)*\[1\]"),
    ],
)
def test_unusable_tables_are_refused(table, words):
    with pytest.raises(DesignError, match=words):
        adjust_familywise(table)


# ---- equivalence


def brute_equivalence_p(change, treated, margin):
    worst = 0.0
    n, k = len(change), int(treated.sum())
    for sign in (1, -1):
        null = [c - sign * margin * t for c, t in zip(change, treated, strict=True)]

        def gap(chosen, null=null):
            return sum(null[i] for i in chosen) / k - sum(null[i] for i in range(n) if i not in chosen) / (n - k)

        own = sign * gap(np.flatnonzero(treated))
        beyond = [sign * gap(chosen) <= own + 1e-9 for chosen in itertools.combinations(range(n), k)]
        worst = max(worst, sum(beyond) / len(beyond))
    return worst


@pytest.mark.parametrize("margin", [0.2, 1.0, 3.0])
def test_equivalence_p_is_that_of_loops(margin):
    change = np.random.default_rng(4).standard_normal(10)
    treated = np.isin(np.arange(10), [1, 6])
    contrasts = assign(np.zeros(10), treated, seed=0).contrasts
    expected = brute_equivalence_p(change, treated, margin)
    assert equivalence_p(contrasts, change, treated, margin) == pytest.approx(expected, rel=1e-12)


def test_equivalence_p_falls_with_the_margin_and_meets_the_interval():
    """A margin beyond the 90 % interval has p of 5 % or less, but for the tails of a two-sided test that differ."""
    rng = np.random.default_rng(6)
    treated = np.isin(np.arange(40), [1, 6, 8])
    contrasts = assign(np.zeros(40), treated, seed=0).contrasts
    for _ in range(10):
        change = rng.standard_normal(40)
        found = permutation_test(change, treated, alpha=0.10)
        margin = equivalence_test(found.low, found.high, 1.0).smallest_margin
        p = [equivalence_p(contrasts, change, treated, m) for m in (0.5 * margin, margin, 1.4 * margin)]
        assert p == sorted(p, reverse=True) and p[0] > 0.05 > p[2] and abs(p[1] - 0.05) < 0.03


def test_equivalence_and_excluded_effects_read_the_interval():
    inside = equivalence_test(-1.0, 2.0, 2.5)
    assert inside.equivalent and inside.smallest_margin == 2.0
    assert not equivalence_test(-1.0, 2.0, 2.0).equivalent
    assert not equivalence_test(-np.inf, 2.0, 100.0).equivalent
    excluded = excluded_effects(-1.0, 2.0)
    assert (excluded.below, excluded.above, excluded.smallest_size) == (-1.0, 2.0, 2.0)
    assert excluded_effects(-np.inf, np.inf).smallest_size == np.inf
    assert inside.to_frame().loc[0, "margin"] == 2.5 and excluded.to_frame().loc[0, "above"] == 2.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: equivalence_test(2.0, 1.0, 1.0), "in order"),
        (lambda: equivalence_test(np.nan, 1.0, 1.0), "in order"),
        (lambda: equivalence_test(0.0, 1.0, 0.0), "margin"),
        (lambda: equivalence_test(0.0, 1.0, 1.0, alpha=2), "alpha"),
        (lambda: excluded_effects(1.0, 0.0), "in order"),
        (lambda: equivalence_p(np.ones((2, 3)), np.ones(2), np.ones(3, bool), 1.0), "each column"),
        (lambda: equivalence_p(np.ones((2, 3)), np.full(3, np.nan), np.ones(3, bool), 1.0), "missing"),
        (lambda: equivalence_p(np.ones((2, 3)), np.ones(3), np.ones(3, bool), -1.0), "margin"),
    ],
)
def test_unusable_intervals_are_refused(call, words):
    with pytest.raises(DesignError, match=words):
        call()
