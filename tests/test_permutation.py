"""Permutation tests against loops over all assignments, grids of effects and closed forms; power by brute force."""

import itertools

import numpy as np
import pytest
from scipy import stats

from tne_eval.errors import DesignError
from tne_eval.impact.few_treated import fit_variance
from tne_eval.impact.inference import minimum_detectable_effect
from tne_eval.impact.permutation import permutation_test, power_curve


def case(n, k, seed, effect=0.0):
    rng = np.random.default_rng(seed)
    size = np.exp(0.8 * rng.standard_normal(n))
    treated = np.zeros(n, bool)
    treated[rng.choice(n, k, replace=False)] = True
    change = rng.standard_normal(n) * np.sqrt(0.2 + 0.8 / size) + effect * treated
    return change, treated, size


def sets_of(treated, strata=None):
    """Every set of treated clusters, with the numbers of each stratum kept."""
    strata = np.zeros(len(treated)) if strata is None else np.asarray(strata)
    ways = []
    for label in sorted(set(strata[treated])):
        units = np.flatnonzero(strata == label)
        ways.append(list(itertools.combinations(units, int(treated[units].sum()))))
    return [tuple(sorted(sum(parts, ()))) for parts in itertools.product(*ways)]


def welch(change, chosen):
    mask = np.isin(np.arange(len(change)), chosen)
    return stats.ttest_ind(change[mask], change[~mask], equal_var=False).statistic


def welch_again(change, chosen):
    """As `welch`, which scipy makes slow over grids of effects; one test compares them."""
    rest = [i for i in range(len(change)) if i not in chosen]
    one, two = change[list(chosen)], change[rest]
    return (one.mean() - two.mean()) / (one.var(ddof=1) / len(one) + two.var(ddof=1) / len(two)) ** 0.5


def difference(change, chosen):
    mask = np.isin(np.arange(len(change)), chosen)
    return change[mask].mean() - change[~mask].mean()


def share(observed, others):
    return np.mean([abs(other) >= abs(observed) * (1 - 1e-9) for other in others])


def brute_rescaled_p(change, treated, size, effect=0.0):
    """Python loops, non-negative least squares by trying the three supports."""
    null = change - effect * treated
    n, k = len(null), int(treated.sum())
    residual = [value - sum(null) / n for value in null]
    square = [value**2 / (1 - 1 / n) for value in residual]
    h = [1.0] * n
    for _ in range(6):
        design = np.column_stack([np.ones(n), 1 / size]) / np.array(h)[:, None]
        answers = [np.linalg.lstsq(design, np.array(square) / h, rcond=None)[0]]
        if min(answers[0]) < 0:
            one = [np.linalg.lstsq(design[:, [j]], np.array(square) / h, rcond=None)[0][0] for j in (0, 1)]
            answers = [np.array([one[0], 0]), np.array([0, one[1]])]
        best = min(answers, key=lambda ab: ((design @ ab - np.array(square) / h) ** 2).sum())
        h = [best[0] + best[1] / s for s in size]
    z = [r / v**0.5 for r, v in zip(residual, h, strict=True)]
    up = np.mean([v for v, t in zip(h, treated, strict=True) if t]) ** 0.5
    down = np.mean([v for v, t in zip(h, treated, strict=True) if not t]) ** 0.5
    observed = difference(null, np.flatnonzero(treated))
    others = [observed]
    for chosen in sets_of(treated):
        if chosen != tuple(np.flatnonzero(treated)):
            rest = [i for i in range(n) if i not in chosen]
            others.append(up * sum(z[i] for i in chosen) / k - down * sum(z[i] for i in rest) / (n - k))
    return share(observed, others)


# ---- p against brute force


