"""Headers as published files carry them, read in public copies of the files or of the portal's own descriptions: each
is recognised, with every column that its entry declares and the file has."""

import unicodedata

import pytest
from malformed import uai

from tne_eval.catalog import get_source
from tne_eval.sources.read import match_columns, read_table
from tne_eval.sources.tables.schools import make_colleges

# By source and form: the header, and the declared columns that this form does not have.
HEADERS = {
    ("snee_collectivites", "labels"): (
        "Code région;Région académique ou COM;Code académie;Académie;Code département;Département;Raison sociale du "
        "signataire de la convention;SIREN signataire de la convention;Code Commune siège signataire convention;Nom "
        "Commune siège signataire convention;Nombre de communes;Nombre d'écoles;Dépenses réalisées par la collectivité;"
        "Montant de la subvention;Position",
        set(),
    ),
    ("effectifs_colleges", "names of 2026"): (
        "rentree_scolaire;region_academique;academie;code_dept;departement;code_commune;commune;numero_college;"
        "denomination_principale;patronyme;secteur;rep;rep0;nombre_eleves_total;nombre_d_eleves_total_segpa;"
        "nombre_d_eleves_total_ulis;nombre_total_de_6emes",
        set(),
    ),
    ("ips_colleges_2023", "labels"): (
        "Rentrée scolaire;Code région;Région académique;Code académie;Académie;Code du département;Département;Code "
        "INSEE de la commune;Nom de la commune;UAI;Nom de l'établissement;Secteur;IPS;Ecart type de l'IPS;IPS national "
        "privé;IPS national public;IPS national;IPS académique privé;IPS académique public;IPS académique;IPS "
        "départemental privé;IPS départemental public;IPS départemental;num_ligne",
        {"effectifs"},
    ),
    ("moyens_enseignants_public", "labels"): (
        "num_ligne;Année;Période d'observation;UAI;Nom de l'établissement;Académie;Code département;Libellé "
        "departement;Niveau;Numérateur H/E : nombre d’heures d’enseignement hebdomadaire devant élèves.;Dénominateur "
        "H/E : somme des élèves en division.;H/E;Numérateur E/S : nombre d’élèves d’une structure pondéré par le "
        "nombre d’heures d’enseignement dans cette structure;Dénominateur E/S : nombre d’heures d’enseignement "
        "hebdomadaire devant élèves.;E/S",
        set(),
    ),
    ("ival_gt", "names"): (
        "annee;uai;libelle_uai;secteur;code_commune;libelle_commune;libelle_departement;code_departement;presents_total;"
        "taux_reu_total;va_reu_total;taux_acces_2nde;va_acces_2nde;taux_men_total;va_men_total;eff_2nde",
        set(),
    ),
    ("ival_pro", "labels"): (
        "Annee;UAI;Etablissement;Secteur;Code commune;Code departement;Departement;Presents - Toutes series;Taux de "
        "reussite - Toutes series;Valeur ajoutee du taux de reussite - Toutes series;Taux d'acces 2nde-bac;Valeur "
        "ajoutee du taux d'acces 2nde-bac;Taux de mentions - Toutes series;Valeur ajoutee du taux de mentions - Toutes "
        "series",
        set(),
    ),
    ("arcep_fibre_departement", "names to 2020"): (
        "code_dep;nom_dep;code_reg;type;date;nbr;elig_ftth;elig_coax;elig_cu;elig_thdr;elig_4fg;elig_hdr;elig_sat",
        set(),
    ),
    ("etablissements_fermes", "names"): (
        "numero_uai;appellation_officielle;denomination_principale;patronyme_uai;secteur_public_prive_libe;"
        "date_ouverture;date_fermeture;adresse_uai;lieu_dit_uai;boite_postale_uai;code_postal_uai;"
        "localite_acheminement_uai;coordonnee_x;coordonnee_y;EPSG;latitude;longitude;position;appariement;localisation;"
        "nature_uai;nature_uai_libe;code_departement;code_region;code_academie;code_commune;libelle_departement;"
        "libelle_region;libelle_academie;libelle_commune;Restauration;Herbergement;Ecole_maternelle;Ecole_elementaire;"
        "ULIS;GRETA",
        set(),
    ),
    ("rep_etablissements", "names"): (
        "uai;ep_2022_2023;nom_etablissement;type_etablissement;statut_public_prive;libelle_academie;libelle_departement;"
        "nom_commune;libelle_region;uai_tete_de_reseau;qp_a_proximite_o_n;qp_a_proximite;nom_du_qp;nombre_d_eleves;"
        "code_postal;code_commune;code_departement;code_academie;code_region;libelle_nature;code_nature;latitude;"
        "longitude",
        set(),
    ),
    ("tne_deploiement", "names"): (
        "annee;mois_des_donnees;numero_du_departement;departement;nombre_d_enseignants;nombre_d_eleves;date_des_donnees",
        set(),
    ),
}


@pytest.mark.parametrize(("id", "form"), HEADERS, ids=" ".join)
def test_a_published_header_is_recognised(id, form):
    header, absent = HEADERS[id, form]
    source = get_source(id)
    places, problems = match_columns(header.split(";"), source, "file.csv", 1)
    assert problems == []
    assert {column.name for column in source.columns} - set(places) == absent
    assert not {column.name for column in source.columns if column.required} & absent


def test_no_column_is_read_under_two_names_of_one_header():
    for id, form in HEADERS:
        places, _ = match_columns(HEADERS[id, form][0].split(";"), get_source(id), "file.csv", 1)
        assert len(set(places.values())) == len(places)


def test_the_code_of_a_departement_is_read_before_its_name():
    header = HEADERS["effectifs_colleges", "names of 2026"][0].split(";")
    places, _ = match_columns(header, get_source("effectifs_colleges"), "file.csv", 1)
    assert header[places["code_departement"]] == "code_dept"


def test_a_sum_with_a_small_number_left_blank_is_hidden(tmp_path):
    """Since 2026 the producer leaves numbers of pupils under five blank."""
    header = HEADERS["effectifs_colleges", "names of 2026"][0]
    sixths = {"002": (100, "", 80), "003": (90, 90, 90)}
    rows = [
        f"2025;X;X;{code};X;X;X;{uai(10_000 * int(code) + place)};COLLEGE;X;PUBLIC;0;0;400;0;0;{sixth}"
        for code, numbers in sixths.items()
        for place, sixth in enumerate(numbers)
    ]
    path = tmp_path / "fr-en-college-effectifs-niveau-sexe-lv.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    table = make_colleges({"effectifs_colleges": read_table(path, get_source("effectifs_colleges"))})
    assert list(table["departement"]) == ["02", "03"] and list(table["college_pupils"]) == [1200, 1200]
    assert table["college_pupils_6e"].isna().tolist() == [True, False] and table["college_pupils_6e"][1] == 270


def test_a_label_is_recognised_however_its_accents_are_written():
    header = HEADERS["snee_collectivites", "labels"][0].split(";")
    apart = [unicodedata.normalize("NFD", name) for name in header]
    assert apart != header
    source = get_source("snee_collectivites")
    assert match_columns(apart, source, "file.csv", 1) == match_columns(header, source, "file.csv", 1)
