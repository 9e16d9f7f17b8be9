"""Effects by cohort and time of a treatment that starts at different times (Callaway and Sant'Anna 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.impact.doubly_robust import doubly_robust, mean_influence
from tne_eval.impact.event_time import (
    BORNE_BY_FEW,
    FEWEST_TREATED_CLUSTERS,
    TOO_FEW,
    check_cohorts,
    check_control,
    check_steady,
    check_wide,
    cluster_sums,
    clusters_by_cohort,
    coded,
    effects_frame,
    errors_or_none,
    listed,
    read_panel,
)
from tne_eval.results import frame_html

KINDS = ("simple", "dynamic", "group", "calendar")


@dataclass(frozen=True, slots=True, eq=False)
class GroupTimeEffects:
    """Effects of k cells, a cell being a cohort at a time.

    Attributes
    ----------
    cells : k rows: cohort, time, estimate, error, treated_clusters, reason. `error` is None where fewer than six
        clusters of the cohort are treated, and `reason` says so: no formula for the error holds there.
    estimates : (k,), in the unit of the outcome; cells before treatment are placebos.
    influence : (n_units, k) influence functions, of mean 0; units in the order of `units`.
    covariance : (k, k), Σ_c ψ_c ψ_c' / n_units², ψ_c the sum over cluster c. As in R did there is no factor G/(G − 1).
        It is given whatever the number of clusters; it is no ground for inference where `errors_valid` is False.
    units : (n_units,) labels; cohorts : (n_units,), infinite for never treated; weights : (n_units,), of mean 1;
        clusters : (n_units,) codes. n_units, n_clusters, n_treated_clusters : counts over all cohorts.
    errors_valid : (k,) bool. control : "never" or "not_yet".
    """

    cells: pd.DataFrame
    estimates: np.ndarray
    influence: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)
    units: np.ndarray = field(repr=False)
    cohorts: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    clusters: np.ndarray = field(repr=False)
    n_units: int
    n_clusters: int
    n_treated_clusters: int
    errors_valid: np.ndarray
    control: str

    def aggregate(self, kind: str) -> AggregatedEffects:
        """`aggregate_effects` of these cells."""
        return aggregate_effects(self, kind)

    def to_frame(self) -> pd.DataFrame:
        """A copy of `cells`."""
        return self.cells.copy()

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class AggregatedEffects:
    """Averages of cells: an overall one and m elements (none for "simple").

    Attributes
    ----------
    kind : "simple", "dynamic" (elements: times since treatment), "group" (cohorts) or "calendar" (times).
    estimate, error : overall; error is None, and `reason` says why, where it is not valid.
    elements : m rows: element, estimate, error, treated_clusters, reason.
    estimates : (1 + m,) the overall one first; influence : (n_units, 1 + m); covariance : (1 + m, 1 + m).
    clusters : (n_units,) codes. n_units, n_clusters, n_treated_clusters : counts.
    errors_valid : (1 + m,) bool. An element is valid when its cohorts hold six treated clusters; an overall average
        of elements that weighs them alike, however few clusters bear one ("dynamic", "calendar"), when each of them is.
    """

    kind: str
    estimate: float
    error: float | None
    reason: str | None
    elements: pd.DataFrame
    estimates: np.ndarray = field(repr=False)
    influence: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)
    clusters: np.ndarray = field(repr=False)
    n_units: int
    n_clusters: int
    n_treated_clusters: int
    errors_valid: np.ndarray

    def to_frame(self) -> pd.DataFrame:
        """The overall average, element "overall", then the elements."""
        count = self.n_treated_clusters
        top = effects_frame({"element": ["overall"]}, [self.estimate], [self.error], [count], [self.reason])
        if self.elements.empty:
            return top
        frames = [one.astype({"element": object}) for one in (top, self.elements)]
        return pd.concat(frames, ignore_index=True)

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class UniformBands:
    """Bands that hold all the effects at once.

    critical : multiple of the errors; frame : the cells or elements with low and high; level : 0-1; draws : number.
    """

    critical: float
    frame: pd.DataFrame
    level: float
    draws: int


def group_time_effects(
    frame: pd.DataFrame,
    outcome: str,
    unit: str,
    time: str,
    cohort: str,
    control: str = "never",
    covariates: Sequence[str] | None = None,
    weight: str | None = None,
    cluster: str | None = None,
) -> GroupTimeEffects:
    """Effect of each cohort at each time, from the changes of its units and of controls.

    Before treatment the change is that since the time before ("varying" base); from treatment on it is that since the
    last time before treatment.

    Parameters
    ----------
    frame : balanced long panel, one row per unit and time; the others are names of its columns.
    cohort : first treated time of the unit; NaN or 0 for never treated. A cohort after the last time counts as never.
    control : "never", units never treated; or "not_yet", units not treated by the time of the cell.
    covariates : taken at the base time of each cell; the estimator is then doubly robust: logit propensity and
        linear outcome regression (Sant'Anna and Zhao 2020, equation 3.1; as R did, est_method "dr").
    weight : positive, constant within the unit. cluster : constant within the unit, the level at which treatment was
        decided (the département for schools); the unit where None.

    Raises DesignError on what `read_panel` refuses, no control, weights that vary within a unit, collinear
    covariates and propensities next to 1.
    Source: Callaway and Sant'Anna (2021), equation 2.6 and theorem 1.
    """
    panel = read_panel(frame, outcome, unit, time, cohort, covariates, weight, cluster, balanced=True)
    if weight is not None:
        check_steady(panel, unit, weight)
    return group_time_from_wide(
        panel.outcomes,
        panel.cohorts,
        control,
        times=panel.times,
        covariates=panel.covariates,
        names=panel.names,
        weights=panel.weights[:, 0],
        clusters=panel.clusters,
        units=panel.units,
    )


def group_time_from_wide(
    outcomes: ArrayLike,
    cohorts: ArrayLike,
    control: str = "never",
    *,
    times: ArrayLike | None = None,
    covariates: np.ndarray | None = None,
    names: Sequence[str] = (),
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    units: ArrayLike | None = None,
) -> GroupTimeEffects:
    """`group_time_effects` on arrays, for loops over reassignments of the cohorts.

    Parameters
    ----------
    outcomes : (n, T) unit × time, finite. cohorts : (n,) first treated time; NaN, 0 or infinite for never treated.
    times : (T,) increasing whole numbers, 1…T where None. covariates : (n, T, p), of these p names.
    weights : (n,) positive. clusters, units : (n,) labels, the row number where None.

    Raises DesignError on shapes that disagree, values that are not finite, weights that are not positive, no control
    and cohorts that are not whole numbers or without a time before treatment.
    """
    outcomes = np.asarray(outcomes, dtype=float)
    if outcomes.ndim != 2 or not np.isfinite(outcomes).all():
        raise DesignError("outcomes are not a finite array of units × times", remedy="drop units with missing outcomes")
    n, length = outcomes.shape
    times = np.arange(1, length + 1) if times is None else np.asarray(times)
    cohorts = np.asarray(cohorts, dtype=float)
    weights = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    clusters = np.arange(n) if clusters is None else coded(pd.Series(clusters))[0]
    units = np.arange(n) if units is None else np.asarray(units)
    layers = np.empty((n, length, 0)) if covariates is None else np.asarray(covariates, dtype=float)
    check_wide(n, times, length, layers, {"cohorts": cohorts, "weights": weights, "clusters": clusters, "units": units})
    names = tuple(names) or tuple(f"covariate {place}" for place in range(layers.shape[2]))
    cohorts = np.where(np.isnan(cohorts) | (cohorts == 0) | (cohorts > times[-1]), np.inf, cohorts)
    check_cohorts(cohorts, times)
    check_control(cohorts, times, control)
    weights = weights / weights.mean()
    cell, estimates, influence = _cells(outcomes, times, cohorts, control, layers, names, weights)
    return _result(cell, estimates, influence, (units, cohorts, weights, clusters, control))


def _cells(outcomes, times, cohorts, control, layers, names, weights):
    """Cells (cohort, time) in order, their estimates (k,) and influence functions (n, k)."""
    groups = np.unique(cohorts[np.isfinite(cohorts)])
    steps, n = len(times) - 1, len(cohorts)
    cell = pd.DataFrame({"cohort": np.repeat(groups.astype(int), steps), "time": np.tile(times[1:], len(groups))})
    estimates, influence = np.empty(len(cell)), np.zeros((len(cell), n))
    gain = np.ascontiguousarray(outcomes.T)
    gain = gain - gain[0]
    never = None if names else mean_influence(gain, np.where(np.isinf(cohorts), weights, 0.0), n)
    for place, group in enumerate(groups):
        base = np.minimum(np.arange(steps), np.searchsorted(times, group) - 1)
        own = np.flatnonzero(cohorts == group)
        for now, start, first in _alike(cohorts, times, group, control, base, layers):
            at, then = place * steps + now, base[now]
            controls = (cohorts >= first) & (cohorts != group)
            if names:
                rows = np.append(own, np.flatnonzero(controls))
                level = gain[:, rows]
                sample = level[now + 1] - level[then], len(own), weights[rows], n
                where = f"cohort {int(group)} at {listed(times[now + 1])}"
                estimates[at], influence[np.ix_(at, rows)] = doubly_robust(*sample, layers[rows, start], names, where)
                continue
            other = never if np.isinf(first) else mean_influence(gain, np.where(controls, weights, 0.0), n)
            mine = mean_influence(gain[:, own], weights[own], n)
            gap = mine[0] - other[0]
            estimates[at] = gap[now + 1] - gap[then]
            for one, later, earlier in zip(at, now + 1, then, strict=True):
                np.subtract(other[1][earlier], other[1][later], out=influence[one])
            influence[np.ix_(at, own)] = mine[1][now + 1] - mine[1][then]
    return cell, estimates, influence.T


def _alike(cohorts, times, group, control, base, layers):
    """Cells of a cohort with the same controls and covariates: (their places, base time, first cohort of controls)."""
    fixed = layers.shape[2] == 0 or bool((layers == layers[:, :1]).all())
    other = cohorts != group
    if control == "never":
        until = np.full(len(base), np.inf)
    else:
        # Who is a control at a time depends on the first cohort still untreated then.
        waiting = np.append(np.unique(cohorts[other & np.isfinite(cohorts)]), np.inf)
        until = waiting[np.searchsorted(waiting, times[1:], side="right")]
    start = np.zeros_like(base) if fixed else base
    for first, now in sorted({*zip(until, start, strict=True)}):
        places = np.flatnonzero((until == first) & (start == now))
        yield places, now, first


def _result(cell, estimates, influence, units) -> GroupTimeEffects:
    labels, cohorts, weights, clusters, control = units
    n, n_clusters = len(cohorts), int(clusters.max()) + 1
    sums = cluster_sums(influence, clusters, n_clusters)
    covariance = sums.T @ sums / n**2
    groups, place = np.unique(cell["cohort"].to_numpy(), return_inverse=True)
    held = clusters_by_cohort(clusters, cohorts, groups, n_clusters)
    counts = held.sum(axis=0)[place]
    valid = counts >= FEWEST_TREATED_CLUSTERS
    names = {"cohort": cell["cohort"].to_numpy(), "time": cell["time"].to_numpy()}
    reasons = [None if one else TOO_FEW for one in valid]
    frame = effects_frame(names, estimates, errors_or_none(covariance, valid), counts, reasons)
    kept = (labels, cohorts, weights, clusters, n, n_clusters, int(held.any(axis=1).sum()), valid, control)
    return GroupTimeEffects(frame, estimates, influence, covariance, *kept)


def aggregate_effects(effects: GroupTimeEffects, kind: str) -> AggregatedEffects:
    """Averages of cells, with the error that estimating the sizes of the cohorts adds.

    kind : "simple", all cells from treatment on, by size of cohort; "dynamic", by time since treatment (cells before
    treatment are placebos, left out of the overall mean of the elements); "group", by cohort, then by size of cohort;
    "calendar", by time, then their mean. As R did's aggte.

    Raises DesignError on another kind.
    Source: Callaway and Sant'Anna (2021), section 3, and its corollary 2 for the influence functions.
    """
    if kind not in KINDS:
        raise DesignError(f"kind is {kind!r}", remedy=f"choose among {', '.join(KINDS)}")
    cohort, time = (effects.cells[name].to_numpy() for name in ("cohort", "time"))
    groups, place = np.unique(cohort, return_inverse=True)
    size = np.array([effects.weights[effects.cohorts == group].sum() for group in groups]) / effects.n_units
    labels, member = _members(kind, cohort, time)
    # (1 + m or m, k) weights of the cells, and their derivatives in the sizes through (effect − mean).
    by_size = np.ones_like(member, dtype=float) * (1.0 if kind == "group" else size[place])
    mass = member * by_size
    weight = mass / mass.sum(axis=1, keepdims=True)
    estimates = weight @ effects.estimates
    slope = np.zeros((len(member), len(groups)))
    if kind != "group":
        excess = member * (effects.estimates - estimates[:, None]) / mass.sum(axis=1, keepdims=True)
        np.add.at(slope.T, place, excess.T)
    if kind != "simple":
        average = np.where(labels >= 0, 1.0, 0.0) if kind == "dynamic" else np.ones(len(labels))
        average = size / size.sum() if kind == "group" else average / average.sum()
        overall = average @ estimates
        own = (estimates - overall) / size.sum() if kind == "group" else average @ slope
        estimates, slope = np.append(overall, estimates), np.vstack([own, slope])
        weight = np.vstack([average @ weight, weight])
    return _aggregated(effects, kind, labels, estimates, weight, slope, groups)


def _members(kind: str, cohort: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the elements, and which cells (m, k) each averages; "simple" has one row and no label."""
    after = time >= cohort
    if kind == "simple":
        return np.empty(0, dtype=int), after[None, :]
    key = {"dynamic": time - cohort, "group": cohort, "calendar": time}[kind]
    labels = np.unique(key if kind == "dynamic" else key[after])
    member = key == labels[:, None]
    return labels, member if kind == "dynamic" else member & after


def _aggregated(effects, kind, labels, estimates, weight, slope, groups) -> AggregatedEffects:
    late = np.flatnonzero(np.isfinite(effects.cohorts))
    by_effect = weight @ effects.influence.T
    by_effect[:, late] += slope[:, np.searchsorted(groups, effects.cohorts[late])] * effects.weights[late]
    influence = by_effect.T
    sums = cluster_sums(influence, effects.clusters, effects.n_clusters)
    covariance = sums.T @ sums / effects.n_units**2
    held = clusters_by_cohort(effects.clusters, effects.cohorts, groups, effects.n_clusters)
    entering = (weight != 0) @ (effects.cells["cohort"].to_numpy()[:, None] == groups)
    counts = (entering.astype(float) @ held.T > 0).sum(axis=1)
    valid = counts >= FEWEST_TREATED_CLUSTERS
    if kind in ("dynamic", "calendar"):
        valid[0] = valid[1:][labels >= 0].all() if kind == "dynamic" else valid[1:].all()
    errors = errors_or_none(covariance, valid)
    reasons = [None if one else TOO_FEW for one in valid]
    if not valid[0] and counts[0] >= FEWEST_TREATED_CLUSTERS:
        reasons[0] = BORNE_BY_FEW
    elements = effects_frame({"element": labels}, estimates[1:], errors[1:], counts[1:], reasons[1:])
    kept = (effects.clusters, effects.n_units, effects.n_clusters, int(counts[0]), valid)
    found = (float(estimates[0]), errors[0], reasons[0])
    return AggregatedEffects(kind, *found, elements, estimates, influence, covariance, *kept)


def multiplier_bands(
    effects: GroupTimeEffects | AggregatedEffects, draws: int = 999, seed: int = 0, level: float = 0.95
) -> UniformBands:
    """Bands that cover all cells, or all elements, at once with probability `level`.

    The sums of the influence functions over clusters are multiplied by Mammen's two-point weights; the critical value
    is the quantile of the greatest ratio to the error. The errors are the analytic ones, not an interquartile range of
    the draws as in R did: it is unstable with few clusters.

    Parameters
    ----------
    effects : its errors must be valid, and not 0. draws : 99 or more; seed : 0 or more; level : between 0 and 1.

    Raises DesignError where they are not, and on effects without elements ("simple").
    Source: Callaway and Sant'Anna (2021), algorithm 1; weights of Mammen (1993).
    """
    _check_bands(draws, seed, level)
    if isinstance(effects, AggregatedEffects):
        keep, frame = slice(1, None), effects.elements
    else:
        keep, frame = slice(None), effects.cells
    error = np.sqrt(np.diag(effects.covariance))[keep]
    if len(error) == 0:
        raise DesignError("a simple average has no elements", remedy="take its estimate and error")
    if not effects.errors_valid[keep].all():
        raise DesignError(TOO_FEW, where="multiplier_bands", why="each of the errors must be valid")
    if (error == 0).any():
        raise DesignError("an effect has no variation", where="multiplier_bands", remedy="drop constant outcomes")
    sums = cluster_sums(effects.influence[:, keep], effects.clusters, effects.n_clusters) / effects.n_units
    root = np.sqrt(5)
    high = np.random.default_rng(seed).random((draws, len(sums)), dtype=np.float32) > (root + 1) / (2 * root)
    ratio = sums / error
    drawn = root * (high.astype(float) @ ratio) + (1 - root) / 2 * ratio.sum(axis=0)
    critical = float(np.quantile(np.abs(drawn).max(axis=1), level))
    middle = frame["estimate"].to_numpy()
    frame = frame.assign(low=middle - critical * error, high=middle + critical * error)
    return UniformBands(critical, frame, level, draws)


def _check_bands(draws: int, seed: int, level: float) -> None:
    for name, value, least in (("draws", draws, 99), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise DesignError(f"{name} is {value!r}", why=f"it is a whole number, {least} or more")
    if not 0 < level < 1:
        raise DesignError(f"level is {level!r}", why="it is a share strictly between 0 and 1")
