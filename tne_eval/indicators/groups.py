"""Labels of groups, clusters and characteristics: read once, checked once."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError


def group_codes(group: ArrayLike, name: str = "group") -> tuple[pd.Index, np.ndarray]:
    """The sorted labels of a column of groups, and the place of each row's label among them.

    Raises DesignError where a label is missing or the column has more than one dimension.
    """
    # As objects: an array of text would turn a missing label into the text "nan".
    column = np.asarray(group, dtype=object)
    if column.ndim != 1:
        raise DesignError(f"{name} has shape {column.shape}", why="one label for each row is needed")
    try:
        code, labels = pd.factorize(column, sort=True)
    except TypeError as error:
        raise DesignError(f"the labels of {name} cannot be sorted", why=str(error)) from error
    if (code < 0).any():
        raise DesignError(f"{name} holds missing labels", remedy="drop the rows or give them a label of their own")
    return pd.Index(labels), code


def label_codes(labels: ArrayLike, name: str, keep: np.ndarray | slice, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes from 0, in order of appearance, of the rows that are kept, and their labels; `size` rows are expected.

    Raises DesignError on labels of another length and on missing ones.
    """
    # A list becomes objects: an array of text would turn a missing label into the text "nan".
    labels = np.asarray(labels) if hasattr(labels, "dtype") else np.asarray(labels, dtype=object)
    if labels.shape != (size,):
        raise DesignError(f"{name} has shape {labels.shape}", why=f"one label for each of {size} rows is needed")
    code, found = pd.factorize(labels[keep])
    if (code < 0).any():
        raise DesignError(f"{name} holds missing labels", remedy="drop these rows or give them a label of their own")
    return code, found


def at_least_two(name: str, count: int) -> None:
    """Raises DesignError where only one (or no) group, school or sector is left."""
    if count < 2:
        raise DesignError(f"fewer than two {name}", why=f"{count} left; one cannot be compared with itself")


def named_columns(table: pd.DataFrame | ArrayLike, kind: str) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the columns of a table (`kind 1`, `kind 2` … for an array), and the columns as numbers.

    The keys of the columns name the kind too, so that no name of the caller's meets one of ours.
    Raises DesignError where the table has not two dimensions, two columns share a name or one holds no numbers.
    """
    array = numbers(table, f"the table of {kind}s")
    if array.ndim != 2:
        raise DesignError(f"the table has shape {array.shape}", why=f"two dimensions are needed, rows by {kind}")
    labels = table.columns if isinstance(table, pd.DataFrame) else range(1, array.shape[1] + 1)
    names = [str(label) if isinstance(table, pd.DataFrame) else f"{kind} {label}" for label in labels]
    if len(set(names)) < len(names):
        raise DesignError(f"two columns have the same name, among {', '.join(names)}", remedy=f"name each {kind} once")
    return names, dict(zip([f"{kind} {name!r}" for name in names], array.T, strict=True))


def numbers(values: ArrayLike, name: str) -> np.ndarray:
    """The values as floats; raises DesignError where they are not numbers, or rows differ in length."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DesignError(f"{name} holds something else than numbers", why=str(error)[:200]) from error
