"""Long panels of units that start treatment at different times: read, checked and laid out as unit × time arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError

# Below it, every error that clusters the residuals rejects a true null far too often (MacKinnon and Webb 2018).
FEWEST_TREATED_CLUSTERS = 6
# Integers spread over up to this multiple of their number are coded by a table.
_TABLE = 4
BORNE_BY_FEW = "an element has fewer than six treated clusters: use permutation_test"
TOO_FEW = "fewer than six treated clusters: use permutation_test"


@dataclass(frozen=True, slots=True, eq=False)
class StaggeredPanel:
    """A long panel as arrays: n units in the order of their labels, T times in increasing order.

    Attributes
    ----------
    units : (n,) labels; times : (T,) integers.
    outcomes : (n, T), NaN where the unit is not observed; observed : (n, T) bool.
    cohorts : (n,) first treated time, infinite for the never treated.
    covariates : (n, T, p); names : their p names. weights : (n, T), 0 where the unit is not observed.
    clusters : (n,) codes from 0 in the order of the labels; unit codes where no cluster was named.
    """

    units: np.ndarray
    times: np.ndarray
    outcomes: np.ndarray
    observed: np.ndarray
    cohorts: np.ndarray
    covariates: np.ndarray
    names: tuple[str, ...]
    weights: np.ndarray
    clusters: np.ndarray


def listed(labels: Iterable[object], most: int = 8) -> str:
    """The first labels, and how many more there are."""
    labels = [getattr(label, "item", lambda label=label: label)() for label in labels]
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(map(str, labels[:most])) + more


def read_panel(
    frame: pd.DataFrame,
    outcome: str,
    unit: str,
    time: str,
    cohort: str,
    covariates: Sequence[str] | None = None,
    weight: str | None = None,
    cluster: str | None = None,
    *,
    balanced: bool,
) -> StaggeredPanel:
    """Check a long frame and lay it out as arrays.

    Parameters
    ----------
    frame : one row per unit and time. The others are names of its columns.
    cohort : first treated time of the unit; NaN or 0 for the never treated. A cohort after the last time counts as
        never treated: it is not treated in these data.
    balanced : refuse units that lack a time.

    Raises DesignError: unknown columns, missing or infinite values, text where numbers are needed, times or cohorts
    that are not whole numbers, two rows of a unit at one time, cohort or cluster that varies within a unit, weights
    that are negative, no treated unit, cohorts without a time before their treatment.
    """
    covariates = _covariate_names(covariates)
    _check_roles([outcome, unit, time, cohort, *covariates])
    _check_columns(frame, [outcome, unit, time, cohort, *covariates, *filter(None, (weight, cluster))])
    _check_missing(frame, [unit, time, *filter(None, (cluster,))])
    values = {name: _numbers(frame, name) for name in (outcome, *covariates, *filter(None, (weight,)))}
    when = _whole(frame, time)
    start = _whole(frame, cohort, missing=True)
    unit_code, units = coded(frame[unit])
    time_code, times = coded(pd.Series(when))
    shape = (len(units), len(times))
    cell = unit_code * len(times)
    cell += time_code
    _check_rows(cell, units, times, unit, balanced)
    first = _constant(start, unit_code, units, cohort)
    cohorts = np.where((first == 0) | (first > times[-1]), np.inf, first)
    check_cohorts(cohorts, times)
    if cluster is None:
        clusters = np.arange(len(units))
    else:
        clusters = coded(pd.Series(_constant(frame[cluster].to_numpy(), unit_code, units, cluster), name=cluster))[0]
    wide = {name: _laid(shape, cell, one) for name, one in values.items()}
    observed = np.isfinite(wide[outcome])
    weights = observed.astype(float)
    if weight is not None:
        _check_weights(frame, values[weight], unit, weight)
        weights = np.where(observed, wide[weight], 0.0)
    layers = np.stack([wide[name] for name in covariates], axis=2) if covariates else np.empty((*shape, 0))
    return StaggeredPanel(units, times, wide[outcome], observed, cohorts, layers, covariates, weights, clusters)


def _covariate_names(covariates: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(covariates, str):
        raise DesignError(
            f"covariates is the text {covariates!r}",
            why="several columns may be named",
            remedy=f"give a list: [{covariates!r}]",
        )
    return tuple(covariates or ())


def _check_roles(names: list[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DesignError(
            f"column {', '.join(map(repr, twice))} is given two roles",
            why="outcome, unit, time, cohort and covariates are different columns",
            remedy="name each column once",
        )


def _check_columns(frame: pd.DataFrame, names: list[str]) -> None:
    unknown = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if unknown:
        raise DesignError(
            f"no column {', '.join(map(repr, unknown))} in the frame",
            remedy=f"choose among {listed(frame.columns, 30)}",
        )
    if frame.empty:
        raise DesignError("the frame has no row", remedy="check the selection that made it")
    twice = [name for name in dict.fromkeys(names) if list(frame.columns).count(name) > 1]
    if twice:
        raise DesignError(f"two columns are named {', '.join(map(repr, twice))}", remedy="rename one of them")


def _check_missing(frame: pd.DataFrame, names: list[str]) -> None:
    holes = {name: int(frame[name].isna().sum()) for name in names if frame[name].hasnans}
    bad = [f"{name!r} ({count} rows)" for name, count in holes.items() if count]
    if bad:
        raise DesignError(
            f"labels are missing in {', '.join(bad)}",
            why="a row without them belongs to no unit, time or cluster",
            remedy="fill them in or drop these rows",
        )


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    column = frame[name]
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
        raise DesignError(f"column {name!r} holds {column.dtype}", why="numbers are needed", remedy="convert it first")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DesignError(
            f"column {name!r} is missing or infinite in {len(bad)} rows",
            where=f"rows {listed(frame.index[bad])}",
            why="a missing figure would change the units that are compared",
            remedy="drop the units or the times concerned, or fill the figures in",
        )
    return values


def _whole(frame: pd.DataFrame, name: str, *, missing: bool = False) -> np.ndarray:
    """Column of whole numbers; 0 where missing, when `missing` is allowed."""
    column = frame[name]
    if pd.api.types.is_integer_dtype(column) and not column.hasnans:
        return column.to_numpy().astype(np.int64, copy=False)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise DesignError(f"column {name!r} holds {column.dtype}", why="times are whole numbers, such as years")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    bad = np.isinf(values) | (values != np.floor(values)) & ~np.isnan(values)
    if bad.any():
        raise DesignError(
            f"column {name!r} holds numbers that are not whole",
            where=listed(np.unique(values[bad])),
            why="times are whole numbers, such as years",
            remedy="number the times 1, 2, 3…; write NaN or 0 for never treated" if missing else "number the times",
        )
    return np.where(np.isnan(values), 0, values).astype(np.int64)


def coded(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Codes in the order of the labels, and the labels."""
    if pd.api.types.is_integer_dtype(column):
        values = column.to_numpy()
        first, span = int(values.min()), int(values.max()) - int(values.min())
        if span <= _TABLE * len(values) and abs(first) < 2**62:
            # A table of the numbers that occur costs less than a hash of them.
            step = values.astype(np.int64, copy=False) - first
            occurs = np.zeros(span + 1, dtype=bool)
            occurs[step] = True
            return np.take(np.cumsum(occurs) - 1, step), np.flatnonzero(occurs) + first
    code, labels = pd.factorize(column)
    if (code < 0).any():
        raise DesignError(
            f"column {column.name!r} holds missing labels", where=f"rows {listed(np.flatnonzero(code < 0))}"
        )
    labels = np.asarray(labels)
    try:
        order = np.argsort(labels)
    except TypeError:
        raise DesignError(
            f"column {column.name!r} mixes labels that have no common order",
            remedy="convert them all to text",
        ) from None
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels))
    return rank[code], labels[order]


