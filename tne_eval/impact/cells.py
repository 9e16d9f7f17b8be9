"""A panel of units reduced to its clusters × periods: treatment reassigned to other clusters without a new regression.

With effects of units nested in clusters, everything that a regression of treated × post needs is in the weighted
cross-products, cluster by cluster, of the period dummies, covariates and outcome less their unit means
(Frisch and Waugh 1933; Lovell 1963). They are computed once; the rows of the panel are then out of the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.impact.assignments import assign
from tne_eval.impact.inference import permutation_p
from tne_eval.impact.panel_checks import (
    NOTHING,
    SHOWN,
    check_covariates,
    check_groups,
    check_movable,
    check_once,
    check_seen,
    covariate_names,
    label_places,
    nested_in,
    places_of,
    post_periods,
    treated_clusters,
)
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.results import frame_html

# Spread inside units, as a share of the size of a column, and residual share of a variance, that are rounding.
_FLAT, _EXACT = 1e-12, 1e-13
# An error below this share of the residual outcome over the regressors.
_NO_ERROR = 1e-11
# Assignments worked on together, which bounds the memory.
_BATCH = 4096


@dataclass(frozen=True, slots=True, eq=False)
class PanelCells:
    """A panel of n_units units in K clusters over T periods, unit effects taken off, reduced to cross-products.

    Attributes
    ----------
    clusters : (K,) labels, sorted; periods : (T,) sorted; stratum : (K,) codes from 0, all 0 without strata.
    treated : (K,) bool; post : (T,) 1 from the first treated period on, else 0.
    moment : (K, T + c + 1, T + c + 1) weighted cross-products of the T period dummies, the c covariates (over their
        `scale`, (c,)) and the outcome, each less its unit means.
    n, n_units : rows and units seen in two periods or more; the others say nothing and are left out.
    """

    clusters: np.ndarray
    periods: np.ndarray
    stratum: np.ndarray
    treated: np.ndarray
    post: np.ndarray
    moment: np.ndarray = field(repr=False)
    covariates: tuple[str, ...]
    scale: np.ndarray
    n: int
    n_units: int


@dataclass(frozen=True, slots=True, eq=False)
class Controls:
    """What projecting on the controls (period effects of A strata, c covariates) needs.

    inverse : (A, T, T) generalised inverses of the period dummies' cross-products; cross : (A, T, c) of dummies and
    covariates; gram : (c, c) of the covariates less the period effects; levels : period effects of all strata.
    residual : (K, T + c) cross-products of dummies and covariates with the residual outcome, by cluster.
    least_error : what is rounding in an error of treated × post.
    """

    inverse: np.ndarray
    cross: np.ndarray
    gram: np.ndarray
    levels: int
    residual: np.ndarray
    least_error: float


@dataclass(frozen=True, slots=True, eq=False)
class Reassignments:
    """What `reassign_treatment` gives on S assignments of the treatment to K clusters, the observed one first.

    Attributes
    ----------
    coefficients : (S,) of treated × post; cluster_t : (S,) over the CR1 error by cluster.
    p : share of the assignments whose coefficient is at least as far from 0 as the observed one; p_studentised : the
        same of cluster_t.
    assignments : (S, K) bool, which of `clusters` (K,) are treated; exact : whether these are all there are.
    """

    coefficients: np.ndarray = field(repr=False)
    cluster_t: np.ndarray = field(repr=False)
    p: float
    p_studentised: float
    assignments: np.ndarray = field(repr=False)
    clusters: np.ndarray = field(repr=False)
    exact: bool

    def to_frame(self) -> pd.DataFrame:
        """One row per assignment: treated (labels joined by commas), coefficient, cluster_t."""
        labels = self.clusters.astype(str)
        treated = [", ".join(labels[row]) for row in self.assignments]
        return pd.DataFrame({"treated": treated, "coefficient": self.coefficients, "cluster_t": self.cluster_t})

    def _repr_html_(self) -> str:
        return frame_html(self)


def reassign_treatment(
    frame: pd.DataFrame,
    outcome: str,
    unit: str,
    time: str,
    cluster: str,
    treated: Sequence[object],
    first_treated: object,
    assignments: ArrayLike | None = None,
    covariates: Sequence[str] | None = None,
    weight: str | None = None,
    strata: str | None = None,
    *,
    draws: int = 9_999,
    seed: int = 0,
) -> Reassignments:
    """Coefficient of treated × post and its clustered t for every assignment of the treatment, exactly.

    The regression is that of outcome on treated × post, effects of units and of periods, and covariates, weighted and
    not necessarily balanced; each assignment gives the same numbers as the regression done anew.

    Parameters
    ----------
    frame to strata : as in `difference_in_differences`.
    assignments : (S, m) labels of the clusters treated in each assignment, `treated` itself in the first row; None for
        all that treat as many clusters (in each stratum), up to 100,000, beyond which `draws` are taken at random by
        `seed` beside the observed one.

    CR1 has the factor G / (G − 1) × (n − 1) / (n − k) for G clusters, with k regressors and period effects: unit
    effects are nested in clusters and not counted. Permutation of the coefficient: Fisher (1935), MacKinnon and Webb
    (2020); of the t: Janssen (1997), Young (2019).

    Raises DesignError: what `difference_in_differences` refuses, assignments of unknown or repeated clusters, and
    clusters without a period before or after, which could not have been treated.
    """
    cells = panel_cells(frame, outcome, unit, time, cluster, treated, first_treated, covariates, weight, strata)
    return reassign_cells(cells, assignments, draws=draws, seed=seed)


def reassign_cells(
    cells: PanelCells, assignments: ArrayLike | None = None, *, draws: int = 9_999, seed: int = 0
) -> Reassignments:
    """`reassign_treatment` on a panel already reduced: the `cells` of `difference_in_differences`, say."""
    chosen, exact = _chosen(cells, assignments, draws, seed)
    check_movable(cells.moment, cells.post, cells.clusters, chosen.any(axis=0))
    built = controls(cells)
    coefficients, errors = reassigned(cells, built, chosen)
    if (errors <= built.least_error).any():
        raise DesignError(
            "the clustered error is 0 in some assignment",
            why=f"{len(cells.clusters)} clusters leave nothing to vary, or the outcome is fitted exactly",
            remedy="take more clusters",
        )
    t = coefficients / errors
    return Reassignments(coefficients, t, permutation_p(coefficients), permutation_p(t), chosen, cells.clusters, exact)


def panel_cells(
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
) -> PanelCells:
    """Check a panel and reduce it to the cross-products of its clusters; see `difference_in_differences`."""
    names = covariate_names(frame, outcome, unit, time, cluster, covariates, weight, strata)
    values = {f"column {name!r}": frame[name] for name in (*names, outcome)}
    *values, used = weighted_arrays(None if weight is None else frame[weight], **values)
    keep = slice(None) if len(used) == len(frame) else frame[weight].to_numpy(dtype=float) > 0
    unit_code, units = label_places(frame, unit, keep, ordered=False)
    time_code, periods = label_places(frame, time, keep)
    cluster_code, clusters = label_places(frame, cluster, keep)
    of_unit = nested_in(cluster_code, unit_code, units, clusters, unit, cluster)
    check_once(unit_code, time_code, units, periods, unit, time)
    stratum, labels = np.zeros(len(clusters), dtype=np.intp), clusters[:1]
    if strata is not None:
        stratum_code, labels = label_places(frame, strata, keep)
        stratum = nested_in(stratum_code, cluster_code, clusters, labels, cluster, strata)
    post = post_periods(periods, first_treated)
    chosen = treated_clusters(clusters, treated)
    check_groups(chosen, stratum, labels)
    seen = np.zeros((len(clusters), len(periods)), dtype=bool)
    seen[cluster_code, time_code] = True
    check_seen(seen, chosen, post, clusters, periods)
    order = np.argsort(of_unit, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    where = place[unit_code] * len(periods) + time_code
    moment, scale, n, n_units = _moments(where, np.column_stack(values), used, of_unit[order], len(periods))
    cells = PanelCells(clusters, periods, stratum, chosen, post.astype(float), moment, names, scale, n, n_units)
    check_movable(moment, cells.post, clusters, chosen)
    # A cluster whose units are all seen once says nothing.
    return keep_clusters(cells, np.einsum("kii->k", moment) > 0, chosen)


def keep_clusters(cells: PanelCells, kept: np.ndarray, treated: np.ndarray) -> PanelCells:
    """The clusters `kept` (K,) bool alone, of which `treated` (K,) bool are; n and n_units stay those of the panel."""
    stratum = np.unique(cells.stratum[kept], return_inverse=True)[1]
    return replace(
        cells,
        clusters=cells.clusters[kept],
        stratum=stratum,
        treated=treated[kept],
        moment=cells.moment[kept],
    )


def _moments(
    where: np.ndarray, values: np.ndarray, weight: np.ndarray, of_unit: np.ndarray, periods: int
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Cross-products by cluster, scale of the covariates, rows and units seen twice or more.

    where : (n,) place in the table of units × periods, units being grouped by cluster, whose codes are of_unit;
    values : (n, c + 1) covariates and outcome.
    """
    units, width = len(of_unit), values.shape[1]
    table = np.zeros((units, periods))
    table.ravel()[where] = weight
    total = table.sum(axis=1)
    unit = where // periods
    means = np.stack([np.bincount(unit, weight * column, units) / total for column in values.T], axis=1)
    centred = values - means[unit]
    scale = np.sqrt(weight @ centred**2 / weight.sum())
    flat = scale <= _FLAT * np.sqrt(weight @ values**2 / weight.sum())
    if flat[-1]:
        raise DesignError("the outcome does not vary in time within units", remedy="take an outcome that changes")
    centred[:, flat], scale[flat] = 0, 1
    scale = scale[:-1]
    centred[:, :-1] /= scale
    root = np.sqrt(weight)
    scaled = np.zeros((units * periods, width))
    scaled[where] = root[:, None] * centred
    scaled = scaled.reshape(units, periods, width)
    root_table = np.sqrt(table)
    ends = np.cumsum(np.bincount(of_unit))
    moment = np.zeros((len(ends), periods + width, periods + width))
    for block, start, end in zip(moment, np.r_[0, ends[:-1]], ends, strict=True):
        rows, own = table[start:end], scaled[start:end]
        block[:periods, :periods] = np.diag(rows.sum(axis=0)) - (rows / total[start:end, None]).T @ rows
        block[:periods, periods:] = np.einsum("ut,utv->tv", root_table[start:end], own)
        block[periods:, :periods] = block[:periods, periods:].T
        flat = own.reshape(-1, width)
        block[periods:, periods:] = flat.T @ flat
    times = np.bincount(unit, minlength=units)
    return moment, scale, int(times[times > 1].sum()), int((times > 1).sum())


