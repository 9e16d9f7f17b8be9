"""National evaluations at entry into collège (6e), from fetched files: by département, and by groups of collèges."""

from __future__ import annotations

import pandas as pd

from tne_eval.sources.geography import list_departements
from tne_eval.sources.tables.groups import weighted_mean, with_ips_groups
from tne_eval.sources.tables.schools import ips_schools
from tne_eval.sources.tables.spec import DEPARTEMENT, GROUP, SCHOOL_YEAR, SCHOOLS, Frames, Table, count, figure

_SUBJECTS = {"Français": "french", "Mathématiques": "maths"}
_ALL = "Ensemble"
# The two lowest of six groups: "à besoins" and "fragile".
_FRAGILE = ["groupe_1", "groupe_2"]


def make_eval6e(frames: Frames) -> pd.DataFrame:
    """Mean score, and share of pupils in the two lowest groups, by département × rentrée × subject."""
    raw = frames["evaluations_6e_departement"]
    raw = raw[(raw["caracteristique"] == _ALL) & raw["code_departement"].isin(list_departements())]
    rows = pd.DataFrame(
        {
            "departement": raw["code_departement"],
            "school_year": raw["annee"].astype(int),
            "subject": raw["discipline"].map(_SUBJECTS),
            "score": raw["score_moyen"].astype(float),
            "fragile_percent": raw[_FRAGILE].astype(float).sum(axis=1, skipna=False),
        }
    ).dropna(subset="subject")
    table = rows.pivot(index=["departement", "school_year"], columns="subject", values=["score", "fragile_percent"])
    wanted = [(name, subject) for name in ("score", "fragile_percent") for subject in _SUBJECTS.values()]
    table = table.reindex(columns=pd.MultiIndex.from_tuples(wanted))
    table.columns = [f"eval6e_{subject}_{name}" for name, subject in wanted]
    return table.reset_index()


EVAL6E = Table(
    name="eval6e",
    title="Évaluations nationales de début de 6e, par département et rentrée",
    sources=("evaluations_6e_departement",),
    make=make_eval6e,
    fields=(
        DEPARTEMENT,
        SCHOOL_YEAR,
        figure("eval6e_french_score", "Score moyen, français", "points (250 ± 50)", 1, "missing"),
        figure("eval6e_maths_score", "Score moyen, mathématiques", "points (250 ± 50)", 1, "missing"),
        figure("eval6e_french_fragile_percent", "Élèves des groupes 1 et 2, français", "%", 1, "missing"),
        figure("eval6e_maths_fragile_percent", "Élèves des groupes 1 et 2, mathématiques", "%", 1, "missing"),
    ),
    key=("departement", "school_year"),
    period="school_year",
    period_type="school_year",
    note="Septembre, à l'entrée au collège : mesure les écoles dont viennent les élèves.",
)


def make_eval6e_colleges(frames: Frames) -> pd.DataFrame:
    """Mean scores by IPS group, the groups being those of the first IPS at hand, the same in every year.

    Groups that change with the IPS would mix a change of results with a change of places. Collèges without that IPS, or
    without a score in both subjects, are left out of the year.
    """
    raw = frames["evaluations_6e_etablissement"]
    raw = raw[(raw["caracteristique"] == _ALL) & (raw["effectif"].fillna(0) > 0)]
    rows = pd.DataFrame(
        {
            "uai": raw["uai"],
            "school_year": raw["annee"].astype(int),
            "subject": raw["discipline"].map(_SUBJECTS),
            "pupils": raw["effectif"].astype(float),
            "score": raw["score_moyen"].astype(float),
        }
    ).dropna()
    both = rows.pivot(index=["uai", "school_year"], columns="subject", values=["score", "pupils"]).dropna()
    schools = pd.DataFrame(
        {
            "eval6e_college_pupils": both["pupils"].mean(axis=1),
            **{f"eval6e_college_{name}_score": both[("score", name)] for name in _SUBJECTS.values()},
        }
    ).reset_index()
    ips = ips_schools(frames, "colleges").sort_values("school_year").drop_duplicates("uai")
    schools = schools.merge(ips[["uai", "departement", "ips"]], on="uai")
    schools = schools[schools["departement"].isin(list_departements())]
    by = ["departement", "school_year"]
    schools, _ = with_ips_groups(schools, by, "ips", "uai", "eval6e_college_pupils")
    by = [*by, "ips_group"]
    table = schools.groupby(by).size().rename("schools").to_frame()
    table["eval6e_college_pupils"] = schools.groupby(by)["eval6e_college_pupils"].sum().round()
    for name in ("ips", "eval6e_college_french_score", "eval6e_college_maths_score"):
        label = "eval6e_college_ips_mean" if name == "ips" else name
        table[label] = weighted_mean(schools, name, "eval6e_college_pupils", by)
    return table.reset_index()


EVAL6E_COLLEGES = Table(
    name="eval6e_colleges",
    title="Évaluations nationales de début de 6e, par groupe de collèges d'IPS voisin",
    sources=("evaluations_6e_etablissement", "ips_colleges_2021", "ips_colleges_2022"),
    make=make_eval6e_colleges,
    fields=(
        DEPARTEMENT,
        SCHOOL_YEAR,
        GROUP,
        SCHOOLS,
        count("eval6e_college_pupils", "Élèves évalués, moyenne des deux disciplines", "élèves"),
        figure("eval6e_college_ips_mean", "IPS moyen, pondéré par les élèves", "points d'IPS", 2),
        figure("eval6e_college_french_score", "Score moyen, français", "points (250 ± 50)", 2),
        figure("eval6e_college_maths_score", "Score moyen, mathématiques", "points (250 ± 50)", 2),
    ),
    key=("departement", "school_year", "ips_group"),
    period="school_year",
    period_type="school_year",
    group=("ips_group",),
    weight="eval6e_college_pupils",
    n="schools",
    note="Groupes d'après le premier IPS connu de chaque collège, les mêmes chaque année.",
)
