"""A composite of the catalogue, assembled from a panel: départements × indicators, each at its stated period."""

from __future__ import annotations

import dataclasses

import pandas as pd

from tne_eval.catalog import Composite, get_indicator
from tne_eval.errors import DesignError, MissingDataError
from tne_eval.indicators.composite import Choices, Component, CompositeResult, composite_index
from tne_eval.indicators.compute import indicator_tables
from tne_eval.indicators.panel_index import PanelIndex


def composite_table(composite: Composite, panel: pd.DataFrame | PanelIndex) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Indicators of a composite, départements in rows, and the départements left out because one is not known.

    A département counts where at least one indicator knows it. Raises MissingDataError on an indicator that the panel
    lacks, or lacks at the stated period; UnknownNameError on an indicator that is not in the catalogue.
    """
    tables = indicator_tables([part.indicator for part in composite.components], panel)
    columns = {}
    for part in composite.components:
        table = tables[part.indicator]
        if part.period not in table.columns or table[part.period].isna().all():
            known = ", ".join(str(period) for period in table.columns[table.notna().any()])
            raise MissingDataError(
                f"no {part.indicator!r} at {part.period}",
                where=f"composite {composite.id!r}",
                why=f"the panel knows it at {known or 'no period'}",
                remedy="state one of these periods in the composite, or build the table of that period",
            )
        columns[part.indicator] = table[part.period]
    whole = pd.DataFrame(columns).dropna(how="all").rename_axis(index="unit", columns=None).sort_index()
    known = whole.notna().all(axis=1)
    return whole[known], tuple(whole.index[~known])


def compute_composite(composite: Composite, panel: pd.DataFrame | PanelIndex) -> CompositeResult:
    """A composite of the catalogue for the départements, with its rank intervals; `left_out` names the absent ones.

    Raises what `composite_table` and `composite_index` raise, and DesignError where the composite gives an indicator
    another direction than the indicator's own entry.
    """
    for part in composite.components:
        own = get_indicator(part.indicator).direction
        if part.direction != own:
            raise DesignError(
                f"{part.indicator!r} is better {part.direction} in the composite {composite.id!r}, {own} in its entry",
                why="an inverted direction turns the ranks round without a word",
                remedy="correct one of the two",
            )
    table, left_out = composite_table(composite, panel)
    result = composite_index(
        table,
        [Component(part.indicator, part.direction, part.weight, part.level) for part in composite.components],
        composite.normalisation,
        composite.weighting,
        composite.aggregation,
        Choices(
            tuple(composite.normalisations),
            tuple(composite.weightings),
            tuple(composite.aggregations),
            composite.leave_one_out,
        ),
    )
    periods = {part.indicator: part.period for part in composite.components}
    return dataclasses.replace(result, left_out=left_out, periods=periods)
