"""Measured coverage of the confidence intervals, on named generators. Writes the table and the rule drawn from it.

    python bench/interval_coverage.py [--processes 2]

Draws schools again and again from laws whose true value is known, and counts how often the 95 % interval holds it.
Writes `tests/reference/coverage_indicators.csv` (the evidence) and `tne_eval/catalog/precision.toml` (from how many
schools each interval may be shown). Every draw has a seed of its own, so that any row can be made again alone. Some
twenty minutes on two busy cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import integrate, stats

from tne_eval.errors import DesignError
from tne_eval.indicators.change import Difference, change_over_time, difference_between
from tne_eval.indicators.clusters import Totals, cluster_totals
from tne_eval.indicators.inequality import concentration_index, gradient
from tne_eval.indicators.influence import influence, influence_concentration, influence_gradient
from tne_eval.indicators.precision import bound
from tne_eval.indicators.resample import bootstrap
from tne_eval.indicators.statistic import as_statistic

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "tests" / "reference" / "coverage_indicators.csv"
RULE = ROOT / "tne_eval" / "catalog" / "precision.toml"
COMMAND = "python bench/interval_coverage.py"

SEED = 20260901
SCHOOLS = (10, 20, 40, 80, 160, 320, 1280)
# Those of one variable, made of sums or of quantiles, and those of a result along a social position.
SUMMED = ("mean", "gini", "theil_t", "theil_l", "generalized_entropy(2)", "atkinson(0.5)")
CUT = ("quantile_ratio(0.9, 0.1)", "share_ratio(0.2, 0.2)", "share_ratio(0.1, 0.4)")
PAIRED = ("concentration_index", "gradient")
STATISTICS = (*SUMMED, *CUT, *PAIRED)
# Beyond this number of schools only the linearised interval of a level is tried: cases that need it, at little cost.
LEVEL_ONLY = 320
DRAWS = {"linearized": 2000, "bootstrap": 1000}
REPLICATES = 199
HOLDS = (0.93, 0.97)
# Share of the draws that must give an interval at all for its coverage to count.
GIVEN = 0.95
CHUNKS = 4


class Year(NamedTuple):
    """One year of some schools, all (rows,): value, weight, school, and a result with the position it goes with."""

    value: np.ndarray
    weight: np.ndarray
    school: np.ndarray
    result: np.ndarray
    position: np.ndarray


class Generator(NamedTuple):
    """`draw(rng, schools)` gives two years of the same schools.

    `laws` are the laws of the value in each year under the weights; `concentration` and `slope` the true concentration
    index and gradient of the result in the first year.
    """

    draw: Callable[[np.random.Generator, int], tuple[Year, Year]]
    laws: tuple
    concentration: float
    slope: float


def _correlated(rng: np.random.Generator, size: int, correlation: float) -> tuple[np.ndarray, np.ndarray]:
    first, other = rng.standard_normal((2, size))
    return first, correlation * first + np.sqrt(1 - correlation**2) * other


def draw_school_effects(rng: np.random.Generator, schools: int) -> tuple[Year, Year]:
    """Pupils in schools: exp(school effect + noise), some 20 pupils a school (lognormal sizes), others each year.

    School effects have s.d. 0.30 then 0.36, correlated 0.9 over the years; noise 0.40: intra-class correlation of the
    logarithm 0.36, then 0.45. The result is 250 + 1.5 (IPS − 105) + a school effect of s.d. 12 + noise of s.d. 40, on
    pupils whose IPS has s.d. 15 between schools and 25 within.
    """
    effects = _correlated(rng, schools, 0.9)
    pupils = np.maximum(np.round(np.exp(rng.normal(2.85, 0.5, schools))), 1).astype(int)
    school = np.repeat(np.arange(schools), pupils)
    size = len(school)
    years = []
    for spread, effect in zip((0.30, 0.36), effects, strict=True):
        value = np.exp(spread * effect[school] + 0.4 * rng.standard_normal(size))
        position = 105 + 15 * rng.standard_normal(schools)[school] + 25 * rng.standard_normal(size)
        noise = 12 * rng.standard_normal(schools)[school] + 40 * rng.standard_normal(size)
        years.append(Year(value, np.ones(size), school, 250 + 1.5 * (position - 105) + noise, position))
    return years[0], years[1]


def draw_ips_schools(rng: np.random.Generator, schools: int) -> tuple[Year, Year]:
    """Schools by their IPS: Gaussian, 105 ± 17 then 106 ± 18, correlated 0.95; lognormal numbers of pupils as weights.

    The logarithm of the number of pupils has s.d. 0.5 and correlation 0.2 with the IPS. The result is
    250 + 1.5 (IPS − 105) + noise of s.d. 20.
    """
    first, second = _correlated(rng, schools, 0.95)
    size = rng.standard_normal(schools)
    years = []
    for z, centre, spread in ((first, 105, 17), (second, 106, 18)):
        value = centre + spread * z
        weight = np.exp(0.5 * (0.2 * z + np.sqrt(0.96) * size))
        result = 250 + 1.5 * (value - 105) + 20 * rng.standard_normal(schools)
        years.append(Year(value, weight, np.arange(schools), result, value))
    return years[0], years[1]


def draw_skewed_usage(rng: np.random.Generator, schools: int) -> tuple[Year, Year]:
    """Schools by their use of a digital service: lognormal, s.d. of the logarithm 0.6 then 0.7, correlated 0.8.

    The result is the use itself, along a position whose correlation with its logarithm is 0.4.
    """
    years = []
    for spread, z in zip((0.6, 0.7), _correlated(rng, schools, 0.8), strict=True):
        position = 0.4 * z + np.sqrt(0.84) * rng.standard_normal(schools)
        value = np.exp(spread * z)
        years.append(Year(value, np.ones(schools), np.arange(schools), value, position))
    return years[0], years[1]


# A Gaussian position of s.d. s has cov(position, rank) = s / (2 √π). Weights that are exp(0.1 z) on the average at z
# shift a Gaussian z by 0.1 and leave its spread. For a lognormal of correlation r to the position, weighting by the
# value shifts the position by 0.6 r.
GENERATORS = {
    "school_effects": Generator(
        draw_school_effects,
        (stats.lognorm(0.5), stats.lognorm(np.hypot(0.36, 0.4))),
        1.5 * np.hypot(15, 25) / np.sqrt(np.pi) / 250,
        1.5,
    ),
    "ips_schools": Generator(
        draw_ips_schools,
        (stats.norm(105 + 1.7, 17), stats.norm(106 + 1.8, 18)),
        1.5 * 17 / np.sqrt(np.pi) / (250 + 1.5 * 1.7),
        1.5,
    ),
    "skewed_usage": Generator(
        draw_skewed_usage,
        (stats.lognorm(0.6), stats.lognorm(0.7)),
        2 * stats.norm.cdf(0.24 / np.sqrt(2)) - 1,
        0.24 * np.exp(0.18),
    ),
}


@cache
def true_value(generator: str, statistic: str, year: int = 0) -> float:
    """The statistic of the law itself: in closed form, or by quadrature over its quantile function."""
    law = GENERATORS[generator].laws[year]
    mean = law.mean()

    def expect(function: Callable, low: float = 0.0, high: float = 1.0) -> float:
        # Over z = Φ⁻¹(p), where the integrand is smooth, above the z of a value of zero.
        bounds = np.clip(stats.norm.ppf([max(low, law.cdf(0.0)), high]), -8, 8)
        inner = lambda z: function(law.ppf(stats.norm.cdf(z))) * stats.norm.pdf(z)  # noqa: E731
        return integrate.quad(inner, *bounds, limit=200, epsabs=1e-11, epsrel=1e-9)[0]

    def share_ratio(upper: float, lower: float) -> float:
        return expect(lambda x: x, 1 - upper, 1.0) / expect(lambda x: x, 0.0, lower)

    values: dict[str, Callable[[], float]] = {
        "mean": lambda: mean,
        "gini": lambda: expect(lambda x: 2 * x * (law.cdf(x) - 0.5)) / mean,
        "theil_t": lambda: expect(lambda x: x / mean * np.log(x / mean)),
        "theil_l": lambda: expect(lambda x: -np.log(x / mean)),
        "generalized_entropy(2)": lambda: law.var() / (2 * mean**2),
        "atkinson(0.5)": lambda: 1 - expect(np.sqrt) ** 2 / mean,
        "quantile_ratio(0.9, 0.1)": lambda: law.ppf(0.9) / law.ppf(0.1),
        "share_ratio(0.2, 0.2)": lambda: share_ratio(0.2, 0.2),
        "share_ratio(0.1, 0.4)": lambda: share_ratio(0.1, 0.4),
        "concentration_index": lambda: GENERATORS[generator].concentration,
        "gradient": lambda: GENERATORS[generator].slope,
    }
    return float(values[statistic]())


def hits(
    generator: str,
    schools: int,
    first: int,
    last: int,
    statistics: Sequence[str] = STATISTICS,
    methods: Sequence[str] = tuple(DRAWS),
) -> pd.DataFrame:
    """Whether each interval held the true value, and its width, for the draws from `first` to `last` − 1.

    A refusal by the statistic (no unit above a quantile, say) leaves both missing.
    """
    rows = []
    place = list(GENERATORS).index(generator)
    for draw in range(first, last):
        rng = np.random.default_rng([SEED, place, schools, draw])
        one, two = GENERATORS[generator].draw(rng, schools)
        other = GENERATORS[generator].draw(rng, schools)[1]
        seed = int(rng.integers(2**32))
        for quantity, method, names in _cases(statistics, methods, schools, draw):
            drawn = _replicates(names, one, seed) if method == "bootstrap" else {}
            for name in names:
                truth, held, width = true_value(generator, name), np.nan, np.nan
                with suppress(DesignError):
                    if quantity == "change":
                        got = _change(name, one, two)
                    elif quantity == "difference":
                        moved = (other.value, other.weight, other.school + schools)
                        got = difference_between(name, one[:3], moved, below="show")
                    elif method == "linearized" or name in drawn:
                        got = bound(name, *_linearized(name, one), drawn=drawn.get(name))
                    else:
                        raise DesignError("no replicates")
                    truth = truth if quantity == "level" else true_value(generator, name, 1) - truth
                    held, width = float(got.low <= truth <= got.high), got.high - got.low
                rows.append((generator, quantity, method, name, schools, draw, held, width))
    columns = ["generator", "quantity", "method", "statistic", "schools", "draw", "held", "width"]
    return pd.DataFrame(rows, columns=columns)


def _cases(
    statistics: Sequence[str], methods: Sequence[str], schools: int, draw: int
) -> Iterator[tuple[str, str, list[str]]]:
    """Quantity, method and statistics that are tried on a draw."""
    single = [name for name in statistics if name not in PAIRED]
    if "linearized" in methods:
        yield "level", "linearized", list(statistics)
    if schools <= LEVEL_ONLY:
        if "bootstrap" in methods and draw < DRAWS["bootstrap"]:
            yield "level", "bootstrap", single
        if "linearized" in methods:
            yield "change", "linearized", single
            yield "difference", "linearized", single


def _linearized(name: str, year: Year) -> tuple[float, Totals]:
    if name == "concentration_index":
        pair = (year.result, year.position, year.weight)
        estimate, z = concentration_index(*pair), influence_concentration(*pair)
    elif name == "gradient":
        pair = (year.result, year.position, year.weight)
        estimate, z = gradient(*pair).slope, influence_gradient(*pair)
    else:
        estimate, z = as_statistic(name)(year.value, year.weight), influence(name, year.value, year.weight)
    return estimate, cluster_totals(z, year.weight, year.school)


def _replicates(statistics: Sequence[str], year: Year, seed: int) -> dict[str, np.ndarray]:
    """Replicates of each statistic that has them; those made of sums cost one pass together."""
    summed = [name for name in statistics if name in SUMMED]
    drawn = {}
    for names in ([summed] if summed else []) + [[name] for name in statistics if name in CUT]:
        with suppress(DesignError):
            draws = bootstrap(names, *year[:3], replicates=REPLICATES, seed=seed).draws
            drawn |= dict(zip(names, draws.T, strict=True))
    return drawn


def _change(name: str, one: Year, two: Year) -> Difference:
    value, weight, school = (np.concatenate(pair) for pair in zip(one[:3], two[:3], strict=True))
    period = np.repeat([1, 2], [len(one.value), len(two.value)])
    return change_over_time(name, value, period, school, weight, below="show")


def summarize(drawn: pd.DataFrame) -> pd.DataFrame:
    """Coverage, its Monte-Carlo standard error and the mean width, one row a case, cases in the order of the lists."""
    keys = ["generator", "quantity", "method", "statistic", "schools"]
    groups = drawn.sort_values("draw", kind="stable").groupby(keys, sort=False)
    table = pd.DataFrame(
        {
            "draws": groups.size(),
            "intervals": groups["held"].count(),
            "coverage": groups["held"].mean(),
            "mean_width": groups["width"].mean(),
        }
    ).reset_index()
    table.insert(8, "mc_error", np.sqrt(table["coverage"] * (1 - table["coverage"]) / table["intervals"]).round(5))
    table = table.assign(coverage=table["coverage"].round(5), mean_width=table["mean_width"].map("{:.6g}".format))
    orders = ([*GENERATORS], ["level", "change", "difference"], [*DRAWS], [*STATISTICS], [*SCHOOLS])
    places = [table[key].map(order.index) for key, order in zip(keys, orders, strict=True)]
    return table.iloc[np.lexsort(places[::-1])].reset_index(drop=True)


def write_table(table: pd.DataFrame) -> None:
    header = (
        f"# Coverage of nominal 95 % intervals. Seed {SEED}, {REPLICATES} replicates a bootstrap. Made by: {COMMAND}\n"
    )
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(header + table.to_csv(index=False), encoding="utf-8")


def read_table() -> pd.DataFrame:
    return pd.read_csv(TABLE, comment="#")


def holds_from(cases: pd.DataFrame) -> int | None:
    """Smallest number of schools from which every generator is covered at 93-97 %, there and at all larger numbers."""
    given = cases["intervals"] >= GIVEN * cases["draws"]
    holds = (given & cases["coverage"].between(*HOLDS)).groupby(cases["schools"]).all().sort_index()
    kept = holds[::-1].cummin()
    return int(kept[kept].index.min()) if kept.any() else None


def rule_text(table: pd.DataFrame) -> str:
    """The rule as TOML, by quantity, method and statistic."""
    lines = [
        "# From how many schools a 95 % interval may be shown. Written by the command below, never by hand.",
        "# coverage: lowest over the generators at each number of clusters; holds_from: from here on all of them are",
        "# covered at 93-97 %, absent where no number tried is enough.",
        f'command = "{COMMAND}"',
    ]
    for (quantity, method, statistic), cases in table.groupby(["quantity", "method", "statistic"], sort=False):
        lowest = cases.groupby("schools")["coverage"].min().sort_index()
        lines += ["", f'[{quantity}.{method}."{statistic}"]']
        lines.append(f"clusters = [{', '.join(map(str, lowest.index))}]")
        lines.append(f"coverage = [{', '.join(f'{share:.4f}' for share in lowest)}]")
        number = holds_from(cases)
        lines += [] if number is None else [f"holds_from = {number}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    start = time.perf_counter()
    draws = max(DRAWS.values())
    edges = np.linspace(0, draws, CHUNKS + 1).astype(int)
    tasks = [
        (generator, schools, first, last)
        for schools in sorted(SCHOOLS, reverse=True)
        for generator in GENERATORS
        for first, last in pairwise(edges.tolist())
    ]
    with ProcessPoolExecutor(options.processes) as pool:
        parts = list(pool.map(hits, *zip(*tasks, strict=True)))
    table = summarize(pd.concat(parts))
    write_table(table)
    RULE.write_text(rule_text(read_table()), encoding="utf-8")
    shown = read_table().pivot_table(
        "coverage", ["quantity", "method", "statistic", "generator"], "schools", sort=False
    )
    print((100 * shown).round(1).to_string())
    for keys, cases in read_table().groupby(["quantity", "method", "statistic"], sort=False):
        print(*keys, "holds from", holds_from(cases), "schools")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
