"""The request note: one structure, written as a Word document and as Markdown, the same bytes on every run."""

from __future__ import annotations

import datetime as dt
import io
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tne_eval.audit.needs import Holder, Need, ResearchQuestion, get_holder, list_holders, read_needs
from tne_eval.catalog import Territory, disclosure_rule, get_programme, get_territory, list_sources
from tne_eval.errors import ReportError
from tne_eval.french import day, listing, number, typeset

# A Word document and a zip archive must carry a date; a fixed one, so that a note depends on its contents only.
_STAMP = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_ZIP_STAMP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its caption, its header and its rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Part = Heading | Text | Items | Grid


@dataclass(frozen=True, slots=True)
class RequestNote:
    """Where a note was written."""

    kind: str
    territory: str
    docx: Path
    markdown: Path


def request_kinds() -> list[str]:
    """Who can be asked: the kinds of request."""
    return [holder.id for holder in list_holders()]


def write_request(kind: str, territory: str, folder: str | Path) -> RequestNote:
    """Write the note that asks a holder for the data that the evaluation lacks.

    Parameters
    ----------
    kind : whom to ask (`request_kinds`): depp, canope, academie, banque, collectivites.
    territory : a territory id.
    folder : where `demande_<kind>_<territory>.docx` and `.md` go; it is made when it is not there.

    Returns
    -------
    RequestNote. The same catalogue gives the same bytes.

    Raises
    ------
    UnknownNameError : an unknown kind or territory.
    ReportError : a file of that name that says something else is there: it may have been edited by hand, and is kept.
    """
    parts = request_parts(kind, territory)
    folder = Path(folder)
    place = get_territory(territory)
    name = f"demande_{kind}_{place.id}"
    files = {folder / f"{name}.docx": docx_bytes(parts), folder / f"{name}.md": markdown_text(parts).encode()}
    for path, content in files.items():
        if path.exists() and not (path.is_file() and path.read_bytes() == content):
            raise ReportError(
                "a request that differs is already there",
                where=str(path),
                why="it may have been edited by hand",
                remedy="move it away, or choose another folder",
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        _write(path, content)
    return RequestNote(kind, place.id, *files)


def _write(path: Path, content: bytes) -> None:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    finally:
        Path(beside).unlink(missing_ok=True)


def asked_of(holder: Holder) -> list[Need]:
    """The files that a holder is asked for: those that no indicator of the panel already sums up."""
    return [
        need for need in read_needs().needs if need.closed and need.closed.holder == holder.id and not need.indicator
    ]


# --- what the note says -----------------------------------------------------------------------------------------


def request_parts(kind: str, territory: str) -> tuple[Part, ...]:
    """The note as headings, texts, lists and tables, in French."""
    holder, place = get_holder(kind), get_territory(territory)
    needs = asked_of(holder)
    ids = {need.id for need in needs}
    questions = [question for question in read_needs().questions if ids & set(question.needs)]
    parts: list[Part] = [
        Heading(f"{holder.title} : {place.name}", 1),
        Text(f"À : {holder.name}" + (f" ({holder.address})" if holder.address else "")),
        Text("Demandeur, organisme, personne responsable et date : à compléter avant l'envoi."),
        Heading("Objet", 2),
        Text(holder.purpose.strip()),
        *_context(place),
        *_literature(),
        *_questions(questions),
        *_data(needs, questions),
        *_existing(needs),
        Heading("Appariements", 2),
        Items(holder.linkages),
        *_method(place),
        *_protection(),
        Heading("Calendrier et restitution", 2),
        Items(
            (
                "Mise à disposition souhaitée avant la prochaine édition de l'évaluation, puis une fois par an.",
                "Le détenteur reçoit les résultats avant leur publication et peut signaler une erreur sur ses données.",
                "Le code et la liste des indicateurs sont publics ; les données restent chez le détenteur.",
            )
        ),
    ]
    return tuple(_typeset(part) for part in parts)


def _context(place: Territory) -> list[Part]:
    exposure = place.exposure
    return [
        Heading("Contexte", 2),
        Text(get_programme("tne").summary.strip()),
        Text(place.context.strip()),
        Text(
            f"Les élèves {place.locative} ont pu être exposés au plus tôt le {day(exposure.earliest)}, "
            f"vraisemblablement à partir du {day(exposure.likely)}, au plus tard le {day(exposure.latest)}."
        ),
        Text(
            "L'évaluation officielle des démonstrateurs a trouvé les données « absentes, inaccessibles ou "
            "inutilisables ». Une partie est désormais ouverte ; la présente demande porte sur le reste."
        ),
    ]


def _literature() -> list[Part]:
    studies = read_needs().literature
    rows = tuple((study.reference, study.setting, study.result) for study in studies)
    return [
        Heading("Ce que dit la littérature", 2),
        Text(
            "Les effets publiés sont faibles en moyenne, lents à apparaître, et leur signe diffère selon l'origine "
            "sociale des élèves : une moyenne par établissement ne suffit donc pas à conclure."
        ),
        Grid("Études de référence", ("Étude", "Cadre", "Résultat"), rows),
    ]


def _questions(questions: list[ResearchQuestion]) -> list[Part]:
    return [
        Heading("Questions de recherche", 2),
        Items(tuple(f"Question {rank} : {question.text}" for rank, question in enumerate(questions, start=1))),
    ]


def _data(needs: list[Need], questions: list[ResearchQuestion]) -> list[Part]:
    parts: list[Part] = [
        Heading("Données demandées", 2),
        Text("Chaque donnée est décrite ci-dessous, puis justifiée par la question à laquelle elle sert."),
        Grid(
            "Liste des données demandées",
            ("Donnée", "Unité", "Nature", "Champ", "Profondeur", "Base"),
            tuple((need.label, need.unit, need.nature, need.field, _depth(need), need.closed.base) for need in needs),
        ),
        Heading("Justification de chaque donnée", 3),
    ]
    for need in needs:
        serves = [number(rank) for rank, question in enumerate(questions, start=1) if need.id in question.needs]
        word = "à la question" if len(serves) == 1 else "aux questions"
        use = f" Sert {word} {listing(serves)}." if serves else ""
        parts.append(Text(f"{need.label}. {need.why}{use}"))
    return parts


def _depth(need: Need) -> str:
    last = "la dernière année disponible" if need.closed.last is None else str(need.closed.last)
    return f"de {need.closed.first} à {last}"


def _existing(needs: list[Need]) -> list[Part]:
    """What is open already on the same matter: why asking is not to be avoided."""
    natures = {need.nature for need in needs}
    labels = {name: source.label for source in list_sources() for name in (source.id, source.slug) if name}
    rows = []
    for need in read_needs().needs:
        if need.open and need.nature in natures:
            slugs = need.open.slug.split(", ")
            rows.append((need.label, " ; ".join(labels.get(slug, slug) for slug in slugs), need.field))
    parts: list[Part] = [Heading("Ce qui est déjà ouvert, et pourquoi cela ne suffit pas", 2)]
    if not rows:
        return [*parts, Text("Aucune donnée ouverte de même nature n'a été trouvée.")]
    return [
        *parts,
        Text(
            "Les données ouvertes de même nature sont déjà exploitées. Elles sont agrégées : elles ne permettent ni de "
            "suivre un élève ou une école dans le temps, ni de séparer ceux qui ont reçu le programme des autres."
        ),
        Grid("Données ouvertes de même nature", ("Information", "Jeu de données", "Champ"), tuple(rows)),
    ]


def _method(place: Territory) -> list[Part]:
    return [
        Heading("Méthode", 2),
        Text(
            f"L'évaluation compare l'évolution {place.locative} à celle de territoires restés hors du programme, avant "
            "et après l'exposition, selon un plan d'analyse enregistré avant l'examen des résultats. Les territoires "
            "traités étant peu nombreux, l'incertitude est mesurée par permutation, et l'effet minimal détectable est "
            "donné avant le résultat. Un contrôle de tendance antérieure décide si la comparaison tient."
        ),
        Text(
            "Les écarts entre élèves (origine sociale, sexe, retard scolaire) sont des résultats à part entière, "
            "déclarés d'avance, et non des sous-groupes cherchés après coup."
        ),
    ]


def _protection() -> list[Part]:
    rule = disclosure_rule()
    texts = tuple(
        text.format(schools=number(rule["min_schools"]), pupils=number(rule["min_pupils"]))
        for text in read_needs().protection
    )
    return [Heading("Protection des données personnelles (RGPD)", 2), Items(texts)]


def _typeset(part: Part) -> Part:
    match part:
        case Heading(text, level):
            return Heading(typeset(text), level)
        case Text(text):
            return Text(typeset(text))
        case Items(items):
            return Items(tuple(typeset(item) for item in items))
        case Grid(caption, columns, rows):
            cells = tuple(tuple(typeset(cell) for cell in row) for row in rows)
            return Grid(typeset(caption), tuple(typeset(name) for name in columns), cells)


# --- Markdown and Word ------------------------------------------------------------------------------------------


def markdown_text(parts: tuple[Part, ...]) -> str:
    """The note in Markdown."""
    blocks = []
    for part in parts:
        match part:
            case Heading(text, level):
                blocks.append(f"{'#' * level} {text}")
            case Text(text):
                blocks.append(text)
            case Items(items):
                blocks.append("\n".join(f"- {item}" for item in items))
            case Grid(caption, columns, rows):
                lines = [columns, ("---",) * len(columns), *rows]
                table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
                blocks.append(f"*{caption}*\n\n{table}")
    return "\n\n".join(blocks) + "\n"


def docx_bytes(parts: tuple[Part, ...]) -> bytes:
    """The note as a Word document: real headings and lists, table headers that repeat, French for spelling."""
    import docx
    from docx.enum.style import WD_STYLE_TYPE
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt

    document = docx.Document()
    for section in document.sections:
        section.page_width, section.page_height = Cm(21), Cm(29.7)
        section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(2.2)
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = "Calibri", Pt(10.5)
    for style in document.styles:
        if style.type in (WD_STYLE_TYPE.PARAGRAPH, WD_STYLE_TYPE.CHARACTER):
            properties = style.element.get_or_add_rPr()
            language = properties.find(qn("w:lang"))
            if language is None:
                language = OxmlElement("w:lang")
                properties.append(language)
            language.set(qn("w:val"), "fr-FR")
    for part in parts:
        match part:
            case Heading(text, level):
                document.add_heading(text, level - 1)
            case Text(text):
                document.add_paragraph(text)
            case Items(items):
                for item in items:
                    document.add_paragraph(item, style="List Bullet")
            case Grid(caption, columns, rows):
                document.add_paragraph(caption, style="Caption")
                table = document.add_table(rows=1, cols=len(columns), style="Table Grid")
                repeat = OxmlElement("w:tblHeader")
                table.rows[0]._tr.get_or_add_trPr().append(repeat)
                for row, cells in zip([table.rows[0], *(table.add_row() for _ in rows)], [columns, *rows], strict=True):
                    for cell, text in zip(row.cells, cells, strict=True):
                        run = cell.paragraphs[0].add_run(text)
                        run.font.size, run.font.bold = Pt(9), cells is columns
    core = document.core_properties
    core.title = next(part.text for part in parts if isinstance(part, Heading))
    core.author = core.last_modified_by = "tne_eval"
    core.comments, core.language, core.revision = "", "fr-FR", 1
    core.created = core.modified = _STAMP
    buffer = io.BytesIO()
    document.save(buffer)
    return _same_zip(buffer.getvalue())


def _same_zip(raw: bytes) -> bytes:
    """The archive again, without the time of day in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            entry = zipfile.ZipInfo(name, _ZIP_STAMP)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            target.writestr(entry, source.read(name))
    return buffer.getvalue()
