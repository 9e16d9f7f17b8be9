"""The command line: fixed verbs, JSON, one exit code a kind of error, never a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
        ("designs", {"dnb_naive", "dnb_within_academie"}),
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
