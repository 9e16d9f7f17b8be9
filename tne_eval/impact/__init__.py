"""PANEL + DESIGN → EFFECT: estimators, inference for few treated clusters, sensitivity, context, verdict."""

from tne_eval.impact.cells import reassign_treatment
from tne_eval.impact.chosen import infer_effect
from tne_eval.impact.conformal import conformal_interval, conformal_test
from tne_eval.impact.context import cost_of_effect, put_in_context, update_prior
from tne_eval.impact.dilution import effect_on_treated
from tne_eval.impact.dose import dose_response
from tne_eval.impact.doses import dose_responses, territory_doses
from tne_eval.impact.estimate import estimate_impact
from tne_eval.impact.family import estimate_family
from tne_eval.impact.functionals import functional_table, recentred_outcome
from tne_eval.impact.group_time import group_time_effects, multiplier_bands
from tne_eval.impact.honest import breakdown_bound, honest_did
from tne_eval.impact.impute import impute_effects
from tne_eval.impact.inference import invert_interval, minimum_detectable_effect, permutation_p
from tne_eval.impact.multiple import adjust_familywise, equivalence_p, equivalence_test, excluded_effects
from tne_eval.impact.panel_did import difference_in_differences, event_study
from tne_eval.impact.permutation import permutation_test, power_curve
from tne_eval.impact.planning import plan_wave
from tne_eval.impact.published import check_published_estimates
from tne_eval.impact.robustness import assess_robustness, curve_of_specifications
from tne_eval.impact.sensitivity import adjust_change, leave_one_out, placebo_dates
from tne_eval.impact.specification import specification_curve
from tne_eval.impact.staggered import estimate_staggered
from tne_eval.impact.synthetic import synthetic_control, synthetic_did
from tne_eval.impact.verdict import decide
from tne_eval.impact.wild import wild_cluster_bootstrap

__all__ = [
    "adjust_change",
    "adjust_familywise",
    "assess_robustness",
    "breakdown_bound",
    "check_published_estimates",
    "conformal_interval",
    "conformal_test",
    "cost_of_effect",
    "curve_of_specifications",
    "decide",
    "difference_in_differences",
    "dose_response",
    "dose_responses",
    "effect_on_treated",
    "equivalence_p",
    "equivalence_test",
    "estimate_family",
    "estimate_impact",
    "estimate_staggered",
    "event_study",
    "excluded_effects",
    "functional_table",
    "group_time_effects",
    "honest_did",
    "impute_effects",
    "infer_effect",
    "invert_interval",
    "leave_one_out",
    "minimum_detectable_effect",
    "multiplier_bands",
    "permutation_p",
    "permutation_test",
    "placebo_dates",
    "plan_wave",
    "power_curve",
    "put_in_context",
    "reassign_treatment",
    "recentred_outcome",
    "specification_curve",
    "synthetic_control",
    "synthetic_did",
    "territory_doses",
    "update_prior",
    "wild_cluster_bootstrap",
]
