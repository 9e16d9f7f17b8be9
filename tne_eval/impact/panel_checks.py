"""What a panel of treated clusters must be: checked before anything is computed, all problems of a kind at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError

# Share of a variance below which what is left of it is rounding.
NOTHING = 1e-10
# Labels named in a message.
SHOWN = 10


def covariate_names(
    frame: pd.DataFrame,
    outcome: str,
    unit: str,
    time: str,
    cluster: str,
    covariates: Sequence[str] | None,
    weight: str | None,
    strata: str | None,
) -> tuple[str, ...]:
    """Names of the covariates, once all columns are found."""
    if not isinstance(frame, pd.DataFrame):
        raise DesignError(f"frame is a {type(frame).__name__}", why="a pandas DataFrame is needed")
    if isinstance(covariates, str):
        raise DesignError("covariates is a text", remedy=f"give a list: [{covariates!r}]")
    names = tuple(covariates or ())
    asked = [outcome, unit, time, cluster, *names, *(name for name in (weight, strata) if name is not None)]
    if absent := [str(name) for name in asked if name not in frame.columns]:
        raise DesignError(f"the frame has no column {', '.join(absent)}", remedy="name columns that it has")
    repeated = [name for name in dict.fromkeys(asked) if list(frame.columns).count(name) > 1]
    if repeated or len({outcome, *names}) <= len(names):
        raise DesignError("a column is given twice", where=", ".join(map(str, repeated)) or "outcome and covariates")
    if not len(frame):
        raise DesignError("the frame is empty")
    return names


def label_places(
    frame: pd.DataFrame, column: str, keep: np.ndarray | slice, ordered: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the rows kept, and labels, in sorted order or in that of their appearance."""
    code, labels = pd.factorize(frame[column].to_numpy()[keep])
    if (code < 0).any():
        raise DesignError(f"column {column!r} holds missing labels", remedy="drop these rows or give them a label")
    if not ordered:
        return code, labels
    try:
        order = np.argsort(labels, kind="stable")
    except TypeError as error:
        raise DesignError(f"the labels of column {column!r} cannot be sorted", why=str(error)) from None
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[code], labels[order]


def nested_in(
    outer: np.ndarray, inner: np.ndarray, labels: np.ndarray, outer_labels: np.ndarray, name: str, outer_name: str
) -> np.ndarray:
    """The outer code of each inner label, where it has only one."""
    of_inner = np.empty(len(labels), dtype=np.intp)
    of_inner[inner] = outer
    if (moved := outer != of_inner[inner]).any():
        found = list(dict.fromkeys(labels[inner[moved]]))[:SHOWN]
        raise DesignError(
            f"column {outer_name!r} is not the same in all rows of a label of {name!r}",
            where=", ".join(map(str, found)),
            why=f"effects of {name!r} must lie inside {outer_name!r}",
            remedy="keep the first label throughout, or leave these out",
        )
    return of_inner


def check_once(
    unit: np.ndarray, time: np.ndarray, units: np.ndarray, periods: np.ndarray, unit_name: str, time_name: str
) -> None:
    count = np.bincount(unit * len(periods) + time)
    if (count > 1).any():
        found = [divmod(place, len(periods)) for place in np.flatnonzero(count > 1)[:SHOWN]]
        raise DesignError(
            f"{(count > 1).sum()} pairs of {unit_name!r} and {time_name!r} occur twice or more",
            where=", ".join(f"{units[one]} in {periods[when]}" for one, when in found),
            remedy="keep one row for each",
        )


def post_periods(periods: np.ndarray, first_treated: object) -> np.ndarray:
    if not pd.api.types.is_scalar(first_treated):
        raise DesignError(f"first_treated {first_treated!r} is not one period")
    try:
        post = np.asarray(periods >= first_treated, dtype=bool)
    except TypeError as error:
        raise DesignError(
            f"first_treated {first_treated} cannot be compared with the periods", why=str(error)
        ) from None
    if post.all() or not post.any():
        side = "before" if post.all() else "from"
        raise DesignError(
            f"no period {side} first_treated {first_treated}",
            where=f"periods {periods[0]} to {periods[-1]}",
            why="a difference-in-differences compares periods before and after",
        )
    return post


