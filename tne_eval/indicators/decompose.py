"""What an inequality is made of: groups, sources of a total, or the parts of any figure (Shapley)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import mid_rank, weighted_arrays
from tne_eval.indicators.groups import at_least_two, group_codes, named_columns
from tne_eval.indicators.inequality import generalized_entropy, gini
from tne_eval.indicators.statistic import as_statistic

SHAPLEY_LIMIT = 12


@dataclass(frozen=True, slots=True)
class EntropyDecomposition:
    """GE(`alpha`) of all units = `between` groups + `within` them.

    `frame` has one row per group: `group`, `population_share` and `value_share` (0-1), `mean`, `index` (GE inside the
    group) and `contribution` to `within`.
    """

    total: float
    between: float
    within: float
    alpha: float
    frame: pd.DataFrame

    @property
    def between_percent(self) -> float:
        """Inequality between groups, in percent of the total; 0 where the total is 0."""
        return 100 * self.between / self.total if self.total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class GiniDecomposition:
    """Gini of all units = `between` groups + `within` them + `overlap`, 0 where the groups' ranges do not overlap.

    `frame` has one row per group: `group`, `population_share` and `value_share` (0-1), `mean`, `index` (Gini inside
    the group) and `contribution` to `within`.
    """

    total: float
    between: float
    within: float
    overlap: float
    frame: pd.DataFrame


@dataclass(frozen=True, slots=True)
class GiniSources:
    """Gini of a total = Σ `contribution` of its sources.

    `frame` has one row per source: `source`, `share` of the total, `gini` of the source, `correlation` (Gini
    correlation of the source with the rank in the total, −1 to 1) and `contribution` = share × gini × correlation.
    """

    total: float
    frame: pd.DataFrame


def decompose_entropy(
    value: ArrayLike, group: ArrayLike, alpha: float, weight: ArrayLike | None = None
) -> EntropyDecomposition:
    """Generalised entropy between groups and within them; the two sum to the total.

    Within: Σ f_g^(1−α) v_g^α GE_g, for population shares f and value shares v; between: GE of the group means.

    Parameters
    ----------
    value : (n,) values of zero or more, positive where alpha ≤ 0; group : (n,) labels of at least two groups.
    alpha : 0 is Theil L, 1 is Theil T; the between part compares across α, the within weights sum to 1 for 0 and 1.
    weight : (n,) weights of zero or more; None gives each 1.

    A group of one unit, or of zeros only, has index 0 (limit).
    Raises DesignError as `generalized_entropy` does, on missing labels and on fewer than two groups.
    Source: Shorrocks (1980, 1984).
    """
    value, weight, slices, labels = _sorted_by_group(value, group, weight)
    total = generalized_entropy(value, alpha, weight)
    frame = _group_frame(value, weight, slices, labels, lambda v, w: generalized_entropy(v, alpha, w))
    positive = frame["value_share"].to_numpy() > 0
    shares = frame[["population_share", "value_share"]].to_numpy()[positive]
    contribution = np.zeros(len(frame))
    contribution[positive] = shares[:, 0] ** (1 - alpha) * shares[:, 1] ** alpha * frame["index"].to_numpy()[positive]
    between = generalized_entropy(frame["mean"], alpha, frame["population_share"])
    return EntropyDecomposition(
        total, between, float(contribution.sum()), float(alpha), frame.assign(contribution=contribution)
    )


def decompose_gini(value: ArrayLike, group: ArrayLike, weight: ArrayLike | None = None) -> GiniDecomposition:
    """Gini between groups, within them, and the overlap of their ranges; the three sum to the total.

    Between: Gini of the group means; within: Σ f_g v_g G_g, for population shares f and value shares v; overlap: what
    ranking by value, instead of by group mean and then by value, adds to the concentration of the values.

    Parameters
    ----------
    value : (n,) values of zero or more, with a positive mean; group : (n,) labels of at least two groups;
    weight : (n,) weights of zero or more; None gives each 1.

    A group of one unit, or of zeros only, has index 0 (limit).
    Raises DesignError as `gini` does, on missing labels and on fewer than two groups.
    Source: Lambert and Aronson (1993).
    """
    value, weight, slices, labels = _sorted_by_group(value, group, weight)
    total = gini(value, weight)
    frame = _group_frame(value, weight, slices, labels, gini)
    frame["contribution"] = frame["population_share"] * frame["value_share"] * frame["index"]
    between = gini(frame["mean"], frame["population_share"])
    within = float(frame["contribution"].sum())
    return GiniDecomposition(total, between, within, total - between - within, frame)


def decompose_gini_sources(sources: pd.DataFrame | ArrayLike, weight: ArrayLike | None = None) -> GiniSources:
    """Gini of the row sums, source by source: G = Σ S_k G_k R_k.

    S_k is the share of the source in the total, G_k its own Gini, R_k its Gini correlation with the rank in the total
    (0 for a source that does not vary: limit).

    Parameters
    ----------
    sources : (n, k) amounts whose row sum is the total; columns give the names. A source may be negative (a tax) as
        long as no total is.
    weight : (n,) weights of zero or more; None gives each 1.

    Raises DesignError as `gini` does on the totals, on fewer than two sources and on a source of mean zero.
    Source: Lerman and Yitzhaki (1985).
    """
    names, columns = named_columns(sources, "source")
    at_least_two("sources", len(names))
    *columns, weight = weighted_arrays(weight, **columns)
    total = np.sum(columns, axis=0)
    overall, mean = gini(total, weight), np.average(total, weights=weight)
    rank = mid_rank(total, weight) - 0.5
    rows = []
    for name, column in zip(names, columns, strict=True):
        source_mean = np.average(column, weights=weight)
        if abs(source_mean) <= 1e-12 * np.abs(column).max():
            raise DesignError(
                f"source {name!r} has a mean of zero", remedy="leave it out, or join it to another source"
            )
        own = 2 * np.average(column * (mid_rank(column, weight) - 0.5), weights=weight)
        common = 2 * np.average(column * rank, weights=weight)
        constant = column.min() == column.max()
        rows.append(
            {
                "source": name,
                "share": source_mean / mean,
                "gini": 0.0 if constant else own / source_mean,
                "correlation": 0.0 if constant else common / own,
                "contribution": common / mean,
            }
        )
    return GiniSources(overall, pd.DataFrame(rows))


def shapley(contribution_of: Callable[[frozenset[str]], float], names: Sequence[str]) -> pd.Series:
    """Shapley value of each factor: its marginal contribution, averaged over every order of arrival.

    The values sum to `contribution_of(all) − contribution_of(none)`.

    Parameters
    ----------
    contribution_of : figure that a subset of the factors gives, called once for each of the 2^k subsets.
    names : 1 to 12 different names of factors.

    Raises DesignError on repeated names, more than 12 factors, a figure that is missing or infinite.
    Source: Shorrocks (2013).
    """
    names = list(names)
    if len(set(names)) != len(names) or not 1 <= len(names) <= SHAPLEY_LIMIT:
        raise DesignError(
            f"{len(names)} factors, {len(set(names))} different",
            why=f"1 to {SHAPLEY_LIMIT} different factors are needed: every subset is evaluated",
            remedy="join factors into groups",
        )
    count = len(names)
    subsets = [frozenset(name for place, name in enumerate(names) if mask >> place & 1) for mask in range(2**count)]
    figures = np.array([float(contribution_of(subset)) for subset in subsets])
    if not np.isfinite(figures).all():
        subset = sorted(map(str, subsets[int(np.argmin(np.isfinite(figures)))]))
        raise DesignError(f"the figure of the subset {subset} is missing or infinite")
    masks = np.arange(2**count)
    size = np.array([len(subset) for subset in subsets])
    chance = np.array([1 / (count * math.comb(count - 1, k)) for k in range(count)])
    values = []
    for place in range(count):
        without = masks[masks >> place & 1 == 0]
        values.append(np.sum(chance[size[without]] * (figures[without | 1 << place] - figures[without])))
    return pd.Series(values, index=pd.Index(names), name="contribution")


def shapley_shares(
    components: pd.DataFrame | ArrayLike,
    statistic: object = "variance",
    weight: ArrayLike | None = None,
) -> pd.DataFrame:
    """Share of each component in the inequality (or variance) of the composite that they sum to.

    Outside a subset, every component is put at its mean, so that what a component contributes is what its dispersion
    adds. For the variance, the contribution is the covariance of the component with the composite.

    Parameters
    ----------
    components : (n, k) weighted parts whose row sum is the composite, 2 to 12 of them; columns give the names.
    statistic : a dispersion that is 0 where all are equal, as `as_statistic` reads it.
    weight : (n,) weights of zero or more; None gives each 1.

    Returns
    -------
    DataFrame, one row per component: `component`, `contribution` (sums to the statistic of the composite) and `share`
    (sums to 1; below 0 where the component evens out the composite).

    Raises DesignError as the statistic does, where the composite does not vary, and on a statistic that is not 0 where
    all are equal (a mean, a ratio of quantiles).
    Source: Shorrocks (2013); Sastre and Trannoy (2002), equalised-income rule.
    """
    names, columns = named_columns(components, "component")
    at_least_two("components", len(names))
    *columns, weight = weighted_arrays(weight, **columns)
    held = dict(zip(names, columns, strict=True))
    statistic = as_statistic(statistic)
    mean = {name: np.average(column, weights=weight) for name, column in held.items()}

    def dispersion(subset: frozenset[str]) -> float:
        moving = np.sum([held[name] for name in names if name in subset] or [np.zeros(len(weight))], axis=0)
        return statistic(moving + sum(mean[name] for name in names if name not in subset), weight)

    if abs(level := dispersion(frozenset())) > 1e-9:
        raise DesignError(f"{statistic} is no dispersion", why=f"it is {level:g} where all composites are equal")
    contribution = shapley(dispersion, names)
    total = contribution.sum()
    spread = np.ptp(np.sum(columns, axis=0))
    if spread <= 1e-12 * np.abs(columns).max() or total == 0:
        raise DesignError("the composite does not vary: there is no dispersion to share out")
    return pd.DataFrame(
        {"component": names, "contribution": contribution.to_numpy(), "share": contribution.to_numpy() / total}
    )


def _sorted_by_group(
    value: ArrayLike, group: ArrayLike, weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, list[slice], pd.Index]:
    """Checked values and weights, put group by group, with the place and the label of each group that has weight."""
    labels, code = group_codes(group)
    value, code, weight = weighted_arrays(weight, value=value, group=code)
    order = np.argsort(code, kind="stable")
    present, start = np.unique(code[order], return_index=True)
    at_least_two("groups", len(present))
    ends = [*start[1:], len(code)]
    slices = [slice(first, last) for first, last in zip(start, ends, strict=True)]
    return value[order], weight[order], slices, labels[present.astype(int)]


def _group_frame(
    value: np.ndarray, weight: np.ndarray, slices: list[slice], labels: pd.Index, index: Callable
) -> pd.DataFrame:
    """Shares, mean and index of each group; the index of a group of zeros is 0."""

    def rows() -> Iterator[dict]:
        population, amount = weight.sum(), np.sum(weight * value)
        for label, part in zip(labels, slices, strict=True):
            mass, sum_ = weight[part].sum(), np.sum(weight[part] * value[part])
            yield {
                "group": label,
                "population_share": mass / population,
                "value_share": sum_ / amount,
                "mean": sum_ / mass,
                "index": index(value[part], weight[part]) if sum_ > 0 and part.stop - part.start > 1 else 0.0,
            }

    return pd.DataFrame(rows())
