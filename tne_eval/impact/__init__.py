"""PANEL + DESIGN → EFFECT: differences-in-differences, permutation inference, power, verdict."""

from tne_eval.impact.estimate import estimate_impact
from tne_eval.impact.inference import invert_interval, minimum_detectable_effect, permutation_p
from tne_eval.impact.verdict import decide

__all__ = ["decide", "estimate_impact", "invert_interval", "minimum_detectable_effect", "permutation_p"]
