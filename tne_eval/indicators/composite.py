"""A composite indicator, never without the ranks that other defensible choices give (OECD/JRC Handbook 2008)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.indicators.composite_steps import (
    AGGREGATIONS,
    NORMALISATIONS,
    WEIGHTINGS,
    aggregate,
    benefit_of_the_doubt,
    entropy_weights,
    equal_weights,
    normalise,
    pca_weights,
)
from tne_eval.indicators.sensitivity import Shares, crossing_shares, largest_crossing, sobol_shares

_INTERVALS = ["rank_low", "rank_high", "rank_median", "top_quarter_share", "bottom_quarter_share"]
_NOT_COMBINED = (
    (
        {"normalisation": ("z_score",), "aggregation": ("geometric",)},
        "z_score with geometric: z-scores are not above zero",
    ),
    (
        {"weighting": ("benefit_of_the_doubt",), "normalisation": ("z_score",)},
        "benefit_of_the_doubt with z_score: z-scores are not above zero",
    ),
    (
        {"weighting": ("benefit_of_the_doubt",), "aggregation": ("geometric",)},
        "benefit_of_the_doubt with geometric: it is a ratio of weighted sums",
    ),
)


@dataclass(frozen=True, slots=True)
class Component:
    """One indicator of a composite.

    `direction` says which values are better, "higher" or "lower". `weight` is its part of a budget of 1, `level` the
    group that it stands in; both are given to every component or to none.
    """

    id: str
    direction: str
    weight: float | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices held to be defensible: the ranks are computed under every combination of them that can be used.

    "budget" joins the weightings by itself where the components carry weights. With `leave_one_out` each indicator is
    also left out in turn, unless it is alone in its level or only two are there.
    """

    normalisation: tuple[str, ...] = NORMALISATIONS
    weighting: tuple[str, ...] = ("equal", "pca", "entropy", "benefit_of_the_doubt")
    aggregation: tuple[str, ...] = AGGREGATIONS
    leave_one_out: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class CompositeResult:
    """A composite with its uncertainty; it cannot be made without rank intervals.

    Attributes
    ----------
    components, normalisation, weighting, aggregation : what was done.
    scores : by unit, higher is better; on the scale of the normalisation, or (0, 1] under benefit of the doubt.
    ranks : by unit, 1 is the best score; equal scores share the better rank.
    weights : units × indicators, rows summing to one: all rows alike, but for the shares of benefit of the doubt.
    intervals : by unit, over all combinations: best and worst rank, median rank, share of the combinations that put it
        in the top and in the bottom quarter (n/4 rounded down, at least one unit).
    combinations : one row each: normalisation, weighting, aggregation, left_out ("" for none), and mean_shift, the mean
        absolute difference of ranks to this result (R_S of Saisana, Saltelli and Tarantola 2005, equation 6).
    combination_ranks : combinations × units, ties sharing the middle of their ranks.
    crossing : the levels of each choice over which shares are computed: the largest complete crossing, since shares of
        choices that cannot be combined freely are not defined.
    shift_shares : by choice, `first` and `total` share of the variance of mean_shift over the crossing.
    rank_shares : by unit, columns (first or total, choice), of the variance of its rank; 0 where it never moves.
    excluded : the combinations that were not made, with the reason.
    left_out : the units for which an indicator is not known, where the table was taken from a panel.
    periods : the period of each indicator, likewise.
    """

    components: tuple[Component, ...]
    normalisation: str
    weighting: str
    aggregation: str
    scores: pd.Series = field(repr=False)
    ranks: pd.Series = field(repr=False)
    weights: pd.DataFrame = field(repr=False)
    intervals: pd.DataFrame = field(repr=False)
    combinations: pd.DataFrame = field(repr=False)
    combination_ranks: pd.DataFrame = field(repr=False)
    crossing: Mapping[str, tuple[str, ...]]
    shift_shares: pd.DataFrame = field(repr=False)
    rank_shares: pd.DataFrame = field(repr=False)
    excluded: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    periods: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        intervals = self.intervals
        complete = (
            isinstance(intervals, pd.DataFrame)
            and list(intervals.columns) == _INTERVALS
            and intervals.index.equals(self.scores.index)
            and self.ranks.index.equals(self.scores.index)
            and bool(intervals.notna().all(axis=None))
            and bool((intervals["rank_low"] <= self.ranks).all() and (self.ranks <= intervals["rank_high"]).all())
        )
        if not complete or len(self.combinations) < 2:
            raise DesignError(
                "a composite without its rank intervals",
                why="a rank that other defensible choices would change must be shown with them",
                remedy="make it with composite_index, under two combinations of choices or more",
            )

    def to_frame(self) -> pd.DataFrame:
        """One row per unit, best first: score, rank, and the interval of its ranks."""
        frame = pd.concat([self.scores.rename("score"), self.ranks.rename("rank"), self.intervals], axis=1)
        return frame.sort_values("rank", kind="stable")

    def to_dict(self) -> dict:
        """What was done and every row of `to_frame`, ready for JSON."""
        return {
            "indicators": [component.id for component in self.components],
            "normalisation": self.normalisation,
            "weighting": self.weighting,
            "aggregation": self.aggregation,
            "combinations": len(self.combinations),
            "mean_shift": float(self.combinations["mean_shift"].mean()),
            "excluded": list(self.excluded),
            "left_out": list(self.left_out),
            "periods": dict(self.periods),
            "rows": self.to_frame().rename_axis("unit").reset_index().to_dict(orient="records"),
        }

    def _repr_html_(self) -> str:
        return self.to_frame().to_html()


