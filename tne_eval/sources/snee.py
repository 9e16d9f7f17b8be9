"""SNEE files as they are: read, defects counted, totals set against the published ones, joined to all écoles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tne_eval.catalog import get_programme, get_source
from tne_eval.errors import ContractError, MissingDataError, Problem
from tne_eval.sources.build import find_files
from tne_eval.sources.communes import at_communes, communes_now
from tne_eval.sources.density import rural_communes
from tne_eval.sources.geography import list_departements, list_regions, plain_name, region_of
from tne_eval.sources.read import read_table
from tne_eval.sources.tables.snee import IPS_YEAR, conventions_of, listed_of, tie_grants

SOURCES = ("snee_collectivites", "snee_ecoles")
# Euros of spending under and from which the published rates are given, and percents of grant over spending.
SMALL, LARGE, HIGH_RATE, TOP_RATE = 5000, 200_000, 65, 70
# A published figure is compared at the decimal it is printed with; euros of whole figures where nothing is said.
_DECIMALS = {"grants": 2, "spending": 2, "spending_mean": -2, "grants_overseas": -3}
_SECTORS = {"public": "public", "privé sous contrat": "private", "PUBLIC": "public", "PRIVE": "private"}
_COLUMNS = [
    "uai",
    "departement",
    "commune",
    "region",
    "sector",
    "ips",
    "ifn",
    "income",
    "poverty",
    "rural",
    "priority",
    "pupils",
    "classes",
    "granted",
    "grant",
    "grant_low",
    "grant_high",
    "tie",
    "siren",
]

Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True, slots=True, eq=False)
class SneeFiles:
    """The two files, read.

    Attributes
    ----------
    conventions : one row per convention: siren, signatory, departement, region, communes, schools, spending, grant
        (euros); None or NaN where the file does not say.
    schools_listed : one row per row of the file: uai, name, commune_name, departement, siren, signatory, classes.
    defects : kind, count, action: what is wrong or absent in the files, and what is done about it.
    totals : figure → value (euros, percents, counts).
    disagreements : figure, label, published, found: figures of the catalogue that the files do not give back.
    """

    conventions: pd.DataFrame
    schools_listed: pd.DataFrame
    defects: pd.DataFrame
    totals: Mapping[str, float]
    disagreements: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """figure, value: the totals."""
        return pd.DataFrame({"figure": list(self.totals), "value": list(self.totals.values())})


def load_snee(folder: str | Path) -> SneeFiles | None:
    """Read both SNEE files of a folder of raw files; None unless both are there.

    Parameters
    ----------
    folder : folder that holds the raw files, at any depth, fetched, imported or put there.

    Raises
    ------
    ContractError : files that break their contract, every problem of both at once; several files of one source.
    """
    found = {id: find_files(Path(folder), get_source(id)) for id in SOURCES}
    if not all(found.values()):
        return None
    frames, problems = {}, []
    for id, paths in found.items():
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            problems.append(Problem(paths[0].name, None, None, f"several files ({names})", "one", "Keep one of them."))
            continue
        try:
            frames[id] = read_table(paths[0], get_source(id))
        except ContractError as error:
            problems += error.problems
    if problems:
        raise ContractError(problems)
    return snee_files(frames)


def snee_files(frames: Frames) -> SneeFiles:
    """`SneeFiles` of the frames that `read_table` gives of snee_collectivites and snee_ecoles."""
    conventions, listed = conventions_of(frames["snee_collectivites"]), listed_of(frames["snee_ecoles"])
    totals = _totals(conventions, listed)
    return SneeFiles(conventions, listed, _defects(conventions, listed), totals, _disagreements(totals))


def _defects(conventions: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    pairs = listed.drop_duplicates(["uai", "siren"])
    per_siren = conventions["siren"].dropna().value_counts()
    unsigned = pairs["siren"].notna() & ~pairs["siren"].isin(conventions["siren"])
    declared, schools = conventions["schools"].sum(), listed["uai"].nunique()
    rows = [
        ("schools_without_siren", pairs["siren"].isna().sum(), "no amount: bounds by département"),
        ("schools_of_unknown_siren", unsigned.sum(), "no amount: bounds by département"),
        ("schools_listed_twice", listed["uai"].duplicated().sum(), "counted once; amounts of each SIREN added"),
        ("schools_declared_not_listed", max(declared - schools, 0), "not in the list: counted as not granted"),
        ("schools_listed_not_declared", max(schools - declared, 0), "kept"),
        ("conventions_without_siren", conventions["siren"].isna().sum(), "kept, tied to no école"),
        ("siren_signing_twice", (per_siren > 1).sum(), "conventions kept apart, amounts added to tie écoles"),
        ("conventions_without_departement", conventions["departement"].isna().sum(), "in no département; national"),
        ("conventions_without_amount", conventions[["grant", "spending"]].isna().any(axis=1).sum(), "totals not known"),
        ("rates_above_70_percent", (_rates(conventions) > TOP_RATE).sum(), "kept as written"),
        ("rows_without_date", len(conventions) + len(listed), "conventions as of 2024-11-27; écoles undated"),
    ]
    table = pd.DataFrame(rows, columns=["kind", "count", "action"]).astype({"count": int})
    return table[table["count"] > 0].reset_index(drop=True)


def _rates(conventions: pd.DataFrame) -> pd.Series:
    return 100 * conventions["grant"] / conventions["spending"].where(conventions["spending"] > 0)


def _rate(conventions: pd.DataFrame) -> float:
    spending = conventions["spending"].sum(skipna=False)
    return float(100 * conventions["grant"].sum(skipna=False) / spending) if spending > 0 else np.nan


def _totals(conventions: pd.DataFrame, listed: pd.DataFrame) -> dict[str, float]:
    """Totals under the ids of the programme's figures, with others that the catalogue has no figure for."""

    def total(name: str, rows: pd.Series | None = None) -> float:
        # Cents are whole numbers: to the cent, a sum has no rounding error.
        values = conventions[name] if rows is None else conventions.loc[rows, name]
        return round(float(values.sum(skipna=False)), 2)

    rates, place = _rates(conventions), conventions["departement"]
    large = conventions["spending"] >= LARGE
    metropolitan = {code for code in list_departements() if len(code) == 2}
    overseas = place.isin(set(list_departements()) - metropolitan)
    grants, spending, declared = total("grant"), total("spending"), total("schools")
    figures = {
        "grants": grants,
        "spending": spending,
        "grant_rate": _rate(conventions),
        "grant_rate_median": float(rates.median()),
        "grant_rate_small": _rate(conventions[conventions["spending"] < SMALL]),
        "grant_rate_large": _rate(conventions[large]),
        "conventions": len(conventions),
        "signatories": conventions["siren"].nunique(),
        "conventions_high_rate": int((rates >= HIGH_RATE).sum()),
        "conventions_top_rate": int((rates > TOP_RATE).sum()),
        "conventions_large": int(large.sum()),
        "spending_large_percent": 100 * total("spending", large) / spending if spending else np.nan,
        "spending_mean": spending / len(conventions),
        "schools": declared,
        "schools_listed": listed["uai"].nunique(),
        "communes": total("communes"),
        "grants_per_school": grants / declared if declared else np.nan,
        "schools_without_payer": int(listed["siren"].isna().sum()),
        "grants_overseas": total("grant", overseas),
        "grants_no_departement": total("grant", place.isna()),
        "spending_auvergne_rhone_alpes": total("spending", conventions["region"] == "Auvergne-Rhône-Alpes"),
        "grants_nord": total("grant", place == "59"),
    }
    for name, code in {"seine_saint_denis": "93", "reunion": "974", "moselle": "57"}.items():
        figures[f"grant_rate_{name}"] = _rate(conventions[place == code])
    for region in list_regions():
        figures[f"grants_{plain_name(region).replace(' ', '_')}"] = total("grant", conventions["region"] == region)
    return figures