@pytest.mark.parametrize(("n", "k", "seed"), [(9, 2, 1), (10, 3, 2), (8, 4, 3), (12, 2, 4)])
def test_p_is_the_share_of_all_assignments(n, k, seed):
    change, treated, size = case(n, k, seed, effect=0.8)
    chosen = np.flatnonzero(treated)
    plain = permutation_test(change, treated)
    assert plain.p_value == share(difference(change, chosen), [difference(change, s) for s in sets_of(treated)])
    assert plain.estimate == pytest.approx(difference(change, chosen), rel=1e-12)
    studentized = permutation_test(change, treated, statistic="studentized")
    others = [welch(change, s) for s in sets_of(treated)]
    assert studentized.p_value == share(welch(change, chosen), others)
    assert studentized.placebo[0] == pytest.approx(welch(change, chosen), rel=1e-10)
    assert [welch_again(change, s) for s in sets_of(treated)] == pytest.approx(others, rel=1e-10)
    np.testing.assert_allclose(np.sort(studentized.placebo), np.sort(others), rtol=1e-9)
    assert permutation_test(change, treated, size=size).p_value == brute_rescaled_p(change, treated, size)
    for test in (plain, studentized):
        assert test.exact and test.total == len(test.placebo) == len(sets_of(treated))
        assert test.smallest_p == (2 if 2 * k == n else 1) / test.total


def test_p_in_strata_is_the_share_of_the_assignments_within_them():
    change, _, size = case(13, 3, 8)
    strata = np.array(list("aaaabbbbbcccc"))
    treated = np.isin(np.arange(13), [0, 4, 5])

    def by_stratum(chosen):
        effects, error, centre = [], [], []
        for label in "ab":
            units = np.flatnonzero(strata == label)
            control = change[[u for u in units if u not in chosen]]
            effects += [change[u] - control.mean() for u in units if u in chosen]
            centre += list(control - control.mean())
            error.append((sum(u in chosen for u in units) / 3) ** 2 / len(control))
        variance = np.var(effects, ddof=1) / 3 + np.square(centre).sum() / (len(centre) - 2) * sum(error)
        return np.mean(effects), np.mean(effects) / variance**0.5

    every = [by_stratum(chosen) for chosen in sets_of(treated, strata)]
    own = by_stratum((0, 4, 5))
    for place, statistic in enumerate(("difference", "studentized")):
        test = permutation_test(change, treated, strata, statistic=statistic)
        assert (test.total, test.n_controls) == (40, 6)
        assert test.p_value == share(own[place], [one[place] for one in every])
        np.testing.assert_allclose(np.sort(test.placebo), np.sort([one[place] for one in every]), rtol=1e-9)
    rescaled = permutation_test(change, treated, strata, size)
    assert rescaled.estimate == pytest.approx(own[0])
    assert permutation_test(change, treated, strata, np.full(13, 7.0)).p_value == pytest.approx(
        permutation_test(change, treated, strata).p_value
    )


def test_with_equal_sizes_the_rescaled_test_is_the_plain_one():
    change, treated, _ = case(24, 2, 3)
    plain, rescaled = permutation_test(change, treated), permutation_test(change, treated, size=np.full(24, 900.0))
    np.testing.assert_allclose(rescaled.placebo, plain.placebo, rtol=1e-12, atol=1e-12)
    assert (rescaled.low, rescaled.high) == pytest.approx((plain.low, plain.high), abs=1e-6)
    assert rescaled.low <= plain.low + 1e-12 and rescaled.high >= plain.high - 1e-12


def test_the_variance_that_size_gives_is_found():
    """a = 2, b = 30 by the mean of the squares of many columns, leverage given back."""
    rng = np.random.default_rng(0)
    size = np.linspace(1, 40, 400)
    value = rng.standard_normal((400, 500)) * np.sqrt(2 + 30 / size)[:, None]
    value -= value.mean(axis=0)
    found = fit_variance(value, np.full(400, 1 / 400), size)
    shape = (found / found.mean(axis=0)).mean(axis=1)
    true = (2 + 30 / size) / (2 + 30 / size).mean()
    np.testing.assert_allclose(shape, true, rtol=0.05)
    assert (fit_variance(np.zeros((5, 1)), np.full(5, 0.2), np.arange(1.0, 6)) == 1).all()


