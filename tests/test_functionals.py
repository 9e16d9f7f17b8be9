"""Inequality as an outcome: tables against statistics one by one, and effects on spreads that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tne_eval.errors import DesignError
from tne_eval.impact.functionals import functional_table, recentred_outcome
from tne_eval.impact.panel_did import difference_in_differences
from tne_eval.impact.permutation import permutation_test
from tne_eval.indicators import concentration_index, gini, gradient, recentered_influence

N_CLUSTERS, SCHOOLS, YEARS = 20, 30, (2018, 2019, 2021, 2022)
TREATED = ["d00", "d01"]


def _schools(squeeze: float = 1.0, seed: int = 3) -> pd.DataFrame:
    """Schools of 20 départements; from 2021 on, results of the treated are drawn towards their mean by `squeeze`."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(N_CLUSTERS):
        position = rng.normal(100, 15, SCHOOLS)
        level = 250 + 0.8 * (position - 100) + rng.normal(0, 8, SCHOOLS)
        for year in YEARS:
            score = level + rng.normal(0, 2, SCHOOLS)
            if f"d{number:02d}" in TREATED and year >= 2021:
                score = score.mean() + squeeze * (score - score.mean())
            rows.append(
                pd.DataFrame(
                    {
                        "cluster": f"d{number:02d}",
                        "school": [f"d{number:02d}-{place}" for place in range(SCHOOLS)],
                        "year": year,
                        "score": score,
                        "ips": position,
                        "pupils": rng.integers(50, 200, SCHOOLS).astype(float),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


FRAME = _schools()


def _cell(cluster: str, year: int) -> pd.DataFrame:
    return FRAME[(FRAME["cluster"] == cluster) & (FRAME["year"] == year)]


def test_a_table_is_the_statistic_of_each_cell():
    own = _cell("d07", 2021)
    arguments = (FRAME, "gini", "score", "cluster", "year")
    table = functional_table(*arguments, weight="pupils")
    assert table.shape == (N_CLUSTERS, len(YEARS))
    assert table.loc["d07", 2021] == pytest.approx(gini(own["score"], own["pupils"]))
    assert functional_table(*arguments).loc["d07", 2021] == pytest.approx(gini(own["score"]))
    along = functional_table(FRAME, "gradient", "score", "cluster", "year", "pupils", "ips")
    assert along.loc["d07", 2021] == pytest.approx(gradient(own["score"], own["ips"], own["pupils"]).slope)
    ranks = functional_table(FRAME, "concentration_index", "score", "cluster", "year", position="ips")
    assert ranks.loc["d07", 2021] == pytest.approx(concentration_index(own["score"], own["ips"]))


def test_a_gap_is_between_the_halves_of_the_pupils():
    own = _cell("d03", 2019).sort_values("ips")
    copies = np.repeat(own["score"].to_numpy(), own["pupils"].astype(int) * 2)
    half = len(copies) // 2
    table = functional_table(FRAME, "gap", "score", "cluster", "year", "pupils", "ips")
    assert table.loc["d03", 2019] == pytest.approx(copies[half:].mean() - copies[:half].mean())


def test_an_effect_on_the_spread_is_found_and_one_on_the_mean_is_not():
    frame = _schools(squeeze=0.5)
    changes = {}
    for statistic in ("variance", "mean"):
        table = functional_table(frame, statistic, "score", "cluster", "year")
        changes[statistic] = table[[2021, 2022]].mean(axis=1) - table[[2018, 2019]].mean(axis=1)
    treated = changes["mean"].index.isin(TREATED)
    spread = permutation_test(changes["variance"].to_numpy(), treated)
    before = functional_table(frame, "variance", "score", "cluster", "year").loc[TREATED, [2018, 2019]].mean(axis=None)
    assert spread.estimate == pytest.approx(-0.75 * before, rel=0.1) and spread.p_value == spread.smallest_p
    assert permutation_test(changes["mean"].to_numpy(), treated).p_value > 0.05


def test_rows_before_take_the_recentred_influence_of_their_own_distribution():
    old = FRAME["year"].isin([2018, 2019]).to_numpy()
    for statistic in ("mean", "gini", "variance"):
        found = recentred_outcome(FRAME, statistic, "score", "year", [2018, 2019], "pupils")
        expected = recentered_influence(FRAME["score"][old], statistic, FRAME["pupils"][old])
        np.testing.assert_allclose(found[old], expected, rtol=1e-8, atol=1e-9)


def test_a_recentred_mean_is_the_value_also_beyond_those_before():
    frame = FRAME.copy()
    frame.loc[frame["year"] == 2022, "score"] += 500
    found = recentred_outcome(frame, "mean", "score", "year", [2018, 2019])
    np.testing.assert_allclose(found, frame["score"], rtol=1e-9)


def test_recentred_outcomes_find_the_effect_on_the_variance_to_first_order():
    """A small squeeze of all schools of the treated: the effect on the variance by RIF against the derivative."""
    frame = _schools(squeeze=0.98)
    frame["rif"] = recentred_outcome(frame, "variance", "score", "year", [2018, 2019])
    found = difference_in_differences(frame, "rif", "school", "year", "cluster", TREATED, 2021)
    plain = _schools(squeeze=1.0)
    plain["rif"] = recentred_outcome(plain, "variance", "score", "year", [2018, 2019])
    none = difference_in_differences(plain, "rif", "school", "year", "cluster", TREATED, 2021)
    old = frame["year"] < 2020
    centre = np.average(frame["score"][old])
    own = plain[plain["cluster"].isin(TREATED) & (plain["year"] >= 2021)]
    squeezed = frame[frame["cluster"].isin(TREATED) & (frame["year"] >= 2021)]
    expected = np.mean((squeezed["score"] - centre) ** 2) - np.mean((own["score"] - centre) ** 2)
    assert found.estimate - none.estimate == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"statistic": "gradient"}, "needs a position"),
        ({"position": "ips"}, "does not use a position"),
        ({"value": "mark"}, "no column 'mark'"),
        ({"statistic": "generalized_entropy(0)", "value": "below"}, "undefined in"),
        ({"value": "holes"}, "missing cells"),
    ],
)
def test_tables_without_sense_are_refused(changed, match):
    frame = FRAME.assign(below=-1.0, holes=np.where(FRAME.index == 3, np.nan, 1.0))
    named = {"statistic": "gini", "value": "score", "cluster": "cluster", "time": "year"} | changed
    with pytest.raises(DesignError, match=match):
        functional_table(frame, **named)


def test_recentring_without_rows_before_is_refused():
    with pytest.raises(DesignError, match="no row"):
        recentred_outcome(FRAME, "gini", "score", "year", [1999])
    with pytest.raises(DesignError, match="no column"):
        recentred_outcome(FRAME, "gini", "mark", "year", [2018])


def test_the_callers_frame_is_not_modified():
    before = FRAME.copy()
    functional_table(FRAME, "gini", "score", "cluster", "year", "pupils")
    recentred_outcome(FRAME, "gini", "score", "year", [2018], "pupils")
    pd.testing.assert_frame_equal(FRAME, before)
