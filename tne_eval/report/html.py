"""Blocks → one self-contained HTML page; executed notebook → blocks; and the check of the page.

Everything is escaped by Jinja; the page loads nothing, runs nothing (the index: its search alone), and says so in its
content security policy.
"""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from tne_eval import french
from tne_eval.errors import ReportError
from tne_eval.french import typeset
from tne_eval.report.blocks import (
    MIME,
    NOTE_TITLES,
    VERDICT_LABELS,
    Block,
    Bullets,
    Figure,
    Grid,
    Paragraph,
    Table,
    Title,
    escape_inline,
    from_dict,
    parse_inline,
    plain_text,
    slug,
)

INDEPENDENCE = "Document d’évaluation indépendant\u202f; ne constitue pas une publication officielle."
KICKER = "Évaluation des Territoires numériques éducatifs"
PRODUCTION_TITLE = "Comment ce rapport a été produit"
PRODUCTION_OPENING = (
    "Ce rapport est calculé par un programme à partir de données publiques et d’un catalogue de faits sourcés\u202f; "
    "aucun chiffre n’est saisi dans son texte. Les mêmes données, le même code et les mêmes versions redonnent ce "
    "fichier à l’octet près."
)
CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MAX_DETAIL_ROWS = 60
_TEMPLATES = Path(__file__).parent / "templates"
_SVG_SOURCE = "data:image/svg+xml;base64,"
_NUMBER_LIKE = re.compile(
    r"(?:<\s?)?[\[(]?\s?[−+±≈~-]?\s?\d[\d\s\u00a0\u202f]*(?:,\d+)?"
    r"(?:\s?(?:;|à|\u2013)\s?[−+-]?\d[\d\s\u00a0\u202f]*(?:,\d+)?)*\s?[\])]?"
    r"\s?(?:%|€|points?|ans?|h|pt|k|M)?|n\.d\.|n\.s\.|[–—-]|s|",
)


# --- executed notebook → blocks ------------------------------------------------------------------------------


def cell_place(cells: Sequence, index: int) -> str:
    """How errors name a cell: its rank in the packaged notebook (the injected parameters do not count)."""
    rank = sum("injected-parameters" not in cell.get("metadata", {}).get("tags", []) for cell in cells[: index + 1])
    return f"cell {rank}"


def notebook_blocks(notebook) -> tuple[Block, ...]:
    """Blocks of an executed notebook, in order. Any output that is not a block is an error that names the cell."""
    blocks: list[Block] = []
    for index, cell in enumerate(notebook["cells"]):
        where = cell_place(notebook["cells"], index)
        if cell["cell_type"] == "markdown":
            blocks += markdown_blocks("".join(cell["source"]), where)
        elif cell["cell_type"] == "code":
            blocks += [_output_block(output, where) for output in cell["outputs"]]
        else:
            raise ReportError(f"a {cell['cell_type']} cell in a report", where=where)
    return tuple(blocks)


def _output_block(output, where: str) -> Block:
    data = output.get("data", {})
    if output["output_type"] in ("display_data", "execute_result") and MIME in data:
        return from_dict(data[MIME])
    kind = output["output_type"]
    shown = output.get("text") or data.get("text/plain") or output.get("evalue") or ""
    raise ReportError(
        f"stray output ({output.get('name', kind)}) in a report",
        where=where,
        why=("".join(shown).strip().splitlines() or [""])[-1][:200],
        remedy="a report shows blocks only: remove the print, silence the warning at its source, or show() a block",
    )


def markdown_blocks(source: str, where: str = "markdown") -> list[Block]:
    """Headings, paragraphs and flat lists with bold, emphasis and links → blocks; anything else is an error."""
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    root = SyntaxTreeNode(MarkdownIt("commonmark").parse(source))
    return [_markdown_block(node, where) for node in root.children]


