"""Blocks: JSON both ways, inline text, what is refused, and figures that are always the same bytes."""

import json

import numpy as np
import pandas as pd
import pytest

from tne_eval.errors import ReportError, UnknownNameError
from tne_eval.report.blocks import (
    MIME,
    Bullets,
    Cards,
    Figure,
    Note,
    Paragraph,
    Span,
    Table,
    Title,
    Verdict,
    escape_inline,
    figure_block,
    from_dict,
    make_grid,
    parse_inline,
    plain_text,
    slug,
)

SVG = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'
FRAME = pd.DataFrame({"année": [2024, 2025], "valeur": ["84,5\u00a0%", "n.d."]})
RAW = pd.DataFrame({"annee": [2024, 2025], "valeur": [84.53, np.nan]})
EVERY_KIND = [
    Title("Un titre", level=1),
    Title("Une partie", anchor="partie"),
    Paragraph("Du **gras**, de l'*italique*, [un lien](https://www.insee.fr/)."),
    Bullets(("un", "deux")),
    Table("t", "Légende", FRAME, note="n.d. : non disponible", data=RAW),
    Figure("f", "Légende", "Une courbe monte.", SVG, RAW, note="Source"),
    Note("À savoir.", "limit", "Attention"),
    Verdict("On ne peut pas conclure", "Parce que.", "uncertain"),
    Cards([("12", "territoires"), ("84,5\u00a0%", "réussite", "en 2025")]),
]


@pytest.mark.parametrize("block", EVERY_KIND, ids=lambda block: type(block).__name__)
def test_json_round_trip(block):
    text = json.dumps(block.to_dict(), allow_nan=False)
    assert from_dict(json.loads(text)) == block


@pytest.mark.parametrize("block", EVERY_KIND, ids=lambda block: type(block).__name__)
def test_mime_bundle_is_complete_and_quiet(block):
    bundle = block._repr_mimebundle_()
    assert set(bundle) == {MIME, "text/html", "text/plain"}
    assert from_dict(bundle[MIME]) == block
    assert bundle["text/html"].startswith("<")


def test_blocks_are_frozen():
    with pytest.raises(AttributeError):
        EVERY_KIND[0].text = "autre"


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("a **b** c", [Span("a "), Span("b", bold=True), Span(" c")]),
        ("**a *b* c**", [Span("a ", bold=True), Span("b", bold=True, em=True), Span(" c", bold=True)]),
        ("[ici](#la)", [Span("ici", href="#la")]),
        ("[ici](https://www.insee.fr/a?b=1)", [Span("ici", href="https://www.insee.fr/a?b=1")]),
        (r"\*a\* \[b\]", [Span("*"), Span("a"), Span("*"), Span(" "), Span("["), Span("b"), Span("]")]),
        ("2 * 3 * 4", [Span("2 * 3 * 4")]),
        ("**ouvert", [Span("**ouvert")]),
        ("[x](javascript:alert(1))", [Span("[x](javascript:alert(1))")]),
        ("[x](http://a.fr)", [Span("[x](http://a.fr)")]),
        ("<b>x</b>", [Span("<b>x</b>")]),
    ],
)
def test_inline(text, runs):
    assert list(parse_inline(text)) == runs


@pytest.mark.parametrize(
    "text", ["**", "*a*", "[x](#y)", "\\", "a\\*b", "]([", "Saint-Étienne *", "**a** [b](https://c.fr)"]
)
def test_escaped_text_is_shown_as_it_is(text):
    assert plain_text(escape_inline(text)) == text
    assert all(not (span.bold or span.em or span.href) for span in parse_inline(escape_inline(text)))


def test_long_unpaired_marks_are_fast():
    assert parse_inline("**a" * 3_000) and parse_inline("[" * 20_000) and parse_inline("*" * 20_000)


def test_slug():
    assert slug("L'**égalité** : où en est-on ?") == "l-egalite-ou-en-est-on"
    assert slug("???") == "section"


