"""Schools: segregation, numbers and pupils of collèges, IPS by groups of schools."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.catalog import disclosure_rule
from tne_eval.sources.geography import list_departements
from tne_eval.sources.tables.groups import with_ips_groups
from tne_eval.sources.tables.spec import (
    DEPARTEMENT,
    GROUP,
    SCHOOL_YEAR,
    SCHOOLS,
    Frames,
    Table,
    count,
    figure,
    known_sum,
    text,
)

FRANCE = "France"
# Some private collèges carry the name of their institution only; lycées, EREA and SEP with lower classes are no
# collèges.
_COLLEGE = r"\bCOLLEGES?\b|\bINSTITUT(?:ION)?\b|^OGEC\b"


def _few(schools: pd.Series) -> pd.Series:
    """Some schools, but fewer than the disclosure rule asks for."""
    return (schools > 0) & (schools < disclosure_rule()["min_schools"])


def make_segregation(frames: Frames) -> pd.DataFrame:
    """The producer's indices, by département, académie and France."""
    raw = frames["segregation_colleges"]
    is_departement, is_academie = raw["dep"].notna(), raw["nom_academie"].notna()
    private = raw["nb_coll_PR_calcul"].astype(float)
    table = pd.DataFrame(
        {
            "unit_type": np.select([is_departement, is_academie], ["departement", "academie"], "france"),
            "unit": raw["dep"].where(is_departement, raw["nom_academie"].where(is_academie, FRANCE)),
            "school_year": raw["annee"].astype(int),
            "segregation_entropy": raw["i_entropie_tot"],
            "segregation_entropy_public": raw["i_entropie_pu"],
            "segregation_entropy_private": raw["i_entropie_pr"],
            "segregation_entropy_between_sectors": raw["i_entropie_interPUPR"],
            "disadvantaged_percent": raw["p_defav"],
            "very_advantaged_percent": raw["p_tfav"],
            "private_percent": raw["poids_prive_calcul"],
            "segregation_colleges": raw["nb_coll_calcul"].astype(int),
            "private_status": np.select([private == 0, _few(private)], ["not_applicable", "hidden"], "observed"),
        }
    )
    of_private = ["segregation_entropy_private", "segregation_entropy_between_sectors", "private_percent"]
    table[of_private] = table[of_private].mask(table["private_status"] == "hidden")
    return table


SEGREGATION = Table(
    name="segregation",
    title="Ségrégation sociale entre collèges et mixité sociale, par département, académie et France",
    sources=("segregation_colleges",),
    make=make_segregation,
    fields=(
        text("unit_type", "Maille (departement, academie, france)"),
        text("unit", "Code du département, nom de l'académie ou France"),
        SCHOOL_YEAR,
        figure("segregation_entropy", "Indice d'entropie entre collèges", "indice de 0 à 1", 3),
        figure("segregation_entropy_public", "Indice d'entropie entre collèges publics", "indice de 0 à 1", 3),
        figure(
            "segregation_entropy_private",
            "Indice d'entropie entre collèges privés",
            "indice de 0 à 1",
            3,
            "private_status",
        ),
        figure(
            "segregation_entropy_between_sectors",
            "Indice d'entropie entre secteurs public et privé",
            "indice de 0 à 1",
            3,
            "private_status",
        ),
        figure("disadvantaged_percent", "Part des élèves d'origine sociale défavorisée", "%", 1),
        figure("very_advantaged_percent", "Part des élèves d'origine sociale très favorisée", "%", 1),
        figure("private_percent", "Part des élèves scolarisés dans le privé", "%", 1, "private_status"),
        count("segregation_colleges", "Collèges pris en compte", "collèges"),
        text("private_status", "Statut des figures qui portent sur le privé"),
    ),
    key=("unit_type", "unit", "school_year"),
    period="school_year",
    period_type="school_year",
    unit="unit",
    n="segregation_colleges",
    note="Indices du privé masqués sous trois collèges privés (04, 05, Corse), sans objet où il n'y en a pas.",
)


