"""The block model: everything that a report may show, neutral to the way it is set (HTML, Typst).

A block is frozen, goes to JSON and back, and carries plain text. Inline text allows `**bold**`, `*em*` and
`[label](#anchor or https URL)`; a backslash makes the next mark literal; all the rest is ordinary text. Text
that comes from data goes through `escape_inline` first. Table cells, card values and labels are literal.
"""

from __future__ import annotations

import dataclasses
import io
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

from tne_eval.errors import ReportError, UnknownNameError

MIME = "application/vnd.tne-eval.block+json"
NOTE_TITLES = {"info": "À noter", "warning": "Attention", "limit": "Limite"}
VERDICT_LABELS = {
    "positive": "Effet favorable",
    "negative": "Effet défavorable",
    "null": "Pas d’effet notable",
    "uncertain": "Non concluant",
    "unavailable": "Non mesurable",
}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,60}")
_ANCHOR = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,80}")
_TARGET = r"#[A-Za-z][A-Za-z0-9_-]{0,80}|https://[^\s()<>\"'\\\[\]`{}|^]+"
_MARKS = re.compile(
    r"\\(?P<literal>[\\*\[\]])"
    r"|\*\*(?P<bold>(?=\S)(?:\\.|[^\\])+?(?<=\S))\*\*"
    r"|\*(?P<em>(?=[^\s*])(?:\\.|[^\\*])+?(?<=\S))\*"
    rf"|(?<!!)\[(?P<label>(?:\\.|[^\\\[\]])+)\]\((?P<target>{_TARGET})\)",
    re.DOTALL,
)
# Controls and direction overrides never belong in a report; surrogates cannot be written as UTF-8.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
# Of a text in lower case. One expression each, with a literal beginning: together they would be tried at every letter.
_HOSTILE_SVG = tuple(
    map(
        re.compile,
        (
            r"<\s*(?:script|foreignobject|iframe|a)\b",
            r"on(?<!\won)\w+\s*=",
            r"javascript:",
            r"href\s*=\s*[\"'](?!#|data:image/png;base64,)",
            r"url\((?!#)",
        ),
    )
)

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text with one look."""

    text: str
    bold: bool = False
    em: bool = False
    href: str = ""


def parse_inline(text: str) -> tuple[Span, ...]:
    """Inline text → runs. Unpaired marks, and links to anything but an anchor or https, stay as typed."""
    return tuple(_spans(text, Span("")))


def escape_inline(text: object) -> str:
    """Any value as inline text that is shown exactly as it is."""
    return re.sub(r"([\\*\[\]])", r"\\\1", str(text))


def plain_text(text: str) -> str:
    """Inline text without its marks."""
    return "".join(span.text for span in parse_inline(text))


def _spans(text: str, look: Span):
    start = 0
    for match in _MARKS.finditer(text):
        if match.start() > start:
            yield dataclasses.replace(look, text=text[start : match.start()])
        start = match.end()
        if match["literal"]:
            yield dataclasses.replace(look, text=match["literal"])
        elif match["bold"]:
            yield from _spans(match["bold"], dataclasses.replace(look, bold=True))
        elif match["em"]:
            yield from _spans(match["em"], dataclasses.replace(look, em=True))
        else:
            yield from _spans(match["label"], dataclasses.replace(look, href=match["target"]))
    if start < len(text):
        yield dataclasses.replace(look, text=text[start:])


def slug(text: str) -> str:
    """An anchor made from a title."""
    flat = unicodedata.normalize("NFKD", plain_text(text)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", flat).strip("-")[:60].strip("-") or "section"


@dataclass(frozen=True, slots=True)
class Grid:
    """A small table of plain values: what a DataFrame becomes inside a block."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar, ...], ...]

    def to_dict(self) -> dict:
        return {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}


def make_grid(data: Any) -> Grid:
    """DataFrame (a named index becomes columns, an unnamed one is left out), Grid or its dict → Grid."""
    if isinstance(data, Grid):
        return data
    if isinstance(data, dict):
        columns, rows = data["columns"], data["rows"]
    else:
        if any(name is not None for name in data.index.names):
            data = data.reset_index()
        columns, rows = list(data.columns), data.itertuples(index=False, name=None)
    columns = tuple(_clean(str(name)) for name in columns)
    if len(set(columns)) != len(columns):
        raise ReportError("a table has two columns of the same name", where=", ".join(columns))
    return Grid(columns, tuple(tuple(_scalar(value) for value in row) for row in rows))


