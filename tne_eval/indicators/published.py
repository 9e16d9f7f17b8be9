"""Published values computed again: what the tests check and what `methodes.ipynb` shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tne_eval.catalog import PublishedValue, published_values
from tne_eval.indicators.decompose import decompose_entropy
from tne_eval.indicators.influence import linearized_error
from tne_eval.indicators.segregation import (
    decompose_segregation,
    dissimilarity,
    mutual_information,
    normalized_entropy,
)
from tne_eval.indicators.sensitivity import sobol_shares
from tne_eval.indicators.statistic import as_statistic

COLUMNS = ["id", "family", "label", "source", "published", "computed", "difference", "limit", "status"]


def check_published_values(folder: str | Path | None = None) -> pd.DataFrame:
    """Each published value beside the same value computed here.

    Parameters
    ----------
    folder : where the published data files lie; None leaves out the values that need one.

    Returns
    -------
    DataFrame, one row per value: `id, family, label, source, published, computed, difference, limit, status` (agrees,
    differs, or no_data where the file is not at hand).
    """
    samples, wanted = published_values()
    held = {name: pd.DataFrame({"value": values}) for name, values in samples.items()}
    return compare_published(wanted, _compute, folder, held)


def compare_published(
    wanted: Sequence[PublishedValue],
    compute: Callable[[PublishedValue, pd.DataFrame], float],
    folder: str | Path | None,
    held: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """The table of `check_published_values` for some values; `held` are the data sets that need no file."""
    frames, rows = dict(held), []
    for entry in wanted:
        if entry.data not in frames and folder is not None and (Path(folder) / entry.data).is_file():
            frames[entry.data] = pd.read_csv(Path(folder) / entry.data, sep=entry.separator)
        own = frames.get(entry.data)
        computed = np.nan if own is None else compute(entry, own)
        difference = abs(computed - entry.published)
        status = "no_data" if own is None else "agrees" if difference <= entry.limit else "differs"
        facts = {name: getattr(entry, name) for name in COLUMNS if hasattr(entry, name)}
        rows.append({**facts, "computed": computed, "difference": difference, "status": status})
    return pd.DataFrame(rows, columns=COLUMNS)


def _compute(entry: PublishedValue, frame: pd.DataFrame) -> float:
    if entry.call == "sobol":
        return float(getattr(sobol_shares(_ishigami(*frame["value"]), 3, n=2**14), entry.statistic)[0])
    if entry.call == "theil_between":
        return decompose_entropy(frame["value"], np.arange(len(frame)), 1).between
    if entry.call in ("statistic", "error"):
        statistic = as_statistic(entry.statistic)
        if "value" in frame:
            return statistic(frame["value"])
        value, kept = _survey(frame, entry.rows)
        if entry.call == "statistic":
            return statistic(value, kept["rb050"])
        return linearized_error(statistic, value, kept["rb050"], cluster=kept["db030"], strata=kept["db040"])
    counts = frame.pivot_table(index=["state", "school"], columns="race", values="n", aggfunc="sum", fill_value=0)
    if entry.call == "dissimilarity":
        first, second = entry.groups
        return dissimilarity(counts[first], counts[second])
    if entry.call in ("between", "within"):
        parts = decompose_segregation(counts, counts.index.get_level_values("state")).mutual_information
        return getattr(parts, entry.call)
    return {"mutual_information": mutual_information, "normalized_entropy": normalized_entropy}[entry.call](counts)


def _ishigami(a: float, b: float) -> Callable[[np.ndarray], np.ndarray]:
    """Test function of three factors, uniform between −π and π (Ishigami and Homma 1990)."""

    def function(points: np.ndarray) -> np.ndarray:
        x = np.pi * (2 * points - 1)
        return np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])

    return function


def _survey(frame: pd.DataFrame, rows: str) -> tuple[pd.Series, pd.DataFrame]:
    """Incomes of the survey as the authors of the value treat them: all, floored at zero, or positive only."""
    if rows == "positive":
        frame = frame[frame["eqIncome"] > 0]
    value = frame["eqIncome"]
    return (value.clip(lower=0) if rows == "floored" else value), frame