# ---- intervals


def brute_p(change, treated, size, statistic, effect):
    null = change - effect * treated
    if size is not None:
        return brute_rescaled_p(change, treated, size, effect)
    rule = welch_again if statistic == "studentized" else difference
    return share(rule(null, np.flatnonzero(treated)), [rule(null, s) for s in sets_of(treated)])


@pytest.mark.parametrize("test", ["difference", "studentized", "size_rescaled"])
@pytest.mark.parametrize(("n", "k", "seed", "alpha"), [(9, 2, 11, 0.1), (8, 3, 12, 0.1), (8, 4, 13, 0.2)])
def test_the_interval_holds_each_effect_that_the_test_accepts_and_ends_where_it_rejects(test, n, k, seed, alpha):
    change, treated, size = case(n, k, seed, effect=0.5)
    size = size if test == "size_rescaled" else None
    statistic = "studentized" if test == "studentized" else "difference"
    found = permutation_test(change, treated, size=size, statistic=statistic, alpha=alpha)
    assert found.test == test and found.low < found.estimate < found.high
    width = found.high - found.low
    for effect in np.linspace(found.low - 2 * width, found.high + 2 * width, 31):
        if brute_p(change, treated, size, statistic, effect) > alpha + 1e-9:
            assert found.low - 1e-9 <= effect <= found.high + 1e-9
    for end, side in ((found.low, 1), (found.high, -1)):
        assert brute_p(change, treated, size, statistic, end + side * 1e-5 * width) > alpha
        assert brute_p(change, treated, size, statistic, end - side * 1e-5 * width) <= alpha


@pytest.mark.parametrize("seed", range(8))
def test_the_studentized_interval_is_the_hull_of_the_exact_set(seed):
    """On a fine grid, the accepted effects reach both ends within a step."""
    change, treated, _ = case(24, 2, seed)
    found = permutation_test(change, treated, statistic="studentized")
    width = found.high - found.low
    effects = np.linspace(found.low - width, found.high + width, 3001)
    null = change[:, None] - effects * treated[:, None]
    pairs = np.array(sets_of(treated))
    first, total, square = null[pairs].sum(axis=1), null.sum(axis=0), (null[pairs] ** 2).sum(axis=1)
    gap = first / 2 - (total - first) / 22
    v = (square - first**2 / 2) / 2 + ((null**2).sum(axis=0) - square - (total - first) ** 2 / 22) / 21 / 22
    t, own = gap / np.sqrt(v), int(np.flatnonzero((pairs == np.flatnonzero(treated)).all(axis=1))[0])
    kept = effects[np.mean(np.abs(t) >= np.abs(t[own]) * (1 - 1e-9), axis=0) > 0.05]
    step = effects[1] - effects[0]
    assert found.low - 1e-9 <= kept.min() <= found.low + 1.01 * step
    assert found.high - 1.01 * step <= kept.max() <= found.high + 1e-9


@pytest.mark.parametrize("test", ["difference", "studentized", "size_rescaled"])
def test_p_and_interval_agree(test):
    for seed in range(30):
        change, treated, size = case(24, 2, seed, effect=1.5)
        found = permutation_test(
            change,
            treated,
            size=size if test == "size_rescaled" else None,
            statistic="studentized" if test == "studentized" else "difference",
        )
        if found.p_value > 0.05:
            assert found.low <= 0 <= found.high


def test_no_interval_with_one_treated_or_too_few_assignments():
    change, _, size = case(24, 2, 1)
    one = permutation_test(change, np.arange(24) == 3, size=size)
    assert (one.low, one.high, one.reason, one.smallest_p) == (None, None, "one_treated", 1 / 24)
    few = permutation_test(change[:6], np.arange(6) < 2)
    assert (few.low, few.reason, few.smallest_p) == (None, "smallest_p_above_alpha", 1 / 15)
    strata = np.repeat(["amiens", "versailles", "other"], [3, 4, 17])
    two = permutation_test(change, np.isin(np.arange(24), [0, 6]), strata)
    assert (two.total, two.low, two.reason) == (12, None, "smallest_p_above_alpha")


