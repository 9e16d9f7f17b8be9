"""The table of measured coverage: its generators have the true values claimed, its rows can be made again alone."""

import importlib.util
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, ndtri

from tne_eval.indicators.precision import bound
from tne_eval.indicators.resample import bootstrap

ROOT = Path(__file__).parents[1]
KEYS = ["generator", "quantity", "method", "statistic", "schools"]


def load_bench():
    spec = importlib.util.spec_from_file_location("bench_coverage", ROOT / "bench" / "interval_coverage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bench = load_bench()


@pytest.fixture(scope="module")
def table():
    return bench.read_table()


# ---- true values


@pytest.mark.parametrize(("generator", "year", "sigma"), [("school_effects", 0, 0.5), ("skewed_usage", 1, 0.7)])
def test_true_values_of_lognormal_laws_are_their_closed_forms(generator, year, sigma):
    """Cowell (2011), table A.2; shares by the Lorenz curve Φ(Φ⁻¹(p) − σ)."""

    def lorenz(share):
        return ndtr(ndtri(share) - sigma)

    known = {
        "mean": np.exp(sigma**2 / 2),
        "gini": 2 * ndtr(sigma / np.sqrt(2)) - 1,
        "theil_t": sigma**2 / 2,
        "theil_l": sigma**2 / 2,
        "generalized_entropy(2)": (np.exp(sigma**2) - 1) / 2,
        "atkinson(0.5)": 1 - np.exp(-(sigma**2) / 4),
        "quantile_ratio(0.9, 0.1)": np.exp(2 * sigma * ndtri(0.9)),
        "share_ratio(0.2, 0.2)": (1 - lorenz(0.8)) / lorenz(0.2),
        "share_ratio(0.1, 0.4)": (1 - lorenz(0.9)) / lorenz(0.4),
    }
    for name, value in known.items():
        assert bench.true_value(generator, name, year) == pytest.approx(value, rel=1e-8), name


def test_true_values_of_gaussian_laws_are_their_closed_forms():
    """Gini σ / (μ √π)."""
    assert bench.true_value("ips_schools", "gini", 0) == pytest.approx(17 / (106.7 * np.sqrt(np.pi)), rel=1e-7)
    assert bench.true_value("ips_schools", "generalized_entropy(2)", 0) == pytest.approx((17 / 106.7) ** 2 / 2)


@pytest.mark.parametrize("generator", list(bench.GENERATORS))
def test_a_large_draw_comes_near_the_true_values(generator):
    """Within 4.5 standard errors, both years; 5,000 schools."""
    years = bench.GENERATORS[generator].draw(np.random.default_rng(77), 5_000)
    for year, rows in enumerate(years):
        for name in bench.STATISTICS:
            if name in bench.PAIRED and year == 1:
                continue
            estimate, totals = bench._linearized(name, rows)
            error = bound(name, estimate, totals).error
            assert abs(estimate - bench.true_value(generator, name, year)) < 4.5 * error, (name, year)


def test_the_two_methods_agree_on_a_generator():
    """999 replicates know an error to 2.2 %."""
    rows, _ = bench.GENERATORS["school_effects"].draw(np.random.default_rng(5), 160)
    drawn = bootstrap(bench.SUMMED, *rows[:3], replicates=999, seed=1)
    for name, errors in zip(bench.SUMMED, drawn.errors, strict=True):
        error = bound(name, *bench._linearized(name, rows)).error
        assert errors * np.sqrt(160 / 159) == pytest.approx(error, rel=0.08), name


# ---- the table


@pytest.mark.parametrize(
    ("generator", "schools", "statistics", "methods"),
    [
        ("ips_schools", 10, ("gini",), ("linearized", "bootstrap")),
        ("skewed_usage", 20, ("mean", "concentration_index", "gradient"), ("linearized",)),
        ("school_effects", 10, ("theil_l",), ("linearized",)),
    ],
)
def test_rows_are_made_again_alone(table, generator, schools, statistics, methods):
    again = bench.summarize(bench.hits(generator, schools, 0, max(bench.DRAWS.values()), statistics, methods))
    rows = table.set_index(KEYS)
    for row in again.itertuples():
        stored = rows.loc[(row.generator, row.quantity, row.method, row.statistic, row.schools)]
        assert (stored["draws"], stored["intervals"]) == (row.draws, row.intervals)
        assert stored["coverage"] == row.coverage
        assert stored["mean_width"] == pytest.approx(float(row.mean_width), rel=1e-4)


def test_the_table_has_every_case_with_enough_draws(table):
    assert not table.duplicated(KEYS).any()
    levels = table[(table["quantity"] == "level") & (table["method"] == "linearized")]
    assert len(levels) == len(bench.GENERATORS) * len(bench.STATISTICS) * len(bench.SCHOOLS)
    assert (table.loc[table["method"] == "linearized", "draws"] >= 2000).all()
    assert (table.loc[table["method"] == "bootstrap", "draws"] >= 1000).all()
    error = np.sqrt(table["coverage"] * (1 - table["coverage"]) / table["intervals"])
    pd.testing.assert_series_equal(table["mc_error"], error, check_names=False, rtol=0, atol=1e-4)


def test_the_command_stands_in_the_table():
    assert "python bench/interval_coverage.py" in bench.TABLE.read_text(encoding="utf-8").splitlines()[0]


def test_the_rule_of_the_catalogue_is_the_one_the_table_gives(table):
    assert bench.RULE.read_text(encoding="utf-8") == bench.rule_text(table)


def test_from_the_number_that_the_rule_gives_coverage_is_93_to_97_percent(table):
    """Read again from the table, without the code that wrote the rule."""
    rule = tomllib.loads(bench.RULE.read_text(encoding="utf-8"))
    for (quantity, method, statistic), cases in table.groupby(["quantity", "method", "statistic"]):
        entry = rule[quantity][method][statistic]
        good = cases["coverage"].between(0.93, 0.97) & (cases["intervals"] >= 0.95 * cases["draws"])
        bad = cases.loc[~good, "schools"]
        number = entry.get("holds_from")
        if number is None:
            assert bad.max() == cases["schools"].max()
        else:
            assert (bad < number).all()
            assert number == min(size for size in cases["schools"] if size > bad.max() or bad.empty)
        for size, lowest in zip(entry["clusters"], entry["coverage"], strict=True):
            measured = cases.loc[cases["schools"] == size, "coverage"].min()
            assert lowest == pytest.approx(measured, abs=1e-4)
