"""Panel difference-in-differences and reassignment against pyfixest, dense dummies, and what must not change them."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tne_eval.errors import DesignError
from tne_eval.impact.cells import controls, reassign_cells, reassign_treatment, reassigned
from tne_eval.impact.cluster_robust import cluster_robust
from tne_eval.impact.honest import honest_did
from tne_eval.impact.panel_did import difference_in_differences, event_study

REFERENCE = pd.read_csv(Path(__file__).parent / "reference" / "panel_did.csv")
COLUMNS = ("y", "unit", "year", "cluster")
FEW, MANY, FIRST = [3, 11], [1, 3, 6, 11, 14, 17, 20], 2020
TREATED = {"few": FEW, "many": MANY}
CASES = {
    "balanced": {},
    "unbalanced": {},
    "weighted": {"weight": "w"},
    "covariates": {"covariates": ["x", "z"]},
    "all": {"covariates": ["x", "z"], "weight": "w"},
    "strata": {"covariates": ["x", "z"], "weight": "w", "strata": "stratum"},
}


def generated():
    """The data of reference/panel_did.py."""
    sizes = 3 + np.arange(24) * 7 % 6
    cluster = np.repeat(np.arange(24), sizes)
    unit, year = np.repeat(np.arange(len(cluster)), 8), np.tile(np.arange(2015, 2023), len(cluster))
    i = np.arange(len(unit)) + 1
    frame = pd.DataFrame({"unit": unit, "year": year, "cluster": cluster[unit]})
    frame["stratum"] = frame["cluster"] % 4
    frame["x"], frame["z"] = i * 7919 % 991 / 100, i * 31 % 103 / 10 + unit
    frame["w"] = 20 + i * 104729 % 97 + unit * 37 % 53.0
    shock = (frame["cluster"] * 8 + frame["year"] - 2015) * 6121 % 89 / 40
    frame["y"] = 50 + unit * 13 % 29 + shock + i * 15485863 % 983 / 200 + 0.3 * frame["x"] - 0.1 * frame["z"]
    return frame


def thinned(frame):
    return frame[(frame["unit"] * 5 + frame["year"] * 3) % 8 != 0].reset_index(drop=True)


def data(case):
    return generated() if case == "balanced" else thinned(generated())


def dense(frame, regressors, weight=None, covariates=(), strata=None):
    """The regression with a dummy for each unit and period, rows times the root of the weights."""
    periods = frame["year"].astype(str) + ("" if strata is None else " " + frame[strata].astype(str))
    first = frame["year"].min()
    units, times = pd.get_dummies(frame["unit"].astype(str)), pd.get_dummies(periods)
    times = times[[name for name in times if not name.startswith(str(first))]]
    x = np.column_stack([regressors, frame[list(covariates)], units, times]).astype(float)
    root = np.ones(len(frame)) if weight is None else np.sqrt(frame[weight].to_numpy())
    return root[:, None] * x, root * frame["y"].to_numpy()


@pytest.mark.parametrize("treated", TREATED)
@pytest.mark.parametrize("case", CASES)
def test_pyfixest(case, treated):
    wanted = REFERENCE[(REFERENCE["case"] == case) & (REFERENCE["treated"] == treated)]
    given = (data(case), *COLUMNS, TREATED[treated], FIRST)
    found = difference_in_differences(*given, **CASES[case])
    coefficient, error = reassigned(found.cells, controls(found.cells), found.cells.treated[None])
    assert found.estimate == coefficient[0] == pytest.approx(wanted["estimate"].iloc[0], rel=1e-8)
    assert error[0] == pytest.approx(wanted["error"].iloc[0], rel=1e-8)
    assert found.n == wanted["n"].iloc[0]
    if case != "strata" or treated == "many":
        study = event_study(*given, **CASES[case])
        np.testing.assert_allclose(study.estimates, wanted["estimate"][1:], rtol=1e-8, atol=1e-10)
        assert list(study.periods) == [int(term) for term in wanted["term"][1:]]
        assert (study.n_pre, study.base) == (4, 2019)


@pytest.mark.parametrize("case", CASES)
def test_cr2_and_df_are_those_of_the_design_with_all_dummies(case):
    frame, options = data(case), CASES[case]
    frame = frame[frame.groupby("cluster")["unit"].transform("min") + 3 > frame["unit"]].reset_index(drop=True)
    found = difference_in_differences(frame, *COLUMNS, MANY, FIRST, **options)
    inside = frame["cluster"].isin(MANY)
    wanted = _by_dummies(frame, inside * (frame["year"] >= FIRST), 1, options)
    np.testing.assert_allclose(
        [found.estimate, found.error, found.df],
        [wanted.coefficients[0], wanted.errors[0], wanted.df[0]],
        rtol=1e-7,
    )
    assert found.reason is None and (found.n_clusters, found.n_treated_clusters) == (24, 7)
    study = event_study(frame, *COLUMNS, MANY, FIRST, **options)
    columns = np.column_stack([inside * (frame["year"] == year) for year in study.periods])
    wanted = _by_dummies(frame, columns, 7, options)
    np.testing.assert_allclose(study.covariance, wanted.covariance[:7, :7], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(study.df, wanted.df[:7], rtol=1e-6)
    assert study.covariance_from == "CR2"
    np.testing.assert_allclose(study.to_frame()["low"], wanted.interval()[:7, 0], rtol=1e-6)


def _by_dummies(frame, columns, k, options):
    """CR2 of the dense regression."""
    x, y = dense(frame, columns, **options)
    return _Dense(x, k, y, frame["cluster"].to_numpy())


class _Dense:
    """CR2 by its definition, n × n matrices throughout: (I − H)_jj^(−1/2) cluster by cluster, P_ij = g_i'g_j."""

    def __init__(self, x, k, y, cluster):
        basis, triangle = np.linalg.qr(x)
        inverse = np.linalg.solve(triangle, basis.T)
        left = np.eye(len(y)) - basis @ basis.T
        self.coefficients = (inverse @ y)[:k]
        residual = left @ y
        scores, vectors = [], []
        for label in np.unique(cluster):
            here = cluster == label
            value, vector = np.linalg.eigh(left[np.ix_(here, here)])
            root = np.where(value > 1e-9, 1 / np.sqrt(np.maximum(value, 1e-9)), 0)
            adjusted = inverse[:k, here] @ (vector * root) @ vector.T
            scores.append(adjusted @ residual[here])
            vectors.append(adjusted @ left[here])
        scores, vectors = np.array(scores), np.array(vectors)
        self.covariance = scores.T @ scores
        self.errors = np.sqrt(np.diag(self.covariance))
        p = np.einsum("ikn,jkn->kij", vectors, vectors)
        self.df = np.einsum("kii->k", p) ** 2 / (p**2).sum(axis=(1, 2))

    def interval(self):
        from tne_eval.impact.cluster_robust import student_interval

        return student_interval(self.coefficients, self.errors, self.df, 0.95)


