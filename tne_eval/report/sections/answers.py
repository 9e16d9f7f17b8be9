"""The fifteen questions, each in one sentence with the grade of its evidence and a link to the detail.

Grades, by rule: `established`, a fact read or computed without inference, or an effect that the rules call credible or
bounded; `suggestive`, a description or an announcement; `undetermined`, an inference that does not settle; `missing`,
figures that this report does not have.
"""

from __future__ import annotations

from collections.abc import Callable

from tne_eval.audit import list_needs
from tne_eval.catalog import list_questions
from tne_eval.french import number, percent, points, sentence
from tne_eval.impact.family import FamilyResult
from tne_eval.report.blocks import Block, Bullets, Note, escape_inline
from tne_eval.report.facts import TerritoryFacts
from tne_eval.report.sections.words import money_range, region_standing
from tne_eval.results import ImpactResult, Verdict

_BY_VERDICT = {
    Verdict.CREDIBLE: "established",
    Verdict.BOUNDED: "established",
    Verdict.FRAGILE: "suggestive",
    Verdict.REFUSED: "missing",
}

# (grade, key of the sentence, its values, anchor of the detail)
Answer = tuple[str, str, dict[str, str], str]


def answers(facts: TerritoryFacts) -> tuple[Block, ...]:
    """One line a question, in the order of the catalogue."""
    items = []
    for question in list_questions():
        grade, key, values, anchor = _ANSWERS[question.id](facts)
        label = sentence(f"answers.{question.id}")
        text = sentence(
            f"answers.{question.id}_{key}", **{name: escape_inline(value) for name, value in values.items()}
        )
        evidence = sentence(f"answers.grade_{grade}")
        items.append(f"**{label}** {text} *{evidence}* [{sentence('answers.detail')}](#{anchor})")
    return (Bullets(tuple(items)), Note(sentence("answers.grades"), kind="info"))


def grade_of(result: ImpactResult) -> str:
    """The grade of an effect, by its verdict."""
    return _BY_VERDICT.get(result.verdict, "undetermined")


def _treated(facts: TerritoryFacts) -> Answer:
    share = facts.territory.treated_share
    anchor = "tableau-faits_du_programme"
    if share is None:
        return "missing", "unknown", {"first": str(facts.first_session)}, anchor
    values = {"low": percent(100 * share.low, 0), "high": percent(100 * share.high, 0)}
    return "suggestive", "known", values | {"first": str(facts.first_session)}, anchor


def _counters(facts: TerritoryFacts) -> Answer:
    row = facts.audit.set_index("territory").loc[facts.territory.id]
    values = {"percent": number(row["percent_of_stock"])}
    return "established", str(row["verdict"]), values, "figure-compteurs"


def _reached(facts: TerritoryFacts) -> Answer:
    return "missing", "missing", {}, "tableau-questions"


def _money(facts: TerritoryFacts) -> Answer:
    values = region_standing(facts)
    if values is None:
        return "missing", "missing", {}, "tableau-questions"
    return "suggestive", "region", values, "tableau-questions"


def _entry(facts: TerritoryFacts) -> Answer:
    if facts.entry is None:
        return "missing", "missing", {}, "tableau-effets_ecarts"
    result = facts.entry.results[0]
    if result.estimate is None:
        return "missing", "missing", {}, "tableau-effets_ecarts"
    return grade_of(result), "found", {"estimate": number(result.estimate, 1, sign=True)}, "tableau-effets_sixieme"


def _chance(facts: TerritoryFacts) -> Answer:
    result = facts.primary
    if result.estimate is None:
        return "missing", "refused", {}, "tableau-effets"
    values = {"estimate": points(result.estimate), "count": number(result.n_assignments)}
    outside = "outside" if result.p_value <= result.design.alpha else "inside"
    key = "too_few" if result.smallest_p > result.design.alpha else outside
    return grade_of(result), key, values, "tableau-effets"


def _detectable(facts: TerritoryFacts) -> Answer:
    if facts.primary.reference is not None and facts.primary.reference.mde is not None:
        values = {"mde": points(facts.primary.reference.mde, sign=False)}
        margin = points(facts.primary.design.equivalence_margin, 0, sign=False)
        return "established", "known", values | {"margin": margin}, "tableau-effets"
    return "missing", "unknown", {}, "tableau-effets"


def _gaps(facts: TerritoryFacts) -> Answer:
    family: FamilyResult = facts.gaps
    alpha = family.results[0].design.alpha
    loud = int((family.frame["romano_wolf"] <= alpha).sum())
    values = {"count": number(len(family.frame)), "loud": number(loud)}
    return ("suggestive" if loud else "undetermined"), ("some" if loud else "none"), values, "tableau-effets_ecarts"


def _robust(facts: TerritoryFacts) -> Answer:
    curve = facts.curve
    values = {"count": number(len(curve.frame)), "low": points(curve.low), "high": points(curve.high)}
    return "undetermined", ("one_side" if curve.same_sign == 1 else "both_sides"), values, "figure-combinaisons"


def _fetched(id: str) -> Callable[[TerritoryFacts], Answer]:
    def answer(facts: TerritoryFacts) -> Answer:
        result = facts.indicator(id)
        if result is None or result.value is None:
            return "missing", "missing", {}, "tableau-acces_et_competences"
        france = result.series("france")
        values = {
            "value": number(result.value, result.indicator.decimals),
            "france": number(None if france.empty else france.iloc[-1], result.indicator.decimals),
        }
        return "suggestive", "found", values, "tableau-acces_et_competences"

    return answer


def _dose(facts: TerritoryFacts) -> Answer:
    row = facts.audit.set_index("territory").loc[facts.territory.id]
    return "undetermined", "found", {"attendances": number(row["attendances_per_100_pupils"], 1)}, "figure-compteurs"


def _cost(facts: TerritoryFacts) -> Answer:
    found = facts.context
    if found is None or found.cost_a_pupil is None:
        return "missing", "missing", {}, "figure-effets_publies"
    return "suggestive", "found", {"cost": money_range(*found.cost_a_pupil)}, "figure-effets_publies"


def _published(facts: TerritoryFacts) -> Answer:
    found = facts.context
    if found is None:
        return "missing", "missing", {}, "figure-effets_publies"
    return "suggestive", "found", {"itt": number(found.itt, 2, sign=True)}, "figure-effets_publies"


def _missing(facts: TerritoryFacts) -> Answer:
    closed = sum(need.closed is not None for need in list_needs())
    return "established", "found", {"count": number(closed)}, "tableau-questions"


_ANSWERS: dict[str, Callable[[TerritoryFacts], Answer]] = {
    "q1": _treated,
    "q2": _counters,
    "q3": _reached,
    "q4": _money,
    "q5": _entry,
    "q6": _chance,
    "q7": _detectable,
    "q8": _gaps,
    "q9": _robust,
    "q10": _fetched("ent_use_pupils"),
    "q11": _fetched("pix_certified_percent"),
    "q12": _dose,
    "q13": _cost,
    "q14": _published,
    "q15": _missing,
}
