"""Gap between two groups: what their characteristics explain, and what the returns to them leave (Oaxaca-Blinder)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.linalg import qr

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.groups import group_codes, named_columns
from tne_eval.indicators.influence import recentered_influence

REFERENCES = ("pooled", "first", "second")
CONSTANT = "constant"


class Part(NamedTuple):
    """A part of the gap, in the unit of the value, and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class OaxacaBlinder:
    """Gap `first` − `second` = `explained` + `unexplained` = `endowments` + `coefficients` + `interaction`.

    `first` and `second` are the labels of the groups, `reference` names the coefficients that value the differences
    of characteristics. `frame` has one row per characteristic and one for the constant: `characteristic`,
    `mean_first`, `mean_second`, `coefficient_first`, `coefficient_second`, `coefficient_reference`, `explained`,
    `explained_error`, `unexplained`, `unexplained_error`.
    """

    first: object
    second: object
    reference: str
    gap: Part
    explained: Part
    unexplained: Part
    endowments: Part
    coefficients: Part
    interaction: Part
    frame: pd.DataFrame


class _Moment(NamedTuple):
    """A vector of p numbers, and the (n, p) weighted influence of each row on it."""

    value: np.ndarray
    influence: np.ndarray

    def __sub__(self, other: _Moment) -> _Moment:
        return _Moment(self.value - other.value, self.influence - other.influence)

    def __add__(self, other: _Moment) -> _Moment:
        return _Moment(self.value + other.value, self.influence + other.influence)

    def __mul__(self, other: _Moment) -> _Moment:
        return _Moment(self.value * other.value, self.influence * other.value + self.value * other.influence)


def oaxaca_blinder(
    value: ArrayLike,
    characteristics: pd.DataFrame | ArrayLike,
    group: ArrayLike,
    weight: ArrayLike | None = None,
    reference: Literal["pooled", "first", "second"] = "pooled",
    statistic: object = None,
    cluster: ArrayLike | None = None,
) -> OaxacaBlinder:
    """Decompose the gap in a mean, or in another statistic, between two groups.

    Twofold: (x̄₁ − x̄₂)β* explained, x̄₁(β₁ − β*) + x̄₂(β* − β₂) unexplained. Threefold, seen from the second group:
    (x̄₁ − x̄₂)β₂ endowments, x̄₂(β₁ − β₂) coefficients, (x̄₁ − x̄₂)(β₁ − β₂) interaction.

    Parameters
    ----------
    value : (n,) outcome; characteristics : (n, k) without constant, columns give the names; a factor of m levels comes
        as m − 1 columns. group : (n,) two labels; the gap is the label sorted first less the other.
    weight : (n,) weights of zero or more; None gives each 1.
    reference : β* of the first group, of the second, or of both pooled with an indicator of the group (Jann 2008:
        without it, part of the unexplained gap passes for explained).
    statistic : None for the mean; else the gap is that of the statistic, and the value is its recentred influence
        function, made inside each group; named as `as_statistic` reads it.
    cluster : (n,) labels of what was drawn together; None for rows drawn one by one.

    Errors are linearised, robust to unequal variances, and hold characteristics for random (Jann 2008); with a
    statistic they take the influence function as known; with few clusters they are too small. Explained detail
    depends on no unit or zero; unexplained detail and the constant depend on the zero of each characteristic and on
    the level left out of a factor: read their sum. The decomposition is descriptive.
    Raises DesignError on other than two groups, missing or infinite values, characteristics that are collinear or
    constant in a group, fewer than k + 2 rows, or clusters, in a group.
    Source: Oaxaca (1973), Blinder (1973); Jann (2008); Firpo, Fortin and Lemieux (2018) for the statistic.
    """
    if reference not in REFERENCES:
        raise DesignError(f"unknown reference {reference!r}", remedy=f"choose among {', '.join(REFERENCES)}")
    labels, code = group_codes(group)
    names, columns = named_columns(characteristics, "characteristic")
    cluster_code = np.arange(len(code)) if cluster is None else group_codes(cluster, "cluster")[1]
    value, code, cluster_code, *columns, weight = weighted_arrays(
        weight, value=value, group=code, cluster=cluster_code, **columns
    )
    present = np.unique(code).astype(int)
    if len(present) != 2:
        raise DesignError(f"{len(present)} groups with weight", why="a gap is between exactly two")
    names = [*names, CONSTANT]
    design = np.column_stack([*columns, np.ones(len(value))])
    sides = [code == place for place in present]
    for place, side in zip(present, sides, strict=True):
        where = f"group {labels[place]!r}"
        # Inside one cluster the scores sum to zero: with as few clusters as coefficients the error would be too small.
        _check_count("rows" if cluster is None else "clusters", len(np.unique(cluster_code[side])), len(names), where)
        _check_design(design[side] * np.sqrt(weight[side])[:, None], names, where)
    if statistic is not None:
        value = value.copy()
        for side in sides:
            value[side] = recentered_influence(value[side], statistic, weight[side])

    (mean1, slope1), (mean2, slope2) = (_within(value, design, weight, side) for side in sides)
    if reference == "pooled":
        indicator = np.column_stack([design, sides[1]])
        pooled = _regression(value, indicator, weight, np.full(len(value), True))
        star = _Moment(pooled.value[:-1], pooled.influence[:, :-1])
    else:
        star = slope1 if reference == "first" else slope2
    spread, change = mean1 - mean2, slope1 - slope2
    explained = spread * star
    unexplained = mean1 * (slope1 - star) + mean2 * (star - slope2)

    drawn, row_cluster = np.unique(cluster_code, return_inverse=True)

    def error(influence: np.ndarray) -> np.ndarray:
        if cluster is None:
            return np.sqrt((influence**2).sum(axis=0))
        sums = np.column_stack([np.bincount(row_cluster, weights=column) for column in influence.T])
        return np.sqrt((sums**2).sum(axis=0) * len(drawn) / (len(drawn) - 1))

    def part(moment: _Moment) -> Part:
        return Part(float(moment.value.sum()), float(error(moment.influence.sum(axis=1, keepdims=True))[0]))

    frame = pd.DataFrame(
        {
            "characteristic": names,
            "mean_first": mean1.value,
            "mean_second": mean2.value,
            "coefficient_first": slope1.value,
            "coefficient_second": slope2.value,
            "coefficient_reference": star.value,
            "explained": explained.value,
            "explained_error": error(explained.influence),
            "unexplained": unexplained.value,
            "unexplained_error": error(unexplained.influence),
        }
    )
    first, second = labels[present]
    return OaxacaBlinder(
        first=first,
        second=second,
        reference=reference,
        gap=part(explained + unexplained),
        explained=part(explained),
        unexplained=part(unexplained),
        endowments=part(spread * slope2),
        coefficients=part(mean2 * change),
        interaction=part(spread * change),
        frame=frame,
    )


