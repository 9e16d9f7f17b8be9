"""Facts → blocks, a section of a report at a time. No statistics here: only arranging and wording."""

from tne_eval.report.sections.answers import answers
from tne_eval.report.sections.context import in_context
from tne_eval.report.sections.counters import counters
from tne_eval.report.sections.data import data_checks, sources
from tne_eval.report.sections.divide import digital_divide
from tne_eval.report.sections.effect import effect
from tne_eval.report.sections.ending import limits, questions, requests
from tne_eval.report.sections.gaps import effect_on_gaps
from tne_eval.report.sections.opening import opening
from tne_eval.report.sections.programme import programme, published_facts
from tne_eval.report.sections.robust import robustness
from tne_eval.report.sections.schooling import dnb_results, social_inequality
from tne_eval.report.sections.socle import socle_in_territory
from tne_eval.report.sections.synthesis import (
    synthesis_counters,
    synthesis_doses,
    synthesis_effects,
    synthesis_map,
    synthesis_opening,
    synthesis_table,
    synthesis_together,
)

__all__ = [
    "answers",
    "counters",
    "data_checks",
    "digital_divide",
    "dnb_results",
    "effect",
    "effect_on_gaps",
    "in_context",
    "limits",
    "opening",
    "programme",
    "published_facts",
    "questions",
    "requests",
    "robustness",
    "social_inequality",
    "socle_in_territory",
    "sources",
    "synthesis_counters",
    "synthesis_doses",
    "synthesis_effects",
    "synthesis_map",
    "synthesis_opening",
    "synthesis_table",
    "synthesis_together",
]
