"""Differences in changes between treated units and controls, with influence functions: plain and doubly robust."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from tne_eval.errors import DesignError
from tne_eval.impact.event_time import listed

# Propensities from which the weight p/(1 − p) of a control is no longer one (the limits of R did and DRDID).
_CERTAIN_TREATED, _CERTAIN_CONTROL = 0.999, 0.995
_STEPS, _STEP_END = 50, 1e-10


def mean_influence(values: np.ndarray, weight: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of some units of a sample, and their influence functions.

    values : (T, m); weight : (m,), not all 0; total : units of the sample.
    Returns the means (T,) and the influence functions (T, m), 0 where the weight is.
    """
    share = weight / weight.sum()
    means = values @ share
    influence = values - means[:, None]
    influence *= total * share
    return means, influence


def doubly_robust(
    change: np.ndarray,
    n_treated: int,
    weight: np.ndarray,
    total: int,
    covariates: np.ndarray,
    names: tuple[str, ...],
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Doubly robust difference of changes: logit propensity, linear outcome regression among controls.

    Parameters
    ----------
    change : (q, n) q changes of n units, the treated ones first; weight : (n,) positive.
    total : units of the sample that these n belong to; the influence functions have mean 0 over it.
    covariates : (n, p), of these p names; where : text for error messages.

    Returns
    -------
    estimates (q,), influence (q, n).

    Raises DesignError on collinear covariates and on propensities next to 1.
    Source: Sant'Anna and Zhao (2020), equation 3.1 and theorem 1, in the version for panels without the improved
    propensity, as DRDID's drdid_panel.
    """
    n, treated, change = len(weight), np.arange(len(weight)) < n_treated, change.T
    design = _standardized(covariates, treated, names, where)
    propensity, inverse = _logit(design, treated, weight, where)
    outcome_weight = np.where(treated, 0.0, weight)
    bread = np.linalg.inv(design.T @ (outcome_weight[:, None] * design) / n)
    residual = change - design @ (bread @ (design.T @ (outcome_weight[:, None] * change)) / n)
    on = np.where(treated, weight, 0.0) / np.mean(weight * treated)
    off = outcome_weight * propensity / (1 - propensity)
    off /= off.mean()
    gap_on, gap_off = on @ residual / n, off @ residual / n
    influence = on[:, None] * (residual - gap_on) - off[:, None] * (residual - gap_off)
    score_outcome = (outcome_weight[:, None] * design) @ bread
    influence -= (score_outcome @ ((on - off) @ design / n))[:, None] * residual
    score_propensity = (weight * (treated - propensity))[:, None] * (design @ inverse) * n
    influence -= score_propensity @ (design.T @ (off[:, None] * (residual - gap_off)) / n)
    return gap_on - gap_off, influence.T * (total / n)


def _standardized(covariates: np.ndarray, treated: np.ndarray, names: tuple[str, ...], where: str) -> np.ndarray:
    """(n, 1 + p) a constant and the covariates, of mean 0 and deviation 1 among controls; refuses collinear ones."""
    among = covariates[~treated]
    spread = among.std(axis=0)
    constant = spread <= 1e-12 * np.abs(among).max(axis=0)
    scaled = (covariates - among.mean(axis=0)) / np.where(constant, 1.0, spread)
    design = np.column_stack([np.ones(len(scaled)), scaled])
    diagonal = np.abs(np.diag(np.linalg.qr(design[~treated], mode="r"))) / np.sqrt(len(among))
    bad = constant.copy()
    bad[: len(diagonal) - 1] |= diagonal[1:] < 1e-7
    bad[len(diagonal) - 1 :] = True
    if bad.any():
        raise DesignError(
            f"covariates are collinear: {listed(name for name, one in zip(names, bad, strict=True) if one)}",
            where=where,
            why="among the controls they are constant or a sum of the others",
            remedy="drop them from the covariates",
        )
    return design


def _logit(design: np.ndarray, treated: np.ndarray, weight: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Propensities (n,) and the inverse of the weighted information, by Newton's method."""
    share = weight @ treated / weight.sum()
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(share / (1 - share))
    for _ in range(_STEPS):
        propensity = expit(design @ beta)
        spread = weight * propensity * (1 - propensity)
        inverse = np.linalg.pinv(design.T @ (spread[:, None] * design), hermitian=True)
        step = inverse @ (design.T @ (weight * (treated - propensity)))
        beta = beta + step
        if np.abs(step).max() < _STEP_END:
            _check_overlap(propensity, treated, where)
            return propensity, inverse
    _check_overlap(propensity, treated, where)
    raise DesignError(
        "the propensity of treatment does not settle",
        where=where,
        why="the covariates all but separate treated units from controls",
        remedy="drop covariates",
    )


def _check_overlap(propensity: np.ndarray, treated: np.ndarray, where: str) -> None:
    bad = np.where(treated, propensity >= _CERTAIN_TREATED, propensity >= _CERTAIN_CONTROL)
    if bad.any():
        raise DesignError(
            f"no overlap: the propensity of treatment is next to 1 for {int(bad.sum())} units",
            where=where,
            why="no control resembles these units on the covariates",
            remedy="drop covariates, or compare units of the common range only",
        )
