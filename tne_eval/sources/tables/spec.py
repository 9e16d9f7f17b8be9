"""What a shipped table is: where it comes from, what its columns are, how it enters the panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Field:
    """A column. `empty` says why a cell is blank: a status, or the column of the table that holds the status."""

    name: str
    type: str
    title: str
    unit: str = ""
    variable: bool = False
    empty: str = ""
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A shipped table, made by the pure function `make` from raw frames by source id."""

    name: str
    title: str
    sources: tuple[str, ...]
    make: Callable[[Frames], pd.DataFrame]
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    period: str
    period_type: str
    unit: str = "departement"
    group: tuple[str, ...] = ()
    weight: str | None = None
    n: str | None = None
    note: str = ""


def text(name: str, title: str) -> Field:
    return Field(name, "string", title)


def whole(name: str, title: str, unit: str = "") -> Field:
    """A whole number that identifies or describes, not a variable."""
    return Field(name, "integer", title, unit)


def count(name: str, title: str, unit: str, empty: str = "") -> Field:
    return Field(name, "integer", title, unit, variable=True, empty=empty)


def figure(name: str, title: str, unit: str, decimals: int, empty: str = "") -> Field:
    return Field(name, "number", title, unit, variable=True, empty=empty, decimals=decimals)


def known_sum(values: pd.Series | pd.DataFrame, keys: object) -> pd.Series | pd.DataFrame:
    """Sums by group, not known where a term is not; `keys` are what `groupby` takes."""
    return values.groupby(keys).sum().mask(values.isna().groupby(keys).any())


DEPARTEMENT = text("departement", "Code du département")
SCHOOL_YEAR = whole("school_year", "Année scolaire (première année civile)")
SESSION = whole("session", "Session d'examen (année civile)")
GROUP = text("ips_group", "Groupe d'établissements du département, par IPS croissant")
SCHOOLS = whole("schools", "Établissements du groupe", "établissements")
