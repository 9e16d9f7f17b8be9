"""Make honest_estimates.csv and honest_peers.csv: the Medicaid event study and what moderndid draws from it.

    python tests/reference/honest.py ehec_data.csv

Needs pyfixest 0.60.0 and moderndid 0.2.0. The sample and the regression are those of the README of
R HonestDiD: states that expand in 2014 or never, years before 2016, two-way fixed effects, errors clustered by state.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyfixest as pf
from moderndid.didhonest.delta.rm.rm import compute_conditional_cs_rm
from moderndid.didhonest.fixed_length_ci import compute_flci

HERE = Path(__file__).parent


def estimate(path: str) -> tuple[np.ndarray, np.ndarray, list[int]]:
    data = pd.read_csv(path)
    data = data[(data["year"].astype(int) < 2016) & (data["yexp2"].isna() | (data["yexp2"] != 2015))].copy()
    data["year"] = data["year"].astype(int)
    data["dins"] = data["dins"].astype(float)
    years = [year for year in sorted(data["year"].unique()) if year != 2013]
    for year in years:
        data[f"d{year}"] = ((data["year"] == year) & (data["yexp2"] == 2014)).astype(float)
    names = [f"d{year}" for year in years]
    fit = pf.feols(f"dins ~ {' + '.join(names)} | stfips + year", data, vcov={"CRV1": "stfips"})
    order = [list(fit._coefnames).index(name) for name in names]
    return fit.coef()[names].to_numpy(), fit._vcov[np.ix_(order, order)], years


def main() -> None:
    estimates, covariance, years = estimate(sys.argv[1])
    table = pd.DataFrame(covariance, columns=[f"cov{year}" for year in years])
    table.insert(0, "estimate", estimates)
    table.insert(0, "year", years)
    table.to_csv(HERE / "honest_estimates.csv", index=False, float_format="%.17g")

    pre, post = 5, 2
    first, mean = np.array([[1.0], [0.0]]), np.array([[0.5], [0.5]])
    rows = []
    for bound in map(float, sys.argv[2:] or (0.5, 1.0, 1.5, 2.0)):
        found = compute_conditional_cs_rm(
            estimates, covariance, pre, post, l_vec=first, m_bar=bound, alpha=0.05, hybrid_flag="LF"
        )
        kept = found["grid"][found["accept"] > 0]
        rows.append(("moderndid", "relative_magnitude", "first", bound, kept.min(), kept.max()))
        print(rows[-1], flush=True)
    for name, weights in (("first", first), ("mean", mean)):
        for bound in (0.0, 0.01, 0.02, 0.03, 0.04, 0.05):
            found = compute_flci(estimates, covariance, bound, pre, post, weights, alpha=0.05)
            rows.append(("moderndid", "smoothness", name, bound, *map(float, found.flci)))
            print(rows[-1], flush=True)
    peers = pd.DataFrame(rows, columns=["peer", "restriction", "weights", "bound", "low", "high"])
    peers.to_csv(HERE / "honest_peers.csv", index=False, float_format="%.10g")


if __name__ == "__main__":
    main()