class WeightUncertainty(NamedTuple):
    """Ranks when the weights alone are uncertain.

    `intervals` : by unit, rank_low, rank_median and rank_high, the 2.5, 50 and 97.5 % quantiles of its rank.
    `mean_shift` : mean absolute difference of ranks to the weights as they stand, averaged over the draws.
    `shares` : by indicator, `first` and `total` Sobol share of its weight in the variance of that difference.
    """

    intervals: pd.DataFrame
    mean_shift: float
    shares: pd.DataFrame


def composite_index(
    table: pd.DataFrame,
    indicators: Mapping[str, str] | Sequence[Component],
    normalisation: str = "min_max",
    weighting: str = "equal",
    aggregation: str = "arithmetic",
    choices: Choices | None = None,
) -> CompositeResult:
    """A composite of several indicators, with the ranks under all defensible choices (OECD/JRC Handbook 2008).

    Parameters
    ----------
    table : units in rows, indicators in columns, in any units; other columns are not read. It is not modified.
    indicators : id → direction ("higher" or "lower" is better), or `Component`s where there are weights or levels.
    normalisation : min_max (1 to 100), z_score, rank (1 to 100).
    weighting : equal (inside each level, then between levels), pca, entropy, budget (the weights of the components),
        benefit_of_the_doubt (shares between half and twice the equal weights, at most 1). PCA and entropy weights are
        estimated on the indicators brought to min_max, whatever the normalisation, so that a weighting is one thing.
    aggregation : arithmetic, geometric.
    choices : the alternatives; None for all of them. The choice made is one of them in any case.

    Returns
    -------
    CompositeResult.

    Raises
    ------
    UnknownNameError : an indicator that the table does not hold, a method that does not exist.
    DesignError : values missing or infinite (all places are listed; leaving out or imputing is the caller's choice),
        a constant indicator, fewer than two units or indicators, repeated names, an unknown direction, weights that do
        not sum to one, too few units for principal components, methods that do not go together.
    """
    components = _components(indicators, table)
    values = _values(table, [component.id for component in components])
    oriented = values * np.array([1.0 if component.direction == "higher" else -1.0 for component in components])
    levels = _levels(components, (normalisation, weighting, aggregation), choices or Choices())
    names = ["normalisation", "weighting", "aggregation", "left_out"]
    made = dict(zip(names, (normalisation, weighting, aggregation, ""), strict=True))
    for pair, why in _NOT_COMBINED:
        if _holds(pair, made):
            raise DesignError("a combination of choices that is not defined", why=why, remedy="change one of the two")

    scores, rows, own = [], [], None
    for left_out in levels["left_out"]:
        kept = np.array([component.id != left_out for component in components])
        run = _Run(oriented[:, kept], [component for component in components if component.id != left_out])
        for method in itertools.product(levels["normalisation"], levels["weighting"], levels["aggregation"]):
            combination = dict(zip(names, (*method, left_out), strict=True))
            if not _combines(combination):
                continue
            score, weights = run.score(*method)
            if combination == made:
                own = len(rows), weights
            rows.append(combination)
            scores.append(score)
    assert own is not None  # `_levels` puts the choice made among the levels
    place, weights = own
    units = table.index
    ranks = {method: _rank(np.array(scores), method) for method in ("min", "average", "max")}
    middle = ranks["average"]
    combinations = pd.DataFrame(rows, columns=names)
    combinations["mean_shift"] = np.abs(middle - middle[place]).mean(axis=1)
    # What is left out meets every method, so that only the methods need a search.
    free = {"left_out": levels.pop("left_out")}
    crossing = largest_crossing(levels, _combines) | free
    shift_shares, rank_shares = _shares(combinations, middle, crossing, units)
    ids = [component.id for component in components]
    return CompositeResult(
        components=components,
        normalisation=normalisation,
        weighting=weighting,
        aggregation=aggregation,
        scores=pd.Series(scores[place], index=units, name="score"),
        ranks=pd.Series(ranks["min"][place].astype(int), index=units, name="rank"),
        weights=pd.DataFrame(np.broadcast_to(weights, values.shape).copy(), index=units, columns=ids),
        intervals=_intervals(ranks, units),
        combinations=combinations,
        combination_ranks=pd.DataFrame(middle, columns=units),
        crossing={name: kept for name, kept in crossing.items() if len(kept) > 1},
        shift_shares=shift_shares,
        rank_shares=rank_shares,
        excluded=_excluded(levels | free, components, choices or Choices()),
    )


