"""Schools of two kinds inside a département: in priority education or not, in rural communes or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from tne_eval.catalog import disclosure_rule
from tne_eval.sources.communes import communes_now
from tne_eval.sources.density import rural_communes
from tne_eval.sources.geography import list_departements
from tne_eval.sources.tables.exams import MIN_CANDIDATES
from tne_eval.sources.tables.schools import ips_schools
from tne_eval.sources.tables.spec import (
    DEPARTEMENT,
    SCHOOL_YEAR,
    SCHOOLS,
    SESSION,
    Field,
    Frames,
    Table,
    count,
    figure,
    text,
)

PRIORITY, AREA = {True: "yes", False: "no"}, {True: "rural", False: "urban"}


def by_kind(
    schools: pd.DataFrame, period: str, kind: str, labels: dict[bool, str], weight: str | None, value: str
) -> pd.DataFrame:
    """Mean of `value` over the schools of each kind, by département × period.

    Parameters
    ----------
    schools : one row per school: departement, `period`, `kind` (bool), `value`, and `weight`; None weighs each as one.

    Returns
    -------
    departement, period, kind, schools, (weight), value, status. Both kinds are hidden where one of them holds fewer
    schools or pupils than the disclosure rule asks for: the other would give it away by subtraction. A département
    whose schools are all of one kind is not there.
    """
    rule = disclosure_rule()
    schools = schools[schools["departement"].isin(list_departements())]
    schools = schools.assign(_weight=1.0 if weight is None else schools[weight])
    schools = schools.assign(_product=schools[value] * schools["_weight"])
    cells = schools.groupby(["departement", period, kind])
    table = cells.size().rename("schools").to_frame()
    total = cells["_weight"].sum()
    if weight is not None:
        table[weight] = total
    table[value] = cells["_product"].sum() / total
    table = table.reset_index()
    place = [table["departement"], table[period]]
    table = table[table.groupby(["departement", period])[kind].transform("size") == 2]
    few = table["schools"] < rule["min_schools"]
    if weight is not None:
        few |= table[weight] < rule["min_pupils"]
    hidden = few.groupby(place).transform("any")
    figures = [value] if weight is None else [weight, value]
    table[figures] = table[figures].mask(hidden)
    table["status"] = np.where(hidden, "hidden", "observed")
    return table.assign(**{kind: table[kind].map(labels)}).reset_index(drop=True)


def _priority(raw: pd.DataFrame) -> pd.DataFrame:
    """`uai, school_year, priority` from the enrolment file."""
    return pd.DataFrame(
        {
            "uai": raw["numero_college"],
            "school_year": raw["rentree_scolaire"].astype(int),
            "priority": (raw["rep"] == 1) | (raw["rep_plus"] == 1),
        }
    )


def make_ips_by_priority(frames: Frames) -> pd.DataFrame:
    """Mean IPS of collèges, each counted once, in priority education and elsewhere."""
    schools = ips_schools(frames, "colleges").merge(_priority(frames["effectifs_colleges"]), on=["uai", "school_year"])
    schools = schools.rename(columns={"ips": "ips_by_priority_mean"})
    return by_kind(schools, "school_year", "priority", PRIORITY, None, "ips_by_priority_mean")


def _success(raw: pd.DataFrame, present: str, value: str) -> pd.DataFrame:
    """Collèges of a DNB file with those present and the share of them admitted."""
    raw = raw[(raw["type_d_etablissement"] == "COLLEGE") & (raw["presents"].fillna(0) > 0)]
    return raw.assign(
        departement=raw["code_departement"],
        session=raw["session"].astype(int),
        **{present: raw["presents"].astype(float)},
        **{value: 100 * raw["admis"].astype(float) / raw["presents"].astype(float)},
    )


def make_dnb_by_priority(frames: Frames) -> pd.DataFrame:
    """DNB of collèges, all séries, in priority education and elsewhere; the file says which are."""
    names = "dnb_present_by_priority", "dnb_success_by_priority_percent"
    schools = _success(frames["dnb_colleges_2021"], *names)
    schools["priority"] = (schools["rep"] == 1) | (schools["rep_plus"] == 1)
    return by_kind(schools, "session", "priority", PRIORITY, *names)


def make_ivac_by_priority(frames: Frames) -> pd.DataFrame:
    """IVAC of collèges, série générale, in priority education and elsewhere, as of the school year of the session."""
    raw = frames["ivac"]
    raw = raw[(raw["nb_candidats_g"].fillna(0) >= MIN_CANDIDATES) & raw["taux_de_reussite_g"].notna()]
    names = "ivac_candidates_by_priority", "ivac_success_by_priority_percent"
    schools = pd.DataFrame(
        {
            "departement": raw["code_departement"],
            "session": raw["session"].astype(int),
            "school_year": raw["session"].astype(int) - 1,
            "uai": raw["uai"],
            names[0]: raw["nb_candidats_g"].astype(float),
            names[1]: raw["taux_de_reussite_g"],
        }
    )
    schools = schools.merge(_priority(frames["effectifs_colleges"]), on=["uai", "school_year"])
    return by_kind(schools, "session", "priority", PRIORITY, *names)


def _with_area(schools: pd.DataFrame, frames: Frames, source: str) -> pd.DataFrame:
    """Schools whose commune is in the density grid, with `area` true where it is rural; the others are left out."""
    schools = schools[schools["commune"].notna()]
    communes = communes_now(schools["commune"], file=frames[source].attrs.get("file", source))
    rural = rural_communes(communes, frames["densite"])
    known = rural.notna()
    return schools[known].assign(area=rural[known].astype(bool))


def make_dnb_by_area(frames: Frames) -> pd.DataFrame:
    """DNB of collèges, all séries, in rural communes and elsewhere."""
    names = "dnb_present_by_area", "dnb_success_by_area_percent"
    schools = _success(frames["dnb_etablissement"], *names)
    schools = _with_area(schools, frames, "dnb_etablissement")
    return by_kind(schools, "session", "area", AREA, *names)


def make_ips_by_area(frames: Frames) -> pd.DataFrame:
    """Mean IPS of écoles, each counted once, in rural communes and elsewhere."""
    schools = ips_schools(frames, "ecoles").rename(columns={"ips": "ips_by_area_mean"})
    schools = _with_area(schools, frames, "ips_ecoles_2021")
    return by_kind(schools, "school_year", "area", AREA, None, "ips_by_area_mean")


def _of_two_kinds(
    name: str,
    title: str,
    sources: Sequence[str],
    make: Callable[[Frames], pd.DataFrame],
    period: Field,
    kind: Field,
    *figures: Field,
    note: str,
) -> Table:
    """A table of `by_kind`; of two figures the first is the weight."""
    return Table(
        name=name,
        title=title,
        sources=tuple(sources),
        make=make,
        fields=(
            DEPARTEMENT,
            period,
            kind,
            SCHOOLS,
            *figures,
            text("status", "Statut (hidden : trop peu d'établissements ou d'élèves d'un des deux côtés)"),
        ),
        key=("departement", period.name, kind.name),
        period=period.name,
        period_type="exam_session" if period is SESSION else "school_year",
        group=(kind.name,),
        weight=figures[0].name if len(figures) > 1 else None,
        n="schools",
        note=note,
    )


_PRIORITY = text("priority", "Éducation prioritaire, REP ou REP+ (yes, no)")
_AREA = text("area", "Commune rurale (rural : densité 5 à 7) ou urbaine (urban)")
_BOTH = "Les deux côtés sont masqués quand l'un d'eux n'atteint pas le seuil de diffusion."

IPS_BY_PRIORITY = _of_two_kinds(
    "ips_colleges_priority",
    "IPS des collèges, éducation prioritaire et autres",
    ("ips_colleges_2021", "ips_colleges_2022", "effectifs_colleges"),
    make_ips_by_priority,
    SCHOOL_YEAR,
    _PRIORITY,
    figure("ips_by_priority_mean", "IPS moyen, un collège comptant pour un", "points d'IPS", 3, "status"),
    note=f"Classement de l'année scolaire de l'IPS. {_BOTH}",
)
DNB_BY_PRIORITY = _of_two_kinds(
    "dnb_colleges_priority",
    "DNB des collèges, toutes séries, éducation prioritaire et autres (session 2021)",
    ("dnb_colleges_2021",),
    make_dnb_by_priority,
    SESSION,
    _PRIORITY,
    count("dnb_present_by_priority", "Candidats présents", "candidats", "status"),
    figure("dnb_success_by_priority_percent", "Taux de réussite (admis / présents)", "%", 3, "status"),
    note=f"Classement de l'année scolaire 2020-2021. {_BOTH}",
)
IVAC_BY_PRIORITY = _of_two_kinds(
    "ivac_colleges_priority",
    "IVAC des collèges, série générale, éducation prioritaire et autres",
    ("ivac", "effectifs_colleges"),
    make_ivac_by_priority,
    SESSION,
    _PRIORITY,
    count("ivac_candidates_by_priority", "Candidats en série générale", "candidats", "status"),
    figure("ivac_success_by_priority_percent", "Taux de réussite, pondéré par les candidats", "%", 3, "status"),
    note=f"Collèges d'au moins {MIN_CANDIDATES} candidats ; classement de l'année scolaire de la session. {_BOTH}",
)
DNB_BY_AREA = _of_two_kinds(
    "dnb_colleges_area",
    "DNB des collèges, toutes séries, communes rurales et urbaines",
    ("dnb_etablissement", "densite"),
    make_dnb_by_area,
    SESSION,
    _AREA,
    count("dnb_present_by_area", "Candidats présents", "candidats", "status"),
    figure("dnb_success_by_area_percent", "Taux de réussite (admis / présents)", "%", 3, "status"),
    note=f"Grille de densité du millésime chargé, codes de communes d'aujourd'hui. {_BOTH}",
)
IPS_BY_AREA = _of_two_kinds(
    "ips_ecoles_area",
    "IPS des écoles, communes rurales et urbaines",
    ("ips_ecoles_2021", "ips_ecoles_2022", "densite"),
    make_ips_by_area,
    SCHOOL_YEAR,
    _AREA,
    figure("ips_by_area_mean", "IPS moyen, une école comptant pour une", "points d'IPS", 3, "status"),
    note=f"Grille de densité du millésime chargé, codes de communes d'aujourd'hui. {_BOTH}",
)
