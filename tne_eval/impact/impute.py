"""Effects of a staggered treatment by imputation of the untreated outcome (Borusyak, Jaravel and Spiess 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from tne_eval.errors import DesignError
from tne_eval.impact.event_time import (
    FEWEST_TREATED_CLUSTERS,
    TOO_FEW,
    StaggeredPanel,
    cluster_sums,
    effects_frame,
    errors_or_none,
    listed,
    read_panel,
)
from tne_eval.results import frame_html

LONE = "a cohort of one treated cluster: the spread of its effects is unknown"
# Share of a covariate's variation that units, times and the covariates before it must leave.
_COLLINEAR = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class ImputedEffects:
    """Overall effect and effects by time since treatment.

    Attributes
    ----------
    estimate, error : mean over treated rows, in the unit of the outcome; error is None, and `reason` says why, with
        fewer than six treated clusters or where a cohort holds one treated cluster only.
    events : m rows: event (times since treatment, 0 at its first), estimate, error, treated_clusters, reason.
    estimates : (1 + m,) the overall one first; influence : (n_units, 1 + m), in the order of `units`; of mean 0
        where rows weigh alike and units are the clusters, nearly so otherwise.
    covariance : (1 + m, 1 + m), Σ_c ψ_c ψ_c' / n_units², ψ_c the sum of the influence over cluster c; no factor
        G/(G − 1). It is given whatever the number of clusters; it is no ground for inference where `errors_valid` is
        False.
    units : (n_units,) labels; clusters : (n_units,) codes. n_units, n_clusters, n_treated_clusters : counts.
    errors_valid : (1 + m,) bool.
    """

    estimate: float
    error: float | None
    reason: str | None
    events: pd.DataFrame
    estimates: np.ndarray = field(repr=False)
    influence: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)
    units: np.ndarray = field(repr=False)
    clusters: np.ndarray = field(repr=False)
    n_units: int
    n_clusters: int
    n_treated_clusters: int
    errors_valid: np.ndarray

    def to_frame(self) -> pd.DataFrame:
        """The overall effect, event "overall", then the effects by time since treatment."""
        count = self.n_treated_clusters
        top = effects_frame({"event": ["overall"]}, [self.estimate], [self.error], [count], [self.reason])
        return pd.concat([top.astype({"event": object}), self.events.astype({"event": object})], ignore_index=True)

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True)
class _Fit:
    """Regression of untreated rows on units, times and covariates, the unit effects swept out.

    gap (n, T): outcome less its imputed value: residuals of untreated rows, effects of treated ones. share (n, T):
    weights of untreated rows, summing to 1 in each unit. layers (n, T, p): covariates less their untreated mean.
    inverse (q, q): inverse of the cross-products of the T − 1 last times and the covariates.
    """

    gap: np.ndarray
    share: np.ndarray
    layers: np.ndarray
    inverse: np.ndarray


def impute_effects(
    frame: pd.DataFrame,
    outcome: str,
    unit: str,
    time: str,
    cohort: str,
    covariates: Sequence[str] | None = None,
    weight: str | None = None,
    cluster: str | None = None,
) -> ImputedEffects:
    """Mean gap between the outcomes of treated rows and those that untreated rows predict for them.

    Unit and time effects (and covariates) are fitted on untreated rows only. The error is the conservative one of the
    paper: effects vary about their mean in the same cohort at the same time, that mean being taken over clusters with
    the weights that make the variance least. It tends to be too small where a cohort holds few clusters.

    Parameters
    ----------
    frame : long panel, which may be unbalanced, one row per unit and time; the others are names of its columns.
    cohort : first treated time of the unit; NaN or 0 for never treated. A cohort after the last time counts as never.
    covariates : numbers that vary over time within units. weight : positive; it weighs the regression and the means.
    cluster : constant within the unit, the level at which treatment was decided; the unit where None.

    Raises DesignError on what `read_panel` refuses, treated units without an untreated row, times with treated rows
    only, untreated rows that fall into unconnected parts, and collinear covariates.
    Source: Borusyak, Jaravel and Spiess (2024), theorem 2 and equations 7 and 8.
    """
    panel = read_panel(frame, outcome, unit, time, cohort, covariates, weight, cluster, balanced=False)
    treated = panel.observed & (panel.times >= panel.cohorts[:, None])
    _check_identified(panel, treated)
    fit = _fit(panel, treated)
    return _effects(panel, fit, treated)


def _check_identified(panel: StaggeredPanel, treated: np.ndarray) -> None:
    untreated = panel.observed & ~treated
    if not treated.any():
        raise DesignError("no row is treated", remedy="check the cohorts: they are first treated times")
    alone = np.flatnonzero(~untreated.any(axis=1))
    if len(alone):
        raise DesignError(
            f"{len(alone)} treated units have no row before their treatment",
            where=f"units {listed(panel.units[alone])}",
            why="their own level without treatment is unknown",
            remedy="add earlier rows, or drop these units and say so",
        )
    late = np.flatnonzero(treated.any(axis=0) & ~untreated.any(axis=0))
    if len(late):
        events = np.unique(panel.times[late] - panel.cohorts[np.isfinite(panel.cohorts)][:, None])
        raise DesignError(
            f"no row is untreated at {listed(panel.times[late])}",
            where=f"event times {listed(events[events >= 0].astype(int))}",
            why="the change that these times brought to everyone is unknown",
            remedy=f"keep the times before {panel.times[late[0]]}",
        )
    links = csr_array(untreated.T.astype(float) @ untreated.astype(float))
    used = untreated.any(axis=0)
    part = connected_components(links, directed=False)[1][used]
    if len(np.unique(part)) > 1:
        times = panel.times[used]
        parts = [listed(times[part == one]) for one in np.unique(part)]
        raise DesignError(
            "untreated rows fall into parts that no unit connects",
            where="times " + " | ".join(parts),
            why="levels of times in two parts cannot be told from levels of units",
            remedy="keep one part, or units observed in both",
        )


def _fit(panel: StaggeredPanel, treated: np.ndarray) -> _Fit:
    weight = np.where(treated, 0.0, panel.weights)
    share = weight / weight.sum(axis=1, keepdims=True)
    outcome = np.where(panel.observed, panel.outcomes, 0.0)
    outcome = np.where(panel.observed, outcome - (share * outcome).sum(axis=1, keepdims=True), 0.0)
    layers = _swept(panel, weight, share)
    # Cross-products of times (the first one left out) and covariates, less what units explain.
    used = weight.any(axis=0)
    kept = np.flatnonzero(used)[1:]
    crossed = np.diag(weight.sum(axis=0)) - share.T @ weight
    mixed = np.einsum("nt,ntp->tp", weight, layers)
    inner = np.einsum("nt,ntp,ntq->pq", weight, layers, layers, optimize=True)
    times = crossed[np.ix_(kept, kept)]
    _check_collinear(times, mixed[kept], inner, panel.names)
    normal = np.block([[times, mixed[kept]], [mixed[kept].T, inner]])
    inverse = np.zeros((len(used) + len(inner),) * 2)
    place = np.append(kept, len(used) + np.arange(len(inner)))
    inverse[np.ix_(place, place)] = np.linalg.inv(normal)
    right = np.append((weight * outcome).sum(axis=0), np.einsum("nt,ntp,nt->p", weight, layers, outcome, optimize=True))
    coefficient = inverse @ right
    level = coefficient[: len(used)]
    gap = outcome - level + (share @ level)[:, None] - layers @ coefficient[len(used) :]
    return _Fit(np.where(panel.observed, gap, 0.0), share, layers, inverse)


def _swept(panel: StaggeredPanel, weight: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n, T, p) covariates less their untreated mean in the unit, of mean square 1; refuses those constant in units."""
    layers = np.where(panel.observed[:, :, None], panel.covariates, 0.0)
    size = np.sqrt(np.einsum("nt,ntp->p", weight, layers**2) / weight.sum())
    layers = layers - np.einsum("nt,ntp->np", share, layers)[:, None, :]
    layers[~panel.observed] = 0.0
    spread = np.sqrt(np.einsum("nt,ntp->p", weight, layers**2) / weight.sum())
    constant = spread <= 1e-9 * size
    if constant.any():
        raise DesignError(
            f"covariates do not vary within units: {listed(np.array(panel.names)[constant])}",
            why="the level of each unit holds all that they say",
            remedy="drop them, or cross them with time",
        )
    return layers / spread


