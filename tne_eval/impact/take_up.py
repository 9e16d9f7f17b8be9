"""Who took a programme up: a logit of being granted on characteristics, with errors by cluster."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, stats
from scipy.special import expit

from tne_eval.errors import DesignError
from tne_eval.impact.cluster_robust import ClusterRobust, cluster_robust, student_interval
from tne_eval.indicators.allocated import complete, truth_values
from tne_eval.indicators.arrays import mid_rank
from tne_eval.indicators.groups import group_codes
from tne_eval.indicators.inequality import finite_number
from tne_eval.results import frame_html

# Classes of fitted probability of the calibration table.
CLASSES = 10
# A column nearer than this share of its length to the span of those before it is a combination of them.
_DEPENDENT = 1e-8
# Below this variance of a fitted 0/1, an exact search for a separating combination decides.
_SUSPECT = 1e-6
_SEPARATING = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class TakeUp:
    """What `take_up` gives.

    Attributes
    ----------
    coefficients : one row per term: covariate, level, reference (None for the constant and numbers), estimate (log
        odds), error, df, p, low, high (95 %). effects : the same columns, average marginal effects on the probability
        (0-1), without the constant.
    scales : one row per covariate of numbers: covariate, mean, sd. Its coefficient and its effect are for one sd.
    covariance : (k, k) of the coefficients. fitted : (n,) probabilities.
    auc : chance that a granted row has a higher fitted probability than another one, ties for a half: 0.5 to 1 where
        the model says anything.
    calibration : one row per tenth of fitted probability: decile, rows, weight, fitted, observed (rates, 0-1).
    rate : observed rate. log_likelihood, pseudo_r2 : of the fit, and McFadden's. n : rows; n_clusters.
    """

    coefficients: pd.DataFrame
    effects: pd.DataFrame
    scales: pd.DataFrame
    covariance: np.ndarray = field(repr=False)
    fitted: np.ndarray = field(repr=False)
    auc: float
    calibration: pd.DataFrame = field(repr=False)
    rate: float
    log_likelihood: float
    pseudo_r2: float
    n: int
    n_clusters: int

    def to_frame(self) -> pd.DataFrame:
        """Coefficients, then effects: what ("coefficient" or "effect") and their columns."""
        parts = {"coefficient": self.coefficients, "effect": self.effects}
        return pd.concat([part.assign(what=what) for what, part in parts.items()], ignore_index=True)

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True)
class _Design:
    """`matrix` (n, k), constant first; `terms` k (covariate, level, reference); `scales` (covariate, mean, sd)."""

    matrix: np.ndarray
    terms: list[tuple[str, object, object]]
    scales: list[tuple[str, float, float]]


def take_up(
    granted: ArrayLike, covariates: pd.DataFrame, cluster: ArrayLike, weight: ArrayLike | None = None
) -> TakeUp:
    """Logit of being granted on characteristics, average marginal effects, fit.

    Parameters
    ----------
    granted : (n,) bool; covariates : (n, columns). Numbers are standardised (weighted mean 0, weighted standard
        deviation 1, divisor Σ weight); booleans, categories and texts are levels compared with a reference: False, the
        first category, the first text in alphabetical order.
    cluster : (n,) labels inside which decisions depend on each other (départements).
    weight : (n,) above zero, None gives each 1; a weight of k is the same as k copies.

    Errors are CR1 (scores summed by cluster, factor G / (G − 1)) of the last weighted least-squares step, intervals by
    Student's law with Satterthwaite's degrees of freedom (`cluster_robust`). Effects are means over the rows, of the
    derivative for numbers and of the difference between a level and its reference for levels; their errors by the
    delta method hold the rows fixed, and take the degrees of freedom of their coefficient.

    Describes who was granted; no effect of the programme.

    Raises DesignError on missing values (counted by column), outcomes all the same, covariates that do not vary or
    repeat those before them (named), separation (perfect prediction; covariates named), fewer than two clusters,
    coefficients of one cluster alone (named).
    Source: Liang and Zeger (1986); Albert and Anderson (1984) for separation; McFadden (1974).
    """
    outcome, covariates, weight = _checked(granted, covariates, cluster, weight)
    design = _design(covariates, weight)
    _check_alone(outcome, covariates)
    _check_rank(design)
    robust = _robust(outcome, design, cluster, weight)
    index = design.matrix @ robust.coefficients
    fitted = expit(index)
    effects, slopes = _marginal_effects(design, robust.coefficients, weight / weight.sum())
    errors = np.sqrt(np.einsum("ij,jk,ik->i", slopes, robust.covariance, slopes))
    rate = float(np.average(outcome, weights=weight))
    log_likelihood, null = (_log_likelihood(outcome, one, weight) for one in (index, np.log(rate / (1 - rate))))
    return TakeUp(
        coefficients=_term_frame(design.terms, robust.coefficients, robust.errors, robust.df),
        effects=_term_frame(design.terms[1:], effects, errors, robust.df[1:]),
        scales=pd.DataFrame(design.scales, columns=["covariate", "mean", "sd"]),
        covariance=robust.covariance,
        fitted=fitted,
        auc=area_under_curve(outcome == 1, fitted, weight),
        calibration=_calibration(outcome, fitted, weight),
        rate=rate,
        log_likelihood=log_likelihood,
        pseudo_r2=1 - log_likelihood / null,
        n=len(outcome),
        n_clusters=robust.n_clusters,
    )


def rates_by_group(
    granted: ArrayLike, group: ArrayLike, weight: ArrayLike | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Share of rows granted in each group, with Wilson's interval.

    Parameters
    ----------
    granted : (n,) bool; group : (n,) labels; weight : (n,) above zero (pupils), None gives each 1; level : 0-1.

    Returns
    -------
    One row per group: group, rows, granted, rate (0-1, weighted), effective, low, high. `effective` is the number of
    rows that the interval counts, (Σ weight)² / Σ weight² (Kish 1965): weights change the rate, and are no more rows.
    The interval takes decisions as independent: where one authority decides for several schools it is too narrow.

    Raises DesignError on missing values (counted), weights not above zero, a level outside 0-1.
    Source: Wilson (1927).
    """
    granted = truth_values(granted, "granted")
    labels, code = group_codes(group)
    weight = _weights(weight, len(granted))
    if len(code) != len(granted):
        raise DesignError(f"group has {len(code)} labels", why=f"one for each of {len(granted)} rows is needed")
    if not 0 < finite_number("level", level) < 1:
        raise DesignError(f"level is {level!r}", why="it is a share strictly between 0 and 1")
    total, held, squares = (np.bincount(code, one, len(labels)) for one in (weight, weight * granted, weight**2))
    rate, effective = held / total, total**2 / squares
    z = stats.norm.ppf((1 + level) / 2)
    centre = (rate + z**2 / (2 * effective)) / (1 + z**2 / effective)
    reach = z / (1 + z**2 / effective) * np.sqrt(rate * (1 - rate) / effective + (z / (2 * effective)) ** 2)
    rows, yes = np.bincount(code, minlength=len(labels)), np.bincount(code, granted, len(labels)).astype(int)
    frame = pd.DataFrame({"group": labels, "rows": rows, "granted": yes, "rate": rate, "effective": effective})
    return frame.assign(low=np.clip(centre - reach, 0, 1), high=np.clip(centre + reach, 0, 1))


