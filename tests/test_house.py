"""House rules: one-way imports, a small interface, clean notebooks, clean code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tne_eval as tne

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def run(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, **options)


def test_a_module_imports_from_its_left_only():
    done = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert done.returncode == 0, done.stdout


def test_code_and_notebooks_are_clean():
    for words in (["check"], ["format", "--check"]):
        done = run(str(Path(sys.executable).with_name("ruff")), *words, "--no-cache", ".")
        assert done.returncode == 0, done.stdout


def test_the_public_names_are_few_and_resolve():
    assert len(tne.__all__) <= 20
    for name in tne.__all__:
        assert getattr(tne, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'estimate'"):
        tne.estimate  # noqa: B018


def test_public_functions_say_what_they_do():
    for name in tne.__all__:
        thing = getattr(tne, name)
        if callable(thing):
            assert thing.__doc__ and thing.__doc__.strip(), name


def test_import_is_light():
    """`import tne_eval` loads none of the heavy libraries; pandas alone costs more."""
    code = (
        "import sys, tne_eval; print([m for m in ('pandas', 'matplotlib', 'papermill', 'scipy') if m in sys.modules])"
    )
    assert run(sys.executable, "-c", code).stdout.strip() == "[]"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    assert "papermill" not in book["metadata"]
    assert len(book["cells"]) <= 30
    for cell in book["cells"]:
        assert cell["id"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    tagged = [cell for cell in book["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_arithmetic_and_type_no_figure(path):
    """Calls to the library only; no digit in prose: numbers come from results."""
    import ast

    book = json.loads(path.read_text(encoding="utf-8"))
    for cell in book["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            assert not any(char.isdigit() for char in text), text
        else:
            for node in ast.walk(ast.parse(text)):
                assert not isinstance(node, ast.BinOp | ast.For | ast.FunctionDef | ast.If), text