def treated_clusters(clusters: np.ndarray, treated: Sequence[object]) -> np.ndarray:
    """(K,) bool of the treated labels."""
    if isinstance(treated, str) or not np.iterable(treated):
        raise DesignError("treated is not a list of clusters", remedy=f"give [{treated!r}]")
    labels = list(treated)
    code = places_of(clusters, np.fromiter(labels, dtype=object, count=len(labels)))
    if absent := [str(label) for label, one in zip(labels, code, strict=True) if one < 0]:
        raise DesignError(f"treated clusters that are not in the data: {', '.join(absent)}")
    if len(set(code)) < len(code) or not 0 < len(code) < len(clusters):
        raise DesignError(
            f"{len(labels)} treated of {len(clusters)} clusters",
            why="each is named once, and some are treated and others not",
        )
    chosen = np.zeros(len(clusters), dtype=bool)
    chosen[code] = True
    return chosen


def places_of(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Places of labels among the clusters, -1 where they are not there."""
    try:
        return pd.Index(clusters).get_indexer(pd.Index(labels, dtype=object))
    except TypeError as error:
        raise DesignError("labels of clusters are texts or numbers", why=str(error)) from None


def check_groups(treated: np.ndarray, stratum: np.ndarray, labels: np.ndarray) -> None:
    alone = np.bincount(stratum, ~treated) == 0
    if alone.any():
        raise DesignError(
            f"a stratum with only treated clusters: {', '.join(map(str, labels[alone]))}",
            why="its period effects take the place of the treatment",
            remedy="merge it with another, or leave its clusters out",
        )


def check_seen(
    seen: np.ndarray, treated: np.ndarray, post: np.ndarray, clusters: np.ndarray, periods: np.ndarray
) -> None:
    lacking = treated[:, None] & ~seen & post
    problems = [
        f"{clusters[place]}: {', '.join(map(str, periods[lacking[place]]))}"
        for place in np.flatnonzero(lacking.any(axis=1))
    ]
    problems += [
        f"{clusters[place]}: every period before" for place in np.flatnonzero(treated & ~(seen & ~post).any(axis=1))
    ]
    if problems:
        raise DesignError(
            "the outcome is missing in treated clusters",
            where="; ".join(problems),
            remedy="leave these periods or clusters out of the whole panel",
        )


def check_covariates(gram: np.ndarray, full: np.ndarray, names: tuple[str, ...]) -> None:
    """Distance of each covariate, less effects, from those before it, as a share of its spread inside units."""
    lost = []
    for place, name in enumerate(names):
        before = [other for other in range(place) if names[other] not in lost]
        left = gram[place, place] - gram[place, before] @ np.linalg.solve(
            gram[np.ix_(before, before)], gram[before, place]
        )
        if left <= NOTHING * full[place, place] or full[place, place] < NOTHING:
            lost.append(name)
    if lost:
        raise DesignError(
            f"covariates determined by unit and period effects or by those before them: {', '.join(lost)}",
            why="their coefficients are not determined",
            remedy="drop them",
        )


def check_movable(moment: np.ndarray, post: np.ndarray, clusters: np.ndarray, used: np.ndarray) -> None:
    """The clusters `used` (K,) bool must vary between before and after inside their units."""
    periods = len(post)
    spread = np.einsum("ktu,t,u->k", moment[:, :periods, :periods], post, post)
    fixed = used & (spread <= NOTHING * np.einsum("ktt->k", moment[:, :periods, :periods]))
    if fixed.any():
        raise DesignError(
            "no unit is seen both before and after in some clusters that are, or could have been, treated",
            where=", ".join(map(str, clusters[fixed][:SHOWN])),
            why="a change needs the same units on both sides",
            remedy="leave these clusters out",
        )
