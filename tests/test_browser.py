"""The pages in a real browser: no console error, no request outside, nothing wider than a phone."""

import pytest

from tne_eval.catalog import list_territories
from tne_eval.report.index import OTHERS

PAGES = ["index.html", *(f"{id}/latest.html" for id in (*OTHERS, *(place.id for place in list_territories())))]
pytestmark = pytest.mark.navigateur


@pytest.fixture(scope="module")
def folder(reports):
    return reports[0]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_complaint(browser, folder, name):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((folder / name).as_uri())
    assert complaints == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    targets = page.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'))")
    assert all(page.evaluate("id => !!document.getElementById(id)", target[1:]) for target in targets if target != "#")
    page.close()


@pytest.fixture(scope="module")
def figures(browser, folder):
    """By report and figure: the box of the picture and those of its texts, as the browser sets them."""
    page = browser.new_page()
    found = {}
    for path in sorted(folder.glob("*/*/figures/*.svg")):
        page.goto(path.as_uri())
        found[f"{path.parts[-4]} {path.stem}"] = page.evaluate(
            """() => {
              const box = part => (({x, y, right, bottom}) => [x, y, right, bottom])(part.getBoundingClientRect());
              const texts = [...document.querySelectorAll('text')].map(text => [text.textContent, ...box(text)]);
              return [box(document.documentElement), texts];
            }"""
        )
    page.close()
    return found


def test_no_text_of_a_figure_is_cut(figures):
    assert len(figures) > 11 * 12
    cut = [
        (name, text)
        for name, ((left, top, right, bottom), texts) in figures.items()
        for text, x, y, end, foot in texts
        if x < left or y < top or end > right or foot > bottom
    ]
    assert cut == []
    assert all(texts for _, texts in figures.values())


def test_level_texts_of_a_figure_do_not_overlap(figures):
    """Labels of ticks that follow one another, above all: those of turned ticks are told apart by eye."""
    turned = {"segregation_entropy"}
    met = [
        (name, first[0], second[0])
        for name, (_, texts) in figures.items()
        if name.split()[1] not in turned
        for place, first in enumerate(texts)
        for second in texts[place + 1 :]
        if min(first[3], second[3]) - max(first[1], second[1]) > 1
        and min(first[4], second[4]) - max(first[2], second[2]) > 3
    ]
    assert met == []
