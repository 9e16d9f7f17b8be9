"""Conformal inference for a synthetic control: permutations of the residuals over time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.impact.inference import TIE
from tne_eval.impact.simplex import DonorPanel, donor_panel, simplex_weights
from tne_eval.results import frame_html

# Residuals below this share of the spread are 0.
_NOTHING = 1e-10
# Effects tried inside the interval, doublings of its reach before it is called infinite, halvings of its ends.
_GRID, _DOUBLINGS, _HALVINGS = 201, 40, 40
_SCHEMES = ("moving block", "iid")


@dataclass(frozen=True, slots=True, eq=False)
class ConformalTest:
    """What `conformal_test` gives.

    effects : Series by period from `first_treated` on, the effects under the null, unit of the outcome.
    residuals : Series by time, treated less effects less the synthetic control fitted on all the periods.
    statistic : S_1, sum of the absolute residuals after the treatment / √(number of them).
    p_value : share of the permutations whose statistic is at least as large; smallest_p : the least it could be.
    n_permutations : permutations compared, the identity among them; exact : whether these are all there are.
    """

    effects: pd.Series
    residuals: pd.Series
    statistic: float
    p_value: float
    smallest_p: float
    n_permutations: int
    exact: bool

    def to_frame(self) -> pd.DataFrame:
        """One row by time: `residual`, and `effect` (0 before the treatment)."""
        frame = self.residuals.rename("residual").rename_axis("time").reset_index()
        return frame.assign(effect=self.effects.reindex(self.residuals.index, fill_value=0.0).to_numpy())

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class ConformalInterval:
    """What `conformal_interval` gives.

    low, high : smallest and largest effects found that are not rejected at level `alpha`; infinite where no effect is.
    p_values : Series by effect tried; connected : whether the effects kept among them are neighbours of one another.
    smallest_p : the least p that any effect could have; n_permutations, exact : as in ConformalTest.
    """

    low: float
    high: float
    alpha: float
    connected: bool
    smallest_p: float
    n_permutations: int
    exact: bool
    p_values: pd.Series = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """One row by effect tried: `effect`, `p_value`, `kept`."""
        frame = self.p_values.rename("p_value").rename_axis("effect").reset_index()
        return frame.assign(kept=frame["p_value"] > self.alpha)

    def _repr_html_(self) -> str:
        return frame_html(self)


def conformal_test(
    outcomes: pd.DataFrame,
    treated: Sequence[Hashable],
    first_treated: int,
    effect: float | ArrayLike = 0.0,
    donors: Sequence[Hashable] | None = None,
    *,
    permutations: str = "moving block",
    alpha: float = 0.1,
    max_permutations: int = 20_000,
    seed: int = 0,
) -> ConformalTest:
    """Test of a given effect by permutation of residuals over time (Chernozhukov, Wüthrich and Zhu 2021, § 2.2).

    The effect is taken off the treated, the synthetic control is fitted on all the periods (their equation 4), and S_1
    of the last residuals is compared with S_1 of the permuted ones: all T cyclic shifts ("moving block", for residuals
    that are stationary and weakly dependent), or all permutations ("iid", for exchangeable ones). S_1 depends on which
    residuals fall after the treatment only, so these subsets are enumerated, or `max_permutations` drawn.

    Parameters
    ----------
    outcomes : units × times (sorted integers), no missing cell; treated : labels, averaged; first_treated : a column.
    effect : one number, or one by period from `first_treated` on, unit of the outcome.
    donors : labels that may be donors; by default all the others.
    alpha : level that the permutations must be able to reject at, strictly between 0 and 1; seed : of the draws.

    For one period alone, leave the other post-periods out of `outcomes`. Raises DesignError on outcomes, labels or
    effects that do not fit, and where the smallest attainable p (1/T for shifts) exceeds `alpha`.
    """
    panel, places, exact = _prepare(
        outcomes, treated, first_treated, donors, permutations, alpha, max_permutations, seed
    )
    after = len(panel.times) - panel.pre
    effects = np.asarray(effect, dtype=float)
    if effects.shape not in ((), (after,)) or not np.isfinite(effects).all():
        raise DesignError(
            f"effect has shape {effects.shape}, or is not finite",
            why=f"it is one number, or one for each of the {after} periods from {first_treated} on",
            remedy="correct the effect",
        )
    effects = np.broadcast_to(effects, after).copy()
    residuals = _residuals(panel, effects)
    statistic, p_value = _p_value(residuals, places)
    return ConformalTest(
        effects=pd.Series(effects, index=panel.times[panel.pre :], name="effect"),
        residuals=pd.Series(residuals, index=panel.times, name="residual"),
        statistic=statistic,
        p_value=p_value,
        smallest_p=1 / len(places),
        n_permutations=len(places),
        exact=exact,
    )


def conformal_interval(
    outcomes: pd.DataFrame,
    treated: Sequence[Hashable],
    first_treated: int,
    donors: Sequence[Hashable] | None = None,
    *,
    grid: Sequence[float] | None = None,
    permutations: str = "moving block",
    alpha: float = 0.1,
    max_permutations: int = 20_000,
    seed: int = 0,
) -> ConformalInterval:
    """Constant effects that `conformal_test` does not reject at level `alpha` (same source, § 2.2, algorithm 1).

    With a grid, the ends are the first and the last of its effects that are kept. Without one, the reach around the
    estimate of the synthetic control is doubled until both ends are rejected, 201 effects are tried in between, and the
    outermost changes are bisected. The set kept need not be an interval: see `connected`.

    Parameters: as in `conformal_test`; grid : at least two increasing effects, unit of the outcome.

    Raises DesignError as `conformal_test`, and where every effect tried is rejected.
    """
    panel, places, exact = _prepare(
        outcomes, treated, first_treated, donors, permutations, alpha, max_permutations, seed
    )
    after = len(panel.times) - panel.pre

    def p_of(effect: float) -> float:
        return _p_value(_residuals(panel, np.full(after, effect)), places)[1]

    if grid is None:
        effects, endless = _automatic_grid(panel, p_of, alpha)
    else:
        effects, endless = _checked_grid(grid), (False, False)
    p_values = np.array([p_of(effect) for effect in effects])
    kept = np.flatnonzero(p_values > alpha)
    if not len(kept):
        raise DesignError(
            f"every constant effect tried is rejected at level {alpha:g}",
            where=f"{len(effects)} effects from {effects[0]:.6g} to {effects[-1]:.6g}",
            why="the effect is not constant over the periods, or the fit is poor throughout",
            remedy="test one post-period at a time, or give a finer or wider grid",
        )
    first, last = int(kept[0]), int(kept[-1])
    low, high = float(effects[first]), float(effects[last])
    if grid is None:
        low = -math.inf if endless[0] else _bisect(p_of, effects[first - 1], low, alpha)
        high = math.inf if endless[1] else _bisect(p_of, effects[last + 1], high, alpha)
    return ConformalInterval(
        low=low,
        high=high,
        alpha=alpha,
        connected=last - first + 1 == len(kept),
        smallest_p=1 / len(places),
        n_permutations=len(places),
        exact=exact,
        p_values=pd.Series(p_values, index=effects, name="p_value"),
    )


def _prepare(
    outcomes, treated, first_treated, donors, permutations, alpha, max_permutations, seed
) -> tuple[DonorPanel, np.ndarray, bool]:
    """Checked panel; (P, periods after) places of the residuals compared, the identity first; whether these are all."""
    if isinstance(donors, Mapping):
        raise DesignError("donors is a mapping", why="the treated are averaged", remedy="give one list of donors")
    if permutations not in _SCHEMES:
        raise DesignError(f"permutations is {permutations!r}", remedy=f"choose {' or '.join(map(repr, _SCHEMES))}")
    if not 0 < alpha < 1 or max_permutations < 1:
        why = "a level is strictly between 0 and 1, a number of permutations at least 1"
        raise DesignError(f"alpha is {alpha!r}, max_permutations {max_permutations!r}", why=why, remedy="correct them")
    panel = donor_panel(outcomes, treated, first_treated, donors)
    periods, after = len(panel.times), len(panel.times) - panel.pre
    total = periods if permutations == "moving block" else math.comb(periods, after)
    exact = permutations == "moving block" or total <= max_permutations
    if 1 / (total if exact else max_permutations + 1) > alpha:
        count = total if exact else max_permutations + 1
        raise DesignError(
            f"{count} permutations cannot reject at level {alpha:g}",
            why=f"the smallest p that {periods} periods can give by {permutations} permutations is {1 / count:.3g}",
            remedy="use more periods, iid permutations where residuals are exchangeable, or a higher alpha",
        )
    if permutations == "moving block":
        return panel, (np.arange(panel.pre, periods) + np.arange(periods)[:, None]) % periods, True
    if exact:
        return panel, np.array(list(itertools.combinations(range(periods), after)))[::-1], True
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.tile(np.arange(periods), (max_permutations, 1)), axis=1)[:, :after]
    return panel, np.vstack([np.arange(panel.pre, periods), drawn]), False


def _residuals(panel: DonorPanel, effects: np.ndarray) -> np.ndarray:
    """(T,) residuals of the synthetic control fitted on all the periods, under these effects."""
    own = panel.values[panel.treated].mean(0)
    own[panel.pre :] -= effects
    columns = panel.values[panel.candidates].T
    residuals = own - columns @ simplex_weights(columns, own)
    return np.where(np.abs(residuals) > _NOTHING * np.std(panel.values), residuals, 0.0)


def _p_value(residuals: np.ndarray, places: np.ndarray) -> tuple[float, float]:
    """S_1 and its p."""
    statistics = np.abs(residuals)[places].sum(1) / math.sqrt(places.shape[1])
    return float(statistics[0]), float(np.mean(statistics >= statistics[0] * (1 - TIE)))


def _automatic_grid(
    panel: DonorPanel, p_of: Callable[[float], float], alpha: float
) -> tuple[np.ndarray, tuple[bool, bool]]:
    """Effects around the estimate, out to rejected ones; whether none was found below, above."""
    own, columns = panel.values[panel.treated].mean(0), panel.values[panel.candidates].T
    gaps = own - columns @ simplex_weights(columns[: panel.pre], own[: panel.pre])
    centre = float(gaps[panel.pre :].mean())
    start = max(float(np.abs(gaps - np.where(np.arange(len(gaps)) < panel.pre, 0, centre)).max()), 1e-6 * np.ptp(own))
    start = start or 1e-6 * float(np.abs(panel.values).max()) or 1.0
    ends, endless = [], []
    for sign in (-1, 1):
        reach = start
        for _ in range(_DOUBLINGS):
            if rejected := p_of(centre + sign * reach) <= alpha:
                break
            reach *= 2
        ends.append(centre + sign * reach)
        endless.append(not rejected)
    return np.linspace(ends[0], ends[1], _GRID), (endless[0], endless[1])


def _checked_grid(grid: Sequence[float]) -> np.ndarray:
    effects = np.asarray(grid, dtype=float)
    if effects.ndim != 1 or len(effects) < 2 or not np.isfinite(effects).all() or (np.diff(effects) <= 0).any():
        raise DesignError("grid is not a list of increasing numbers", remedy="give at least two, increasing")
    return effects


def _bisect(p_of: Callable[[float], float], rejected: float, kept: float, alpha: float) -> float:
    """The kept end of the narrowest bracket of a change between a rejected effect and a kept one."""
    for _ in range(_HALVINGS):
        middle = (rejected + kept) / 2
        if p_of(middle) > alpha:
            kept = middle
        else:
            rejected = middle
    return float(kept)
