"""tne_eval: impact indicators on school inequality and the digital divide, and evaluation reports.

import tne_eval as tne

panel = tne.load_panel()
tne.compute_indicator("dnb_success_percent", panel, territory="aisne")
tne.estimate_impact("dnb_within_academie", panel, territory="aisne")
tne.make_report("aisne")
"""

from importlib import import_module

__version__ = "0.1.0"

# Public names and where they live: imported at first use, so that `import tne_eval` costs next to nothing.
_HOME = {
    "ImpactResult": "tne_eval.results",
    "IndicatorResult": "tne_eval.results",
    "Verdict": "tne_eval.results",
    "compute_indicator": "tne_eval.indicators",
    "describe_panel": "tne_eval.sources",
    "estimate_impact": "tne_eval.impact",
    "list_designs": "tne_eval.catalog",
    "list_indicators": "tne_eval.catalog",
    "list_sources": "tne_eval.catalog",
    "list_territories": "tne_eval.catalog",
    "load_panel": "tne_eval.sources",
    "make_report": "tne_eval.report",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted([*__all__, "catalog", "impact", "indicators", "report", "sources"])
