"""The wheel: shipped figures and notebooks included, it works in an empty environment."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def run(*words, check=True, **options) -> subprocess.CompletedProcess:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(BIN / "python", "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_figures_notebooks_and_catalogue(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "tne_eval/_shipped/embedded/datapackage.json",
        "tne_eval/_shipped/embedded/dnb.csv",
        "tne_eval/_shipped/notebooks/evaluation_territoire.ipynb",
        "tne_eval/_shipped/notebooks/synthese.ipynb",
        "tne_eval/catalog/territories/aisne.toml",
        "tne_eval/report/templates/report.html.j2",
    ):
        assert name in names


def test_it_works_in_an_empty_environment(wheel, tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    uv, home = BIN / "uv", tmp_path / "env"
    run(uv, "venv", "-q", "--python", sys.executable, home, env=env)
    target = ("--python", home / "bin" / "python")
    sync = (uv, "pip", "sync", "-q", "--require-hashes", "--compile-bytecode", *target, ROOT / "requirements.lock")
    if run(*sync, "--offline", check=False, env=env).returncode:  # the cache has been emptied since the set-up
        run(*sync, env=env)
    run(uv, "pip", "install", "-q", "--offline", "--no-deps", *target, wheel, env=env)
    place = tmp_path / "elsewhere"
    place.mkdir()
    tne = home / "bin" / "tne-eval"
    assert "NO " not in run(tne, "doctor", cwd=place, env=env).stdout
    run(tne, "report", "vosges", cwd=place, env=env)
    assert (place / "reports" / "vosges" / "latest.html").stat().st_size > 100_000
