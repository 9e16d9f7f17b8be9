"""Statistics of many segments (a département in a year) at once, after one sort; each equals its scalar namesake."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import boxcox

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.inequality import check_signs, correction_bounds, entropy_powers, finite_index


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Rows gathered by segment and, inside each, in ascending order of `rank_by`; made by `sort_segments`.

    Attributes
    ----------
    start : (k,) place of the first row of each segment.
    code : (n,) segment of each row, 0 to k − 1.
    value, weight, rank_by : (n,); weights are above zero.
    mass, mean : (k,) sum of weights and weighted mean.
    """

    start: np.ndarray
    code: np.ndarray = field(repr=False)
    value: np.ndarray = field(repr=False)
    weight: np.ndarray = field(repr=False)
    rank_by: np.ndarray = field(repr=False)
    mass: np.ndarray = field(repr=False)
    mean: np.ndarray = field(repr=False)

    @property
    def size(self) -> np.ndarray:
        """(k,) rows of each segment."""
        return np.diff(self.start, append=len(self.code))

    @property
    def ranks_vary(self) -> np.ndarray:
        """(k,) whether the segment holds two different values of `rank_by`."""
        return self.rank_by[self.start] < self.rank_by[self.start + self.size - 1]

    def total(self, values: np.ndarray) -> np.ndarray:
        """(k,) weighted sums of (n,) values."""
        return np.bincount(self.code, weights=self.weight * values, minlength=len(self.start))

    def keep(self, wanted: np.ndarray) -> Segments:
        """The segments where `wanted` (k,) is true, numbered anew."""
        if wanted.all():
            return self
        rows = wanted[self.code]
        code = (np.cumsum(wanted) - 1)[self.code[rows]]
        return Segments(
            _starts(code),
            code,
            self.value[rows],
            self.weight[rows],
            self.rank_by[rows],
            self.mass[wanted],
            self.mean[wanted],
        )


def sort_segments(
    code: ArrayLike, value: ArrayLike, weight: ArrayLike | None = None, rank_by: ArrayLike | None = None
) -> Segments:
    """Sort rows by segment, then by `rank_by` (by `value` where it is None).

    Parameters
    ----------
    code : (n,) whole numbers, the segment of each row: 0 to k − 1, none of them without a row of positive weight.
    value, weight, rank_by : (n,); a weight of None gives each row 1; rows of zero weight are left out.

    Raises DesignError on missing or infinite values, bad weights, codes that are not whole numbers and segments that
    hold nothing.
    """
    code = np.asarray(code)
    if code.dtype.kind not in "iu" or not code.size or code.min() < 0:
        raise DesignError("segments are numbered by whole numbers from 0", why=f"got {code.dtype} {code.shape}")
    count = int(code.max()) + 1
    columns = {"value": value} if rank_by is None else {"value": value, "rank_by": rank_by}
    *checked, mass = weighted_arrays(weight, code=code, **columns)
    code, checked = checked[0].astype(np.intp), checked[1:]
    value, ranks = checked[0], checked[-1]
    if (np.bincount(code, minlength=count) == 0).any():
        raise DesignError("a segment holds no row of positive weight", remedy="number segments from 0, without holes")
    order = _order(ranks, code, count)
    code, value, mass = code[order], value[order], mass[order]
    sums = np.bincount(code, weights=mass)
    mean = np.bincount(code, weights=mass * value) / sums
    return Segments(_starts(code), code, value, mass, value if rank_by is None else ranks[order], sums, mean)


def variance(rows: Segments) -> np.ndarray:
    """(k,) weighted variances, in squared units of the value."""
    return rows.total((rows.value - rows.mean[rows.code]) ** 2) / rows.mass


def gini(rows: Segments) -> np.ndarray:
    """(k,) Gini coefficients, 0-1, of rows sorted by their value; as `inequality.gini`."""
    _sorted_by_value(rows, "the Gini coefficient")
    mean = _positive_means(rows, "the Gini coefficient")
    rank = (_cumulated(rows, rows.weight) - rows.weight / 2) / rows.mass[rows.code] - 0.5
    return 2 * rows.total((rows.value - mean[rows.code]) * rank) / (rows.mass * mean)


def generalized_entropy(rows: Segments, alpha: float) -> np.ndarray:
    """(k,) generalised entropies GE(α); as `inequality.generalized_entropy`."""
    if not np.isfinite(alpha):
        raise DesignError(f"alpha is {alpha!r}", why="a finite number is needed")
    what = f"the generalised entropy of order {alpha:g}"
    ratio = rows.value / _positive_means(rows, what, above_zero=alpha <= 0)[rows.code]
    with np.errstate(all="ignore"):
        terms, divisor = entropy_powers(ratio, alpha)
        return finite_index(rows.total(terms) / rows.mass / divisor, "alpha", alpha)