def _check_rows(cell: np.ndarray, units: np.ndarray, times: np.ndarray, unit: str, balanced: bool) -> None:
    seen = np.zeros((len(units), len(times)), dtype=bool)
    seen.reshape(-1)[cell] = True
    if np.count_nonzero(seen) < len(cell):
        where, at = np.divmod(np.flatnonzero(np.bincount(cell) > 1), len(times))
        raise DesignError(
            f"{len(where)} pairs of unit and time have more than one row",
            where=listed(f"{unit} {units[i]} at {times[t]}" for i, t in zip(where, at, strict=True)),
            remedy="keep one row per unit and time",
        )
    short = np.flatnonzero(~seen.all(axis=1))
    if balanced and len(short):
        raise DesignError(
            f"{len(short)} units are not observed at each of the {len(times)} times",
            where=f"{unit} {listed(units[short])}",
            why="effects by cohort and time compare changes of the same units",
            remedy="drop these units, or use impute_effects, which takes unbalanced panels",
        )


def _constant(values: np.ndarray, unit_code: np.ndarray, units: np.ndarray, name: str) -> np.ndarray:
    """(n,) the value of each unit; refuses a value that varies within a unit."""
    first = np.empty(len(units), dtype=values.dtype)
    first[unit_code] = values
    varies = np.unique(unit_code[np.take(first, unit_code) != values])
    if len(varies):
        raise DesignError(
            f"{name!r} varies within {len(varies)} units",
            where=f"units {listed(units[varies])}",
            why="a unit has one first treated time and lies in one cluster",
            remedy=f"give each unit one value of {name!r}",
        )
    return first


def check_cohorts(cohorts: np.ndarray, times: np.ndarray) -> None:
    """Refuse panels without a treated unit and cohorts without a time before treatment."""
    if not np.isfinite(cohorts).any():
        raise DesignError(
            f"no unit is treated between {times[0]} and {times[-1]}",
            remedy="check the cohorts: they are first treated times; NaN or 0 is never treated",
        )
    early = np.unique(cohorts[cohorts <= times[0]])
    if len(early):
        count = int((cohorts <= times[0]).sum())
        raise DesignError(
            f"cohorts {listed(early.astype(int))} have no time before their treatment ({count} units)",
            where=f"the first time of the data is {times[0]}",
            why="their change since before treatment is unknown, and they cannot serve as controls",
            remedy="add earlier times, or drop these units and say so",
        )


