"""Segregation of groups of pupils between schools, from their counts; a school without pupils counts for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import entr

from tne_eval.errors import DesignError
from tne_eval.indicators.groups import at_least_two, group_codes, numbers


class SegregationParts(NamedTuple):
    """An index and what it is the sum of: segregation between clusters, and within them."""

    total: float
    between: float
    within: float


@dataclass(frozen=True, slots=True)
class SegregationDecomposition:
    """Segregation of all schools, split between clusters of schools (sectors, territories) and within them.

    `mutual_information` is in nats, `normalized_entropy` is the same three numbers over the entropy of the whole
    population (`entropy`, nats). `frame` has one row per cluster: `cluster`, `population_share` (0-1), `entropy` of
    the cluster and its `mutual_information` (nats), its `normalized_entropy` (0-1), `contribution` to the mutual
    information (nats: population share × mutual information) and `percent`, the contribution in percent of the total.
    """

    mutual_information: SegregationParts
    normalized_entropy: SegregationParts
    entropy: float
    frame: pd.DataFrame

    @property
    def between_percent(self) -> float:
        """Segregation between clusters, in percent of the total; 0 where the total is 0."""
        total, between, _ = self.mutual_information
        return 100 * between / total if total > 0 else 0.0


def dissimilarity(first: ArrayLike, second: ArrayLike) -> float:
    """Share of either group that would have to change school for both to be spread alike, 0 to 1.

    ½ Σ |firstᵢ / Σ first − secondᵢ / Σ second|.

    Parameters
    ----------
    first, second : (n,) pupils of each of two groups that do not overlap, by school.

    Raises DesignError on negative, missing or infinite counts, a group of nobody, fewer than two schools with pupils.
    Source: Duncan and Duncan (1955), index D.
    """
    first, second = _counts_by_group(first=first, second=second).T
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def exposure(first: ArrayLike, second: ArrayLike, total: ArrayLike) -> float:
    """Mean share of group `second` among the schoolmates of the pupils of group `first`, 0 to 1.

    Σ (firstᵢ / Σ first) (secondᵢ / totalᵢ); isolation of a group is its exposure to itself.

    Parameters
    ----------
    first, second : (n,) pupils of each group, by school; total : (n,) all pupils, by school, at least each group.

    Raises DesignError as `dissimilarity` does, and where a group is larger than the total.
    Source: Lieberson (1981), index P*.
    """
    first, second, total = _counts_by_group(first=first, second=second, total=total).T
    _check_inside(total, first=first, second=second)
    return float(np.sum(first / first.sum() * second / total))


def normalized_exposure(first: ArrayLike, total: ArrayLike) -> float:
    """Isolation of a group, put between 0 (spread evenly) and 1 (alone in its schools).

    (isolation − P) / (1 − P), P being the share of the group in the population. It is also η², the share of the
    variance of membership that lies between schools, and one less the normalised exposure to the other pupils.

    Parameters
    ----------
    first : (n,) pupils of the group, by school; total : (n,) all pupils, by school.

    Raises DesignError as `exposure` does, and where the group is the whole population.
    Source: Bell (1954), revised isolation; Lieberson (1981); η² or variance ratio in James and Taeuber (1985).
    """
    first, total = _counts_by_group(first=first, total=total).T
    _check_inside(total, first=first)
    share = first.sum() / total.sum()
    if share >= 1:
        raise DesignError("normalised exposure needs pupils outside the group", why="the group is the whole population")
    deviation = first / total - share
    return float(np.average(deviation**2, weights=total) / (share * (1 - share)))


def mutual_information(counts: ArrayLike) -> float:
    """Mutual information M of school and group, in nats: from 0 to the entropy of the groups.

    Σ pᵢ Σ pₖ|ᵢ log(pₖ|ᵢ / pₖ): what knowing a pupil's school tells of the group, on average.

    Parameters
    ----------
    counts : (n, k) pupils of n schools in k groups that do not overlap.

    Raises DesignError on negative, missing or infinite counts, fewer than two schools with pupils, fewer than two
    groups, a group of nobody.
    Source: Theil and Finizza (1971); Mora and Ruiz-Castillo (2011).
    """
    return _information(_counts(counts))


def normalized_entropy(counts: ArrayLike) -> float:
    """Theil's H, 0 to 1: mutual information over the entropy of the groups.

    0 where every school has the composition of the whole, 1 where no school holds two groups. It is the index that
    DEPP publishes for collèges, with four social groups.

    Parameters
    ----------
    counts : (n, k) pupils of n schools in k groups that do not overlap.

    Raises DesignError as `mutual_information` does.
    Source: Theil and Finizza (1971); Givord, Guillerm, Monso and Murat (2016) for DEPP's use.
    """
    counts = _counts(counts)
    return _information(counts) / _entropy(counts.sum(axis=0))


def decompose_segregation(counts: ArrayLike, cluster: ArrayLike) -> SegregationDecomposition:
    """Segregation between clusters of schools and within them; the parts sum to the total.

    M = M(clusters) + Σ p_c M_c, and the same over the entropy of the whole for H.

    Parameters
    ----------
    counts : (n, k) pupils of n schools in k groups; cluster : (n,) sector or territory of each school.

    A cluster of one school, or of one group, has no segregation within: its indices are 0.
    Raises DesignError as `mutual_information` does, on missing clusters and on fewer than two clusters.
    Source: Theil and Finizza (1971); Mora and Ruiz-Castillo (2011), strong decomposability.
    """
    labels, code = group_codes(cluster, "cluster")
    counts = numbers(counts, "counts")
    if len(code) != len(counts):
        raise DesignError(f"cluster has {len(code)} labels", why=f"counts has {len(counts)} schools")
    held = _counts(counts)
    present, code = np.unique(code[counts.sum(axis=1) > 0], return_inverse=True)
    at_least_two("clusters with pupils", len(present))
    population = np.zeros((len(present), held.shape[1]))
    np.add.at(population, code, held)
    inside = np.bincount(code, weights=held.sum(axis=1) * _entropy(held))
    information = np.maximum(_entropy(population) - inside / population.sum(axis=1), 0)
    return _decomposition(labels[present], population, information)


def entropy_by_sector(
    composition: pd.DataFrame, population_share: ArrayLike, normalized_entropy: ArrayLike
) -> SegregationDecomposition:
    """Decomposition of segregation by sector from published shares, where the schools are not known.

    What DEPP publishes for collèges: H = H(between sectors) + Σ p_s (E_s / E) H_s.

    Parameters
    ----------
    composition : (s, k) share of each of k social groups in each of s sectors, index = names of the sectors. Rows
        are scaled to sum to 1, so that shares in percent and rounded shares are allowed.
    population_share : (s,) share of the pupils in each sector, scaled to sum to 1.
    normalized_entropy : (s,) index H of each sector (0-1), which only the schools give.

    Raises DesignError on negative, missing or infinite shares, fewer than two sectors or groups, a sector or a group
    without pupils, an index outside 0-1.
    Source: Givord, Guillerm, Monso and Murat (2016); Theil and Finizza (1971).
    """
    shares = _counts(composition, "sectors")
    if len(shares) < len(composition):
        raise DesignError("a sector has no pupils", remedy="leave out the sector: there is nothing to decompose")
    population_share = numbers(population_share, "population_share")
    index = numbers(normalized_entropy, "normalized_entropy")
    for name, array in (("population_share", population_share), ("normalized_entropy", index)):
        if array.shape != (len(shares),):
            raise DesignError(f"{name} has shape {array.shape}", why=f"one value for each of {len(shares)} sectors")
    if not (np.isfinite(population_share) & (population_share > 0)).all():
        raise DesignError("a sector has no pupils", remedy="leave out the sector: there is nothing to decompose")
    if not ((index >= 0) & (index <= 1)).all():
        raise DesignError("the normalised entropy of each sector lies between 0 and 1")
    population = (population_share / population_share.sum() / shares.sum(axis=1))[:, None] * shares
    return _decomposition(pd.DataFrame(composition).index, population, index * _entropy(population))


def _decomposition(labels: pd.Index, population: np.ndarray, information: np.ndarray) -> SegregationDecomposition:
    """From the groups of each cluster (rows of `population`) and the mutual information inside it."""
    overall = float(_entropy(population.sum(axis=0)))
    inside = _entropy(population)
    share = population.sum(axis=1) / population.sum()
    contribution = share * information
    between, within = _information(population), float(contribution.sum())
    total = between + within
    frame = pd.DataFrame(
        {
            "cluster": labels,
            "population_share": share,
            "entropy": inside,
            "mutual_information": information,
            "normalized_entropy": np.divide(information, inside, out=np.zeros_like(inside), where=inside > 0),
            "contribution": contribution,
            "percent": 100 * contribution / total if total > 0 else 0.0,
        }
    )
    parts = SegregationParts(total, between, within)
    return SegregationDecomposition(parts, SegregationParts(*(part / overall for part in parts)), overall, frame)


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in nats of each row of positive sum."""
    return entr(counts / counts.sum(axis=-1, keepdims=True)).sum(axis=-1)


