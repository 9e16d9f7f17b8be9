"""Parameterised notebooks, run by papermill: checked parameters in, the executed notebook out, nothing else.

Two papermill engines give the same bytes: `fork` (one process per notebook, forked from a parent that has already
imported the libraries) and `nbclient` (a Jupyter kernel: the reference, slower).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tne_eval.errors import ReportError, UnknownNameError
from tne_eval.report.fork import forked_outcomes
from tne_eval.report.parameters import check_injection, check_parameters, declared_parameters

TIMEOUT = 600.0
# One thread in linear algebra: reports are made side by side, and sums are then always in the same order.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_PRELOADED = (
    "numpy",
    "pandas",
    "matplotlib.pyplot",
    "IPython.core.interactiveshell",
    "markdown_it",
    "tne_eval.report.html",
    "tne_eval.report.pdf",
    "tne_eval.catalog",
    "tne_eval.sources",
    "tne_eval.indicators",
    "tne_eval.impact",
    "tne_eval.results",
    "tne_eval.plotting",
    "tne_eval.maps",
    "tne_eval.report.facts",
    "tne_eval.report.sections",
    "scipy.optimize",
)


def default_engine() -> str:
    """`fork` where it is safe (a POSIX system, a single thread), otherwise `nbclient`."""
    return "fork" if hasattr(os, "fork") and threading.active_count() == 1 else "nbclient"


def read_notebook(path: Path):
    """A local notebook file, validated; any other kind of address is refused."""
    import nbformat

    place = Path(path)
    if place.suffix != ".ipynb" or not place.is_file():
        raise ReportError("not a notebook file", where=str(path)[:200])
    try:
        notebook = nbformat.reads(place.resolve().read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        raise ReportError("a notebook that cannot be read", where=str(place), why=str(error)[:200]) from error
    return notebook


def execute_notebook(
    notebook: Path, parameters: dict[str, Any], output: Path, engine: str = "", *, timeout: float = TIMEOUT
):
    """Run a notebook through papermill and write the result to `output`, whole or not at all.

    Parameters
    ----------
    notebook : a local `.ipynb` file.
    parameters : values for names that its `parameters` cell declares, of the declared types.
    output : where the executed notebook goes; the path is taken literally. Its folder must exist.
    engine : "fork", "nbclient", or "" for the best one here.
    timeout : seconds for the whole notebook (fork) or for a cell (nbclient).

    Returns
    -------
    The executed notebook, without anything that differs between two equal runs.

    Raises
    ------
    UnknownNameError, ReportError : before running, for a parameter that is not declared or not of its type.
    ReportError : a cell failed, the process died or time ran out; the notebook so far is at `output`.
    """
    source = read_notebook(notebook)
    parameters = check_parameters(parameters, declared_parameters(source))
    check_injection(parameters)
    engines = _engines()
    engine = engine or default_engine()
    if engine not in engines:
        raise UnknownNameError("engine", engine, engines)
    output = Path(output)
    scratch = output.with_name(output.name + ".cwd")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        executed, failure = _run(source, parameters, engines[engine], scratch, timeout)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    executed = clean_notebook(executed)
    write_notebook(executed, output)
    if failure is not None:
        raise failure
    return executed


def _run(source, parameters: dict, engine: str, scratch: Path, timeout: float):
    """(executed notebook, None) or (notebook so far, the error)."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    kept: list = []
    outputs: dict[int, list] = {}
    try:
        executed = papermill.execute_notebook(
            source,
            None,
            parameters=parameters,
            engine_name=engine,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=scratch,
            kept=kept,
            outputs=outputs,
            scratch=scratch,
            execution_timeout=timeout,
        )
    except papermill.PapermillExecutionError as error:
        notebook = _so_far(kept[0], outputs)
        last = next((line for line in reversed(error.evalue.splitlines()) if line.strip()), "")
        return notebook, ReportError(
            f"{_failed_place(notebook)} failed: {error.ename}: {last}"[:400].rstrip(": "),
            why=_last_line(error.traceback),
        )
    except (CellTimeoutError, DeadKernelError) as error:
        notebook = _so_far(kept[0], outputs)
        what = "ran out of time" if isinstance(error, CellTimeoutError) else "ended with its process"
        return notebook, ReportError(f"{_failed_place(notebook)} {what}", why=str(error).strip()[:200])
    return _with_outputs(executed, outputs), None


def _with_outputs(notebook, outputs: dict[int, list]):
    for index, found in outputs.items():
        notebook.cells[index].outputs = found
    return notebook


def _so_far(notebook, outputs: dict[int, list]):
    from papermill.execute import remove_error_markers

    return _with_outputs(remove_error_markers(notebook), outputs)


def _failed_place(notebook) -> str:
    from tne_eval.report.html import cell_place

    for index, cell in enumerate(notebook.cells):
        state = cell.metadata.get("papermill", {})
        if state.get("exception") is True or state.get("status") in ("failed", "running"):
            return cell_place(notebook.cells, index)
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            return cell_place(notebook.cells, index)
    return "the notebook"


