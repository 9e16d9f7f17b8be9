"""The command line: fixed verbs, JSON, one exit code a kind of error, never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DESIGNS = Path(__file__).parents[1] / "tne_eval" / "catalog" / "designs"
TNE = str(Path(sys.executable).with_name("tne-eval"))
TERRITORIES = {
    "aisne",
    "val-d-oise",
    "bouches-du-rhone",
    "cher",
    "corse-du-sud",
    "doubs",
    "finistere",
    "guadeloupe",
    "herault",
    "isere",
    "vienne",
    "vosges",
}


def run(*words: str, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run([TNE, *words], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("territories", TERRITORIES),
        ("designs", {path.stem for path in DESIGNS.glob("*.toml")}),
        ("indicators", {"dnb_success_percent", "gini_ips_colleges", "fibre_percent"}),
        ("sources", {"dnb_departement", "ivac", "tne_counters"}),
    ],
)
def test_list(kind, ids):
    done = run("list", kind, "--json")
    assert done.returncode == 0
    found = {row["id"] for row in json.loads(done.stdout)}
    assert ids <= found and (kind in ("indicators", "sources") or ids == found)
    assert run("list", kind).stdout.count("\n") == len(found)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report", "aine"], 3, "aisne"),
        (["report"], 2, "--all"),
        (["report", "aisne", "--all"], 2, "--all"),
        (["report", "../aisne"], 3, "unknown territory"),
        (["list", "planets"], 2, "territories"),
        (["build", "--from", "nowhere", "--to", "out"], 5, "nowhere"),
        (["fly"], 2, "fly"),
    ],
)
def test_errors(words, code, said, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_json(tmp_path):
    done = run("report", "aine", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == told["exit_code"] == 3 and "aisne" in told["remedy"]


def test_doctor(tmp_path):
    done = run("doctor", "--json", cwd=tmp_path)
    checks = {row["check"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 0 and all(row["ok"] for row in checks.values())
    assert "12 territories" in checks["catalogue"]["detail"] and "-1.14 points" in checks["effect"]["detail"]


def test_check_says_problems_in_json_and_leaves_with_the_code_of_a_broken_contract(tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    header = "dep;departement;participants_formations_cumul_2025_03;eleves_beneficiaires_2025_06\n"
    good.write_text(header + "02;Aisne;13811;141626\n", encoding="utf-8")
    bad.write_text(header + "02;Aisne;-5;141626\n99;Nulle-Part;1;2\n", encoding="utf-8")
    assert run("check", str(good), "--source", "tne_counters", "--json").stdout.strip() == "[]"
    done = run("check", str(bad), "--source", "tne_counters", "--json")
    problems = json.loads(done.stdout)
    assert done.returncode == 4 and len(problems) >= 2
    assert {tuple(problem) for problem in problems} == {("file", "row", "column", "found", "expected", "remedy")}
    assert {problem["row"] for problem in problems} >= {2, 3}


def test_import_keeps_a_checked_copy(tmp_path):
    path = tmp_path / "counters.csv"
    header = "dep;departement;participants_formations_cumul_2025_03;eleves_beneficiaires_2025_06\n"
    path.write_text(header + "02;Aisne;13811;141626\n", encoding="utf-8")
    done = run("import", str(path), "--source", "tne_counters", "--json", cwd=tmp_path)
    (told,) = json.loads(done.stdout)
    assert done.returncode == 0 and told["status"] == "imported"
    assert (tmp_path / told["target"]).read_bytes() == path.read_bytes()
    assert run("import", str(path), "--source", "nobody", cwd=tmp_path).returncode == 3


def test_fetch_refuses_an_unknown_source_and_an_empty_call(tmp_path):
    assert run("fetch", "ivca", cwd=tmp_path).returncode == 3
    assert run("fetch", cwd=tmp_path).returncode == 2
    assert not (tmp_path / "data").exists()


def test_request_writes_a_note(tmp_path):
    done = run("request", "depp", "aisne", "--to", str(tmp_path))
    assert done.returncode == 0 and {path.suffix for path in tmp_path.iterdir()} == {".docx", ".md"}


def test_problems_are_said_in_the_reader_s_language(tmp_path):
    path = tmp_path / "counters.csv"
    path.write_text(
        "dep;departement;participants_formations_cumul_2025_03;eleves_beneficiaires_2025_06\n02;Aisne;-5;1\n"
    )
    words = [TNE, "check", str(path), "--source", "tne_counters"]
    for language, expected in (("fr_FR.UTF-8", "ligne 2"), ("C", "row 2")):
        env = {**os.environ, "LC_ALL": language}
        assert expected in subprocess.run(words, capture_output=True, text=True, env=env).stdout


def test_template_writes_a_register_and_never_over_another(tmp_path):
    done = run("template", str(tmp_path / "registre.xlsx"))
    assert done.returncode == 0 and (tmp_path / "registre.xlsx").stat().st_size > 1000
    assert run("template", str(tmp_path / "registre.xlsx")).returncode == 7
