"""Places: fibre, digital fragility, national evaluations, programme counters."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from tne_eval.catalog import get_source
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.communes import commune_of_arrondissement, communes_now
from tne_eval.sources.geography import list_departements
from tne_eval.sources.tables.groups import weighted_quantile
from tne_eval.sources.tables.schools import FRANCE
from tne_eval.sources.tables.spec import DEPARTEMENT, Field, Frames, Table, count, figure, text, whole

# Share of the population of a département that rates must cover to speak of it.
_COVERED = 0.9
_SHARES = {"d1": 0.10, "q1": 0.25, "median": 0.50, "q3": 0.75, "d9": 0.90}
_SKILLS = {
    "IND-227": ("skill_cp_syllables", "CP : lire des syllabes"),
    "IND-229": ("skill_cp_numbers", "CP : nombres entiers"),
    "IND-228": ("skill_ce1_writing", "CE1 : écrire des syllabes"),
    "IND-230": ("skill_ce1_numbers", "CE1 : nombres entiers"),
    "IND-218": ("skill_6e_fluency", "6e : lecture, fluence"),
    "IND-223": ("skill_6e_problems", "6e : résolution de problèmes"),
}
_MONTH = re.compile(r"(\d{4})_(\d{2})$")


def _quarter(date: pd.Series) -> pd.Series:
    day = date.astype(int)
    return day // 10_000 * 10 + (day // 100 % 100 - 1) // 3 + 1


def fibre_of_barometre(raw: pd.DataFrame) -> pd.Series:
    """Percent by (departement, quarter)."""
    table = pd.DataFrame(
        {"departement": raw["code_departement"], "quarter": _quarter(raw["date"]), "fibre_percent": raw["valeur"]}
    )
    return table.set_index(["departement", "quarter"])["fibre_percent"].sort_index()


def observed(raw: pd.DataFrame) -> pd.DataFrame:
    """Rows that hold an observation: the current value, else the initial one; a row with a target only is left out."""
    value = raw["indic_va"].fillna(raw["indic_vi"])
    return raw.assign(value=value)[value.notna()]


def fibre_of_indicator(raw: pd.DataFrame) -> pd.Series:
    """Percent by (departement, quarter)."""
    raw = observed(raw[raw["maille"] == "DEPT"])
    table = pd.DataFrame(
        {
            "departement": raw["enforce_zone_id"],
            "quarter": _quarter(raw["metric_enforce_date"]),
            "fibre_percent": raw["value"],
        }
    )
    return table.set_index(["departement", "quarter"])["fibre_percent"].sort_index()


def make_fibre(frames: Frames) -> pd.DataFrame:
    """One series: the barometer as far as it goes, then the indicator of 2024; every département × quarter."""
    first = fibre_of_barometre(frames["barometre_2023"])
    second = fibre_of_indicator(frames["fibre_2024"])
    quarters = sorted(set(first.index.get_level_values(1)) | set(second.index.get_level_values(1)))
    grid = pd.MultiIndex.from_product([list_departements(), quarters], names=["departement", "quarter"])
    from_first, from_second = first.reindex(grid), second.reindex(grid)
    table = from_first.fillna(from_second).to_frame()
    source = np.select([from_first.notna(), from_second.notna()], ["barometre_2023", "fibre_2024"], "")
    return table.assign(fibre_source=source).reset_index()


FIBRE = Table(
    name="fibre",
    title="Part des locaux éligibles à la fibre, par département et trimestre",
    sources=("barometre_2023", "fibre_2024"),
    make=make_fibre,
    fields=(
        DEPARTEMENT,
        whole("quarter", "Trimestre (20213 : troisième de 2021), situation à la fin du trimestre"),
        figure("fibre_percent", "Locaux éligibles à la fibre", "% des locaux", 2, "missing"),
        text("fibre_source", "Source de la valeur"),
    ),
    key=("departement", "quarter"),
    period="quarter",
    period_type="quarter",
    note="Baromètre (arrondi à l'unité) tant qu'il va, puis indicateur 306 ; Mayotte manque de 20211 à 20221.",
)


def make_ifn(frames: Frames) -> pd.DataFrame:
    """Digital fragility of the IRIS of each département, weighted by population."""
    raw = frames["ifn_2020"]
    code = raw["code_iris"]
    rows = pd.DataFrame(
        {
            "departement": code.str[:2].where(~code.str.startswith("97"), code.str[:3]),
            "population": raw["Population"],
            "score": raw["SCORE GLOBAL"],
            "access": raw["GLOBAL ACCES"],
            "skills": raw["GLOBAL COMPETENCES"],
        }
    )
    rows = rows.sort_values(["departement", "score", "population"], kind="stable")
    records = []
    for departement, part in rows.groupby("departement"):
        weight = part["population"].to_numpy()
        total = weight.sum()
        cuts = weighted_quantile(part["score"].to_numpy(), weight, list(_SHARES.values()))
        records.append(
            {
                "departement": departement,
                "year": int(get_source("ifn_2020").vintage),
                "ifn_population": total,
                "ifn_mean": (part["score"] * weight).sum() / total,
                **{f"ifn_{name}": cut for name, cut in zip(_SHARES, cuts, strict=True)},
                "ifn_iris": len(part),
                "ifn_access_mean": (part["access"] * weight).sum() / total,
                "ifn_skills_mean": (part["skills"] * weight).sum() / total,
            }
        )
    return pd.DataFrame(records)


IFN = Table(
    name="ifn",
    title="Indice de fragilité numérique : moyenne et quantiles pondérés par la population, par département",
    sources=("ifn_2020",),
    make=make_ifn,
    fields=(
        DEPARTEMENT,
        whole("year", "Année de l'indice"),
        count("ifn_population", "Population des IRIS", "habitants"),
        figure("ifn_mean", "Indice moyen, pondéré par la population", "indice, 100 = moyenne", 3),
        figure("ifn_d1", "Premier décile de l'indice", "indice, 100 = moyenne", 1),
        figure("ifn_q1", "Premier quartile de l'indice", "indice, 100 = moyenne", 1),
        figure("ifn_median", "Médiane de l'indice", "indice, 100 = moyenne", 1),
        figure("ifn_q3", "Troisième quartile de l'indice", "indice, 100 = moyenne", 1),
        figure("ifn_d9", "Neuvième décile de l'indice", "indice, 100 = moyenne", 1),
        count("ifn_iris", "IRIS pris en compte", "IRIS"),
        figure("ifn_access_mean", "Composante accès, moyenne pondérée", "indice, 100 = moyenne", 3),
        figure("ifn_skills_mean", "Composante compétences, moyenne pondérée", "indice, 100 = moyenne", 3),
    ),
    key=("departement", "year"),
    period="year",
    period_type="year",
    weight="ifn_population",
    n="ifn_iris",
    note=(
        "Plus l'indice est haut, plus le territoire est fragile. Quantile pondéré : la plus petite valeur où la "
        "population cumulée atteint la part voulue, sans interpolation. 971, 973 et 976 absents."
    ),
)


def make_illectronisme(frames: Frames) -> pd.DataFrame:
    """Rates modelled for intercommunalités, weighted by the people of their communes in the département.

    Missing where they cover less than `_COVERED` of the population of the département.
    """
    rates, members, people = frames["illectronisme"], frames["epci"], frames["populations"]
    members = pd.DataFrame(
        {
            "commune": communes_now(members["code_commune"], file=members.attrs.get("file", "epci")),
            "code_epci": members["epci"],
            "departement": members["departement"],
        }
    ).drop_duplicates("commune")
    # Populations are given by arrondissement, the communes of an intercommunalité by city.
    commune = communes_now(people["code_commune"], file=people.attrs.get("file", "populations"))
    commune = commune.map(commune_of_arrondissement)
    population = people["population_municipale"].astype(float).groupby(commune).sum().rename("population")
    rows = members.merge(population, left_on="commune", right_index=True).merge(
        rates[["code_epci", "taux_illectronisme"]].dropna(), on="code_epci", how="left"
    )
    rows = rows[rows["departement"].isin(list_departements())]
    known = rows["taux_illectronisme"].notna()
    rows["told"] = rows["population"].where(known, 0.0)
    rows["product"] = rows["told"] * rows["taux_illectronisme"].astype(float).fillna(0.0)
    table = rows.groupby("departement")[["population", "told", "product"]].sum()
    covered = table["told"] / table["population"]
    return pd.DataFrame(
        {
            "departement": table.index,
            "year": int(get_source("illectronisme").vintage),
            "illectronisme_percent": (table["product"] / table["told"]).where(covered >= _COVERED),
            "population_covered_percent": 100 * covered,
        }
    ).reset_index(drop=True)


ILLECTRONISME = Table(
    name="illectronisme",
    title="Illectronisme, taux modélisé, par département",
    sources=("illectronisme", "epci", "populations"),
    make=make_illectronisme,
    fields=(
        DEPARTEMENT,
        whole("year", "Année de l'enquête"),
        figure("illectronisme_percent", "Taux modélisé, pondéré par la population", "% des personnes", 2, "missing"),
        Field("population_covered_percent", "number", "Part de la population couverte par un taux", "%", decimals=1),
    ),
    key=("departement", "year"),
    period="year",
    period_type="year",
    note=(
        "Taux des intercommunalités pondérés par la population municipale des communes qu'elles ont dans le "
        f"département ; vide où ils en couvrent moins de {100 * _COVERED:.0f} %."
    ),
)


def make_skills(frames: Frames) -> pd.DataFrame:
    """Share of pupils who master each skill, by département and for France, at the observed dates."""
    raw = frames["evaluations_departement"]
    # A target is never an observation, and here the initial value is repeated in the observed one.
    raw = raw[raw["maille"].isin(["DEPT", "NAT"]) & raw["indic_va"].notna()]
    national = raw["maille"] == "NAT"
    rows = pd.DataFrame(
        {
            "unit_type": np.where(national, "france", "departement"),
            "unit": raw["enforce_zone_id"].mask(national, FRANCE),
            "date": raw["metric_enforce_date"].astype(int),
            "skill": raw["indic_id"].map({id: name for id, (name, _) in _SKILLS.items()}),
            "value": raw["indic_va"],
        }
    )
    table = rows.pivot(index=["unit_type", "unit", "date"], columns="skill", values="value")
    return table.reindex(columns=[name for name, _ in _SKILLS.values()]).reset_index()


SKILLS = Table(
    name="skills",
    title="Évaluations nationales : part des élèves qui maîtrisent une compétence, par département",
    sources=("evaluations_departement",),
    make=make_skills,
    fields=(
        text("unit_type", "Maille (departement, france)"),
        text("unit", "Code du département ou France"),
        whole("date", "Date de publication (aaaammjj)"),
        *(figure(name, title, "% des élèves", 1, "missing") for name, title in _SKILLS.values()),
    ),
    key=("unit_type", "unit", "date"),
    period="date",
    period_type="date",
    unit="unit",
    note="Évaluations de début d'année scolaire ; les cibles du producteur ne sont pas reprises.",
)


def _month(raw: pd.DataFrame, column: str) -> int:
    """Month that the header of a counter carries: `…_2025_03` → 202503."""
    header = raw.attrs["headers"][column]
    match = _MONTH.search(header)
    if match is None:
        raise ContractError(
            [
                Problem(
                    raw.attrs["file"], 1, column, repr(header), "a header that ends in a month: …_2025_03", "Rename it."
                )
            ]
        )
    return int(match[1] + match[2])


def make_tne_counters(frames: Frames) -> pd.DataFrame:
    """Counters of the programme, each at its month."""
    raw = frames["tne_counters"]
    counters = {"participants_formations_cumul": "tne_attendances", "eleves_beneficiaires": "tne_pupils_reached"}
    parts = [
        pd.DataFrame({"departement": raw["dep"], "month": _month(raw, column), name: raw[column].astype(float)})
        for column, name in counters.items()
    ]
    return parts[0].merge(parts[1], on=["departement", "month"], how="outer")


TNE_COUNTERS = Table(
    name="tne_counters",
    title="Territoires numériques éducatifs : présences aux formations et élèves concernés",
    sources=("tne_counters",),
    make=make_tne_counters,
    fields=(
        DEPARTEMENT,
        whole("month", "Mois (202503 : mars 2025)"),
        count("tne_attendances", "Présences cumulées aux formations", "présences", "not_applicable"),
        count("tne_pupils_reached", "Élèves dits bénéficiaires", "élèves", "not_applicable"),
    ),
    key=("departement", "month"),
    period="month",
    period_type="month",
    note="Présences, non personnes. Élèves « bénéficiaires » : tous les élèves du département, d'après le producteur.",
)
