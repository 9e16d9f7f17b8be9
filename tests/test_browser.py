"""The pages in a real browser: no console error, no request outside, nothing wider than a phone."""

import os
import shutil

import pytest

from tne_eval.catalog import list_territories
from tne_eval.report import make_all_reports

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGES = [
    "index.html",
    "synthese/latest.html",
    "qualite-donnees/latest.html",
    "methodes/latest.html",
    *(f"{place.id}/latest.html" for place in list_territories()),
]
pytestmark = pytest.mark.navigateur


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        reason = "Chromium is not on this machine (Debian: apt install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def folder(browser, tmp_path_factory):
    out = tmp_path_factory.mktemp("pages")
    make_all_reports(out)
    return out


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
