"""Measured size and coverage of the inference that `infer_effect` chooses, under no effect. Writes the table.

    python bench/impact_coverage.py [--processes 2]

Changes of départements are drawn again and again with no effect. Size is the share of the draws with p of 5 % or less;
coverage, the share of the intervals given that hold the true effect, 0: those whose p is above 5 %, as they invert the
test; `wrong`, the share of all draws whose interval does not. Each cell spreads its draws over 50 sets of treated
départements; assignments are made once for a set: all of them up to 5,000, beyond 999 drawn by lot. Widths are those
of `infer_effect` on 100 draws, whose intervals and p are checked against the draws. `coverage_both` is that of the
interval which spans the chosen and the studentised one, whether it is given or not. Cells within one point of a bound
have 10,000 draws, others 2,000. Sizes are fixed: 0.8 times the normal quantiles, exponentiated.

Errors: `normal`; `t5`; `serial`, AR(1) of 0.6 over eight years, the mean of the last three less that of the first five;
`variance`, normal with variance 0.2 + 0.8 (1 / size) / mean(1 / size); `small_treated` and `large_treated`, the same
with treated drawn among the quarter (or as many as are treated) of the smallest or largest; `steep`, normal with
variance proportional to 1 / size², beyond what the size-rescaled test can follow, and `steep_small`, with treated among
the smallest quarter; `academie`, normal with a common part by stratum of four, treated and compared within strata.

Writes `tests/reference/coverage_impact.csv`, and the same in the catalogue for the notebook on methods. Some minutes on
two cores; exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri

from tne_eval.impact.assignments import assign
from tne_eval.impact.chosen import choose_method, controls_needed, infer_effect, too_steep
from tne_eval.impact.cluster_robust import two_group_cr2
from tne_eval.impact.few_treated import rescaled_p, studentized_p, studentized_variances

TABLE = Path(__file__).parents[1] / "tests" / "reference" / "coverage_impact.csv"
SHOWN = Path(__file__).parents[1] / "tne_eval" / "catalog" / "impact_coverage.csv"
COMMAND = "python bench/impact_coverage.py"

SEED = 20260915
ALPHA = 0.05
SETS, DRAWS, MORE_DRAWS, WIDTHS = 50, 2_000, 10_000, 100
MAX_ENUMERATION, RANDOM = 5_000, 999
# Bars on coverage: where clusters are exchangeable, and elsewhere; a cell refuses where most draws get no interval, and
# the intervals that are still given must not miss in more draws than a cell that holds may.
EXCHANGEABLE, HOLDS, OTHERWISE = ("normal", "t5", "serial", "academie"), (0.93, 0.97), (0.92, 0.98)
REFUSES, WRONG = 0.5, 0.08
NEAR = 0.01
ERRORS = ("normal", "t5", "serial", "variance", "small_treated", "large_treated", "steep", "steep_small", "academie")


class Cell(NamedTuple):
    n_units: int
    n_treated: int
    errors: str


CELLS = (
    *(Cell(n, k, errors) for k in (2, 12) for n in (24, 96) for errors in ERRORS),
    *(Cell(n, k, errors) for k in (3, 4, 5, 6) for n in (24, 96) for errors in ERRORS[:-1]),
    # As few controls as the rule accepts, and fewer.
    *(Cell(n, k, errors) for n, k in ((18, 2), (19, 3), (20, 4), (21, 5), (12, 6), (12, 2)) for errors in ERRORS[:-1]),
    *(Cell(n, 1, errors) for n in (24, 96) for errors in ("normal", "small_treated")),
)


def sizes_of(n_units: int) -> np.ndarray:
    """(n,) increasing sizes, of median 1."""
    return np.exp(0.8 * ndtri((np.arange(n_units) + 0.5) / n_units))


def strata_of(cell: Cell) -> np.ndarray:
    """(n,) strata of four départements of mixed sizes, or one stratum."""
    return np.arange(cell.n_units) % (cell.n_units // 4) if cell.errors == "academie" else np.zeros(cell.n_units, int)


def draw_treated(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    """(n,) bool: a set of treated départements."""
    n, k = cell.n_units, cell.n_treated
    chosen = np.zeros(n, bool)
    if cell.errors == "academie":
        strata = strata_of(cell)
        count = np.bincount(np.arange(k) % (strata.max() + 1), minlength=strata.max() + 1)
        for stratum, number in zip(rng.permutation(strata.max() + 1), count, strict=True):
            chosen[rng.choice(np.flatnonzero(strata == stratum), number, replace=False)] = True
        return chosen
    near = max(n // 4, k)
    ends = {"small": np.arange(near), "large": np.arange(n - near, n)}
    pool = next((ends[end] for end in ends if end in cell.errors), np.arange(n))
    chosen[rng.choice(pool, k, replace=False)] = True
    return chosen


def draw_changes(cell: Cell, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, n) changes; more draws begin with the same ones."""
    n, inverse = cell.n_units, 1 / sizes_of(cell.n_units)
    if cell.errors == "serial":
        shocks = rng.standard_normal((draws, 8, n))
        level = np.empty_like(shocks)
        level[:, 0] = shocks[:, 0] / np.sqrt(1 - 0.6**2)
        for year in range(1, 8):
            level[:, year] = 0.6 * level[:, year - 1] + shocks[:, year]
        return level[:, 5:].mean(axis=1) - level[:, :5].mean(axis=1)
    if cell.errors == "t5":
        return rng.standard_t(5, (draws, n))
    if cell.errors == "academie":
        both = rng.standard_normal((draws, 2, n))
        return both[:, 0] + 0.7 * both[:, 1, strata_of(cell)]
    normal = rng.standard_normal((draws, n))
    if cell.errors in ("variance", "small_treated", "large_treated"):
        return normal * np.sqrt(0.2 + 0.8 * inverse / inverse.mean())
    return normal * np.sqrt(inverse**2 / np.mean(inverse**2)) if cell.errors.startswith("steep") else normal


