"""The engine: parameters are data, both engines give the same bytes, and nothing hangs."""

import hashlib
import itertools
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tne_eval.errors import ReportError, TneError, UnknownNameError
from tne_eval.report.engine import clean_notebook, execute_notebook
from tne_eval.report.html import check_page, notebook_blocks, render_report
from tne_eval.report.parameters import check_injection, check_parameters, declared_parameters

PARAMETERS = 'territory = "aisne"\nn: int = 2\nrate = 0.5\nbrief = False\nnames = ["a", "b"]'
BODY = """
import pandas as pd
from matplotlib import pyplot as plt
from tne_eval.report.blocks import Paragraph, Table, Title, escape_inline, figure_block, show
show(Title(f"Rapport {escape_inline(territory)}", level=1), Paragraph(f"{n} {rate} {brief} {names}"))
fig, ax = plt.subplots(figsize=(3, 2))
ax.plot(range(n), label="é")
show(figure_block(fig, name="courbe", caption="Une courbe", alt="Elle monte.", data=pd.DataFrame({"x": range(n)})))
Table("t", "Une table", pd.DataFrame({"a": ["1,5"]}), data=pd.DataFrame({"a": [1.5]}))
"""


def write_notebook(path, *codes, parameters=PARAMETERS):
    """A small notebook: a parameters cell, a text, and a cell for each code."""
    cells = [
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        new_markdown_cell("## Une partie\n\nDu **texte**."),
        *(new_code_cell(code.strip()) for code in codes),
    ]
    for rank, cell in enumerate(cells):
        cell["id"] = f"cell-{rank}"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


@pytest.fixture
def notebook(tmp_path):
    return write_notebook(tmp_path / "n.ipynb", BODY)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_both_engines_and_two_runs_give_the_same_bytes(notebook, tmp_path):
    parameters = {"territory": "l'Aisne \"*\n\\ é {x}", "n": 4, "rate": 2, "brief": True, "names": ["x"]}
    hashes, pages = set(), set()
    for rank, engine in enumerate(("fork", "nbclient", "fork")):
        output = tmp_path / f"{{territory}} {{0}} {rank}.ipynb"
        executed = execute_notebook(notebook, parameters, output, engine)
        page = render_report(notebook_blocks(executed))
        check_page(page)
        hashes.add(sha256(output))
        pages.add(page)
    assert len(hashes) == 1 and len(pages) == 1
    assert json.loads(output.read_text())["metadata"]["papermill"] == {"parameters": {**parameters, "rate": 2.0}}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []


def test_run_dependent_metadata_are_stripped(notebook, tmp_path):
    executed = execute_notebook(notebook, {"n": 3}, tmp_path / "o.ipynb", "fork")
    text = (tmp_path / "o.ipynb").read_text()
    for word in ("start_time", "end_time", "duration", "output_path", "input_path", "iopub", str(tmp_path)):
        assert word not in text
    assert [cell["id"] for cell in executed.cells][1] == "injected-parameters"
    nbformat.validate(executed)
    assert clean_notebook(executed) == executed


# --- parameters are data -------------------------------------------------------------------------------------


def test_typo_is_an_error_that_lists_the_near_names(notebook, tmp_path):
    with pytest.raises(UnknownNameError, match="territory"):
        execute_notebook(notebook, {"teritory": "aisne"}, tmp_path / "o.ipynb")
    assert not (tmp_path / "o.ipynb").exists()


def test_ten_thousand_hostile_names_and_values_touch_nothing(notebook, tmp_path):
    canary = tmp_path / "canary"
    act = f"open({str(canary)!r}, 'w')"
    draw = random.Random(20260131)
    seeds = [
        f"x = 1; {act} #",
        f"'; {act} #",
        f'"""\n{act}\n"""',
        f"\\'; {act}",
        f"{{{act}}}",
        f"__import__('os') or {act}",
    ]
    seeds += [
        "../x",
        "http://a.fr/n.ipynb",
        "s3://a/b",
        '{"cells": []}',
        "{0.__class__}",
        "\r\n" + act,
        "\ud800",
        "\x00",
    ]
    declared = declared_parameters(nbformat.read(notebook, 4))
    refused = kept = 0
    for rank in range(10_000):
        text = "".join(draw.choices(draw.choice(seeds), k=3)) + draw.choice(seeds) if rank % 2 else draw.choice(seeds)
        with pytest.raises(UnknownNameError):
            check_parameters({text: "aisne"}, declared)
        try:
            parameters = check_parameters({"territory": text}, declared)
            check_injection(parameters)
            kept += 1
        except ReportError:
            refused += 1
    assert kept and refused and not canary.exists()


def test_hostile_values_run_as_data(notebook, tmp_path):
    canary = tmp_path / "canary"
    value = f"'''\"; open({str(canary)!r}, 'w') #\n\\"
    executed = execute_notebook(notebook, {"territory": value, "names": [value]}, tmp_path / "o.ipynb", "fork")
    assert not canary.exists()
    assert executed.metadata.papermill.parameters.territory == value


@pytest.mark.parametrize(
    "parameters",
    [
        {"n": "3"},
        {"n": True},
        {"n": 1.5},
        {"territory": 2},
        {"territory": None},
        {"territory": Path("aisne")},
        {"territory": ["aisne"]},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"brief": 1},
        {"names": ("a",)},
        {"names": [1]},
        {"names": [["a"]]},
        {"names": {"a": 1}},
        {"territory": type("Text", (str,), {})("aisne")},
    ],
)
def test_values_of_another_type_are_refused(notebook, tmp_path, parameters):
    with pytest.raises(ReportError):
        execute_notebook(notebook, parameters, tmp_path / "o.ipynb")
    assert not (tmp_path / "o.ipynb").exists()