def test_reassignment_is_pyfixest_done_anew():
    wanted = REFERENCE[REFERENCE["case"] == "reassigned"]
    pairs = [[int(one) for one in pair.split()] for pair in wanted["treated"]]
    found = reassign_treatment(
        thinned(generated()), *COLUMNS, pairs[0], FIRST, assignments=pairs, covariates=["x", "z"], weight="w"
    )
    np.testing.assert_allclose(found.coefficients, wanted["estimate"], rtol=1e-9)
    np.testing.assert_allclose(found.cluster_t, wanted["estimate"] / wanted["error"], rtol=1e-9)
    assert not found.exact


def test_all_pairs_are_enumerated_with_the_observed_one_first():
    found = reassign_treatment(thinned(generated()), *COLUMNS, FEW, FIRST)
    assert found.exact and len(found.coefficients) == 276
    assert list(np.flatnonzero(found.assignments[0])) == FEW
    assert len({tuple(np.flatnonzero(row)) for row in found.assignments}) == len(list(combinations(range(24), 2)))
    assert found.p == np.mean(np.abs(found.coefficients) >= abs(found.coefficients[0]) * (1 - 1e-9))
    assert found.p_studentised == np.mean(np.abs(found.cluster_t) >= abs(found.cluster_t[0]) * (1 - 1e-9))
    table = found.to_frame()
    assert table["treated"][0] == "3, 11" and len(table) == 276


