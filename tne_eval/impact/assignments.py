"""Which départements could have been treated instead: assignments and the contrasts that they define."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tne_eval.errors import DesignError


@dataclass(frozen=True, slots=True, eq=False)
class Assignments:
    """Re-assignments of the treatment, the observed one first.

    contrasts : (S, n) weights; `contrasts @ change` is the difference-in-differences of each assignment.
    exact : whether these are all the assignments there are; `total` is that number.
    """

    contrasts: np.ndarray
    exact: bool
    total: int


def assign(
    strata: Sequence[str],
    treated: np.ndarray,
    *,
    max_enumeration: int = 100_000,
    draws: int = 9_999,
    seed: int,
) -> Assignments:
    """Assignments that keep the number of treated units in each stratum.

    The statistic of an assignment is the mean, over treated units, of its change less the mean change of the
    controls of its stratum. All assignments are enumerated up to `max_enumeration`; beyond, `draws` random ones are
    taken (with the observed one, as in Phipson and Smyth 2010, so that p is never 0).

    Parameters
    ----------
    strata : (n,) labels; treated : (n,) bool, True at the units that were treated.

    Raises DesignError where a stratum of treated units has no control.
    """
    labels = np.asarray(strata)
    treated = np.asarray(treated, dtype=bool)
    groups = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels[treated])]
    counts = [int(treated[group].sum()) for group in groups]
    for group, count in zip(groups, counts, strict=True):
        if count == len(group):
            raise DesignError(
                "a stratum of treated units has no control",
                where=f"stratum {labels[group[0]]!r}",
                remedy="use a design whose comparison group reaches outside the stratum",
            )
    total = math.prod(math.comb(len(group), count) for group, count in zip(groups, counts, strict=True))
    observed = [tuple(group[treated[group]]) for group in groups]
    if total <= max_enumeration:
        ways = [
            [
                observed[place],
                *(way for way in itertools.combinations(group, counts[place]) if way != observed[place]),
            ]
            for place, group in enumerate(groups)
        ]
        chosen = list(itertools.product(*ways))
    else:
        rng = np.random.default_rng(seed)
        chosen = [
            tuple(observed),
            *(
                tuple(
                    tuple(rng.choice(group, count, replace=False)) for group, count in zip(groups, counts, strict=True)
                )
                for _ in range(draws)
            ),
        ]
    return Assignments(_contrasts(chosen, groups, counts, len(labels)), total <= max_enumeration, total)


def weigh(assignments: Assignments, strata: Sequence[str], weight: np.ndarray) -> Assignments:
    """The same assignments, with means in which each unit counts for its weight.

    The contrast of an assignment is then the weighted mean over its treated units of their change less the weighted
    mean change of the controls of their stratum. `weight` : (n,) positive.
    """
    is_treated = assignments.contrasts > 0
    total = is_treated @ weight
    contrasts = is_treated * weight / total[:, None]
    labels = np.asarray(strata)
    for label in dict.fromkeys(labels):
        own = np.flatnonzero(labels == label)
        if not assignments.contrasts[0, own].any():  # a stratum without treated units
            continue
        controls = ~is_treated[:, own] * weight[own]
        share = contrasts[:, own].sum(axis=1) / controls.sum(axis=1)
        contrasts[:, own] -= share[:, None] * controls
    return replace(assignments, contrasts=contrasts)


def _contrasts(chosen: list, groups: list[np.ndarray], counts: list[int], n: int) -> np.ndarray:
    k = sum(counts)
    base = np.zeros(n)
    for group, count in zip(groups, counts, strict=True):
        base[group] = -count / k / (len(group) - count)
    contrasts = np.tile(base, (len(chosen), 1))
    rows = np.repeat(np.arange(len(chosen)), k)
    columns = np.fromiter(itertools.chain.from_iterable(itertools.chain.from_iterable(chosen)), dtype=int)
    contrasts[rows, columns] = 1 / k
    return contrasts
