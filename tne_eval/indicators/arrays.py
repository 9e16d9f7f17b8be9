"""What every statistic does first: check its arrays, leave out rows of zero weight, rank under weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.groups import numbers

_LARGEST = 1e50


def weighted_arrays(weight: ArrayLike | None, **columns: ArrayLike) -> tuple[np.ndarray, ...]:
    """The columns and the weight as checked float arrays of one length, rows of zero weight left out.

    Raises DesignError on another shape, missing or infinite values, magnitudes beyond 1e±50, a negative weight or
    weights all zero.
    """
    values = {name: numbers(column, name) for name, column in columns.items()}
    length = np.size(next(iter(values.values())))
    values["weight"] = np.ones(length) if weight is None else numbers(weight, "weight")
    for name, array in values.items():
        if array.ndim != 1 or len(array) != length:
            raise DesignError(f"{name} has shape {array.shape}", why=f"one dimension of {length} values is needed")
        if not np.isfinite(array).all():
            raise DesignError(f"{name} holds missing or infinite values", remedy="drop or impute them first")
        size = np.abs(array)
        if length and (size.max() > _LARGEST or size.min(initial=_LARGEST, where=size > 0) < 1 / _LARGEST):
            raise DesignError(
                f"{name} holds magnitudes beyond {1 / _LARGEST:g} to {_LARGEST:g}",
                why="powers and products of such numbers leave the range of the machine",
                remedy="take another unit",
            )
    if (values["weight"] < 0).any() or values["weight"].sum() <= 0:
        raise DesignError("weights must be zero or more, and not all zero")
    keep = values["weight"] > 0
    return tuple(values.values()) if keep.all() else tuple(array[keep] for array in values.values())


def mid_rank(rank_by: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted fractional rank in (0, 1); ties share the middle of their range (Lerman and Yitzhaki 1989)."""
    _, place = np.unique(rank_by, return_inverse=True)
    mass = np.bincount(place, weights=weight)
    middle = np.cumsum(mass) - mass / 2
    return middle[place] / weight.sum()