def _markdown_block(node, where: str) -> Block:
    if node.type == "heading":
        return Title(_markdown_inline(node, where), level=int(node.tag[1:]))
    if node.type == "paragraph":
        return Paragraph(_markdown_inline(node, where))
    if node.type == "bullet_list":
        items = []
        for item in node.children:
            if len(item.children) != 1 or item.children[0].type != "paragraph":
                raise ReportError("a list item holds more than one paragraph", where=where)
            items.append(_markdown_inline(item.children[0], where))
        return Bullets(tuple(items))
    raise _not_allowed(node.type, where)


def _markdown_inline(node, where: str) -> str:
    return "".join(_markdown_text(child, where) for inline in node.children for child in inline.children)


def _markdown_text(node, where: str) -> str:
    if node.type == "text":
        return escape_inline(node.content)
    if node.type == "softbreak":
        return " "
    inner = "".join(_markdown_text(child, where) for child in node.children)
    if node.type == "strong":
        return f"**{inner}**"
    if node.type == "em":
        return f"*{inner}*"
    if node.type == "link" and not node.attrs.get("title"):
        link = f"[{inner}]({node.attrs['href']})"
        if any(span.href for span in parse_inline(link)):
            return link
        raise ReportError(
            f"a link to {str(node.attrs['href'])[:80]!r}", where=where, remedy="link to #an-anchor or to https://…"
        )
    raise _not_allowed(node.type, where)


def _not_allowed(kind: str, where: str) -> ReportError:
    return ReportError(
        f"markdown {kind.replace('_', ' ')} is not allowed in a report",
        where=where,
        remedy="use headings, paragraphs, flat lists, bold, emphasis and links; tables and figures are blocks",
    )


# --- blocks → page -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _View:
    """A block with what its place in the page gives it: number, anchor."""

    kind: str
    block: Block
    anchor: str = ""
    number: int = 0


def render_report(
    blocks: Iterable[Block], *, production: Iterable[tuple[str, str]] = (), edition: str = "", kicker: str = ""
) -> str:
    """The page of a report.

    Parameters
    ----------
    blocks : the report in order; exactly one `Title` of level 1.
    production : (label, value) lines of the section that says how the report was made.
    edition, kicker : small texts above and below the title.

    Raises
    ------
    ReportError : no title or several, or a name used by two tables or figures.
    """
    views = page_views(blocks)
    head = head_of(views)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=head.block.text,
            views=[view for view in views if view is not head],
            contents=[view for view in views if view.kind == "Title" and view.block.level in (2, 3)],
            production=list(production),
            edition=edition,
            kicker=kicker or KICKER,
        )
    )


def render_block(block: Block) -> str:
    """One block as an HTML fragment, as Jupyter shows it."""
    (view,) = page_views([block])
    return str(_environment().get_template("blocks.html.j2").module.block(view)).strip()


def search_script() -> str:
    """The search of the index: the only script of our pages."""
    return (_TEMPLATES / "search.js").read_text(encoding="utf-8")


def page_policy(script: str = "") -> str:
    """The content security policy of a page that runs nothing, or this one inline script."""
    if not script:
        return CSP
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"{CSP}; script-src 'sha256-{digest}'"


def page_template(name: str) -> jinja2.Template:
    """One of our templates, with the filters that escape and set text."""
    return _environment().get_template(name)


def head_of(views: Sequence[_View]) -> _View:
    """The title of level 1. Raises ReportError where there is none or several."""
    heads = [view for view in views if view.kind == "Title" and view.block.level == 1]
    if len(heads) != 1:
        raise ReportError(f"a report has one title of level 1; this one has {len(heads)}")
    return heads[0]


def page_views(blocks: Iterable[Block]) -> list[_View]:
    views, taken = [], {"contenu", "production", "sommaire"}
    numbers = dict.fromkeys(("Table", "Figure", "Verdict"), 0)
    for block in blocks:
        kind = type(block).__name__
        anchor = ""
        if isinstance(block, Title):
            anchor = _free(block.anchor or slug(block.text), taken, fixed=bool(block.anchor))
        elif isinstance(block, Table | Figure):
            anchor = _free(f"{'tableau' if kind == 'Table' else 'figure'}-{block.name}", taken, fixed=True)
        if kind in numbers:
            numbers[kind] += 1
        views.append(_View(kind, block, anchor, numbers.get(kind, 0)))
    return views


