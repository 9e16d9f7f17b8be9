"""Can this installation do its work? One check a part, each with what it found."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from tne_eval.errors import MissingDataError, TneError
from tne_eval.results import Check

_LIBRARIES = ("duckdb", "jupyterlab", "matplotlib", "numpy", "pandas", "papermill", "scipy", "statsmodels")


def examine() -> list[Check]:
    """Python and libraries, catalogue, shipped figures, one effect, a folder that can be written."""
    parts: dict[str, Callable[[], str]] = {
        "python": _python,
        "libraries": _libraries,
        "catalogue": _catalogue,
        "figures": _figures,
        "effect": _effect,
        "notebooks": _notebooks,
        "writing": _writing,
    }
    checks = []
    for id, part in parts.items():
        try:
            checks.append(Check(id, True, None, None, part()))
        except (TneError, OSError, metadata.PackageNotFoundError) as error:
            checks.append(Check(id, False, None, None, str(error)))
    return checks


def _python() -> str:
    return f"Python {platform.python_version()} on {sys.platform}"


def _libraries() -> str:
    return ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)


def _catalogue() -> str:
    from tne_eval import catalog

    counts = {
        name: len(getattr(catalog, f"list_{name}")()) for name in ("territories", "sources", "indicators", "designs")
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _figures() -> str:
    from tne_eval.sources import describe_panel, load_panel

    panel = load_panel()
    return f"{len(panel)} figures in {len(describe_panel(panel))} tables, sha256 as recorded"


def _effect() -> str:
    from tne_eval.impact import estimate_impact
    from tne_eval.sources import load_panel

    result = estimate_impact("dnb_within_academie", load_panel())
    return f"{result.design.id}: {result.estimate:+.2f} points, {result.verdict}"


def _notebooks() -> str:
    from tne_eval.paths import shipped

    names = sorted(path.name for path in shipped("notebooks").glob("*.ipynb"))
    if not names:
        raise MissingDataError("no notebook is shipped", remedy="install tne-eval again")
    return ", ".join(names)


def _writing() -> str:
    with tempfile.NamedTemporaryFile(dir=Path.cwd()):
        return "this folder can be written"
