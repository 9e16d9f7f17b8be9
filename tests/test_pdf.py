"""The PDF: it says what the page says, is tagged, inert whatever the texts, and always the same bytes."""

import hashlib
import html
import html.parser
import io
import json
import multiprocessing
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest

from tne_eval.errors import ReportError
from tne_eval.report import pdf
from tne_eval.report.blocks import (
    Bullets,
    Cards,
    Figure,
    Grid,
    Note,
    Paragraph,
    Table,
    Title,
    Verdict,
    escape_inline,
    plain_text,
)
from tne_eval.report.html import notebook_blocks, render_report
from tne_eval.report.index import OTHERS

pypdf = pytest.importorskip("pypdf")

INDEPENDENCE = "Document d’évaluation indépendant\\s; ne constitue pas une publication officielle\\."
ROOT = Path(__file__).parents[1]
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="200pt" height="100pt" viewBox="0 0 200 100">'
    '<rect width="200" height="100" fill="#0b4f8a"/></svg>'
)
PRODUCTION = [("Identifiant", "0123456789abcdef" * 4), ("Données", "dnb : millésime 2024\nfibre : millésime 2025")]
REPORTS = ("aisne", *OTHERS)
_CORES = [
    '#import "/etc/passwd": *',
    '#read("/etc/passwd")',
    '#panic("no")',
    "#{ let x = 1; while true { x += 1 } }",
    "#set page(width: 1pt)",
    "#sys.inputs.report",
    "$ sum_(i=1)^n x_i $ $",
    "*gras* _souligné_ `code` ```raw```",
    "= titre",
    "- liste + liste / terme: x",
    "<etiquette> @etiquette",
    "// commentaire /* commentaire",
    "\\ \\u{41} \\# \\\\",
    '" ) ] } ; "',
    "~ -- --- ... 'guillemets' \"guillemets\"",
    "https://evil.example/ et www.evil.example",
    "[x](javascript:alert(1))",
    "(parenthèses \\( non fermées ((( [ {",
    "1 0 obj << /Type /StructElem /S /TD /P 1 0 R >> endobj",
    "/Type/StructElem/S/TD/P 126 0 R/A[<</O/Table/Headers[(U1x0y0)]>>]",
    "endstream endobj trailer %%EOF",
    "\u202e\u0000\ud800\ufeff renversé",
    "é\u0301\u0302\u0303 ﬁ ß İ ſ \u200b\u200d\u00ad|",
    "𝔘𝔫𝔦 \u4e2d\u6587 \U0001f600 \U000e0041 \ue000",
    "x" * 300,
    "{{ 7 * 7 }} {% raw %} ${7*7} %s %n",
]
_SHELLS = ["{}", "Aisne {}", "**{}**", "[{}](#contenu)"]
PAYLOADS = [shell.replace("{}", core) for core in _CORES for shell in _SHELLS]


def sample(text: str = "Aisne") -> list:
    """A report with every kind of block, in which `text` stands wherever data may."""
    inline = escape_inline(text)
    return [
        Title(inline, 1),
        Verdict(inline, inline, "uncertain", label=text),
        Cards([(text, text, inline), ("84,5 %", "élèves")]),
        Title(inline, 2),
        Paragraph(f"{inline} ; [lien](https://example.org/page) et [renvoi](#tableau-t), **gras *et* ital**."),
        Bullets((inline, "deux")),
        Table("t", inline, Grid((text, "Valeur 1"), ((text, "1 234,5"), ("b", "−2"))), note=inline),
        Title("Partie", 3),
        Figure("f", inline, inline, SVG, Grid(("x", "y"), ((text, 1.5),)), note=inline),
        Note(inline, "warning", title=inline),
        Table("sans", "Sans en-tête de ligne", Grid(("", "b"), (("c", "d"),)), row_header=False),
    ]


@cache
def read(content: bytes) -> "pypdf.PdfReader":
    return pypdf.PdfReader(io.BytesIO(content))


def squeeze(text: str) -> str:
    """Without the spaces, and without the marks that let a long word be cut."""
    return re.sub(r"[\s\u200b]+", "", text)


