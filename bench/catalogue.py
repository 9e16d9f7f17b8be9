"""Time of the whole catalogue on 45,000 écoles × 9 years × 101 départements against one pandas group-by mean.

    python bench/catalogue.py [--repeat 3]

The schools are made up; the other figures are those shipped with the package. Every formula on écoles reads 405,000
rows a variable. Prints the ratio, the slowest indicators and the growth with the number of rows.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from tne_eval.catalog import list_indicators
from tne_eval.indicators.compute import FORMULAS, indicator_tables, variables_of
from tne_eval.sources import PANEL_COLUMNS, list_departements, load_panel

ECOLES, YEARS = 45_000, 9
BAR_RATIO, BAR_SLOPE = 30.0, 1.15
_LETTERS = np.array(list("ABCDEFGHJKLMNPRSTUVWXYZ"))


def made_up_schools(ecoles: int, variables: list[str], unit_type: str, seed: int = 1) -> tuple[pd.DataFrame, pd.Series]:
    """Panel rows of `ecoles` schools over nine years, and the département of each row, in no order."""
    rng = np.random.default_rng(seed)
    codes = np.array(list_departements())
    place = rng.integers(0, len(codes), ecoles)
    prefix = np.array([{"2A": "620", "2B": "720"}.get(code, code.zfill(3)) for code in codes])
    number = pd.Series(place).groupby(place).cumcount().to_numpy() + 1
    digits = np.char.add(prefix[place], np.char.zfill(number.astype(str), 4))
    uai = np.char.add(digits, _LETTERS[digits.astype(int) % 23])
    school, year = (part.ravel() for part in np.meshgrid(np.arange(len(uai)), np.arange(YEARS), indexing="ij"))
    order = rng.permutation(len(school))
    school, year = school[order], year[order]
    level = rng.normal(100, 15, len(uai))
    parts = []
    for number, name in enumerate(variables):
        values = np.clip(
            level[school] + rng.normal(0, 4, len(school)) - 5 * number, 20, 99 if "percent" in name else 200
        )
        parts.append(
            pd.DataFrame(
                {
                    "unit_type": unit_type,
                    "unit": pd.Categorical.from_codes(school, uai),
                    "period_type": "school_year",
                    "period": 2016 + year,
                    "group": np.where(school % 3 == 0, "priority=yes;area=rural", "priority=no;area=urban"),
                    "variable": name,
                    "value": values,
                    "weight": 1.0,
                    "n": 1.0,
                    "status": "observed",
                    "source": "made up",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)[list(PANEL_COLUMNS)], pd.Series(codes[place][school])


def whole_panel(ecoles: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The shipped panel with schools one by one in place of its groups of écoles; and their table for the yardstick."""
    variables = sorted({name for entry in _on_ecoles() for name in variables_of(entry)})
    schools, departement = made_up_schools(ecoles, variables, "ecole")
    shipped = load_panel()
    panel = pd.concat([shipped[~shipped["variable"].isin(variables)], schools], ignore_index=True)
    for column in ("unit_type", "unit", "period_type", "group", "variable", "status", "source"):
        panel[column] = panel[column].astype("category")
    rows = schools["variable"] == variables[0]
    table = pd.DataFrame(
        {
            "departement": departement.astype("category"),
            "period": schools.loc[rows, "period"].to_numpy(),
            "value": schools.loc[rows, "value"].to_numpy(),
        }
    )
    return panel, table


def _on_ecoles() -> list:
    """Indicators whose formula reads schools of the first degree one by one."""
    weighted = [entry for entry in list_indicators() if FORMULAS[entry.formula].weighted]
    return [entry for entry in weighted if any("ecole" in name for name in variables_of(entry))]


def computable() -> list[str]:
    """Every indicator that the shipped figures or the made-up écoles can give."""
    ecoles = {entry.id for entry in _on_ecoles()}
    return [entry.id for entry in list_indicators() if not entry.needs or entry.id in ecoles]


def best(calls: list[Callable[[], object]], repeat: int) -> list[float]:
    """Least of several times of each call, in seconds; the calls take turns, so that a busy moment hits them all."""
    times = np.full((repeat, len(calls)), np.inf)
    for turn in range(repeat):
        for place, call in enumerate(calls):
            start = time.perf_counter()
            call()
            times[turn, place] = time.perf_counter() - start
    return times.min(axis=0).tolist()


def main() -> int:
    """Print the ratios; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    repeat = parser.parse_args().repeat
    ids = computable()
    panel, table = whole_panel(ECOLES)
    floor, whole = best(
        [
            lambda: table.groupby(["departement", "period"], observed=True)["value"].mean(),
            lambda: indicator_tables(ids, panel),
        ],
        repeat,
    )
    ratio = whole / floor
    print(f"catalogue: {len(ids)} indicators, {len(panel):,} rows of which {len(table):,} per variable of the écoles")
    print(f"group-by mean {1000 * floor:.0f} ms; whole catalogue {1000 * whole:.0f} ms")
    print(f"ratio {ratio:.1f} (bar {BAR_RATIO:.0f}) {'ok' if ratio <= BAR_RATIO else 'TOO SLOW'}")
    alone = dict(zip(ids, best([lambda id=id: indicator_tables([id], panel) for id in ids], 1), strict=True))
    for id in sorted(alone, key=alone.get, reverse=True)[:5]:
        print(f"  alone {id}: {1000 * alone[id]:.0f} ms")
    ecoles = [entry.id for entry in _on_ecoles()]
    sizes = [ECOLES // 4, ECOLES // 2, ECOLES, 2 * ECOLES]
    panels = [whole_panel(size)[0] for size in sizes]
    times = best([lambda larger=larger: indicator_tables(ecoles, larger) for larger in panels], repeat)
    for size, seconds in zip(sizes, times, strict=True):
        print(f"  {size * YEARS:>9,} rows a variable: {1000 * seconds:.0f} ms")
    # n log n, fitted: the exponent that is left once log n is taken out is 1.
    scale = np.log([size * YEARS * math.log(size * YEARS) for size in sizes])
    slope = np.polyfit(scale, np.log(times), 1)[0]
    print(f"growth: (n log n)^{slope:.2f} (bar {BAR_SLOPE}) {'ok' if slope <= BAR_SLOPE else 'TOO STEEP'}")
    return int(ratio > BAR_RATIO or slope > BAR_SLOPE)


if __name__ == "__main__":
    raise SystemExit(main())
