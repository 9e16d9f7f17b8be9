"""How much each uncertain choice moves a result: exact shares over a crossing of choices, estimated over ranges."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from tne_eval.errors import DesignError


class Shares(NamedTuple):
    """Variance shares, one row per input (k) and one column per output (m); each is 0 where an output never moves.

    `first` is what the input explains alone, `total` what it takes part in: 0 ≤ first ≤ total ≤ 1 where exact, and
    the first-order shares sum to at most 1.
    """

    first: np.ndarray
    total: np.ndarray


def crossing_shares(choices: pd.DataFrame, outputs: ArrayLike) -> Shares:
    """Sobol shares of discrete choices, exact, by conditional variances over every combination.

    Saltelli et al. 2008, equations 1.25 and 1.34: first = Var(E[Y|X_i]) / Var(Y), total = 1 − Var(E[Y|X_~i]) / Var(Y),
    each level of a choice being as likely as another.

    Parameters
    ----------
    choices : one row per combination, one column per choice (k); a complete crossing, each combination once.
    outputs : (combinations,) or (combinations, m).

    Returns
    -------
    Shares, (k,) each for one output, (k, m) for several.

    Raises DesignError on an incomplete crossing, repeated combinations, or outputs missing or of another length.
    """
    values = np.asarray(outputs, dtype=float)
    if values.ndim not in (1, 2) or len(values) != len(choices) or not len(choices):
        raise DesignError(
            f"outputs of shape {values.shape} for {len(choices)} combinations", remedy="give one row per combination"
        )
    if not np.isfinite(values).all():
        raise DesignError("the outputs hold missing or infinite values")
    levels = np.prod([choices[name].nunique(dropna=False) for name in choices])
    if choices.duplicated().any() or levels != len(choices):
        raise DesignError(
            f"{len(choices)} combinations of choices where a complete crossing has {levels:.0f}",
            why="the shares of choices that depend on each other are not defined",
            remedy="keep a crossing in which every level meets every other once: see largest_crossing",
        )
    table = values.reshape(len(values), -1)
    variance = table.var(axis=0)
    # Rounding alone leaves a variance of this size in outputs that are all equal.
    still = variance <= 1e-24 * np.maximum(np.abs(table).max(axis=0), 1) ** 2
    scale = np.where(still, 1.0, variance)

    def explained(names: list[str]) -> np.ndarray:
        if not names:
            return np.zeros(table.shape[1])
        place = choices.groupby(names, sort=False, dropna=False).ngroup().to_numpy()
        member = (place == np.arange(place.max() + 1)[:, None]).astype(float)
        # The crossing is complete: all groups have one size.
        means = member @ table / member.sum(axis=1, keepdims=True)
        return np.where(still, 0.0, means.var(axis=0) / scale)

    names = list(choices.columns)
    first = np.array([explained([name]) for name in names])
    rest = np.array([explained([other for other in names if other != name]) for name in names])
    total = np.where(still, 0.0, 1 - rest)
    shape = (len(names), *values.shape[1:])
    return Shares(np.clip(first, 0, 1).reshape(shape), np.clip(total, 0, 1).reshape(shape))


def largest_crossing(
    levels: Mapping[str, Sequence[str]], admissible: Callable[[Mapping[str, str]], bool]
) -> dict[str, tuple[str, ...]]:
    """Levels of each choice that may all be combined: most choices that vary first, then most combinations.

    `admissible` says whether one combination may be used. Among equals the levels that come first win. Meant for a few
    choices of a few levels: every subset is tried. Raises DesignError where no combination is admissible.
    """
    allowed = {
        combination: admissible(dict(zip(levels, combination, strict=True)))
        for combination in itertools.product(*levels.values())
    }
    if not any(allowed.values()):
        raise DesignError("no combination of these choices can be used", remedy="add levels to the choices")
    subsets = [
        [subset for size in range(len(names), 0, -1) for subset in itertools.combinations(names, size)]
        for names in levels.values()
    ]
    best, key = None, (-1, -1)
    for kept in itertools.product(*subsets):
        sizes = [len(subset) for subset in kept]
        candidate = (sum(size > 1 for size in sizes), int(np.prod(sizes)))
        if candidate > key and all(allowed[combination] for combination in itertools.product(*kept)):
            best, key = kept, candidate
    return dict(zip(levels, best, strict=True))


def sobol_shares(function: Callable[[np.ndarray], ArrayLike], k: int, n: int = 1024, seed: int = 0) -> Shares:
    """Sobol shares of k continuous inputs, independent and uniform on [0, 1], by the estimators of Saltelli 2010.

    Saltelli, Annoni, Azzini, Campolongo, Ratto and Tarantola 2010, table 2 (b) and (f), on scrambled Sobol points,
    through `scipy.stats.sobol_indices`. The shares carry an error that falls about as 1/n for smooth functions; a share
    that is zero may come out slightly negative.

    Parameters
    ----------
    function : (rows, k) array to (rows,) or (rows, m) outputs; called with n and with n × k rows.
    k : number of inputs, 2 or more.
    n : base sample, a power of 2; the function is evaluated at n (k + 2) points.
    seed : of the scrambling.

    Returns
    -------
    Shares, (k,) each for one output, (k, m) for several.

    Raises DesignError on another k or n, and on outputs missing, infinite or of another length.
    """
    if k < 2:
        raise DesignError(f"{k} input", why="shares divide a variance between two inputs or more")
    if n < 2 or n & (n - 1):
        raise DesignError(f"a base sample of {n}", why="Sobol points are balanced for powers of 2", remedy="try 1024")
    one = False

    def evaluate(points: np.ndarray) -> np.ndarray:
        nonlocal one
        out = np.asarray(function(points.T), dtype=float)
        if out.ndim not in (1, 2) or len(out) != points.shape[1]:
            raise DesignError(f"the function gives outputs of shape {out.shape} for {points.shape[1]} rows of inputs")
        if not np.isfinite(out).all():
            raise DesignError("the function gives missing or infinite outputs")
        one = out.ndim == 1
        return out.T.copy()

    found = stats.sobol_indices(func=evaluate, n=n, dists=[stats.uniform()] * k, rng=np.random.default_rng(seed))
    first, total = (np.reshape(part, (-1, k)).T for part in (found.first_order, found.total_order))
    return Shares(first[:, 0], total[:, 0]) if one else Shares(first, total)