@cache
def set_text(content: bytes) -> str:
    """All the text of the pages, in order, without what is repeated at their head and foot."""
    reader = read(content)
    pages = []
    for number, page in enumerate(reader.pages, 1):
        text = page.extract_text()
        foot = rf"\n{INDEPENDENCE}\s*Page {number} sur {len(reader.pages)}$"
        assert re.search(foot, text), "no foot of the page"
        text = re.sub(foot, "", text)
        pages.append(text.split("\n", 1)[-1] if number > 1 else text)
    return squeeze("".join(pages))


@cache
def elements(content: bytes) -> list[tuple[str, dict, list[str]]]:
    """The tags of the document in order: kind, entries, kinds of the ancestors."""
    found = []

    def walk(node, above: list[str]) -> None:
        node = node.get_object()
        for child in node if isinstance(node, list) else [node]:
            child = child.get_object()
            if isinstance(child, dict) and "/S" in child:
                found.append((child["/S"][1:], child, above))
                walk(child.get("/K", pypdf.generic.ArrayObject()), [*above, child["/S"][1:]])

    walk(read(content).trailer["/Root"]["/StructTreeRoot"]["/K"], [])
    return found


class Texts(html.parser.HTMLParser):
    """What a reader of the page sees, text by text; the data behind a figure are folded away."""

    FOLDED = frozenset(("style", "title", "details", "nav"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "br"):
            self.open.append("nav" if ("class", "skip") in attributes else tag)

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        if squeeze(data) and not self.FOLDED & set(self.open):
            self.texts.append(squeeze(data))


@pytest.fixture(scope="module", params=REPORTS)
def real(request, reports):
    """A real report: its blocks, and its PDF."""
    folder = next(result.folder for result in reports[1] if result.id == request.param)
    blocks = notebook_blocks(nbformat.read(folder / "report.ipynb", 4))
    return blocks, pdf.pdf_bytes(blocks, production=PRODUCTION, edition="2025-S1")


@pytest.fixture(scope="module")
def small():
    return pdf.pdf_bytes(sample(), production=PRODUCTION, edition="2025-S1")


# --- the same content as the page ----------------------------------------------------------------------------


def test_the_pdf_says_all_that_the_page_says(real):
    blocks, content = real
    found = set_text(content)
    texts = Texts(render_report(blocks, production=PRODUCTION, edition="2025-S1")).texts
    assert len(texts) > 200
    assert [text for text in texts if text not in found] == []


def test_each_cell_is_in_its_table_in_order(real):
    """Cells follow one another row by row, after the caption of their table."""
    blocks, content = real
    found, start = set_text(content), 0
    for block in blocks:
        if not isinstance(block, Table):
            continue
        start = found.index(squeeze(pdf._literal(plain_text(block.caption))), start)
        for row in block.frame.rows:
            for value in row:
                text = squeeze(pdf._literal("–" if value is None else str(value)))
                start = found.index(text, start)


def test_no_number_comes_from_elsewhere(real):
    """Every number of the PDF, page numbers excepted, is a number of the page or of one of its figures."""
    blocks, content = real
    page = "".join(Texts(render_report(blocks, production=PRODUCTION, edition="2025-S1")).texts)
    _contents, rest = re.split(r"Commentcerapportaétéproduit\.+\d+", set_text(content))
    for block in blocks:
        if isinstance(block, Figure):
            drawn = squeeze("".join(html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)<", block.svg)))
            assert drawn in rest
            rest = rest.replace(drawn, " ", 1)
    assert set(re.findall(r"\d+", rest)) <= set(re.findall(r"\d+", page))


# --- tags ----------------------------------------------------------------------------------------------------


def test_the_document_says_its_title_language_and_conformance(real):
    blocks, content = real
    reader = read(content)
    root = reader.trailer["/Root"]
    title = next(plain_text(block.text) for block in blocks if isinstance(block, Title) and block.level == 1)
    assert squeeze(reader.metadata.title) == squeeze(pdf._literal(title) + " – édition 2025-S1")
    assert root["/Lang"] == "fr-FR" and root["/MarkInfo"]["/Marked"] and root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
    assert "/AF" not in root and "/OpenAction" not in root and "/AA" not in root


def test_bookmarks_are_the_headings(real):
    blocks, content = real

    def flat(entries):
        for entry in entries:
            yield from flat(entry) if isinstance(entry, list) else [entry.title]

    wanted = [pdf._literal(plain_text(block.text)) for block in blocks if isinstance(block, Title) and block.level > 1]
    assert list(flat(read(content).outline)) == [*wanted, "Comment ce rapport a été produit"]


def test_headings_have_their_levels_and_none_is_empty(real):
    blocks, content = real
    tags = elements(content)
    levels = [int(kind[1]) for kind, _, _ in tags if re.fullmatch("H[1-6]", kind)]
    assert levels == [block.level for block in blocks if isinstance(block, Title)] + [2]
    assert all(entry["/T"].strip() and entry["/K"] for kind, entry, _ in tags if re.fullmatch("H[1-6]", kind))


def test_tables_have_caption_and_headers_of_columns_and_rows(real):
    blocks, content = real
    tables = [block for block in blocks if isinstance(block, Table)]
    tags = elements(content)
    kinds = [kind for kind, _, _ in tags]
    assert kinds.count("Table") == len(tables)
    assert sum(kind == "Caption" and above[-1] == "Table" for kind, _, above in tags) == len(tables)
    scopes = [
        {key: value for attribute in entry["/A"] for key, value in attribute.get_object().items()}["/Scope"]
        for kind, entry, _ in tags
        if kind == "TH"
    ]
    assert scopes.count("/Column") == sum(len(table.frame.columns) for table in tables)
    assert scopes.count("/Row") == sum(len(table.frame.rows) for table in tables if table.row_header)


def test_figures_have_their_alternative_text(real):
    blocks, content = real
    alts = [squeeze(entry["/Alt"]) for kind, entry, _ in elements(content) if kind == "Figure"]
    assert alts == [squeeze(pdf._literal(plain_text(block.alt))) for block in blocks if isinstance(block, Figure)]


def test_marks_are_painted_in_the_order_of_the_tags(real):
    """Reading by tags and reading by the page give the same order."""
    reader = read(real[1])
    tagged = {page.indirect_reference.idnum: [] for page in reader.pages}

    def walk(node, page: int) -> None:
        node = node.get_object()
        if isinstance(node, int):
            tagged[page].append(node)
        elif isinstance(node, list):
            for child in node:
                walk(child, page)
        else:
            page = node.raw_get("/Pg").idnum if "/Pg" in node else page
            if node.get("/Type") == "/MCR":
                tagged[page].append(node["/MCID"])
            elif "/K" in node:
                walk(node["/K"], page)

    walk(reader.trailer["/Root"]["/StructTreeRoot"]["/K"], 0)
    for page in reader.pages:
        painted = [int(number) for number in re.findall(rb"/MCID (\d+)", page.get_contents().get_data())]
        assert painted and painted == tagged[page.indirect_reference.idnum]


def test_the_checker_finds_nothing(real):
    """pdfua 0.1.3 skips its rule UA-14-001, which fails on an array of marks: the test of headings stands for it."""
    pdfua = pytest.importorskip("pdfua")
    report = pdfua.validate(io.BytesIO(real[1]))
    assert [finding.message for finding in report.findings] == []


def test_row_headers_only_where_the_table_has_them(small):
    rows = [[]]
    for kind, _, above in elements(small):
        if kind == "TR":
            rows.append([])
        elif kind in ("TH", "TD") and "TBody" in above:
            rows[-1].append(kind)
    assert [row for row in rows if row] == [["TH", "TD"], ["TH", "TD"], ["TD", "TD"]]


def test_links_go_where_they_say(small):
    targets = [
        annotation.get_object()
        for page in read(small).pages
        for annotation in page.get("/Annots", [])
        if annotation.get_object()["/Subtype"] == "/Link"
    ]
    outward = [target["/A"]["/URI"] for target in targets if "/A" in target and "/URI" in target["/A"]]
    assert outward == ["https://example.org/page"]
    assert len(targets) >= 5  # contents, the reference to the table


def test_tables_of_any_shape_fit_the_page():
    """Nothing is set beyond the margins: wide tables, long words, no row."""
    wide = Grid(tuple(f"Année {year}" for year in range(2010, 2024)), (("restreint",) * 14, ("1 234,5",) * 14))
    words = Grid(("a", "b"), (("anticonstitutionnellement" * 8, "https://example.org/" + "x" * 200),))
    long = Grid(("a", "b", "c"), (("mot " * 200, "deux mots", "mot " * 40),) * 3)
    blocks = [Title("a", 1), *(Table(f"t{n}", "c", grid) for n, grid in enumerate((wide, words, long)))]
    blocks.append(Table("vide", "c", Grid(("a", "b"), ())))
    right = []
    for page in read(pdf.pdf_bytes(blocks)).pages:
        page.extract_text(
            visitor_text=lambda text, cm, tm, font, size: right.append(tm[4] * cm[0] + cm[4]) if text.strip() else None
        )
    assert 200 < max(right) < 595 - 56  # where texts begin, right of the middle, inside the margin of 20 mm


def test_fonts_are_embedded_and_ours(small):
    fonts = {
        font.get_object()["/BaseFont"].split("+")[1]
        for page in read(small).pages
        for font in page["/Resources"]["/Font"].values()
    }
    assert fonts and all(name.startswith("DejaVuSans") for name in fonts)


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "match"),
    [
        ([Paragraph("x")], "one title of level 1"),
        ([Title("a", 1), Title("b", 1)], "one title of level 1"),
        ([Title("a", 1), Title("b", 3)], "jump"),
        ([Title("a", 1), Paragraph("[x](#nulle-part) [y](#ailleurs)")], "ailleurs, nulle-part"),
        ([Title("a", 1), *[Table("t", "c", Grid(("a",), (("b",),)))] * 2], "tableau-t"),
        ([Title("a", 1), Figure("f", "c", "a", "<svg", Grid(("x",), ()))], "Typst"),
    ],
)
def test_what_cannot_be_set_is_refused(blocks, match):
    with pytest.raises(ReportError, match=match):
        pdf.pdf_bytes(blocks)


