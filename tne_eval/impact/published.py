"""Published effects estimated again: what the tests check and what `methodes.ipynb` shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tne_eval.catalog import PublishedValue, published_estimates
from tne_eval.impact.cluster_robust import cluster_robust
from tne_eval.impact.group_time import group_time_effects
from tne_eval.impact.honest import honest_did
from tne_eval.impact.impute import impute_effects
from tne_eval.impact.synthetic import synthetic_control, synthetic_did
from tne_eval.indicators.published import compare_published


def check_published_estimates(folder: str | Path | None = None) -> pd.DataFrame:
    """Each published effect beside the one estimated here; columns and `folder` as in `check_published_values`."""
    return compare_published(published_estimates(), _compute, folder, {})


def _compute(entry: PublishedValue, frame: pd.DataFrame) -> float:
    if entry.call.startswith("group_time"):
        found = group_time_effects(frame, "lemp", "countyreal", "year", "first.treat").aggregate(entry.statistic)
        return float(found.error if entry.call.endswith("error") else found.estimate)
    if entry.call.startswith("imputation"):
        found = impute_effects(frame, "lemp", "countyreal", "year", "first.treat")
        return float(found.error if entry.call.endswith("error") else found.estimate)
    if entry.call.startswith("synthetic"):
        outcomes = frame.pivot(index="State", columns="Year", values="PacksPerCapita")
        if entry.call == "synthetic_control":
            return float(synthetic_control(outcomes, ["California"], 1989).estimate)
        placebos = entry.statistic in ("placebo_sd", "p_value")
        found = synthetic_did(outcomes, ["California"], 1989, placebos=placebos, alpha=0.1)
        return float(getattr(found, entry.statistic))
    restriction, bound = entry.statistic.split()
    found = honest_did(*_medicaid(frame), 5, restriction, bound=float(bound))
    return float(getattr(found, entry.call.removeprefix("honest_"))[0])


def _medicaid(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Event study of the README of R HonestDiD: states that expand in 2014 or never, years before 2016, against 2013.

    Errors by state with the small-sample factor of R fixest, (n − 1) / (n − k), k without the nested state effects.
    """
    frame = frame.astype({"year": int, "dins": float})
    frame = frame[(frame["year"] < 2016) & (frame["yexp2"].isna() | (frame["yexp2"].astype(float) != 2015))]
    years, expanded = frame["year"], frame["yexp2"].astype(float) == 2014
    leads = [year for year in sorted(years.unique()) if year != 2013]
    design = pd.DataFrame({f"lead_{year}": ((years == year) & expanded).astype(float) for year in leads})
    design = design.join(pd.get_dummies(years, prefix="year", drop_first=True, dtype=float))
    within = pd.concat([design, frame["dins"]], axis=1)
    within = within - within.groupby(frame["stfips"]).transform("mean")
    fit = cluster_robust(within[design.columns], within["dins"], frame["stfips"], kind="CR1")
    n, k = within.shape[0], design.shape[1] + 1
    chosen = slice(0, len(leads))
    return fit.coefficients[chosen], fit.covariance[chosen, chosen] * (n - 1) / (n - k)