def colleges_of(raw: pd.DataFrame) -> pd.DataFrame:
    """The rows of the enrolment file that are collèges of the 101 départements."""
    is_college = raw["denomination_principale"].str.contains(_COLLEGE, regex=True)
    elsewhere = ~raw["code_departement"].isin(list_departements())
    lycee = raw["denomination_principale"].str.contains(r"\bLYCEE\b", regex=True)
    return raw[is_college & ~lycee & ~elsewhere]


def make_colleges(frames: Frames) -> pd.DataFrame:
    """Collèges and pupils at collège level, by département and school year, with REP, REP+ and the private sector.

    `college_pupils` counts the pupils of the four collège years wherever they are: a few sit in a lycée.
    """
    everywhere = frames["effectifs_colleges"]
    everywhere = everywhere[everywhere["code_departement"].isin(list_departements())]
    raw = colleges_of(everywhere)
    rep_plus = raw["rep_plus"] == 1
    rep = (raw["rep"] == 1) & ~rep_plus
    private = raw["secteur"] == "PRIVE"
    pupils = raw["nombre_eleves_total"].astype(int)
    rows = pd.DataFrame(
        {
            "departement": raw["code_departement"],
            "school_year": raw["rentree_scolaire"].astype(int),
            "colleges": 1,
            "rep_colleges": rep.astype(int),
            "rep_plus_colleges": rep_plus.astype(int),
            "priority_pupils": pupils.where(rep | rep_plus, 0),
            "rep_pupils": pupils.where(rep, 0),
            "rep_plus_pupils": pupils.where(rep_plus, 0),
            "private_colleges": private.astype(int),
            "private_pupils": pupils.where(private, 0),
        }
    )
    table = rows.groupby(["departement", "school_year"]).sum().astype(float)
    by = [everywhere["code_departement"].rename("departement"), everywhere["rentree_scolaire"].astype(int)]
    pupils = everywhere[["nombre_eleves_total", "6eme_total"]].astype(float)
    # The producer leaves the smallest numbers blank.
    at_level = known_sum(pupils, by).rename_axis(["departement", "school_year"])
    table.insert(1, "college_pupils", at_level["nombre_eleves_total"])
    table.insert(2, "college_pupils_6e", at_level["6eme_total"])
    return _hide_small_parts(table).reset_index()


def _hide_small_parts(table: pd.DataFrame) -> pd.DataFrame:
    """Blank the pupils of one or two schools, and those from which they could be found by subtraction."""
    table = table.copy()
    priority = table["rep_colleges"] + table["rep_plus_colleges"]
    few = _few(priority) | _few(table["colleges"] - priority)
    table["priority_pupils"] = table["priority_pupils"].mask(few)
    # One of the two would give the other, by subtraction from their sum.
    few = few | _few(table["rep_colleges"]) | _few(table["rep_plus_colleges"])
    for part in ("rep", "rep_plus"):
        table[f"{part}_pupils"] = table[f"{part}_pupils"].mask(few & (table[f"{part}_colleges"] > 0))
    public = table["colleges"] - table["private_colleges"]
    table["private_pupils"] = table["private_pupils"].mask(_few(table["private_colleges"]) | _few(public))
    too_few = _few(table["colleges"])
    pupils = [name for name in table if "pupils" in name]
    table[pupils] = table[pupils].mask(too_few)
    return table


COLLEGES = Table(
    name="colleges",
    title="Collèges et collégiens, éducation prioritaire et secteur privé, par département",
    sources=("effectifs_colleges",),
    make=make_colleges,
    fields=(
        DEPARTEMENT,
        SCHOOL_YEAR,
        count("colleges", "Collèges publics et privés", "collèges"),
        count("college_pupils", "Élèves de niveau collège, tous établissements", "élèves", "hidden"),
        count("college_pupils_6e", "Élèves de 6e, tous établissements", "élèves", "hidden"),
        count("rep_colleges", "Collèges en REP (hors REP+)", "collèges"),
        count("rep_plus_colleges", "Collèges en REP+", "collèges"),
        count("priority_pupils", "Élèves des collèges en REP ou REP+", "élèves", "hidden"),
        count("rep_pupils", "Élèves des collèges en REP (hors REP+)", "élèves", "hidden"),
        count("rep_plus_pupils", "Élèves des collèges en REP+", "élèves", "hidden"),
        count("private_colleges", "Collèges privés", "collèges"),
        count("private_pupils", "Élèves des collèges privés", "élèves", "hidden"),
    ),
    key=("departement", "school_year"),
    period="school_year",
    period_type="school_year",
    n="colleges",
    note="Effectifs d'un ou deux collèges masqués, ainsi que ceux dont ils se déduiraient.",
)


