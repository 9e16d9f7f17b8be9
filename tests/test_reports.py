"""The real reports: what each must hold, and that a second run writes nothing."""

import csv
import dataclasses
import io
import json
import re
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
from pypdf import PdfReader
from said_numbers import numbers_without_origin

import tne_eval as tne
from tne_eval.catalog import get_design, list_programmes, list_questions, list_territories
from tne_eval.french import sentence
from tne_eval.report import make_all_reports
from tne_eval.report.blocks import Bullets, Cards, Figure, Note, Paragraph, Table, Verdict, plain_text
from tne_eval.report.facts import gather_synthesis, gather_territory
from tne_eval.report.html import notebook_blocks
from tne_eval.report.index import OTHERS
from tne_eval.report.sections.opening import verdict_card
from tne_eval.report.sections.schooling import social_inequality
from tne_eval.report.sections.synthesis import synthesis_opening
from tne_eval.results import Verdict as Ruling

TERRITORIES = [place.id for place in list_territories()]


class Page(HTMLParser):
    """What a page holds: tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_all_are_made(reports):
    out, results = reports
    assert [result.id for result in results] == [*TERRITORIES, *OTHERS]
    assert {result.status for result in results} == {"made"}, [result.message for result in results]
    index = (out / "index.html").read_text(encoding="utf-8")
    for result in results:
        assert result.html.is_file()
        assert f'href="{result.html.relative_to(out).as_posix()}"' in index or result.id in index
        assert (out / result.id / "latest.html").read_bytes() == result.html.read_bytes()


@pytest.mark.parametrize("id", [*TERRITORIES, *OTHERS])
def test_a_report_is_whole(reports, id):
    _out, results = reports
    result = next(result for result in results if result.id == id)
    page = Page(result.html.read_text(encoding="utf-8"))
    assert page.all("html")[0]["lang"] == "fr"
    images = page.all("img")
    assert len(images) >= {"qualite-donnees": 1, "methodes": 0, "socle-numerique": 1}.get(id, 4)
    for image in images:
        assert len(image["alt"]) > 40 and image["src"].startswith("data:image/svg+xml;base64,")
    assert not page.all("script") and not page.all("iframe")
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert "nan" not in page.text.lower().split() and "None" not in page.text
    tables, figures = (sorted(path.stem for path in (result.folder / kind).iterdir()) for kind in ("tables", "figures"))
    assert len(figures) == len(images) and set(figures) <= set(tables)
    manifest = json.loads((result.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["run_id"] in page.text or manifest["run_id"][:12] in page.text
    for design in ("dnb_naive", "dnb_within_academie"):
        assert get_design(design).hash[:12] in page.text


@pytest.mark.parametrize("id", TERRITORIES)
def test_the_verdict_comes_first_and_in_words(reports, panel, id):
    out, _ = reports
    text = Page((out / id / "latest.html").read_text(encoding="utf-8")).text
    result = tne.estimate_impact("dnb_within_academie", panel, id)
    title = {
        "FAILS": "Aucun effet crédible établi",
        "UNKNOWABLE": "Aucun effet crédible établi",
        "REFUSED": "Aucune conclusion",
    }[result.verdict.name]
    flat = re.sub(r"\s+", " ", text)
    assert 0 < flat.index(title) < flat.rindex("Le programme et ses dates")
    assert "harmonisation peut absorber une partie d’un effet" in flat
    if result.verdict.name == "REFUSED":
        assert "ne compte aucun département resté hors du programme" in flat


@pytest.mark.parametrize("verdict", list(Ruling))
def test_every_verdict_opens_a_report_and_the_synthesis(panel, verdict):
    """The next figures may give any of the eight: none may stop a report."""
    result = tne.estimate_impact("dnb_within_academie", panel, "aisne")
    said = dataclasses.replace(result, verdict=verdict, reasons=result.reasons | {"estimate": "no_pre_period"})
    card = verdict_card(said, "l'Aisne", "dans l'Aisne")
    assert card.title and card.text.endswith(".") and card.label
    facts = gather_synthesis(panel)
    facts = dataclasses.replace(facts, primary=facts.primary | {"aisne": said})
    assert "Aisne" in next(block for block in synthesis_opening(facts) if isinstance(block, Verdict)).text


def test_a_comparison_that_fails_revises_nothing(reports):
    """What the sentence says of what was believed is what the table under it holds."""
    _out, results = reports
    seen = set()
    for result in results:
        path = result.folder / "tables" / "contexte.csv"
        if result.id not in TERRITORIES or not path.is_file():
            continue
        text = Page(result.html.read_text(encoding="utf-8")).text
        rows = {row["mesure"]: row for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))}
        revised = sentence("context.prior_refused") not in text
        seen.add(revised)
        assert bool(rows["posterior"]["bas"]) is revised and ("weight_0" in rows) is revised, result.id
    assert seen == {True, False}


@pytest.mark.opendata
def test_colleges_are_mapped_once_each_where_their_files_are_at_hand(panel, opendata, tmp_path):
    for path in (opendata / "geolocalisation").glob("*.csv"):
        (tmp_path / path.name).symlink_to(path)
    ips = opendata / "ips" / "fr-en-ips-colleges-ap2022.csv"
    lines = ips.read_text(encoding="utf-8-sig").splitlines()
    place = lines[0].split(";").index("ips")
    rows = [line.split(";") for line in lines[1:]]
    # Another year of the same collèges, as the files of several years hold, with other values.
    earlier = [
        ["2021-2022", *row[1:place], str(float(row[place]) + 1), *row[place + 1 :]] for row in rows if row[place]
    ]
    (tmp_path / ips.name).write_text("\n".join([*lines, *map(";".join, earlier)]), encoding="utf-8")
    facts = gather_territory("aisne", panel, tmp_path)
    (figure,) = [one for one in social_inequality(facts) if getattr(one, "name", "") == "carte_colleges"]
    assert len(facts.places) == 70 and "70 collèges" in figure.alt
    assert dict(figure.data.rows)["count"] == 70


def test_power_is_said_before_the_estimate(reports):
    out, _ = reports
    text = Page((out / "val-d-oise" / "latest.html").read_text(encoding="utf-8")).text
    section = text[text.index("L’effet mesuré, et ce qu’il vaut", text.index("La réussite au DNB")) :]
    assert section.index("la plus petite probabilité que le test puisse donner") < section.index("Effet mesuré")


def test_tables_carry_the_numbers_that_are_shown(reports, panel):
    _out, results = reports
    folder = next(result.folder for result in results if result.id == "aisne")
    with (folder / "tables" / "effets.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    within = tne.estimate_impact("dnb_within_academie", panel, "aisne")
    assert float(rows[0]["estimate"]) == pytest.approx(within.estimate, rel=1e-12)
    assert rows[0]["low"] == "" and "smallest_p_above_alpha" in rows[0]["reasons"]


def test_a_second_run_writes_nothing(reports):
    out, _ = reports
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.rglob("*") if path.is_file()}
    results = make_all_reports(out)
    assert {result.status for result in results} == {"up_to_date"}
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.rglob("*") if path.is_file()}
    assert before == after


def test_the_same_bytes_elsewhere(reports, tmp_path):
    _out, results = reports
    again = tne.make_report("cher", tmp_path)
    first = next(result for result in results if result.id == "cher")
    for path in sorted(first.folder.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again.folder / path.relative_to(first.folder)).read_bytes(), path.name


@pytest.mark.parametrize("id", TERRITORIES)
def test_fifteen_answers_open_the_report_with_their_grade(reports, id):
    out, _ = reports
    page = Page((out / id / "latest.html").read_text(encoding="utf-8"))
    flat = re.sub(r"\s+", " ", page.text)
    opening = flat[: flat.rindex("Le programme et ses dates")]
    asked = [re.sub(r"\s+", " ", plain_text(sentence(f"answers.{question.id}"))) for question in list_questions()]
    said = [opening.rindex(text) for text in asked]  # a question may also be the title of a section
    assert len(said) == 15 and said == sorted(said)
    grades = re.findall(r"(Établi|Suggestif|Indéterminé|Données manquantes)\. Voir", opening)
    assert len(grades) == 15 and {"Établi", "Données manquantes"} <= set(grades)
    anchors = {attributes.get("id") for _tag, attributes in page.tags}
    links = [attributes["href"] for attributes in page.all("a") if attributes.get("href", "").startswith("#")]
    assert {link[1:] for link in links} <= anchors


@pytest.mark.parametrize("id", [*TERRITORIES, *OTHERS])
def test_each_report_has_its_pdf(reports, id):
    out, results = reports
    folder = next(result.folder for result in results if result.id == id)
    pdf = PdfReader(folder / "report.pdf")
    assert pdf.metadata.title and len(pdf.pages) >= 2
    assert (out / id / "latest.pdf").read_bytes() == (folder / "report.pdf").read_bytes()


def _texts(block) -> list[str]:
    """Every text of a block that a reader sees; tables that count the rows of their file are left to their own test."""
    if isinstance(block, Paragraph | Note):
        return [plain_text(block.text)]
    if isinstance(block, Bullets):
        return [plain_text(item) for item in block.items]
    if isinstance(block, Verdict):
        return [block.title, plain_text(block.text)]
    if isinstance(block, Cards):
        return [text for card in block.items for text in (card.value, card.label, card.comment)]
    if isinstance(block, Figure):
        return [block.caption, block.alt, plain_text(block.note)]
    if isinstance(block, Table) and block.name != "registre":
        return [block.caption, plain_text(block.note), *(str(cell) for row in block.frame.rows for cell in row)]
    return []


def _known_values(folder) -> np.ndarray:
    """Sizes of all numbers of the report's tables, and of the published facts of the catalogue."""
    texts = [path.read_text(encoding="utf-8") for path in (folder / "tables").iterdir()]
    cells = [cell for text in texts for row in csv.reader(io.StringIO(text)) for cell in row]
    numbers = [abs(float(part)) for cell in cells for part in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", cell)]
    entries = [*list_programmes(), *list_territories()]
    facts = [
        value for entry in entries for one in entry.figures for value in (one.value, one.low, one.likely, one.high)
    ]
    return np.sort([*numbers, *(abs(value) for value in facts if value is not None)])


@pytest.mark.parametrize("id", [*TERRITORIES, *OTHERS])
def test_every_number_that_is_read_is_in_a_table(reports, id):
    _out, results = reports
    folder = next(result.folder for result in results if result.id == id)
    known = _known_values(folder)
    missing = []
    for block in notebook_blocks(nbformat.read(folder / "report.ipynb", 4)):
        for text in _texts(block):
            missing += [(found, text[:80]) for found in numbers_without_origin(text, known)]
    assert not missing