def test_a_figure_without_alternative_text_cannot_be_set():
    """The block refuses it; and were the text lost on the way, Typst refuses the file."""
    with pytest.raises(ReportError, match="alt"):
        Figure("f", "c", " ", SVG, Grid(("x",), ()))
    report = pdf._document(sample(), [], "", "")
    for part in report["blocks"]:
        if part["kind"] == "Figure":
            part["alt"] = None
    with pytest.raises(ReportError, match="alt text"):
        pdf._compile(report)


def test_too_long_is_an_error(monkeypatch):
    monkeypatch.setattr(pdf, "TIMEOUT", 0.001)
    with pytest.raises(ReportError, match="did not end"):
        pdf.pdf_bytes(sample())


# --- inert ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", _CORES, ids=map(str, range(len(_CORES))))
def test_hostile_text_stays_text_everywhere(small, core):
    """In every field of every block: the document keeps its form, and nothing active gets in."""
    content = pdf.pdf_bytes(sample(core), production=[(core, core)], kicker=core, edition="2025-S1")
    kinds = [kind for kind, _, _ in elements(content)]
    plain = [kind for kind, _, _ in elements(small)]
    for kind in ("H1", "H2", "H3", "Table", "TR", "TH", "TD", "Figure", "L", "LI", "TOCI"):
        assert kinds.count(kind) == plain.count(kind), kind
    assert not re.search(rb"/(JavaScript|JS|Launch|EmbeddedFile|SubmitForm|RichMedia)\b", content)


