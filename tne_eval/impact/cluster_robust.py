"""Cluster-robust covariance of least squares (CR1, CR2, CR3) with Satterthwaite degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.linalg import solve_triangular

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.groups import label_codes, named_columns, numbers
from tne_eval.results import frame_html

KINDS = ("CR1", "CR2", "CR3")
# A column nearer than this share of its length to the span of those before it is a combination of them.
_DEPENDENT = 1e-9
# Eigenvalues of a residual covariance (1 without leverage) that are taken for 0; clubSandwich takes 1e-12.
_SINGULAR = 1e-12
# An error below this share of what the outcome could give is rounding: the coefficient has no sampling variation.
_NO_ERROR = 1e-13
# A share of a coefficient's variance that CR2 may miss: all of what comes from a cluster of leverage 1 is missed.
_MISSED = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ClusterRobust:
    """What `cluster_robust` gives on k regressors.

    Attributes
    ----------
    names : k texts. coefficients, errors, df, t, p : (k,), p two-sided by Student's law with `df` degrees of freedom.
    covariance : (k, k). kind : CR1, CR2 or CR3. n : rows of positive weight; n_clusters : their clusters.
    """

    names: tuple[str, ...]
    coefficients: np.ndarray
    covariance: np.ndarray = field(repr=False)
    errors: np.ndarray
    df: np.ndarray
    t: np.ndarray
    p: np.ndarray
    kind: str
    n: int
    n_clusters: int

    def interval(self, level: float = 0.95) -> np.ndarray:
        """(k, 2) ends of the interval by Student's law; raises DesignError on a level outside 0-1."""
        return student_interval(self.coefficients, self.errors, self.df, level)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per regressor: name, estimate, error, df, t, p, low, high."""
        low, high = self.interval(level).T
        columns = {"estimate": self.coefficients, "error": self.errors, "df": self.df, "t": self.t, "p": self.p}
        return pd.DataFrame({"name": self.names, **columns, "low": low, "high": high})

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class TwoGroups:
    """What `two_group_cr2` gives on one outcome (scalars) or on `draws` of them.

    Attributes
    ----------
    estimate, error, t, p : (draws,) or scalars; df : degrees of freedom, the same for all; n_treated, n_control.
    """

    estimate: np.ndarray
    error: np.ndarray
    df: float
    t: np.ndarray
    p: np.ndarray
    n_treated: int
    n_control: int

    def interval(self, level: float = 0.95) -> np.ndarray:
        """(..., 2) ends of the interval by Student's law; raises DesignError on a level outside 0-1."""
        return student_interval(self.estimate, self.error, self.df, level)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per outcome: estimate, error, df, t, p, low, high."""
        ends = np.atleast_2d(self.interval(level))
        columns = {"estimate": self.estimate, "error": self.error, "df": self.df, "t": self.t, "p": self.p}
        columns = {name: np.broadcast_to(column, len(ends)) for name, column in columns.items()}
        return pd.DataFrame({**columns, "low": ends[:, 0], "high": ends[:, 1]})

    def _repr_html_(self) -> str:
        return frame_html(self)


def cluster_robust(
    design: pd.DataFrame | ArrayLike,
    outcome: ArrayLike,
    cluster: ArrayLike,
    weight: ArrayLike | None = None,
    kind: str = "CR2",
) -> ClusterRobust:
    """Least squares with a covariance robust to any dependence inside clusters.

    Parameters
    ----------
    design : (n, k), with the constant if there is one; names of the columns of a frame are kept.
    outcome, cluster : (n,); weight : (n,), zero or more, None for ordinary least squares. Rows of zero weight are left
        out. The scale of the weights does not matter.
    kind : CR1, residuals × √(G / (G − 1)) for G clusters; CR2, unbiased where the outcomes are independent with one
        variance (Bell and McCaffrey 2002); CR3, leaving out one cluster at a time, no factor (G − 1) / G.

    Returns
    -------
    ClusterRobust; degrees of freedom of each coefficient by Satterthwaite's approximation under the same working model,
    independent outcomes of one variance whatever the weights (Pustejovsky and Tipton 2018, equation 11), which is the
    default of R's clubSandwich.

    Effects of units nested in clusters may be taken off outcome and design beforehand: without weights, CR2 and its
    degrees of freedom are those of the design with a dummy for each unit (theorem 2 there). With weights, give the
    residuals × √weight and no weight: that is CR2 of the regression of √weight × outcome on √weight × design and
    dummies, whose working model is a variance of 1 / weight.

    Raises DesignError: shapes, missing or infinite values, an unknown kind, fewer than two clusters, columns that are
    combinations of those before them (named), coefficients of one cluster alone (named: CR2 misses their variance and
    CR3 does not exist), an outcome that the design fits exactly.
    """
    if kind not in KINDS:
        raise DesignError(f"kind is {kind!r}", remedy=f"choose among {', '.join(KINDS)}")
    names, columns = named_columns(design, "regressor")
    if not names:
        raise DesignError("the design has no column")
    size = np.size(outcome)
    *columns, outcome, used = weighted_arrays(weight, **columns, outcome=outcome)
    keep = slice(None) if len(outcome) == size else np.asarray(weight, dtype=float) > 0
    code, labels = label_codes(cluster, "cluster", keep, size)
    if len(labels) < 2:
        raise DesignError("fewer than two clusters", why="one cluster does not show how clusters vary")
    weight = None if used.min() == used.max() else used / used.mean()
    coefficients, covariance, df = robust_fit(np.column_stack(columns), outcome, code, names, labels, weight, kind)
    errors = np.sqrt(np.diag(covariance))
    t = coefficients / errors
    p = 2 * stats.t.sf(np.abs(t), df)
    return ClusterRobust(
        tuple(names), coefficients, covariance, errors, df, t, p, kind, len(outcome), len(labels)
    )  # fmt: skip


def two_group_cr2(change: ArrayLike, treated: ArrayLike, weight: ArrayLike | None = None) -> TwoGroups:
    """Difference of two means with its CR2 error, one observation for each cluster, for many outcomes at once.

    Parameters
    ----------
    change : (n,) or (draws, n); treated : (n,) bool; weight : (n,), above zero, of the two means.

    What `cluster_robust` gives on a constant and `treated`, in closed form: without weights the error and degrees of
    freedom are s²/n of each group, summed, and Satterthwaite's with equal variances. Bell and McCaffrey (2002).

    Raises DesignError: shapes, missing or infinite values, a group of fewer than two, an outcome that does not vary
    inside the groups.
    """
    change = numbers(change, "change")
    if change.ndim not in (1, 2) or not change.size:
        raise DesignError(f"change has shape {change.shape}", why="(n,) or (draws, n) is needed")
    if not np.isfinite(change).all():
        raise DesignError("change holds missing or infinite values", remedy="leave these clusters out")
    chosen = np.asarray(treated)
    if chosen.dtype != bool or chosen.shape != change.shape[-1:]:
        raise DesignError("treated is not one truth value for each cluster", why=f"{change.shape[-1]} are needed")
    weight = np.ones(len(chosen)) if weight is None else numbers(weight, "weight")
    if weight.shape != chosen.shape or not np.isfinite(weight).all() or (weight <= 0).any():
        raise DesignError("weight is not one number above zero for each cluster")
    if min(chosen.sum(), (~chosen).sum()) < 2:
        raise DesignError(
            f"{chosen.sum()} treated and {(~chosen).sum()} control clusters",
            why="one cluster does not show how clusters vary",
            remedy="compare with placebos",
        )
    parts = [_group_mean(change[..., group], weight[group]) for group in (chosen, ~chosen)]
    estimate = parts[0][0] - parts[1][0]
    error = np.sqrt(parts[0][1] + parts[1][1])
    scale = np.abs(change).max(axis=-1)
    if (error <= _NO_ERROR * scale).any():
        raise DesignError("the outcome does not vary inside the groups", why="no error can be computed from it")
    df = float((parts[0][2] + parts[1][2]) ** 2 / (parts[0][3] + parts[1][3]))
    t = estimate / error
    p = 2 * stats.t.sf(np.abs(t), df)
    return TwoGroups(estimate, error, df, t, p, int(chosen.sum()), int((~chosen).sum()))


def student_interval(estimate: np.ndarray, error: np.ndarray, df: np.ndarray | float, level: float) -> np.ndarray:
    """(..., 2) estimate ∓ quantile × error; raises DesignError on a level outside 0-1."""
    if not 0 < level < 1:
        raise DesignError(f"level is {level!r}", why="it is a share strictly between 0 and 1")
    reach = stats.t.ppf((1 + level) / 2, df) * error
    return np.stack([estimate - reach, estimate + reach], axis=-1)


def _group_mean(change: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Mean of a group, its CR2 variance, and the trace and squared norm of P in Satterthwaite's ratio.

    With shares ω and q = Σ ω², a residual has variance b = 1 − 2ω + q under the working model; P_ij is
    a_i a_j ([i = j] − ω_i − ω_j + q) with a = ω / √b.
    """
    share = weight / weight.sum()
    q = share @ share
    own = 1 - 2 * share + q
    a = share**2 / own
    mean = change @ share
    variance = (change - mean[..., None]) ** 2 @ a
    s0, s1, s2 = a.sum(), a @ share, a @ share**2
    norm = q**2 * s0**2 + 2 * s0 * s2 - 4 * q * s0 * s1 + 2 * s1**2 + a**2 @ (1 + 2 * (q - 2 * share))
    return mean, variance, float(q), float(norm)