def _free(anchor: str, taken: set[str], *, fixed: bool) -> str:
    if fixed and anchor in taken:
        raise ReportError(f"{anchor!r} names two parts of the report", remedy="give one of them another name")
    rank, base = 2, anchor
    while anchor in taken:
        anchor, rank = f"{base}-{rank}", rank + 1
    taken.add(anchor)
    return anchor


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "inline": inline_html,
        "literal": literal_html,
        "plain": lambda text: typeset(plain_text(text)),
        "cell": cell_text,
        "svg_source": lambda svg: _SVG_SOURCE + base64.b64encode(svg.encode()).decode(),
    }
    environment.globals |= {
        "csp": CSP,
        "independence": INDEPENDENCE,
        "programme": KICKER,
        "production_title": PRODUCTION_TITLE,
        "production_opening": PRODUCTION_OPENING,
        "style": Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "max_rows": MAX_DETAIL_ROWS,
        "note_titles": NOTE_TITLES,
        "verdict_labels": VERDICT_LABELS,
        "numeric_columns": numeric_columns,
        "svg_size": svg_size,
    }
    return environment


def inline_html(text: str) -> Markup:
    """Inline text → escaped HTML with strong, em and a."""
    parts = []
    for span in parse_inline(text):
        part = escape(typeset(span.text))
        for tag, wanted in (("em", span.em), ("strong", span.bold)):
            if wanted:
                part = Markup("<{0}>{1}</{0}>").format(Markup(tag), part)
        if span.href:
            outward = Markup("") if span.href.startswith("#") else Markup(' rel="noopener noreferrer"')
            part = Markup('<a href="{}"{}>{}</a>').format(span.href, outward, part)
        parts.append(part)
    return Markup("").join(parts)


def literal_html(text: str) -> Markup:
    """Text with no marks → escaped HTML."""
    return escape(typeset(text))


def numeric_columns(grid: Grid) -> tuple[bool, ...]:
    """Which columns hold numbers, written or raw: those are set flush right."""
    columns = list(zip(*grid.rows, strict=True)) or [()] * len(grid.columns)
    return tuple(
        any(value not in (None, "") for value in column) and all(map(_is_number, column)) for column in columns
    )


def svg_size(svg: str) -> tuple[int, int] | None:
    """Width and height at which a figure is shown: a quarter more than drawn, so that its 9.5 points match the text."""
    sizes = re.search(r'<svg[^>]*?\bwidth="([\d.]+)pt"[^>]*?\bheight="([\d.]+)pt"', svg)
    return (round(float(sizes[1]) * 5 / 3), round(float(sizes[2]) * 5 / 3)) if sizes else None


def _is_number(value) -> bool:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return True
    return isinstance(value, str) and bool(_NUMBER_LIKE.fullmatch(value))