def test_hostile_labels_are_shown_letter_by_letter():
    """A hundred payloads in paragraphs, cells and bullets of one document."""
    assert len(PAYLOADS) >= 100
    texts = [text for text in PAYLOADS if text.isascii()]
    blocks = [Title("a", 1)]
    for rank, text in enumerate(texts):
        inline = escape_inline(text)
        blocks += [Title(f"n{rank}", 2), Paragraph(inline), Bullets((inline,))]
        blocks.append(Table(f"t{rank}", inline, Grid((text, f"v{rank}"), ((text, "1"),)), note=inline))
    found = set_text(pdf.pdf_bytes(blocks))
    for text in texts:
        assert found.count(shown_ascii(text)) >= 5, text


def shown_ascii(text: str) -> str:
    return squeeze(re.sub(r"(?<=\w)'(?=\w|$)", "’", text))


def test_every_payload_compiles():
    blocks = [Title("a", 1)]
    for rank, text in enumerate(PAYLOADS):
        blocks += [Paragraph(escape_inline(text)), Cards([(text, text, "c")])]
        blocks.append(Table(f"t{rank}", "c", Grid((f"{text} ", "v"), ((text, text),))))
    assert len(read(pdf.pdf_bytes(blocks)).pages) > 10


def test_a_character_without_a_glyph_is_shown_as_such():
    assert pdf._literal("\u4e2d é\u202f− \U000e0041") == "\ufffd é\u202f− \ufffd"


