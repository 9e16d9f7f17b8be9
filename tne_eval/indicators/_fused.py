"""Compiled kernels of the bootstrap. Only `resample` imports this module, and only where numba (extra `fast`) is there.

A replicate is one lane: its sums run over the rows in the same order whatever stands in the other lanes, so that its
result does not depend on the size of a batch or on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit


def _compiled(function):
    """The function compiled at its first call, kept on disk where there is a folder to keep it in."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no writable folder
        return njit(nogil=True)(function)


@_compiled
def tally(halves: np.ndarray, counts: np.ndarray) -> None:
    """Count in `counts` (replicates, clusters), zeros so far, the clusters that half words of 32 bits draw."""
    n_clusters = np.uint64(counts.shape[1])
    for replicate in range(halves.shape[0]):
        row = counts[replicate]
        for draw in range(halves.shape[1]):
            row[(np.uint64(halves[replicate, draw]) * n_clusters) >> np.uint64(32)] += 1


@_compiled
def gini_area(gap, weight, code, counts, total):
    """(lanes,) Σ gap · cum · (total − cum) over the rows, highest first, cum being the running sum of weight × count.

    gap, weight, code : (n,); counts : (clusters, lanes); total : (lanes,) the last cum; see `resample`.
    """
    lanes = total.shape[0]
    cum, area = np.zeros(lanes), np.zeros(lanes)
    for i in range(gap.shape[0]):
        step, mass, count = gap[i], weight[i], counts[code[i]]
        for lane in range(lanes):
            reached = cum[lane] + mass * count[lane]
            cum[lane] = reached
            area[lane] += step * (reached * (total[lane] - reached))
    return area


@_compiled
def column_sums(totals, counts):
    """(columns, lanes) Σ totals × counts over clusters; totals : (clusters, columns), counts : (clusters, lanes)."""
    columns, lanes = totals.shape[1], counts.shape[1]
    sums = np.zeros((columns, lanes))
    for cluster in range(totals.shape[0]):
        for column in range(columns):
            total = totals[cluster, column]
            for lane in range(lanes):
                sums[column, lane] += total * counts[cluster, lane]
    return sums