@pytest.mark.parametrize("cell", ["x = open('a')", "import os", "x = y = 1", "x, y = 1, 2", "x = {}", "x = 1 +", "f()"])
def test_parameter_cells_hold_literals_only(tmp_path, cell):
    path = write_notebook(tmp_path / "n.ipynb", "1", parameters=cell)
    with pytest.raises(ReportError):
        execute_notebook(path, {}, tmp_path / "o.ipynb")


@pytest.mark.parametrize(
    "address", ["http://a.fr/n.ipynb", "s3://a/n.ipynb", '{"cells": []}', "n.txt", "absent.ipynb", "."]
)
def test_only_local_notebook_files_are_read(tmp_path, address):
    with pytest.raises(ReportError, match="not a notebook"):
        execute_notebook(address, {}, tmp_path / "o.ipynb")


def test_unknown_engine(notebook, tmp_path):
    with pytest.raises(UnknownNameError):
        execute_notebook(notebook, {}, tmp_path / "o.ipynb", "frok")


# --- failures ------------------------------------------------------------------------------------------------


def _failure(tmp_path, *codes, engine="fork", timeout=30.0):
    path = write_notebook(tmp_path / "n.ipynb", *codes)
    started = time.monotonic()
    with pytest.raises(ReportError) as caught:
        notebook_blocks(execute_notebook(path, {"n": 3}, tmp_path / "o.ipynb", engine, timeout=timeout))
    assert time.monotonic() - started < 15
    return str(caught.value), nbformat.read(tmp_path / "o.ipynb", 4)


@pytest.mark.parametrize("engine", ["fork", "nbclient"])
def test_failing_cell(tmp_path, engine):
    message, kept = _failure(tmp_path, "a = 1", "b = 2\nraise ValueError('premier\\ndernier')", "c = 3", engine=engine)
    assert "cell 4 failed: ValueError: dernier" in message and "raise ValueError" in message
    kinds = [[output.output_type for output in cell.outputs] for cell in kept.cells if cell.cell_type == "code"]
    assert kinds == [[], [], [], ["error"], []]
    assert kept.cells[-1].execution_count is None


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), 9)", "os._exit(3)", "os.abort()"])
def test_dead_child_is_an_error_not_a_hang(tmp_path, how):
    message, _ = _failure(tmp_path, "a = 1", f"import os\n{how}", "b = 2")
    assert "cell 4 failed: DeadProcessError" in message


def test_dead_kernel_is_an_error_not_a_hang(tmp_path):
    message, _ = _failure(tmp_path, "import os\nos.kill(os.getpid(), 9)", engine="nbclient")
    assert "cell 3" in message or "process" in message


def test_timeout(tmp_path):
    message, _ = _failure(tmp_path, "import time\ntime.sleep(60)", timeout=0.5)
    assert "cell 3 ran out of time" in message


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("print('bonjour')", "stdout"),
        ("import os\n_ = os.system('echo bonjour')", "stdout"),
        ("import warnings\nwarnings.warn('attention')", "stderr"),
        ("3 + 4", "execute_result"),
        ("from matplotlib import pyplot\npyplot.figure()", "execute_result"),
        ("input('?')", "input"),
        ("exit()", "SystemExit"),
        ("raise SystemExit(0)", "cell 3"),
        ("def f(:", "SyntaxError"),
        ("%run nulle_part.py", "cell 3"),
    ],
)
def test_stray_outputs_and_bad_cells(tmp_path, code, word):
    message, _ = _failure(tmp_path, code)
    assert word in message and "cell 3" in message


def test_the_parent_is_left_as_it_was(tmp_path):
    import matplotlib

    path = write_notebook(
        tmp_path / "n.ipynb",
        "import matplotlib, os, builtins\nmatplotlib.rcParams['font.size'] = 77\nos.environ['TNE_TEST'] = '1'\n"
        "builtins.len = None\nopen('trace', 'w').close()",
    )
    before, size = Path.cwd(), matplotlib.rcParams["font.size"]
    execute_notebook(path, {}, tmp_path / "o.ipynb", "fork")
    import os

    assert (Path.cwd(), matplotlib.rcParams["font.size"]) == (before, size) and "TNE_TEST" not in os.environ
    assert len([1]) == 1 and sorted(child.name for child in tmp_path.iterdir()) == ["n.ipynb", "o.ipynb"]


def test_the_child_starts_fresh(tmp_path):
    import matplotlib

    code = "import matplotlib, warnings\nassert matplotlib.rcParams['font.size'] == 10.0\nwarnings.warn('x')"
    with matplotlib.rc_context({"font.size": 33}):
        message, _ = _failure(tmp_path, code)
    assert "stderr" in message


def test_every_error_is_ours(tmp_path):
    (tmp_path / "bad.ipynb").write_text("{}")
    (tmp_path / "text.ipynb").write_text("pas du JSON")
    for name, engine in itertools.product(("bad", "text"), ("fork", "nbclient")):
        with pytest.raises(TneError):
            execute_notebook(tmp_path / f"{name}.ipynb", {}, tmp_path / "o.ipynb", engine)


@pytest.mark.parametrize("also", ["", "import duckdb; duckdb.sql('select 1').fetchall()"], ids=["alone", "with DuckDB"])
def test_a_process_that_was_made_ready_ends_in_silence(also):
    code = f"from tne_eval.report import engine; engine.preload(); engine.warm(); {also}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
