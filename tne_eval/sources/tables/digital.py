"""Digital use and access, from sources that are fetched, not shipped: ENT visits, Pix, premises within reach of 4G.

Schools count where they contribute (a figure above zero): a sum over few of them would show one of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tne_eval.catalog import disclosure_rule
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.communes import departements_of_uais
from tne_eval.sources.geography import list_departements, normalise_departements, plain_name
from tne_eval.sources.tables.spec import (
    DEPARTEMENT,
    SCHOOL_YEAR,
    Frames,
    Table,
    count,
    text,
    whole,
)

_PROFILES = {"pupils": ("eleve", "élèves"), "parents": ("parent", "parents"), "teachers": ("enseignant", "enseignants")}
_BY = ["departement", "school_year"]
# The months without which the sum over a school year would be that of a part of it.
_TAUGHT = {9, 10, 11, 12, 1, 2, 3, 4, 5, 6}
_ABROAD = "099"
_COLLEGE_LEVEL = r"^(?:[3-6] ?e(?:me)?|sixieme|cinquieme|quatrieme|troisieme)\b"


def _school_year(year: pd.Series, month: pd.Series) -> pd.Series:
    """First calendar year of the school year, September to August."""
    return year - (month < 9)


def _totals(schools: pd.DataFrame, figures: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Sums by département × school year, each with its `…_status`.

    `schools`: one row per school and school year. `figures`: variable → (column of the schools that contribute to it,
    column of the people it is built on). A sum with an unknown term is missing; one built on fewer schools or people
    than the disclosure rule asks for is hidden.
    """
    rule = disclosure_rule()
    schools = schools[schools["departement"].isin(list_departements())]
    keys = [schools[name] for name in _BY]
    table = schools.groupby(_BY).size().rename("schools").to_frame()
    for name, (base, people) in figures.items():
        known = schools[name].notna().groupby(keys).all()
        total = schools[name].groupby(keys).sum().where(known)
        few = (schools[base] > 0).groupby(keys).sum() < rule["min_schools"]
        few |= schools[people].groupby(keys).sum() < rule["min_pupils"]
        table[name] = total.mask(few)
        table[f"{name}_status"] = np.select([few, ~known], ["hidden", "missing"], "observed")
    return table.reset_index()


def _ent_schools(raw: pd.DataFrame) -> pd.DataFrame:
    """Weekly rows → one row per school and school year: visits, and the most users of a week."""
    raw = raw[~raw["uai"].str.startswith(_ABROAD)]
    day = raw["debutsemaine"].astype(int)
    columns = {name: raw[name].astype(float) for kind, _ in _PROFILES.values() for name in _counts(kind)}
    rows = pd.DataFrame({"uai": raw["uai"], "year": _school_year(day // 10_000, day // 100 % 100)} | columns)
    schools = rows.groupby(["uai", "year"])
    parts = {}
    for name, (kind, _) in _PROFILES.items():
        visits, users = _counts(kind)
        blank = rows[visits].isna().groupby([rows["uai"], rows["year"]]).any()
        parts[f"ent_visits_{name}"] = schools[visits].sum().mask(blank)
        parts[f"{name}_users"] = schools[users].max()
    table = pd.DataFrame(parts).rename_axis(["uai", "school_year"]).reset_index()
    return table.assign(departement=departements_of_uais(table["uai"], file="dnma_profils"))


def _counts(kind: str) -> tuple[str, str]:
    return f"visites_{kind}", f"utilisateurs_{kind}"


def _ent_departements(raw: pd.DataFrame) -> pd.DataFrame:
    """The server's sums by département × month: every figure is hidden, for nothing says how many schools it has."""
    places = raw["departement"].map(plain_name)
    raw = raw[places.isin({plain_name(name) for name in _names()})]
    table = pd.DataFrame(
        {
            "departement": normalise_departements(raw["departement"], file="dnma_profils"),
            "school_year": _school_year(raw["annee"].astype(int), raw["mois"].astype(int)),
        }
    ).drop_duplicates()
    table["schools"] = np.nan
    for name in _PROFILES:
        table[f"ent_visits_{name}"] = np.nan
        table[f"ent_visits_{name}_status"] = "hidden"
    return table.reset_index(drop=True)