def controls(cells: PanelCells) -> Controls:
    """Factor the controls once; raises DesignError on covariates that effects or other covariates determine."""
    periods, c = len(cells.periods), len(cells.covariates)
    held = np.zeros((cells.stratum.max() + 1, *cells.moment.shape[1:]))
    np.add.at(held, cells.stratum, cells.moment)
    time = held[:, :periods, :periods]
    inverse = np.linalg.pinv(time, rcond=1e-11, hermitian=True)
    cross = held[:, :periods, periods:-1]
    full = held.sum(axis=0)[periods:-1, periods:-1]
    gram = full - np.einsum("atc,atu,aud->cd", cross, inverse, cross)
    if c:
        check_covariates(gram, full, cells.covariates)
    size = np.einsum("att->at", time)
    built = Controls(inverse, cross, gram, int((size > NOTHING * size.max()).sum()), np.empty(0), 0.0)
    of_outcome = held[:, :periods, -1], held.sum(axis=0)[periods:-1, -1]
    of_time, of_covariate = project(built, *of_outcome)
    own = np.concatenate([of_time[cells.stratum], np.broadcast_to(of_covariate, (len(cells.clusters), c))], axis=1)
    square = held[:, -1, -1].sum()
    left = square - (of_time * of_outcome[0]).sum() - of_covariate @ of_outcome[1]
    if left <= _EXACT * square:
        raise DesignError("effects and covariates fit the outcome exactly", why="nothing is left to compare")
    residual = cells.moment[:, :-1, -1] - np.einsum("kij,kj->ki", cells.moment[:, :-1, :-1], own)
    return replace(built, residual=residual, least_error=_NO_ERROR * float(np.sqrt(left / size.sum())))