# ---- invariances


@pytest.mark.parametrize("test", ["difference", "studentized", "size_rescaled"])
def test_shift_scale_order_and_units_of_size(test):
    change, treated, size = case(20, 3, 21, effect=1.0)

    def run(change, treated, size, **more):
        extra = {"size": size} if test == "size_rescaled" else {}
        kind = "studentized" if test == "studentized" else "difference"
        return permutation_test(change, treated, statistic=kind, **extra, **more)

    base = run(change, treated, size)
    moved = run(1000 + 1e-3 * change, treated, 1e6 * size)
    order = np.random.default_rng(0).permutation(20)
    shuffled = run(change[order], treated[order], size[order])
    opposite = run(-change, treated, size)
    assert base.p_value == moved.p_value == shuffled.p_value == opposite.p_value
    ends = np.array([base.estimate, base.low, base.high])
    np.testing.assert_allclose(np.array([moved.estimate, moved.low, moved.high]) * 1e3, ends, atol=1e-6)
    np.testing.assert_allclose([shuffled.estimate, shuffled.low, shuffled.high], ends, atol=1e-8)
    np.testing.assert_allclose([-opposite.estimate, -opposite.high, -opposite.low], ends, atol=1e-6)
    raised = run(change + 2.5 * treated, treated, size)
    np.testing.assert_allclose(np.array([raised.estimate, raised.low, raised.high]) - 2.5, ends, atol=1e-6)


def test_random_assignments_are_the_same_for_a_seed_and_near_the_exact_p():
    change, treated, size = case(24, 3, 6, effect=1.2)
    for extra in ({}, {"statistic": "studentized"}, {"size": size}):
        exact = permutation_test(change, treated, **extra)
        drawn = permutation_test(change, treated, **extra, max_enumeration=100, draws=1999, seed=4)
        again = permutation_test(change, treated, **extra, max_enumeration=100, draws=1999, seed=4)
        assert (drawn.p_value, drawn.low, drawn.high) == (again.p_value, again.low, again.high)
        assert not drawn.exact and drawn.total == 2024 and len(drawn.placebo) == 2000
        assert abs(drawn.p_value - exact.p_value) < 4 * np.sqrt(exact.p_value / 2000) + 1 / 2000


def test_the_data_of_the_caller_are_not_modified():
    change, treated, size = case(12, 2, 0)
    kept = change.copy(), treated.copy(), size.copy()
    for extra in ({}, {"statistic": "studentized"}, {"size": size}):
        permutation_test(change, treated, **extra)
    power_curve(change, 2, [1.0], size)
    for before, after in zip(kept, (change, treated, size), strict=True):
        np.testing.assert_array_equal(before, after)


def test_clusters_with_equal_changes_have_no_error_but_a_test():
    change = np.array([1.0, 1.0, 0, 0, 0, 0, 0, 0])
    found = permutation_test(change, np.arange(8) < 2, statistic="studentized", alpha=0.1)
    assert found.p_value == 1 / 28 and found.placebo[0] == np.inf
    assert np.isfinite(found.placebo[1:]).all() and (found.low, found.high) == (1, 1)


def test_to_frame_has_one_row():
    change, treated, _ = case(12, 2, 0)
    frame = permutation_test(change, treated).to_frame()
    assert frame.shape[0] == 1 and frame.loc[0, "assignments"] == 66


