"""Dose-response among the treated: does more of the programme go with more change?"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.impact.inference import permutation_p

_FEWEST = 4


@dataclass(frozen=True, slots=True, eq=False)
class DoseResponse:
    """Slope of the change on the dose among treated units, and what puts it in doubt.

    Attributes
    ----------
    slope : change for one unit of dose; p_value, smallest_p : of the doses re-assigned among the treated.
    low, high : slopes when each unit in turn is left out.
    correlation : of dose and change, −1 to 1; n : treated units; exact : all re-assignments were taken.
    placebo : (S,) slopes of the re-assignments, the observed one first.
    """

    slope: float
    p_value: float
    smallest_p: float
    low: float
    high: float
    correlation: float
    n: int
    exact: bool
    placebo: np.ndarray = field(repr=False)


def dose_response(
    change: ArrayLike, dose: ArrayLike, *, max_enumeration: int = 50_000, draws: int = 9_999, seed: int = 0
) -> DoseResponse:
    """Least-squares slope of `change` on `dose`, tested by re-assigning the doses among the units.

    It is the effect of one more unit of dose only if units of unlike dose would have changed alike at every dose
    ("strong" parallel trends: Callaway, Goodman-Bacon and Sant'Anna 2024), which a dose that territories chose makes
    doubtful. The test is exact where the dose was as good as drawn by lot (Fisher 1935).

    Parameters
    ----------
    change, dose : (n,) of the treated units, no missing value; change is already net of that of the controls.

    Raises DesignError on fewer than four units, missing values, or doses that are all the same.
    """
    change, dose = np.asarray(change, dtype=float), np.asarray(dose, dtype=float)
    if change.ndim != 1 or change.shape != dose.shape:
        raise DesignError(f"change has shape {change.shape} and dose {dose.shape}", why="one of each is needed a unit")
    if not (np.isfinite(change).all() and np.isfinite(dose).all()):
        raise DesignError("change or dose holds missing or infinite values", remedy="leave these units out")
    n = len(change)
    if n < _FEWEST:
        raise DesignError(f"{n} treated units with a known dose", why=f"a slope over fewer than {_FEWEST} says nothing")
    centred = dose - dose.mean()
    spread = float(centred @ centred)
    if spread <= 1e-18 * max(1.0, float(dose @ dose)):
        raise DesignError("the doses are all the same", why="no slope can be read")
    orders, exact = _orders(n, max_enumeration, draws, seed)
    placebo = centred[orders] @ change / spread
    outs = [_slope(np.delete(change, unit), np.delete(dose, unit)) for unit in range(n)]
    norm = float(np.sqrt(spread) * np.linalg.norm(change - change.mean()))
    return DoseResponse(
        slope=float(placebo[0]),
        p_value=permutation_p(placebo),
        smallest_p=1 / len(placebo),
        low=float(np.nanmin(outs)),
        high=float(np.nanmax(outs)),
        correlation=float(centred @ change) / norm if norm > 0 else 0.0,
        n=n,
        exact=exact,
        placebo=placebo,
    )


def _orders(n: int, most: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Re-assignments as orders of the units, the observed one first."""
    if math.factorial(n) <= most:
        return np.array(list(itertools.permutations(range(n)))), True
    rng = np.random.default_rng(seed)
    return np.vstack([np.arange(n), rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)]), False


def _slope(change: np.ndarray, dose: np.ndarray) -> float:
    centred = dose - dose.mean()
    spread = float(centred @ centred)
    return float(centred @ change) / spread if spread > 0 else math.nan
