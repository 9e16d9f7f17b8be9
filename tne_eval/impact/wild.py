"""Restricted wild cluster bootstrap of treated × post, from the cross-products of the clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError
from tne_eval.impact.cells import Controls, PanelCells, controls, cr1_factor, panel_cells, project, projected_treatment
from tne_eval.impact.inference import TIE
from tne_eval.impact.panel_did import too_few
from tne_eval.results import frame_html

SIGNS = ("rademacher", "webb")
_WEBB = np.sqrt([0.5, 1.0, 1.5])
# The interval is sought up to this many errors from the estimate, then refined by so many halvings.
_REACH, _WIDEN, _HALVINGS = 1e6, 1.25, 60
_BATCH = 2048


@dataclass(frozen=True, slots=True, eq=False)
class WildBootstrap:
    """What `wild_cluster_bootstrap` gives.

    Attributes
    ----------
    estimate, t : coefficient of treated × post and its CR1 t by cluster. p : two-sided, of no effect.
    low, high : effects that are not rejected at 1 − level, infinite where none is rejected on that side.
    t_draws : (draws,) t of the draws under no effect. signs : "rademacher" or "webb"; exact : whether the draws are all
        there are, one of each pair of opposite ones.
    level; n, n_clusters, n_treated_clusters.
    """

    estimate: float
    t: float
    p: float
    low: float
    high: float
    t_draws: np.ndarray = field(repr=False)
    signs: str
    exact: bool
    level: float
    n: int
    n_clusters: int
    n_treated_clusters: int

    def to_frame(self) -> pd.DataFrame:
        """One row: estimate, t, p, low, high, level, signs, exact, draws, n, n_clusters, n_treated_clusters."""
        names = ("estimate", "t", "p", "low", "high", "level", "signs", "exact", "n", "n_clusters")
        row = {name: getattr(self, name) for name in (*names, "n_treated_clusters")}
        return pd.DataFrame([{**row, "draws": len(self.t_draws)}])

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """Numerators N0 − δ N1 and variances V0 − 2δ V1 + δ² V2 of the draws (D,) under an effect δ; observed ones."""

    estimate: float
    variance: float
    n0: np.ndarray
    n1: np.ndarray
    v0: np.ndarray
    v1: np.ndarray
    v2: np.ndarray


def wild_cluster_bootstrap(
    frame: pd.DataFrame,
    outcome: str,
    unit: str,
    time: str,
    cluster: str,
    treated: Sequence[object],
    first_treated: object,
    covariates: Sequence[str] | None = None,
    weight: str | None = None,
    strata: str | None = None,
    *,
    signs: str = "rademacher",
    draws: int = 9_999,
    level: float = 0.95,
    seed: int = 0,
) -> WildBootstrap:
    """Wild cluster bootstrap of a difference-in-differences, its residuals restricted to the tested effect (WCR).

    Parameters
    ----------
    frame to strata : as in `difference_in_differences`.
    signs : what residuals of a cluster are multiplied by. "rademacher", 1 or −1: all combinations are taken where their
        pairs of opposite ones are no more than `draws`. "webb", six points, ± the roots of 1/2, 1 and 3/2, which Webb
        advises where combinations of two are few: six treated and six control clusters have 2,048 pairs.
    draws : 99 or more; level of the interval, 0-1; seed : 0 or more.

    p is the share of draws whose |t| is at least the observed one, which counts as one more draw where the draws are
    random. The interval holds the effects around the estimate that are not rejected: the draws, the same for all
    effects, are linear in the effect. Effects of units and periods are never expanded into columns.
    Source: Cameron, Gelbach and Miller (2008); Roodman, MacKinnon, Nielsen and Webb (2019); Webb (2023).

    Raises DesignError: what `difference_in_differences` refuses, fewer than six treated or control clusters (with two
    treated it never rejects: MacKinnon and Webb 2018), unknown signs, draws or level out of range.
    """
    cells = panel_cells(frame, outcome, unit, time, cluster, treated, first_treated, covariates, weight, strata)
    return wild_bootstrap_cells(cells, signs=signs, draws=draws, level=level, seed=seed)


def wild_bootstrap_cells(
    cells: PanelCells, *, signs: str = "rademacher", draws: int = 9_999, level: float = 0.95, seed: int = 0
) -> WildBootstrap:
    """`wild_cluster_bootstrap` on a panel already reduced: the `cells` of `difference_in_differences`."""
    clusters = len(cells.clusters)
    _check(signs, draws, level, seed)
    if (reason := too_few(cells)) is not None:
        raise DesignError(
            "no wild cluster bootstrap with few treated or control clusters",
            why=f"{reason}; the restricted bootstrap never rejects with two treated clusters",
        )
    exact = signs == "rademacher" and 2 ** (clusters - 1) <= draws
    built = controls(cells)
    estimate, numerator, score = _linear(cells, built)
    variance = float(((numerator[0] - estimate * numerator[1]) ** 2).sum())
    parts = []
    for multiplier in _multipliers(clusters, signs, draws, exact, seed):
        s0, s1 = multiplier @ score[0], multiplier @ score[1]
        squares = (s0 * s0).sum(axis=1), (s0 * s1).sum(axis=1), (s1 * s1).sum(axis=1)
        parts.append((multiplier @ numerator[0], multiplier @ numerator[1], *squares))
    drawn = _Draws(estimate, variance, *(np.concatenate(one) for one in zip(*parts, strict=True)))
    factor = cr1_factor(cells, built)
    with np.errstate(divide="ignore", invalid="ignore"):
        t_draws = np.where(drawn.n0 == 0, 0, drawn.n0 / np.sqrt(drawn.v0)) / factor
    low, high = (_end(drawn, 1 - level, exact, side) for side in (-1, 1))
    t = drawn.estimate / np.sqrt(drawn.variance) / factor
    counts = cells.n, clusters, int(cells.treated.sum())
    return WildBootstrap(
        drawn.estimate, float(t), _p_value(drawn, 0.0, exact), low, high, t_draws, signs, exact, level, *counts
    )


def _check(signs: str, draws: int, level: float, seed: int) -> None:
    if signs not in SIGNS:
        raise DesignError(f"signs is {signs!r}", remedy=f"choose among {', '.join(SIGNS)}")
    for name, number, least in (("draws", draws, 99), ("seed", seed, 0)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
            raise DesignError(f"{name} is {number!r}", why=f"a whole number of {least} or more is needed")
    if not 0 < level < 1:
        raise DesignError(f"level is {level!r}", why="it is a share strictly between 0 and 1")


def _multipliers(clusters: int, signs: str, draws: int, exact: bool, seed: int) -> Iterator[np.ndarray]:
    """Batches (draws, clusters) of what the residuals are multiplied by."""
    if exact:
        bits = np.arange(2 ** (clusters - 1))[:, None] >> np.arange(clusters) & 1
        yield 1.0 - 2.0 * bits
        return
    rng = np.random.default_rng(seed)
    for start in range(0, draws, _BATCH):
        shape = min(_BATCH, draws - start), clusters
        sign = 2.0 * rng.integers(0, 2, shape) - 1
        yield sign if signs == "rademacher" else sign * _WEBB[rng.integers(0, 3, shape)]


def _linear(cells: PanelCells, built: Controls) -> tuple[float, np.ndarray, np.ndarray]:
    """Estimate; numerator (2, K) and cluster scores (2, K, K) of a draw that multiplies one cluster by 1, others by 0.

    In cluster g the regressor has products m_g with the controls, q_g with itself, and s_g with the residual outcome,
    whose products with the controls are u_g. Under an effect δ the residuals have products s_g − δ q_g and u_g − δ m_g:
    all that follows is the first row less δ times the second. Scores and numerators are over the regressor's square.
    """
    periods, clusters, strata = len(cells.periods), len(cells.clusters), len(built.cross)
    theta, held = projected_treatment(cells, built)
    m = np.einsum("kij,kj->ki", cells.moment[:, :-1, :-1], theta)
    own = np.array([(theta * built.residual).sum(axis=1), (theta * m).sum(axis=1)])
    product = np.array([built.residual, m])
    time = np.zeros((2, clusters, strata, periods))
    time[:, np.arange(clusters), cells.stratum] = product[:, :, :periods]
    of_time, of_covariate = project(built, time, product[:, :, periods:])
    score = -np.einsum("rkgt,gt->rkg", of_time[:, :, cells.stratum], m[:, :periods])
    score -= of_covariate @ m[:, periods:].T + own[:, :, None] * own[1] / held
    score[:, np.arange(clusters), np.arange(clusters)] += own
    return float(own[0].sum() / held), own / held, score / held


def _p_value(drawn: _Draws, effect: float, exact: bool) -> float:
    """p of an effect: |t| compared by their squares, without division."""
    numerator = (drawn.n0 - effect * drawn.n1) ** 2 * drawn.variance
    variance = np.maximum(drawn.v0 - 2 * effect * drawn.v1 + effect**2 * drawn.v2, 0)
    beyond = int((numerator >= (1 - TIE) * (drawn.estimate - effect) ** 2 * variance).sum())
    return beyond / len(numerator) if exact else (1 + beyond) / (1 + len(numerator))


def _end(drawn: _Draws, alpha: float, exact: bool, side: int) -> float:
    """The end of the interval on one side: widen until rejected, then halve."""
    error = np.sqrt(drawn.variance)
    kept, step = 0.0, 0.5
    while step < _REACH and _p_value(drawn, drawn.estimate + side * step * error, exact) > alpha:
        kept, step = step, _WIDEN * step
    if step >= _REACH:
        return side * np.inf
    for _ in range(_HALVINGS):
        middle = (kept + step) / 2
        if _p_value(drawn, drawn.estimate + side * middle * error, exact) > alpha:
            kept = middle
        else:
            step = middle
    return float(drawn.estimate + side * kept * error)
