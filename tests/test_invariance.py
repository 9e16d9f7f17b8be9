"""Laws that every entry of the catalogue keeps, each run on every entry by itself.

On the shipped figures where they are enough, and on schools one by one where the formula takes them.
"""

import numpy as np
import pandas as pd
import pytest

from tne_eval.catalog import list_indicators
from tne_eval.errors import DesignError
from tne_eval.indicators import compute_indicator, indicator_table
from tne_eval.indicators.compute import FORMULAS, all_rows, variables_of
from tne_eval.sources import PANEL_COLUMNS, list_departements

ENTRIES = list_indicators()
WEIGHTED = [entry for entry in ENTRIES if FORMULAS[entry.formula].weighted]
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
COPIES = [f"copy={place}" for place in range(4)]
FIGURES, SCHOOLS = [(entry, "figures") for entry in ENTRIES], [(entry, "schools") for entry in WEIGHTED]
CASES = FIGURES + SCHOOLS


def every(cases: list):
    return pytest.mark.parametrize(("entry", "kind"), cases, ids=lambda part: getattr(part, "id", part))


every_entry = every(CASES)
# The dates of the programme belong to each territory, and a counter is the latest one published, not a sum.
every_free_entry = every([case for case in CASES if not FORMULAS[case[0].formula].place_bound])
# A school counts for one: where its weight is that, copies are more schools.
every_with_weights = every(
    [
        (entry, kind)
        for entry, kind in CASES
        if FORMULAS[entry.formula].weighted and not (kind == "schools" and entry.inputs["weight"] == "schools")
    ]
)
every_transfer = every([case for case in CASES if FORMULAS[case[0].formula].transfer != "none"])


def uai(departement: str, number: int) -> str:
    digits = {"2A": "620", "2B": "720"}.get(departement, departement.zfill(3)) + f"{number:04d}"
    return digits + _LETTERS[int(digits) % 23]


def made_up(entry, kind: str) -> pd.DataFrame:
    """Random figures: sixteen schools (or groups) in four départements and two periods, or one figure in each."""
    rng = np.random.default_rng(11)
    grouped = FORMULAS[entry.formula].weighted
    sides = (
        [entry.inputs.get(side) for side in ("first", "second")] if entry.formula == "gap_between_groups" else [None]
    )
    rows = []
    for code in ("02", "60", "2A", "971"):
        for period in (2020, 2021):
            for place in range(16 if grouped else 1):
                side = sides[place % len(sides)]
                group = [f"{name}={label}" for name, label in side.items()] if side else []
                school = kind == "schools"
                rows += [
                    {
                        "unit_type": "college" if school else "departement",
                        "unit": uai(code, place + 1) if school else code,
                        "period": period,
                        "group": ";".join(group if school or not grouped else [*group, f"ips_group={place:02d}"]),
                        "variable": name,
                        "value": float(rng.integers(20, 99)) + rng.random(),
                        "n": float(rng.integers(1, 4)),
                    }
                    for name in sorted(variables_of(entry))
                ]
    filled = {"period_type": entry.period_type, "weight": 1.0, "status": "observed", "source": "made up"}
    return pd.DataFrame(rows).assign(**filled)[list(PANEL_COLUMNS)]


@pytest.fixture
def figures(panel, entry, kind):
    if kind == "schools" or entry.needs:
        return made_up(entry, kind)
    # The audit of the counters reads both of them, whichever is asked for.
    audited = {"tne_attendances", "tne_pupils_reached"} if FORMULAS[entry.formula].place_bound else set()
    rows = panel[panel["variable"].isin(variables_of(entry) | audited).to_numpy()].copy()
    return rows.astype(dict.fromkeys(rows.columns[rows.dtypes == "category"], str))


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert len(expected) and expected["value"].notna().any()
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-9, atol=1e-10)