def project(built: Controls, time: np.ndarray, covariate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients on the controls of a column with cross-products time (..., A, T) and covariate (..., c)."""
    of_time = _by_stratum(built.inverse, time)
    if not len(built.gram):
        return of_time, covariate
    left = covariate - np.tensordot(of_time, built.cross, axes=2)
    of_covariate = np.linalg.solve(built.gram, left[..., None])[..., 0]
    shared = built.inverse @ built.cross
    return of_time - np.tensordot(of_covariate, shared, axes=(-1, -1)), of_covariate


def _by_stratum(matrices: np.ndarray, time: np.ndarray) -> np.ndarray:
    """(..., A, T): each stratum's symmetric matrix (T, T) applied to its part of time."""
    first = np.moveaxis(time, -2, 0)
    turned = first.reshape(len(matrices), -1, time.shape[-1]) @ matrices
    return np.moveaxis(turned.reshape(first.shape), 0, -2)


def reassigned(cells: PanelCells, built: Controls, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S,) coefficients of treated × post and (S,) CR1 errors for the assignments (S, K) bool."""
    parts = [
        _reassigned(cells, built, part.astype(float)) for part in np.array_split(chosen, -(-len(chosen) // _BATCH))
    ]
    coefficients, variance = (np.concatenate(one) for one in zip(*parts, strict=True))
    return coefficients, cr1_factor(cells, built) * np.sqrt(variance)


def cr1_factor(cells: PanelCells, built: Controls) -> float:
    """Root of G / (G − 1) × (n − 1) / (n − k)."""
    clusters, k = len(cells.clusters), 1 + len(cells.covariates) + built.levels
    if cells.n <= k:
        raise DesignError(f"{cells.n} rows for {k} regressors and period effects", remedy="take fewer of them")
    return float(np.sqrt(clusters / (clusters - 1) * (cells.n - 1) / (cells.n - k)))


def _reassigned(cells: PanelCells, built: Controls, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and sums of squared cluster scores over (r'r)².

    In cluster g the regressor less its projection is θ = chosen_g P − h on (dummies, covariates), with h the
    coefficients of the projection: its products are θ'u_g with the residual outcome and θ'M_g θ with itself.
    """
    periods = len(cells.periods)
    moment = cells.moment[:, :-1, :-1]
    along = moment[:, :, :periods] @ cells.post
    own = along[:, :periods] @ cells.post
    strata = range(len(built.inverse))
    member = np.eye(len(strata))[cells.stratum]
    time = np.einsum("ka,kt->kat", member, along[:, :periods]).reshape(len(along), -1)
    time = (chosen @ time).reshape(len(chosen), len(strata), periods)
    of_time, of_covariate = project(built, time, chosen @ along[:, periods:])
    held = chosen @ own - np.einsum("sat,sat->s", of_time, time) - (of_covariate * (chosen @ along[:, periods:])).sum(1)
    if (held <= NOTHING * (chosen @ own)).any():
        raise DesignError(
            "the controls determine treated × post in some assignment",
            why="covariates or the periods of the units leave nothing of it",
            remedy="drop the covariate that follows the treatment",
        )
    straight = chosen @ (built.residual[:, :periods] @ cells.post)
    coefficients = straight / held
    variance = np.zeros(len(chosen))
    upper = np.triu_indices(moment.shape[1])
    twice = np.where(upper[0] == upper[1], 1.0, 2.0)
    for stratum in strata:
        here = cells.stratum == stratum
        h = np.hstack([of_time[:, stratum], of_covariate])
        given = chosen[:, here]
        square = (h[:, upper[0]] * h[:, upper[1]] * twice) @ moment[here][:, upper[0], upper[1]].T
        square += given * (own[here] - 2 * h @ along[here].T)
        score = given * (built.residual[here, :periods] @ cells.post) - h @ built.residual[here].T
        score -= coefficients[:, None] * square
        variance += (score**2).sum(axis=1)
    return coefficients, variance / held**2


def projected_treatment(cells: PanelCells, built: Controls) -> tuple[np.ndarray, float]:
    """(K, T + c) coefficients θ of treated × post less its projection on the dummies and covariates; its square."""
    periods = len(cells.periods)
    along = cells.treated[:, None] * (cells.moment[:, :-1, :periods] @ cells.post)
    time = np.zeros(built.inverse.shape[:2])
    np.add.at(time, cells.stratum, along[:, :periods])
    of_time, of_covariate = project(built, time, along[:, periods:].sum(axis=0))
    theta = -np.concatenate([of_time[cells.stratum], np.tile(of_covariate, (len(along), 1))], axis=1)
    theta[:, :periods] += np.outer(cells.treated, cells.post)
    held = np.einsum("ki,kij,kj->", theta, cells.moment[:, :-1, :-1], theta, optimize=True)
    return theta, float(held)


def _chosen(cells: PanelCells, assignments: ArrayLike | None, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """(S, K) bool assignments, the observed one first, and whether they are all there are."""
    if assignments is None:
        if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 1:
            raise DesignError(f"draws is {draws!r}", why="a whole number of 1 or more is needed")
        made = assign(cells.stratum, cells.treated, draws=draws, seed=seed)
        return made.contrasts > 0, made.exact
    table = np.asarray(assignments, dtype=object)
    if table.ndim != 2 or not table.size:
        raise DesignError(f"assignments have shape {table.shape}", why="(assignments, treated clusters) is needed")
    code = places_of(cells.clusters, table.ravel()).reshape(table.shape)
    if (code < 0).any():
        unknown = list(dict.fromkeys(table[code < 0]))[:SHOWN]
        raise DesignError("assignments name clusters that are not in the data", where=", ".join(map(str, unknown)))
    chosen = np.zeros((len(table), len(cells.clusters)), dtype=bool)
    np.put_along_axis(chosen, code, True, axis=1)
    if (chosen.sum(axis=1) < table.shape[1]).any():
        raise DesignError("an assignment names a cluster twice")
    if (chosen[0] != cells.treated).any():
        raise DesignError("the first assignment is not the observed one", remedy="put the treated clusters first")
    return chosen, False
