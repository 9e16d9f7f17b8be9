"""The page: inert whatever the texts, accessible by construction, and only blocks get in."""

import html.parser
import re

import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tne_eval.errors import ReportError, TneError
from tne_eval.report import html as pages
from tne_eval.report.blocks import (
    MIME,
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
    make_grid,
)

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'
_CORES = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><iframe src=https://evil.example/></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](https://evil.example/\"onmouseover='alert(1)')",
    "![x](https://evil.example/x.png)",
    "{{ 7 * 7 }}{% raw %}",
    "</style><script>1</script>",
    "</title><script src=//evil.example/x.js></script>",
    "<!-- --><base href=https://evil.example/>",
    "<link rel=stylesheet href=https://evil.example/>",
    "<style>@import 'https://evil.example/'</style>",
    "url(https://evil.example/x)",
    "<object data=https://evil.example/></object>",
    "<form action=https://evil.example/><input autofocus onfocus=alert(1)>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u202e<script>\x00alert(1)</script>",
]
_SHELLS = ["{}", "Aisne {}", "**{}**", "[{}](#contenu)", '" onclick="alert(1)" {}']
PAYLOADS = [shell.replace("{}", core) for core in _CORES for shell in _SHELLS]


class _Seen(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]


def _everywhere(text):
    """A report with the text in every place where a text may go."""
    grid = pd.DataFrame({text: [text, "x"], "b": [text, "1,5"]})
    return [
        Title(text, level=1),
        Title(text),
        Title(text, level=3),
        Verdict(text, text, "uncertain", label=text),
        Cards([(text, text, text)]),
        Paragraph(text),
        Bullets((text, text)),
        Table("t", text, grid, note=text),
        Figure("f", text, text, SVG, grid, note=text),
        Note(text, "info", text),
    ]


def test_there_are_a_hundred_payloads():
    assert len(set(PAYLOADS)) == 100


@pytest.mark.parametrize("escaped", [False, True], ids=["as typed", "escaped"])
def test_reports_are_inert(escaped):
    for payload in PAYLOADS:
        text = escape_inline(payload) if escaped else payload
        page = pages.render_report(
            _everywhere(text), production=[(payload, payload)], edition="2026-S1", kicker=payload
        )
        pages.check_page(page)
        seen = _Seen()
        seen.feed(page)
        assert not {"script", "iframe", "object", "form", "base", "link", "svg"} & set(seen.tags), payload
        assert seen.tags.count("style") == seen.tags.count("title") == 1 and seen.tags.count("meta") == 3, payload
        for tag, name, value in seen.attributes:
            assert not name.startswith("on") and name != "style", (payload, name)
            if name in ("src", "href"):
                assert value.startswith(("#", "data:image/svg+xml;base64,")), (payload, tag, value)


def test_only_https_links_are_made_and_they_do_not_load():
    page = pages.render_report([Title("T", level=1), Paragraph("[Insee](https://www.insee.fr/a?b=1&c=2)")])
    assert '<a href="https://www.insee.fr/a?b=1&amp;c=2" rel="noopener noreferrer">Insee</a>' in page


@pytest.mark.parametrize(
    "damage",
    [
        lambda page: page.replace("</main>", "<script>1</script></main>"),
        lambda page: page.replace("<main", '<main onclick="x"'),
        lambda page: page.replace("</main>", '<img src="https://a.fr/x.png" alt="x"></main>'),
        lambda page: page.replace("</main>", '<a href="javascript:x">x</a></main>'),
        lambda page: page.replace("</main>", '<a href="http://a.fr">x</a></main>'),
        lambda page: page.replace("</main>", '<a href="#absent">x</a></main>'),
        lambda page: page.replace("default-src &#39;none&#39;", "default-src *"),
        lambda page: page.replace(' lang="fr"', ""),
        lambda page: page.replace('alt="Une courbe."', 'alt=""'),
        lambda page: re.sub(r"<caption.*?</caption>", "", page, count=1),
        lambda page: page.replace('scope="col"', "", 1),
        lambda page: page.replace("</main>", "<h4>x</h4><h1>y</h1></main>"),
        lambda page: page.replace("</main>", "<p></div></main>"),
        lambda page: page.replace("</main>", '<p id="contenu">x</p></main>'),
        lambda page: page.replace("</style>", "p{background:url(https://a.fr)}</style>"),
    ],
)
def test_the_check_sees(damage):
    page = pages.render_report(
        [
            Title("T", level=1),
            Title("U"),
            Table("t", "L", Grid(("a", "b"), (("x", "1"),))),
            Figure("f", "L", "Une courbe.", SVG, Grid(("a",), ((1,),))),
        ]
    )
    pages.check_page(page)
    assert damage(page) != page
    with pytest.raises(ReportError):
        pages.check_page(damage(page))


