"""What remains: the fifteen questions, and where the figures come from."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog import get_source, list_questions
from tne_eval.errors import UnknownNameError
from tne_eval.french import phrase, sentence, typeset
from tne_eval.report.blocks import Block, Table
from tne_eval.sources import describe_panel


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


def sources(panel: pd.DataFrame) -> tuple[Block, ...]:
    """Every table of figures used: producer, vintage, licence."""
    described = describe_panel(panel)
    shown = pd.DataFrame(
        {
            "Table": described["table"],
            "Source": [typeset(_label(id)) for id in described["source"]],
            "Millésime": described["vintage"],
            "Licence": described["licence"],
        }
    )
    return (Table("sources", sentence("sources.caption"), shown, data=described),)


def _label(id: str) -> str:
    try:
        source = get_source(id)
    except UnknownNameError:
        return id
    return f"{source.producer} : {source.label}"
