"""What a next wave of the programme could show, from the départements that were never treated."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tne_eval.impact.permutation import power_curve
from tne_eval.impact.plan import change_of, compare
from tne_eval.indicators.panel_index import PanelIndex, index_of

# The demonstrators, a small wave, the twelve, and twice as many.
SIZES = (2, 5, 12, 24)


def plan_wave(designs: Sequence[str], panel: pd.DataFrame | PanelIndex, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
    """Minimum detectable effect by number of treated départements (rows) and design (columns), at its alpha and power.

    The placebo distribution is that of the changes of the never treated over the window of the design, as if those of
    the next wave were drawn among them (`power_curve`). Raises UnknownNameError, MissingDataError, DesignError.
    """
    index, table = index_of(panel), {}
    for design in designs:
        comparison = compare(design, index)
        plan = comparison.plan
        change = change_of(comparison)[list(comparison.controls)].to_numpy()
        table[plan.id] = {
            size: power_curve(change, size, [0.0], alpha=plan.alpha, target=plan.power, seed=plan.seed).mde
            for size in sizes
        }
    return pd.DataFrame(table).rename_axis("treated")