def weight_uncertainty(
    result: CompositeResult, table: pd.DataFrame, spread: float = 0.25, n: int = 1024, seed: int = 0
) -> WeightUncertainty:
    """Ranks of a composite when each weight may be wrong by up to `spread` (Saisana, Saltelli and Tarantola 2005).

    Every weight is multiplied by a factor drawn uniformly in [1 − spread, 1 + spread], independently, and the weights
    are brought back to a sum of one; the other choices stay those of `result`.

    Parameters
    ----------
    result : of `composite_index` on `table`, with one set of weights for all units.
    spread : 0 < spread < 1.
    n, seed : as in `sobol_shares`; the draws number n (k + 2).

    Raises DesignError under benefit of the doubt (each unit has weights of its own), and on a spread out of bounds.
    """
    if not 0 < spread < 1:
        raise DesignError(f"a spread of {spread}", why="weights must stay above zero", remedy="choose between 0 and 1")
    if result.weighting == "benefit_of_the_doubt":
        raise DesignError(
            "weights of benefit_of_the_doubt have no spread", why="each unit chooses its own", remedy="use another"
        )
    ids = [component.id for component in result.components]
    values = _values(table, ids)
    if list(table.index) != list(result.scores.index):
        raise DesignError("the table has other units than the result", remedy="give the table that made it")
    direction = np.array([1.0 if component.direction == "higher" else -1.0 for component in result.components])
    normalised = normalise(values * direction, result.normalisation)
    # Ranks of geometric means are those of weighted sums of logarithms.
    terms = np.log(normalised) if result.aggregation == "geometric" else normalised
    base = result.weights.to_numpy()[0]
    own = _rank((terms @ base)[None], "average")
    drawn: list[np.ndarray] = []

    def shift(points: np.ndarray) -> np.ndarray:
        weights = base * (1 - spread + 2 * spread * points)
        ranks = _rank(weights / weights.sum(axis=1, keepdims=True) @ terms.T, "average")
        drawn.append(ranks)
        return np.abs(ranks - own).mean(axis=1)

    shares = sobol_shares(shift, len(ids), n, seed)
    ranks = np.concatenate(drawn)
    quantiles = np.quantile(ranks, [0.025, 0.5, 0.975], axis=0)
    return WeightUncertainty(
        pd.DataFrame(quantiles.T, index=table.index, columns=["rank_low", "rank_median", "rank_high"]),
        float(np.abs(ranks - own).mean()),
        pd.DataFrame(shares._asdict(), index=pd.Index(ids, name="indicator")),
    )


