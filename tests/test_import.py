"""Recognise, check and import: files at hand become read-only copies with their origin, or one clear error."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
import signal
import stat
import string
import subprocess
import sys
import time
from pathlib import Path

import pytest
from malformed import file_name, valid_table, write_csv, write_parquet, write_xlsx, zipped

from tne_eval.catalog import get_source, list_sources
from tne_eval.errors import ContractError, UnknownNameError
from tne_eval.sources import messages
from tne_eval.sources.importing import check_files, check_path, import_path
from tne_eval.sources.recognise import recognise_source

SOURCES = [source for source in list_sources() if source.columns]


def _valid(name: str, folder: Path, suffix: str = ".csv") -> Path:
    source = get_source(name)
    write = {".csv": write_csv, ".xlsx": write_xlsx, ".parquet": write_parquet}[suffix]
    return write(valid_table(source), file_name(source, suffix))(folder)


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- recognise -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.id)
def test_a_file_is_recognised_by_its_columns_and_name(source, tmp_path):
    path = write_csv(valid_table(source), file_name(source))(tmp_path)
    assert recognise_source(path).id == source.id


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_columns_are_enough_where_they_are_those_of_one_source(suffix, tmp_path):
    source = get_source("segregation_colleges")
    write = {".csv": write_csv, ".xlsx": write_xlsx, ".parquet": write_parquet}[suffix]
    assert recognise_source(write(valid_table(source), f"mon fichier{suffix}")(tmp_path)).id == source.id


def test_what_fits_several_sources_is_refused_with_their_names(tmp_path):
    path = write_csv(valid_table(get_source("ips_ecoles_2022")), "export.csv")(tmp_path)
    with pytest.raises(ContractError) as caught:
        recognise_source(path)
    for name in ("ips_ecoles_2022", "ips_colleges_2022"):
        assert name in caught.value.problems[0].found


def test_an_unknown_file_is_shown_the_nearest_sources_and_what_they_miss(tmp_path):
    source = get_source("ivac")
    table = valid_table(source)
    path = tmp_path / "export.csv"
    path.write_text(table.text().replace("note_a_l_ecrit_g", "note"), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        recognise_source(path)
    expected = caught.value.problems[0].expected
    assert "ivac" in expected and "note_a_l_ecrit_g" in expected


def test_a_file_named_as_a_source_is_held_to_it(tmp_path):
    path = tmp_path / file_name(get_source("ivac"))
    path.write_text("uai;secteur\n0020001A;PU\n", encoding="utf-8")
    assert recognise_source(path).id == "ivac"
    assert {"session", "note_a_l_ecrit_g"} <= {problem.column for problem in check_path(path)}


def test_a_name_does_not_hide_the_columns(tmp_path):
    path = write_csv(valid_table(get_source("effectifs_colleges")), file_name(get_source("ivac")))(tmp_path)
    assert recognise_source(path).id == "effectifs_colleges"


# --- packed files ----------------------------------------------------------------------------------------------------


def test_packed_files_are_read_like_plain_ones(tmp_path):
    plain = _valid("ivac", tmp_path)
    content = plain.read_bytes()
    (tmp_path / f"{plain.name}.gz").write_bytes(gzip.compress(content))
    (tmp_path / "ivac.zip").write_bytes(zipped({f"dossier/{plain.name}": content, "__MACOSX/._x.csv": b"x"}))
    for path in tmp_path.iterdir():
        assert recognise_source(path).id == "ivac"
        assert check_path(path) == []


def test_an_archive_is_judged_before_it_is_opened(tmp_path, monkeypatch):
    """No member is opened, whatever is wrong with the directory of the archive."""
    import zipfile

    bad = {
        "two": zipped({"a.csv": b"x", "b.csv": b"x"}),
        "slip": zipped({"../a.csv": b"x"}),
        "bomb": zipped({"a.csv": b"0" * 60_000_000}),
        "many": zipped({f"{number}.csv": b"" for number in range(5000)}),
        "link": zipped({"a.csv": b"/etc/passwd"}, link="a.csv"),
    }

    def refuse(*_):
        raise AssertionError("a member was opened")

    monkeypatch.setattr(zipfile.ZipFile, "open", refuse)
    for name, content in bad.items():
        (tmp_path / f"{name}.zip").write_bytes(content)
        assert check_path(tmp_path / f"{name}.zip", "ivac"), name


def test_a_workbook_that_is_a_bomb_is_refused(tmp_path):
    path = tmp_path / "ivac.xlsx"
    path.write_bytes(zipped({"xl/workbook.xml": b"<x/>", "xl/worksheets/sheet1.xml": b" " * 60_000_000}))
    (problem,) = check_path(path, "ivac")
    assert "60" in problem.found


# --- check -----------------------------------------------------------------------------------------------------------


def test_a_named_source_must_exist(tmp_path):
    with pytest.raises(UnknownNameError, match="ivac"):
        check_path(_valid("ivac", tmp_path), "ivacc")


def test_a_folder_is_checked_whole_and_strangers_are_left_aside(tmp_path):
    good = _valid("ivac", tmp_path)
    bad = _valid("effectifs_colleges", tmp_path)
    bad.write_text(bad.read_text(encoding="utf-8").replace(";PUBLIC;", ";MIXTE;", 1), encoding="utf-8")
    (tmp_path / "autre.csv").write_text("a;b\n1;2\n", encoding="utf-8")
    (tmp_path / "LISEZMOI.md").write_text("x", encoding="utf-8")
    shutil.copy(good, tmp_path / f"copie_{good.name}")
    checks = {check.path.name: check for check in check_files(tmp_path)}
    assert set(checks) == {good.name, bad.name, "autre.csv", f"copie_{good.name}"}
    assert checks[good.name].problems == () and checks["autre.csv"].problems == ()
    assert checks["autre.csv"].source == "" and checks["autre.csv"].findings
    assert [problem.column for problem in checks[bad.name].problems] == ["secteur"]
    assert check_path(tmp_path) == list(checks[bad.name].problems)


def test_a_folder_without_a_known_table_is_an_error(tmp_path):
    (tmp_path / "autre.csv").write_text("a;b\n1;2\n", encoding="utf-8")
    assert len(check_path(tmp_path)) == 1


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    target = _valid("ivac", tmp_path / "out")
    (tmp_path / "in" / target.name).symlink_to(target)
    (problem,) = check_path(tmp_path / "in")
    assert "link" in problem.found or "lien" in problem.found


@pytest.mark.opendata
def test_the_defects_of_the_open_data_are_found_and_none_fails_its_contract(opendata):
    checks = {check.path.name: check for check in check_files(opendata)}
    assert [str(problem) for check in checks.values() for problem in check.problems] == []

    def told(file: str) -> str:
        (check,) = (check for name, check in checks.items() if name.startswith(file))
        return "\n".join(f"{finding.column}: {finding.found}" for finding in check.findings)

    assert "205 " in told("fr-en-resultats-detailles-au-dnb")
    assert "rep, rep_plus: 42 " in told("fr-en-college-effectifs-niveau-sexe-lv")
    merged = told("donnees-dnb")
    assert "rep, rep_plus: 13 " in merged and "effectifs_colleges" in merged and "109,3" in merged
    assert "1" in merged.splitlines()[0]  # the unnamed column is the first
    assert "'SCORE GLOBAL '" in told("ifn_iris") and "971, 973, 976" in told("ifn_iris")
    assert "'002'" in told("fr-en-ips_colleges")
    assert "indic_vc: 120 " in told("ind-218") and "indic_vc: 120 " in told("barometre_fibre")
    assert "2025_03" in told("tne_departements")


# --- import ----------------------------------------------------------------------------------------------------------


def test_an_import_keeps_bytes_hash_and_origin_read_only(tmp_path):
    path = _valid("ivac", tmp_path)
    raw = tmp_path / "data" / "raw"
    (result,) = import_path(path, raw)
    last = max(row[0] for row in valid_table(get_source("ivac")).rows)
    assert result.target == raw / "ivac" / last / path.name and result.status == "imported"
    assert result.target.read_bytes() == path.read_bytes()
    origin = json.loads((result.target.parent / "origin.json").read_text(encoding="utf-8"))
    (name,) = origin["files"]
    assert name == path.name and origin["source"] == "ivac" and origin["vintage"] == last
    assert origin["files"][name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin["files"][name]["bytes"] == path.stat().st_size
    for kept in result.target.parent.iterdir():
        assert stat.S_IMODE(kept.stat().st_mode) == 0o444
    assert [path.name for path in raw.iterdir()] == ["ivac"]


def test_an_import_never_overwrites(tmp_path):
    path = _valid("ivac", tmp_path)
    raw = tmp_path / "raw"
    (first,) = import_path(path, raw)
    before = _tree(raw)
    assert import_path(path, raw)[0].status == "present" and _tree(raw) == before
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n", encoding="utf-8")
    (second,) = import_path(path, raw)
    assert (
        second.vintage.startswith(f"{first.vintage}-")
        and second.vintage.removeprefix(f"{first.vintage}-") in second.sha256
    )
    assert before.items() <= _tree(raw).items()


def test_without_a_period_the_vintage_is_the_hash(tmp_path):
    (result,) = import_path(_valid("ifn_2020", tmp_path), tmp_path / "raw")
    assert result.vintage == result.sha256[:12]


def test_a_folder_is_imported_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    _valid("ivac", folder)
    bad = _valid("effectifs_colleges", folder)
    good = bad.read_text(encoding="utf-8")
    bad.write_text(good.replace(";PUBLIC;", ";MIXTE;"), encoding="utf-8")
    with pytest.raises(ContractError):
        import_path(folder, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
    bad.write_text(good, encoding="utf-8")
    assert {result.source for result in import_path(folder, tmp_path / "raw")} == {"ivac", "effectifs_colleges"}


def test_a_file_that_changes_meanwhile_is_refused(tmp_path, monkeypatch):
    path = _valid("ivac", tmp_path)

    def copy(source, target):
        Path(target).write_bytes(Path(source).read_bytes() + b"x")

    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(ContractError):
        import_path(path, tmp_path / "raw")
    assert [found for found in (tmp_path / "raw").rglob("*") if found.is_file()] == []


def test_a_killed_import_leaves_each_vintage_whole_or_absent(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("ivac", "effectifs_colleges", "segregation_colleges"):
        _valid(name, folder)
    whole = tmp_path / "whole"
    import_path(folder, whole)
    expected = _tree(whole)
    code = (
        "import sys; from tne_eval.sources.importing import import_path; print('ready', flush=True);"
        " sys.stdin.readline(); import_path(sys.argv[1], sys.argv[2])"
    )
    rng = random.Random(5)
    for turn in range(12):
        raw = tmp_path / f"raw{turn}"
        words = [sys.executable, "-c", code, str(folder), str(raw)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(rng.uniform(0, 0.6))
            process.send_signal(signal.SIGKILL)
            process.wait()
        shown = {name: content for name, content in _tree(raw).items() if not name.startswith(".")}
        assert shown.items() <= expected.items()
        for source in {Path(name).parts[0] for name in shown}:
            assert {name for name in shown if name.startswith(source)} == {
                name for name in expected if name.startswith(source)
            }
        import_path(folder, raw)
        assert _tree(raw) == expected


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "fr_BE.UTF-8"}, "fr"),
        ({}, "en"),
    ],
)
def test_the_locale_chooses_the_language(variables, expected, monkeypatch):
    for name in ("LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert messages.language() == expected


def test_problems_are_french_where_the_locale_is(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    (problem,) = check_path(tmp_path / "absent.csv")
    assert problem.found == "aucun fichier"
    assert set(problem.to_dict()) == {"file", "row", "column", "found", "expected", "remedy"}


def test_both_languages_say_the_same_things():
    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for section, entries in messages._templates().items():
        for key, words in entries.items():
            assert set(words) == {"en", "fr"}, key
            parts = [words[each] if section != "phrase" else [words[each]] for each in ("en", "fr")]
            assert [len(part) for part in parts] == [len(parts[0])] * 2
            for english, french in zip(*parts, strict=True):
                assert english and french, key
                assert names(english) == names(french), key
                assert "'" not in french.replace("'{", "").replace("}'", ""), key