def _disagreements(totals: Mapping[str, float]) -> pd.DataFrame:
    """Figures of the catalogue that the totals are not, at the decimal they are printed with; of a figure given as a
    range, those outside it."""
    rows = []
    for published in get_programme("snee").figures:
        if published.id not in totals:
            continue
        decimals = _DECIMALS.get(published.id, 1 if published.unit == "%" else 0)
        found = totals[published.id]
        low = published.low if published.value is None else published.value
        high = published.high if published.value is None else published.value
        if not low <= round(found, decimals) <= high:
            told = published.likely if published.value is None else published.value
            rows.append((published.id, published.label, float(told), float(found)))
    return pd.DataFrame(rows, columns=["figure", "label", "published", "found"])


def schools_frame(files: SneeFiles, frames: Frames) -> pd.DataFrame:
    """Écoles of the 101 départements, those that SNEE equipped and the others.

    Parameters
    ----------
    files : what `load_snee` gives.
    frames : raw frames by source id. Needed: ips_ecoles_2021. Used where they are: effectifs_ecoles, ips_ecoles_2022,
        ifn_2020, filosofi_communes, densite.

    Returns
    -------
    One row per UAI, sorted: every école that has a row in the IPS file of 2021 or elementary pupils in that year, and
    every école listed, whether or not it is elsewhere. Columns: uai, departement, commune (INSEE code of today),
    region, sector (public, private; None), ips, ifn, income (euros), poverty (NaN), rural, priority (boolean, NA),
    pupils, classes, granted, grant, grant_low, grant_high (euros; see `tie_grants`; 0 where not granted), tie
    (not_granted besides), siren.
    Pupils are those of 2021, else of the IPS file of 2022; classes those of 2021, else as listed. Écoles listed outside
    the 101 départements are left out: `report_joins` counts them.

    Raises
    ------
    MissingDataError : no IPS of 2021.
    """
    ips = _ips_rows(frames)
    ties = tie_grants(files.conventions, files.schools_listed).set_index("uai")
    ties = ties[ties["departement"].isin(list_departements())]
    pupils = _enrolments(frames)
    table = pd.DataFrame(index=ips.index.union(pupils.index[pupils["elementary"] > 0]).union(ties.index))
    table = table.rename_axis("uai").sort_index()
    ips, pupils, ties = (part.reindex(table.index) for part in (ips, pupils, ties))
    table["departement"] = _first(ips["departement"], pupils["departement"], ties["departement"])
    table["commune"] = ips["commune"]
    table["region"] = table["departement"].map(region_of, na_action="ignore")
    table["sector"] = _first(ips["sector"], pupils["sector"])
    table["ips"] = ips["ips"].astype(float)
    table["ifn"] = at_communes(table["commune"], _ifn_of_communes(frames))
    table["income"] = at_communes(table["commune"], _income_of_communes(frames))
    table["poverty"] = np.nan
    table["rural"] = rural_communes(table["commune"], frames.get("densite"))
    table["priority"] = pupils["priority"].astype("boolean")
    table["pupils"] = pupils["pupils"].astype(float).fillna(_pupils_of_2022(frames, table.index))
    table["classes"] = pupils["classes"].astype(float).fillna(ties["classes"].astype(float))
    table["granted"] = ties["tie"].notna()
    for name in ("grant", "grant_low", "grant_high"):
        table[name] = ties[name].astype(float).where(table["granted"], 0.0)
    table["tie"] = ties["tie"].fillna("not_granted")
    table["siren"] = ties["siren"].where(ties["siren"].notna(), None)
    return table[table["departement"].isin(list_departements())].reset_index()[_COLUMNS]