def robust_fit(
    design: np.ndarray,
    outcome: np.ndarray,
    code: np.ndarray,
    names: list[str],
    labels: np.ndarray,
    weight: np.ndarray | None,
    kind: str,
    effects: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, covariance and degrees of freedom of the columns of checked arrays.

    effects : (n, r) orthonormal columns of the design, without weights, whose coefficients are not asked for.
    Regressors are taken in a basis Z of their space where Z'WZ = 1: hat matrix Z Z'W, Ω = Z'W²Z.
    """
    root = np.ones(len(outcome)) if weight is None else np.sqrt(weight)
    size = np.sqrt(((root[:, None] * design) ** 2).sum(axis=0))
    _check_rank(size, 0.0, names)
    design = root[:, None] * design / size
    if effects is not None:
        design = design - effects @ (effects.T @ design)
    basis, triangle = np.linalg.qr(design)
    if len(triangle) < len(size):
        raise DesignError(f"{len(size)} coefficients from {len(outcome)} rows", remedy="drop regressors")
    _check_rank(np.abs(np.diag(triangle)), _DEPENDENT, names)
    coefficients = solve_triangular(triangle, basis.T @ (root * outcome)) / size
    rows = solve_triangular(triangle, np.eye(len(size))).T / size
    if effects is not None:
        basis = np.hstack([basis, effects])
        rows = np.vstack([rows, np.zeros((effects.shape[1], len(size)))])
    z = basis / root[:, None]
    residual = outcome - z @ (basis.T @ (root * outcome))
    wz = z if weight is None else weight[:, None] * z
    omega = None if weight is None else wz.T @ wz
    order = np.argsort(code, kind="stable")
    ends = np.cumsum(np.bincount(code))[:-1]
    blocks = zip(*(np.split(array[order], ends) for array in (z, wz, residual)), strict=True)
    score, square, u, v = [], [], [], []
    for place, (zj, wzj, ej) in enumerate(blocks):
        a = _adjusted(zj, wzj, omega, rows, kind, len(ends) + 1, labels[place])
        score.append(a.T @ ej)
        square.append((a * a).sum(axis=0))
        u.append(zj.T @ a)
        v.append(u[-1] if weight is None else wzj.T @ a)
    score, square = np.array(score), np.array(square)
    trace, df = _satterthwaite(square, np.array(u), np.array(v), omega)
    exact = (rows * (rows if omega is None else omega @ rows)).sum(axis=0) if kind == "CR2" else trace
    _check_errors(score, trace, exact, outcome, names)
    return coefficients, score.T @ score, df


def _adjusted(
    z: np.ndarray, wz: np.ndarray, omega: np.ndarray | None, rows: np.ndarray, kind: str, count: int, label: object
) -> np.ndarray:
    """(n_j, wanted) A_j W_j X_j M c: what the residuals of one cluster are multiplied by, for each coefficient c."""
    if kind == "CR1":
        return np.sqrt(count / (count - 1)) * (wz @ rows)
    if kind == "CR3":
        rest = np.eye(z.shape[1]) - z.T @ wz
        if np.linalg.eigvalsh(rest)[0] < _SINGULAR:
            raise DesignError(
                "CR3 leaves out one cluster at a time, and a coefficient is lost with one of them",
                where=f"cluster {label!r}",
                remedy="take CR2, or drop the regressor that only this cluster has",
            )
        return wz @ np.linalg.solve(rest, rows)
    return _square_root_adjusted(z, wz, omega, wz @ rows)


def _square_root_adjusted(z: np.ndarray, wz: np.ndarray, omega: np.ndarray | None, columns: np.ndarray) -> np.ndarray:
    """B^(−1/2) × columns, B being the covariance of the cluster's residuals under the working model.

    B = 1 − ZZ'W − WZZ' + ZΩZ' differs from 1 only in the span of Z and WZ, where its root is taken. An eigenvalue 0
    (residuals that are always 0) goes to 0, not to infinity.
    """
    span = z if omega is None else np.hstack([z, wz])
    inside = np.eye(len(z)) if len(z) <= span.shape[1] else np.linalg.qr(span)[0]
    zq = inside.T @ z
    if omega is None:
        b = np.eye(inside.shape[1]) - zq @ zq.T
    else:
        cross = zq @ (inside.T @ wz).T
        b = np.eye(inside.shape[1]) - cross - cross.T + zq @ omega @ zq.T
    value, vector = np.linalg.eigh(b)
    root = np.where(value > _SINGULAR, 1 / np.sqrt(np.maximum(value, _SINGULAR)), 0) - 1
    vector = inside @ vector
    return columns + vector @ (root[:, None] * (vector.T @ columns))


def _satterthwaite(
    square: np.ndarray, u: np.ndarray, v: np.ndarray, omega: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """(wanted,) trace of P and degrees of freedom trace(P)² / ‖P‖²; P_ij = p_i'p_j over clusters i, j.

    square : (G, wanted) a_j'a_j; u, v : (G, k, wanted) Z_j'a_j and (WZ)_j'a_j. P = diag(square) + L S L' with
    L = [u, v], and no G × G matrix is made where clusters outnumber regressors.
    """
    trace, df = np.empty(square.shape[1]), np.empty(square.shape[1])
    for place, own in enumerate(square.T):
        if omega is None:
            left = u[:, :, place]
            right = -left
        else:
            left = np.hstack([u[:, :, place], v[:, :, place]])
            right = np.hstack([u[:, :, place] @ omega - v[:, :, place], -u[:, :, place]])
        diagonal = (left * right).sum(axis=1)
        trace[place] = (own + diagonal).sum()
        if left.shape[0] < left.shape[1]:
            df[place] = ((np.diag(own) + left @ right.T) ** 2).sum()
        else:
            product = left.T @ right
            df[place] = own @ own + 2 * own @ diagonal + (product * product.T).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return trace, trace**2 / df


def _check_rank(distance: np.ndarray, least: float, names: list[str]) -> None:
    if (distance <= least).any():
        found = [name for name, one in zip(names, distance, strict=False) if one <= least]
        raise DesignError(
            f"columns of the design are combinations of those before them: {', '.join(found)}",
            why="their coefficients are not determined",
            remedy="drop them, or the columns that they repeat",
        )


def _check_errors(
    score: np.ndarray, trace: np.ndarray, exact: np.ndarray, outcome: np.ndarray, names: list[str]
) -> None:
    """Refuse an error of 0, and a CR2 error whose expectation (trace) misses part of the true variance (exact)."""
    lost = trace < (1 - _MISSED) * exact
    lost |= ~(np.abs(score).max(axis=0) > _NO_ERROR * np.sqrt(exact) * np.abs(outcome).max())
    if lost.any():
        found = [name for name, one in zip(names, lost, strict=False) if one]
        raise DesignError(
            f"no error for {', '.join(found)}",
            why="the coefficient is that of one cluster alone, or the design fits the outcome exactly",
            remedy="drop the clusters that have a regressor of their own, or compare with placebos",
        )
