"""pyproject.toml, environment.yml and requirements.lock say the same; no file names a package index."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"duckdb": "python-duckdb", "matplotlib": "matplotlib-base"}  # conda-forge's name where it differs
PIP_ONLY = {"typst"}  # no conda package: it comes from PyPI with the checkout
NOT_PYTHON_PACKAGES = {"python", "pip"}


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _runtime() -> dict[str, SpecifierSet]:
    requirements = [Requirement(text) for text in _project()["dependencies"]]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def _development() -> dict[str, SpecifierSet]:
    requirements = [Requirement(text) for text in _project()["optional-dependencies"]["dev"]]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def _conda() -> dict[str, str]:
    """Name → constraint, from the lines "  - name>=1.2" of environment.yml."""
    text = (ROOT / "environment.yml").read_text(encoding="utf-8").split("dependencies:")[1]
    lines = re.findall(r"^  - ([a-z0-9][a-z0-9_.-]*)([<>=!~][^\s#]*)?\s*(?:#.*)?$", text, flags=re.MULTILINE)
    return dict(lines)


def _locked() -> dict[str, str]:
    """Name → version of what the lock installs here (a condition that is false installs nothing)."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {}
    for name, version, marker in re.findall(r"^([\w.-]+)==([^\s;\\]+)(?: *; *([^\\\n]+?))? *\\?$", text, re.MULTILINE):
        if not marker or Marker(marker).evaluate():
            locked[canonicalize_name(name)] = version
    return locked


def test_conda_and_pyproject_name_the_same_packages():
    expected = {CONDA_NAMES.get(name, name) for name in _runtime() if name not in PIP_ONLY}
    assert set(_conda()) - NOT_PYTHON_PACKAGES == expected


def test_conda_and_pyproject_have_the_same_lower_bounds():
    conda = _conda()
    wanted = {name: str(specifier) for name, specifier in _runtime().items() if name not in PIP_ONLY}
    assert {name: conda[CONDA_NAMES.get(name, name)] for name in wanted} == wanted


def test_every_dependency_has_one_lower_bound():
    for specifier in [*_runtime().values(), *_development().values()]:
        assert [bound.operator for bound in specifier] == [">="]


def test_conda_installs_the_checkout_last():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in lines[-2:]] == ["- pip:", "- -e ."]
    assert Version(_conda()["python"].lstrip("=")) in SpecifierSet(_project()["requires-python"])


@pytest.mark.parametrize("group", [_runtime, _development], ids=["runtime", "development"])
def test_the_lock_satisfies_every_bound(group):
    locked = _locked()
    wrong = {
        name: locked.get(name, "absent")
        for name, specifier in group().items()
        if name not in locked or Version(locked[name]) not in specifier
    }
    assert wrong == {}


def test_the_lock_does_not_install_the_slow_grammar():
    assert "rfc3987-syntax" not in _locked()


def test_every_dependency_is_explained_to_contributors():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| ([a-z0-9-]+) \| \S", text, flags=re.MULTILINE))
    assert set(_runtime()) | set(_development()) <= explained


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = _project()["version"]
    assert f"\nversion: {version}\n" in citation
    released = re.search(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d{{2}}-\d{{2}})$", changelog, flags=re.MULTILINE)
    assert released is not None
    assert f'date-released: "{released[1]}"' in citation


def test_no_file_names_a_package_index():
    """Where packages come from is the business of the machine that installs them."""
    hosts = [
        ".".join(parts).encode()
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("anaconda", "org"),
            ("repo", "anaconda", "com"),
            ("conda", "io"),
            ("npmjs", "org"),
            ("npmjs", "com"),
            ("crates", "io"),
            ("jsdelivr", "net"),
            ("unpkg", "com"),
        )
    ]
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, cwd=ROOT, capture_output=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    assert paths
    found = []
    for path in paths:
        if path.is_file():
            content = path.read_bytes().lower()
            if b"\0" not in content:
                found += [f"{path.relative_to(ROOT)}: {host.decode()}" for host in hosts if host in content]
    assert found == []
