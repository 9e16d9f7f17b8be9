"""SAFE TABLES → REPORT: blocks, their HTML, the engine that runs notebooks, and the run that publishes.

Names are loaded when first used, so that finding a report up to date costs no plotting library.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "blocks": (
        "Block",
        "Bullets",
        "Card",
        "Cards",
        "Figure",
        "Grid",
        "Note",
        "Paragraph",
        "Span",
        "Table",
        "Title",
        "Verdict",
        "escape_inline",
        "figure_block",
        "from_dict",
        "parse_inline",
        "plain_text",
        "show",
    ),
    "engine": ("execute_notebook",),
    "html": ("check_page", "notebook_blocks", "render_block", "render_report"),
    "index": ("write_index",),
    "manifest": ("Manifest", "default_edition"),
    "run": ("ReportEvent", "ReportResult", "make_all_reports", "make_report"),
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
