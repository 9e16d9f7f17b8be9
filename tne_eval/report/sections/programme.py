"""The programme in the territory: dates with their uncertainty, facts with their source."""

from __future__ import annotations

from urllib.parse import urlsplit

import pandas as pd

from tne_eval.catalog import Exposure, Figure, get_programme
from tne_eval.french import UNKNOWN, date_text, day, number, sentence, typeset
from tne_eval.report.blocks import Block, Paragraph, Table, escape_inline
from tne_eval.report.facts import TerritoryFacts
from tne_eval.sources.periods import session_exposed


def programme(facts: TerritoryFacts) -> tuple[Block, ...]:
    """What the programme is, what is known of it here, and when pupils may have been exposed."""
    place = facts.territory
    exposure = place.exposure
    blocks: list[Block] = [
        Paragraph(typeset(get_programme("tne").summary.strip())),
        Paragraph(typeset(escape_inline(place.context.strip()))),
        Paragraph(
            sentence(
                "programme.dates",
                locative=place.locative,
                earliest=day(exposure.earliest),
                likely=day(exposure.likely),
                latest=day(exposure.latest),
                first=str(facts.first_session),
            )
        ),
    ]
    blocks.append(_dates_table(exposure))
    first, last = session_exposed(exposure.earliest), session_exposed(exposure.latest)
    if first != last:
        blocks.append(Paragraph(sentence("programme.same_dates", first_earliest=str(first), first_latest=str(last))))
    return tuple(blocks)


def _dates_table(exposure: Exposure) -> Table:
    """The three dates from which pupils may have been exposed, and the first examination that follows each."""
    dates = {name: getattr(exposure, name) for name in ("earliest", "likely", "latest")}
    sessions = [session_exposed(date) for date in dates.values()]
    shown = pd.DataFrame(
        {
            "Exposition": [sentence(f"programme.date_{name}") for name in dates],
            "Date": [day(date) for date in dates.values()],
            "Première session exposée": [str(session) for session in sessions],
        }
    )
    data = pd.DataFrame({"exposition": list(dates), "date": [*map(str, dates.values())], "premiere_session": sessions})
    return Table("exposition", sentence("programme.dates_caption"), shown, data=data)


def published_facts(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Every published figure on the programme here, with its source and how sure it is."""
    place = facts.territory
    caption = sentence("programme.figures_caption", locative=place.locative)
    return (figures_table(place.figures, caption=caption),)


def figures_table(figures: tuple[Figure, ...], *, caption: str) -> Table:
    """Published facts with value or range, date, flag and source."""
    shown = [
        {
            "Fait": typeset(figure.label),
            "Valeur": figure_amount(figure),
            "Date": date_text(figure.date),
            "Fiabilité": figure.flag,
            "Source": ", ".join(short_source(figure.source)),
        }
        for figure in figures
    ]
    raw = [
        {
            "fait": figure.id,
            "libelle": figure.label,
            "valeur": figure.value,
            "bas": figure.low,
            "probable": figure.likely,
            "haut": figure.high,
            "unite": figure.unit,
            "date": figure.date,
            "fiabilite": figure.flag,
            "source": figure.source,
            "note": figure.note,
        }
        for figure in figures
    ]
    return Table(
        "faits_du_programme",
        caption,
        pd.DataFrame(shown),
        note=sentence("programme.figures_note"),
        data=pd.DataFrame(raw),
    )


def short_source(source: str) -> list[str]:
    """Sites named in a source, or its words where it has no address; the full text goes to the CSV."""
    parts = [part.strip() for part in source.split(" ; ")]
    names = [urlsplit(part).hostname.removeprefix("www.") if part.startswith("https://") else part for part in parts]
    return list(dict.fromkeys(names))


def figure_amount(figure: Figure) -> str:
    """`27,3 M€`, or `7 à 10 M€` where sources conflict."""

    def said(value: float | None) -> str:
        whole = value is None or float(value).is_integer()
        return number(value, 0 if whole else 2 if figure.unit == "€" else 1)

    if figure.value is not None:
        text = said(figure.value)
    elif figure.low is not None and figure.high is not None:
        text = f"{said(figure.low)} à {said(figure.high)}"
    else:
        return UNKNOWN
    return typeset(f"{text} {figure.unit}")
