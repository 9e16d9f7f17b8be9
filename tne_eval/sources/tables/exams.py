"""DNB results by département, and by groups of collèges ranked by IPS."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.catalog import disclosure_rule
from tne_eval.sources.tables.groups import weighted_mean, with_ips_groups
from tne_eval.sources.tables.spec import (
    DEPARTEMENT,
    GROUP,
    SCHOOLS,
    SESSION,
    Frames,
    Table,
    count,
    figure,
    text,
    whole,
)

# Below this number of candidates a rate rounded to the unit says little of a collège.
MIN_CANDIDATES = 30

_SERIES = {"SERIE GENERALE": "generale", "SERIE PROFESSIONNELLE": "professionnelle"}
# Deliberate: 14 and 15 are on time or ahead; cells at 14 are too small to be shown apart.
_AGES = {"14 ans ou moins": "on_time", "15 ans": "on_time", "16 ans ou plus": "late"}
_COUNTS = {
    "inscrits": ("registered", "inscrits"),
    "presents": ("present", "présents"),
    "admis": ("admitted", "admis"),
    "admis_sans_mention": ("admitted_plain", "admis sans mention"),
    "admis_mention_assez_bien": ("honours_fair", "admis avec mention assez bien"),
    "admis_mention_bien": ("honours_good", "admis avec mention bien"),
    "admis_mention_tres_bien": ("honours_very_good", "admis avec mention très bien"),
}
_HONOURS = ["admis_sans_mention", "admis_mention_assez_bien", "admis_mention_bien", "admis_mention_tres_bien"]


def _with_congratulations(raw: pd.DataFrame, sex: str) -> pd.Series:
    """Mention très bien, with those of the jury's congratulations where the file counts them apart."""
    apart = raw[f"admis_mention_tres_bien{sex}_felicitations"].astype(float).fillna(0)
    added = raw[[name + sex for name in _HONOURS]].astype(float).sum(axis=1, skipna=False)
    short = raw[f"admis{sex}"].astype(float) - added
    return raw[f"admis_mention_tres_bien{sex}"].astype(float) + apart.where(short == apart, 0)


def make_dnb(frames: Frames) -> pd.DataFrame:
    """Counts by département × session × série × age; girls' counts where the producer gives every part of them."""
    raw = frames["dnb_departement"]
    keys = {
        "departement": raw["code_departement"],
        "session": raw["annee"].astype(int),
        "serie": raw["serie"].map(_SERIES),
        "age": raw["age"].map(_AGES),
    }
    counts = {}
    for sex, prefix in (("", "dnb_"), ("_filles", "dnb_girls_")):
        for name, (english, _) in _COUNTS.items():
            counts[prefix + english] = raw[name + sex].astype(float)
        counts[prefix + "honours_very_good"] = _with_congratulations(raw, sex)
    parts = pd.DataFrame(keys | counts)
    cells = parts.groupby(list(keys))
    table = cells[list(counts)].sum()
    blank = parts[list(counts)].isna().groupby([parts[name] for name in keys]).any()
    table = table.mask(blank)
    least = disclosure_rule()["min_pupils"]
    girls = [name for name in counts if "_girls_" in name]
    boys = table["dnb_present"] - table["dnb_girls_present"]
    few = (table["dnb_girls_present"] < least) | (boys < least)
    by_producer = table["dnb_girls_present"].isna()
    table["girls_status"] = np.select([by_producer, few], ["hidden_by_producer", "hidden"], "observed")
    table[girls] = table[girls].mask(few)
    small = table["dnb_present"] < least
    table[list(counts)] = table[list(counts)].mask(small)
    table["girls_status"] = table["girls_status"].mask(small, "hidden")
    return table.reset_index()


DNB = Table(
    name="dnb",
    title="DNB : inscrits, présents, admis et mentions, par département, session, série et âge",
    sources=("dnb_departement",),
    make=make_dnb,
    fields=(
        DEPARTEMENT,
        SESSION,
        text("serie", "Série (generale, professionnelle)"),
        text("age", "Âge (on_time : 15 ans ou moins ; late : 16 ans ou plus)"),
        *(count(f"dnb_{name}", f"Candidats {title}", "candidats", "hidden") for name, title in _COUNTS.values()),
        *(
            count(f"dnb_girls_{name}", f"Candidates : {title} (filles)", "candidates", "girls_status")
            for name, title in _COUNTS.values()
        ),
        text("girls_status", "Statut des effectifs de filles"),
    ),
    key=("departement", "session", "serie", "age"),
    period="session",
    period_type="exam_session",
    group=("serie", "age"),
    weight="dnb_present",
    n="dnb_present",
    note=(
        "Filles : vide où le producteur laisse vide un effectif (14 ans ou moins, série professionnelle) ou sous le "
        "seuil de diffusion."
    ),
)


