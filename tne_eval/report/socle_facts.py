"""What the report on the digital base says from the files by convention and by school, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tne_eval.catalog import get_source
from tne_eval.errors import DesignError
from tne_eval.impact.take_up import TakeUp, take_up
from tne_eval.indicators.equity import Equity, LeftOut, equity, left_out
from tne_eval.indicators.grants import check_ceilings, leverage, rates_by_size, unit_costs
from tne_eval.indicators.targeting import (
    PoorestFirst,
    Targeting,
    TargetingBounds,
    compare_with_poorest_first,
    targeting,
    targeting_bounds,
)
from tne_eval.sources.build import find_files
from tne_eval.sources.read import read_table
from tne_eval.sources.snee import SneeFiles, load_snee, report_joins, schools_frame

# Beside the SNEE files: what says the need and the size of écoles, each used where it is at hand.
_BESIDE = ("ips_ecoles_2021", "ips_ecoles_2022", "effectifs_ecoles", "ifn_2020", "filosofi_communes", "densite")
# Measures of need by column of the schools: the sign that makes a higher value a greater need.
NEEDS = {"ips": -1.0, "ifn": 1.0, "income": -1.0, "rural": 1.0}
# Covariates of the selection model, those that are known; rows where one is missing are left out and counted.
_COVARIATES = ("ips", "ifn", "income", "rural", "pupils", "sector")
# Below this share of schools that have it, a covariate is left out rather than the schools that lack it.
_KNOWN = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class SchoolFacts:
    """What the files by convention and by school allow.

    Attributes
    ----------
    files : the two files, their defects, and the published totals that they do not give back.
    joins : what became of the schools listed. schools : those with an IPS and pupils.
    reached : by measure of need, targeting of the pupils of granted schools; bounds : of the euros, whatever the
        amounts that cannot be tied to a school.
    poorest_first, fairness, forgotten : by IPS. take_up : selection model, None where it cannot be fitted; `dropped`
        rows lack one of its covariates.
    rates, costs, ceilings : of the conventions. leverage : spending per euro of grant.
    """

    files: SneeFiles
    joins: pd.DataFrame = field(repr=False)
    schools: pd.DataFrame = field(repr=False)
    reached: Mapping[str, Targeting]
    bounds: TargetingBounds
    poorest_first: PoorestFirst
    fairness: Equity
    forgotten: LeftOut
    take_up: TakeUp | None
    dropped: int
    rates: pd.DataFrame = field(repr=False)
    costs: pd.DataFrame = field(repr=False)
    ceilings: pd.DataFrame = field(repr=False)
    leverage: float


def gather_schools(raw_folder: str | Path | None) -> SchoolFacts | None:
    """None where the two SNEE files are not in the folder. Raises ContractError on files that break their contract."""
    files = None if raw_folder is None else load_snee(raw_folder)
    if files is None:
        return None
    frames = read_beside(raw_folder)
    return school_facts(files, frames)


def read_beside(folder: str | Path) -> dict[str, pd.DataFrame]:
    """The frames of the sources beside SNEE that the folder holds, one file each."""
    frames = {}
    for id in _BESIDE:
        paths = find_files(Path(folder), get_source(id))
        if len(paths) == 1:
            frames[id] = read_table(paths[0], get_source(id))
    return frames


def school_facts(files: SneeFiles, frames: Mapping[str, pd.DataFrame]) -> SchoolFacts:
    """The facts of files that were read."""
    everything = schools_frame(files, frames)
    schools = everything[everything["ips"].notna() & (everything["pupils"] > 0)].reset_index(drop=True)
    people, granted = schools["pupils"].to_numpy(), schools["granted"].to_numpy(dtype=bool)
    need = -schools["ips"].to_numpy()
    model, dropped = _model(schools)
    conventions = files.conventions
    whole = conventions[(conventions["spending"] > 0) & conventions["grant"].notna()]
    spending, grant = whole["spending"].to_numpy(), whole["grant"].to_numpy()
    return SchoolFacts(
        files=files,
        joins=report_joins(files, everything, frames),
        schools=schools,
        reached={name: found for name, sign in NEEDS.items() if (found := _reached(schools, name, sign)) is not None},
        bounds=targeting_bounds(
            schools["grant_low"],
            schools["grant_high"],
            _totals(schools, conventions),
            need,
            people,
            schools["departement"],
        ),
        poorest_first=compare_with_poorest_first(people * granted, need, people, 1.0),
        fairness=equity(people * granted, need, people, schools["departement"]),
        forgotten=left_out(need, granted, people, schools["departement"]),
        take_up=model,
        dropped=dropped,
        rates=rates_by_size(spending, grant),
        costs=_costs(everything, conventions),
        ceilings=check_ceilings(spending, grant).frame,
        leverage=leverage(spending, grant).overall,
    )


def _reached(schools: pd.DataFrame, name: str, sign: float) -> Targeting | None:
    """None where the measure is known for too few schools, or does not vary."""
    rows = schools[schools[name].notna()]
    if len(rows) < _KNOWN * len(schools):
        return None
    people = rows["pupils"].to_numpy()
    need = sign * rows[name].astype(float).to_numpy()
    with suppress(DesignError):
        return targeting(people * rows["granted"].to_numpy(dtype=float), need, people, cluster=rows["departement"])
    return None


def _totals(schools: pd.DataFrame, conventions: pd.DataFrame) -> dict[str, float]:
    """Grants of each département, or the nearest total that the bounds of these schools allow: the others have none."""
    grants = conventions.groupby("departement")["grant"].sum()
    ends = schools.groupby("departement")[["grant_low", "grant_high"]].sum()
    own = grants.reindex(ends.index).fillna(0.0)
    return own.clip(ends["grant_low"], ends["grant_high"]).to_dict()


def _model(schools: pd.DataFrame) -> tuple[TakeUp | None, int]:
    known = [name for name in _COVARIATES if schools[name].notna().mean() >= _KNOWN]
    rows = schools.dropna(subset=known)
    table = rows[known].copy()
    if "rural" in table:
        table["rural"] = table["rural"].astype(bool)
    try:
        return take_up(rows["granted"], table, rows["departement"]), len(schools) - len(rows)
    except DesignError:
        return None, 0


def _costs(schools: pd.DataFrame, conventions: pd.DataFrame) -> pd.DataFrame:
    """Bounds of the grant for one class, pupil and school: rows of schools, then what no school can be tied to."""
    granted = schools[schools["granted"]]
    exact = granted["tie"] == "exact"
    spent = conventions.groupby("siren")["spending"].sum(min_count=1)
    rest_grant = conventions["grant"].sum() - granted.loc[exact, "grant"].sum()
    spending = granted["siren"].map(spent)
    rest_spending = conventions["spending"].sum() - spending[exact].sum()
    return unit_costs(
        np.append(granted["grant"].where(exact).to_numpy(dtype=float), rest_grant),
        np.append(spending.where(exact).to_numpy(dtype=float), rest_spending),
        np.append(granted["classes"].to_numpy(dtype=float), np.nan),
        np.append(granted["pupils"].to_numpy(dtype=float), np.nan),
        np.append(np.ones(len(granted)), np.nan),
    )