def _information(counts: np.ndarray) -> float:
    """Entropy of the whole less the mean entropy of the rows; never below 0, which rounding could give."""
    inside = np.average(_entropy(counts), weights=counts.sum(axis=1))
    return float(max(_entropy(counts.sum(axis=0)) - inside, 0.0))


def _counts(counts: ArrayLike, units: str = "schools") -> np.ndarray:
    """Checked (n, k) counts, rows without pupils left out."""
    counts = numbers(counts, "counts")
    if counts.ndim != 2:
        raise DesignError(f"counts has shape {counts.shape}", why="two dimensions are needed, schools by groups")
    at_least_two("groups", counts.shape[1])
    if not np.isfinite(counts).all():
        raise DesignError("counts holds missing or infinite values", remedy="drop the schools or impute them first")
    if (counts < 0).any():
        raise DesignError("counts of pupils must be zero or more")
    if len(counts) and not counts.sum(axis=0).all():
        raise DesignError("a group has no pupils in any school", remedy="leave out the group")
    counts = counts[counts.sum(axis=1) > 0]
    at_least_two(f"{units} with pupils", len(counts))
    return counts


def _counts_by_group(**columns: ArrayLike) -> np.ndarray:
    """Named columns of counts, checked and side by side."""
    arrays = {name: numbers(column, name) for name, column in columns.items()}
    length = np.size(next(iter(arrays.values())))
    for name, array in arrays.items():
        if array.ndim != 1 or len(array) != length:
            raise DesignError(
                f"{name} has shape {array.shape}", why=f"one count for each of {length} schools is needed"
            )
    return _counts(np.column_stack(list(arrays.values())))


def _check_inside(total: np.ndarray, **groups: np.ndarray) -> None:
    for name, group in groups.items():
        if (group > total).any():
            raise DesignError(f"{name} is larger than the total of a school", remedy="give all pupils as total")