def test_the_only_script_is_the_one_given():
    body = '<title>T</title></head><body><h1>T</h1><p><input type="search"></p><script>{}</script></body></html>'
    head = '<html lang="fr"><head><meta http-equiv="Content-Security-Policy" content="{}">'
    ours = pages.search_script()
    good = head.format(pages.page_policy(ours)) + body.format(ours)
    pages.check_page(good, script=ours)
    for bad in (
        good.replace(ours, f"{ours} "),
        good.replace("<script>", '<script src="https://a.fr/x.js">'),
        good.replace("</body>", f"<script>{ours}</script></body>"),
        good.replace('type="search"', 'type="image"'),
        good.replace("</p>", '<input type="search"></p>'),
        good.replace("sha256-", "sha256-x"),
        head.format(pages.CSP) + body.format(ours),
    ):
        with pytest.raises(ReportError):
            pages.check_page(bad, script=ours)
    with pytest.raises(ReportError, match="<script>"):
        pages.check_page(good)


def test_tables_are_set_for_reading():
    grid = Grid(("Année", "Taux", "Mot"), ((2024, "84,5\u00a0%", "a"), (2025, "n.d.", "b")))
    page = pages.render_report([Title("T", level=1), Table("t", "Légende", grid)])
    assert '<th scope="row">2024</th><td class="num">84,5\u00a0%</td><td>a</td>'.replace("><", ">\n<") in page.replace(
        "><", ">\n<"
    )
    assert pages.numeric_columns(grid) == (True, True, False)


@pytest.mark.parametrize(
    "text",
    ["12", "−2,5", "+0,8", "[−2,1\u202f; 3,7]", "84,5\u00a0%", "n.d.", "1\u202f234", "<\u00a00,001", "de", "1er"],
)
def test_numbers_are_recognised(text):
    assert pages.numeric_columns(Grid(("a",), ((text,), ("1",))))[0] is (text not in ("de", "1er"))


def test_a_column_without_any_figure_is_set_like_its_neighbours():
    assert pages.numeric_columns(Grid(("a", "b"), (("n.d.", ""), ("–", "")))) == (True, False)


def test_figures_keep_their_shape():
    assert pages.svg_size('<svg xmlns="x" width="360pt" height="180.6pt" viewBox="0 0 1 1">') == (600, 301)
    assert pages.svg_size(SVG) is None


def test_data_of_a_figure_are_shown_up_to_sixty_rows():
    for rows, shown in ((60, True), (61, False)):
        data = make_grid(pd.DataFrame({"annee": range(rows), "x": [1234.5678] * rows}))
        page = pages.render_report([Title("T", level=1), Figure("f", "L", "A", SVG, data)])
        assert ("Voir les données" in page) is shown
        assert ("1\u202f234,6" in page) is shown


def test_typography():
    assert pages.typeset("l'école : 5 % ; « oui » !") == ("l’école\u00a0: 5\u00a0%\u202f; «\u00a0oui\u00a0»\u202f!")


def test_one_title_and_names_used_once():
    for blocks in (
        [Paragraph("x")],
        [Title("a", level=1), Title("b", level=1)],
        [Title("a", level=1), *[Table("t", "L", Grid(("a",), (("x",),)))] * 2],
        [Title("a", level=1), Title("b", anchor="x"), Title("c", anchor="x")],
    ):
        with pytest.raises(ReportError):
            pages.render_report(blocks)
    page = pages.render_report([Title("a", level=1), Title("b"), Title("b")])
    assert 'id="b"' in page and 'id="b-2"' in page


# --- notebook → blocks ---------------------------------------------------------------------------------------


def test_markdown_cells_become_the_same_blocks():
    blocks = pages.markdown_blocks(
        "## Une *partie*\n\nDu **gras**\nsur deux lignes, 2 \\* 3, [lien](https://a.fr).\n\n- un\n- **deux**\n"
    )
    assert blocks == [
        Title("Une *partie*"),
        Paragraph("Du **gras** sur deux lignes, 2 \\* 3, [lien](https://a.fr)."),
        Bullets(("un", "**deux**")),
    ]


@pytest.mark.parametrize(
    "source",
    [
        *("<b>x</b>", "<div>\nx\n</div>", "```\nx\n```", "`x`", "> x", "1. x", "![x](https://a.fr/x.png)", "---"),
        *("[x](http://a.fr)", "- a\n  - b", "- a\n\n  b", "<https://a.fr>x <i>", "    x", "a  \nb"),
    ],
)
def test_markdown_refused(source):
    notebook = new_notebook(cells=[new_markdown_cell("ok"), new_markdown_cell(source)])
    with pytest.raises(TneError, match="cell 2"):
        pages.notebook_blocks(notebook)


@pytest.mark.parametrize(
    "output",
    [
        new_output("stream", name="stdout", text="bonjour\n"),
        new_output("stream", name="stderr", text="FutureWarning: x\n"),
        new_output("display_data", data={"text/plain": "<Figure>", "image/png": "aaaa"}),
        new_output("execute_result", data={"text/plain": "3"}, execution_count=1),
        new_output("error", ename="E", evalue="v", traceback=[]),
    ],
)
def test_stray_outputs_are_errors_that_name_the_cell(output):
    good = new_output("display_data", data={MIME: Paragraph("x").to_dict()})
    injected = new_code_cell("", metadata={"tags": ["injected-parameters"]})
    notebook = new_notebook(cells=[injected, new_code_cell("", outputs=[good]), new_code_cell("", outputs=[output])])
    with pytest.raises(ReportError, match="cell 2"):
        pages.notebook_blocks(notebook)
    notebook.cells.pop()
    assert pages.notebook_blocks(notebook) == (Paragraph("x"),)
