"""The table of measured size and coverage: its generators are those it states, its rows can be made again alone."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
KEYS = ["n_units", "n_treated", "errors"]


def load_bench():
    spec = importlib.util.spec_from_file_location("bench_impact_coverage", ROOT / "bench" / "impact_coverage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bench = load_bench()


@pytest.fixture(scope="module")
def table():
    return bench.read_table()


# ---- generators


@pytest.mark.parametrize("errors", bench.ERRORS)
def test_variances_are_those_stated(errors):
    """Within 5 standard errors for 4,000 draws; all have mean 0."""
    cell = bench.Cell(24, 2, errors)
    found = bench.draw_changes(cell, 4_000, np.random.default_rng(1))
    inverse = 1 / bench.sizes_of(24)
    step = np.arange(8)
    weight = np.r_[np.full(5, -1 / 5), np.full(3, 1 / 3)]
    ar = weight @ (0.6 ** np.abs(step[:, None] - step)) @ weight / (1 - 0.36)
    true = {
        "normal": np.ones(24),
        "t5": np.full(24, 5 / 3),
        "serial": np.full(24, ar),
        "academie": np.full(24, 1.49),
        "steep": inverse**2 / np.mean(inverse**2),
        "steep_small": inverse**2 / np.mean(inverse**2),
    }.get(errors, 0.2 + 0.8 * inverse / inverse.mean())
    kurtosis = 9 if errors == "t5" else 3
    assert (np.abs(found.var(axis=0) / true - 1) < 5 * np.sqrt((kurtosis - 1) / 4_000)).all()
    assert (np.abs(found.mean(axis=0)) < 5 * np.sqrt(true / 4_000)).all()


def test_more_draws_begin_with_the_same_ones():
    for errors in bench.ERRORS:
        few, more = (bench.draw_changes(bench.Cell(24, 2, errors), d, np.random.default_rng(2)) for d in (3, 9))
        np.testing.assert_array_equal(few, more[:3])


def test_treated_are_where_the_errors_say():
    rng = np.random.default_rng(3)
    for cell in bench.CELLS:
        treated = bench.draw_treated(cell, rng)
        assert treated.sum() == cell.n_treated
        near = max(cell.n_units // 4, cell.n_treated)
        if "small" in cell.errors:
            assert not treated[near:].any()
        if "large" in cell.errors:
            assert not treated[:-near].any()
        if cell.errors == "academie":
            strata = bench.strata_of(cell)
            assert len(set(strata[treated])) == min(cell.n_treated, cell.n_units // 4)
            assert (np.bincount(strata) == 4).all()


# ---- the table


@pytest.mark.parametrize("cell", [(24, 2, "small_treated"), (96, 12, "normal"), (24, 1, "normal"), (24, 2, "academie")])
def test_rows_are_made_again_alone(table, cell):
    stored = table.set_index(KEYS).sort_index().loc[cell]
    again = bench.measure(bench.Cell(*cell), int(stored["draws"]))
    for name in ("method", "draws", "size", "refused", "wrong", "size_plain"):
        assert again[name] == stored[name], name
    for name in ("coverage", "median_width", "size_studentized", "coverage_both"):
        assert again[name] == pytest.approx(stored[name], rel=1e-3 if name == "median_width" else 0, nan_ok=True), name
    assert bench.status_of(again) == stored["status"]


def test_the_table_has_every_cell_with_enough_draws(table):
    assert [tuple(row) for row in table[KEYS].to_numpy()] == [tuple(cell) for cell in bench.CELLS]
    assert (table["draws"] >= 2_000).all()
    for row in table[table["status"] == "holds"].itertuples():
        low, high = (0.93, 0.97) if row.errors in ("normal", "t5", "serial", "academie") else (0.92, 0.98)
        if min(row.coverage - low, high - row.coverage) <= 0.01:
            assert row.draws == 10_000


def test_each_row_holds_its_bar_or_refuses(table):
    """Read again from the table, without the code that wrote the status."""
    exchangeable = table["errors"].isin(["normal", "t5", "serial", "academie"])
    low, high = np.where(exchangeable, 0.93, 0.92), np.where(exchangeable, 0.97, 0.98)
    refuses = table["refused"] > 0.5
    assert (refuses | table["coverage"].between(low, high)).all()
    assert (table["wrong"] <= 0.08).all()
    assert (table["status"] == np.where(refuses, "refuses", "holds")).all()


def test_it_refuses_where_it_must_and_not_elsewhere(table):
    rows = table.set_index(KEYS).sort_index()
    assert (rows.xs(1, level="n_treated")["refused"] == 1).all()
    assert (rows.xs((2, "academie"), level=("n_treated", "errors"))["refused"] == 1).all()
    few = rows[rows["method"] == "size_rescaled_permutation"]
    steep = few.index.get_level_values("errors").str.startswith("steep")
    assert (few.loc[steep, "refused"] > 0.5).all()
    assert (rows.loc[(12, 2), "refused"] == 1).all()
    exact = few[~steep & few.index.get_level_values("errors").isin(["normal", "t5", "serial"])].drop(index=(12, 2))
    assert (exact["refused"] < 0.06).all() and (exact.xs(96, level="n_units")["refused"] < 0.01).all()
    assert (rows[rows["method"] == "cr2_satterthwaite"]["refused"] == 0).all()


def test_why_the_rule_is_the_size_rescaled_test(table):
    """With two small treated, the plain and the studentised tests reject 7 to 14 % of true nulls."""
    rows = table.set_index(KEYS).xs((2, "small_treated"), level=("n_treated", "errors"))
    assert (rows["size_plain"] > 0.12).all() and (rows["size_studentized"] > 0.07).all()
    assert (rows["size"] < 0.07).all()
    both = table.set_index(KEYS).xs((2, "normal"), level=("n_treated", "errors"))["coverage_both"]
    assert (both > 0.97).all()


def test_why_without_sizes_the_studentised_interval_needs_four_treated(table):
    errors = table["errors"].isin(["normal", "t5", "serial", "variance", "small_treated", "large_treated"])
    worst = table[errors & (table["n_treated"] > 1)].groupby("n_treated")["size_studentized"].max()
    assert worst[2] > 0.08 and (worst.drop([2, 3]) <= 0.08).all()


def test_the_command_stands_in_the_table():
    assert "python bench/impact_coverage.py" in bench.TABLE.read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({"errors": "normal", "refused": 0.0, "coverage": 0.95, "wrong": 0.05}, "holds"),
        ({"errors": "normal", "refused": 0.0, "coverage": 0.975, "wrong": 0.025}, "missed"),
        ({"errors": "variance", "refused": 0.0, "coverage": 0.975, "wrong": 0.025}, "holds"),
        ({"errors": "variance", "refused": 0.2, "coverage": 0.91, "wrong": 0.07}, "missed"),
        ({"errors": "steep", "refused": 0.6, "coverage": 0.8, "wrong": 0.07}, "refuses"),
        ({"errors": "steep", "refused": 0.6, "coverage": 0.7, "wrong": 0.12}, "missed"),
        ({"errors": "normal", "refused": 1.0, "coverage": np.nan, "wrong": 0.0}, "refuses"),
    ],
)
def test_status(row, status):
    assert bench.status_of(row) == status


def test_a_cell_near_a_bound_gets_more_draws(monkeypatch):
    asked = []

    def measure(cell, draws=bench.DRAWS):
        asked.append(draws)
        return {**cell._asdict(), "coverage": 0.965, "refused": 0.0, "wrong": 0.035}

    monkeypatch.setattr(bench, "measure", measure)
    assert bench.settled(bench.Cell(24, 2, "normal"))["status"] == "holds" and asked == [2_000, 10_000]
    asked.clear()
    bench.settled(bench.Cell(24, 2, "variance"))
    assert asked == [2_000]


def test_the_notebook_shows_the_committed_table():
    assert bench.SHOWN.read_bytes() == bench.TABLE.read_bytes()
