"""SNEE, the call for projects that equipped écoles: conventions, écoles listed, grants tied to écoles, by département.

An amount is of a convention. It is an école's own only where its signatory declares one école and one is listed;
elsewhere bounds are all that the files allow.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.catalog import disclosure_rule
from tne_eval.sources.communes import departements_of_uais
from tne_eval.sources.geography import list_departements, region_of
from tne_eval.sources.tables.spec import DEPARTEMENT, Frames, Table, count, figure, known_sum, text, whole

YEAR = 2024
IPS_YEAR = 2021
# From the best known to the least.
_TIES = ("exact", "shared", "unknown")


def conventions_of(raw: pd.DataFrame) -> pd.DataFrame:
    """One row per convention: siren, signatory, departement, region, communes, schools, spending, grant (euros).

    `raw` is what `read_table` gives of snee_collectivites. A SIREN that is absent is None, an amount NaN. The region is
    that of the département; of a convention without one, what the file writes.
    """
    departement = raw["code_departement"]
    here = departement.isin(list_departements())
    region = raw["region_academique_ou_com"].where(~here, departement.where(here).map(region_of, na_action="ignore"))
    return pd.DataFrame(
        {
            "siren": raw["siren_signataire_de_la_convention"],
            "signatory": raw["raison_sociale_du_signataire_de_la_convention"],
            "departement": departement,
            "region": region,
            "communes": raw["nombre_de_communes"].astype(float),
            "schools": raw["nombre_d_ecoles"].astype(float),
            "spending": raw["depenses_realisees_par_la_collectivite"].astype(float),
            "grant": raw["montant_de_la_subvention"].astype(float),
        }
    ).reset_index(drop=True)


def listed_of(raw: pd.DataFrame) -> pd.DataFrame:
    """One row per row of snee_ecoles: uai, name, commune_name, departement, siren, signatory, classes.

    The département is the one that the file writes, else that of the UAI. Raises ContractError on numbers that belong
    to no French territory.
    """
    places = departements_of_uais(raw["uai"], file=raw.attrs.get("file", "snee_ecoles"))
    signatory = raw["raison_sociale_du_signataire_de_la_convention"]
    return pd.DataFrame(
        {
            "uai": raw["uai"],
            "name": raw["nom_de_l_ecole"],
            "commune_name": raw["nom_de_la_commune_uai"],
            "departement": raw["code_departement"].where(raw["code_departement"].notna(), places),
            "siren": raw["siren_signataire_de_la_convention"],
            "signatory": signatory.mask(signatory == "#N/A", None),
            "classes": raw["nombre_de_classes_referentiel"].astype(float),
        }
    ).reset_index(drop=True)


def _signatories(conventions: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """One row per SIREN, per row where there is none: departement, grant, declared, listed, open.

    Amounts of a SIREN that signs twice are added. `open`: it declares more écoles than are listed under its SIREN, or
    does not say how many. Where the grant is not known, it is at most the spending, else the largest grant of all.
    """
    key = conventions["siren"].where(conventions["siren"].notna(), conventions.index.to_series().map("row {}".format))
    most = conventions["grant"].max()
    ceiling = conventions["grant"].fillna(conventions["spending"]).fillna(most)
    groups = conventions.assign(key=key, ceiling=ceiling).groupby("key")
    table = pd.DataFrame(
        {
            "departement": groups["departement"].first(),
            "grant": groups["grant"].sum(min_count=1).mask(groups["grant"].count() < groups.size()),
            "ceiling": groups["ceiling"].sum(),
            "declared": groups["schools"].sum().mask(groups["schools"].count() < groups.size()),
        }
    )
    pairs = listed[["uai", "siren"]].dropna().drop_duplicates()
    table["listed"] = pairs.groupby("siren").size().reindex(table.index, fill_value=0)
    return table.assign(open=~(table["listed"] >= table["declared"]))


def tie_grants(conventions: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Euros tied to each école listed, exactly where the files allow it, else between bounds.

    Parameters
    ----------
    conventions, listed : as `conventions_of` and `listed_of` give them.

    Returns
    -------
    One row per UAI: uai, departement, classes, siren (None where there is none, or several), tie, grant, grant_low,
    grant_high (euros). `tie` is

    - `exact` : the only école listed of a signatory that declares one at most: the grant is its own.
    - `shared` : the signatory declares or lists several: between nothing and the whole grant, `grant` NaN.
    - `unknown` : no SIREN, or one that signs no convention: between nothing and the largest grant of a signatory of the
      département who declares more écoles than are listed under its SIREN; where there is none, of all of these.

    An école listed under several SIREN has the sum of what it may have under each.
    """
    signatories = _signatories(conventions, listed)
    rows = listed.drop_duplicates(["uai", "siren"])
    own = signatories.reindex(rows["siren"].where(rows["siren"].notna(), "")).reset_index(drop=True)
    own.index = rows.index
    known = own["listed"].notna()
    exact = known & (own["listed"] == 1) & (own["declared"] <= 1) & own["grant"].notna()
    waiting = signatories[signatories["open"]] if signatories["open"].any() else signatories
    most = rows["departement"].map(waiting.groupby("departement")["ceiling"].max())
    rows = rows.assign(
        tie=np.select([exact, known], [0, 1], 2),
        grant=own["grant"].where(exact),
        grant_low=own["grant"].where(exact, 0.0),
        grant_high=own["ceiling"].where(known, most.fillna(waiting["ceiling"].max())),
    )
    schools = rows.groupby("uai", sort=False)
    return pd.DataFrame(
        {
            "departement": schools["departement"].first(),
            "classes": schools["classes"].max(),
            "siren": schools["siren"].first().astype(object).where(schools.size() == 1, None),
            "tie": schools["tie"].max().map(dict(enumerate(_TIES))),
            "grant": schools["grant"].sum().mask(schools["grant"].count() < schools.size()),
            "grant_low": schools["grant_low"].sum(),
            "grant_high": schools["grant_high"].sum(),
        }
    ).reset_index()