def one_set(cell: Cell, place: int, draws: int) -> tuple[pd.DataFrame, list[float]]:
    """p of each test and whether an interval is given, by draw, for one set of treated; widths of the first draws."""
    rng = np.random.default_rng([SEED, cell.n_units, cell.n_treated, ERRORS.index(cell.errors), place])
    treated, strata, sizes = draw_treated(cell, rng), strata_of(cell), sizes_of(cell.n_units)
    changes = draw_changes(cell, draws, rng)
    kept = np.isin(strata, strata[treated])
    own, labels, size, column = treated[kept], strata[kept], sizes[kept], changes[:, kept].T
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    contrasts = assign(labels, own, max_enumeration=MAX_ENUMERATION, draws=RANDOM, seed=place).contrasts
    method = choose_method(cell.n_treated, int((~own).sum()), len(groups), True)
    gaps = contrasts @ column
    found = {"plain": np.mean(np.abs(gaps) >= np.abs(gaps[0]) * (1 - 1e-9), axis=0)}
    if cell.n_treated > 1:
        found["studentized"] = studentized_p(gaps, studentized_variances(contrasts, column, groups))
    steep = np.zeros(draws, bool)
    if method in ("size_rescaled_permutation", "size_rescaled_rank"):
        found["chosen"] = rescaled_p(contrasts, column, np.zeros(draws, int), size, groups)
        steep = too_steep(column, own, size, labels) if cell.n_treated > 1 else steep
    else:
        found["chosen"] = two_group_cr2(changes, treated).p if method == "cr2_satterthwaite" else found["studentized"]
    never = cell.n_treated == 1 or 1 / len(contrasts) > ALPHA or (~own).sum() < controls_needed(cell.n_treated)
    frame = pd.DataFrame(found).assign(given=~steep & (not never), method=method)
    first = zip(changes[: WIDTHS // SETS], frame.itertuples(), strict=False)
    return frame, [_width(cell, change, treated, row) for change, row in first]


def _width(cell: Cell, change: np.ndarray, treated: np.ndarray, row: tuple) -> float:
    """Width of the interval of `infer_effect`, which must say of this draw what the vectorised tests say."""
    # The interval of CR2 does not depend on the assignments.
    count = 99 if row.method == "cr2_satterthwaite" else RANDOM
    found = infer_effect(
        change,
        treated,
        strata_of(cell),
        sizes_of(cell.n_units),
        alpha=ALPHA,
        max_enumeration=min(MAX_ENUMERATION, 50 * count),
        draws=count,
    )
    if found.method != row.method or (found.low is not None) != row.given:
        raise AssertionError(f"{cell}: infer_effect gives {found.method} {found.reasons}, the table {row}")
    exact = found.method == "cr2_satterthwaite" or cell.n_treated <= 2
    if exact and abs(found.p_value - row.chosen) > 1e-9:
        raise AssertionError(f"{cell}: p is {found.p_value} by infer_effect, {row.chosen} in the table")
    if found.low is None:
        return np.nan
    # The other way round may fail: an interval holds the effects that are rejected between accepted ones.
    if found.p_value > ALPHA + 1e-9 and not found.low <= 0 <= found.high:
        raise AssertionError(f"{cell}: p is {found.p_value} and the interval {found.low, found.high}")
    return found.high - found.low


def measure(cell: Cell, draws: int = DRAWS) -> dict:
    """One row of the table."""
    parts = [one_set(cell, place, draws // SETS) for place in range(SETS)]
    frame = pd.concat([part for part, _ in parts])
    widths = np.array([width for _, some in parts for width in some])
    reject = frame[[name for name in ("plain", "studentized", "chosen") if name in frame]] <= ALPHA + 1e-9
    given = frame["given"]
    coverage = float(1 - reject.loc[given, "chosen"].mean()) if given.any() else np.nan
    return {
        **cell._asdict(),
        "method": frame["method"].iloc[0],
        "draws": draws,
        "size": round(float(reject["chosen"].mean()), 5),
        "coverage": round(coverage, 5),
        "median_width": float(f"{np.nanmedian(widths):.5g}") if np.isfinite(widths).any() else np.nan,
        "refused": round(float(1 - given.mean()), 5),
        "wrong": round(float((reject["chosen"] & given).mean()), 5),
        "size_plain": round(float(reject["plain"].mean()), 5),
        "size_studentized": round(float(reject["studentized"].mean()), 5) if "studentized" in reject else np.nan,
        "coverage_both": round(1 - float(reject[["chosen", "studentized"]].all(axis=1).mean()), 5)
        if "studentized" in reject
        else np.nan,
    }


def bounds_of(errors: str) -> tuple[float, float]:
    return HOLDS if errors in EXCHANGEABLE else OTHERWISE


def status_of(row: dict) -> str:
    """`refuses`, `holds` or `missed`."""
    if row["refused"] > REFUSES:
        return "refuses" if row["wrong"] <= WRONG else "missed"
    low, high = bounds_of(row["errors"])
    return "holds" if low <= row["coverage"] <= high else "missed"


def settled(cell: Cell) -> dict:
    """The row, with more draws where its coverage is near a bound."""
    row = measure(cell)
    if row["refused"] <= REFUSES and min(abs(row["coverage"] - end) for end in bounds_of(cell.errors)) <= NEAR:
        row = measure(cell, MORE_DRAWS)
    return row | {"status": status_of(row)}


def read_table() -> pd.DataFrame:
    return pd.read_csv(TABLE, comment="#")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    start = time.perf_counter()
    # The longest first, so that no process ends alone.
    order = sorted(CELLS, key=lambda cell: (cell.n_treated >= 6, -cell.n_units))
    with ProcessPoolExecutor(options.processes) as pool:
        rows = {}
        for cell, row in zip(order, pool.map(settled, order), strict=True):
            rows[cell] = row
            print(f"{time.perf_counter() - start:.0f} s", *row.values(), flush=True)
    table = pd.DataFrame([rows[cell] for cell in CELLS])
    header = f"# Inference chosen by infer_effect at 5 %, no effect. Seed {SEED}. Made by: {COMMAND}\n"
    for path in (TABLE, SHOWN):
        path.write_text(header + table.to_csv(index=False), encoding="utf-8")
    print(table.to_string(index=False))
    missed = table[table["status"] == "missed"]
    print(f"{time.perf_counter() - start:.0f} s; " + (f"{len(missed)} bars are missed" if len(missed) else "bars hold"))
    return 1 if len(missed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
