"""Regressions of treated × post by pyfixest and a wild cluster bootstrap by wildboottest, kept in panel_did.csv.

    python tests/reference/panel_did.py     (pyfixest 0.60.0, wildboottest 0.3.2)

The data are made by the congruences below, the same in test_panel_did.py.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyfixest
from wildboottest.wildboottest import WildboottestCL

warnings.simplefilter("ignore")
FEW, MANY, FIRST = [3, 11], [1, 3, 6, 11, 14, 17, 20], 2020
CASES = {
    "balanced": ("balanced", "", None, "year"),
    "unbalanced": ("unbalanced", "", None, "year"),
    "weighted": ("unbalanced", "", "w", "year"),
    "covariates": ("unbalanced", "+ x + z", None, "year"),
    "all": ("unbalanced", "+ x + z", "w", "year"),
    "strata": ("unbalanced", "+ x + z", "w", "stratum_year"),
}


def generated():
    """24 clusters in 4 strata, 3 to 8 units in each, 8 years; the unbalanced panel lacks about a row in eight."""
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


def fit(formula, frame, weight):
    weights = {"weights": weight} if weight else {}
    return pyfixest.feols(formula, frame, vcov={"CRV1": "cluster"}, fixef_tol=1e-13, fixef_maxiter=100_000, **weights)


def regressions():
    balanced = generated()
    for case, (shape, covariates, weight, effects) in CASES.items():
        frame = balanced.copy() if shape == "balanced" else thinned(balanced)
        frame["stratum_year"] = frame["stratum"] * 10_000 + frame["year"]
        for name, treated in (("few", FEW), ("many", MANY)):
            inside = frame["cluster"].isin(treated)
            frame["post"] = (inside & (frame["year"] >= FIRST)).astype(float)
            found = fit(f"y ~ post {covariates} | unit + {effects}", frame, weight)
            yield case, name, "post", found.coef()["post"], found.se()["post"], found._N
            years = [year for year in range(2015, 2023) if year != FIRST - 1]
            for year in years:
                frame[f"e{year}"] = (inside & (frame["year"] == year)).astype(float)
            terms = " + ".join(f"e{year}" for year in years)
            found = fit(f"y ~ {terms} {covariates} | unit + {effects}", frame, weight)
            for year in years:
                yield case, name, year, found.coef()[f"e{year}"], found.se()[f"e{year}"], found._N


def reassigned():
    """Every pair of clusters 0 to 7, "all" case: coefficients and CR1 errors."""
    frame = thinned(generated())
    for first in range(8):
        for second in range(first):
            frame["post"] = (frame["cluster"].isin([first, second]) & (frame["year"] >= FIRST)).astype(float)
            found = fit("y ~ post + x + z | unit + year", frame, "w")
            yield "reassigned", f"{second} {first}", "post", found.coef()["post"], found.se()["post"], found._N


def wild():
    """The 2^12 draws of signs on clusters 0 to 11, six of them treated; effects as dummies."""
    frame = thinned(generated()).query("cluster < 12")
    post = (frame["cluster"].isin([0, 2, 5, 7, 8, 11]) & (frame["year"] >= FIRST)).astype(float)
    dummies = pd.get_dummies(frame[["unit", "year"]].astype(str), dtype=float).drop(columns="year_2015")
    x = np.column_stack([post, frame["x"], dummies])
    test = WildboottestCL(
        X=x, Y=frame["y"].to_numpy(), cluster=frame["cluster"].to_numpy(), R=np.eye(x.shape[1])[0], B=9999, seed=1
    )
    test.get_scores(bootstrap_type="11", impose_null=True)
    test.get_weights(weights_type="rademacher")
    for step in (test.get_numer, test.get_denom, test.get_tboot, test.get_vcov, test.get_tstat, test.get_pvalue):
        step()
    size = np.sort(np.abs(test.t_boot))
    yield "wild", "t", "", float(np.squeeze(test.t_stat)), float(test.pvalue), len(size)
    for share in (0.1, 0.5, 0.9, 0.95, 0.99):
        place = int(share * len(size))
        yield "wild", "draw", place, size[place], np.nan, len(size)


rows = [*regressions(), *reassigned(), *wild()]
table = pd.DataFrame(rows, columns=["case", "treated", "term", "estimate", "error", "n"])
table.to_csv(Path(__file__).with_suffix(".csv"), index=False, float_format="%.15g")