def _check_collinear(times: np.ndarray, mixed: np.ndarray, inner: np.ndarray, names: tuple[str, ...]) -> None:
    left = inner - mixed.T @ np.linalg.solve(times, mixed)
    bad = []
    for place, name in enumerate(names):
        if left[place, place] <= _COLLINEAR * inner[place, place]:
            bad.append(name)
        else:
            left = left - np.outer(left[:, place], left[place]) / left[place, place]
    if bad:
        raise DesignError(
            f"covariates are collinear: {listed(bad)}",
            why="among untreated rows they are sums of unit levels, time levels and the covariates before them",
            remedy="drop them from the covariates",
        )


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over treated rows, the first of 1 + m columns for all of them, the others by event time.

    events (m,). gaps, centred (n, 1 + m): weighted effects, and those less the mean of their cohort and time.
    mass (1 + m,): weights. asked (1 + m, q): times and covariates that the effects ask of the untreated regression.
    touched (n_clusters, 1 + m): clusters with such a row. lone (1 + m,): whether a cohort has one of them only.
    """

    events: np.ndarray
    gaps: np.ndarray
    centred: np.ndarray
    mass: np.ndarray
    asked: np.ndarray
    touched: np.ndarray
    lone: np.ndarray


def _sums(panel: StaggeredPanel, fit: _Fit, treated: np.ndarray) -> _Sums:
    n, length = panel.outcomes.shape
    late = np.isfinite(panel.cohorts)
    since = panel.times - np.where(late, panel.cohorts, 0.0)[:, None]
    events = np.unique(since[treated]).astype(int)
    shape = 1 + len(events)
    gaps, centred, mass = np.zeros((n, shape)), np.zeros((n, shape)), np.zeros(shape)
    asked, lone = np.zeros((shape, length + fit.layers.shape[2])), np.zeros(shape, dtype=bool)
    touched = np.zeros((panel.clusters.max() + 1, shape), dtype=bool)
    for cohort in np.unique(panel.cohorts[late]):
        rows = np.flatnonzero(panel.cohorts == cohort)
        after = np.flatnonzero(treated[rows].any(axis=0))
        at = 1 + np.searchsorted(events, (panel.times[after] - cohort).astype(int))
        block = np.ix_(rows, after)
        weight = np.where(treated[block], panel.weights[block], 0.0)
        effect = weight * fit.gap[block]
        present, code = np.unique(panel.clusters[rows], return_inverse=True)
        heavy = cluster_sums(weight, code, len(present))
        middle = (heavy * cluster_sums(effect, code, len(present))).sum(axis=0) / (heavy**2).sum(axis=0)
        gaps[np.ix_(rows, at)] = effect
        centred[np.ix_(rows, at)] = effect - weight * middle
        mass[at] += weight.sum(axis=0)
        # Rows ask for their time and covariates, less the means of the untreated rows of their unit.
        asked[at, after] += weight.sum(axis=0)
        asked[at, :length] -= weight.T @ fit.share[rows]
        asked[at, length:] += np.einsum("nt,ntp->tp", weight, fit.layers[block])
        touched[np.ix_(present, at)] |= heavy > 0
        lone[at] |= (heavy > 0).sum(axis=0) == 1
    for one in (gaps.T, centred.T, mass, asked):
        one[0] = one[1:].sum(axis=0)
    touched[:, 0], lone[0] = touched.any(axis=1), lone.any()
    return _Sums(events, gaps, centred, mass, asked, touched, lone)


def _effects(panel: StaggeredPanel, fit: _Fit, treated: np.ndarray) -> ImputedEffects:
    """Means of the gaps, their influence functions (equation 7 of the paper) and covariance."""
    n, n_clusters = len(panel.units), int(panel.clusters.max()) + 1
    sums = _sums(panel, fit, treated)
    estimates = sums.gaps.sum(axis=0) / sums.mass
    residual = np.where(treated, 0.0, panel.weights) * fit.gap
    score = np.hstack([residual, np.einsum("nt,ntp->np", residual, fit.layers)])
    influence = (sums.centred - score @ (fit.inverse @ sums.asked.T)) * (n / sums.mass)
    by_cluster = cluster_sums(influence, panel.clusters, n_clusters)
    covariance = by_cluster.T @ by_cluster / n**2
    counts = sums.touched.sum(axis=0)
    reasons = [
        TOO_FEW if count < FEWEST_TREATED_CLUSTERS else LONE if lone else None
        for count, lone in zip(counts, sums.lone, strict=True)
    ]
    valid = np.array([reason is None for reason in reasons])
    errors = errors_or_none(covariance, valid)
    events = effects_frame({"event": sums.events}, estimates[1:], errors[1:], counts[1:], reasons[1:])
    found = (float(estimates[0]), errors[0], reasons[0], events, estimates, influence, covariance)
    return ImputedEffects(*found, panel.units, panel.clusters, n, n_clusters, int(counts[0]), valid)