def dnb_college_groups(frames: Frames) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(DNB of collèges, all séries, by IPS group, the IPS being the file's own; départements left out)."""
    raw = frames["dnb_colleges_2021"]
    raw = raw[(raw["type_d_etablissement"] == "COLLEGE") & raw["ips"].notna()]
    schools = pd.DataFrame(
        {
            "departement": raw["code_departement"],
            "session": raw["session"].astype(int),
            "uai": raw["numero_college"],
            "ips": raw["ips"],
            "present": raw["presents"].astype(float),
            "admitted": raw["admis"].astype(float),
        }
    )
    schools = schools[schools["present"] > 0]
    schools, left_out = with_ips_groups(schools, ["departement", "session"], "ips", "uai", "present")
    by = ["departement", "session", "ips_group"]
    groups = schools.groupby(by)
    table = groups.size().rename("schools").to_frame()
    table["dnb_college_present"] = groups["present"].sum()
    table["dnb_college_ips_mean"] = weighted_mean(schools, "ips", "present", by)
    table["dnb_college_success_percent"] = 100 * groups["admitted"].sum() / table["dnb_college_present"]
    return table.reset_index(), left_out


def make_dnb_colleges(frames: Frames) -> pd.DataFrame:
    """DNB of collèges by IPS group."""
    return dnb_college_groups(frames)[0]


DNB_COLLEGES = Table(
    name="dnb_colleges",
    title="DNB des collèges, toutes séries, par groupe de collèges d'IPS voisin (session 2021)",
    sources=("dnb_colleges_2021",),
    make=make_dnb_colleges,
    fields=(
        DEPARTEMENT,
        SESSION,
        GROUP,
        SCHOOLS,
        count("dnb_college_present", "Candidats présents", "candidats"),
        figure("dnb_college_ips_mean", "IPS moyen, pondéré par les présents", "points d'IPS", 2),
        figure("dnb_college_success_percent", "Taux de réussite (admis / présents)", "%", 3),
    ),
    key=("departement", "session", "ips_group"),
    period="session",
    period_type="exam_session",
    group=("ips_group",),
    weight="dnb_college_present",
    n="schools",
    note="Toutes séries et IPS du fichier fusionné : n'est pas comparable à ivac_colleges.",
)


def ips_of_colleges(frames: Frames) -> pd.DataFrame:
    """`uai, school_year, ips` over the IPS files of collèges."""
    both = pd.concat([frames["ips_colleges_2021"], frames["ips_colleges_2022"]], ignore_index=True)
    both = both[both["ips"].notna()]
    return pd.DataFrame({"uai": both["uai"], "school_year": both["rentree_scolaire"].astype(int), "ips": both["ips"]})


def ips_year_for(session: int, years: list[int]) -> int | None:
    """The IPS of the school year of a session if at hand, else the latest earlier one."""
    return max((year for year in years if year <= session - 1), default=None)


def link_ivac(frames: Frames) -> pd.DataFrame:
    """IVAC collèges, série générale, with the IPS their session takes; `ips` is NaN where no IPS has that UAI."""
    raw = frames["ivac"]
    raw = raw[raw["nb_candidats_g"].fillna(0) >= MIN_CANDIDATES]
    ips = ips_of_colleges(frames)
    years = sorted(ips["school_year"].unique())
    schools = pd.DataFrame(
        {
            "departement": raw["code_departement"],
            "session": raw["session"].astype(int),
            "uai": raw["uai"],
            "candidates": raw["nb_candidats_g"].astype(float),
            "success": raw["taux_de_reussite_g"],
            "mark": raw["note_a_l_ecrit_g"],
        }
    )
    found = {session: ips_year_for(session, years) for session in schools["session"].unique()}
    schools["ips_school_year"] = schools["session"].map(found)
    return schools.merge(
        ips.rename(columns={"school_year": "ips_school_year"}),
        on=["uai", "ips_school_year"],
        how="left",
        validate="many_to_one",
    )


def ivac_college_groups(frames: Frames) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(IVAC of collèges, série générale, by IPS group; départements left out)."""
    schools = link_ivac(frames).dropna(subset=["ips", "success", "mark"])
    schools["ips_school_year"] = schools["ips_school_year"].astype(int)
    schools, left_out = with_ips_groups(schools, ["departement", "session"], "ips", "uai", "candidates")
    by = ["departement", "session", "ips_school_year", "ips_group"]
    groups = schools.groupby(by)
    table = groups.size().rename("schools").to_frame()
    table["ivac_candidates"] = groups["candidates"].sum()
    for name, column in (("ips_mean", "ips"), ("success_percent", "success"), ("written_mark", "mark")):
        table[f"ivac_{name}"] = weighted_mean(schools, column, "candidates", by)
    table = table.reset_index()
    table["ips_lag"] = table["session"] - 1 - table["ips_school_year"]
    return table, left_out


def make_ivac_colleges(frames: Frames) -> pd.DataFrame:
    """IVAC of collèges by IPS group."""
    return ivac_college_groups(frames)[0]


IVAC_COLLEGES = Table(
    name="ivac_colleges",
    title="IVAC des collèges, série générale, par groupe de collèges d'IPS voisin",
    sources=("ivac", "ips_colleges_2021", "ips_colleges_2022"),
    make=make_ivac_colleges,
    fields=(
        DEPARTEMENT,
        SESSION,
        whole("ips_school_year", "Année scolaire de l'IPS"),
        whole("ips_lag", "Retard de l'IPS sur l'année scolaire de la session", "années"),
        GROUP,
        SCHOOLS,
        count("ivac_candidates", "Candidats en série générale", "candidats"),
        figure("ivac_ips_mean", "IPS moyen, pondéré par les candidats", "points d'IPS", 2),
        figure("ivac_success_percent", "Taux de réussite, pondéré par les candidats", "%", 3),
        figure("ivac_written_mark", "Note moyenne aux épreuves écrites, pondérée par les candidats", "sur 20", 3),
    ),
    key=("departement", "session", "ips_group"),
    period="session",
    period_type="exam_session",
    group=("ips_group",),
    weight="ivac_candidates",
    n="schools",
    note=(
        f"Collèges d'au moins {MIN_CANDIDATES} candidats en série générale ; taux arrondis à l'unité par le "
        "producteur. IPS de la même année scolaire si elle est disponible, sinon la dernière qui la précède (ips_lag)."
    ),
)
