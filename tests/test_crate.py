"""The RO-Crate of an edition, read back by the standard reader."""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import time

import pytest
from test_editions import INPUTS, rewrite, write_edition

from tne_eval.errors import ReportError
from tne_eval.report.crate import LICENCE, PROFILE, export_crate

rocrate = pytest.importorskip("rocrate.rocrate")


@pytest.fixture
def edition(tmp_path):
    folder = write_edition(
        tmp_path / "cher" / "2025-S1", {"effets": "k,v\na,1\n"}, summary={"title": "Cher : « l’été »"}
    )
    (folder / "figures").mkdir()
    return folder


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path):
    return rocrate.ROCrate(path)


def test_files_and_hashes(edition, tmp_path):
    before = tree(edition)
    to = export_crate(edition, tmp_path / "crates" / "cher")
    assert to == tmp_path / "crates" / "cher"
    crate = read(to)
    files = {entity.id: entity for entity in crate.data_entities}
    assert set(files) == {"manifest.json", "report.html", "tables/effets.csv"}
    for name, entity in files.items():
        content = (to / name).read_bytes()
        assert content == before[name] and entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))
    assert files["tables/effets.csv"]["encodingFormat"] == "text/csv"
    assert set(tree(to)) == {*files, "ro-crate-metadata.json"}
    assert tree(edition) == before and sorted(path.name for path in to.parent.iterdir()) == ["cher"]


def test_root(edition, tmp_path):
    root = read(export_crate(edition, tmp_path / "c")).root_dataset
    assert root["name"] == "Cher : « l’été », 2025-S1" and root["datePublished"] == "2025-06-30"
    assert root["license"].id == LICENCE and root["license"]["name"] == "Licence Ouverte 2.0 (Etalab)"
    assert root["conformsTo"].id == PROFILE and root["conformsTo"].type == "CreativeWork"
    assert root["mainEntity"].id == "report.html"
    assert root["identifier"] == json.loads((edition / "manifest.json").read_text())["run_id"]


def test_the_run(edition, tmp_path):
    crate = read(export_crate(edition, tmp_path / "c"))
    (run,) = crate.root_dataset["mentions"]
    assert run.type == "CreateAction" and {file.id for file in run["result"]} == {
        entity.id for entity in crate.data_entities
    }
    tool = run["instrument"]
    assert (tool.type, tool["name"], tool["sha256"]) == ("SoftwareApplication", "tne-eval", INPUTS["code"])
    assert {(one["name"], one["softwareVersion"]) for one in tool["softwareRequirements"]} == set(
        INPUTS["versions"].items()
    )
    given = {entity.id: entity for entity in run["object"]}
    assert given["#table-dnb"]["sha256"] == "1" * 64 and given["#table-dnb"]["version"] == "2016-2024"
    assert given["#design-within"]["sha256"] == "5" * 64
    assert given["#notebook-n.ipynb"].type == "SoftwareSourceCode"
    assert (given["#parameter-territory"].type, given["#parameter-territory"]["value"]) == ("PropertyValue", "cher")
    assert len(given) == 7


def test_every_reference_resolves(edition, tmp_path):
    to = export_crate(edition, tmp_path / "c")
    graph = json.loads((to / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
    ids = [entity["@id"] for entity in graph]
    assert len(set(ids)) == len(ids)

    def references(value):
        if isinstance(value, dict):
            if set(value) == {"@id"}:
                yield value["@id"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    assert set(references(graph)) <= {*ids, "https://w3id.org/ro/crate/1.1"}


def test_nobody_is_named_and_no_hour(edition, tmp_path):
    text = (export_crate(edition, tmp_path / "c") / "ro-crate-metadata.json").read_text(encoding="utf-8")
    for word in ("Person", "Organization", "author", "creator", "agent", "Time", "dateModified", str(tmp_path)):
        assert word not in text


def test_the_same_bytes_twice(edition, tmp_path, monkeypatch):
    first = tree(export_crate(edition, tmp_path / "a"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    os.utime(edition / "report.html", (1, 1))
    monkeypatch.chdir(edition.parent)
    second = tree(export_crate("2025-S1", "b"))
    monkeypatch.delenv("TZ")
    time.tzset()
    assert first == second


def test_nothing_is_overwritten(edition, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    for to in (tmp_path / "full", tmp_path / "file", tmp_path / "nowhere", edition):
        before = tree(tmp_path)
        with pytest.raises(ReportError, match="exists already") as caught:
            export_crate(edition, to)
        assert caught.value.where == str(to) and caught.value.remedy and tree(tmp_path) == before
    for to in (edition / "crate", edition / "tables" / ".." / "crate"):
        with pytest.raises(ReportError, match="inside the edition"):
            export_crate(edition, to)
    assert not (edition / "crate").exists()


def link(path, target):
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda f: (f / "tables/effets.csv").write_text("k,v\na,9\n"), "tables/effets.csv is not as"),
        (lambda f: (f / "report.html").unlink(), "report.html is missing"),
        (lambda f: link(f / "report.html", "/etc/hostname"), "report.html is a link"),
        (lambda f: rewrite(f, lambda r: r["outputs"].update({"ro-crate-metadata.json": "0" * 64})), "not a name"),
    ],
)
def test_an_edition_that_was_tampered_with(edition, tmp_path, damage, why):
    damage(edition)
    with pytest.raises(ReportError, match="not as it was made") as caught:
        export_crate(edition, tmp_path / "c")
    assert why in caught.value.why and "verify" in caught.value.remedy and not (tmp_path / "c").exists()


def test_a_linked_folder_inside_the_edition(edition, tmp_path):
    (edition / "tables").rename(tmp_path / "elsewhere")
    (edition / "tables").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReportError) as caught:
        export_crate(edition, tmp_path / "c")
    assert "is a link" in caught.value.why


def test_malformed_manifest(edition, tmp_path):
    (edition / "manifest.json").write_text("{")
    with pytest.raises(ReportError, match="manifest") as caught:
        export_crate(edition, tmp_path / "c")
    assert str(edition / "manifest.json") in caught.value.where and caught.value.remedy


def test_without_rocrate(edition, tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.partition(".")[0] == "rocrate":
            raise ModuleNotFoundError("No module named 'rocrate'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ReportError, match="rocrate") as caught:
        export_crate(edition, tmp_path / "c")
    assert "tne-eval[crate]" in caught.value.remedy and not (tmp_path / "c").exists()


def test_hostile_names_and_texts(tmp_path):
    text = "<script>{x}</script>\u202e ../é#?%20"
    folder = write_edition(
        tmp_path / "2025-S2",
        {"a b#é%20": "k\na\n"},
        summary={"title": text},
        parameters={text: text, "@id": "x", "": ""},
        tables={text: {"sha256": "a" * 64, "vintage": text}, "./": {"sha256": "b" * 64}},
        designs={"../x": "c" * 64},
        versions={"@type": "1", text: text},
    )
    to = export_crate(folder, tmp_path / "c")
    crate = read(to)
    assert crate.root_dataset["name"] == f"{text}, 2025-S2" and crate.root_dataset["datePublished"] == "2025-12-31"
    (run,) = crate.root_dataset["mentions"]
    assert {entity["name"] for entity in run["object"]} >= {text, "./", "../x", "@id"}
    assert (to / "tables/a b#é%20.csv").read_bytes() == b"k\na\n"
    (table,) = (entity for entity in crate.data_entities if entity.id.startswith("tables/"))
    assert table["name"] == "tables/a b#é%20.csv" and table["sha256"] == hashlib.sha256(b"k\na\n").hexdigest()