def _first(*parts: pd.Series) -> pd.Series:
    """The first value that is known, row by row."""
    found = parts[0].astype(object)
    for part in parts[1:]:
        found = found.where(found.notna(), part)
    return found.where(found.notna(), None)


def _ips_rows(frames: Frames) -> pd.DataFrame:
    """`departement, commune, sector, ips` by UAI, of 2021."""
    raw = frames.get("ips_ecoles_2021", pd.DataFrame({"rentree_scolaire": []}))
    file = raw.attrs.get("file", "ips_ecoles_2021")
    raw = raw[raw["rentree_scolaire"] == IPS_YEAR]
    if raw.empty:
        raise MissingDataError(
            f"no IPS of écoles in {IPS_YEAR}", why="it says which écoles there are", remedy="fetch ips_ecoles_2021"
        )
    commune = communes_now(raw["code_insee_de_la_commune"], file=file, blank=True)
    return pd.DataFrame(
        {
            "departement": raw["code_du_departement"],
            "commune": commune,
            "sector": raw["secteur"].map(_SECTORS),
            "ips": raw["ips"],
        }
    ).set_index(raw["uai"].rename("uai"))


def _enrolments(frames: Frames) -> pd.DataFrame:
    """`departement, sector, priority, pupils, classes, elementary` by UAI, of 2021; empty without enrolments of it."""
    names = ["departement", "sector", "priority", "pupils", "classes", "elementary"]
    raw = frames.get("effectifs_ecoles")
    if raw is None:
        return pd.DataFrame(columns=names, index=pd.Index([], name="uai"))
    raw = raw[raw["rentree_scolaire"] == IPS_YEAR].set_index("numero_ecole")
    rep, plus = raw["rep"].astype("boolean"), raw["rep_plus"].astype("boolean")
    return pd.DataFrame(
        {
            "departement": raw["code_departement"],
            "sector": raw["secteur"].map(_SECTORS),
            "priority": rep | plus,
            "pupils": raw["nombre_total_eleves"].astype(float),
            "classes": raw["nombre_total_classes"].astype(float),
            "elementary": raw["nombre_eleves_elementaire_hors_ulis"].astype(float),
        }
    )[names].rename_axis("uai")


