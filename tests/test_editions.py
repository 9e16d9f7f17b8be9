"""Names and order of editions, the record of one, and what two records say has changed."""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import json

import pytest

from tne_eval.errors import ReportError, UnknownNameError
from tne_eval.report.editions import (
    CAUSES,
    find_edition,
    last_day,
    list_causes,
    list_changes,
    list_editions,
    previous_edition,
    previous_facts,
    read_record,
)
from tne_eval.report.manifest import check_edition, run_id_of

INPUTS = {
    "notebook": {"name": "n.ipynb", "sha256": "0" * 64},
    "parameters": {"territory": "cher"},
    "tables": {
        "dnb": {"vintage": "2016-2024", "until": "2024-06", "sha256": "1" * 64},
        "ips": {"vintage": "2022", "until": "2022-09", "sha256": "2" * 64},
    },
    "catalog": "3" * 64,
    "designs": {"naive": "4" * 64, "within": "5" * 64},
    "code": "6" * 64,
    "versions": {"numpy": "2.3.5", "python": "3.11"},
}


def write_edition(folder, texts, /, *, id="cher", summary=None, **changes):
    """An edition by hand: tables (name → text of its CSV), a page, and the manifest that they give."""
    inputs = {**copy.deepcopy(INPUTS), **changes, "edition": folder.name}
    (folder / "tables").mkdir(parents=True)
    (folder / "report.html").write_text("<html></html>\n")
    for name, text in texts.items():
        (folder / "tables" / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    outputs = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    record = {
        "id": id,
        "edition": folder.name,
        "inputs": inputs,
        "outputs": outputs,
        "run_id": run_id_of(inputs),
        "summary": summary or {"title": "Cher"},
    }
    (folder / "manifest.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    return folder


def rewrite(folder, change):
    """Change the record of an edition by hand."""
    path = folder / "manifest.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


# --- names and order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["2026-S1", "2025-S2", "0001-S1"])
def test_names(name):
    assert check_edition(name) == name


@pytest.mark.parametrize(
    "name",
    ["2026", "2026-S3", "2026-s1", "26-S1", "2026-S1\n", " 2026-S1", "２０２６-S1", "../2026-S1", "", None, 2026],
)
def test_other_names_are_refused(name):
    with pytest.raises(ReportError, match="edition") as caught:
        check_edition(name)
    assert "2026-S1" in caught.value.remedy


def test_last_day():
    assert last_day("2026-S1") == dt.date(2026, 6, 30) and last_day("2026-S2") == dt.date(2026, 12, 31)
    with pytest.raises(ReportError):
        last_day("0000-S1")


def test_order_and_previous(tmp_path):
    for name in ("2026-S1", "2024-S2", "2025-S1", "2025-S2"):
        write_edition(tmp_path / name, {})
    (tmp_path / "2023-S1").mkdir()  # no manifest: nothing was made there
    (tmp_path / "2026-S2").symlink_to(tmp_path / "2026-S1")
    (tmp_path / "latest.html").write_text("")
    (tmp_path / ".previous-2022-S1").mkdir()
    assert list_editions(tmp_path) == ["2024-S2", "2025-S1", "2025-S2", "2026-S1"]
    assert previous_edition(tmp_path, "2026-S1") == tmp_path / "2025-S2"
    assert previous_edition(tmp_path, "2030-S1") == tmp_path / "2026-S1"
    assert previous_edition(tmp_path, "2024-S2") is None
    assert list_editions(tmp_path / "absent") == [] and previous_edition(tmp_path / "absent", "2026-S1") is None
    with pytest.raises(ReportError):
        previous_edition(tmp_path, "next")


def test_an_edition_is_found_by_name(tmp_path):
    for name in ("2025-S1", "2025-S2"):
        write_edition(tmp_path / "cher" / name, {})
    (tmp_path / "aisne").mkdir()
    assert find_edition(tmp_path, "cher") == tmp_path / "cher" / "2025-S2"
    assert find_edition(tmp_path, "cher", "2025-S1") == tmp_path / "cher" / "2025-S1"
    for name in ("chere", "../cher", "aisne", "", None):
        with pytest.raises(UnknownNameError, match="report") as caught:
            find_edition(tmp_path, name)
        assert "cher" in caught.value.remedy
    with pytest.raises(UnknownNameError, match="edition of cher") as caught:
        find_edition(tmp_path, "cher", "2026-S1")
    assert "2025-S2" in caught.value.remedy
    with pytest.raises(ReportError, match="edition"):
        find_edition(tmp_path, "cher", "../2025-S1")
    with pytest.raises(UnknownNameError) as caught:
        find_edition(tmp_path / "absent", "cher")
    assert "tne-eval report" in caught.value.remedy


def test_previous_facts_follow_the_bytes(tmp_path):
    assert previous_facts(tmp_path, "2026-S1") == {}
    folder = write_edition(tmp_path / "2025-S2", {"t": "a\n1\n"})
    facts = previous_facts(tmp_path, "2026-S1")
    assert facts["edition"] == "2025-S2" and facts == previous_facts(tmp_path, "2026-S1")
    (folder / "report.html").write_text("other words")
    assert previous_facts(tmp_path, "2026-S1") == facts
    (folder / "tables/t.csv").write_text("a\n2\n")
    assert previous_facts(tmp_path, "2026-S1")["sha256"] != facts["sha256"]


# --- the record ----------------------------------------------------------------------------------------------


def test_a_record_is_read(tmp_path):
    folder = write_edition(tmp_path / "2025-S1", {"t": "a\n1\n"})
    record = read_record(folder)
    assert (record.id, record.edition, record.inputs["tables"]["dnb"]["until"]) == ("cher", "2025-S1", "2024-06")
    assert set(record.outputs) == {"report.html", "tables/t.csv"}


def seal(record):
    record["run_id"] = run_id_of(record["inputs"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: r.pop("inputs"), "its parts are"),
        (lambda r: r.update(extra=1), "its parts are"),
        (lambda r: r.update(id="../cher"), "id is not"),
        (lambda r: r.update(edition="2025"), "edition is not"),
        (lambda r: r.update(outputs={"../x": "0" * 64}), "not a file of the folder"),
        (lambda r: r.update(outputs={"/etc/passwd": "0" * 64}), "not a file of the folder"),
        (lambda r: r.update(outputs={"a\\..\\b": "0" * 64}), "not a file of the folder"),
        (lambda r: r.update(outputs={"report.html": "x"}), "no sha256"),
        (lambda r: r.update(outputs={}), "lists no file"),
        (lambda r: r.update(summary={"title": float("nan")}), "UTF-8"),
        (lambda r: r.update(summary={"title": "\ud800"}), "UTF-8"),
        (lambda r: r["inputs"].update(tables=[]), "inputs.tables"),
        (lambda r: r["inputs"].update(code=None), "inputs.code"),
        (lambda r: r["inputs"]["tables"].update(dnb="1" * 64), "inputs.tables gives no sha256"),
        (lambda r: r["inputs"]["notebook"].update(name="../evil.ipynb"), "notebook.name"),
        (lambda r: r["inputs"].update(edition="2024-S1"), "inputs.edition"),
        (lambda r: r["inputs"]["designs"].update(naive=3), "inputs.designs"),
    ],
)
def test_malformed_records_name_the_file_and_the_remedy(tmp_path, change, why):
    folder = write_edition(tmp_path / "2025-S1", {})
    rewrite(folder, change)
    with pytest.raises(ReportError, match="malformed") as caught:
        read_record(folder)
    assert why in caught.value.why and str(folder / "manifest.json") in caught.value.where
    assert "tne-eval report" in caught.value.remedy


def test_all_problems_are_listed_at_once(tmp_path):
    folder = write_edition(tmp_path / "2025-S1", {})
    rewrite(folder, lambda record: record.update(id="", edition="x", run_id=""))
    with pytest.raises(ReportError) as caught:
        read_record(folder)
    assert all(word in caught.value.why for word in ("id is not", "edition is not", "run_id is not"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"3"])
def test_what_is_no_record_at_all(tmp_path, content):
    folder = write_edition(tmp_path / "2025-S1", {})
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ReportError) as caught:
        read_record(folder)
    assert str(folder / "manifest.json") in caught.value.where and caught.value.remedy


