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