def ips_schools(frames: Frames, kind: str) -> pd.DataFrame:
    """Schools with the figures that their year needs: IPS, and pupils where the year's file has them."""
    both = pd.concat([frames[f"ips_{kind}_2021"], frames[f"ips_{kind}_2022"]], ignore_index=True)
    schools = pd.DataFrame(
        {
            "departement": both["code_du_departement"],
            "school_year": both["rentree_scolaire"].astype(int),
            "uai": both["uai"],
            "ips": both["ips"],
            "pupils": both["effectifs"],
            "commune": both["code_insee_de_la_commune"],
        }
    )
    known = schools.groupby("school_year")["pupils"].transform("count") > 0
    return schools[schools["ips"].notna() & ((schools["pupils"] > 0) | ~known)]


def ips_groups(frames: Frames, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(table of IPS groups, départements left out) for `kind` ecoles or colleges."""
    schools = ips_schools(frames, kind)
    weight = schools["pupils"].fillna(1.0)
    # An unknown number of pupils is no reason to merge groups: at least one by school is certain, eleven is not.
    known = schools["pupils"].fillna(disclosure_rule()["min_pupils"])
    schools, left_out = with_ips_groups(
        schools.assign(weight=weight, known=known), ["departement", "school_year"], "ips", "uai", "known"
    )
    by = ["departement", "school_year", "ips_group"]
    schools["weighted"] = schools["ips"] * schools["weight"]
    groups = schools.groupby(by)
    singular = kind.removesuffix("s")
    table = groups.size().rename("schools").to_frame()
    table[f"ips_{singular}_pupils"] = groups["pupils"].sum(min_count=1)
    table[f"ips_{singular}_mean"] = groups["weighted"].sum() / groups["weight"].sum()
    return table.reset_index(), left_out


def make_ips_ecoles(frames: Frames) -> pd.DataFrame:
    """IPS of écoles by IPS group."""
    return ips_groups(frames, "ecoles")[0]


def make_ips_colleges(frames: Frames) -> pd.DataFrame:
    """IPS of collèges by IPS group."""
    return ips_groups(frames, "colleges")[0]


def _ips_table(kind: str, word: str, make) -> Table:
    singular = kind.removesuffix("s")
    return Table(
        name=f"ips_{kind}",
        title=f"IPS des {word}, par groupe d'établissements d'IPS voisin",
        sources=(f"ips_{kind}_2021", f"ips_{kind}_2022"),
        make=make,
        fields=(
            DEPARTEMENT,
            SCHOOL_YEAR,
            GROUP,
            SCHOOLS,
            count(f"ips_{singular}_pupils", "Élèves du groupe", "élèves", "missing"),
            figure(f"ips_{singular}_mean", "IPS moyen du groupe", "points d'IPS", 3),
        ),
        key=("departement", "school_year", "ips_group"),
        period="school_year",
        period_type="school_year",
        group=("ips_group",),
        weight=f"ips_{singular}_pupils",
        n="schools",
        note=(
            "Moyenne pondérée par les élèves où leur nombre est connu, simple par établissement sinon (fichier sans "
            "effectif). Rupture de série entre 2021-2022 et 2022-2023."
        ),
    )


IPS_ECOLES = _ips_table("ecoles", "écoles", make_ips_ecoles)
IPS_COLLEGES = _ips_table("colleges", "collèges", make_ips_colleges)