def weight_of(entry, panel: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Rows and column that hold the weights."""
    if entry.inputs["weight"] == "schools":
        return np.ones(len(panel), dtype=bool), "n"
    return (panel["variable"] == entry.inputs["weight"]).to_numpy(), "value"


def copied(panel: pd.DataFrame, times: int) -> pd.DataFrame:
    """Every row `times` times, each copy being a group of its own, or a school of its own."""
    parts = []
    for place in range(times):
        part = panel.copy()
        school = part["unit_type"].isin(["college", "ecole"]).to_numpy()
        part["group"] = [f"{group};{COPIES[place]}".strip(";") for group in part["group"]]
        part.loc[school, "unit"] = [moved(unit, shift=100 * place) for unit in part.loc[school, "unit"]]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def moved(unit: str, prefix: str | None = None, shift: int = 0) -> str:
    digits = (prefix or unit[:3]) + f"{int(unit[3:7]) + shift:04d}"
    return digits + _LETTERS[int(digits) % 23]


@every_entry
def test_order_of_rows(entry, kind, figures):
    same(all_rows(entry, figures.sample(frac=1, random_state=3)), all_rows(entry, figures))


@every_free_entry
def test_labels_of_units(entry, kind, figures):
    """A permutation of the départements permutes the results; what depends on the place itself is declared so."""
    codes = list_departements()
    renamed = dict(zip(codes, np.random.default_rng(5).permutation(codes), strict=True))
    other = figures.copy()
    school = other["unit_type"].isin(["college", "ecole"]).to_numpy()
    own = (other["unit_type"] == "departement").to_numpy()
    other.loc[own, "unit"] = other.loc[own, "unit"].map(renamed)
    prefixes = {uai(code, 1)[:3]: uai(renamed[code], 1)[:3] for code in codes}
    other.loc[school, "unit"] = [moved(unit, prefixes[unit[:3]]) for unit in other.loc[school, "unit"]]
    expected = indicator_table(entry, figures).rename(index=renamed).sort_index()
    pd.testing.assert_frame_equal(indicator_table(entry, other), expected, check_exact=False, rtol=1e-9, atol=1e-10)


@every_entry
def test_unit_of_values(entry, kind, figures):
    formula, factor = FORMULAS[entry.formula], 0.5
    scaled = set().union(*(variables_of(entry, role) for role in formula.scaled if role in entry.inputs))
    other = figures.copy()
    other.loc[other["variable"].isin(scaled), "value"] *= factor
    expected = indicator_table(entry, figures) * (factor if formula.scale == "equivariant" else 1)
    assert scaled and expected.notna().any(axis=None)
    pd.testing.assert_frame_equal(indicator_table(entry, other), expected, check_exact=False, rtol=1e-9, atol=1e-10)


@every_with_weights
def test_a_weight_of_k_is_k_copies(entry, kind, figures):
    held, column = weight_of(entry, figures)
    keys = figures["unit"].astype(str) + figures["group"]
    weight = pd.util.hash_array(keys.to_numpy(dtype=object)) % 3 + 1.0
    one = figures.copy()
    one.loc[held, column] = weight[held]
    if column == "value":
        one["n"] = 1.0
    many = copied(one, 3)
    many = many[(np.tile(np.arange(3)[:, None], len(one)) < weight).ravel()]
    many.loc[weight_of(entry, many)[0], column] = 1.0
    columns = ["unit_type", "unit", "period", "value"]
    same(all_rows(entry, many)[columns], all_rows(entry, one)[columns])


@every_with_weights
def test_unit_of_weights(entry, kind, figures):
    held, column = weight_of(entry, figures)
    other = figures.copy()
    other.loc[held, column] *= 7
    same(all_rows(entry, other)[["unit", "period", "value"]], all_rows(entry, figures)[["unit", "period", "value"]])


@every_free_entry
def test_population_written_twice(entry, kind, figures):
    """The same results; where a formula shows a published value, two of them for one unit are refused."""
    twice = copied(figures, 2)
    if entry.formula.startswith(("level", "lead")):
        with pytest.raises(DesignError, match="several rows for one unit and period"):
            all_rows(entry, twice)
    else:
        columns = ["unit_type", "unit", "period", "value"]
        same(all_rows(entry, twice)[columns], all_rows(entry, figures)[columns])


@every_transfer
def test_transfers_from_high_to_low(entry, kind, figures):
    even = figures.copy()
    held, column = weight_of(entry, even)
    even.loc[held, column] = 1.0
    keys = ["unit", "period", "group"]
    value = even[even["variable"] == entry.inputs["value"]].set_index(keys)["value"]
    rank = even[even["variable"] == entry.inputs.get("position", entry.inputs["value"])].set_index(keys)["value"]
    rows = pd.DataFrame({"value": value, "rank": rank}).dropna().sort_values("rank", kind="stable").reset_index()
    place = rows["unit"].where(rows["unit"].str.len() < 8, rows["unit"].str[:3])
    cells = rows.groupby([place, "period"])
    step = pd.Series(0.0, index=rows.index)
    step[cells.head(1).index] += 1e-3
    step[cells.tail(1).index] -= 1e-3
    steps = rows.assign(step=step).set_index(keys)["step"]
    other = even.copy()
    moves = (other["variable"] == entry.inputs["value"]).to_numpy()
    other.loc[moves, "value"] += steps.reindex(pd.MultiIndex.from_frame(other.loc[moves, keys])).fillna(0).to_numpy()
    change = (indicator_table(entry, other) - indicator_table(entry, even)).stack().dropna()
    assert len(change)
    if FORMULAS[entry.formula].transfer == "lowers":
        assert (change < 0).all()
    else:
        assert (change <= 1e-12).all() and (change < 0).any()


@every_entry
def test_what_is_beside_does_not_matter(entry, kind, figures):
    other = figures.assign(extra=1.0, weight=-3.0, period_type="other", source="other")
    aside = made_up(entry, kind).assign(variable="something_else", value=-1e9, period=1999, extra=2.0)
    foreign = aside.assign(unit_type="commune", unit="01004", variable=figures["variable"].iloc[0], period=1999)
    expected = all_rows(entry, figures)
    same(all_rows(entry, pd.concat([aside, other], ignore_index=True)), expected)
    same(all_rows(entry, pd.concat([other, foreign.head(1)], ignore_index=True)), expected)


@every_entry
def test_the_panel_of_the_caller_is_left_alone(entry, kind, figures):
    before, columns, attrs = pd.util.hash_pandas_object(figures), list(figures.columns), dict(figures.attrs)
    indicator_table(entry, figures)
    compute_indicator(entry.id, figures)
    assert pd.util.hash_pandas_object(figures).equals(before)
    assert list(figures.columns) == columns and figures.attrs == attrs
