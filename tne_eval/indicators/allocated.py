"""What was given to whom, checked: complete columns, people above zero, a need that varies."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.groups import numbers

_COUNT_REMEDY = "leave these rows out and say how many; targeting_bounds takes amounts that are only bounded"


def complete(**columns: ArrayLike) -> tuple[np.ndarray, ...]:
    """The columns as floats of one length; DesignError that counts the missing values of all of them at once."""
    arrays = {name: numbers(column, name) for name, column in columns.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 or shape == (0,) for shape in shapes.values()):
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DesignError(f"columns have shapes {found}", why="one dimension, and the same length, is needed")
    missing = {name: int(count) for name, array in arrays.items() if (count := (~np.isfinite(array)).sum())}
    if missing:
        size = len(next(iter(arrays.values())))
        found = ", ".join(f"{name} {count}" for name, count in missing.items())
        raise DesignError(f"missing or infinite values, of {size} rows: {found}", remedy=_COUNT_REMEDY)
    return weighted_arrays(None, **arrays)[:-1]


def truth_values(values: ArrayLike, name: str) -> np.ndarray:
    """The values as (n,) bool; DesignError where they are not truth values, or some are missing (counted)."""
    column = np.asarray(values, dtype=object)
    missing = int(pd.isna(column).sum()) if column.ndim == 1 else 0
    if missing:
        raise DesignError(f"missing values, of {len(column)} rows: {name} {missing}", remedy="leave these rows out")
    if column.shape == (0,):
        raise DesignError(f"{name} has no row")
    if column.ndim != 1 or not all(isinstance(one, bool | np.bool_) for one in column):
        raise DesignError(f"{name} is not one truth value for each row", remedy="give a column of booleans")
    return column.astype(bool)


def allocated_rows(amount: ArrayLike, need: ArrayLike, people: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Amounts, needs and people as complete arrays that a targeting can be read on."""
    amount, need, people = complete(amount=amount, need=need, people=people)
    people_above_zero(people)
    if (amount < 0).any():
        raise DesignError(f"{(amount < 0).sum()} amounts are below zero", remedy="give 0 to rows that got nothing")
    if not amount.any():
        raise DesignError("all amounts are zero", why="nothing was given to anyone")
    need_varies(need)
    return amount, need, people


def need_varies(need: np.ndarray) -> None:
    """DesignError where all needs are the same."""
    if need.min() == need.max():
        raise DesignError("need does not vary", why="no row comes before another")


def people_above_zero(people: np.ndarray) -> None:
    """DesignError where a row has no people."""
    if (people <= 0).any():
        raise DesignError(
            f"{(people <= 0).sum()} of {len(people)} rows have no people",
            why="an amount per person is needed",
            remedy="leave these rows out, or join them to the rows that serve the same people",
        )
