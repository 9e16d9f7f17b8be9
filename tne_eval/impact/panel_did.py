"""Difference-in-differences and event study of a panel of units whose clusters are treated from one period on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from tne_eval.errors import DesignError
from tne_eval.impact.assignments import assign
from tne_eval.impact.cells import Controls, PanelCells, controls, keep_clusters, panel_cells, project, reassigned
from tne_eval.impact.cluster_robust import robust_fit, student_interval
from tne_eval.impact.inference import placebo_reference
from tne_eval.results import frame_html

# Treated, and control, clusters from which the size of CR2 with Satterthwaite degrees of freedom was measured.
FEWEST_CLUSTERS = 6
# Smallest eigenvalue, as a share of the largest, of the cross-products of coefficients that are determined.
_SINGULAR = 1e-10
_BATCH = 512


@dataclass(frozen=True, slots=True, eq=False)
class PanelDid:
    """What `difference_in_differences` gives.

    Attributes
    ----------
    estimate : coefficient of treated × post, in the unit of the outcome.
    error, df, t, p : CR2 error by cluster, Satterthwaite degrees of freedom, and what follows; None with fewer than six
        treated or six control clusters, for the `reason` given (None otherwise).
    n, n_units : rows and units seen in two periods or more; n_clusters, n_treated_clusters.
    cells : the panel reduced to its clusters, for `reassign_cells` and `wild_cluster_bootstrap`.
    """

    estimate: float
    error: float | None
    df: float | None
    t: float | None
    p: float | None
    reason: str | None
    n: int
    n_units: int
    n_clusters: int
    n_treated_clusters: int
    cells: PanelCells = field(repr=False)

    def interval(self, level: float = 0.95) -> np.ndarray | None:
        """(2,) ends of the interval by Student's law; None without an error."""
        if self.error is None:
            return None
        return student_interval(np.float64(self.estimate), np.float64(self.error), self.df, level)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row: estimate, error, df, t, p, low, high, n, n_units, n_clusters, n_treated_clusters, reason."""
        low, high = (None, None) if self.error is None else self.interval(level)
        names = ("estimate", "error", "df", "t", "p", "n", "n_units", "n_clusters", "n_treated_clusters", "reason")
        row = {name: getattr(self, name) for name in names}
        return pd.DataFrame([{**row, "low": low, "high": high}])

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class EventStudy:
    """What `event_study` gives on the k periods other than the base.

    Attributes
    ----------
    periods : (k,) sorted; estimates : (k,) treated less controls, change since period `base`; n_pre : how many of the
        periods come before the treatment.
    covariance : (k, k), by `covariance_from`: "CR2" by cluster, or "placebos", that of the same estimates over
        reassignments of the treatment among control clusters. errors : (k,) roots of its diagonal.
    df : (k,) Satterthwaite degrees of freedom, None with placebos; placebos : (S, k), None with CR2.
    n, n_units, n_clusters, n_treated_clusters : as in PanelDid.
    """

    periods: np.ndarray
    estimates: np.ndarray
    covariance: np.ndarray = field(repr=False)
    covariance_from: str
    errors: np.ndarray
    df: np.ndarray | None
    placebos: np.ndarray | None = field(repr=False)
    base: object
    n_pre: int
    n: int
    n_units: int
    n_clusters: int
    n_treated_clusters: int

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per period: period, estimate, error, p, low, high, by Student's law or rank among the placebos."""
        p, low, high = _event_bands(self, level)
        columns = {"period": self.periods, "estimate": self.estimates, "error": self.errors}
        return pd.DataFrame({**columns, "p": p, "low": low, "high": high})

    def _repr_html_(self) -> str:
        return frame_html(self)


def difference_in_differences(
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
) -> PanelDid:
    """Effect of a treatment that whole clusters receive from one period on, with effects of units and of periods.

    Parameters
    ----------
    frame : one row for each unit and period that was observed, balanced or not; the others are columns of it.
    outcome : numbers, none missing. unit, time : one row for each pair; periods in sorted order, of one kind.
    cluster : the same in all rows of a unit (département of a school). treated : labels of the treated clusters.
    first_treated : period from which they are treated. covariates : numbers that vary in time.
    weight : zero or more; rows of zero weight are left out. strata : the same in all rows of a cluster (académie);
        gives each stratum period effects of its own, in place of common ones.

    Returns
    -------
    PanelDid, whose CR2 error is that of the regression with a dummy for each unit, of √weight × rows where there are
    weights (working model: variance 1 / weight; see `cluster_robust`). With fewer than six treated clusters there is no
    error: ordinary clustered errors reject a true null a third of the time with two (Conley and Taber 2011; MacKinnon
    and Webb 2018). Use `reassign_cells` on its `cells`.

    Raises DesignError: absent columns, missing or infinite values, a unit twice in a period or in two clusters, a
    cluster in two strata, treated clusters that are unknown or not seen in each treated period and in one before, no
    period before or after, a stratum with only treated clusters, covariates that effects determine.
    """
    cells = panel_cells(frame, outcome, unit, time, cluster, treated, first_treated, covariates, weight, strata)
    built = controls(cells)
    estimate = float(reassigned(cells, built, cells.treated[None])[0][0])
    counts = cells.n, cells.n_units, len(cells.clusters), int(cells.treated.sum())
    if (reason := too_few(cells)) is not None:
        return PanelDid(estimate, None, None, None, None, reason, *counts, cells)
    _, covariance, df = _robust(cells, cells.post[:, None], ["treated × post"])
    error, df = float(np.sqrt(covariance[0, 0])), float(df[0])
    t = estimate / error
    return PanelDid(estimate, error, df, t, float(2 * stats.t.sf(abs(t), df)), None, *counts, cells)


