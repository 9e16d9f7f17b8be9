"""The pages for those who do not use a mouse or their eyes: axe-core, the keyboard, and hostile texts kept inert."""

import pandas as pd
import pytest

from tne_eval.catalog import list_territories
from tne_eval.report import Bullets, Cards, Figure, Note, Paragraph, Table, Title, Verdict
from tne_eval.report.html import render_report
from tne_eval.report.index import OTHERS, Entry, render_index

REPORTS = [f"{id}/latest.html" for id in (*OTHERS, *(place.id for place in list_territories()))]
SYNTHESIS, TERRITORY = REPORTS[0], REPORTS[len(OTHERS)]
ONE_OF_EACH = ("index.html", *REPORTS[: len(OTHERS) + 1])
SIZES = {"desktop": (1280, 900), "phone": (375, 812)}
GRAVE = ("serious", "critical")
# The standards that a French public site has to meet (RGAA 4 follows WCAG 2.1 AA), and what axe calls good practice.
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
pytestmark = pytest.mark.navigateur


@pytest.fixture(scope="module")
def folder(reports):
    return reports[0]


@pytest.fixture(scope="module")
def page(browser):
    """One tab for all the pages, and what its console said since the last one was opened."""
    tab = browser.new_page()
    tab.complaints = []
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("dialog", lambda dialog: (tab.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield tab
    tab.close()


def _open(page, path, size="desktop"):
    page.complaints.clear()
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.goto(path.as_uri())


def _violations(page, *, contrast=True):
    """Grave violations, each with the first elements that have it. Colours are the slow part: they need pixels."""
    from axe_playwright_python.sync_playwright import Axe

    options = RULES | {"rules": {"color-contrast": {"enabled": contrast}}}
    return [
        f"{item['id']} ({item['impact']}): {item['help']}\n"
        + "\n".join(f"    {node['target']} {node['failureSummary']}" for node in item["nodes"][:3])
        for item in Axe().run(page, options=options).response["violations"]
        if item["impact"] in GRAVE
    ]


@pytest.mark.parametrize("name", ["index.html", *REPORTS])
def test_axe_finds_nothing_grave(page, folder, name):
    for size in SIZES:
        _open(page, folder / name, size)
        # One report of each kind is enough for what does not depend on its words: the data under its figures, and
        # the colours of a narrow page.
        if name in ONE_OF_EACH:
            page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        found = _violations(page, contrast=size == "desktop" or name in ONE_OF_EACH)
        assert not found, f"{name}, {size}:\n" + "\n".join(found)
        assert page.complaints == []


def test_axe_sees_what_is_wrong(page, folder):
    """The check is awake: a page with four faults has four violations."""
    _open(page, folder / TERRITORY)
    page.evaluate(
        """() => {
          document.documentElement.removeAttribute("lang");
          document.querySelector("img").removeAttribute("alt");
          document.querySelector("main p").style.color = "#ccc";
          document.querySelector("main").insertAdjacentHTML("beforeend", "<a href='#contenu'></a>");
        }"""
    )
    found = {text.split(" ")[0] for text in _violations(page)}
    assert {"html-has-lang", "image-alt", "color-contrast", "link-name"} <= found


# --- keyboard ------------------------------------------------------------------------------------------------

# What has the focus: its name, where it is on the screen and how it shows.
_FOCUSED = """() => {
  const one = document.activeElement;
  if (one === document.body) return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  return {
    rank: [...document.querySelectorAll("*")].indexOf(one),
    id: one.id, tag: one.tagName, href: one.getAttribute("href") ?? "", classes: one.className,
    outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
    colour: style.outlineColor,
    seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


def _tab(page):
    page.keyboard.press("Tab")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    return page.evaluate(_FOCUSED)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["index.html", SYNTHESIS, TERRITORY])
def test_tab_goes_through_the_page_in_order_and_is_seen(page, folder, name, size):
    _open(page, folder / name, size)
    stops = []
    # After the last one the browser goes back to the first, or to its own bar.
    while (stop := _tab(page)) is not None and stop["rank"] not in [one["rank"] for one in stops]:
        stops.append(stop)
    assert stops[0]["classes"] == "skip" and stops[0]["href"] == "#contenu"
    contents = page.evaluate(
        "[...document.querySelectorAll('nav a')].filter(a => a.checkVisibility()).map(a => a.getAttribute('href'))"
    )
    assert [stop["href"] for stop in stops[1 : 1 + len(contents)]] == contents
    assert (len(contents) > 5) is (name != "index.html")
    reachable = page.evaluate(
        "[...document.querySelectorAll('a[href], summary, input, [tabindex=\"0\"]')]"
        ".filter(one => one.checkVisibility({contentVisibilityAuto: true})).length"
    )
    assert len(stops) == reachable
    for stop in stops:
        assert stop["seen"] and stop["outline"] >= 2 and stop["colour"] != "rgb(255, 255, 255)", stop


@pytest.mark.parametrize("name", ["index.html", TERRITORY])
def test_the_skip_link_goes_to_the_contents(page, folder, name):
    _open(page, folder / name)
    assert page.locator(".skip").bounding_box()["y"] < 0
    _tab(page)
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate(_FOCUSED)["id"] == "contenu"
    after = _tab(page)
    assert page.evaluate("document.activeElement.closest('main') !== null"), after


def test_a_link_of_the_contents_and_the_data_of_a_figure_open_by_keyboard(page, folder):
    _open(page, folder / TERRITORY)
    _tab(page)
    target = _tab(page)["href"]
    page.keyboard.press("Enter")
    assert page.url.endswith(target)
    assert page.locator(target).bounding_box()["y"] < SIZES["desktop"][1]
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.evaluate("part => part.open")
    assert _tab(page)["classes"] == "scroll"


def test_the_search_field_works_by_keyboard(page, folder):
    _open(page, folder / "index.html")
    field = page.locator("input[type=search]")
    assert page.get_by_label("Chercher un territoire").is_visible()
    while (stop := _tab(page)) is not None and stop["tag"] != "INPUT":
        pass
    assert stop is not None and stop["outline"] >= 2
    page.keyboard.type("vosg")
    rows = page.locator(".entries tbody tr")
    assert [row.locator("th").inner_text() for row in rows.all() if row.is_visible()] == ["Vosges"]
    assert page.locator("[role=status]").inner_text() == "1 territoire"
    for words, shown in (("hérault", 1), ("HERAULT", 1), ("demonstrateur  2020", 2), ("zzz", 0), ("", 12)):
        field.fill(words)
        assert sum(row.is_visible() for row in rows.all()) == shown, words
    assert page.complaints == []


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_nothing_is_cut_at_four_times_the_size(page, folder, name):
    """WCAG 1.4.10: a page of 1280 pixels magnified four times is 320 wide, and scrolls in one direction only."""
    _open(page, folder / name)
    page.set_viewport_size({"width": 320, "height": 256})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


# --- hostile texts -------------------------------------------------------------------------------------------

_FLAG = "window.hostile = true"
HOSTILE = [
    f"<script>{_FLAG}</script>",
    f"<img src=x onerror='{_FLAG}'>",
    f"\"><svg onload='{_FLAG}'>",
    f"'><iframe srcdoc='<script>parent.{_FLAG}</script>'></iframe>",
    f"</title></style><script>{_FLAG}</script>",
    f"<details open ontoggle='{_FLAG}'>",
    f"\" autofocus tabindex=0 onfocus='{_FLAG}' x=\"",
    f"[x](javascript:{_FLAG})",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<base href=https://evil.example/><link rel=stylesheet href=https://evil.example/x.css>",
]


def _report(text):
    grid = pd.DataFrame({text: [text, "x"], "b": [text, "1,5"]})
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="9pt" viewBox="0 0 1 1"></svg>'
    blocks = [
        Title(text, level=1),
        Title(text),
        Verdict(text, text, "uncertain", label=text),
        Cards([(text, text, text)]),
        Paragraph(text),
        Bullets((text,)),
        Table("t", text, grid, note=text),
        Figure("f", text, text, svg, grid, note=text),
        Note(text, "info", text),
    ]
    return render_report(blocks, production=[(text, text)], edition=text, kicker=text)


def _index(text):
    return render_index(
        [Entry("aisne", text, text, 2021, "2026-S1", "uncertain", text, text)], "2026-S1", "k", ["synthese"]
    )


@pytest.mark.parametrize("make", [_report, _index])
def test_hostile_texts_are_read_not_run(browser, tmp_path, monkeypatch, make):
    """Even without the content security policy, which would stop them a second time."""
    monkeypatch.setattr("tne_eval.report.index.draw_map", lambda: None)
    context = browser.new_context(bypass_csp=True)
    tab, complaints, requests = context.new_page(), [], []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    for rank, text in enumerate(HOSTILE):
        path = tmp_path / f"{rank}.html"
        path.write_text(make(text), encoding="utf-8")
        tab.goto(path.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        tab.evaluate("() => new Promise(done => setTimeout(done, 50))")
        assert tab.evaluate("window.hostile === undefined"), text
        assert tab.url == path.as_uri()
        active = "script, iframe, base, link, svg, [onerror], [autofocus]"
        ours = make is _index  # its search
        assert tab.evaluate(f"document.querySelectorAll('{active}').length") == ours, text
        # Shown as typed, but for typography.
        shown = tab.evaluate("document.querySelector('tbody th').textContent").replace("\u00a0", " ").replace("’", "'")
        assert shown.replace("\u202f", " ") == text
    assert complaints == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
    context.close()