def cell_text(value) -> str:
    """A raw value as readers see it; whole numbers without grouping, for they may be years."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "oui" if value else "non"
    if isinstance(value, int):
        return str(value).replace("-", french.MINUS)
    if isinstance(value, float):
        magnitude = abs(value)
        decimals = 0 if value == int(value) else 1 if magnitude >= 100 else 2 if magnitude >= 1 else 4
        return french.number(value, decimals)
    return value


# --- check ---------------------------------------------------------------------------------------------------

_FORBIDDEN = re.compile(
    "script|i?frame|object|embed|applet|form|input|button|select|textarea|link|base|svg|math|video|audio|source"
    "|track|template|noscript|portal"
)
_VOID = frozenset(("meta", "img", "br", "hr", "col", "wbr", "input"))
_LOCAL = re.compile(r"(?!/)[A-Za-z0-9_./-]+")


class _Checker(html.parser.HTMLParser):
    def __init__(self, *, local_links: bool, script: str) -> None:
        super().__init__(convert_charrefs=True)
        self.local_links = local_links
        # The elements that the one script of the page brings: itself and a search field, each once.
        self.allowed = [("script", None), ("input", "search")] if script else []
        self.scripts: list[str] = []
        self.faults: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.levels: list[int] = []
        self.csp: list[str | None] = []
        self.lang = ""
        self.title = ""
        self.captioned = True

    def handle_starttag(self, tag: str, attributes) -> None:
        values = dict(attributes)
        if (tag, values.get("type")) in self.allowed:
            self.allowed.remove((tag, values.get("type")))
        elif _FORBIDDEN.fullmatch(tag):
            self.faults.append(f"<{tag}>")
        for name, value in attributes:
            self._attribute(tag, name, value or "")
        if tag == "html":
            self.lang = values.get("lang", "")
        if tag == "meta" and "http-equiv" in values:
            self.csp.append(values.get("content"))
        if tag == "img" and not (values.get("alt") or "").strip():
            self.faults.append("an image without a text")
        if tag == "th" and values.get("scope") not in ("col", "row"):
            self.faults.append("a header cell without scope")
        if self.open and self.open[-1] == "table" and tag != "caption" and not self.captioned:
            self.faults.append("a table without a caption")
            self.captioned = True
        if tag == "table":
            self.captioned = False
        if tag == "caption":
            self.captioned = True
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "title":
            self.title += data
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        if self.open and self.open[-1] == "style" and re.search(r"url\(|@import|expression\(", data, re.IGNORECASE):
            self.faults.append("a style that loads something")

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name.startswith("on") or name in ("style", "srcset", "srcdoc", "background", "action", "formaction"):
            self.faults.append(f"attribute {name} on <{tag}>")
        elif name == "src" and not value.startswith(_SVG_SOURCE):
            self.faults.append(f"<{tag}> loads {value[:60]!r}")
        elif name == "href" and value.startswith("#"):
            self.targets.add(value[1:])
        elif name == "href" and not value.startswith("https://") and not self._is_local(value):
            self.faults.append(f"<{tag}> links to {value[:60]!r}")
        elif name == "id":
            self.ids.append(value)

    def _is_local(self, value: str) -> bool:
        return self.local_links and bool(_LOCAL.fullmatch(value)) and ".." not in value


def check_page(page: str, *, local_links: bool = False, script: str = "") -> None:
    """Raise a ReportError that lists what a page must not have, or lacks.

    A page has a title, lang="fr", the exact policy, one h1 and headings without jumps, unique ids, anchors that
    exist, images with a text, tables with caption and scope; no active element but the `script` given and its search
    field, and nothing that loads.
    """
    checker = _Checker(local_links=local_links, script=script)
    checker.feed(page)
    checker.close()
    faults = checker.faults
    if checker.open:
        faults.append(f"<{checker.open[-1]}> is left open")
    if checker.scripts != [script] * bool(script):
        faults.append("a script is missing or changed")
    if checker.csp != [page_policy(script)]:
        faults.append("the content security policy is missing or changed")
    if checker.lang != "fr" or not checker.title.strip():
        faults.append("no language or no title")
    if checker.levels.count(1) != 1 or any(b > a + 1 for a, b in zip(checker.levels, checker.levels[1:], strict=False)):
        faults.append(f"headings jump: {checker.levels}")
    if len(set(checker.ids)) != len(checker.ids):
        faults.append(f"an id is used twice: {sorted({one for one in checker.ids if checker.ids.count(one) > 1})}")
    if missing := checker.targets - set(checker.ids):
        faults.append(f"links to anchors that do not exist: {', '.join(sorted(missing))}")
    if faults:
        raise ReportError("the page fails its check", why="; ".join(dict.fromkeys(faults)))
