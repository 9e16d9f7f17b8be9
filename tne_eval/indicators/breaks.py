"""Changes of an indicator over the years where its series may start anew: refused raw, or told by ranks and scores."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.catalog import Indicator
from tne_eval.errors import DesignError, MissingDataError
from tne_eval.results import refuse_across_breaks


def change(indicator: Indicator, table: pd.DataFrame, first: int, last: int) -> pd.Series:
    """Value at `last` less that at `first`, by unit, in the indicator's unit; NaN where one is not known.

    Parameters
    ----------
    indicator : the entry whose breaks are respected; table : units × periods, as `indicator_table` gives it.

    Raises DesignError where the series starts anew between the two periods, MissingDataError on a period that the table
    does not hold.
    """
    refuse_across_breaks(indicator, first, last)
    before, after = _columns(table, first, last)
    return after - before


def rank_change(table: pd.DataFrame, first: int, last: int) -> pd.Series:
    """Rank at `last` less rank at `first`, by unit, among the units known in both periods; a break does not matter.

    Rank 1 is the smallest value and ties share their mean rank: a positive change is a rise among the units. It says
    who moved past whom, not whether the whole moved. Raises MissingDataError on an unknown period, DesignError where
    fewer than two units are known in both.
    """
    both = _known_in_both(table, first, last)
    return both[last].rank() - both[first].rank()


def standardized(table: pd.DataFrame) -> pd.DataFrame:
    """Each period in standard deviations from the mean of its units (each counts once), so that scales do not matter.

    Raises DesignError on a period whose known values do not vary (or has fewer than two).
    """
    mean, spread = table.mean(), table.std(ddof=0)
    flat = [period for period in table if not spread[period] > 1e-12 * max(1.0, abs(mean[period]))]
    if flat:
        raise DesignError(
            f"values do not vary in {', '.join(map(str, flat))}",
            why="nothing can be standardised by a standard deviation of zero",
            remedy="leave these periods out",
        )
    return (table - mean) / spread


def standardized_change(table: pd.DataFrame, first: int, last: int) -> pd.Series:
    """Change in standard deviations, by unit, among the units known in both periods; a break does not matter.

    It says how far a unit moved against the others, not whether the whole moved. Raises as `rank_change`, and
    DesignError where the values of a period do not vary.
    """
    scores = standardized(_known_in_both(table, first, last))
    return scores[last] - scores[first]


def _known_in_both(table: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    _columns(table, first, last)
    both = table[list(dict.fromkeys([first, last]))].dropna()
    if len(both) < 2:
        raise DesignError(
            f"fewer than two units are known in both {first} and {last}", why="a place among others needs others"
        )
    return both


def _columns(table: pd.DataFrame, first: int, last: int) -> tuple[pd.Series, pd.Series]:
    for period in (first, last):
        if period not in table.columns:
            raise MissingDataError(
                f"the table holds no period {period}",
                remedy=f"choose among {', '.join(map(str, np.asarray(table.columns)))}",
            )
    return table[first], table[last]