def area_under_curve(outcome: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """Chance that a row of the outcome scores above another one, ties for a half. Mann and Whitney (1947), weighted."""
    inside, total = weight[outcome].sum(), weight.sum()
    ranks = mid_rank(score, weight)[outcome] * total
    return float((weight[outcome] @ ranks - inside**2 / 2) / (inside * (total - inside)))


def _log_likelihood(outcome: np.ndarray, index: np.ndarray | float, weight: np.ndarray) -> float:
    return -float(weight @ np.logaddexp(0, np.where(outcome == 1, -index, index)))


def _weights(weight: ArrayLike | None, size: int) -> np.ndarray:
    if weight is None:
        return np.ones(size)
    (weight,) = complete(weights=weight)
    if len(weight) != size or (weight <= 0).any():
        raise DesignError(
            f"{len(weight)} weights, {(weight <= 0).sum()} of them not above zero",
            why=f"one above zero for each of {size} rows is needed",
            remedy="leave out the rows of zero weight",
        )
    return weight


def _checked(
    granted: ArrayLike, covariates: pd.DataFrame, cluster: ArrayLike, weight: ArrayLike | None
) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Outcome as 0/1, covariates and weights; every missing value is counted before anything is computed."""
    if not isinstance(covariates, pd.DataFrame) or not len(covariates.columns):
        raise DesignError("covariates are not a frame with one column or more", remedy="give a pandas DataFrame")
    if not covariates.columns.map(str).is_unique:
        raise DesignError("two covariates have the same name", where=", ".join(map(str, covariates.columns)))
    size = len(covariates)
    labels = {"granted": np.asarray(granted, dtype=object), "cluster": np.asarray(cluster, dtype=object)}
    if wrong := [f"{name} {one.shape}" for name, one in labels.items() if one.shape != (size,)]:
        raise DesignError(f"{', '.join(wrong)} and the covariates differ in shape", why=f"the frame has {size} rows")
    columns = [*((name, pd.Series(one)) for name, one in labels.items()), *covariates.items()]
    missing = [(name, int((column.isna() | column.isin([np.inf, -np.inf])).sum())) for name, column in columns]
    if any(count for _, count in missing):
        found = ", ".join(f"{name} {count}" for name, count in missing if count)
        raise DesignError(
            f"missing or infinite values, of {size} rows: {found}",
            why="the rows that lack a value differ from the others, and an indicator of it would bias the rest",
            remedy="leave these rows out and say how many, or leave the covariate out",
        )
    outcome = truth_values(granted, "granted")
    if outcome.all() or not outcome.any():
        raise DesignError(f"all {size} rows are {'' if outcome.all() else 'not '}granted", why="nothing to explain")
    return outcome.astype(float), covariates, _weights(weight, size)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def _levels(column: pd.Series) -> tuple[list[object], np.ndarray]:
    """Levels that rows have, the reference first, and their codes."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories()
        return list(used.cat.categories), used.cat.codes.to_numpy()
    labels, code = group_codes(column, str(column.name))
    return list(labels), code


def _design(covariates: pd.DataFrame, weight: np.ndarray) -> _Design:
    columns, terms, scales, flat = [np.ones(len(weight))], [("(constant)", None, None)], [], []
    for name, column in covariates.items():
        if _is_number(column):
            value = column.to_numpy(dtype=float)
            mean = np.average(value, weights=weight)
            sd = float(np.sqrt(np.average((value - mean) ** 2, weights=weight)))
            if sd <= 1e-12 * np.abs(value).max():
                flat.append(str(name))
                continue
            scales.append((str(name), float(mean), sd))
            columns.append((value - mean) / sd)
            terms.append((str(name), None, None))
            continue
        levels, code = _levels(column)
        if len(levels) < 2:
            flat.append(str(name))
        for place, one in enumerate(levels[1:], 1):
            columns.append((code == place).astype(float))
            terms.append((str(name), one, levels[0]))
    if flat:
        raise DesignError(f"covariates that do not vary: {', '.join(flat)}", remedy="leave them out")
    return _Design(np.column_stack(columns), terms, scales)


def _named(term: tuple[str, object, object]) -> str:
    return term[0] if term[1] is None else f"{term[0]} = {term[1]}"


def _check_rank(design: _Design) -> None:
    """As `cluster_robust` does, before the fit: combinations would keep it from converging."""
    length = np.sqrt((design.matrix**2).sum(axis=0))
    distance = np.abs(np.diag(np.linalg.qr(design.matrix / length, mode="r")))
    found = [_named(term) for term, one in zip(design.terms, distance, strict=False) if one <= _DEPENDENT]
    if len(design.terms) >= len(design.matrix):
        raise DesignError(f"{len(design.terms)} terms from {len(design.matrix)} rows", remedy="leave covariates out")
    if found:
        what = f"covariates that are combinations of those before them: {', '.join(found)}"
        raise DesignError(what, why="their coefficients are not determined", remedy="leave them out")


def _check_alone(outcome: np.ndarray, covariates: pd.DataFrame) -> None:
    """Separation by one covariate: a level all granted or all not, a threshold that parts the two."""
    found = []
    for name, column in covariates.items():
        if _is_number(column):
            value = column.to_numpy(dtype=float)
            yes, no = value[outcome == 1], value[outcome == 0]
            if yes.max() <= no.min() or no.max() <= yes.min():
                found.append(f"{name} (a threshold parts granted from not)")
            continue
        levels, code = _levels(column)
        rate = np.bincount(code, outcome) / np.bincount(code)
        found += [
            f"{name} = {one} ({'all' if share else 'none'} granted)"
            for one, share in zip(levels, rate, strict=True)
            if share in (0, 1)
        ]
    if found:
        _refuse_separation(found)


def _refuse_separation(found: list[str]) -> None:
    raise DesignError(
        f"perfect prediction by {', '.join(found)}",
        why="the likelihood has no maximum: a coefficient grows without end",
        remedy="merge these levels with others, or leave the covariates or the rows out and say so",
    )


def _fit(outcome: np.ndarray, design: _Design, weight: np.ndarray) -> np.ndarray:
    """(k,) coefficients of maximum likelihood, one step short of rounding."""
    import statsmodels.api as sm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sm.GLM(outcome, design.matrix, family=sm.families.Binomial(), freq_weights=weight / weight.mean())
        fit = model.fit(atol=0, rtol=1e-12, maxiter=100)
    settled = fit.converged and np.isfinite(fit.params).all()
    if not settled or (fit.fittedvalues * (1 - fit.fittedvalues)).min() < _SUSPECT:
        if found := _separating(outcome, design.matrix):
            _refuse_separation(sorted({_named(design.terms[place]) for place in found if place}))
        if not settled:
            raise DesignError("the logit did not converge", remedy="look for covariates of very long tails")
    return fit.params


def _robust(outcome: np.ndarray, design: _Design, cluster: ArrayLike, weight: np.ndarray) -> ClusterRobust:
    """The last weighted least-squares step, whose scores are those of the logit, with errors by cluster.

    Rows are scaled by the root of their weight: the working model is then the variance of a 0/1 of that probability.
    """
    score = design.matrix @ _fit(outcome, design, weight)
    variance = expit(score) * expit(-score)
    root = np.sqrt(weight * variance)
    columns = pd.DataFrame(root[:, None] * design.matrix, columns=[_named(term) for term in design.terms])
    working = root * (score + (outcome - expit(score)) / variance)
    # CR1 misses the variance of a coefficient of one cluster alone, whose scores sum to 0 there. CR2 refuses it.
    cluster_robust(columns, working, cluster, kind="CR2")
    return cluster_robust(columns, working, cluster, kind="CR1")


def _separating(outcome: np.ndarray, matrix: np.ndarray) -> list[int]:
    """Places of the columns, few of them, of which a combination parts granted from not; [] where none does.

    A direction d with (2y − 1) x'd ≥ 0 on all rows, above 0 on one (Albert and Anderson 1984), is sought by linear
    programming (Konis 2007); then each column is left out in turn where one still exists without it.
    """
    signed = np.unique((2 * outcome - 1)[:, None] * matrix, axis=0)
    total = signed.sum(axis=0) / len(signed)

    def exists(kept: list[int]) -> bool:
        done = optimize.linprog(
            -total[kept], A_ub=-signed[:, kept], b_ub=np.zeros(len(signed)), bounds=(-1, 1), method="highs"
        )
        return bool(done.status == 0 and -done.fun > _SEPARATING)

    kept = list(range(matrix.shape[1]))
    if not exists(kept):
        return []
    for place in range(matrix.shape[1] - 1, 0, -1):
        rest = [one for one in kept if one != place]
        if exists(rest):
            kept = rest
    return kept


def _marginal_effects(design: _Design, beta: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k − 1,) average marginal effects, and (k − 1, k) their derivatives in the coefficients."""
    x, score = design.matrix, design.matrix @ beta
    fitted = expit(score)
    density = fitted * (1 - fitted)
    slope = share @ density
    bend = (share * density * (1 - 2 * fitted)) @ x
    effects, slopes = [], []
    for place, (name, level, _) in enumerate(design.terms[1:], 1):
        if level is None:
            own = np.zeros(len(beta))
            own[place] = slope
            effects.append(beta[place] * slope)
            slopes.append(beta[place] * bend + own)
            continue
        same = [other for other, term in enumerate(design.terms) if term[0] == name]
        without = x.copy()
        without[:, same] = 0.0
        base = without @ beta
        low, high = expit(base), expit(base + beta[place])
        gain = (share * high * (1 - high)) @ without - (share * low * (1 - low)) @ without
        gain[place] = share @ (high * (1 - high))
        effects.append(share @ (high - low))
        slopes.append(gain)
    return np.array(effects), np.array(slopes)


def _term_frame(
    terms: list[tuple[str, object, object]], estimate: np.ndarray, error: np.ndarray, df: np.ndarray
) -> pd.DataFrame:
    low, high = student_interval(estimate, error, df, 0.95).T
    frame = pd.DataFrame(terms, columns=["covariate", "level", "reference"], dtype=object)
    p = 2 * stats.t.sf(np.abs(estimate / error), df)
    return frame.assign(estimate=estimate, error=error, df=df, p=p, low=low, high=high)


def _calibration(outcome: np.ndarray, fitted: np.ndarray, weight: np.ndarray) -> pd.DataFrame:
    decile = np.minimum((mid_rank(fitted, weight) * CLASSES).astype(int), CLASSES - 1) + 1
    rows = pd.DataFrame({"decile": decile, "weight": weight, "fitted": weight * fitted, "observed": weight * outcome})
    table = rows.groupby("decile").agg(
        rows=("weight", "size"), weight=("weight", "sum"), fitted=("fitted", "sum"), observed=("observed", "sum")
    )
    table[["fitted", "observed"]] = table[["fitted", "observed"]].div(table["weight"], axis=0)
    return table.reset_index()