def _pupils_of_2022(frames: Frames, schools: pd.Index) -> pd.Series:
    raw = frames.get("ips_ecoles_2022")
    if raw is None:
        return pd.Series(np.nan, index=schools)
    raw = raw[raw["rentree_scolaire"] == IPS_YEAR + 1]
    return raw.set_index("uai")["effectifs"].astype(float).reindex(schools)


def _mean_by_commune(
    frames: Frames, source: str, column: str, code: Callable[[pd.Series], pd.Series], value: str, weight: str
) -> pd.Series:
    """Weighted mean of a figure by commune of today, over the rows that have it and some weight."""
    raw = frames.get(source)
    if raw is None:
        return pd.Series(dtype=float)
    raw = raw[raw[value].notna() & (raw[weight] > 0)]
    commune = communes_now(code(raw[column]), file=raw.attrs.get("file", source))
    weights = raw[weight].astype(float)
    return (raw[value].astype(float) * weights).groupby(commune).sum() / weights.groupby(commune).sum()


def _ifn_of_communes(frames: Frames) -> pd.Series:
    return _mean_by_commune(frames, "ifn_2020", "code_iris", lambda codes: codes.str[:5], "SCORE GLOBAL", "Population")


def _income_of_communes(frames: Frames) -> pd.Series:
    """Median income; of communes merged since, the mean of their medians over their people."""
    return _mean_by_commune(frames, "filosofi_communes", "code_commune", lambda codes: codes, "mediane", "nbpers")


def report_joins(files: SneeFiles, schools: pd.DataFrame, frames: Frames) -> pd.DataFrame:
    """kind, count: what became of the écoles listed. `schools` is what `schools_frame` gives of the same files.

    Écoles that closed are counted only where etablissements_fermes is among the frames, those without enrolment only
    where effectifs_ecoles is.
    """
    granted = schools[schools["granted"]]
    listed = files.schools_listed["uai"].drop_duplicates()
    ties = granted["tie"].value_counts()
    counts = {
        "listed": len(listed),
        "in_the_frame": len(granted),
        "outside_the_departements": int((~listed.isin(granted["uai"])).sum()),
        "without_ips": int(granted["ips"].isna().sum()),
        "without_commune": int(granted["commune"].isna().sum()),
        "private": int((granted["sector"] == "private").sum()),
        **{f"grant_{kind}": int(ties.get(kind, 0)) for kind in ("exact", "shared", "unknown")},
    }
    if "effectifs_ecoles" in frames:
        counts["without_enrolment"] = int((~granted["uai"].isin(_enrolments(frames).index)).sum())
    if "etablissements_fermes" in frames:
        counts["closed"] = int(listed.isin(frames["etablissements_fermes"]["numero_uai"]).sum())
    return pd.DataFrame({"kind": list(counts), "count": list(counts.values())})