def test_strata_keep_their_numbers_of_treated_and_the_seed_its_draws():
    frame = thinned(generated())
    given = (frame, *COLUMNS, MANY, FIRST, None, None, None, "stratum")
    found = reassign_treatment(*given, draws=300, seed=4)
    stratum = np.arange(24) % 4
    counts = np.array([found.assignments[:, stratum == one].sum(axis=1) for one in range(4)])
    assert (counts == counts[:, :1]).all() and len(found.coefficients) == 20250 and found.exact
    # All the ways to take 1, 2, 1 and 3 of six clusters in the four strata... as many as there are, none twice.
    assert len(np.unique(found.assignments, axis=0)) == 20250
    pooled = [reassign_treatment(*given[:-1], draws=300, seed=seed) for seed in (4, 4, 5)]
    np.testing.assert_array_equal(pooled[0].coefficients, pooled[1].coefficients)
    assert len(pooled[0].coefficients) == 301 and not pooled[0].exact
    assert not np.array_equal(pooled[0].assignments, pooled[2].assignments)


def test_a_balanced_panel_gives_the_difference_of_means():
    frame = generated().groupby(["cluster", "year"], as_index=False).first()
    frame["unit"] = frame["cluster"]
    found = reassign_treatment(frame, *COLUMNS, FEW, FIRST)
    table = frame.pivot(index="unit", columns="year", values="y")
    change = (table.loc[:, FIRST:].mean(axis=1) - table.loc[:, : FIRST - 1].mean(axis=1)).to_numpy()
    wanted = [change[row].mean() - change[~row].mean() for row in found.assignments]
    np.testing.assert_allclose(found.coefficients, wanted, rtol=1e-10)
    study = event_study(frame, *COLUMNS, FEW, FIRST)
    gap = table.loc[FEW].mean() - table.drop(FEW).mean()
    np.testing.assert_allclose(study.estimates, (gap - gap[2019]).drop(2019), rtol=1e-9)
    other = event_study(frame, *COLUMNS, FEW, FIRST, base=2016)
    np.testing.assert_allclose(other.estimates, (gap - gap[2016]).drop(2016), rtol=1e-9)
    assert other.n_pre == 4


