"""The catalogue of sources: complete, without two entries for one file, true to the files at hand."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import pandas as pd
import pytest

from tne_eval.catalog import get_source, list_sources
from tne_eval.sources.build import find_files
from tne_eval.sources.contract import TYPES
from tne_eval.sources.read import read_table
from tne_eval.sources.recognise import recognise_source

SOURCES = list_sources()
IDS = [source.id for source in SOURCES]
each = pytest.mark.parametrize("source", SOURCES, ids=IDS)

# What the issue on data asks for, and the entries that answer.
ASKED = {
    "DNB (établissement, département, détaillé)": ("dnb_etablissement", "dnb_departement", "dnb_colleges_2021"),
    "IVAC": ("ivac",),
    "IVAL": ("ival_gt", "ival_pro"),
    "IPS of écoles": ("ips_ecoles_2021", "ips_ecoles_2022"),
    "IPS of collèges": ("ips_colleges_2021", "ips_colleges_2022", "ips_colleges_2023"),
    "IPS of lycées": ("ips_lycees_2021", "ips_lycees_2022", "ips_lycees_2023"),
    "6e evaluations by établissement": ("evaluations_6e_etablissement",),
    "CP to 4e evaluations by département": (
        "evaluations_cp_departement",
        "evaluations_mi_cp_departement",
        "evaluations_ce1_departement",
        "evaluations_ce2_departement",
        "evaluations_cm1_departement",
        "evaluations_cm2_departement",
        "evaluations_6e_departement",
        "evaluations_4e_departement",
        "evaluations_departement",
    ),
    "enrolments": ("effectifs_ecoles", "effectifs_colleges"),
    "annuaire": ("annuaire",),
    "geolocation": ("geolocalisation",),
    "openings and closures": ("etablissements_fermes",),
    "REP lists": ("rep_etablissements", "rep_colleges", "rep_ecoles", "rep_reseaux"),
    "segregation": ("segregation_colleges",),
    "teaching means": ("moyens_enseignants_public", "moyens_enseignants_prive"),
    "TNE tables": (
        "tne_personnels_formes",
        "tne_duree_formations",
        "tne_deploiement",
        "tne_deploiement_1d",
        "tne_deploiement_2d",
        "tne_deploiement_inclusif",
        "tne_audiences",
        "tne_satisfaction",
        "tne_counters",
    ),
    "SNEE tables": ("snee_collectivites", "snee_ecoles", "snee_regions"),
    "DNMA": ("dnma_profils", "dnma_services", "dnma_appareils"),
    "Pix": ("pix_campagnes", "pix_certifications"),
    "ETIC": ("etic_1d", "etic_2d"),
    "ARCEP fibre": ("arcep_fibre_commune", "arcep_fibre_departement", "barometre_2023", "fibre_2024"),
    "IFN": ("ifn_2020",),
    "Filosofi": ("filosofi_communes",),
    "éloignement": ("eloignement_colleges_2019", "eloignement_colleges_2022"),
    "density grid": ("densite",),
    "populations": ("populations",),
    "EPCI membership": ("epci",),
    "potentiel financier": ("potentiel_financier",),
    "illectronisme": ("illectronisme",),
    "4G": ("arcep_4g",),
}

# Open files that the connector cannot fetch by itself: to download by hand, then import.
WITHOUT_ADDRESS = {
    "barometre_2023": "address of the resource on data.gouv.fr not recorded",
    "evaluations_departement": "address of the resource on data.gouv.fr not recorded",
    "fibre_2024": "address of the resource on data.gouv.fr not recorded",
    "ifn_2020": "address of the file not recorded",
    "illectronisme": "address of the file of the publication not recorded",
    "potentiel_financier": "the site of the producer is not served over https",
}

# What the portal's own catalogue of early 2026 says otherwise than the entry, and why the entry is right.
OTHER_LICENCE = {"fr-en-aap-snee-collectivites": "the portal states none, and so does the entry"}

# The one data set that two entries read: the tables are built through the first, the second is richer and fetches it.
SHARED = {"fr-en-ips-colleges-ap2023": ["ips_colleges_2022", "ips_colleges_2023"]}

# Files of the open-data folder that are no source: portal catalogue, and a list that the treatment register takes.
NOT_SOURCES = ("ods-datasets-monitoring.csv", "Etablissements-scolaires-du-TNE-34.xlsx")


def _names(source) -> list[str]:
    """File names that the patterns of a source are meant for: the plain name, a copy, a dated edition."""
    fillings = ("", " (1)", "_2099", "-ap2099")
    plain = (re.sub(r"\[([^]])[^]]*\]", r"\1", pattern) for pattern in source.files)
    return sorted({pattern.replace("*", filling) for pattern in plain for filling in fillings})


def _owners(name: str) -> list[str]:
    return [source.id for source in SOURCES if any(fnmatchcase(name, pattern) for pattern in source.files)]


def _named_columns(source) -> set[str]:
    return {column.name for column in source.columns}


def test_everything_asked_for_has_an_entry():
    missing = {what: id for what, ids in ASKED.items() for id in ids if id not in IDS}
    assert missing == {}


def test_no_entry_answers_nothing():
    assert set(IDS) == {id for ids in ASKED.values() for id in ids} | {"contours"}


@each
def test_an_entry_says_all_that_a_reader_needs(source):
    for field in ("label", "producer", "licence", "url", "vintage", "grain", "years", "citation", "small_cells"):
        assert getattr(source, field).strip(), field
    assert source.quirks and all(quirk.strip() and quirk.strip()[-1] in ".!?" for quirk in source.quirks)
    assert source.files
    assert source.columns or source.id == "contours"


@each
def test_an_open_source_can_be_fetched_over_https(source):
    assert source.access in ("open", "restricted")
    assert not (source.slug and source.download)
    for address in filter(None, (source.url, source.download)):
        parts = urlsplit(address)
        assert parts.scheme == "https" and parts.hostname and not parts.username and not parts.port
    if source.access == "restricted":
        assert not source.slug and not source.download
    elif source.id in WITHOUT_ADDRESS:
        assert not source.slug and not source.download and WITHOUT_ADDRESS[source.id]
    else:
        assert source.slug or source.download
    assert ("{period}" in source.download) == bool(source.periods)
    assert 0 < source.max_mb <= 2000


@each
def test_a_slug_is_told_once_and_alike(source):
    if source.slug:
        assert re.fullmatch(r"fr-en-[a-z0-9_-]+", source.slug)
        assert [other.id for other in SOURCES if other.slug == source.slug] == [source.id]
        assert source.url == f"https://data.education.gouv.fr/explore/dataset/{source.slug}/"
        assert source.slug in source.citation
    assert source.query == {} or source.slug


@each
def test_a_fetched_file_is_recognised_by_its_name(source):
    """The export of a data set bears its slug."""
    if source.slug:
        owners = SHARED.get(source.slug, [source.id])
        assert _owners(f"{source.slug}.csv") == _owners(f"{source.slug}.parquet") == owners


def _school_ips(folder, name: str, more: str, cells: str):
    path = folder / name
    header = "rentree_scolaire;code_du_departement;uai;secteur;ips;ecart_type_de_l_ips"
    path.write_text(f"{header}{more}\n2099-2100;002;0020001R;public;98.5;30.1{cells}\n", encoding="utf-8")
    return path


def test_the_shared_data_set_is_told_by_its_columns(tmp_path):
    plain = _school_ips(tmp_path, "fr-en-ips-colleges-ap2022.csv", ";effectifs", ";540.0")
    rich = _school_ips(tmp_path, "fr-en-ips-colleges-ap2023.csv", ";ips_national;ips_academique", ";105.0;99.1")
    poor = _school_ips(tmp_path, "fr-en-ips-colleges-ap2023 (1).csv", "", "")
    assert recognise_source(plain).id == "ips_colleges_2022"
    assert recognise_source(rich).id == "ips_colleges_2023"
    assert recognise_source(poor).id == "ips_colleges_2022"
    for path in (plain, rich, poor):
        assert read_table(path, get_source("ips_colleges_2022"))["ips"].tolist() == [98.5]


@each
def test_names_of_columns_are_told_apart(source):
    names = [column.name for column in source.columns]
    assert len(names) == len(set(names))
    spelt = [written for column in source.columns for written in {column.name, *column.labels}]
    assert [name for name in set(spelt) if spelt.count(name) > 1] == []


@each
def test_rules_name_columns(source):
    columns = {column.name: column for column in source.columns}
    assert set(source.key) <= set(columns)
    assert set(source.keep) <= set(columns)
    for small, large in source.at_most:
        assert small != large
        assert {small, large} <= set(columns)
        assert TYPES[columns[small].type].numeric and TYPES[columns[large].type].numeric
    for rule in source.sums:
        named = {*rule.parts, *filter(None, (rule.total, rule.apart))}
        assert named <= set(columns)
        assert all(TYPES[columns[name].type].numeric for name in named)


@each
def test_columns_have_a_known_type_and_sound_bounds(source):
    for column in source.columns:
        assert column.type in TYPES, column.name
        if column.low is not None and column.high is not None:
            assert column.low < column.high, column.name
        if column.type in ("integer", "number"):
            assert column.unit or column.missing == (), column.name
        if column.unit == "%" and column.type == "number":
            assert (column.low, column.high) == (0, 100), column.name


@each
def test_breaks_are_years_with_a_reason(source):
    assert all(1990 <= item.period <= 2100 and item.why.endswith(".") for item in source.breaks)
    periods = [item.period for item in source.breaks]
    assert periods == sorted(set(periods))


@each
def test_a_query_aggregates_into_columns_of_the_entry(source):
    if not source.query:
        return
    assert set(source.query) <= {"select", "where", "group_by", "order_by"}
    made = re.findall(r" as (\w+)", " ".join((source.query["select"], source.query["group_by"])))
    plain = [term for term in source.query["group_by"].split(", ") if " as " not in term]
    assert {*made, *plain} <= _named_columns(source)
    required = {column.name for column in source.columns if column.required}
    assert required <= {*made, *plain}


@each
def test_patterns_do_not_collide(source):
    taken = {name: _owners(name) for name in _names(source)}
    shared = tuple(SHARED)
    wrong = {name: owners for name, owners in taken.items() if owners != [source.id] and not name.startswith(shared)}
    assert wrong == {}


def test_series_breaks_that_forbid_a_comparison_are_there():
    breaks = {source.id: {item.period for item in source.breaks} for source in SOURCES}
    for id in ("ips_colleges_2021", "ips_colleges_2022", "ips_ecoles_2021", "ips_ecoles_2022", "ips_lycees_2021"):
        assert {2022, 2023} <= breaks[id], id
    assert {2020, 2024} <= breaks["dnb_departement"]
    assert 2020 in breaks["dnb_etablissement"]


def test_known_defects_are_told():
    def told(id: str, words: str) -> bool:
        return any(words in quirk for quirk in get_source(id).quirks)

    for id in ("tne_personnels_formes", "tne_audiences"):
        assert told(id, "Série cumulée"), id
    for id in ("tne_deploiement_1d", "tne_deploiement_2d", "tne_deploiement_inclusif"):
        assert told(id, "Copie : mêmes totaux"), id
    assert told("effectifs_ecoles", "code POSTAL")
    assert told("snee_ecoles", "6 995")
    assert "#N/A" in next(c for c in get_source("snee_ecoles").columns if c.name.startswith("siren")).missing
    assert told("pix_certifications", "position est faux")
    assert told("moyens_enseignants_public", "Total Département")


def test_columns_of_published_schemas_are_all_there():
    """The fifteen columns of the SNEE conventions and the twelve of the TNE participants, as on the portal."""
    snee = """code_region region_academique_ou_com code_academie academie code_departement departement
        raison_sociale_du_signataire_de_la_convention siren_signataire_de_la_convention code_commune_siege
        nom_officiel_commune_siege nombre_de_communes nombre_d_ecoles depenses_realisees_par_la_collectivite
        montant_de_la_subvention position"""
    assert _named_columns(get_source("snee_collectivites")) == set(snee.split())
    tne = """annee date_de_saisie departement nombre_total_de_participants nombre_de_personnes_precisees
        enseignement_public enseignement_prive etablissement_1er_degre etablissement_2nd_degre
        profil_stagiaire_enseignant profil_stagiaire_formateurs_cadres_personnel_de_l_en formes_non_connus"""
    assert _named_columns(get_source("tne_personnels_formes")) == set(tne.split())


@pytest.mark.opendata
def test_slugs_are_those_of_the_portal(opendata):
    path = opendata / "catalogue" / "ods-datasets-monitoring.csv"
    portal = pd.read_csv(path, sep=";", dtype=str, keep_default_na=False, encoding="utf-8-sig").set_index("dataset_id")
    slugs = {source.slug: source for source in SOURCES if source.slug}
    assert sorted(set(slugs) - set(portal.index)) == []
    for slug, source in slugs.items():
        open_licence = portal.loc[slug, "license"].startswith("Licence Ouverte v2.0")
        assert open_licence == (source.licence == "Licence Ouverte 2.0 (Etalab)"), slug
        assert open_licence or slug in OTHER_LICENCE, slug


@pytest.mark.opendata
def test_every_file_at_hand_has_one_source(opendata):
    files = [path for path in opendata.rglob("*.*") if path.is_file() and path.suffix != ".md"]
    assert files
    wrong = {path.name: _owners(path.name) for path in files if path.name not in NOT_SOURCES}
    assert {name: owners for name, owners in wrong.items() if len(owners) != 1} == {}


@pytest.mark.opendata
@each
def test_files_at_hand_keep_their_contract(source, opendata):
    paths = [path for path in find_files(opendata, source) if path.suffix != ".geojson"]
    for path in paths:
        table = read_table(path, source)
        assert len(table) > 0
        assert list(table.columns) == [column.name for column in source.columns]
        required = [column.name for column in source.columns if column.required]
        assert table[required].notna().any().all()
