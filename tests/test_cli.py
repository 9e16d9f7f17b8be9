"""The command line: fixed verbs, JSON, one exit code a kind of error, never a traceback."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
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


@pytest.fixture(scope="module")
def two_editions(tmp_path_factory):
    out = tmp_path_factory.mktemp("editions")
    for edition in ("2025-S1", "2025-S2"):
        assert run("report", "aisne", "--edition", edition, "--out", str(out)).returncode == 0
    return out


def test_editions_are_made_compared_and_made_again(two_editions, tmp_path):
    assert {path.name for path in (two_editions / "aisne").iterdir() if path.is_dir()} == {"2025-S1", "2025-S2"}
    out = ("--out", str(two_editions))
    said = run("compare", "aisne", *out)
    assert said.returncode == 0 and "2025-S1" in said.stdout and "aucun nombre" in said.stdout
    assert json.loads(run("compare", "aisne", *out, "--json").stdout)["moves"] == []
    copy = tmp_path / "copy"
    shutil.copytree(two_editions, copy)
    table = copy / "aisne/2025-S2/tables/effets.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("-1.430", "-1.530", 1), encoding="utf-8")
    moved = json.loads(run("compare", "aisne", "--out", str(copy), "--json").stdout)
    assert [move["table"] for move in moved["moves"]] == ["effets"] and moved["altered"]
    assert run("verify", "aisne", *out).returncode == 0
    broken = run("verify", "aisne", "--out", str(copy))
    assert broken.returncode == 7 and "effets.csv" in broken.stdout


def test_an_edition_is_exported_once(two_editions, tmp_path):
    places = ("--to", str(tmp_path / "crate"), "--out", str(two_editions))
    words = ("crate", "aisne", "--edition", "2025-S1", *places)
    assert run(*words).returncode == 0 and (tmp_path / "crate/ro-crate-metadata.json").is_file()
    again = run(*words)
    assert again.returncode == 7 and "exists already" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "aisne", "2020-S1"], "2025-S1"),
        (["compare", "cher"], "aisne"),
        (["verify", "aisne", "2024-S1"], "2025-S2"),
        (["lab", "explore"], "exploration"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(two_editions, words, said):
    done = run(*words, *(["--out", str(two_editions)] if words[0] != "lab" else []))
    assert done.returncode == 3 and said in done.stderr and "Traceback" not in done.stderr


def _answer(address):
    """What a server says that told its address a moment before it listens."""
    for _ in range(100):
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(address, timeout=60) as answer:
            return answer.read().decode()
        time.sleep(0.2)
    raise TimeoutError(address)


def test_lab_opens_the_exploration_in_jupyterlab(tmp_path):
    settings = {"ServerApp": {"open_browser": False, "port": 0, "allow_root": True, "token": "secret"}}
    (tmp_path / "jupyter_server_config.json").write_text(json.dumps(settings))
    places = {f"JUPYTER_{name}_DIR": str(tmp_path) for name in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen(
        [TNE, "lab"], env={**os.environ, **places, "HOME": str(tmp_path)}, stderr=subprocess.PIPE, text=True
    )
    late = threading.Timer(60, server.kill)
    late.start()
    try:
        port = next(match[1] for line in server.stderr if (match := re.search(r"http://localhost:(\d+)/lab", line)))
        for path in ("lab/tree/exploration.ipynb", "api/contents/exploration.ipynb"):
            assert "exploration.ipynb" in _answer(f"http://localhost:{port}/{path}?token=secret")
    finally:
        late.cancel()
        server.kill()
        server.wait()
        server.stderr.close()
