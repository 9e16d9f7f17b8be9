"""FILES → PANEL: read, check, normalise, build the shipped figures, load the panel."""

from tne_eval.sources.geography import (
    academie_of,
    departement_name,
    list_departements,
    normalise_academie,
    normalise_departement,
    normalise_departements,
)
from tne_eval.sources.panel import PANEL_COLUMNS, describe_panel, load_panel
from tne_eval.sources.periods import format_period, parse_period

__all__ = [
    "PANEL_COLUMNS",
    "academie_of",
    "departement_name",
    "describe_panel",
    "format_period",
    "list_departements",
    "load_panel",
    "normalise_academie",
    "normalise_departement",
    "normalise_departements",
    "parse_period",
]
