"""Digital use and access, from sources that are fetched, not shipped: ENT visits, Pix, premises within reach of 4G.

Schools count where they contribute (a figure above zero): a sum over few of them would show one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from tne_eval.catalog import disclosure_rule
from tne_eval.errors import ContractError, Problem
from tne_eval.sources.communes import departements_of_uais
from tne_eval.sources.contract import MAX_ROWS_LISTED
from tne_eval.sources.geography import list_departements, normalise_departements, plain_name
from tne_eval.sources.tables.spec import DEPARTEMENT, SCHOOL_YEAR, Frames, Table, count, known_sum, text, whole

_PROFILES = {"pupils": ("eleve", "élèves"), "parents": ("parent", "parents"), "teachers": ("enseignant", "enseignants")}
_BY = ["departement", "school_year"]
# The months without which the sum over a school year would be that of a part of it.
_TAUGHT = {9, 10, 11, 12, 1, 2, 3, 4, 5, 6}
_WEEKS = 5
_DEVICES = ("ordinateur", "smartphone", "tablette")
_ABROAD = "099"
_ABROAD_NAMES = {"etranger", "andorre"}
_COLLEGE_LEVEL = r"^(?:[3-6] ?e(?:me)?|sixieme|cinquieme|quatrieme|troisieme)\b"


def _school_year(year: pd.Series, month: pd.Series) -> pd.Series:
    """First calendar year of the school year, September to August."""
    return year - (month < 9)


def _too_few(schools: pd.Series, people: pd.Series) -> pd.Series:
    """Fewer schools or people than the disclosure rule asks for; an unknown number is too few."""
    rule = disclosure_rule()
    return ~((schools >= rule["min_schools"]) & (people >= rule["min_pupils"]))


def _totals(schools: pd.DataFrame, figures: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Sums by département × school year, each with its `…_status`.

    `schools`: one row per school and school year. `figures`: variable → (column of the schools that contribute to it,
    column of the people it is built on). A sum with an unknown term is missing; one built on fewer schools or people
    than the disclosure rule asks for is hidden.
    """
    schools = schools[schools["departement"].isin(list_departements())]
    keys = [schools[name] for name in _BY]
    table = schools.groupby(_BY).size().rename("schools").to_frame()
    for name, (base, people) in figures.items():
        total = known_sum(schools[name], keys)
        few = _too_few((schools[base] > 0).groupby(keys).sum(), schools[people].groupby(keys).sum())
        table[name] = total.mask(few)
        table[f"{name}_status"] = np.select([total.isna(), few], ["missing", "hidden"], "observed")
    return table.reset_index()


def _counts(kind: str) -> tuple[str, str]:
    return f"visites_{kind}", f"utilisateurs_{kind}"


def _refuse_blank(raw: pd.DataFrame, columns: list[str], source: str) -> None:
    problems = [
        Problem(raw.attrs.get("file", source), int(row), name, "''", "a value", "Complete or remove this row.")
        for name in columns
        for row in raw.index[raw[name].isna()][:MAX_ROWS_LISTED]
    ]
    if problems:
        raise ContractError(problems)


