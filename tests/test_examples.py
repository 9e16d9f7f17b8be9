"""Worked examples of the catalogue: each entry documents itself with small panels whose results are found by hand."""

import math

import pytest

from tne_eval.catalog import list_indicators, list_sources
from tne_eval.catalog.entries import Example, ExampleRows
from tne_eval.errors import DesignError
from tne_eval.indicators.compute import FORMULAS, example_values
from tne_eval.indicators.examples import example_panel
from tne_eval.indicators.panel_index import LEVELS

ENTRIES = list_indicators()
EXAMPLES = [(entry, place) for entry in ENTRIES for place in range(len(entry.examples))]


@pytest.mark.parametrize(("entry", "place"), EXAMPLES, ids=[f"{entry.id}-{place}" for entry, place in EXAMPLES])
def test_an_example_gives_what_the_hand_finds(entry, place):
    example = entry.examples[place]
    found = example_values(entry, example)
    for unit, expected in example.expected.items():
        assert found[unit] == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), unit


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_an_entry_explains_itself(entry):
    """Two examples at least, not twice the same, with their arithmetic; a known formula; sources that exist."""
    assert len(entry.examples) >= 2
    assert len({str(example.expected) for example in entry.examples}) == len(entry.examples)
    for example in entry.examples:
        assert example.why.endswith((".", "%")) and example.expected
        assert any(not math.isnan(value) for value in example.expected.values()) or "pas" in example.why
    assert entry.formula in FORMULAS
    assert set(entry.needs) <= {source.id for source in list_sources()}
    assert entry.label and entry.reading.endswith(".") and entry.reference
    assert all(caveat.endswith(".") for caveat in entry.caveats)


def test_every_formula_serves_and_declares_its_laws():
    assert {entry.formula for entry in ENTRIES} == set(FORMULAS)
    for formula in FORMULAS.values():
        assert formula.scale in ("invariant", "equivariant") and formula.scaled
        assert formula.transfer in ("none", "lowers", "never raises")
        assert formula.transfer == "none" or formula.weighted


def test_gaps_of_ips_carry_the_caution_of_their_producer():
    """Every indicator in points of IPS says below what a gap is not to be read, and its reader is told."""
    for entry in ENTRIES:
        assert (entry.smallest_readable_gap > 0) == (entry.unit == "ips_points"), entry.id
        if entry.unit == "ips_points":
            limit = entry.smallest_readable_gap
            assert not entry.is_readable(limit) and not entry.is_readable(-limit) and entry.is_readable(limit + 0.1)
            assert any("trois points" in caveat for caveat in entry.caveats)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"variables": {"x": [1.0]}}, "1 values in 'x'"),
        ({"variables": {"x": [1.0, 2.0]}, "group": ("a=b",)}, "1 values in 'group'"),
        ({"variables": {"x": [1.0, 2.0]}, "n": (1.0, 2.0, 3.0)}, "3 values in 'n'"),
    ],
)
def test_an_example_with_uneven_columns_is_refused(columns, match):
    example = Example("", (ExampleRows(("02", "60"), period=2021, **columns),), {})
    with pytest.raises(DesignError, match=match):
        example_panel(ENTRIES[0], example)


def test_units_of_examples_have_one_name_each():
    assert LEVELS == ("departement", "academie", "france")
    for entry in ENTRIES:
        for example in entry.examples:
            assert set(example.expected) <= set(example_values(entry, example)), entry.id
