"""PANEL → INDICATORS: inequality, results, access, counters."""

from tne_eval.indicators.compute import compute_indicator, indicator_table
from tne_eval.indicators.counters import audit_counters
from tne_eval.indicators.inequality import concentration_index, gini, gradient

__all__ = [
    "audit_counters",
    "compute_indicator",
    "concentration_index",
    "gini",
    "gradient",
    "indicator_table",
]