def _ent_of_schools(raw: pd.DataFrame) -> pd.DataFrame:
    """Weekly rows of schools: visits, and the most users that a school had in a week."""
    _refuse_blank(raw, ["uai", "debutsemaine"], "dnma_profils")
    raw = raw[~raw["uai"].str.startswith(_ABROAD)]
    day = raw["debutsemaine"].astype(int)
    month = day // 100 % 100
    year = _school_year(day // 10_000, month)
    columns = {name: raw[name].astype(float) for kind, _ in _PROFILES.values() for name in _counts(kind)}
    rows = pd.DataFrame({"uai": raw["uai"], "school_year": year} | columns)
    schools = rows.groupby(["uai", "school_year"])
    keys = [rows["uai"], rows["school_year"]]
    parts = {}
    for name, (kind, _) in _PROFILES.items():
        visits, users = _counts(kind)
        parts[f"ent_visits_{name}"] = known_sum(rows[visits], keys)
        parts[f"{name}_users"] = schools[users].max()
    table = pd.DataFrame(parts).reset_index()
    numbers = table["uai"].drop_duplicates()
    places = departements_of_uais(numbers, file=raw.attrs.get("file", "dnma_profils"))
    table["departement"] = table["uai"].map(dict(zip(numbers, places, strict=True)))
    months = month.groupby(year).agg(set)
    whole_years = [found for found in months.index if months[found] >= _TAUGHT]
    visits = [f"ent_visits_{name}" for name in _PROFILES]
    table[visits] = table[visits].where(table["school_year"].isin(whole_years))
    return _totals(table, {f"ent_visits_{name}": (f"{name}_users", f"{name}_users") for name in _PROFILES})


def _months_of_departements(raw: pd.DataFrame, source: str) -> pd.DataFrame:
    """`departement, month, school_year, schools` of the server's sums by département × month, on the rows of `raw`.

    A row of the source is a school × week, and a month has at most five weeks: schools are a fifth of the rows at the
    least, rounded up; unknown in a file that does not count its rows.
    """
    _refuse_blank(raw, ["departement", "annee", "mois"], source)
    raw = raw[~raw["departement"].map(plain_name).isin(_ABROAD_NAMES)]
    table = pd.DataFrame(
        {
            "departement": normalise_departements(raw["departement"], file=raw.attrs.get("file", source)),
            "month": raw["mois"].astype(int),
            "school_year": _school_year(raw["annee"].astype(int), raw["mois"].astype(int)),
            "schools": np.ceil(raw["lignes"].astype(float) / _WEEKS),
        }
    )
    return table[table["departement"].isin(list_departements())]


def _part_of_year(months: pd.Series) -> bool:
    return not set(months) >= _TAUGHT


def _ent_of_departements(raw: pd.DataFrame) -> pd.DataFrame:
    """The server's sums; people are, like schools, a fifth of the weekly users of a month at the least."""
    table = _months_of_departements(raw, "dnma_profils")
    keys = [table[name] for name in _BY]
    found = table.groupby(_BY)["schools"].max().to_frame()
    part = table.groupby(_BY)["month"].agg(_part_of_year)
    for name, (kind, _) in _PROFILES.items():
        visits, users = (raw.loc[table.index, column].astype(float) for column in _counts(kind))
        total = known_sum(visits, keys).mask(part)
        few = _too_few(found["schools"], np.ceil(users / _WEEKS).groupby(keys).max())
        found[f"ent_visits_{name}"] = total.mask(few)
        found[f"ent_visits_{name}_status"] = np.select([total.isna(), few], ["missing", "hidden"], "observed")
    return found.reset_index()


def make_ent_use(frames: Frames) -> pd.DataFrame:
    """Visits of each profile by département × school year; a school year not yet over is missing."""
    raw = frames["dnma_profils"]
    return _ent_of_departements(raw) if raw["uai"].isna().all() else _ent_of_schools(raw)


def _school_sums(
    name: str,
    title: str,
    source: str,
    make: Callable[[Frames], pd.DataFrame],
    schools: str,
    sums: Mapping[str, tuple[str, str]],
    note: str,
) -> Table:
    """A table of `_totals`: `schools` says which are counted; `sums` gives the title and the unit of each variable."""
    figures = (
        field
        for variable, (label, unit) in sums.items()
        for field in (
            count(variable, label, unit, f"{variable}_status"),
            text(f"{variable}_status", f"Statut : {label}"),
        )
    )
    return Table(
        name=name,
        title=title,
        sources=(source,),
        make=make,
        fields=(DEPARTEMENT, SCHOOL_YEAR, whole("schools", schools, "établissements"), *figures),
        key=("departement", "school_year"),
        period="school_year",
        period_type="school_year",
        n="schools",
        note=note,
    )


ENT_USE = _school_sums(
    "ent_use",
    "Visites des espaces numériques de travail, par département, année scolaire et profil",
    "dnma_profils",
    make_ent_use,
    "Établissements raccordés",
    {f"ent_visits_{name}": (f"Visites des {title}", "visites") for name, (_, title) in _PROFILES.items()},
    "Tous les établissements raccordés, écoles et lycées compris. Année scolaire de la semaine, de septembre à "
    "août ; vide tant que le fichier n'a pas de semaine en chaque mois de septembre à juin. Le fichier agrégé par "
    "département ne dit que le nombre de lignes : les établissements sont alors comptés au moins.",
)


def make_ent_devices(frames: Frames) -> pd.DataFrame:
    """Visits by kind of device, all profiles together; a school year not yet over is missing."""
    raw = frames["dnma_appareils"]
    if raw["uai"].notna().any():
        raise ContractError(
            [
                Problem(
                    raw.attrs.get("file", "dnma_appareils"),
                    None,
                    "uai",
                    "one row per school and week",
                    "the server's sums by département and month",
                    "Fetch this source as the catalogue asks for it.",
                )
            ]
        )
    table = _months_of_departements(raw, "dnma_appareils")
    keys = [table[name] for name in _BY]
    found = table.groupby(_BY)["schools"].max().to_frame()
    part = table.groupby(_BY)["month"].agg(_part_of_year)
    few = ~(found["schools"] >= disclosure_rule()["min_schools"])
    visits = {kind: raw.loc[table.index, f"visites_{kind}"].astype(float) for kind in _DEVICES}
    totals = {"ent_visits_by_smartphone": visits["smartphone"], "ent_visits_by_device": sum(visits.values())}
    for name, monthly in totals.items():
        total = known_sum(monthly, keys).mask(part)
        found[name] = total.mask(few)
        found[f"{name}_status"] = np.select([total.isna(), few], ["missing", "hidden"], "observed")
    return found.reset_index()


ENT_DEVICES = _school_sums(
    "ent_devices",
    "Visites des espaces numériques de travail selon l'appareil, par département et année scolaire",
    "dnma_appareils",
    make_ent_devices,
    "Établissements raccordés, au moins",
    {
        "ent_visits_by_smartphone": ("Visites depuis un téléphone", "visites"),
        "ent_visits_by_device": ("Visites depuis un ordinateur, une tablette ou un téléphone", "visites"),
    },
    "Élèves, parents et personnels ensemble, tous les établissements raccordés. Autres appareils laissés de côté.",
)


def make_pix_campaigns(frames: Frames) -> pd.DataFrame:
    """Pupils of collège levels who took part in a campaign; the total of a level is repeated on each palier."""
    raw = frames["pix_campagnes"]
    _refuse_blank(raw, ["departement_code"], "pix_campagnes")
    college = raw["niveau_scolaire"].map(plain_name).str.match(_COLLEGE_LEVEL)
    if not college.any():
        seen = ", ".join(sorted(raw["niveau_scolaire"].unique())[:10])
        file = raw.attrs.get("file", "pix_campagnes")
        remedy = "Check the file, or describe its levels."
        raise ContractError([Problem(file, None, "niveau_scolaire", seen, "levels of collège (6e to 3e)", remedy)])
    raw = raw[college]
    rows = pd.DataFrame(
        {
            "departement": raw["departement_code"],
            "school_year": raw["annee"].astype(int),
            "uai": raw["uai"],
            "level": raw["niveau_scolaire"],
            "total": raw["total_participants"].astype(float),
            "part": raw["total_participation_par_palier"].astype(float),
        }
    )
    keys = [*_BY, "uai", "level"]
    parts = known_sum(rows["part"], [rows[name] for name in keys])
    taken = rows.groupby(keys)["total"].max().fillna(parts).rename("pix_campaign_participants")
    schools = known_sum(taken, keys[:-1]).reset_index()
    return _totals(schools, {"pix_campaign_participants": ("pix_campaign_participants",) * 2})


PIX_CAMPAIGNS = _school_sums(
    "pix_campaigns",
    "Pix : participants aux parcours de rentrée au collège, par département et année scolaire",
    "pix_campagnes",
    make_pix_campaigns,
    "Établissements",
    {"pix_campaign_participants": ("Participants aux parcours de rentrée, de la 6e à la 3e", "élèves")},
    "Total de chaque niveau compté une fois ; s'il manque, somme de ses paliers.",
)


def make_pix_certifications(frames: Frames) -> pd.DataFrame:
    """Pupils present at the certification, and those who obtained it."""
    raw = frames["pix_certifications"]
    _refuse_blank(raw, ["departement_code"], "pix_certifications")
    schools = pd.DataFrame(
        {
            "departement": raw["departement_code"],
            "school_year": raw["annee"].astype(int),
            "pix_participants": raw["participants"].astype(float),
            "pix_certified": raw["certifies"].astype(float),
        }
    )
    return _totals(schools, dict.fromkeys(("pix_participants", "pix_certified"), ("pix_participants",) * 2))


PIX_CERTIFICATIONS = _school_sums(
    "pix_certifications",
    "Pix : participants à la certification et certifiés, par département et année scolaire",
    "pix_certifications",
    make_pix_certifications,
    "Établissements",
    {"pix_participants": ("Participants à la certification", "élèves"), "pix_certified": ("Certifiés", "élèves")},
    "Collèges et lycées.",
)


def make_premises(frames: Frames) -> pd.DataFrame:
    """Premises, and those that fixed 4G can serve, by département × quarter."""
    raw = frames["arcep_fibre_departement"]
    raw = raw[(raw["type"] == "all") & raw["code_dep"].isin(list_departements())]
    day = raw["date"].astype(int)
    return pd.DataFrame(
        {
            "departement": raw["code_dep"],
            "quarter": day // 10_000 * 10 + (day // 100 % 100 - 1) // 3 + 1,
            "premises": raw["nbr"].astype(float),
            "premises_4g_fixed": raw["elig_4gf"].astype(float),
        }
    )


PREMISES = Table(
    name="premises",
    title="Locaux, et locaux raccordables par la 4G fixe, par département et trimestre",
    sources=("arcep_fibre_departement",),
    make=make_premises,
    fields=(
        DEPARTEMENT,
        whole("quarter", "Trimestre (20213 : troisième de 2021), situation à la fin du trimestre"),
        count("premises", "Locaux", "locaux", "missing"),
        count("premises_4g_fixed", "Locaux raccordables par la 4G fixe", "locaux", "missing"),
    ),
    key=("departement", "quarter"),
    period="quarter",
    period_type="quarter",
    note="Locaux raccordables, non abonnés.",
)