def event_study(
    frame: pd.DataFrame,
    outcome: str,
    unit: str,
    time: str,
    cluster: str,
    treated: Sequence[object],
    first_treated: object,
    base: object = None,
    covariates: Sequence[str] | None = None,
    weight: str | None = None,
    strata: str | None = None,
    *,
    draws: int = 9_999,
    seed: int = 0,
) -> EventStudy:
    """Treated less controls in each period, as the change since a base period, with the full covariance.

    Parameters
    ----------
    frame to strata : as in `difference_in_differences`. base : a period before the treatment, None for the last one.
    draws, seed : of the placebos, where there are more than 100,000.

    Returns
    -------
    EventStudy. With six treated and six control clusters or more the covariance is CR2, as in
    `difference_in_differences`; with fewer it is that of the same estimates when as many control clusters (of each
    stratum) are taken for the treated ones, which are left out: all choices of them, or `draws` random ones. It
    supposes that treated and control clusters vary alike (Conley and Taber 2011). With fewer treated clusters than
    periods, a CR2 covariance knows some combinations of the estimates from the control clusters alone. For
    `honest_did`, leave base as it is.

    Raises DesignError: what `difference_in_differences` refuses, a base that is no period before the treatment, a
    period whose estimate is not determined, too few controls for placebos.
    """
    cells = panel_cells(frame, outcome, unit, time, cluster, treated, first_treated, covariates, weight, strata)
    built = controls(cells)
    others, base = _others(cells, base)
    periods = cells.periods[others]
    estimates = event_estimates(cells, built, cells.treated[None], others)[0]
    if too_few(cells) is None:
        names = [f"{time} {period}" for period in periods]
        _, covariance, df = _robust(cells, np.eye(len(cells.periods))[:, others], names)
        source, placebos = "CR2", None
    else:
        placebos = _placebos(cells, others, draws, seed)
        covariance, df, source = np.cov(placebos.T, ddof=0).reshape(len(periods), -1), None, "placebos"
    n_pre = int((cells.post[others] == 0).sum())
    counts = cells.n, cells.n_units, len(cells.clusters), int(cells.treated.sum())
    errors = np.sqrt(np.diag(covariance))
    return EventStudy(periods, estimates, covariance, source, errors, df, placebos, base, n_pre, *counts)


def too_few(cells: PanelCells) -> str | None:
    """Why no clustered error is given; None with enough treated and control clusters."""
    counts = int(cells.treated.sum()), int((~cells.treated).sum())
    for count, name in zip(counts, ("treated", "control"), strict=True):
        if count < FEWEST_CLUSTERS:
            return (
                f"{count} {name} clusters, {FEWEST_CLUSTERS} are needed: clustered errors with two treated clusters "
                "reject a true null a third of the time (Conley and Taber 2011; MacKinnon and Webb 2018); "
                "use reassign_cells"
            )
    return None


