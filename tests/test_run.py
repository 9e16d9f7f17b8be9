"""The run: resume, failures kept aside, whole reports whatever instant a kill comes at, inert tables."""

import contextlib
import csv
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tne_eval.errors import MissingDataError, ReportError, UnknownNameError
from tne_eval.report import index, manifest, publish, run
from tne_eval.report.blocks import Grid
from tne_eval.report.html import check_page, search_script

IDS = ("aisne", "cher", "val-d-oise")
BODY = """
import pandas as pd
from tne_eval.report.blocks import Paragraph, Table, Title, Verdict, show
show(Title(f"Rapport {territory}", level=1), Verdict("On ne peut pas conclure", "Parce que.", "uncertain"))
show(Table("t", "Une table", pd.DataFrame({"a": ["1,5"]}), data=pd.DataFrame({"a": [1.5], "b": ["=1+1"]})))
"""


def write_notebook(path, *codes):
    cells = [new_code_cell('territory = "aisne"', metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(code.strip()) for code in codes]
    for rank, cell in enumerate(cells):
        cell["id"] = f"cell-{rank}"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def write_data(folder, text="a\n1\n"):
    folder.mkdir(exist_ok=True)
    (folder / "dnb.csv").write_text(text)
    table = {"name": "dnb", "path": "dnb.csv", "vintage": "2016-2025", "until": "2025-06"}
    (folder / "datapackage.json").write_text(json.dumps({"resources": [table]}))
    return folder


@pytest.fixture
def notebook(tmp_path):
    return write_notebook(tmp_path / "n.ipynb", BODY)


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def jobs_of(notebook, ids=IDS):
    return [run.Job(id, notebook, {"territory": id}) for id in ids]


def tree(folder):
    """Every file and folder, with bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


# --- what a run leaves ---------------------------------------------------------------------------------------


def test_layout_and_progress(notebook, data, tmp_path):
    events = []
    results = run.make_reports(jobs_of(notebook), tmp_path / "out", data=data, on_event=events.append)
    assert [(result.id, result.status) for result in results] == [(id, "made") for id in IDS]
    assert set(tree(tmp_path / "out")) == {"index.html"} | {
        f"{id}{end}"
        for id in IDS
        for end in (
            *("", "/latest.html", "/latest.pdf", "/2025-S1", "/2025-S1/manifest.json", "/2025-S1/report.html"),
            "/2025-S1/report.pdf",
            *("/2025-S1/report.ipynb", "/2025-S1/tables", "/2025-S1/tables/t.csv", "/2025-S1/figures"),
        )
    }
    assert results[0].html.read_bytes() == (tmp_path / "out/aisne/latest.html").read_bytes()
    assert (results[0].folder / "tables/t.csv").read_text() == "a,b\n1.5,'=1+1\n"
    assert sorted(event.kind for event in events) == ["end"] * 3 + ["start"] * 3
    assert (events[-1].done, events[-1].total) == (3, 3)
    page = (tmp_path / "out/index.html").read_text()
    check_page(page, local_links=True, script=search_script())
    assert 'href="aisne/latest.html"' in page and "On ne peut pas conclure" in page and "Rapport non produit" in page


def test_up_to_date_touches_nothing_and_loads_nothing_heavy(notebook, data, tmp_path):
    out = tmp_path / "out"
    run.make_reports(jobs_of(notebook), out, data=data)
    before = stamps(out)
    code = (
        "import sys, pathlib\n"
        "from tne_eval.report import run\n"
        f"jobs = [run.Job(id, pathlib.Path({str(notebook)!r}), {{'territory': id}}) for id in {IDS!r}]\n"
        f"results = run.make_reports(jobs, {str(out)!r}, data=pathlib.Path({str(data)!r}))\n"
        "assert {result.status for result in results} == {'up_to_date'}, results\n"
        "assert not {'papermill', 'matplotlib', 'nbformat', 'IPython'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert stamps(out) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "2025-S1/report.html").write_text("x"),
        lambda folder: (folder / "2025-S1/tables/t.csv").unlink(),
        lambda folder: (folder / "2025-S1/extra.txt").write_text("x"),
        lambda folder: (folder / "2025-S1/manifest.json").write_text("{"),
        lambda folder: (folder / "latest.html").write_text("x"),
        lambda folder: (folder / "latest.html").unlink(),
    ],
)
def test_a_damaged_report_is_made_good(notebook, data, tmp_path, damage):
    out = tmp_path / "out"
    job = jobs_of(notebook, ["aisne"])
    run.make_reports(job, out, data=data)
    before = tree(out)
    damage(out / "aisne")
    run.make_reports(job, out, data=data)
    assert tree(out) == before


def test_new_figures_make_a_new_report(notebook, data, tmp_path):
    job = jobs_of(notebook, ["aisne"])
    first = run.make_reports(job, tmp_path / "out", data=data)[0]
    made = manifest.read_manifest(first.folder)
    write_data(data, "a\n2\n")
    second = run.make_reports(job, tmp_path / "out", data=data)[0]
    assert second.status == "made" and manifest.read_manifest(second.folder).run_id != made.run_id


def test_latest_is_the_newest_edition(notebook, data, tmp_path):
    job = jobs_of(notebook, ["aisne"])
    for edition in ("2025-S1", "2024-S2"):
        run.make_reports(job, tmp_path / "out", data=data, edition=edition)
    assert "2025-S1" in (tmp_path / "out/aisne/latest.html").read_text()


def test_a_failing_report_stops_nothing_and_replaces_nothing(notebook, data, tmp_path):
    out = tmp_path / "out"
    run.make_reports(jobs_of(notebook), out, data=data)
    before = tree(out / "cher")
    write_data(data, "a\n2\n")
    bad = write_notebook(tmp_path / "bad.ipynb", BODY, "raise ValueError('cassé')")
    absent = run.Job("doubs", tmp_path / "absent.ipynb", {})
    jobs = [run.Job(job.id, bad if job.id == "cher" else notebook, job.parameters) for job in jobs_of(notebook)]
    results = run.make_reports([*jobs, absent], out, data=data)
    assert [result.status for result in results] == ["made", "failed", "made", "failed"]
    assert "cell 3 failed: ValueError: cassé" in results[1].message and "absent.ipynb" in results[3].message
    after = tree(out / "cher")
    assert after.pop("2025-S1.failed.ipynb") and after == before
    assert run.make_reports(jobs_of(notebook), out, data=data)[1].status == "made"
    assert not (out / "cher/2025-S1.failed.ipynb").exists()


def test_a_report_that_shows_anything_else_fails(data, tmp_path):
    for code in ("print('x')", BODY + "\nshow(Paragraph('[x](#nulle-part)'))", "from tne_eval.report.blocks import *"):
        path = write_notebook(tmp_path / "n.ipynb", code)
        assert run.make_reports(jobs_of(path, ["aisne"]), tmp_path / "out", data=data)[0].status == "failed"
    assert sorted(path.name for path in (tmp_path / "out/aisne").iterdir()) == ["2025-S1.failed.ipynb"]


def test_a_worker_that_dies_is_a_failed_report(notebook, data, tmp_path, monkeypatch):
    real = run._make
    monkeypatch.setattr(run, "_make", lambda job, *rest: os._exit(9) if job.id == "cher" else real(job, *rest))
    monkeypatch.setattr(run.threading, "active_count", lambda: 1)
    results = run.make_reports(jobs_of(notebook), tmp_path / "out", data=data)
    assert [result.status for result in results] == ["made", "failed", "made"]


def test_names_come_from_the_catalogue(tmp_path):
    for name in ("../aisne", "aisn", "/etc", "", None, 3):
        with pytest.raises(UnknownNameError):
            run.make_report(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("edition", ["../x", "2025", "2025-S3", "2025-S1/..", "2025-S1\n"])
def test_editions_are_checked(notebook, data, tmp_path, edition):
    with pytest.raises(ReportError):
        run.make_reports(jobs_of(notebook), tmp_path / "out", data=data, edition=edition)
    assert not (tmp_path / "out").exists()


def test_the_index_tells_editions_and_stands_a_damaged_one(notebook, data, tmp_path):
    out, job = tmp_path / "out", jobs_of(notebook, ["aisne"])
    for edition in ("2024-S2", "2025-S1", "2025-S2"):
        run.make_reports(job, out, data=data, edition=edition)
    page = (out / "index.html").read_text()
    assert page.index('href="aisne/2025-S1/report.html"') < page.index('href="aisne/2024-S2/report.html"')
    assert 'href="aisne/2025-S2/report.html"' not in page and 'href="aisne/2025-S2/tables/"' in page
    (out / "aisne/2025-S2/manifest.json").write_text("{")
    assert index.write_index(out)
    assert "aisne/" not in (out / "index.html").read_text()


def test_a_worker_that_dies_costs_the_report_that_it_was_making(data, tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()
    body = f"""
import os, pathlib, signal
pathlib.Path({str(seen)!r}, territory).write_text(str(os.getppid()))
if territory == "cher":
    os.kill(os.getppid(), signal.SIGKILL)
"""
    ids = ["aisne", "cher", "doubs", "isere", "vosges"]
    jobs = jobs_of(write_notebook(tmp_path / "n.ipynb", body, BODY), ids)
    results = {result.id: result for result in run.make_reports(jobs, tmp_path / "out", data=data)}
    assert {id: result.status for id, result in results.items()} == {**dict.fromkeys(ids, "made"), "cher": "failed"}
    assert "-9" in results["cher"].message and not (tmp_path / "out/cher/latest.html").exists()
    makers = {int((seen / id).read_text()) for id in ids}
    assert len(makers) == 3  # two, and the one in place of the dead
    for process in makers:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    (again,) = run.make_reports(
        jobs_of(write_notebook(tmp_path / "n.ipynb", BODY), ["cher"]), tmp_path / "out", data=data
    )
    assert again.status == "made"


def test_a_linked_folder_is_refused(notebook, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/aisne").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReportError):
        run.make_reports(jobs_of(notebook, ["aisne"]), tmp_path / "out", data=data)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_no_figures(notebook, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError):
        run.make_reports(jobs_of(notebook), tmp_path / "out", data=tmp_path / "empty")


def test_default_edition():
    tables = {"a": {"until": "2024-12"}, "b": {"until": "2025-06"}, "c": {"until": ""}}
    assert manifest.default_edition(tables) == "2025-S1"
    assert manifest.default_edition({**tables, "d": {"until": "2025-07"}}) == "2025-S2"
    with pytest.raises(MissingDataError):
        manifest.default_edition({"a": {"until": "bientôt"}})


def test_run_id_depends_on_what_counts(notebook, data):
    def make(**changes):
        facts = {"notebook": notebook, "parameters": {"territory": "aisne"}, "data": data, **changes}
        return manifest.make_manifest("aisne", **facts).run_id

    first = make()
    assert make() == first
    assert make(parameters={"territory": "cher"}) != first and make(edition="2026-S1") != first
    write_notebook(notebook, BODY, "1")
    assert make() != first


BODY_WITH_FIGURE = (
    BODY
    + """
from matplotlib import pyplot as plt
from tne_eval.report.blocks import figure_block
fig, ax = plt.subplots()
ax.bar(list({"é", "à", "ç"} & {"é"}), [1.5], hatch="//", label="é")
ax.legend()
show(figure_block(fig, name="f", caption="Une figure", alt="Une barre.", data=pd.DataFrame({"x": [0.1 + 0.2]})))
"""
)


def test_same_bytes_in_another_environment(data, tmp_path):
    """Other folder, time zone, locale, hash seed, thread count, and a user's own plotting style."""
    notebook = write_notebook(tmp_path / "n.ipynb", BODY_WITH_FIGURE)
    trees = []
    for rank, zone in enumerate(("UTC", "Asia/Tokyo")):
        home = tmp_path / f"home{rank}"
        (home / ".config/matplotlib").mkdir(parents=True)
        (home / ".config/matplotlib/matplotlibrc").write_text(f"font.size: {10 + 9 * rank}\n")
        changes = {"TZ": zone, "PYTHONHASHSEED": str(rank), "LC_ALL": ("C", "C.UTF-8")[rank], "HOME": str(home)}
        threads = {"OPENBLAS_NUM_THREADS": str(1 + 7 * rank)}
        code = (
            "import pathlib\nfrom tne_eval.report import run\n"
            f"job = run.Job('aisne', pathlib.Path({str(notebook)!r}), {{'territory': 'aisne'}})\n"
            f"result, = run.make_reports([job], {str(home / 'out')!r}, data=pathlib.Path({str(data)!r}))\n"
            "assert result.status == 'made', result\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **changes, **threads},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        trees.append(tree(home / "out"))
    assert trees[0] == trees[1] and "aisne/2025-S1/figures/f.svg" in trees[0]


# --- tables are inert ----------------------------------------------------------------------------------------


def test_csv_cells_cannot_be_formulas():
    starts = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'"]
    texts = [start + end for start in starts for end in ("1+1", "cmd|' /C calc'!A0", "SUM(A1)", "", '"x"', ";x", ",x")]
    texts += [f"{start}{rank}" for start in starts for rank in range(10)] + ["Aisne", "−2,5", " =1", "1,5", "é"]
    assert len(texts) > 200
    numbers = (-1.5, -2, 0.1, 10**15, True, None)
    grid = Grid(("a", "=b"), tuple((text, numbers[rank % 6]) for rank, text in enumerate(texts)))
    rows = list(csv.reader(io.StringIO(run.csv_text(grid), newline="")))
    assert rows[0] == ["a", "'=b"]
    for text, number, (cell, value) in zip(texts, (row[1] for row in grid.rows), rows[1:], strict=True):
        assert not cell.startswith(tuple(starts[:-1]))
        assert (cell[1:] if cell.startswith("'") else cell) == text
        assert value == {True: "true", None: ""}.get(number, str(number))


# --- kill ----------------------------------------------------------------------------------------------------


def _forked(action):
    """Run in a child of its own session; its pid."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            action()
            code = 0
        finally:
            os._exit(code)
    return child


def _left_running(session, folder):
    """Processes of the session, or at work in the folder."""
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            if status[0] != "Z" and (
                int(status[3]) == session or str(entry.joinpath("cwd").readlink()).startswith(str(folder))
            ):
                left.append(entry.name)
    return left


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_killed_at_any_instant_then_run_again(notebook, tmp_path):
    from tne_eval.report.engine import preload

    preload()
    draw = random.Random(7)
    jobs = jobs_of(notebook, IDS[:2])
    old, new = write_data(tmp_path / "old"), write_data(tmp_path / "new", "a\n2\n")

    def make(out, data):
        results = run.make_reports(jobs, out, data=data)
        assert all(result.status != "failed" for result in results), results

    def finish(out, data):
        assert os.waitpid(_forked(lambda: make(out, data)), 0)[1] == 0

    started = time.monotonic()
    finish(tmp_path / "clean", old)
    length = time.monotonic() - started
    finish(tmp_path / "clean", new)
    expected = tree(tmp_path / "clean")
    known = {
        manifest.make_manifest(job.id, notebook=notebook, parameters=job.parameters, data=data).run_id
        for job in jobs
        for data in (old, new)
    }
    out = tmp_path / "out"
    for _ in range(20):
        finish(out, old)
        child = _forked(lambda: make(out, new))
        time.sleep(draw.uniform(0, 1.1 * length))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        deadline = time.monotonic() + 15
        while _left_running(child, out) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _left_running(child, out)
        for job in jobs:
            made = manifest.read_manifest(out / job.id / "2025-S1")
            assert made.run_id in known and made.outputs == manifest.list_outputs(out / job.id / "2025-S1")
            assert (out / job.id / "latest.html").read_text().endswith("</html>\n")
        finish(out, new)
        assert tree(out) == expected


def test_recovery_of_a_swap_in_two_renames(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "_exchange", lambda first, second: False)
    for stop in range(4):
        folder = tmp_path / str(stop)
        for name, text in (("2025-S1", "old"), (".staging", "new")):
            (folder / name).mkdir(parents=True)
            (folder / name / "report.html").write_text(text)
        steps = iter(range(10))

        def guard(real, stop=stop, steps=steps):
            def act(*args, **kwargs):
                if next(steps) == stop:
                    raise KeyboardInterrupt
                return real(*args, **kwargs)

            return act

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", guard(Path.rename))
            patch.setattr(publish.shutil, "rmtree", guard(publish.shutil.rmtree))
            with contextlib.suppress(KeyboardInterrupt):
                publish.publish_folder(folder / ".staging", folder / "2025-S1")
        with publish.locked(folder):
            assert tree(folder).keys() == {"2025-S1", "2025-S1/report.html"}
            assert (folder / "2025-S1/report.html").read_text() == ("old" if stop < 2 else "new")
