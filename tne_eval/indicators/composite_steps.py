"""The steps of a composite (OECD/JRC Handbook 2008): orient, normalise, weigh, aggregate.

Every step takes arrays of n units × k indicators, none missing. `composite_index` checks them and runs the steps.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse, stats
from scipy.optimize import linprog

from tne_eval.errors import DesignError

NORMALISATIONS = ("min_max", "z_score", "rank")
WEIGHTINGS = ("equal", "pca", "entropy", "budget", "benefit_of_the_doubt")
AGGREGATIONS = ("arithmetic", "geometric")


def normalise(oriented: np.ndarray, method: str) -> np.ndarray:
    """Columns on one scale, higher being better (Handbook 2008, section 5).

    min_max runs from 1 to 100, above zero so that geometric means exist; z_score has mean 0 and standard deviation 1
    (divisor n); rank is the mid-rank brought to the same 1 to 100, ties sharing the middle of their places.
    """
    if method == "z_score":
        return (oriented - oriented.mean(axis=0)) / oriented.std(axis=0)
    if method == "rank":
        return 1 + 99 * (stats.rankdata(oriented, axis=0) - 1) / (len(oriented) - 1)
    low = oriented.min(axis=0)
    return 1 + 99 * (oriented - low) / (oriented.max(axis=0) - low)


def equal_weights(levels: tuple[str | None, ...]) -> np.ndarray:
    """(k,) weights equal inside each level, then between levels; plainly equal where no level is named."""
    names, place, count = np.unique([level or "" for level in levels], return_inverse=True, return_counts=True)
    return 1 / (len(names) * count[place])


def pca_weights(oriented: np.ndarray) -> np.ndarray:
    """(k,) weights from the principal components of the correlations (Handbook 2008, section 6.1; Nicoletti 2000).

    Components with an eigenvalue above 1 are kept; the squared loadings of each, summing to one, are weighted by its
    part of the variance that the kept ones explain. That is each indicator's communality over the sum, so a rotation of
    the kept components changes nothing. Raises DesignError unless there are more units than indicators.
    """
    n, k = oriented.shape
    if n <= k:
        raise DesignError(
            f"{n} units for {k} indicators: too few for principal components",
            why="with no more units than indicators the correlations are not of full rank",
            remedy="leave 'pca' out of the weightings, add units or use fewer indicators",
        )
    values, vectors = np.linalg.eigh(np.corrcoef(oriented, rowvar=False))
    # Uncorrelated indicators have all eigenvalues at 1, and all are kept: rounding must not choose among them.
    kept = values > 1 - 1e-9
    communality = (vectors[:, kept] ** 2) @ values[kept]
    return communality / communality.sum()


def entropy_weights(positive: np.ndarray) -> np.ndarray:
    """(k,) weights from Shannon's entropy (Hwang and Yoon 1981): what tells units apart weighs more.

    With p_ij the share of unit i in the sum of indicator j, weight ∝ 1 + Σ_i p_ij ln p_ij / ln n. The values must be
    zero or more, with a positive sum, n ≥ 2; indicators that are all constant weigh the same.
    """
    share = positive / positive.sum(axis=0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    diversity = np.clip(1 + (share * logs).sum(axis=0) / np.log(len(share)), 0, None)
    total = diversity.sum()
    return diversity / total if total > 1e-12 else np.full(share.shape[1], 1 / share.shape[1])


def benefit_of_the_doubt(positive: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each unit under the weights that suit it best (Cherchye, Moesen, Rogge and Van Puyenbroeck 2007).

    Unit u scores max_w Σ_i w_i y_ui where no unit exceeds 1 under the same w ≥ 0, and where the share of indicator i in
    its own score lies in [low_i, high_i]. In the shares p this is 1 / min_p max_j Σ_i p_i y_ji / y_ui, a linear
    programme; those of many units are solved as one, by HiGHS. Time grows with n².

    Parameters
    ----------
    positive : (n, k), all above zero.
    low, high : (k,) bounds of the shares, 0 ≤ low ≤ high ≤ 1 and Σ low ≤ 1 ≤ Σ high. Without bounds (0 and 1) a unit
        that leads in one indicator scores 1 whatever the others.

    Returns
    -------
    (n,) scores in (0, 1], 1 for a unit that no other beats under its own weights; (n, k) shares, each row sums to one.

    Raises DesignError on bounds that no shares can meet and on values that are not above zero.
    """
    n, k = positive.shape
    if not (positive > 0).all():
        raise DesignError("benefit of the doubt needs values above zero", remedy="normalise by min_max or rank")
    if (low > high).any() or low.min() < 0 or low.sum() > 1 + 1e-12 or high.sum() < 1 - 1e-12:
        raise DesignError(f"no shares between {low} and {high} sum to 1")
    peers = np.unique(positive, axis=0)
    scores, shares = np.empty(n), np.empty((n, k))
    block = max(1, 1_000_000 // len(peers))
    for start in range(0, n, block):
        part = slice(start, start + block)
        shares[part], scores[part] = _best_shares(positive[part], peers, low, high)
    return scores, shares


def _best_shares(
    own: np.ndarray, peers: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shares (u, k) and scores (u,) of the units `own`, by rows of peers added as they are found to bind.

    At the optimum of a unit few peers bind, at most k: programmes of a few rows each, solved together, and solved again
    with the three peers that exceed them most, until none does.
    """
    units, k = own.shape
    room = high.sum() - low.sum()
    shares = np.tile(low + (high - low) * ((1 - low.sum()) / room if room > 0 else 0), (units, 1))
    bound = np.zeros(units)
    rows = np.zeros((units, len(peers)), dtype=bool)
    while True:
        value = (shares / own) @ peers.T
        worst = np.argpartition(-value, min(3, len(peers) - 1), axis=1)[:, :3]
        broken = np.take_along_axis(value, worst, axis=1) > bound[:, None] * (1 + 1e-9)
        # A row that is there already is kept to the solver's own precision.
        broken &= ~np.take_along_axis(rows, worst, axis=1)
        open_units = np.flatnonzero(broken.any(axis=1))
        if not len(open_units):
            return shares, np.minimum(1 / value.max(axis=1), 1.0)
        unit, place = np.nonzero(broken)
        rows[unit, worst[unit, place]] = True
        solved = _solve([peers[rows[u]] / own[u] for u in open_units], low, high)
        shares[open_units], bound[open_units] = solved[:, :k], solved[:, k]


def _solve(ratios: list[np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(u, k + 1): for each table of ratios (rows, k) the shares whose largest row mean is smallest, and that mean."""
    units, k = len(ratios), len(low)
    table = sparse.block_diag([np.column_stack([rows, -np.ones(len(rows))]) for rows in ratios], format="csc")
    found = linprog(
        np.tile(np.r_[np.zeros(k), 1.0], units),
        A_ub=table,
        b_ub=np.zeros(table.shape[0]),
        A_eq=sparse.kron(sparse.eye(units), np.r_[np.ones(k), 0.0][None], format="csc"),
        b_eq=np.ones(units),
        bounds=np.tile(np.column_stack([np.r_[low, 0.0], np.r_[high, np.inf]]), (units, 1)),
        method="highs-ds",
        # Presolve costs twice what it saves here; scores are ranked after rounding to 9 decimals.
        options={"presolve": False, "primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not found.success:
        raise DesignError("the linear programme of the benefit of the doubt has no optimum", why=found.message)
    solved = found.x.reshape(units, k + 1)
    solved[:, :k] = np.clip(solved[:, :k], 0, None)
    solved[:, :k] /= solved[:, :k].sum(axis=1, keepdims=True)
    return solved


def aggregate(normalised: np.ndarray, weight: np.ndarray, method: str) -> np.ndarray:
    """(n,) weighted mean of each row: arithmetic, or geometric where a weakness is not made up for by a strength.

    Handbook 2008, section 6.2. `weight` (k,) sums to one. Raises DesignError on a geometric mean of values not above
    zero (z-scores).
    """
    if method == "arithmetic":
        return (normalised * weight).sum(axis=1)
    if not (normalised > 0).all():
        raise DesignError(
            "a geometric mean of values that are not above zero", remedy="normalise by min_max or rank, not z_score"
        )
    return np.exp((np.log(normalised) * weight).sum(axis=1))