def test_few_treated_clusters_get_no_clustered_error_but_placebos():
    frame = thinned(generated())
    found = difference_in_differences(frame, *COLUMNS, FEW, FIRST, ["x"], "w")
    assert (found.error, found.df, found.t, found.p, found.interval()) == (None,) * 5
    assert "2 treated clusters" in found.reason and "MacKinnon and Webb 2018" in found.reason
    assert found.to_frame()["reason"][0] == found.reason
    assert reassign_cells(found.cells).coefficients[0] == pytest.approx(found.estimate, rel=1e-12)
    study = event_study(frame, *COLUMNS, FEW, FIRST, None, ["x"], "w")
    # Placebos are event studies of the control clusters alone.
    controls_only = frame[~frame["cluster"].isin(FEW)]
    pairs = list(combinations([label for label in range(24) if label not in FEW], 2))
    assert study.covariance_from == "placebos" and study.placebos.shape == (len(pairs), 7) and study.df is None
    for place, pair in ((0, pairs[0]), (40, pairs[40]), (230, pairs[230])):
        one = event_study(controls_only, *COLUMNS, list(pair), FIRST, None, ["x"], "w")
        np.testing.assert_allclose(study.placebos[place], one.estimates, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(study.covariance, np.cov(study.placebos.T, ddof=0), rtol=1e-10)
    table = study.to_frame()
    assert table["p"].between(1 / 232, 1).all() and (table["low"] < table["estimate"]).all()
    assert np.linalg.eigvalsh(study.covariance)[0] > 0


def test_the_gate_counts_control_clusters_too():
    found = difference_in_differences(generated(), *COLUMNS, list(range(19)), FIRST)
    assert found.error is None and "5 control clusters" in found.reason
    assert difference_in_differences(generated(), *COLUMNS, list(range(18)), FIRST).error > 0


@pytest.mark.parametrize("treated", TREATED)
def test_what_must_not_change_the_result(treated):
    frame = thinned(generated())
    kept = frame.copy()
    given = (TREATED[treated], FIRST, ["x", "z"], "w")
    base = difference_in_differences(frame, *COLUMNS, *given)
    pairs = reassign_cells(base.cells, draws=50)
    pd.testing.assert_frame_equal(frame, kept)
    order = np.random.default_rng(2).permutation(len(frame))
    moved = frame.iloc[order].assign(
        y=lambda f: 1000 * f["y"] + 7e5,
        x=lambda f: f["x"] / 1000 + 3,
        w=lambda f: f["w"] / 9,
        unit=lambda f: -f["unit"],
    )
    # Effects of the unit and of the period, whatever they are, change nothing; labels become texts in the same order.
    moved["y"] += 100 * moved["unit"] + 11.0 ** (moved["year"] - 2017)
    moved["cluster"] = moved["cluster"].map("d{:02d}".format)
    labels = [f"d{label:02d}" for label in TREATED[treated]]
    other = difference_in_differences(moved, *COLUMNS, labels, *given[1:])
    assert other.estimate == pytest.approx(1000 * base.estimate, rel=1e-6)
    np.testing.assert_allclose(reassign_cells(other.cells, draws=50).cluster_t, pairs.cluster_t, rtol=1e-4, atol=1e-6)
    if treated == "many":
        assert other.error == pytest.approx(1000 * base.error, rel=1e-6)
        assert other.df == pytest.approx(base.df, rel=1e-8)


def test_rows_that_say_nothing_change_nothing():
    frame = thinned(generated())
    base = difference_in_differences(frame, *COLUMNS, MANY, FIRST, ["x"], "w")
    once = pd.DataFrame({"unit": [900, 901], "year": 2018, "cluster": [1, 2], "x": 1.0, "w": 5.0, "y": [1e3, -1e3]})
    zero = frame.iloc[:50].assign(unit=lambda f: f["unit"] + 500, w=0.0, y=1e4)
    found = difference_in_differences(pd.concat([frame, once, zero]), *COLUMNS, MANY, FIRST, ["x"], "w")
    np.testing.assert_allclose([found.estimate, found.error], [base.estimate, base.error], rtol=1e-9)
    assert (found.n, found.n_units) == (base.n, base.n_units)


def test_weights_are_copies_for_the_estimate():
    frame = generated()
    frame["w"] = 1.0 + frame["unit"] % 3
    copies = frame.loc[frame.index.repeat(frame["w"].astype(int))]
    copies["unit"] = copies["unit"] * 10 + copies.groupby(["unit", "year"]).cumcount()
    one = difference_in_differences(frame, *COLUMNS, MANY, FIRST, weight="w")
    two = difference_in_differences(copies, *COLUMNS, MANY, FIRST)
    assert one.estimate == pytest.approx(two.estimate, rel=1e-10)
    # Constant in each unit, whose rows are alike: copies make no new cluster.
    assert one.error == pytest.approx(two.error, rel=1e-8) and one.df == pytest.approx(two.df, rel=1e-8)


def changed(**columns):
    return lambda frame: frame.assign(**columns)


BAD_FRAMES = [
    (lambda f: f.drop(columns=["year", "y"]), "no column y, year"),
    (lambda f: f.to_dict(), "frame is a dict"),
    (lambda f: f.iloc[:0], "frame is empty"),
    (changed(y=lambda f: f["y"].where(f["unit"] != 4)), "'y'.* missing or infinite"),
    (changed(x=lambda f: f["x"].replace(f["x"][3], np.inf)), "'x'.* missing or infinite"),
    (changed(y="a"), "something else than numbers"),
    (changed(w=lambda f: f["w"] - 60), "weights must be zero or more"),
    (changed(unit=lambda f: f["unit"].where(f["unit"] != 4)), "'unit' holds missing labels"),
    (changed(cluster=lambda f: f["cluster"].where(f["unit"] != 4)), "'cluster' holds missing labels"),
    (
        changed(cluster=lambda f: f["cluster"].where(f.index != 9, 7)),
        "'cluster' is not the same in all rows of a label",
    ),
    (changed(stratum=lambda f: f["stratum"].where(f.index != 9, 7)), "'stratum' is not the same in all rows"),
    (lambda f: pd.concat([f, f.iloc[3:5]]), "2 pairs of 'unit' and 'year' occur twice"),
    (lambda f: f[(f["cluster"] != 3) | (f["year"] != 2021)], "outcome is missing in treated clusters"),
    (lambda f: f[(f["cluster"] != 3) | (f["year"] >= FIRST)], "outcome is missing in treated clusters"),
    (lambda f: f.assign(unit=f["unit"] + 1000 * ((f["cluster"] == 3) & (f["year"] >= FIRST))), "no unit is seen both"),
    (changed(y=lambda f: f["unit"] * 0.3), "does not vary in time within units"),
    (changed(y=lambda f: f["unit"] * 0.3 + f["year"] ** 2), "fit the outcome exactly"),
    (lambda f: f[f["year"] < FIRST], "no period from first_treated"),
    (lambda f: f[f["year"] >= FIRST], "no period before first_treated"),
    (changed(year=lambda f: f["year"].astype(str)), "cannot be compared"),
    (changed(year=lambda f: f["year"].astype(object).where(f["unit"] != 2, "2015")), "cannot be sorted"),
    (changed(x=lambda f: f["unit"] * 2.0), "determined by unit and period effects .*: x"),
    (changed(x=lambda f: f["z"] + f["year"] * 2.0), "determined by .*: z"),
    (
        changed(x=lambda f: 1.0 * (f["cluster"].isin(FEW) & (f["year"] >= FIRST))),
        "controls determine treated|estimate of a period is not",
    ),
]


@pytest.mark.parametrize(("change", "words"), BAD_FRAMES)
def test_refusals_of_the_frame(change, words):
    frame = change(generated())
    for call in (difference_in_differences, event_study, reassign_treatment):
        with pytest.raises(DesignError, match=words):
            call(frame, *COLUMNS, FEW, FIRST, covariates=["x", "z"], weight="w", strata="stratum")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"treated": [3, 99, 98]}, "not in the data: 99, 98"),
        ({"treated": "3"}, "treated is not a list"),
        ({"treated": 3}, "treated is not a list"),
        ({"treated": [[3]]}, "labels of clusters are texts or numbers"),
        ({"treated": []}, "0 treated of 24"),
        ({"treated": [3, 3]}, "2 treated of 24"),
        ({"treated": range(24)}, "24 treated of 24"),
        ({"treated": [0, 4, 8, 12, 16, 20], "strata": "stratum"}, "a stratum with only treated clusters: 0"),
        ({"first_treated": None}, "first_treated"),
        ({"first_treated": np.nan}, "no period from first_treated"),
        ({"first_treated": [2020, 2021]}, "first_treated"),
        ({"covariates": "x"}, "covariates is a text"),
        ({"covariates": ["x", "x"]}, "given twice"),
        ({"covariates": ["y"]}, "given twice"),
        ({"covariates": ["absent"]}, "no column absent"),
        ({"weight": "absent"}, "no column absent"),
    ],
)
def test_refusals_of_the_design(changes, words):
    given = {"treated": FEW, "first_treated": FIRST} | changes
    with pytest.raises(DesignError, match=words):
        difference_in_differences(generated(), *COLUMNS, **given)


