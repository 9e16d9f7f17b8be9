"""An edition made again: the same bytes, or which file is not and why."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from test_editions import rewrite, write_edition

from tne_eval.errors import ReportError
from tne_eval.report import editions, run
from tne_eval.report import manifest as records
from tne_eval.report.verify import describe_verification, verify_edition

BODY = """
import pandas as pd
from tne_eval.report.blocks import Table, Title, show
show(Title(f"Rapport {territory}", level=1))
show(Table("t", "Une table", pd.DataFrame({"a": ["1,5"]}), data=pd.DataFrame({"a": [1.5]})))
"""
FILES = {"manifest.json", "report.pdf", "report.html", "report.ipynb", "tables/t.csv"}


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary folders go."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def notebook(tmp_path):
    cells = [new_code_cell('territory = "aisne"', metadata={"tags": ["parameters"]}), new_code_cell(BODY)]
    for rank, cell in enumerate(cells):
        cell["id"] = f"cell-{rank}"
    nbformat.write(new_notebook(cells=cells), tmp_path / "n.ipynb")
    return tmp_path / "n.ipynb"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dnb.csv").write_text("a\n1\n")
    table = {"name": "dnb", "path": "dnb.csv", "vintage": "2016-2025", "until": "2025-06"}
    (folder / "datapackage.json").write_text(json.dumps({"resources": [table]}))
    return folder


@pytest.fixture
def edition(notebook, data, tmp_path, scratch):
    job = run.Job("cher", notebook, {"territory": "cher"})
    (result,) = run.make_reports([job], tmp_path / "out", data=data, edition="2026-S1")
    assert result.status == "made", result.message
    return result.folder


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


def statuses(verification):
    return {file.name: (file.status, file.causes) for file in verification.files if file.status != "equal"}


def test_the_same_bytes(edition, notebook, data, tmp_path, scratch):
    before = tree(tmp_path / "out")
    verification = verify_edition(edition, notebook=notebook, data=data)
    assert verification.identical and verification.inputs == ()
    assert {file.name for file in verification.files} == FILES and statuses(verification) == {}
    assert (verification.id, verification.edition, verification.folder) == ("cher", "2026-S1", edition)
    frame = verification.to_frame()
    assert list(frame["name"]) == sorted(FILES) and set(frame["status"]) == {"equal"}
    assert tree(tmp_path / "out") == before and list(scratch.iterdir()) == []
    assert json.loads(json.dumps(verification.to_dict()))["identical"] is True
    (line,) = describe_verification(verification)
    assert "5 fichiers identiques" in line and "2026-S1" in line


def test_a_copy_elsewhere_is_verified_too(edition, notebook, data, tmp_path):
    copy = shutil.copytree(edition, tmp_path / "archive" / "some name")
    assert verify_edition(str(copy), notebook=notebook, data=data).identical


@pytest.mark.parametrize(
    ("damage", "name", "status"),
    [
        (lambda f: (f / "tables/t.csv").write_text("a\n9.9\n"), "tables/t.csv", "differs"),
        (lambda f: (f / "report.html").write_text("x"), "report.html", "differs"),
        (lambda f: (f / "tables/t.csv").unlink(), "tables/t.csv", "missing"),
        (lambda f: (f / "extra.txt").write_text("x"), "extra.txt", "unexpected"),
        (lambda f: rewrite(f, lambda record: record["summary"].update(title="x")), "manifest.json", "differs"),
        (lambda f: (f / "link").symlink_to("/etc/hostname"), "link", "unexpected"),
    ],
)
def test_a_tampered_file_is_found(edition, notebook, data, damage, name, status):
    damage(edition)
    before = tree(edition)
    verification = verify_edition(edition, notebook=notebook, data=data)
    assert statuses(verification) == {name: (status, ("altered",))} and not verification.identical
    assert tree(edition) == before


def test_a_file_and_its_record_tampered_together(edition, notebook, data):
    """The hash was put right too: only making it again finds it."""
    (edition / "tables/t.csv").write_text("a\n9.9\n")
    digest = hashlib.sha256(b"a\n9.9\n").hexdigest()
    rewrite(edition, lambda record: record["outputs"].update({"tables/t.csv": digest}))
    verification = verify_edition(edition, notebook=notebook, data=data)
    found = statuses(verification)
    assert found["tables/t.csv"] == ("differs", ("unexplained",)) and found["manifest.json"][0] == "differs"
    assert set(found) == {"tables/t.csv", "manifest.json"}


def test_other_figures(edition, notebook, data):
    (data / "dnb.csv").write_text("a\n2\n")
    verification = verify_edition(edition, notebook=notebook, data=data)
    assert [(change.cause, change.name) for change in verification.inputs] == [("data", "dnb")]
    assert statuses(verification)["report.html"] == ("differs", ("data",))
    assert next(file for file in verification.files if file.name == "tables/t.csv").status == "equal"


def test_other_figures_and_a_tampered_file(edition, notebook, data):
    (data / "dnb.csv").write_text("a\n2\n")
    (edition / "report.html").write_text("x")
    found = statuses(verify_edition(edition, notebook=notebook, data=data))
    assert found["report.html"] == ("differs", ("altered", "data"))


def test_hostile_names_are_printed_without_controls(edition, notebook, data):
    for name in ("\x1b[2J", "{id}", "\u202etxt"):
        (edition / name).write_text("x")
    first, *lines = describe_verification(verify_edition(edition, notebook=notebook, data=data))
    assert "5 fichiers identiques sur 8" in first and len(lines) == 3
    assert not any(char in line for line in lines for char in "\x1b\u202e") and any("{id}" in line for line in lines)


def test_other_code_versions_and_designs(edition, notebook, data, monkeypatch):
    monkeypatch.setattr(records, "code_hash", lambda: "f" * 64)
    monkeypatch.setattr(records, "_versions", lambda: (("numpy", "9.9"),))
    monkeypatch.setattr(records, "list_designs", list)
    verification = verify_edition(edition, notebook=notebook, data=data)
    assert statuses(verification)["report.html"][1] == ("design", "code", "environment")
    assert "numpy" in {change.name for change in verification.inputs}


def test_a_notebook_that_gives_other_numbers(edition, notebook, data):
    book = nbformat.read(notebook, as_version=4)
    book.cells[1].source = BODY.replace("[1.5]", "[1.6]")
    nbformat.write(book, notebook)
    found = statuses(verify_edition(edition, notebook=notebook, data=data))
    assert found["tables/t.csv"] == ("differs", ("code",))


def test_a_report_that_fails_when_made_again(edition, notebook, data, scratch):
    book = nbformat.read(notebook, as_version=4)
    book.cells[1].source = "raise ValueError('cassé')"
    nbformat.write(book, notebook)
    with pytest.raises(ReportError, match="could not be made again") as caught:
        verify_edition(edition, notebook=notebook, data=data)
    assert "cassé" in caught.value.why and caught.value.remedy and list(scratch.iterdir()) == []


def test_the_edition_before_is_at_hand(edition, notebook, data, monkeypatch):
    """A report that depends on the edition before finds it beside the one made again."""
    older = write_edition(edition.parent / "2025-S2", {"t": "k\na\n"})
    real_plan, real_reports, seen = records.make_manifest, run.make_reports, []

    def make_reports(jobs, out, **options):
        def make_manifest(id, **facts):
            made = real_plan(id, **facts)
            inputs = {**made.inputs, "previous": editions.previous_facts(out / id, made.edition)}
            return records.Manifest(id, made.edition, records.run_id_of(inputs), inputs)

        seen.append(editions.list_editions(out / "cher"))
        monkeypatch.setattr(records, "make_manifest", make_manifest)
        return real_reports(jobs, out, **options)

    monkeypatch.setattr(run, "make_reports", make_reports)
    job = run.Job("cher", notebook, {"territory": "cher"})
    (made,) = run.make_reports([job], edition.parents[1], data=data, edition="2026-S1")
    assert made.status == "made" and records.read_manifest(edition).inputs["previous"]["edition"] == "2025-S2"
    assert verify_edition(edition, notebook=notebook, data=data).identical
    assert seen == [["2025-S2", "2026-S1"], ["2025-S2"]]
    shutil.rmtree(older)
    verification = verify_edition(edition, notebook=notebook, data=data)
    assert {change.cause for change in verification.inputs} == {"previous"} and not verification.identical


def test_what_cannot_be_verified(edition, notebook, data, tmp_path):
    with pytest.raises(ReportError, match="not there") as caught:
        verify_edition(edition, data=data)  # n.ipynb is not a shipped notebook
    assert "n.ipynb" in caught.value.where and caught.value.remedy
    with pytest.raises(ReportError, match="no edition"):
        verify_edition(tmp_path)
    rewrite(edition, lambda record: record.update(id="../../x"))
    with pytest.raises(ReportError, match="malformed") as caught:
        verify_edition(edition, notebook=notebook, data=data)
    assert str(edition / "manifest.json") in caught.value.where


def test_parameters_are_checked_before_they_run(edition, notebook, data):
    def inject(record):
        record["inputs"]["parameters"] = {"territory": "x", "import os": 1}
        record["run_id"] = records.run_id_of(record["inputs"])

    rewrite(edition, inject)
    with pytest.raises(ReportError, match="could not be made again"):
        verify_edition(edition, notebook=notebook, data=data)


def test_a_real_report(reports, tmp_path):
    result = next(one for one in reports[1] if one.id == "cher")
    assert result.status == "made", result.message
    folder = tmp_path / "out" / "cher" / result.folder.name
    shutil.copytree(result.folder, folder)
    table = folder / "tables/effets.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("cher", "cher "), encoding="utf-8")
    verification = verify_edition(folder)
    assert statuses(verification) == {"tables/effets.csv": ("differs", ("altered",))}
    assert len(verification.files) > 20