def test_no_record(tmp_path):
    with pytest.raises(ReportError, match="no edition") as caught:
        read_record(tmp_path)
    assert caught.value.remedy


def test_inputs_changed_by_hand_are_seen(tmp_path):
    folder = write_edition(tmp_path / "2025-S1", {})
    rewrite(folder, lambda record: record["inputs"]["designs"].update(naive="f" * 64))
    with pytest.raises(ReportError, match="altered"):
        read_record(folder)
    rewrite(folder, seal)
    assert read_record(folder).inputs["designs"]["naive"] == "f" * 64


def test_run_id_is_that_of_the_manifest(tmp_path):
    from tne_eval.report.manifest import make_manifest

    (tmp_path / "dnb.csv").write_text("a\n1\n")
    table = {"name": "dnb", "path": "dnb.csv", "vintage": "2024", "until": "2024-06"}
    (tmp_path / "datapackage.json").write_text(json.dumps({"resources": [table]}))
    notebook = tmp_path / "n.ipynb"
    notebook.write_text("{}")
    made = make_manifest("cher", notebook=notebook, parameters={"territory": "é"}, data=tmp_path)
    assert run_id_of(made.inputs) == made.run_id


# --- what changed --------------------------------------------------------------------------------------------


def changed(**changes):
    return list_changes({**INPUTS, "edition": "2025-S1"}, {**copy.deepcopy(INPUTS), "edition": "2025-S2", **changes})


@pytest.mark.parametrize(
    ("changes", "cause", "names"),
    [
        ({"tables": {**INPUTS["tables"], "dnb": {"sha256": "f" * 64}}}, "data", ["dnb"]),
        ({"tables": {"dnb": INPUTS["tables"]["dnb"], "new": {"sha256": "f" * 64}}}, "data", ["ips", "new"]),
        ({"designs": {**INPUTS["designs"], "naive": "f" * 64}}, "design", ["naive"]),
        ({"seed": {"naive": 3}}, "design", ["naive"]),
        ({"code": "f" * 64}, "code", ["code"]),
        ({"version": "0.2.0"}, "code", ["version"]),
        ({"notebook": {"name": "n.ipynb", "sha256": "f" * 64}}, "code", ["notebook"]),
        ({"versions": {"numpy": "2.4.0", "python": "3.11"}}, "environment", ["numpy"]),
        ({"parameters": {"territory": "cher", "seed": 2}}, "parameters", ["seed"]),
        ({"previous": {"edition": "2024-S2", "sha256": "f" * 64}}, "previous", ["previous"]),
        ({"weather": "fine"}, "other", ["weather"]),
    ],
)
def test_one_input_one_cause(changes, cause, names):
    found = changed(**changes)
    assert [change.name for change in found] == names and {change.cause for change in found} == {cause}
    assert cause in CAUSES and list_causes(found) == (cause,)


def test_several_causes_in_order():
    assert changed() == []
    found = changed(code="f" * 64, designs={}, tables={}, versions={})
    assert list_causes(found) == ("data", "design", "code", "environment")
    assert next(change for change in found if change.name == "naive").after == ""