def _components(indicators: Mapping[str, str] | Sequence[Component], table: pd.DataFrame) -> tuple[Component, ...]:
    if not isinstance(table, pd.DataFrame):
        raise DesignError(f"a table of type {type(table).__name__}", remedy="give a DataFrame, units × indicators")
    components = tuple(
        itertools.starmap(Component, indicators.items()) if isinstance(indicators, Mapping) else indicators
    )
    if not all(isinstance(component, Component) for component in components):
        raise DesignError("indicators without a direction", remedy="give id → 'higher' or 'lower', or Components")
    if repeated := _repeated(component.id for component in components):
        raise DesignError(f"indicators given twice: {', '.join(repeated)}", remedy="keep each once")
    for component in components:
        if component.id not in table.columns:
            raise UnknownNameError("indicator of the table", component.id, map(str, table.columns))
        if component.direction not in ("higher", "lower"):
            raise DesignError(
                f"direction {component.direction!r} of {component.id}",
                why="the direction says which values are better, and is never guessed",
                remedy="write 'higher' or 'lower'",
            )
    if len(components) < 2:
        raise DesignError(f"a composite of {len(components)} indicator", remedy="give two or more")
    for what, given in (
        ("weight", [component.weight is not None for component in components]),
        ("level", [component.level is not None for component in components]),
    ):
        if any(given) and not all(given):
            without = [component.id for component, has in zip(components, given, strict=True) if not has]
            raise DesignError(f"no {what} for {', '.join(without)}", remedy=f"give every component a {what}, or none")
    if components[0].weight is not None:
        budget = np.array([component.weight for component in components], dtype=float)
        if not np.isfinite(budget).all() or budget.min() <= 0 or abs(budget.sum() - 1) > 1e-9:
            raise DesignError(
                f"a budget of {budget.sum():g}", why="weights must be above zero and sum to 1", remedy="share out 1"
            )
    return components


def _values(table: pd.DataFrame, ids: list[str]) -> np.ndarray:
    """(n, k) finite values, each column divided by its largest size; every missing value is told at once."""
    if repeated := _repeated(table.index):
        raise DesignError(f"units given twice: {_some(repeated)}", remedy="keep one row per unit")
    if repeated := _repeated(name for name in table.columns if name in ids):
        raise DesignError(f"columns given twice: {_some(repeated)}", remedy="keep one column per indicator")
    if len(table) < 2:
        raise DesignError(f"a composite of {len(table)} unit", why="units are ranked among others", remedy="give more")
    try:
        values = table[ids].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DesignError("the table holds cells that are not numbers", why=str(error)) from error
    for what, bad in (("missing", np.isnan(values)), ("infinite", np.isinf(values))):
        if bad.any():
            places = [
                f"{id}: {_some(table.index[column])}" for id, column in zip(ids, bad.T, strict=True) if column.any()
            ]
            raise DesignError(
                f"{bad.sum()} {what} values",
                where="; ".join(places),
                why="a composite does not choose for you between leaving out and imputing",
                remedy="leave these units or indicators out, or impute, before",
            )
    # Units of measure do not matter, and sums of squares of very large or small values must not leave the floats.
    largest = np.abs(values).max(axis=0)
    values = values / np.where(largest > 0, largest, 1)
    constant = [id for id, flat in zip(ids, np.ptp(values, axis=0) <= 1e-12, strict=True) if flat]
    if constant:
        raise DesignError(
            f"constant indicators: {', '.join(constant)}",
            why="an indicator that is the same everywhere ranks nobody and cannot be normalised",
            remedy="leave it out",
        )
    return values


def _repeated(names: Iterable) -> list:
    return [name for name, count in Counter(names).items() if count > 1]


def _some(names: Iterable, limit: int = 20) -> str:
    """The names, or the first ones and how many follow."""
    texts = [str(name) for name in names]
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _levels(
    components: tuple[Component, ...], made: tuple[str, str, str], choices: Choices
) -> dict[str, tuple[str, ...]]:
    """The levels of each choice, the one made among them; the indicators that may be left out."""
    levels = {}
    known = {"normalisation": NORMALISATIONS, "weighting": WEIGHTINGS, "aggregation": AGGREGATIONS}
    budget = components[0].weight is not None
    for (name, methods), own in zip(known.items(), made, strict=True):
        wanted = (own, *getattr(choices, name), *(("budget",) if name == "weighting" and budget else ()))
        for method in wanted:
            if method not in methods:
                raise UnknownNameError(name, method, methods)
        levels[name] = tuple(method for method in methods if method in wanted)
    if "budget" in levels["weighting"] and not budget:
        raise DesignError("a budget without weights", remedy="give every component a weight; together they make 1")
    droppable = _droppable(components) if choices.leave_one_out else []
    levels["left_out"] = ("", *droppable)
    return levels


def _droppable(components: tuple[Component, ...]) -> list[str]:
    """Indicators without which a composite of the same levels remains."""
    if len(components) < 3:
        return []
    count = Counter(component.level for component in components)
    return [component.id for component in components if component.level is None or count[component.level] > 1]