def event_estimates(cells: PanelCells, built: Controls, chosen: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(S, k) coefficients of treated × period, the periods `others` (k,), for assignments (S, K) bool."""
    parts = np.array_split(chosen.astype(float), -(-len(chosen) // _BATCH))
    return np.concatenate([_event_estimates(cells, built, part, others) for part in parts])


def _event_estimates(cells: PanelCells, built: Controls, chosen: np.ndarray, others: np.ndarray) -> np.ndarray:
    periods, strata = len(cells.periods), len(built.inverse)
    moment = cells.moment[:, others, :-1]
    shape = len(chosen), len(others), -1
    inside = [chosen * (cells.stratum == stratum) for stratum in range(strata)]
    flat = moment[:, :, :periods].reshape(len(moment), -1)
    time = np.stack([(part @ flat).reshape(*shape[:2], periods) for part in inside], axis=2)
    covariate = (chosen @ moment[:, :, periods:].reshape(len(moment), -1)).reshape(*shape[:2], len(cells.covariates))
    of_time, of_covariate = project(built, time, covariate)
    full = time.sum(axis=2)[:, :, others]
    flat_time = time.reshape(*shape[:2], -1)
    left = full - of_time.reshape(flat_time.shape) @ flat_time.transpose(0, 2, 1)
    left = left - of_covariate @ covariate.transpose(0, 2, 1)
    value, vector = np.linalg.eigh(left)
    if (lost := value[:, 0] <= _SINGULAR * value[:, -1]).any():
        weak = np.abs(vector[lost][0][:, 0])
        raise DesignError(
            "the estimate of a period is not determined",
            where=", ".join(map(str, cells.periods[others][weak > 0.1 * weak.max()])),
            why="in these periods, or in the base, treated clusters (or placebos) are not seen, or their controls",
            remedy="leave the period out of the panel, or take another base",
        )
    right = chosen @ built.residual[:, others]
    turned = np.einsum("sij,si->sj", vector, right)
    return np.einsum("sij,sj->si", vector, turned / value)


def _others(cells: PanelCells, base: object) -> tuple[np.ndarray, object]:
    """Places of the periods other than the base, and the base."""
    before = cells.periods[cells.post == 0]
    base = before[-1] if base is None else base
    place = np.flatnonzero(cells.periods == base)
    if len(place) != 1 or cells.post[place[0]]:
        raise DesignError(
            f"base {base!r} is not a period before the treatment", remedy=f"choose among {', '.join(map(str, before))}"
        )
    if len(cells.periods) < 3:
        raise DesignError("two periods make no event study", remedy="use difference_in_differences")
    return np.delete(np.arange(len(cells.periods)), place), base


def _placebos(cells: PanelCells, others: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """(S, k) estimates when as many control clusters of each stratum are taken for the treated ones, those left out."""
    count = np.bincount(cells.stratum, cells.treated)
    spare = np.bincount(cells.stratum, ~cells.treated) - count
    if (spare[count > 0] < 1).any():
        raise DesignError(
            "too few control clusters for placebos",
            why="as many as are treated are taken for treated (in each stratum), and one or more must be left",
            remedy="merge strata, or widen the comparison group",
        )
    chosen = np.zeros_like(cells.treated)
    for stratum in np.flatnonzero(count):
        chosen[np.flatnonzero(~cells.treated & (cells.stratum == stratum))[: int(count[stratum])]] = True
    left = keep_clusters(cells, ~cells.treated, chosen)
    made = assign(left.stratum, left.treated, draws=draws, seed=seed)
    if len(made.contrasts) <= len(others):
        raise DesignError(
            f"{len(made.contrasts)} placebos for {len(others)} periods",
            why="their covariance would be singular",
            remedy="widen the comparison group, leave strata out, or take fewer periods",
        )
    return event_estimates(left, controls(left), made.contrasts > 0, others)


def _robust(cells: PanelCells, columns: np.ndarray, names: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, CR2 covariance and degrees of freedom of treated × `columns` (T, k).

    CR2 does not change when the rows of a cluster are turned (residual covariance 1 stays 1): each cluster is replaced
    by a root of its cross-products, T + c + 1 rows, which gives the numbers of the whole panel.
    """
    periods, width = len(cells.periods), cells.moment.shape[1]
    size = np.sqrt(np.einsum("kii->i", cells.moment))
    size[size == 0] = 1
    value, vector = np.linalg.eigh(cells.moment / np.outer(size, size))
    rows = np.sqrt(np.maximum(value, 0))[:, :, None] * vector.transpose(0, 2, 1) * size
    design = np.concatenate(
        [cells.treated[:, None, None] * (rows[..., :periods] @ columns), rows[..., periods:-1]], axis=2
    )
    effects = []
    for stratum in range(cells.stratum.max() + 1):
        here = cells.stratum == stratum
        spread, basis = np.linalg.eigh(cells.moment[here, :periods, :periods].sum(axis=0))
        kept = spread > _SINGULAR * spread[-1]
        effects.append(here[:, None, None] * (rows[..., :periods] @ (basis[:, kept] / np.sqrt(spread[kept]))))
    effects = np.concatenate(effects, axis=2).reshape(len(rows) * width, -1)
    design, code = design.reshape(len(effects), -1), np.repeat(np.arange(len(rows)), width)
    names = [*names, *cells.covariates]
    found = robust_fit(design, rows[..., -1].ravel(), code, names, cells.clusters, None, "CR2", effects)
    k = columns.shape[1]
    return found[0][:k], found[1][:k, :k], found[2][:k]


def _event_bands(study: EventStudy, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p, low and high for each period."""
    if study.placebos is None:
        low, high = student_interval(study.estimates, study.errors, study.df, level).T
        return 2 * stats.t.sf(np.abs(study.estimates / study.errors), study.df), low, high
    student_interval(study.estimates, study.errors, 1.0, level)
    pairs = zip(study.placebos.T, study.estimates, strict=True)
    p, low, high, _ = zip(*(placebo_reference(*pair, alpha=1 - level) for pair in pairs), strict=True)
    return np.array(p), np.array(low), np.array(high)
