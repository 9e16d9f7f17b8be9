"""A linearised variable summed by cluster: what every clustered error is made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.groups import label_codes


class Totals(NamedTuple):
    """Linearised variable summed by cluster.

    `total` (clusters,), `stratum` (clusters,) codes from 0, `label` (clusters,); `strata` labels of the strata.
    """

    total: np.ndarray
    stratum: np.ndarray
    label: np.ndarray
    strata: np.ndarray


def cluster_totals(
    z: ArrayLike, weight: ArrayLike | None = None, cluster: ArrayLike | None = None, strata: ArrayLike | None = None
) -> Totals:
    """Linearised variable summed by cluster.

    Parameters
    ----------
    z : (n,) of `influence`, `influence_concentration` or `influence_gradient`; weight, cluster, strata : (n,) or None.

    Rows of zero weight are left out; a label met in two strata is two clusters. Raises DesignError on missing labels or
    labels of another length.
    """
    checked, used = weighted_arrays(weight, z=z)
    size = np.size(z)
    keep = slice(None) if len(checked) == size else np.asarray(weight, dtype=float) > 0
    total = used * checked
    places = np.arange(len(total))
    code, label = (places, places) if cluster is None else label_codes(cluster, "cluster", keep, size)
    if strata is None:
        if cluster is not None:
            total = np.bincount(code, weights=total, minlength=len(label))
        return Totals(total, np.zeros(len(total), dtype=np.intp), label, np.zeros(1, dtype=np.intp))
    stratum, strata_label = label_codes(strata, "strata", keep, size)
    place, pair = pd.factorize(stratum * len(label) + code)
    stratum, code = np.divmod(pair, len(label))
    return Totals(np.bincount(place, weights=total, minlength=len(pair)), stratum, label[code], strata_label)


def centred_totals(totals: Totals) -> tuple[np.ndarray, np.ndarray]:
    """(strata,) numbers of clusters, and (clusters,) totals less the mean of their stratum.

    Raises DesignError on a stratum with a single cluster, which is named.
    """
    count = np.bincount(totals.stratum)
    if (count < 2).any():
        alone = ", ".join(map(str, totals.strata[count < 2][:10])) if len(count) > 1 else ""
        raise DesignError(
            "an error needs two clusters or more" + (f" in each stratum: {alone}" if alone else ""),
            why="one cluster does not show how clusters vary",
            remedy="merge small strata" if alone else "give schools, not their territory, as clusters",
        )
    mean = np.bincount(totals.stratum, weights=totals.total) / count
    return count, totals.total - mean[totals.stratum]


def cluster_error(
    z: ArrayLike, weight: ArrayLike | None = None, cluster: ArrayLike | None = None, strata: ArrayLike | None = None
) -> float:
    """Standard error of Σ weight × z over clusters drawn with replacement inside strata (ultimate clusters).

    The square root of Σ_h n_h / (n_h − 1) Σ_i (d_hi − mean of d_h)², with d_hi the total of weight × z in cluster i of
    the n_h of stratum h.

    Parameters
    ----------
    z : (n,) linearised variable, of `influence` or `influence_concentration`; the others as in `linearized_error`.

    Rows of zero weight are left out. Raises DesignError on missing labels, labels of another length, and a stratum with
    a single cluster, which is named. Source: Hansen, Hurwitz and Madow (1953); Wolter (2007).
    """
    totals = cluster_totals(z, weight, cluster, strata)
    count, centred = centred_totals(totals)
    # Scaled by the largest, so that no square leaves the range of floats.
    scale = np.abs(centred).max() or 1.0
    squares = np.bincount(totals.stratum, weights=(centred / scale) ** 2)
    return float(scale * np.sqrt((count / (count - 1)) @ squares))