@pytest.mark.parametrize("treated", TREATED)
def test_the_event_study_feeds_honest_did(treated):
    study = event_study(thinned(generated()), *COLUMNS, TREATED[treated], FIRST)
    found = honest_did(study.estimates, study.covariance, study.n_pre, "smoothness", bound=[0.0, 0.1])
    assert found.n_pre == 4 and found.n_post == 3
    assert found.low[1] < found.low[0] < found.high[0] < found.high[1]


def test_random_small_panels_by_least_squares():
    """Sizes, gaps, weights, covariates and strata at random: coefficient and CR1 error of the dense regression."""
    rng, done = np.random.default_rng(11), 0
    for _ in range(60):
        clusters, years, per = rng.integers(4, 15), rng.integers(2, 7), rng.integers(1, 4)
        unit, year = np.repeat(np.arange(clusters * per), years), np.tile(np.arange(years), clusters * per)
        noise = rng.normal(size=(3, len(unit)))
        frame = pd.DataFrame({"unit": unit, "year": year, "cluster": unit // per, "y": noise[0], "x": noise[1] + unit})
        frame["w"], frame["half"] = np.exp(noise[2]), frame["cluster"] % 2
        frame = frame[rng.uniform(size=len(frame)) > rng.choice([0, 0.1, 0.3])].sample(frac=1, random_state=1)
        treated, first = rng.choice(clusters, rng.integers(1, clusters // 2 + 1), replace=False), rng.integers(1, years)
        options = {"covariates": ["x"], "weight": "w", "strata": "half"}
        options = {name: value for name, value in options.items() if rng.uniform() < 0.5}
        try:
            cells = difference_in_differences(frame, *COLUMNS, treated, first, **options).cells
        except DesignError:
            continue
        done += 1
        estimate, error = reassigned(cells, controls(cells), cells.treated[None])
        frame = frame[frame.groupby("unit")["year"].transform("size") > 1]
        post = frame["cluster"].isin(treated) * (frame["year"] >= first)
        x, y = dense(frame, post, **options)
        rest = np.linalg.svd(x[:, 1:], full_matrices=False)
        rest = rest.U[:, rest.S / rest.S[0] > 1e-9]
        r, y = x[:, 0] - rest @ (rest.T @ x[:, 0]), y - rest @ (rest.T @ y)
        wanted = r @ y / (r @ r)
        scores = pd.Series(r * (y - wanted * r)).groupby(frame["cluster"].to_numpy()).sum()
        levels = frame.groupby(["year", *(["half"] if "strata" in options else [])]).ngroups
        k = 1 + ("covariates" in options) + levels
        clusters = frame["cluster"].nunique()
        factor = clusters / (clusters - 1) * (len(frame) - 1) / (len(frame) - k)
        np.testing.assert_allclose(estimate[0], wanted, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(error[0], np.sqrt(factor * (scores**2).sum()) / (r @ r), rtol=1e-7, atol=1e-9)
    assert done > 15


def test_refusals_of_assignments_bases_and_placebos():
    frame = generated()
    for assignments, words in (
        ([[3, 11], [1, 99]], "not in the data"),
        ([[3, 11], [1, 1]], "names a cluster twice"),
        ([[1, 2], [3, 11]], "first assignment is not the observed"),
        ([3, 11], "assignments have shape"),
    ):
        with pytest.raises(DesignError, match=words):
            reassign_treatment(frame, *COLUMNS, FEW, FIRST, assignments)
    with pytest.raises(DesignError, match="draws is 0"):
        reassign_treatment(frame, *COLUMNS, FEW, FIRST, draws=0)
    late = frame[(frame["cluster"] != 5) | (frame["year"] >= FIRST)]
    with pytest.raises(DesignError, match="could have been, treated") as caught:
        reassign_treatment(late, *COLUMNS, FEW, FIRST)
    assert caught.value.where == "5"
    assert np.isfinite(difference_in_differences(late, *COLUMNS, FEW, FIRST).estimate)
    with pytest.raises(DesignError, match="clustered error is 0"):
        reassign_treatment(frame[frame["cluster"].isin([3, 4])], *COLUMNS, [3], FIRST)
    for base in (2020, 1999, "2019"):
        with pytest.raises(DesignError, match="is not a period before"):
            event_study(frame, *COLUMNS, FEW, FIRST, base)
    with pytest.raises(DesignError, match="two periods"):
        event_study(frame[frame["year"].isin([2019, 2020])], *COLUMNS, FEW, FIRST)
    with pytest.raises(DesignError, match="too few control clusters for placebos"):
        event_study(frame[frame["cluster"] < 4], *COLUMNS, [0, 1], FIRST)
    with pytest.raises(DesignError, match="placebos for 7 periods"):
        event_study(frame[frame["cluster"] < 5], *COLUMNS, [0, 1], FIRST)
    gone = frame[(frame["cluster"] != 3) | (frame["year"] != 2016)]
    with pytest.raises(DesignError, match="estimate of a period is not determined") as caught:
        event_study(gone, *COLUMNS, [3], FIRST)
    assert "2016" in caught.value.where


def test_the_dense_design_of_this_file_is_the_tested_one():
    """The brute force above and cluster_robust, itself compared with R, agree on units taken off."""
    frame = generated().query("cluster < 22 and unit % 2")
    inside = frame["cluster"].isin(MANY)
    wanted = _by_dummies(frame, inside * (frame["year"] >= FIRST), 1, {})
    times = pd.get_dummies(frame["year"], dtype=float).iloc[:, 1:].add_prefix("year ")
    table = times.assign(post=inside * (frame["year"] >= FIRST), y=frame["y"])
    table -= table.groupby(frame["unit"]).transform("mean")
    found = cluster_robust(table.drop(columns="y"), table["y"], frame["cluster"])
    place = found.names.index("post")
    np.testing.assert_allclose([found.errors[place], found.df[place]], [wanted.errors[0], wanted.df[0]], rtol=1e-8)
