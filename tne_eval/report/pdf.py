"""Blocks → one PDF/UA-1 file, set by Typst from the same blocks as the page.

The template holds all the markup; every text reaches it as JSON data and is placed as a string, so that no text can
become markup. Nothing is read from the system: fonts are those of matplotlib.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tne_eval.errors import ReportError
from tne_eval.french import typeset
from tne_eval.report.blocks import (
    NOTE_TITLES,
    VERDICT_LABELS,
    Block,
    Bullets,
    Cards,
    Figure,
    Note,
    Paragraph,
    Table,
    Title,
    Verdict,
    parse_inline,
    plain_text,
)
from tne_eval.report.html import (
    INDEPENDENCE,
    KICKER,
    PRODUCTION_OPENING,
    PRODUCTION_TITLE,
    cell_text,
    head_of,
    numeric_columns,
    page_views,
    svg_size,
)

PRODUCTION_ENDING = (
    "Les valeurs de chaque tableau et de chaque figure accompagnent le rapport dans le dossier tables, au format CSV "
    "(UTF-8, séparateur virgule, point décimal). Un texte qui commence par =, +, -, @, une apostrophe, une tabulation "
    "ou un retour y est précédé d’une apostrophe, pour qu’aucun tableur ne le prenne pour une formule ; l’ôter rend le "
    "texte d’origine."
)
UNKNOWN_GLYPH = "\ufffd"
TIMEOUT = 120.0
# A cell of the body of a table in the tree of tags: an object of its own, so that no text can look like one.
_BODY_CELL = re.compile(
    rb"(?P<start>\n\d+ 0 obj\n<</Type/StructElem/S/)TD(?P<middle>/P \d+ 0 R/A\[<</O/Table)"
    rb"(?P<headers>/Headers\[\(U(?P<table>\d+)x(?P<column>\d+)y\d+\)\])"
)
_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
_FONT_FILES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSans-BoldOblique.ttf")
_INVISIBLE = frozenset("\u200b\u200c\u200d\u2060\u00ad")
_LONGEST_WORD = 32  # in a cell; longer ones may be cut
_LONGEST_CARD_WORD = 16
_LONGEST_TEXT_WORD = 60
_TEXT_WIDTH, _FIGURE_HEIGHT = 481.0, 600.0  # points
_FIGURE_SCALE = 0.82  # lettering of 9.5 points becomes that of the tables
# Typst keeps threads, which a fork does not copy: after one compilation, a forked process would wait for them for
# ever. Each compilation is therefore a process of its own, with one thread, since reports are made side by side; it
# leaves without sweeping.
_COMPILE = """
import json, os, sys, typst
order = json.load(sys.stdin.buffer)
fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[order["fonts"]])
try:
    content = typst.compile(
        order["template"].encode(), root=order["root"], font_paths=fonts, ignore_system_fonts=True,
        sys_inputs={"report": order["report"]}, format="pdf", pdf_standards=["ua-1"],
    )
except typst.TypstError as error:
    sys.exit(f"{error.message} {' '.join(error.hints)}")