def _check_count(what: str, found: int, count: int, where: str) -> None:
    if found <= count:
        raise DesignError(
            f"too few {what} in {where}",
            why=f"{found} for {count - 1} characteristics and a constant; at least {count + 1} are needed",
            remedy="leave out characteristics, or join groups",
        )


def _check_design(design: np.ndarray, names: list[str], where: str) -> None:
    # Scaled columns, the constant first: what is left of a later column once the others are taken off is its own part.
    scaled = np.roll(design / np.where(size := np.linalg.norm(design, axis=0), size, 1), 1, axis=1)
    own = np.abs(np.diag(qr(scaled, mode="economic")[1]))
    guilty = [name for name, left in zip([names[-1], *names[:-1]], own, strict=True) if left < 1e-9]
    if guilty:
        raise DesignError(
            f"collinear characteristics in {where}: {', '.join(guilty)}",
            why="each is constant there, or a combination of the columns before it",
            remedy="leave them out",
        )


def _within(value: np.ndarray, design: np.ndarray, weight: np.ndarray, side: np.ndarray) -> tuple[_Moment, _Moment]:
    """Means of the columns of the design on one side, and the coefficients of its regression."""
    mean = np.average(design[side], axis=0, weights=weight[side])
    share = np.where(side, weight, 0) / weight[side].sum()
    rows = side.sum()
    influence = share[:, None] * (design - mean) * np.sqrt(rows / (rows - 1))
    return _Moment(mean, influence), _regression(value, design, weight, side)


def _regression(value: np.ndarray, design: np.ndarray, weight: np.ndarray, side: np.ndarray) -> _Moment:
    """Weighted least squares on one side; n / (n − p) in the influence makes the sandwich that of HC1."""
    root = np.sqrt(weight[side])
    scaled = design[side] * root[:, None]
    size = np.linalg.norm(scaled, axis=0)
    inverse = np.linalg.pinv(scaled / size) / size[:, None]
    coefficient = inverse @ (value[side] * root)
    rows, count = scaled.shape
    influence = np.zeros_like(design)
    residual = (value[side] - design[side] @ coefficient) * root
    influence[side] = inverse.T * residual[:, None] * np.sqrt(rows / (rows - count))
    return _Moment(coefficient, influence)
