"""Bootstrap by clusters: the data are sorted once, a replicate is a vector of counts, one for each cluster.

Mean, variance, generalised entropy and Atkinson are functions of sums over the rows, hence of cluster totals × counts:
no replicate reads the rows. The Gini coefficient needs one pass over the sorted rows. Any other statistic is evaluated
on the rows that were drawn, their weights multiplied by the counts. All three are exact: the result is that of the
statistic on the clusters copied as often as they were drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import boxcox

from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.statistic import Statistic, as_statistic
from tne_eval.results import frame_html

# Replicates drawn from one stream, and cells (replicates × clusters) of a batch, which bound its memory. The draws
# depend on both, and on nothing that the machine decides.
_LANES, _CELLS = 64, 2**23
# A half word u of 32 bits draws cluster ⌊u × clusters / 2³²⌋ (Lemire 2019, without its rejection step): the chances of
# two clusters differ by less than clusters / 2³² of themselves.
_HALF = np.uint64(32)
# Rows × replicates from which loading the compiled kernels costs less than they save.
_WORTH_COMPILING = 10_000_000
# Rows of one step of the numpy path: four arrays of them fit in a second-level cache.
_CHUNK = 8_192
_WORKERS = 8
# Orders of an entropy this near to 0 or 1 are computed in the form that holds their limit.
_NEAR_LIMIT = 0.1
# Multiplications that OpenBLAS still leaves to one thread: more of them and its threads fight ours for the cores.
_PRODUCT = 2**18
_REMEDY = "use linearized_error, or larger clusters"

Evaluated = Statistic | Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap:
    """What `bootstrap` gives: k statistics in each of the replicates.

    Attributes
    ----------
    names : k texts; estimates : (k,) on the data themselves; draws : (replicates, k) on the redrawn clusters.
    errors : (k,) standard deviations of the draws (divisor replicates − 1). They tend to the linearised error ×
        √((n−1)/n) for n clusters.
    n_clusters : clusters that were redrawn.
    """

    names: tuple[str, ...]
    estimates: np.ndarray
    draws: np.ndarray = field(repr=False)
    errors: np.ndarray
    n_clusters: int

    def interval(self, level: float = 0.95) -> np.ndarray:
        """(k, 2) percentile interval (Efron 1981): the (1 − level)/2 and (1 + level)/2 quantiles of the draws.

        Raises DesignError on a level outside 0-1 and on one whose tails hold less than one replicate.
        """
        if not 0 < level < 1:
            raise DesignError(f"level is {level!r}", why="it is a share strictly between 0 and 1")
        if len(self.draws) * (1 - level) / 2 < 1:
            raise DesignError(
                f"{len(self.draws)} replicates are too few for a {100 * level:g} % interval",
                why="less than one of them lies beyond each bound",
                remedy=f"draw {int(np.ceil(2 / (1 - level)))} or more",
            )
        return np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0).T

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row per statistic: statistic, estimate, error, low, high."""
        low, high = self.interval(level).T
        return pd.DataFrame(
            {"statistic": self.names, "estimate": self.estimates, "error": self.errors, "low": low, "high": high}
        )

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Rows from the highest value down, cluster codes from 0, and the cluster totals that the statistics ask for.

    `scale` is the mean of the values: entropies are taken of value / scale. `centre`, their middle one, is taken off
    for the variance. `gap` (n,) is the step down to the next
    value, 0 for the last. `totals` (clusters, columns), in the order of `columns`.
    """

    value: np.ndarray
    gap: np.ndarray
    weight: np.ndarray
    code: np.ndarray
    n_clusters: int
    scale: float
    centre: float
    columns: tuple[object, ...]
    totals: np.ndarray


def bootstrap(
    statistics: object,
    value: ArrayLike,
    weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    replicates: int = 999,
    seed: int = 0,
) -> Bootstrap:
    """Statistics on clusters redrawn with replacement, as many as there are.

    Parameters
    ----------
    statistics : one of what `as_statistic` takes, or a list of k. Any other function (value, weight) → float is taken
        too; it is called once for each replicate, with the rows that were drawn in the order of their values.
    value, weight, cluster : (n,); weight None gives each 1; cluster None makes each row its own cluster. Rows of zero
        weight are left out, and clusters that hold nothing else are not drawn.
    replicates : 2 or more; seed : 0 or more. The same seed draws the same clusters, taken in the order of their
        labels, whatever the order of the rows; a longer run begins with the shorter one.

    Raises DesignError: no statistic, fewer than two clusters, missing labels, labels of another length, a statistic
    that the data refuse or that a replicate leaves undefined (only zeros drawn), and what `weighted_arrays` refuses.
    Source: Efron (1979); clusters as units, Davison and Hinkley (1997), section 3.8.
    """
    names, evaluated = _named(statistics)
    _check_count("replicates", replicates, 2)
    _check_count("seed", seed, 0)
    sample = _prepared(evaluated, value, weight, cluster)
    lanes = max(1, min(_LANES, _CELLS // sample.n_clusters))
    sizes = [min(lanes, replicates - start) for start in range(0, replicates, lanes)]
    streams = np.random.SeedSequence(seed).spawn(len(sizes))
    compiled = kernels() if len(sample.value) * replicates >= _WORTH_COMPILING else None
    batch = partial(_batch, sample, evaluated, compiled)
    estimates = _evaluate(sample, evaluated, compiled, np.ones((1, sample.n_clusters), np.uint8))[0]
    # Functions from elsewhere need not bear threads.
    ours = all(isinstance(statistic, Statistic) for statistic in evaluated)
    if ours and len(sizes) > 1:
        with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1, len(sizes))) as pool:
            draws = np.concatenate(list(pool.map(batch, streams, sizes)))
    else:
        draws = np.concatenate([batch(*one) for one in zip(streams, sizes, strict=True)])
    _check_defined(names, estimates, draws)
    return Bootstrap(names, estimates, draws, draws.std(axis=0, ddof=1), sample.n_clusters)


def kernels() -> ModuleType | None:
    """The compiled kernels; None where numba is not installed."""
    try:
        from tne_eval.indicators import _fused
    except ImportError:
        return None
    return _fused


def _named(statistics: object) -> tuple[tuple[str, ...], list[Evaluated]]:
    evaluated = [_evaluated(item) for item in (statistics if isinstance(statistics, (list, tuple)) else [statistics])]
    if not evaluated:
        raise DesignError("no statistic to evaluate", remedy="name one or more")
    return tuple(_text(item) for item in evaluated), evaluated


def _evaluated(item: object) -> Evaluated:
    try:
        return as_statistic(item)
    except UnknownNameError:
        if callable(item):
            return item
        raise


def _text(item: Evaluated) -> str:
    return str(item) if isinstance(item, Statistic) else getattr(item, "__name__", repr(item))


def _check_count(name: str, number: object, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
        raise DesignError(f"{name} is {number!r}", why=f"a whole number of {least} or more is needed")


def _prepared(
    evaluated: Sequence[Evaluated], value: ArrayLike, weight: ArrayLike | None, cluster: ArrayLike | None
) -> _Sample:
    if cluster is None:
        value, weight = weighted_arrays(weight, value=value)
        # Rows alike but for their place in the table stand in for one another: the draws do not depend on the place.
        order = np.argsort(value) if weight.min() == weight.max() else np.lexsort((weight, value))
        code, n_clusters = np.arange(len(value)), len(value)
    else:
        value, code, weight = weighted_arrays(weight, value=value, cluster=_codes(cluster))
        code = code.astype(np.intp)
        held = np.bincount(code) > 0
        n_clusters = int(held.sum())
        if n_clusters < len(held):
            code = (np.cumsum(held) - 1)[code]
        order = np.argsort(value)
    if n_clusters < 2:
        raise DesignError("a bootstrap needs two clusters or more", why=f"{n_clusters} holds a positive weight")
    order = order[::-1]
    value, weight = value[order], weight[order]
    code = np.ascontiguousarray(code[::-1]) if cluster is None else code[order]
    _check_domain(evaluated, value, weight)
    scale, centre = float(np.average(value, weights=weight)), float(value[len(value) // 2])
    columns = ["weight", "value"]
    totals = [np.bincount(code, weight, n_clusters), np.bincount(code, weight * value, n_clusters)]
    for column in dict.fromkeys(column for item in evaluated if (column := _column(item)) is not None):
        per_row = (value - centre) ** 2 if column == "square" else _power(value / scale, column)
        columns.append(column)
        totals.append(np.bincount(code, weight * per_row, n_clusters))
    gap = -np.diff(value, append=value[-1])
    return _Sample(value, gap, weight, code, n_clusters, scale, centre, tuple(columns), np.column_stack(totals))


def _codes(cluster: ArrayLike) -> np.ndarray:
    """Codes in the sorted order of the labels."""
    try:
        code, _ = pd.factorize(pd.Series(cluster), sort=True)
    except (TypeError, ValueError) as error:
        raise DesignError(
            "cluster is not one label for each value, of a kind that can be sorted", why=str(error)
        ) from None
    if (code < 0).any():
        raise DesignError("cluster holds missing labels", remedy="drop these rows or give them a label")
    return code


def _check_domain(evaluated: Sequence[Evaluated], value: np.ndarray, weight: np.ndarray) -> None:
    """Let each statistic that is made from sums refuse what it refuses: that depends on the two ends of the values."""
    for statistic in evaluated:
        if not _is_summed(statistic):
            continue
        try:
            statistic(value[[0, -1]])
        except DesignError:
            statistic(value, weight)


def _is_summed(statistic: Evaluated) -> bool:
    return isinstance(statistic, Statistic) and statistic.name in (
        "gini", "mean", "variance", "generalized_entropy", "atkinson"
    )  # fmt: skip


def _column(statistic: Evaluated) -> str | float | None:
    """The column of totals that a statistic needs beside weight and value: `square`, or the α of an entropy."""
    if not _is_summed(statistic):
        return None
    if statistic.name == "variance":
        return "square"
    if statistic.name == "generalized_entropy":
        return float(statistic.parameters[0])
    return 1 - float(statistic.parameters[0]) if statistic.name == "atkinson" else None


def _power(ratio: np.ndarray, alpha: float) -> np.ndarray:
    """What an entropy of order α sums: u^α; near its limits (u^α − 1) / α, at 0, or u (u^(α−1) − 1) / (α − 1), at 1."""
    if abs(alpha) < _NEAR_LIMIT:
        return boxcox(ratio, alpha)
    if abs(alpha - 1) < _NEAR_LIMIT:
        return np.where(ratio > 0, ratio * boxcox(ratio, alpha - 1), 0.0)
    return ratio**alpha


def _entropy(mean_power: np.ndarray, ratio: np.ndarray, alpha: float) -> np.ndarray:
    """GE(α) from the mean of `_power` of values whose mean is `ratio`; zero or more."""
    if abs(alpha) < _NEAR_LIMIT or abs(alpha - 1) < _NEAR_LIMIT:
        rest = ratio**-alpha * (mean_power - _power(ratio, alpha))
        index = rest / (alpha - 1 if abs(alpha) < _NEAR_LIMIT else alpha)
    else:
        index = (mean_power * ratio**-alpha - 1) / (alpha * (alpha - 1))
    return np.maximum(index, 0)


def _batch(
    sample: _Sample,
    evaluated: Sequence[Evaluated],
    compiled: ModuleType | None,
    stream: np.random.SeedSequence,
    replicates: int,
) -> np.ndarray:
    """(replicates, k) statistics on clusters drawn from one stream."""
    n_clusters = sample.n_clusters
    words = np.random.default_rng(stream).bit_generator.random_raw((replicates * n_clusters + 1) // 2)
    halves = words.view(np.uint32)[: replicates * n_clusters].reshape(replicates, n_clusters)
    # No cluster is drawn 256 times: with fewer clusters it cannot be, with more its chance is below 1 / 255!.
    counts = np.zeros((replicates, n_clusters), np.uint8)
    if compiled:
        compiled.tally(halves, counts)
    else:
        for row, drawn in zip(counts, halves, strict=True):
            row[:] = np.bincount(drawn * np.uint64(n_clusters) >> _HALF, minlength=n_clusters)
    return _evaluate(sample, evaluated, compiled, counts)


def _evaluate(
    sample: _Sample, evaluated: Sequence[Evaluated], compiled: ModuleType | None, counts: np.ndarray
) -> np.ndarray:
    """(replicates, k) statistics where each cluster counts as often as `counts` (replicates, clusters) says."""
    lanes = np.ascontiguousarray(counts.T) if compiled else None
    totals = compiled.column_sums(sample.totals, lanes) if compiled else _column_sums(sample.totals, counts)
    sums = dict(zip(sample.columns, totals, strict=True))
    found = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for item in evaluated:
            if not _is_summed(item):
                found.append([_on_drawn_rows(sample, item, row) for row in counts])
            elif item.name != "gini":
                found.append(_from_sums(item, sums, sample))
            else:
                total = sums["weight"]
                rows = sample.gap, sample.weight, sample.code
                area = compiled.gini_area(*rows, lanes, total) if compiled else _gini_area(*rows, counts, total)
                found.append(area / (total * sums["value"]))
    return np.column_stack(found)


def _column_sums(totals: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(columns, replicates) Σ totals × counts over the clusters; totals : (clusters, columns)."""
    step = max(1, _PRODUCT // totals.size)
    parts = [counts[start : start + step].astype(float) @ totals for start in range(0, len(counts), step)]
    return np.concatenate(parts).T


def _from_sums(statistic: Statistic, sums: dict[object, np.ndarray], sample: _Sample) -> np.ndarray:
    """(replicates,) mean, variance, generalised entropy or Atkinson from the sums of each replicate."""
    mean = sums["value"] / sums["weight"]
    if statistic.name == "mean":
        return mean
    column = _column(statistic)
    if statistic.name == "variance":
        return np.maximum(sums[column] / sums["weight"] - (mean - sample.centre) ** 2, 0)
    entropy = _entropy(sums[column] / sums["weight"], mean / sample.scale, column)
    if statistic.name == "generalized_entropy":
        return entropy
    # Atkinson of ε = 1 − α is 1 − (1 + α (α − 1) GE(α))^(1/α).
    return -np.expm1(-entropy if column == 0 else np.log1p(column * (column - 1) * entropy) / column)


def _gini_area(
    gap: np.ndarray, weight: np.ndarray, code: np.ndarray, counts: np.ndarray, total: np.ndarray
) -> np.ndarray:
    """(replicates,) Σ (y_i − y_(i+1)) C_i (W − C_i), C_i being the weight of the rows down to i from the highest value.

    It is W² × half the mean absolute difference: over W × Σ w y it gives the Gini coefficient. All its terms are zero
    or more, and those of the largest steps come first, while C_i is exact: no digit is lost where values lie far apart.
    """
    area, reached = np.zeros(len(counts)), np.zeros(len(counts))
    for start in range(0, len(gap), _CHUNK):
        rows = slice(start, start + _CHUNK)
        for replicate, row in enumerate(counts):
            cum = row.take(code[rows]) * weight[rows]
            cum[0] += reached[replicate]
            np.cumsum(cum, out=cum)
            reached[replicate] = cum[-1]
            rest = total[replicate] - cum
            rest *= cum
            area[replicate] += gap[rows] @ rest
    return area


def _on_drawn_rows(sample: _Sample, statistic: Evaluated, counts: np.ndarray) -> float:
    weight = sample.weight * counts[sample.code]
    drawn = weight > 0
    try:
        return float(statistic(sample.value[drawn][::-1], weight[drawn][::-1]))
    except DesignError as error:
        if drawn.all():
            raise
        raise DesignError(
            f"{_text(statistic)} is undefined in a replicate",
            why=f"of the rows drawn there, {error.what}",
            remedy=_REMEDY,
        ) from error


def _check_defined(names: Sequence[str], estimates: np.ndarray, draws: np.ndarray) -> None:
    for place, name in enumerate(names):
        if not np.isfinite(estimates[place]):
            raise DesignError(f"{name} is not a number on these data")
        if undefined := int((~np.isfinite(draws[:, place])).sum()):
            raise DesignError(
                f"{name} is undefined in {undefined} of {len(draws)} replicates",
                why="the clusters drawn there hold only zeros, or the values are too far apart for this parameter",
                remedy=_REMEDY,
            )
