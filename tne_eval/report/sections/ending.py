"""What remains: the limits, the fifteen questions, what is missing and whom to ask for it."""

from __future__ import annotations

import pandas as pd

from tne_eval.audit import asked_of, list_holders, list_needs
from tne_eval.catalog import Design, list_questions
from tne_eval.french import day, listing, phrase, sentence, typeset
from tne_eval.report.blocks import Block, Bullets, Paragraph, Table
from tne_eval.report.facts import TerritoryFacts


def limits(facts: TerritoryFacts) -> tuple[Block, ...]:
    """What no figure of the report can tell, by rule, and every departure from the declared plan."""
    plan, place = facts.primary.design, facts.territory
    keys = ["outcome", "covid"]
    keys.append("share_unknown" if place.treated_share is None else "share_known")
    if len(facts.primary.treated) == 1:
        keys.append("one_treated")
    if facts.audit.set_index("territory").loc[place.id, "verdict"] != "plausible":
        keys.append("counters")
    excluded = listing(str(item.period) for item in plan.excluded)
    items = [sentence(f"limits.{key}", excluded=excluded, locative=place.locative) for key in keys]
    return (Bullets(tuple(items)), *_deviations(plan))


def _deviations(plan: Design) -> tuple[Block, ...]:
    """Departures from the plan, as its file records them."""
    if not plan.deviations:
        return ()
    shown = pd.DataFrame(
        {
            "Date": [day(one.date) for one in plan.deviations],
            "Ce qui change": [typeset(one.what) for one in plan.deviations],
            "Raison": [typeset(one.why) for one in plan.deviations],
        }
    )
    data = pd.DataFrame(
        [{"plan": plan.id, "date": str(one.date), "quoi": one.what, "raison": one.why} for one in plan.deviations]
    )
    return (Table("ecarts_au_plan", sentence("limits.deviations_caption"), shown, data=data),)


def questions() -> tuple[Block, ...]:
    """The fifteen questions: answered from what is shipped, after fetch, from a restricted file, or by nothing."""
    entries = list_questions()
    shown = pd.DataFrame(
        {
            "Question": [typeset(entry.text) for entry in entries],
            "Réponse possible": [phrase(f"answerable.{entry.answerable}") for entry in entries],
            "Comment": [typeset(entry.how) for entry in entries],
        }
    )
    raw = pd.DataFrame([{"id": entry.id, "texte": entry.text, "reponse": entry.answerable} for entry in entries])
    return (Table("questions", sentence("questions.caption"), shown, data=raw),)


def requests(territory: str = "TERRITOIRE") -> tuple[Block, ...]:
    """Whom to ask, for what, and the command that writes the note for a territory."""
    rows = [
        {
            "Détenteur": typeset(holder.name),
            "Données à demander": typeset(listing(need.label for need in asked_of(holder))),
            "Commande": f"tne-eval request {holder.id} {territory}",
        }
        for holder in list_holders()
    ]
    raw = [
        {"besoin": need.id, "libelle": need.label, "ouvert": need.open.slug if need.open else ""}
        | {"base": need.closed.base if need.closed else "", "detenteur": need.closed.holder if need.closed else ""}
        for need in list_needs()
    ]
    return (
        Paragraph(sentence("quality.requests")),
        Table(
            "demandes",
            sentence("quality.requests_caption"),
            pd.DataFrame(rows),
            note=sentence("quality.requests_note"),
            data=pd.DataFrame(raw),
        ),
    )