def check_control(cohorts: np.ndarray, times: np.ndarray, control: str) -> None:
    """Refuse an unknown kind of control and panels in which every unit ends up treated."""
    if control not in ("never", "not_yet"):
        raise DesignError(f"control is {control!r}", remedy="choose 'never' or 'not_yet'")
    if np.isinf(cohorts).any():
        return
    last = int(cohorts.max())
    if control == "never":
        raise DesignError(
            "no unit is never treated",
            remedy=f"use control='not_yet' on times before {last}, when the last cohort starts",
        )
    raise DesignError(
        f"no control is left from {last} on, when the last cohort starts",
        where=f"times up to {times[-1]}",
        why="every unit is treated by then",
        remedy=f"keep the times before {last}: cohort {last} is then the last to serve as control",
    )


def check_steady(panel: StaggeredPanel, unit: str, weight: str) -> None:
    """Refuse weights that vary within a unit."""
    varying = np.flatnonzero((panel.weights != panel.weights[:, :1]).any(axis=1))
    if len(varying):
        raise DesignError(
            f"{weight!r} varies within {len(varying)} units",
            where=f"{unit} {listed(panel.units[varying])}",
            why="changes of a unit have one weight",
            remedy="take the weight of the first time, or its mean over time",
        )


def check_wide(n: int, times: np.ndarray, length: int, layers: np.ndarray, by_unit: dict[str, np.ndarray]) -> None:
    """Refuse arrays that do not fit n units and these times, or whose values have no meaning."""
    wrong = [f"{name} {one.shape}" for name, one in by_unit.items() if one.shape != (n,)]
    wrong += [f"times {times.shape}"] * (times.shape != (length,))
    wrong += [f"covariates {layers.shape}"] * (layers.ndim != 3 or layers.shape[:2] != (n, length))
    if wrong:
        raise DesignError(f"shapes disagree with {n} units and {length} times", where=", ".join(wrong))
    cohorts, weights = by_unit["cohorts"], by_unit["weights"]
    finite = cohorts[np.isfinite(cohorts)]
    rules = {
        "times do not increase": (np.diff(times) > 0).all(),
        "times or cohorts are not whole numbers": (times % 1 == 0).all() and (finite % 1 == 0).all(),
        "weights are not all positive and finite": (np.isfinite(weights) & (weights > 0)).all(),
        "covariates are not all finite": np.isfinite(layers).all(),
    }
    broken = [rule for rule, holds in rules.items() if not holds]
    if broken:
        raise DesignError("; ".join(broken), remedy="correct the arrays, or use the function on long frames")


def _check_weights(frame: pd.DataFrame, values: np.ndarray, unit: str, weight: str) -> None:
    bad = np.flatnonzero(values <= 0)
    if len(bad):
        raise DesignError(
            f"{len(bad)} weights in {weight!r} are negative or zero",
            where=f"{unit} {listed(pd.unique(frame[unit].iloc[bad]))}",
            why="a weight says how many pupils or schools a row stands for",
            remedy="drop the rows that stand for none",
        )


def _laid(shape: tuple[int, int], cell: np.ndarray, values: np.ndarray) -> np.ndarray:
    wide = np.full(shape[0] * shape[1], np.nan)
    wide[cell] = values
    return wide.reshape(shape)


def cluster_sums(scores: np.ndarray, clusters: np.ndarray, n_clusters: int) -> np.ndarray:
    """(n_clusters, k) sums of the rows of scores (n, k) by cluster code (n,)."""
    if n_clusters == len(clusters):
        return scores[np.argsort(clusters)]
    return np.stack([np.bincount(clusters, one, n_clusters) for one in scores.T], axis=1)


def clusters_by_cohort(clusters: np.ndarray, cohorts: np.ndarray, groups: np.ndarray, n_clusters: int) -> np.ndarray:
    """(n_clusters, g) bool: whether the cluster holds units of the cohort; `groups` (g,) are the finite cohorts."""
    late = np.isfinite(cohorts)
    held = np.zeros((n_clusters, len(groups)), dtype=bool)
    held[clusters[late], np.searchsorted(groups, cohorts[late])] = True
    return held


def errors_or_none(covariance: np.ndarray, valid: np.ndarray) -> list[float | None]:
    """Square roots of the diagonal; None where the error is not valid."""
    errors = np.sqrt(np.diag(covariance))
    return [float(error) if good else None for error, good in zip(errors, valid, strict=True)]


def effects_frame(labels: dict[str, np.ndarray], estimates: np.ndarray, errors: list, clusters: np.ndarray, reasons):
    """Labels, estimate, error, treated_clusters and reason, one row per effect; None where there is no error."""
    # As Series, since a frame would make missing numbers and texts of None.
    error = pd.Series(errors, dtype=object if None in errors else float)
    reason = pd.Series(list(reasons), dtype=object)
    return pd.DataFrame(
        {**labels, "estimate": estimates, "error": error, "treated_clusters": clusters, "reason": reason}
    )
