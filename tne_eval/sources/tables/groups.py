"""Groups of schools inside a département, and weighted statistics: how no school is ever shown by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tne_eval.catalog import disclosure_rule

MAX_GROUPS = 20


def weighted_quantile(values: np.ndarray, weights: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Weighted quantiles: the smallest value at which the cumulated weight reaches the share of the total.

    This is the inverse of the weighted distribution function, without interpolation: each quantile is a value
    observed. Weights are not negative and not all zero.
    """
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[order])
    wanted = np.asarray(shares, dtype=float) * cumulated[-1]
    # A share that falls on a step up to rounding takes that step.
    places = np.searchsorted(cumulated, wanted * (1 - 1e-12), side="left")
    return values[order][np.minimum(places, len(values) - 1)]


def weighted_mean(frame: pd.DataFrame, value: str, weight: str, by: Sequence[str]) -> pd.Series:
    """Σ weight × value / Σ weight by group."""
    product = (frame[value] * frame[weight]).groupby([frame[name] for name in by]).sum()
    return product / frame.groupby(list(by))[weight].sum()


def group_number(size: np.ndarray, place: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Number of the group, from 0, of the school at `place` among `size` schools cut in `groups` nearly equal parts.

    The first `size % groups` groups have one school more than the others.
    """
    small, larger = size // groups, size % groups
    edge = larger * (small + 1)
    return np.where(place < edge, place // (small + 1), larger + (place - edge) // np.maximum(small, 1))


def with_ips_groups(
    schools: pd.DataFrame, by: Sequence[str], ips: str, uai: str, pupils: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Schools with their `ips_group` ("01" to "20", ascending IPS), and the units left out.

    In each `by` unit, the n schools sorted by (ips, uai) are cut in min(20, n // 3) groups of nearly equal numbers of
    schools (3: the disclosure rule). Where `pupils` is known, fewer groups are made until each holds the pupils the
    rule asks for. Units too small for one group are left out: `(by…, schools)`.
    """
    rule = disclosure_rule()
    by = list(by)
    schools = schools.sort_values([*by, ips, uai], kind="stable").reset_index(drop=True)
    unit = schools.groupby(by, sort=False).ngroup().to_numpy()
    size = np.bincount(unit) if len(unit) else np.zeros(0, dtype=int)
    groups = np.minimum(MAX_GROUPS, size // rule["min_schools"])
    place = schools.groupby(by, sort=False).cumcount().to_numpy()
    number = np.zeros(len(schools), dtype=int)
    while True:
        kept = groups[unit] > 0
        number[kept] = group_number(size[unit[kept]], place[kept], groups[unit[kept]])
        if pupils is None:
            break
        totals = schools[kept].groupby([unit[kept], number[kept]])[pupils].sum()
        few = totals.index[totals < rule["min_pupils"]].get_level_values(0).unique()
        if few.empty:
            break
        groups[few] -= 1
    left_out = schools[~kept].groupby(by).size().rename("schools").reset_index()
    labels = pd.Series(number + 1).astype(str).str.zfill(2)
    return schools.assign(ips_group=labels)[kept].reset_index(drop=True), left_out