def test_grid_keeps_a_named_index_and_plain_values():
    frame = pd.DataFrame(
        {"n": np.array([1, 2]), "x": [1.5, np.nan], "ok": [True, False], "d": pd.to_datetime(["2025-01-02", None])},
        index=pd.Index(["02", "95"], name="code"),
    )
    grid = make_grid(frame)
    assert grid.columns == ("code", "n", "x", "ok", "d")
    assert grid.rows == (("02", 1, 1.5, True, "2025-01-02T00:00:00"), ("95", 2, None, False, None))
    assert [type(value) for value in grid.rows[0]] == [str, int, float, bool, str]


def test_the_frame_is_not_modified():
    frame, before = FRAME.copy(), FRAME.copy()
    Table("t", "Légende", frame)
    pd.testing.assert_frame_equal(frame, before)


def test_controls_and_direction_overrides_are_dropped():
    assert Paragraph("a\x00b\u202ec\ud800d\ufeff").text == "abcd"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Title(""),
        lambda: Title("x", level=9),
        lambda: Title("x", anchor='a" onclick="'),
        lambda: Paragraph("  "),
        lambda: Paragraph(3),
        lambda: Bullets("texte"),
        lambda: Bullets(()),
        lambda: Table("../t", "Légende", FRAME),
        lambda: Table("T", "Légende", FRAME),
        lambda: Table("t", "", FRAME),
        lambda: Table("t", "Légende", RAW),
        lambda: Table("t", "Légende", pd.DataFrame([["a", "b"]], columns=["x", "x"])),
        lambda: Table("t", "Légende", FRAME, data=pd.DataFrame({"x": [np.inf]})),
        lambda: Figure("f", "Légende", " ", SVG, RAW),
        lambda: Figure("f", "Légende", "Texte", "pas une image", RAW),
        lambda: Figure("f", "Légende", "Texte", SVG.replace("></svg>", "><script>1</script></svg>"), RAW),
        lambda: Figure("f", "Légende", "Texte", SVG.replace("<svg", '<svg onload="x"'), RAW),
        lambda: Figure("f", "Légende", "Texte", SVG.replace("></svg>", '><use href="https://a.fr/"/></svg>'), RAW),
        lambda: Note("x", "rouge"),
        lambda: Verdict("x", "y", "bon"),
        lambda: Cards(()),
        lambda: Cards([("", "label")]),
        lambda: from_dict({"block": "Script", "text": "x"}),
        lambda: from_dict({"block": "Paragraph", "texte": "x"}),
        lambda: from_dict(None),
    ],
)
def test_refused(make):
    with pytest.raises((ReportError, UnknownNameError)):
        make()


def _plot(color="#0B4F8A"):
    from matplotlib import pyplot

    fig, ax = pyplot.subplots(figsize=(3, 2))
    ax.plot([1, 2, 3], [1, 3, 2], color=color, label="étiquette -- <b>")
    ax.bar([1, 2], [1, 2], hatch="//")
    ax.legend()
    return fig


def test_figure_bytes_do_not_change_and_the_figure_is_closed():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    first, second = (figure_block(_plot(), name="f", caption="c", alt="a", data=RAW) for _ in range(2))
    assert first == second and pyplot.get_fignums() == before
    assert ">étiquette -- &lt;b&gt;</text>" in first.svg and "<b>" not in first.svg
    assert "font-family: 'DejaVu Sans', 'Verdana', sans-serif" in first.svg
    assert "Date" not in first.svg and "<metadata" not in first.svg


def test_alt_is_mandatory():
    fig = _plot()
    with pytest.raises(TypeError):
        figure_block(fig, name="f", caption="c", data=RAW)
    with pytest.raises(ReportError):
        figure_block(fig, name="f", caption="c", alt="", data=RAW)


def test_show_displays_in_order_and_refuses_the_rest(capsys):
    from tne_eval.report.blocks import show

    show(Paragraph("un"), Note("deux"))
    assert capsys.readouterr().out.split() == ["<Paragraph>", "<Note>"]
    with pytest.raises(ReportError):
        show("texte")