sys.stdout.buffer.write(content)
sys.stdout.buffer.flush()
os._exit(0)
"""


def pdf_bytes(
    blocks: Iterable[Block], *, production: Iterable[tuple[str, str]] = (), edition: str = "", kicker: str = ""
) -> bytes:
    """A report as PDF/UA-1; equal blocks give equal bytes.

    Parameters
    ----------
    blocks : the report in order; exactly one `Title` of level 1, and no level left out.
    production : (label, value) lines of the section that says how the report was made.
    edition, kicker : small texts above and below the title.

    Raises
    ------
    ReportError : no title or several, a level left out, a name used twice, a link to an anchor that does not exist,
        or a document that Typst refuses.
    """
    report = _document(blocks, production, edition, kicker)
    content = _compile(report)
    return _with_row_headers(content, [part for part in report["blocks"] if part["kind"] == "Table"])


def _compile(report: dict) -> bytes:
    order = {
        "template": _TEMPLATE.read_text(encoding="utf-8"),
        "root": str(_TEMPLATE.parent),
        "fonts": str(_font_folder()),
        "report": json.dumps(report, ensure_ascii=False),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _COMPILE],
            input=json.dumps(order).encode(),
            env={**os.environ, "RAYON_NUM_THREADS": "1"},
            capture_output=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        raise ReportError(f"Typst did not end within {TIMEOUT:g} s") from error
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()
        raise ReportError("Typst refuses the report", why=why[-1][:400] if why else "")
    return done.stdout


def _with_row_headers(content: bytes, tables: list[dict]) -> bytes:
    """The same file with the first cell of each row tagged as its header, where the table has row headers.

    Typst tags column headers only, and ties each other cell to its column by a list. In the place of the list, at the
    same length so that no offset moves, comes the scope: readers then find both headers by their scopes.
    """
    marked = [0]

    def scoped(match: re.Match) -> bytes:
        table = tables[int(match["table"]) - 1]
        if not table["row_header"]:
            return match[0]
        is_header = match["column"] == b"0"
        marked[0] += is_header
        kind, scope = (b"TH", b"/Scope/Row") if is_header else (b"TD", b"")
        return match["start"] + kind + match["middle"] + scope.ljust(len(match["headers"]))

    rows = sum(len(table["rows"]) for table in tables if table["row_header"])
    tagged = _BODY_CELL.sub(scoped, content)
    return tagged if marked[0] == rows else content


# --- blocks → data of the template ---------------------------------------------------------------------------


def _document(blocks: Iterable[Block], production, edition: str, kicker: str) -> dict:
    views = page_views(blocks)
    head = head_of(views)
    levels = [1] + [view.block.level for view in views if view.kind == "Title" and view is not head]
    if any(after > before + 1 for before, after in itertools.pairwise(levels)):
        raise ReportError("headings jump a level", why=str(levels))
    production = [[_literal(label), [_literal(line) for line in value.splitlines()]] for label, value in production]
    report = {
        "title": _literal(plain_text(head.block.text) + (f" – édition {edition}" if edition else "")),
        "running": _literal(plain_text(head.block.text)),
        "heading": _runs(head.block.text),
        "anchor": head.anchor,
        "kicker": _literal(kicker or KICKER),
        "edition": _literal(f"Édition {edition}" if edition else ""),
        "independence": _literal(INDEPENDENCE),
        "blocks": [{"kind": view.kind, **_data(view)} for view in views if view is not head],
        "production": production,
        "production_title": PRODUCTION_TITLE,
        "production_opening": _literal(PRODUCTION_OPENING),
        "production_ending": _literal(PRODUCTION_ENDING),
    }
    anchors = {view.anchor for view in views} | {"contenu", "sommaire"} | ({"production"} if production else set())
    _check_links(report, anchors)
    return report


def _check_links(report: dict, anchors: set[str]) -> None:
    links = re.findall(r'"href": "#([A-Za-z0-9_-]+)"', json.dumps(report))
    if missing := sorted(set(links) - anchors):
        raise ReportError(f"links to anchors that do not exist: {', '.join(missing)}")


def _data(view) -> dict:
    match view.block:
        case Title(text, level):
            return {"text": _runs(text), "level": level, "anchor": view.anchor}
        case Paragraph(text):
            return {"text": _runs(text)}
        case Bullets(items):
            return {"items": [_runs(item) for item in items]}
        case Table():
            return _table(view)
        case Figure():
            return _figure(view)
        case Note() as note:
            return {"title": _runs(note.title or NOTE_TITLES[note.kind]), "text": _runs(note.text), "tone": note.kind}
        case Verdict() as verdict:
            label = _literal(verdict.label or VERDICT_LABELS[verdict.kind])
            return {"label": label, "title": _runs(verdict.title), "text": _runs(verdict.text), "tone": verdict.kind}
        case Cards(items):
            return {
                "items": [
                    {
                        "value": _literal(card.value, _LONGEST_CARD_WORD),
                        "label": _literal(card.label, _LONGEST_CARD_WORD),
                        "comment": _runs(card.comment, _LONGEST_CARD_WORD),
                    }
                    for card in items
                ]
            }
    raise ReportError(f"a block that the PDF cannot set: {view.kind}")


def _table(view) -> dict:
    table = view.block
    columns = [_literal(name, _LONGEST_WORD) for name in table.frame.columns]
    rows = [[_literal(cell_text(value), _LONGEST_WORD) for value in row] for row in table.frame.rows]
    return {
        "number": view.number,
        "anchor": view.anchor,
        "caption": _runs(table.caption),
        "note": _runs(table.note),
        "columns": columns,
        "rows": rows,
        "row_header": table.row_header,
        "numeric": list(numeric_columns(table.frame)),
        "measures": [
            {"title": _longest([name]), "words": _longest(column), "lines": sorted(column, key=len)[-3:]}
            for name, column in zip(columns, list(zip(*rows, strict=True)) or [()] * len(columns), strict=True)
        ],
    }


def _longest(texts: Iterable[str]) -> list[str]:
    """The longest words: the template measures them, for a column may not be narrower."""
    words = {word for text in texts for word in re.split("[ \u200b]", text)}
    return sorted(words, key=lambda word: (len(word), word))[-3:]


def _figure(view) -> dict:
    figure = view.block
    size = svg_size(figure.svg)
    width = 340.0
    if size:
        drawn = [side * 3 / 5 for side in size]  # points
        width = drawn[0] * min(_FIGURE_SCALE, _TEXT_WIDTH / drawn[0], _FIGURE_HEIGHT / drawn[1])
    return {
        "number": view.number,
        "anchor": view.anchor,
        "caption": _runs(figure.caption),
        "note": _runs(figure.note),
        "alt": _literal(plain_text(figure.alt)),
        "svg": figure.svg,
        "width": width,
    }


def _runs(text: str, longest: int = _LONGEST_TEXT_WORD) -> list[dict]:
    """Inline text as runs; a run holds its text and what differs from plain."""
    runs = []
    for span in parse_inline(text):
        run: dict = {"text": _literal(span.text, longest)}
        if span.bold:
            run["bold"] = True
        if span.em:
            run["em"] = True
        if span.href:
            run["href"] = span.href
        runs.append(run)
    return runs


def _literal(text: str, longest: int = _LONGEST_TEXT_WORD) -> str:
    """Text as it is set: spaces as a page shows them, French typography, glyphs that exist, words that can be cut."""
    text = re.sub(r"[ \t\r\n\x0b\x0c\u2028\u2029]+", " ", text)
    known = _glyphs()
    text = "".join(char if char in known else UNKNOWN_GLYPH for char in typeset(text))
    return re.sub(rf"[^ \u200b]{{{longest + 1},}}", lambda word: _with_cuts(word[0], longest), text)


def _with_cuts(word: str, longest: int) -> str:
    """Where a long word may be cut: after its signs, otherwise anywhere."""
    word = re.sub(r"(?<=[/_+.=&?-])(?=\w)", "\u200b", word)
    return re.sub(rf"[^\u200b]{{{longest}}}(?=[^\u200b])", "\\g<0>\u200b", word)


# --- fonts ---------------------------------------------------------------------------------------------------


@cache
def _font_folder() -> Path:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    if missing := [name for name in _FONT_FILES if not (folder / name).is_file()]:
        raise ReportError("fonts of the PDF are missing", where=", ".join(missing), remedy="install matplotlib again")
    return folder


@cache
def _glyphs() -> frozenset[str]:
    """Characters that all four faces can show."""
    from matplotlib.ft2font import FT2Font

    faces = [set(FT2Font(str(_font_folder() / name)).get_charmap()) for name in _FONT_FILES]
    return frozenset(map(chr, set.intersection(*faces))) | _INVISIBLE
