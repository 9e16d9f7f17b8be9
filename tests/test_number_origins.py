"""Every number of every sentence is in the cells of the report's tables that `number_origins` names for it."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from number_origins import ORIGINS, PHRASE
from said_numbers import numbers_without_origin

from tne_eval import french
from tne_eval.catalog import list_territories
from tne_eval.paths import shipped
from tne_eval.report import blocks
from tne_eval.report.blocks import Figure, Table
from tne_eval.report.index import OTHERS

TERRITORIES = [place.id for place in list_territories()]


class _Recorded(str):
    """A template that tells what its places are filled with."""

    def format(self, **values):
        said = {f"{self.key}.{name}": str(value) for name, value in values.items() if f"{{{name}}}" in self}
        self.record.extend((place, value) for place, value in said.items() if re.search(r"\d", value))
        return super().format(**values)


@pytest.fixture(scope="module")
def read_report():
    """What a report says (place, text), and its tables."""
    made = {}

    def read(id):
        if id not in made:
            made[id] = _run(id)
        return made[id]

    return read


def _run(id):
    said, shown, namespace = [], [], {}
    texts = {}
    for section, entries in french.read_sentences().items():
        texts[section] = {}
        for name, text in entries.items():
            template = texts[section][name] = _Recorded(text)
            template.key, template.record = f"{section}.{name}", said
    name = id.replace("-", "_") if id in OTHERS else "evaluation_territoire"
    notebook = nbformat.read(shipped("notebooks") / f"{name}.ipynb", 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(french, "read_sentences", lambda: texts)
        patch.setattr(blocks, "show", lambda *made: shown.extend(made))
        for rank, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
            exec(cell.source, namespace)
            if rank == 0 and id not in OTHERS:
                namespace["territory"] = id
    grids = [(one.name, (isinstance(one, Table) and (one.data or one.frame)) or one.data)
             for one in shown if isinstance(one, Table | Figure)]  # fmt: skip
    return said, {name: pd.DataFrame(list(grid.rows), columns=list(grid.columns)) for name, grid in grids}


def _plain(text):
    return re.sub(r"[\s\u2010\u2011-]+", " ", text)


def _found(place, text, tables):
    """Whether every number of the text is among what its place may hold."""
    if ORIGINS[place] is PHRASE:
        return True
    held = [value for value in ORIGINS[place](tables) if value is not None]
    if any(_plain(value) == _plain(text) for value in held if isinstance(value, str)):
        return True
    numbers = np.array([abs(float(value)) for value in held if not isinstance(value, str)])
    return not numbers_without_origin(text, numbers)


@pytest.mark.parametrize("id", [*TERRITORIES, *OTHERS])
def test_numbers_of_sentences_are_in_the_cells_named_for_them(read_report, id):
    said, tables = read_report(id)
    assert said
    assert not {place for place, _ in said} - set(ORIGINS), "name the cells of these in number_origins.py"
    assert not [(place, text) for place, text in said if not _found(place, text, tables)]


def test_other_figures_are_noticed(read_report):
    """The check can fail: with every figure of the tables changed, hardly a sentence with a decimal passes."""
    said, tables = read_report("aisne")
    changed = {
        name: table.apply(lambda column: column * 1.37 + 0.071 if pd.api.types.is_float_dtype(column) else column)
        for name, table in tables.items()
    }
    decimals = [(place, text) for place, text in said if "," in text and ORIGINS[place] is not PHRASE]
    missed = [(place, text) for place, text in decimals if _found(place, text, changed)]
    assert len(decimals) > 50 and len(missed) < 0.1 * len(decimals), missed


def test_no_origin_is_left_over(read_report):
    used = {place.rpartition(".")[0] for id in (*TERRITORIES, *OTHERS) for place, _ in read_report(id)[0]}
    assert not {place.rpartition(".")[0] for place in ORIGINS} - used


@pytest.mark.parametrize("id", ["aisne", "val-d-oise", "guadeloupe"])
def test_curves_enclose_the_indices_of_the_tables(read_report, id):
    """Twice the area between the diagonal and the Lorenz curve is the Gini; under the concentration curve of failures,
    the concentration index, which is that of successes, scaled by their means and turned."""
    _, tables = read_report(id)

    def twice_the_area(table):
        return 1 - 2 * np.trapezoid(table["territoire"], table["part"])

    def latest(table, indicator):
        rows = tables[table][tables[table]["indicateur"] == indicator].dropna(subset="territoire")
        return rows.sort_values("periode")["territoire"].iloc[-1]

    assert twice_the_area(tables["lorenz_ips_colleges"]) == pytest.approx(latest("inegalites", "gini_ips_colleges"))
    groups = tables["gradient_dnb_colleges"]
    failed = 1 - np.average(groups["reussite"], weights=groups["candidats"]) / 100
    # Erreygers: 4 × mean × C for shares of 0 to 1, the same but for its sign for failures.
    erreygers = -4 * failed * twice_the_area(tables["concentration_echecs"])
    assert erreygers == pytest.approx(latest("resultats_selon_ips", "erreygers_dnb_colleges"))
