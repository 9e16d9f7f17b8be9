"""The request note: whole, in French, the same in Word and in Markdown, the same bytes on every run."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tne_eval.audit import asked_of, list_holders, request_kinds, write_request
from tne_eval.audit.request import Grid, Heading, Items, Text, docx_bytes, markdown_text, request_parts
from tne_eval.catalog import list_territories
from tne_eval.errors import ReportError, UnknownNameError

KINDS = request_kinds()
SECTIONS = [
    "Objet",
    "Contexte",
    "Ce que dit la littérature",
    "Questions de recherche",
    "Données demandées",
    "Appariements",
    "Protection des données personnelles (RGPD)",
]


def words(parts) -> list[str]:
    """Every text of a note, in order."""
    told = []
    for part in parts:
        match part:
            case Heading(text) | Text(text):
                told.append(text)
            case Items(items):
                told += items
            case Grid(caption, columns, rows):
                told += [caption, *columns, *(cell for row in rows for cell in row)]
    return told


def read_docx(raw: bytes):
    import docx

    return docx.Document(io.BytesIO(raw))


def flow(document) -> list[str]:
    """Texts of a Word document in the order of its body, tables in their place."""
    from docx.table import Table
    from docx.text.paragraph import Paragraph

    told = []
    for item in document.iter_inner_content():
        if isinstance(item, Paragraph):
            told.append(item.text)
        elif isinstance(item, Table):
            told += [cell.text for row in item.rows for cell in row.cells]
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_the_note_has_what_is_asked(kind):
    parts = request_parts(kind, "aisne")
    titles = [part.text for part in parts if isinstance(part, Heading)]
    assert [title for title in titles if title.replace("’", "'") in SECTIONS] == SECTIONS
    assert parts[0].level == 1 and "Aisne" in parts[0].text
    (holder,) = [holder for holder in list_holders() if holder.id == kind]
    needs = asked_of(holder)
    table = next(part for part in parts if isinstance(part, Grid) and "Profondeur" in part.columns)
    assert table.columns == ("Donnée", "Unité", "Nature", "Champ", "Profondeur", "Base")
    assert len(table.rows) == len(needs) > 0 and all(all(row) for row in table.rows)
    said = " ".join(words(parts))
    for need in needs:
        assert said.count(need.label.replace("'", "’").replace(" :", "\u00a0:")) >= 2, need.id  # listed, and justified
    questions = next(part for part in parts if isinstance(part, Items))
    assert questions.items[0].startswith("Question 1")


def test_the_depp_note_is_of_four_or_five_pages():
    """About 450 words a page, tables included."""
    count = len(" ".join(words(request_parts("depp", "aisne"))).split())
    assert 3.5 * 450 <= count <= 5 * 450


def test_the_note_is_of_the_territory():
    notes = {place.id: markdown_text(request_parts("academie", place.id)) for place in list_territories()}
    assert len(set(notes.values())) == len(notes)
    assert all(place.name.replace("'", "’") in notes[place.id].splitlines()[0] for place in list_territories())


@pytest.mark.parametrize("kind", KINDS)
def test_word_and_markdown_say_the_same(kind, tmp_path):
    note = write_request(kind, "val-d-oise", tmp_path)
    parts = request_parts(kind, "val-d-oise")
    document = read_docx(note.docx.read_bytes())
    assert flow(document) == words(parts)
    text = note.markdown.read_text(encoding="utf-8")
    place = 0
    for told in words(parts):
        place = text.index(told, place)
    titles = [part for part in document.paragraphs if part.style.name.startswith(("Heading", "Title"))]
    assert [part.text for part in titles] == [part.text for part in parts if isinstance(part, Heading)]
    assert document.core_properties.title == parts[0].text and document.core_properties.language == "fr-FR"


@pytest.mark.parametrize("kind", KINDS)
def test_french_typography(kind):
    for text in words(request_parts(kind, "aisne")):
        assert "'" not in text and not re.search(r" [:;?!%]|« | »|\bnan\b|None", text), text


def test_the_same_bytes_on_every_run(tmp_path):
    code = (
        "import sys; from tne_eval.audit import write_request; print(write_request('depp', 'aisne', sys.argv[1]).docx)"
    )
    seen = []
    for place, zone in enumerate(("UTC", "Asia/Tokyo")):
        environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": str(place)}
        folder = tmp_path / str(place)
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment, capture_output=True)
        seen.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert seen[0] == seen[1] and len(seen[0]) == 2


def test_no_time_of_day_in_the_document():
    with zipfile.ZipFile(io.BytesIO(docx_bytes(request_parts("depp", "aisne")))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.testzip() is None
        core = archive.read("docProps/core.xml").decode()
    assert set(re.findall(r"\d{4}-\d{2}-\d{2}T[\d:]+Z", core)) == {"2020-01-01T00:00:00Z"}


def test_writing_again_changes_nothing_and_an_edited_note_is_kept(tmp_path):
    note = write_request("canope", "cher", tmp_path)
    before = note.docx.read_bytes()
    assert write_request("canope", "cher", tmp_path) == note and note.docx.read_bytes() == before
    note.markdown.write_text("relu et signé")
    with pytest.raises(ReportError, match="already there"):
        write_request("canope", "cher", tmp_path)
    assert note.markdown.read_text() == "relu et signé" and note.docx.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demande_canope_cher.docx", "demande_canope_cher.md"]


def test_unknown_names(tmp_path):
    with pytest.raises(UnknownNameError, match="depp"):
        write_request("dep", "aisne", tmp_path / "new")
    with pytest.raises(UnknownNameError, match="aisne"):
        write_request("depp", "aine", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_libreoffice_opens_it(tmp_path):
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if office is None:
        pytest.skip("LibreOffice is not on this machine (Debian: apt install libreoffice-writer)")
    note = write_request("depp", "aisne", tmp_path)
    done = subprocess.run(
        [office, "--headless", "--convert-to", "txt:Text", "--outdir", str(tmp_path), str(note.docx)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    text = note.docx.with_suffix(".txt").read_text(encoding="utf-8-sig")
    assert all(told in text for told in words(request_parts("depp", "aisne")) if len(told) > 20)