def _scalar(value: Any) -> Scalar:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        if math.isinf(value):
            raise ReportError("an infinite value in a table", remedy="decide what the reader should see instead")
        return None if math.isnan(value) else value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _clean(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return _clean(str(value))


def _clean(text: str) -> str:
    return _UNWANTED.sub("", unicodedata.normalize("NFC", text))


class Block:
    """Base of the blocks: JSON both ways, and what Jupyter shows."""

    __slots__ = ()
    _kinds: ClassVar[dict[str, type[Block]]] = {}

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        # slots=True makes each class twice; the second, the real one, wins.
        Block._kinds[cls.__name__] = cls

    def to_dict(self) -> dict:
        """All of the block as JSON values; `from_dict` gives the same block back."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {"block": type(self).__name__, **{name: _plain(value) for name, value in fields.items()}}

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        from tne_eval.report.html import render_block

        return {MIME: self.to_dict(), "text/html": render_block(self), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def from_dict(data: dict) -> Block:
    """The block that `to_dict` wrote."""
    kind = data.get("block") if isinstance(data, dict) else None
    if kind not in Block._kinds:
        raise UnknownNameError("block", kind, Block._kinds)
    cls = Block._kinds[kind]
    fields = {name: value for name, value in data.items() if name != "block"}
    try:
        return cls(**fields)
    except (TypeError, KeyError, AttributeError) as error:
        raise ReportError(f"a {kind} block that cannot be read", why=str(error)) from error


def show(*blocks: Block) -> None:
    """Display blocks in order, from a notebook."""
    from IPython.display import display

    for block in blocks:
        if not isinstance(block, Block):
            raise ReportError(
                f"show() was given {type(block).__name__}", remedy="give it blocks of tne_eval.report.blocks"
            )
        display(block)


def _plain(value):
    if isinstance(value, Grid | Card):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _set(block, **values) -> None:
    for name, value in values.items():
        object.__setattr__(block, name, value)


def _text(block, *names: str, needed: tuple[str, ...] = ()) -> None:
    """Check and clean the text fields of a block."""
    for name in names:
        value = getattr(block, name)
        if not isinstance(value, str):
            raise ReportError(f"{type(block).__name__}.{name} is {type(value).__name__}, not text")
        value = _clean(value)
        if name in needed and not value.strip():
            raise ReportError(f"{type(block).__name__}.{name} is empty", remedy="say it in words")
        _set(block, **{name: value})


def _choice(block, name: str, known) -> None:
    if getattr(block, name) not in known:
        raise UnknownNameError(f"{type(block).__name__} {name}", getattr(block, name), map(str, known))


def _file_name(block) -> None:
    if not isinstance(block.name, str) or not _NAME.fullmatch(block.name):
        raise ReportError(
            f"{type(block).__name__} name {str(block.name)[:80]!r} cannot name a file",
            remedy="a letter, then letters, digits, _ or -, all lower case without accents",
        )


@dataclass(frozen=True, slots=True, repr=False)
class Title(Block):
    """A heading: level 1 names the report (one only), 2 a section, 3 a part of it."""

    text: str
    level: int = 2
    anchor: str = ""

    def __post_init__(self) -> None:
        _text(self, "text", "anchor", needed=("text",))
        _choice(self, "level", (1, 2, 3, 4))
        if self.anchor and not _ANCHOR.fullmatch(self.anchor):
            raise ReportError(f"anchor {self.anchor[:80]!r} is not made of letters, digits, _ and -")


@dataclass(frozen=True, slots=True, repr=False)
class Paragraph(Block):
    """A paragraph of inline text."""

    text: str

    def __post_init__(self) -> None:
        _text(self, "text", needed=("text",))


@dataclass(frozen=True, slots=True, repr=False)
class Bullets(Block):
    """A list of inline texts."""

    items: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.items, str) or not all(isinstance(item, str) for item in self.items) or not self.items:
            raise ReportError("Bullets.items is not a list of texts")
        _set(self, items=tuple(_clean(item) for item in self.items))


@dataclass(frozen=True, slots=True, repr=False)
class Table(Block):
    """A table. `frame` holds what the reader sees: texts already in French form (a whole number is shown without
    grouping: a year). `data` holds the raw values, for the CSV; None when `frame` is all there is."""

    name: str
    caption: str
    frame: Grid
    note: str = ""
    row_header: bool = True
    data: Grid | None = None

    def __post_init__(self) -> None:
        _file_name(self)
        _text(self, "caption", "note", needed=("caption",))
        _set(self, frame=make_grid(self.frame), data=None if self.data is None else make_grid(self.data))
        for row in self.frame.rows:
            for column, value in zip(self.frame.columns, row, strict=True):
                if isinstance(value, float | bool):
                    raise ReportError(
                        f"table {self.name!r}, column {column!r} holds {value!r}",
                        why="the reader would see it unformatted",
                        remedy="format it in `frame`, and give the raw values as `data`",
                    )


@dataclass(frozen=True, slots=True, repr=False)
class Figure(Block):
    """A figure as SVG, with a text that says in words what it shows (`alt`) and its values (`data`)."""

    name: str
    caption: str
    alt: str
    svg: str
    data: Grid
    note: str = ""

    def __post_init__(self) -> None:
        _file_name(self)
        _text(self, "caption", "alt", "note", needed=("caption", "alt"))
        if not isinstance(self.svg, str) or "<svg" not in self.svg:
            raise ReportError(f"figure {self.name!r} holds no SVG")
        lower = self.svg.lower()
        if found := next(filter(None, (part.search(lower) for part in _HOSTILE_SVG)), None):
            raise ReportError(f"figure {self.name!r} holds an active or remote part", why=found.group())
        _set(self, data=make_grid(self.data))


@dataclass(frozen=True, slots=True, repr=False)
class Note(Block):
    """A remark set apart: info, warning or limit."""

    text: str
    kind: str = "info"
    title: str = ""

    def __post_init__(self) -> None:
        _text(self, "text", "title", needed=("text",))
        _choice(self, "kind", NOTE_TITLES)


@dataclass(frozen=True, slots=True, repr=False)
class Verdict(Block):
    """The card that opens a report: what can be concluded. `label` replaces the usual words of the kind."""

    title: str
    text: str
    kind: str
    label: str = ""

    def __post_init__(self) -> None:
        _text(self, "title", "text", "label", needed=("title", "text"))
        _choice(self, "kind", VERDICT_LABELS)


@dataclass(frozen=True, slots=True)
class Card:
    """One key figure: its value in French form, what it is, and a word of comment."""

    value: str
    label: str
    comment: str = ""

    def __post_init__(self) -> None:
        _text(self, "value", "label", "comment", needed=("value", "label"))

    def to_dict(self) -> dict:
        return {"value": self.value, "label": self.label, "comment": self.comment}


@dataclass(frozen=True, slots=True, repr=False)
class Cards(Block):
    """A few key figures side by side; items are `Card` or (value, label) or (value, label, comment)."""

    items: tuple[Card, ...]

    def __post_init__(self) -> None:
        _set(self, items=tuple(_card(item) for item in self.items))
        if not self.items:
            raise ReportError("Cards holds no card")


def _card(item) -> Card:
    if isinstance(item, Card):
        return item
    return Card(**item) if isinstance(item, dict) else Card(*item)


def figure_block(fig, *, name: str, caption: str, alt: str, data, note: str = "") -> Figure:
    """A matplotlib figure → a Figure block, always the same bytes; the figure is closed."""
    import matplotlib
    from matplotlib import pyplot
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from tne_eval.plotting import settle

    # An axis without a label has none to place by the boxes of its ticks.
    for axis in (axis for axes in fig.axes for axis in (axes.xaxis, axes.yaxis)):
        if not axis.get_label_text():
            axis.set_label_coords(0, 0)
    buffer = io.StringIO()
    # Texts stay texts: they can be searched, and weigh less than their outlines. Verdana, of nearly the same widths,
    # is where DejaVu Sans is not.
    fonts = {"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans", "Verdana"]}
    with matplotlib.rc_context({"svg.hashsalt": f"tne_eval {name}", **fonts}):
        bare = {"Date": None, "Creator": None}
        if any(axes.get_aspect() != "auto" for axes in fig.axes):
            # A map keeps its shape, and leaves margins to cut.
            fig.savefig(buffer, format="svg", bbox_inches="tight", metadata=bare)
        else:
            settle(fig)
            # Not savefig: with a layout engine it draws everything twice.
            FigureCanvasSVG(fig).print_svg(buffer, metadata=bare)
    pyplot.close(fig)
    extras = r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>"
    svg = re.sub(extras, "", buffer.getvalue(), flags=re.DOTALL)
    svg = "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"
    return Figure(name=name, caption=caption, alt=alt, svg=svg, data=data, note=note)
