"""The specification curve: one effect under every defensible choice (Simonsohn, Simmons and Nelson 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.impact.inference import TIE, permutation_p
from tne_eval.impact.multiple import p_of_each
from tne_eval.results import frame_html


@dataclass(frozen=True, slots=True, eq=False)
class SpecificationCurve:
    """An effect under k specifications, from the lowest estimate up, and tests of the curve as a whole.

    Attributes
    ----------
    frame : one row per specification: the choices, `estimate`, `p_value` of its own permutation test, `smallest_p`.
    median : of the k estimates; low, high : lowest and highest.
    same_sign : share of them on the side of the median, 0-1; significant : share with p at most `alpha`.
    median_p, same_sign_p, significant_p : share of the re-assignments whose own curve has a median as far from 0, as
        many estimates on one side, as many small p. None where the specifications do not share their re-assignments.
    """

    frame: pd.DataFrame = field(repr=False)
    median: float
    low: float
    high: float
    same_sign: float
    significant: float
    alpha: float
    median_p: float | None
    same_sign_p: float | None
    significant_p: float | None

    def to_frame(self) -> pd.DataFrame:
        return self.frame.copy()

    def _repr_html_(self) -> str:
        return frame_html(self)


def specification_curve(
    choices: pd.DataFrame, statistics: list[ArrayLike], *, alpha: float = 0.05, shared: bool = True
) -> SpecificationCurve:
    """Estimates of k specifications, sorted, with the joint tests of Simonsohn, Simmons and Nelson (2020).

    Parameters
    ----------
    choices : (k, …) one row per specification, a column for each choice; each row stands once.
    statistics : k arrays (S_k,) of the estimate under re-assignments of the treatment, the observed one first. The
        joint tests need the same re-assignments, in the same order, in all of them.
    shared : whether they are the same; arrays of other lengths never are.

    Raises DesignError on no specification, another number of arrays than of rows, a specification that stands twice,
    and arrays that are empty or hold missing values.
    """
    arrays = [np.asarray(item, dtype=float) for item in statistics]
    if not len(choices) or len(arrays) != len(choices):
        raise DesignError(f"{len(choices)} specifications and {len(arrays)} arrays of statistics", why="one each")
    if choices.duplicated().any():
        raise DesignError(f"{int(choices.duplicated().sum())} specification(s) stand twice", why="each counts once")
    if wrong := [
        place for place, item in enumerate(arrays) if item.ndim != 1 or not np.isfinite(item).all() or not len(item)
    ]:
        raise DesignError(f"no finite statistics for specifications {wrong}", remedy="leave these out, and say so")
    frame = choices.assign(
        estimate=[item[0] for item in arrays],
        p_value=[permutation_p(item) for item in arrays],
        smallest_p=[1 / len(item) for item in arrays],
    )
    estimates = frame["estimate"].to_numpy()
    joint = (None, None, None)
    if shared and len({len(item) for item in arrays}) == 1:
        joint = _joint(np.column_stack(arrays), alpha)
    median = float(np.median(estimates))
    return SpecificationCurve(
        frame.sort_values("estimate", kind="stable", ignore_index=True),
        median,
        float(estimates.min()),
        float(estimates.max()),
        float(np.mean(np.sign(estimates) == np.sign(median))),
        float(np.mean(frame["p_value"] <= alpha)),
        alpha,
        *joint,
    )


def _joint(table: np.ndarray, alpha: float) -> tuple[float, float, float]:
    """p of the median, of the share of one sign and of the share of small p, over the rows of (S, k) statistics."""
    median = np.abs(np.median(table, axis=1))
    above = np.mean(table > 0, axis=1)
    one_side = np.maximum(above, np.mean(table < 0, axis=1))
    # The p that each re-assignment would have had in each specification: its rank among all of them.
    significant = np.mean(p_of_each(np.abs(table)) <= alpha + TIE, axis=1)
    return tuple(float(np.mean(item >= item[0] - TIE * max(1.0, item[0]))) for item in (median, one_side, significant))
