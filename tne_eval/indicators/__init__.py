"""PANEL → INDICATORS: inequality, segregation, decompositions, digital divide, composites, precision, counters."""

from tne_eval.indicators.breaks import change, rank_change, standardized, standardized_change
from tne_eval.indicators.change import change_over_time, covariance_over_periods, difference_between
from tne_eval.indicators.composite import Choices, Component, CompositeResult, composite_index, weight_uncertainty
from tne_eval.indicators.composite_panel import compute_composite
from tne_eval.indicators.compute import compute_indicator, indicator_table, indicator_tables
from tne_eval.indicators.counters import audit_counters
from tne_eval.indicators.decompose import (
    decompose_entropy,
    decompose_gini,
    decompose_gini_sources,
    shapley,
    shapley_shares,
)
from tne_eval.indicators.inequality import (
    atkinson,
    concentration_curve,
    concentration_index,
    generalized_entropy,
    gini,
    gradient,
    lorenz_curve,
    relative_index_of_inequality,
    slope_index_of_inequality,
)
from tne_eval.indicators.influence import influence, influence_concentration, linearized_error, recentered_influence
from tne_eval.indicators.moments import intraclass_correlation, mean, variance
from tne_eval.indicators.oaxaca import oaxaca_blinder
from tne_eval.indicators.precision import confidence_interval
from tne_eval.indicators.published import check_published_values
from tne_eval.indicators.quantiles import polarization, quantile, quantile_ratio, quantile_share, share_ratio
from tne_eval.indicators.resample import bootstrap
from tne_eval.indicators.segregation import (
    decompose_segregation,
    dissimilarity,
    entropy_by_sector,
    exposure,
    mutual_information,
    normalized_entropy,
    normalized_exposure,
)
from tne_eval.indicators.sensitivity import sobol_shares
from tne_eval.indicators.statistic import Statistic, as_statistic

__all__ = [
    "Choices",
    "Component",
    "CompositeResult",
    "Statistic",
    "as_statistic",
    "atkinson",
    "audit_counters",
    "bootstrap",
    "change",
    "change_over_time",
    "check_published_values",
    "composite_index",
    "compute_composite",
    "compute_indicator",
    "concentration_curve",
    "concentration_index",
    "confidence_interval",
    "covariance_over_periods",
    "decompose_entropy",
    "decompose_gini",
    "decompose_gini_sources",
    "decompose_segregation",
    "difference_between",
    "dissimilarity",
    "entropy_by_sector",
    "exposure",
    "generalized_entropy",
    "gini",
    "gradient",
    "indicator_table",
    "indicator_tables",
    "influence",
    "influence_concentration",
    "intraclass_correlation",
    "linearized_error",
    "lorenz_curve",
    "mean",
    "mutual_information",
    "normalized_entropy",
    "normalized_exposure",
    "oaxaca_blinder",
    "polarization",
    "quantile",
    "quantile_ratio",
    "quantile_share",
    "rank_change",
    "recentered_influence",
    "relative_index_of_inequality",
    "shapley",
    "shapley_shares",
    "share_ratio",
    "slope_index_of_inequality",
    "sobol_shares",
    "standardized",
    "standardized_change",
    "variance",
    "weight_uncertainty",
]