def _holds(pair: Mapping[str, tuple[str, ...]], combination: Mapping[str, str]) -> bool:
    return all(combination[name] in methods for name, methods in pair.items())


def _combines(combination: Mapping[str, str]) -> bool:
    return not any(_holds(pair, combination) for pair, _ in _NOT_COMBINED)


def _excluded(
    levels: Mapping[str, tuple[str, ...]], components: tuple[Component, ...], choices: Choices
) -> tuple[str, ...]:
    """What was not combined, and which indicators were not left out in turn, with reasons."""
    told = [
        why for pair, why in _NOT_COMBINED if all(set(methods) & set(levels[name]) for name, methods in pair.items())
    ]
    if choices.leave_one_out:
        kept = [component.id for component in components if component.id not in levels["left_out"]]
        why = "one indicator is no composite" if len(components) < 3 else "alone in its level"
        told += [f"without {id}: {why}" for id in kept]
    return tuple(told)


class _Run:
    """Scores of one set of indicators; weights and normalised values are made once for all combinations."""

    def __init__(self, oriented: np.ndarray, components: list[Component]) -> None:
        self.oriented, self.components = oriented, components
        self.scaled = normalise(oriented, "min_max")
        self.normalised = {"min_max": self.scaled}
        self.weights: dict[str, np.ndarray] = {}
        self.equal = equal_weights(tuple(component.level for component in components))

    def score(self, normalisation: str, weighting: str, aggregation: str) -> tuple[np.ndarray, np.ndarray]:
        """(n,) scores and (k,) weights, or (n, k) shares under benefit of the doubt."""
        if weighting == "benefit_of_the_doubt":
            return benefit_of_the_doubt(self.scaled, self.equal / 2, np.minimum(2 * self.equal, 1))
        if normalisation not in self.normalised:
            self.normalised[normalisation] = normalise(self.oriented, normalisation)
        if weighting not in self.weights:
            self.weights[weighting] = self._weight(weighting)
        weight = self.weights[weighting]
        return aggregate(self.normalised[normalisation], weight, aggregation), weight

    def _weight(self, weighting: str) -> np.ndarray:
        if weighting == "equal":
            return self.equal
        if weighting == "pca":
            return pca_weights(self.scaled)
        if weighting == "entropy":
            return entropy_weights(self.scaled)
        budget = np.array([component.weight for component in self.components], dtype=float)
        return budget / budget.sum()


def _rank(scores: np.ndarray, ties: str) -> np.ndarray:
    """(combinations, units) ranks, 1 the best; scores that differ by rounding only are tied."""
    scale = np.abs(scores).max(axis=1, keepdims=True)
    return stats.rankdata(-np.round(scores / np.where(scale > 0, scale, 1), 9), method=ties, axis=1)


def _intervals(ranks: Mapping[str, np.ndarray], units: pd.Index) -> pd.DataFrame:
    n = len(units)
    quarter = max(1, n // 4)
    columns = [
        ranks["min"].min(axis=0).astype(int),
        ranks["max"].max(axis=0).astype(int),
        np.median(ranks["average"], axis=0),
        (ranks["min"] <= quarter).mean(axis=0),
        (ranks["max"] > n - quarter).mean(axis=0),
    ]
    return pd.DataFrame(dict(zip(_INTERVALS, columns, strict=True)), index=units)


def _shares(
    combinations: pd.DataFrame, ranks: np.ndarray, crossing: Mapping[str, tuple[str, ...]], units: pd.Index
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sobol shares of the choices that vary in the crossing: of the mean shift, and of the rank of each unit."""
    inside = np.logical_and.reduce([combinations[name].isin(kept) for name, kept in crossing.items()])
    outputs = np.column_stack([combinations["mean_shift"], ranks])[inside]
    varied = [name for name, kept in crossing.items() if len(kept) > 1]
    if varied:
        shares = crossing_shares(combinations.loc[inside, varied], outputs)
    else:  # combinations that differ in several choices at once: nothing can be told apart
        shares = Shares(*np.zeros((2, 0, outputs.shape[1])))
    index = pd.Index(varied, name="choice")
    shift = pd.DataFrame({name: part[:, 0] for name, part in shares._asdict().items()}, index=index)
    by_unit = {name: pd.DataFrame(part[:, 1:].T, index=units, columns=index) for name, part in shares._asdict().items()}
    return shift, pd.concat(by_unit, axis=1)