def atkinson(rows: Segments, epsilon: float) -> np.ndarray:
    """(k,) Atkinson indices, 0-1; as `inequality.atkinson`."""
    if not (np.isfinite(epsilon) and epsilon > 0):
        raise DesignError(f"epsilon is {epsilon!r}", why="aversion to inequality is a finite number above zero")
    mean = _positive_means(rows, f"the Atkinson index of {epsilon:g}", above_zero=epsilon >= 1)
    order = 1 - epsilon
    with np.errstate(all="ignore"):
        level = rows.total(boxcox(rows.value / mean[rows.code], order)) / rows.mass
        return finite_index(-np.expm1(np.log1p(order * level) / order if order else level), "epsilon", epsilon)


def mid_rank(rows: Segments) -> np.ndarray:
    """(n,) weighted fractional ranks of `rank_by` inside its segment, 0-1; ties share a rank; as `arrays.mid_rank`."""
    first, code, mass = _ties(rows)
    middle = (_running(mass, code, _starts(code)) - mass / 2) / rows.mass[code]
    return np.repeat(middle, np.diff(first, append=len(rows.code)))


def concentration_index(
    rows: Segments, correction: str | None = None, bounds: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """(k,) concentration indices over `rank_by`, −1 to 1; as `inequality.concentration_index`."""
    covariance = rows.total((rows.value - rows.mean[rows.code]) * (mid_rank(rows) - 0.5)) / rows.mass
    if correction is None:
        return 2 * covariance / _means_above_zero(rows, "the concentration index")
    low, high = correction_bounds(rows.value, correction, bounds)
    if correction == "erreygers":
        return 8 * covariance / (high - low)
    span = (high - rows.mean) * (rows.mean - low)
    if (span <= 0).any():
        raise DesignError("all values lie at one bound", why="Wagstaff's correction divides by the distance to it")
    return 2 * covariance * (high - low) / span


def gradient(rows: Segments) -> tuple[np.ndarray, np.ndarray]:
    """(k,) slopes of the value on `rank_by` by weighted least squares, and (k,) their r²; as `inequality.gradient`."""
    return _slopes(rows, rows.rank_by)


def slope_index_of_inequality(rows: Segments) -> np.ndarray:
    """(k,) slopes on the mid-rank, bottom to top; as `inequality.slope_index_of_inequality`."""
    return _slopes(rows, mid_rank(rows))[0]


def relative_index_of_inequality(rows: Segments) -> np.ndarray:
    """(k,) slope indices over the means; as `inequality.relative_index_of_inequality`."""
    return slope_index_of_inequality(rows) / _means_above_zero(rows, "the relative index of inequality")


def quantile(rows: Segments, share: float) -> np.ndarray:
    """(k,) smallest values at which the cumulated weight reaches `share` (0-1); as `quantiles.quantile`."""
    if not 0 <= share <= 1:
        raise DesignError(f"share is {share!r}", why="it lies between 0 and 1")
    _sorted_by_value(rows, "a quantile")
    cumulated = _cumulated(rows, rows.weight)
    # A share that falls on a step up to rounding takes that step.
    below = cumulated < (share * rows.mass * (1 - 1e-12))[rows.code]
    place = np.bincount(rows.code, weights=below, minlength=len(rows.start)).astype(np.intp)
    return rows.value[rows.start + np.minimum(place, rows.size - 1)]


def quantile_ratio(rows: Segments, upper: float = 0.9, lower: float = 0.1) -> np.ndarray:
    """(k,) ratios of two quantiles; as `quantiles.quantile_ratio`."""
    if not 0 < lower < upper < 1:
        raise DesignError(
            f"upper is {upper!r} and lower {lower!r}", why="0 < lower < upper < 1 is needed, as in 0.9 and 0.1"
        )
    _positive_means(rows, "a ratio of quantiles")
    high, low = quantile(rows, upper), quantile(rows, lower)
    if (low == 0).any():
        raise DesignError(f"the quantile {lower:g} is zero", why="it divides", remedy="take a higher one, or a share")
    return high / low


def share_ratio(rows: Segments, upper: float = 0.2, lower: float = 0.2) -> np.ndarray:
    """(k,) totals above the quantile 1 − upper over those at `lower` or below; as `quantiles.share_ratio`."""
    if not (upper > 0 and lower > 0 and upper + lower <= 1):
        raise DesignError(f"upper is {upper!r} and lower {lower!r}", why="both are above 0 and their sum is 1 at most")
    _positive_means(rows, "a ratio of shares")
    high, low = (quantile(rows, share)[rows.code] for share in (1 - upper, lower))
    top, bottom = (rows.total(rows.value * part) for part in (rows.value > high, rows.value <= low))
    if (rows.total(rows.value > high) == 0).any():
        raise DesignError(
            f"no unit lies above the quantile {1 - upper:g}", why="it is the largest value: too few distinct values"
        )
    if (bottom == 0).any():
        raise DesignError(f"the bottom {lower:g} holds nothing", why="its total divides", remedy="take a larger share")
    return top / bottom


def tail_gap(rows: Segments, share: float = 0.25) -> np.ndarray:
    """(k,) mean of the value in the `share` of the weight that ranks highest, less that in the share that ranks lowest.

    A row on the edge counts for the part of its weight that is needed; ties in `rank_by` are taken at their mean, so
    that no order of rows matters. `share` above 0, 0.5 at most.
    """
    top, bottom = _tail_means(rows, share)
    return top - bottom


def tail_ratio(rows: Segments, share: float = 0.2) -> np.ndarray:
    """(k,) mean in the highest `share` of the weight over that in the lowest, cut as in `tail_gap`: S80/S20.

    Values of zero or more. Unlike `share_ratio`, which takes whole units, it is defined on a few large groups too.
    Raises DesignError where the lowest share holds nothing.
    """
    _positive_means(rows, "a ratio of shares")
    top, bottom = _tail_means(rows, share)
    if (bottom <= 0).any():
        raise DesignError(f"the bottom {share:g} holds nothing", why="it divides", remedy="take a larger share")
    return top / bottom


def group_gap(code: ArrayLike, first: ArrayLike, value: ArrayLike, weight: ArrayLike | None = None) -> np.ndarray:
    """(k,) mean of the value where `first` is true less the mean where it is false, by segment; no sort needed.

    Parameters: (n,) each, `code` as in `sort_segments`. Raises DesignError where a segment lacks one of the two groups.
    """
    first, value, code, weight = weighted_arrays(weight, first=first, value=value, code=code)
    code = code.astype(np.intp)
    means = []
    for side in (weight * first, weight * (1 - first)):
        mass = np.bincount(code, weights=side)
        if (mass == 0).any():
            raise DesignError("a segment holds one of the two groups only", why="a gap needs both")
        means.append(np.bincount(code, weights=side * value) / mass)
    return means[0] - means[1]


def _tail_means(rows: Segments, share: float) -> tuple[np.ndarray, np.ndarray]:
    if not 0 < share <= 0.5:
        raise DesignError(f"share is {share!r}", why="it lies above 0 and at most at 0.5")
    first, code, mass = _ties(rows)
    value = np.add.reduceat(rows.weight * rows.value, first) / mass
    end = _running(mass, code, _starts(code))
    wanted = share * rows.mass
    parts = (np.clip(end - (rows.mass - wanted)[code], 0, mass), np.clip(wanted[code] - (end - mass), 0, mass))
    top, bottom = (np.bincount(code, weights=part * value) / np.bincount(code, weights=part) for part in parts)
    return top, bottom


def _order(ranks: np.ndarray, code: np.ndarray, count: int) -> np.ndarray:
    """Rows by code, then by rank. Each segment is sorted by itself: fewer comparisons, all within the cache."""
    # numpy sorts whole numbers of 16 bits in linear time.
    order = np.argsort(code.astype(np.uint16) if count <= 2**16 else code, kind="stable")
    ranks, start = ranks[order], 0
    for end in np.cumsum(np.bincount(code)).tolist():
        order[start:end] = order[start:end][np.argsort(ranks[start:end])]
        start = end
    return order


def _starts(code: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(code, prepend=-1))


def _cumulated(rows: Segments, mass: np.ndarray) -> np.ndarray:
    return _running(mass, rows.code, rows.start)


def _running(mass: np.ndarray, code: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Cumulated masses inside each segment.

    Each segment takes off the total of the one before it, so that the running sum stays small and nothing is lost in
    rounding, however many segments there are.
    """
    steps = mass.copy()
    steps[start[1:]] -= np.add.reduceat(mass, start)[:-1]
    running = np.cumsum(steps)
    left = running[start] - mass[start]
    return running - left[code]


def _ties(rows: Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of one rank as one: place of its first row, segment, mass."""
    changes = np.diff(rows.rank_by, prepend=np.nan) != 0
    changes[rows.start] = True
    first = np.flatnonzero(changes)
    return first, rows.code[first], np.add.reduceat(rows.weight, first)


def _slopes(rows: Segments, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre = rows.total(position) / rows.mass
    centred = position - centre[rows.code]
    deviation = rows.value - rows.mean[rows.code]
    spread, covariance, variance = (
        rows.total(product) / rows.mass for product in (centred**2, centred * deviation, deviation**2)
    )
    if (spread <= 1e-12 * np.maximum(1.0, centre**2)).any():
        raise DesignError("a gradient needs positions that vary", why="they are all the same in a segment")
    varies = variance > 0
    strength = np.divide(covariance**2, spread * variance, out=np.zeros_like(spread), where=varies)
    return covariance / spread, strength


def _sorted_by_value(rows: Segments, what: str) -> None:
    if rows.rank_by is not rows.value and not np.array_equal(rows.rank_by, rows.value):
        raise DesignError(f"{what} needs rows sorted by their value", remedy="call sort_segments without rank_by")


def _means_above_zero(rows: Segments, what: str) -> np.ndarray:
    if (rows.mean <= 0).any():
        raise DesignError(f"{what} needs a positive mean", why=f"a segment has the mean {rows.mean.min():g}")
    return rows.mean


def _positive_means(rows: Segments, what: str, above_zero: bool = False) -> np.ndarray:
    check_signs(rows.value, what, above_zero)
    return _means_above_zero(rows, what)