def _last_line(trace: list[str]) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(trace))
    places = [line.strip() for line in text.splitlines() if re.match(r"\s*-+>\s*\d+", line)]
    return places[-1][:200] if places else ""


def clean_notebook(notebook):
    """Take out the five kinds of metadata that differ between equal runs; parameters and results stay."""
    import nbformat

    notebook = nbformat.from_dict(notebook)
    parameters = notebook.metadata.get("papermill", {}).get("parameters", {})
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "papermill": {"parameters": parameters},
        }
    )
    for rank, cell in enumerate(notebook.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        elif "id" not in cell:
            cell["id"] = f"cell-{rank}"
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    return notebook


def write_notebook(notebook, path: Path) -> None:
    """Canonical bytes (sorted keys, one final line break), put in place at once."""
    import nbformat

    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT, sort_keys=True).rstrip("\n") + "\n"
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """The collector would go through all that is imported, again and again, and find nothing to free."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@_uncollected()
def preload() -> None:
    """Import, once and in the parent, what notebooks use: each fork then starts at once."""
    if "numpy" not in sys.modules:
        os.environ.update(_ONE_THREAD)
    atexit.register(_leave_unswept)
    _engines()
    for name in _PRELOADED:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)


def _leave_unswept() -> None:
    """What the system takes back at the end need not be swept first: that takes as long as half a report. DuckDB would
    take for a leak, and say so, what is not swept."""
    if "duckdb" not in sys.modules:
        gc.freeze()


@_uncollected()
def warm() -> None:
    """Fill, once and in the parent, what every report would fill again: the catalogue, the shipped panel and its
    indicators, the texts of figures, the form of notebooks and of pages."""
    import nbformat

    from tne_eval.catalog import list_designs, list_indicators, list_sources, list_territories
    from tne_eval.errors import TneError
    from tne_eval.indicators.compute import all_rows, compute_indicator, indicator_table
    from tne_eval.report.blocks import Title, figure_block
    from tne_eval.report.facts import gather_shared
    from tne_eval.report.html import check_page, render_report
    from tne_eval.sources import load_panel

    nbformat.validate(nbformat.v4.new_notebook())
    list_sources()
    with contextlib.suppress(TneError):
        index = gather_shared(load_panel()).index
        outcomes = [plan.outcome for plan in list_designs()]
        for make, asked in ((all_rows, list_indicators()), (indicator_table, outcomes)):
            for one in asked:
                with contextlib.suppress(TneError):
                    make(one, index)
        result = compute_indicator(outcomes[0], index, list_territories()[0].id)
        figure = figure_block(result.plot().figure, name="warm", caption="warm", alt="warm", data=result.frame)
        check_page(render_report((Title("warm", level=1), figure)))


@cache
def _engines() -> dict[str, str]:
    """Register both engines in papermill; our name → papermill's name."""
    import matplotlib
    from nbclient.exceptions import CellTimeoutError
    from papermill.engines import Engine, NBClientEngine, papermill_engines
    from traitlets.config import Config

    class ForkEngine(Engine):
        """Cells run in a forked child of this process, in an IPython shell.

        Outputs go to `outputs`, but for an error's: papermill would write them out, twice, to nowhere.
        """

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, *, kept, outputs, scratch, execution_timeout, **kwargs):
            kept.append(nb_man.nb)
            for outcome in forked_outcomes(nb_man.nb.cells, scratch, execution_timeout):
                if outcome["event"] == "timeout":
                    raise CellTimeoutError(f"more than {execution_timeout:g} s")
                cell = nb_man.nb.cells[outcome["index"]]
                if outcome["event"] == "start":
                    nb_man.cell_start(cell, outcome["index"])
                    continue
                cell.execution_count = outcome["count"]
                failed = any(output.output_type == "error" for output in outcome["outputs"])
                cell.outputs = outcome["outputs"] if failed else []
                outputs[outcome["index"]] = outcome["outputs"]
                if failed:
                    nb_man.cell_exception(cell, cell_index=outcome["index"])
                nb_man.cell_complete(cell, cell_index=outcome["index"])

    class KernelEngine(NBClientEngine):
        """papermill's own engine, in an environment that does not depend on the user's settings."""

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, *, kept, outputs, scratch, **kwargs):
            kept.append(nb_man.nb)
            settings = {
                "MPLBACKEND": "Agg",
                "MATPLOTLIBRC": str(Path(matplotlib.get_data_path()) / "matplotlibrc"),
                "IPYTHONDIR": str(scratch / "ipython"),
                **_ONE_THREAD,
            }
            config = Config({"KernelManager": {"transport": "ipc"}})
            with _environment(settings):
                super().execute_managed_notebook(nb_man, kernel_name, config=config, **kwargs)

    papermill_engines.register("tne-fork", ForkEngine)
    papermill_engines.register("tne-nbclient", KernelEngine)
    return {"fork": "tne-fork", "nbclient": "tne-nbclient"}


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