# ---- refusals


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"change": [1, np.nan, np.inf, 4, 5, 6]}, r"missing or infinite(.|\n)*\[1, 2\]"),
        ({"change": [[1, 2]]}, "shape"),
        ({"change": ["a"] * 6}, "numbers"),
        ({"treated": [1, 1, 0, 0, 0, 0]}, "True and False"),
        ({"treated": np.zeros(6, bool)}, "0 of 6"),
        ({"treated": np.ones(6, bool)}, "6 of 6"),
        ({"treated": np.arange(5) < 2}, "lengths"),
        ({"size": [1, 2, 3]}, "lengths"),
        ({"size": [1, 2, 0, 4, -5, 6]}, r"zero or less(.|\n)*\[2, 4\]"),
        ({"strata": ["a", "a", "a", None, "b", "b"]}, "missing labels"),
        ({"strata": ["a", "a", "b", "b", "b", "b"]}, "no control"),
        ({"statistic": "median"}, "choose among"),
        ({"statistic": "studentized", "size": np.arange(1, 7)}, "apart"),
        ({"statistic": "studentized", "treated": np.arange(6) == 0}, "two treated"),
        ({"statistic": "studentized", "treated": np.arange(6) < 5}, "two controls"),
        ({"alpha": 0}, "alpha"),
        ({"alpha": 1.5}, "alpha"),
        ({"change": np.ones(6)}, "equal"),
    ],
)
def test_unusable_inputs_are_refused(named, words):
    given = {"change": np.arange(6.0), "treated": np.arange(6) < 2} | named
    with pytest.raises(DesignError, match=words):
        permutation_test(**given)


# ---- power


@pytest.mark.parametrize("sized", [False, True])
def test_power_is_the_share_of_placebos_that_the_test_rejects(sized):
    change, _, size = case(8, 2, 30)
    size = size if sized else None
    effects = np.array([0.0, 1.0, -2.0, 4.0])
    curve = power_curve(change, 2, effects, size, alpha=0.1)
    expected = np.zeros(4)
    for pair in itertools.combinations(range(8), 2):
        treated = np.isin(np.arange(8), pair)
        for place, effect in enumerate(effects):
            found = permutation_test(change + effect * treated, treated, size=size, alpha=0.1)
            expected[place] += found.p_value <= 0.1 + 1e-9
    np.testing.assert_allclose(curve.power, expected / 28, atol=1e-12)
    assert (curve.n_treated, curve.n_controls, curve.test) == (2, 6, "size_rescaled" if sized else "difference")
    assert list(curve.to_frame()["power"]) == list(curve.power)


def test_the_detectable_effect_is_where_power_reaches_its_target():
    change, _, size = case(24, 2, 31)
    plain = power_curve(change, 2, [0.0])
    from tne_eval.impact.assignments import assign

    contrasts = assign(np.zeros(24), np.arange(24) < 2, seed=0).contrasts
    assert plain.mde == minimum_detectable_effect(contrasts, change)
    around = power_curve(change, 2, [plain.mde * 1.001, -plain.mde * 1.001, plain.mde * 0.98, -plain.mde * 0.98])
    assert min(around.power[:2]) >= 0.8 > min(around.power[2:])
    sized = power_curve(change, 2, [0.0], size)
    around = power_curve(change, 2, [sized.mde, -sized.mde, sized.mde - 0.02, 0.02 - sized.mde], size)
    assert min(around.power[:2]) >= 0.8 > min(around.power[2:])


def test_power_grows_with_the_number_of_treated_and_is_nil_where_nothing_can_be_rejected():
    change, _, _ = case(60, 2, 32)
    detectable = [power_curve(change, k, [1.0], draws=499).mde for k in (2, 5, 12, 20)]
    assert detectable == sorted(detectable, reverse=True)
    none = power_curve(change[:5], 2, [1.0, 100.0])
    assert none.mde is None and (none.power == 0).all()
    assert power_curve(change[:5], 2, [1.0], np.arange(1.0, 6)).mde is None


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"n_treated": 0}, "whole number"),
        ({"n_treated": 8}, "whole number"),
        ({"n_treated": 2.0}, "whole number"),
        ({"effects": [np.nan]}, "effects"),
        ({"target": 1.0}, "target"),
    ],
)
def test_unusable_plans_are_refused(named, words):
    with pytest.raises(DesignError, match=words):
        power_curve(**{"change": np.arange(8.0), "n_treated": 2, "effects": [1.0]} | named)