def test_every_known_character_can_be_set_in_every_face():
    """Otherwise Typst refuses the whole report."""
    known = "".join(sorted(char for char in pdf._glyphs() if char.isprintable() and char not in "\\*[]"))
    assert len(known) > 2000 and set("éèçœÉŒ«»…’–—−×²€\u202f\u00a0") <= pdf._glyphs()
    chunks = [known[start : start + 200] for start in range(0, len(known), 200)]
    blocks = [Title("a", 1)] + [Paragraph(f"{chunk} **{chunk}** *{chunk}* ***{chunk}***") for chunk in chunks]
    assert pdf.pdf_bytes(blocks)


# --- the same bytes ------------------------------------------------------------------------------------------

_RUN = """
import hashlib, json, sys
from tne_eval.report.blocks import from_dict
from tne_eval.report.pdf import pdf_bytes
blocks = [from_dict(data) for data in json.load(open(sys.argv[1], encoding="utf-8"))]
print(hashlib.sha256(pdf_bytes(blocks, production=[("a", "b")], edition="2025-S1")).hexdigest())
"""


def test_equal_bytes_in_any_folder_zone_locale_and_seed(tmp_path):
    written = tmp_path / "blocks.json"
    written.write_text(json.dumps([block.to_dict() for block in sample()]), encoding="utf-8")
    found = set()
    for zone, locale, seed in (("UTC", "C", "0"), ("Asia/Tokyo", "fr_FR.UTF-8", "1")):
        place = tmp_path / f"folder{seed}"
        place.mkdir()
        (place / "typst.py").write_text("raise SystemExit('not this one')", encoding="utf-8")
        settings = {"TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed}
        settings["RAYON_NUM_THREADS"] = settings["OMP_NUM_THREADS"] = {"0": "1", "1": "8"}[seed]
        done = subprocess.run(
            [sys.executable, "-P", "-c", _RUN, str(written)],
            cwd=place,
            env={**os.environ, **settings, "HOME": str(place), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout.strip())
    found.add(hashlib.sha256(pdf.pdf_bytes(sample(), production=[("a", "b")], edition="2025-S1")).hexdigest())
    assert len(found) == 1


def test_no_date_and_no_path_in_the_file(small):
    assert not re.search(rb"(Create|Creation|Modify|Mod)Date", small) and str(ROOT).encode() not in small
    assert not {"/CreationDate", "/ModDate"} & set(read(small).metadata)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_can_make_one_too(small):
    """Typst in this very process would leave threads that a fork does not copy, and the child would hang."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender,))
    child.start()
    assert receiver.poll(60)
    assert receiver.recv() == hashlib.sha256(small).hexdigest()
    child.join()


def _send(sender) -> None:
    sender.send(hashlib.sha256(pdf.pdf_bytes(sample(), production=PRODUCTION, edition="2025-S1")).hexdigest())