def make_snee(frames: Frames) -> pd.DataFrame:
    """Conventions and écoles by département; one that has neither in the files is not there."""
    conventions = conventions_of(frames["snee_collectivites"])
    schools = listed_of(frames["snee_ecoles"]).drop_duplicates("uai")
    ips = frames["ips_ecoles_2021"]
    ips = ips[ips["rentree_scolaire"] == IPS_YEAR]
    place, home = conventions["departement"], schools["departement"]
    table = pd.DataFrame({"snee_conventions": place.value_counts(), "snee_schools": home.value_counts()})
    table = table[table.index.isin(list_departements())].fillna(0).sort_index().rename_axis("departement")
    table["snee_grants"] = known_sum(conventions["grant"], place)
    table["snee_spending"] = known_sum(conventions["spending"], place)
    table["snee_grant_percent"] = 100 * table["snee_grants"] / table["snee_spending"].where(table["snee_spending"] > 0)
    table["snee_classes"] = known_sum(schools["classes"], home)
    reached = ips["uai"].isin(schools["uai"]).groupby(ips["code_du_departement"]).mean()
    table["snee_schools_percent"] = 100 * reached.reindex(table.index)
    few = table[["snee_conventions", "snee_schools"]].min(axis=1) < disclosure_rule()["min_schools"]
    for name in _AMOUNTS:
        missing = table[name].isna()
        table[f"{name}_status"] = np.select([few, missing], ["hidden", "missing"], "observed")
        table[name] = table[name].mask(few)
    return table.assign(year=YEAR).reset_index()


_AMOUNTS = {
    "snee_grants": ("Subventions des conventions", "€"),
    "snee_spending": ("Dépense des collectivités signataires", "€"),
    "snee_grant_percent": ("Part de la subvention dans la dépense", "%"),
    "snee_classes": ("Classes des écoles bénéficiaires", "classes"),
    "snee_schools_percent": (f"Part des écoles ayant un IPS en {IPS_YEAR} qui sont bénéficiaires", "%"),
}

SNEE = Table(
    name="snee",
    title="Socle numérique dans les écoles élémentaires : conventions et écoles bénéficiaires, par département",
    sources=("snee_collectivites", "snee_ecoles", "ips_ecoles_2021"),
    make=make_snee,
    fields=(
        DEPARTEMENT,
        whole("year", "Année de l'état des conventions"),
        count("snee_conventions", "Conventions signées", "conventions"),
        count("snee_schools", "Écoles bénéficiaires listées", "écoles"),
        *(
            field
            for name, (label, unit) in _AMOUNTS.items()
            for field in (
                figure(name, label, unit, {"€": 2, "%": 3}.get(unit, 0), f"{name}_status"),
                text(f"{name}_status", f"Statut : {label}"),
            )
        ),
    ),
    key=("departement", "year"),
    period="year",
    period_type="year",
    n="snee_conventions",
    note=(
        "Conventions au 27 novembre 2024 d'un appel de 2021 ; la liste des écoles n'est pas datée. Écoles placées par "
        "leur département, sinon par leur UAI. Montants masqués sous trois conventions ou trois écoles. Un département "
        "sans convention ni école dans les fichiers n'a pas de ligne."
    ),
)
