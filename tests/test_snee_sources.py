"""SNEE files read by the real reader: published totals given back, defects counted, broken files refused, joins."""

from __future__ import annotations

import csv
import hashlib

import numpy as np
import pandas as pd
import pytest
from api_server import DataSet, running
from malformed import siren, uai
from snee_files import NOWHERE, REGIONS, write_snee_files

from tne_eval.catalog import get_source
from tne_eval.errors import ContractError, MissingDataError
from tne_eval.sources.fetch import fetch_source
from tne_eval.sources.read import read_table
from tne_eval.sources.snee import SOURCES, load_snee, report_joins, schools_frame, snee_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("snee")
    write_snee_files(place)
    return place


@pytest.fixture(scope="module")
def files(folder):
    return load_snee(folder)


# --- the generated files ---------------------------------------------------------------------------------------------


def test_the_generated_files_are_the_same_each_time(folder, tmp_path):
    paths = write_snee_files(tmp_path)
    for path in paths.values():
        assert path.read_bytes() == (folder / path.name).read_bytes()
    (tmp_path / "other").mkdir()
    other = write_snee_files(tmp_path / "other", seed=1)
    assert {hashlib.sha256(path.read_bytes()).digest() for path in other.values()}.isdisjoint(
        hashlib.sha256(path.read_bytes()).digest() for path in paths.values()
    )


def test_the_generated_files_have_the_shape_of_the_exports(folder):
    for name, rows, columns in (("collectivites", 6870, 15), ("ecoles", 12_624, 18)):
        raw = (folder / f"fr-en-aap-snee-{name}.csv").read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        lines = raw.decode("utf-8-sig").splitlines()
        assert len(lines) == rows + 1 and {line.count(";") for line in lines} == {columns - 1}
    assert raw.count(b"#N/A") == 2 * 6995


# --- totals ----------------------------------------------------------------------------------------------------------

# README of the published totals; nothing here comes from the generator.
EXACT = {
    "grants": 103_095_993.73,
    "spending": 196_533_726.48,
    "conventions": 6870,
    "signatories": 6866,
    "schools": 12_670,
    "schools_listed": 12_624,
    "schools_without_payer": 6995,
    "communes": 7810,
    "conventions_high_rate": 3101,
    "conventions_top_rate": 1,
    "conventions_large": 107,
    "spending_auvergne_rhone_alpes": 19_772_786,
    "grants_nord": 5_270_453,
    "grants_no_departement": 185_686,
}
PERCENTS = {
    "grant_rate": 52.5,
    "grant_rate_median": 63.7,
    "grant_rate_small": 63.5,
    "grant_rate_large": 39.3,
    "spending_large_percent": 22.6,
    "grant_rate_seine_saint_denis": 34.0,
    "grant_rate_reunion": 32.5,
    "grant_rate_moselle": 43.8,
}


def test_published_totals_are_given_back_to_the_cent(files):
    _check_totals(files.totals)


def test_another_seed_has_the_same_totals_in_other_rows(files, tmp_path):
    write_snee_files(tmp_path, seed=7)
    other = load_snee(tmp_path)
    _check_totals(other.totals)
    assert not other.conventions["grant"].equals(files.conventions["grant"])


def _check_totals(totals) -> None:
    assert {name: totals[name] for name in EXACT} == EXACT
    assert {name: round(totals[name], 1) for name in PERCENTS} == PERCENTS
    assert round(totals["spending_mean"], -2) == 28_600 and round(totals["grants_per_school"]) == 8137


def test_no_figure_of_the_catalogue_disagrees(files):
    assert files.disagreements.empty and list(files.disagreements) == ["figure", "label", "published", "found"]


def test_totals_by_place(files):
    conventions = files.conventions
    place = conventions["departement"]
    nord, auvergne = conventions[place == "59"], conventions[conventions["region"] == "Auvergne-Rhône-Alpes"]
    assert nord["spending"].sum() == pytest.approx(10_537_288, abs=1e-6)
    assert (nord["schools"].sum(), nord["communes"].sum()) == (684, 314)
    assert (auvergne["schools"].sum(), auvergne["communes"].sum()) == (1552, 1160)
    for code, number, mean in (("93", 26, 435_000), ("57", 113, 27_500)):
        own = conventions.loc[place == code, "spending"]
        assert len(own) == number and own.mean() == pytest.approx(mean, abs=1e-6)
    apart = conventions[place.isna()]
    assert len(apart) == 6 and apart.groupby("region")["grant"].sum().round(2).to_dict() == NOWHERE
    rates = conventions["grant"] / conventions["spending"]
    assert rates.max() == pytest.approx(0.82, abs=0.005) and rates.min() > 0


@pytest.mark.opendata
def test_grants_by_region_are_the_published_ones(files, opendata):
    published = pd.read_csv(opendata / "snee" / "snee_regions_official_aggregates.csv", sep=";")
    published = published.set_index("region")["subvention_eur"]
    assert published.to_dict() == REGIONS
    found = files.conventions.groupby("region")["grant"].sum().round(2)
    pd.testing.assert_series_equal(found[published.index], published.astype(float), check_names=False)


def test_a_file_that_lost_a_convention_is_told(folder, tmp_path):
    """The dearest convention of Nord taken away: the totals that it was in disagree, the others do not."""
    lines = (folder / "fr-en-aap-snee-collectivites.csv").read_text(encoding="utf-8-sig").splitlines()
    nord = [line for line in lines if ";059;" in line]
    dearest = max(nord, key=lambda line: float(line.split(";")[12]))
    lines.remove(dearest)
    _put(tmp_path, "collectivites", "\n".join(lines))
    _put(tmp_path, "ecoles", (folder / "fr-en-aap-snee-ecoles.csv").read_text(encoding="utf-8-sig"))
    files = load_snee(tmp_path)
    told = files.disagreements.set_index("figure")
    assert {"grants", "spending", "conventions", "conventions_large", "grants_nord", "grants_hauts_de_france"} <= set(
        told.index
    )
    assert not {"grants_bretagne", "grant_rate_moselle", "grants_overseas"} & set(told.index)
    lost = float(dearest.split(";")[13])
    assert told.loc["grants", "published"] - told.loc["grants", "found"] == pytest.approx(lost, abs=0.005)
    unknown = files.defects.set_index("kind")["count"].get("schools_of_unknown_siren", 0)
    number = dearest.split(";")[7]
    assert unknown == files.schools_listed["siren"].eq(number).sum()


# --- defects ---------------------------------------------------------------------------------------------------------


def test_each_known_defect_is_found_and_counted(files):
    assert files.defects.set_index("kind")["count"].to_dict() == {
        "schools_without_siren": 6995,
        "schools_declared_not_listed": 46,
        "siren_signing_twice": 4,
        "conventions_without_departement": 6,
        "rates_above_70_percent": 1,
        "rows_without_date": 6870 + 12_624,
    }
    assert files.defects["action"].str.len().gt(0).all()


def test_no_row_is_lost(files):
    assert (
        len(files.conventions) == 6870 and len(files.schools_listed) == files.schools_listed["uai"].nunique() == 12624
    )
    assert list(files.conventions) == [
        "siren",
        "signatory",
        "departement",
        "region",
        "communes",
        "schools",
        "spending",
        "grant",
    ]
    assert files.to_frame().set_index("figure")["value"]["grants"] == EXACT["grants"]


# --- broken files ----------------------------------------------------------------------------------------------------

CONVENTION = {
    "code_region": "32",
    "region_academique_ou_com": "Hauts-de-France",
    "code_academie": "20",
    "academie": "Amiens",
    "code_departement": "002",
    "departement": "Aisne",
    "raison_sociale_du_signataire_de_la_convention": "Commune de Laon",
    "siren_signataire_de_la_convention": siren(1),
    "code_commune_siege": "02408",
    "nom_officiel_commune_siege": "Laon",
    "nombre_de_communes": "1",
    "nombre_d_ecoles": "1",
    "depenses_realisees_par_la_collectivite": "1000.5",
    "montant_de_la_subvention": "600",
    "position": "49.5, 3.6",
}
SCHOOL = {
    "uai": uai(20_001),
    "nom_de_l_ecole": "Ecole",
    "nom_de_la_commune_uai": "Laon",
    "raison_sociale_du_signataire_de_la_convention": "Commune de Laon",
    "siren_signataire_de_la_convention": siren(1),
    "nombre_de_classes_referentiel": "4",
}


def _put(folder, name: str, text: str) -> None:
    (folder / f"fr-en-aap-snee-{name}.csv").write_text(text, encoding="utf-8-sig")


def _text(rows: list[dict]) -> str:
    return "\n".join([";".join(rows[0]), *(";".join(map(str, row.values())) for row in rows)]) + "\n"


def _load(folder, conventions: list[dict], schools: list[dict]):
    _put(folder, "collectivites", _text([CONVENTION | row for row in conventions]))
    _put(folder, "ecoles", _text([SCHOOL | row for row in schools]))
    return load_snee(folder)


def test_none_unless_both_files_are_there(tmp_path):
    assert load_snee(tmp_path) is None
    _put(tmp_path, "ecoles", _text([SCHOOL]))
    assert load_snee(tmp_path) is None
    _put(tmp_path, "collectivites", _text([CONVENTION]))
    assert len(load_snee(tmp_path).conventions) == 1


def _publish(server, made: dict) -> None:
    """Put files on the server as the portal holds them: amounts and counts are numbers, nothing is a blank."""
    kinds = {"nombre_de_communes": "INTEGER", "nombre_d_ecoles": "INTEGER", "nombre_de_classes_referentiel": "INTEGER"}
    kinds |= {"depenses_realisees_par_la_collectivite": "DOUBLE", "montant_de_la_subvention": "DOUBLE"}
    for id, path in made.items():
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = csv.reader(stream, delimiter=";")
        rows = [tuple(cell or None for cell in row) for row in rows]
        server.data_sets[get_source(id).slug] = DataSet(header, rows, [kinds.get(name, "VARCHAR") for name in header])


def test_fetched_files_are_checked_against_the_published_totals(tmp_path):
    """Through the whole connector: what the API gives is stored, read, and added up to the cent."""
    (tmp_path / "made").mkdir()
    made = write_snee_files(tmp_path / "made")
    raw = tmp_path / "raw"
    with running() as server:
        _publish(server, made)
        results = [fetch_source(get_source(id), raw, base_url=server.url) for id in SOURCES]
        assert [result.status for result in results] == ["fetched", "fetched"]
        assert [result.rows for result in results] == [6870, 12_624]
    files = load_snee(raw)
    _check_totals(files.totals)
    assert files.disagreements.empty

    # One cent more in one convention, on the portal.
    conventions = made["snee_collectivites"]
    text = conventions.read_text(encoding="utf-8-sig").splitlines()
    place = text[0].split(";").index("montant_de_la_subvention")
    cells = text[1].split(";")
    cells[place] = f"{float(cells[place]) + 0.01:.2f}"
    conventions.write_text("\n".join([text[0], ";".join(cells), *text[2:]]) + "\n", encoding="utf-8-sig")
    with running() as server:
        _publish(server, made)
        for id in SOURCES:
            fetch_source(get_source(id), tmp_path / "later", base_url=server.url)
    later = load_snee(tmp_path / "later").disagreements.set_index("figure")
    assert later.loc["grants", ["published", "found"]].tolist() == [103_095_993.73, 103_095_993.74]


def test_the_columns_seen_on_the_portal_are_enough(tmp_path):
    """Of the écoles only these are seen on the portal: nothing then says who pays, and the figures tell it."""
    seen = ("uai", "nom_de_l_ecole", "nom_de_la_commune_uai", "nombre_de_classes_referentiel")
    _put(tmp_path, "collectivites", _text([CONVENTION]))
    _put(tmp_path, "ecoles", _text([{name: SCHOOL[name] for name in seen} | {"departement_uai": "Aisne"}]))
    files = load_snee(tmp_path)
    (school,) = files.schools_listed.itertuples()
    assert (school.departement, school.classes) == ("02", 4) and school.siren is None
    assert files.totals["schools_without_payer"] == 1
    assert set(files.disagreements["figure"]) >= {"schools_without_payer", "grants", "spending"}


CELLS = {
    "negative amount": ("collectivites", "montant_de_la_subvention", "-600"),
    "grant above spending": ("collectivites", "montant_de_la_subvention", "1000.51"),
    "decimal comma": ("collectivites", "montant_de_la_subvention", "600,25"),
    "infinite spending": ("collectivites", "depenses_realisees_par_la_collectivite", "inf"),
    "unknown département": ("collectivites", "code_departement", "99"),
    "SIREN without its key": ("collectivites", "siren_signataire_de_la_convention", "000000011"),
    "half an école": ("collectivites", "nombre_d_ecoles", "1.5"),
    "no signatory": ("collectivites", "raison_sociale_du_signataire_de_la_convention", ""),
    "wrong letter of UAI": ("ecoles", "uai", uai(20_001)[:-1] + "A"),
    "no UAI": ("ecoles", "uai", ""),
    "negative classes": ("ecoles", "nombre_de_classes_referentiel", "-1"),
    "école abroad": ("ecoles", "uai", uai(990_001)),
}


@pytest.mark.parametrize("what", CELLS)
def test_a_wrong_cell_is_refused_where_it_is(what, tmp_path):
    name, column, cell = CELLS[what]
    rows = {"collectivites": [{}, {}], "ecoles": [{}, {"uai": uai(20_002)}]}
    rows[name][1] = rows[name][1] | {column: cell}
    with pytest.raises(ContractError) as error:
        _load(tmp_path, rows["collectivites"], rows["ecoles"])
    assert [(problem.row, problem.column) for problem in error.value.problems] == [(3, column)]


@pytest.mark.parametrize("name", ["collectivites", "ecoles"])
def test_headers_missing_or_repeated_are_refused(name, tmp_path):
    column = {"collectivites": "nombre_d_ecoles", "ecoles": "nom_de_l_ecole"}[name]
    good = {"collectivites": CONVENTION, "ecoles": SCHOOL}
    for other, row in good.items():
        _put(tmp_path, other, _text([row]))
    _put(tmp_path, name, _text([{key: cell for key, cell in good[name].items() if key != column}]))
    with pytest.raises(ContractError, match=column):
        load_snee(tmp_path)
    text = _text([good[name]])
    _put(tmp_path, name, text.replace("\n", f";{column}\n", 1).replace("\n", ";1\n").replace(f"{column};1", column))
    with pytest.raises(ContractError) as error:
        load_snee(tmp_path)
    assert column in {problem.column for problem in error.value.problems}


def test_problems_of_both_files_come_together(tmp_path):
    with pytest.raises(ContractError) as error:
        _load(tmp_path, [{"montant_de_la_subvention": "-1"}], [{"uai": "0020001Z"}])
    assert len({problem.file for problem in error.value.problems}) == 2


def test_other_separator_empty_file_and_two_editions_are_refused(tmp_path):
    _load(tmp_path, [{}], [{}])
    for text in (_text([SCHOOL]).replace(";", ","), "", _text([SCHOOL]).splitlines()[0] + "\n"):
        _put(tmp_path, "ecoles", text)
        with pytest.raises(ContractError):
            load_snee(tmp_path)
    _put(tmp_path, "ecoles", _text([SCHOOL]))
    _put(tmp_path, "ecoles (1)", _text([SCHOOL]))
    with pytest.raises(ContractError, match="several files"):
        load_snee(tmp_path)


# --- écoles ----------------------------------------------------------------------------------------------------------


def _ips(rows: list[tuple]) -> pd.DataFrame:
    """(UAI number, département, commune, sector, ips)."""
    numbers, places, communes, sectors, values = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "rentree_scolaire": pd.array([2021] * len(rows), dtype="Int64"),
            "code_du_departement": places,
            "uai": [uai(number) for number in numbers],
            "code_insee_de_la_commune": communes,
            "secteur": sectors,
            "effectifs": np.nan,
            "ips": values,
        }
    )


def _frames() -> dict[str, pd.DataFrame]:
    """Annecy (74010) absorbed Annecy-le-Vieux (74011); Paris 12e has no density level of its own."""
    ips = _ips(
        [
            (740_001, "74", "74011", "public", 100.0),
            (740_002, "74", "74010", "privé sous contrat", 130.0),
            (750_001, "75", "75112", "public", 115.0),
            (20_001, "02", None, "public", 90.0),
            (20_002, "02", "02408", "public", 80.0),
        ]
    )
    older = _ips([(20_009, "02", "02408", "public", 85.0)]).assign(rentree_scolaire=2020)
    enrolments = pd.DataFrame(
        {
            "rentree_scolaire": pd.array([2021, 2021, 2021, 2020], dtype="Int64"),
            "numero_ecole": [uai(740_001), uai(740_003), uai(740_004), uai(740_001)],
            "code_departement": "74",
            "secteur": ["PUBLIC", "PRIVE", "PUBLIC", "PUBLIC"],
            "rep": pd.array([1, 0, 0, 0], dtype="Int64"),
            "rep_plus": pd.array([0, 0, 0, 0], dtype="Int64"),
            "nombre_total_classes": pd.array([6, 2, 3, 9], dtype="Int64"),
            "nombre_total_eleves": pd.array([150, 40, 60, 999], dtype="Int64"),
            "nombre_eleves_elementaire_hors_ulis": pd.array([150, 15, 0, 999], dtype="Int64"),
        }
    )
    later = _ips([(20_001, "02", "02408", "public", 91.0)]).assign(rentree_scolaire=2022, effectifs=77.0)
    return {
        "ips_ecoles_2021": pd.concat([ips, older], ignore_index=True),
        "ips_ecoles_2022": later,
        "effectifs_ecoles": enrolments,
        "ifn_2020": pd.DataFrame(
            {
                "code_iris": ["740100101", "740100102", "740110101", "740110102", "024080101"],
                "Population": [100.0, 200.0, 100.0, 0.0, 50.0],
                "SCORE GLOBAL": [80.0, 110.0, 60.0, 0.0, 120.0],
            }
        ),
        "filosofi_communes": pd.DataFrame(
            {
                "code_commune": ["74010", "02408", "75056", "75112"],
                "mediane": [25_000.0, np.nan, 28_000.0, 29_000.0],
                "nbpers": [1000.0, 10.0, 100.0, 50.0],
            }
        ),
        "densite": pd.DataFrame(
            {
                "code_commune": ["74010", "74011", "02408", "75056"],
                "densite": pd.array([2, 6, 6, 1], dtype="Int64"),
            }
        ),
        "etablissements_fermes": pd.DataFrame({"numero_uai": [uai(20_003), uai(740_001)]}),
    }


def _small(folder):
    """02: one école alone, one of two under the same SIREN; 74: one without SIREN; Polynésie: one."""
    return _load(
        folder,
        [
            {},
            {
                "siren_signataire_de_la_convention": siren(2),
                "nombre_d_ecoles": "3",
                "montant_de_la_subvention": "900",
            },
            {
                "siren_signataire_de_la_convention": siren(3),
                "code_departement": "074",
                "nombre_d_ecoles": "2",
                "montant_de_la_subvention": "500",
            },
            {
                "code_region": "00",
                "region_academique_ou_com": "Polynésie française",
                "code_departement": "",
                "siren_signataire_de_la_convention": siren(4),
            },
        ],
        [
            {},
            {"uai": uai(20_002), "siren_signataire_de_la_convention": siren(2)},
            {"uai": uai(20_003), "siren_signataire_de_la_convention": siren(2)},
            {"uai": uai(740_001), "siren_signataire_de_la_convention": "#N/A"},
            {"uai": uai(9_840_001), "siren_signataire_de_la_convention": siren(4)},
        ],
    )


@pytest.fixture
def joined(tmp_path):
    files, frames = _small(tmp_path), _frames()
    return files, frames, schools_frame(files, frames).set_index("uai")


def test_joins_done_by_hand(joined):
    _, _, table = joined
    assert list(table.index) == sorted(
        uai(number) for number in (20_001, 20_002, 20_003, 740_001, 740_002, 740_003, 750_001)
    )
    annecy = table.loc[uai(740_001)]
    # 74011 is Annecy today: (80 × 100 + 110 × 200 + 60 × 100) / 400.
    assert annecy[["commune", "region", "sector", "ips", "ifn", "income"]].tolist() == [
        "74010",
        "Auvergne-Rhône-Alpes",
        "public",
        100.0,
        90.0,
        25_000.0,
    ]
    assert annecy[["rural", "priority", "pupils", "classes"]].tolist() == [False, True, 150.0, 6.0]
    paris = table.loc[uai(750_001)]
    assert (paris["commune"], paris["income"], bool(paris["rural"])) == ("75112", 29_000.0, False)
    assert np.isnan(paris["ifn"]) and np.isnan(paris["pupils"]) and paris["priority"] is pd.NA
    laon = table.loc[uai(20_002)]
    assert bool(laon["rural"]) and laon["ifn"] == 120 and np.isnan(laon["income"]) and laon["classes"] == 4
    # No commune in the IPS file; pupils from the next year's.
    assert table.loc[uai(20_001), "commune"] is None and table.loc[uai(20_001), "pupils"] == 77
    assert table.loc[uai(20_001), "rural"] is pd.NA
    # Only listed: nothing but its département is known.
    assert table.loc[uai(20_003), ["departement", "granted"]].tolist() == ["02", True]
    assert table.loc[uai(20_003), ["ips", "sector"]].isna().all()
    # With elementary pupils but no IPS; a maternelle is no such école.
    assert table.loc[uai(740_003), ["sector", "granted", "pupils"]].tolist() == ["private", False, 40.0]
    assert table["poverty"].isna().all()


def test_grants_tied_by_hand(joined):
    table = joined[2]
    amounts = table[["tie", "grant", "grant_low", "grant_high"]]
    assert amounts.loc[uai(20_001)].tolist() == ["exact", 600, 600, 600]
    for number, tie, high in ((20_002, "shared", 900), (20_003, "shared", 900), (740_001, "unknown", 500)):
        row = amounts.loc[uai(number)]
        assert row["tie"] == tie and np.isnan(row["grant"]) and (row["grant_low"], row["grant_high"]) == (0, high)
    assert amounts.loc[uai(740_002)].tolist() == ["not_granted", 0, 0, 0]


def test_joins_are_reported(joined):
    files, frames, table = joined
    report = report_joins(files, table.reset_index(), frames).set_index("kind")["count"].to_dict()
    assert report == {
        "listed": 5,
        "in_the_frame": 4,
        "outside_the_departements": 1,
        "without_ips": 1,
        "without_commune": 2,
        "private": 0,
        "grant_exact": 1,
        "grant_shared": 2,
        "grant_unknown": 1,
        "without_enrolment": 3,
        "closed": 2,
    }


def test_frames_that_are_not_at_hand_leave_their_columns_unknown(tmp_path):
    files, frames = _small(tmp_path), _frames()
    bare = schools_frame(files, {"ips_ecoles_2021": frames["ips_ecoles_2021"]})
    assert bare[["ifn", "income", "pupils"]].isna().all(axis=None) and bare[["rural", "priority"]].isna().all(axis=None)
    assert (bare["rural"].dtype, bare["priority"].dtype) == ("boolean", "boolean")
    assert set(bare.loc[bare["granted"], "uai"]) == {uai(number) for number in (20_001, 20_002, 20_003, 740_001)}
    report = report_joins(files, bare, {"ips_ecoles_2021": frames["ips_ecoles_2021"]})
    assert not {"closed", "without_enrolment"} & set(report["kind"])
    with pytest.raises(MissingDataError, match="no IPS"):
        schools_frame(files, {})


def test_the_order_of_rows_does_not_matter_and_nothing_is_modified(joined):
    files, frames, table = joined
    copies = {name: frame.copy() for name, frame in frames.items()}
    own = files.conventions.copy(), files.schools_listed.copy()
    turned = {name: frame.iloc[::-1] for name, frame in frames.items()}
    again = type(files)(
        files.conventions.iloc[::-1].reset_index(drop=True),
        files.schools_listed.iloc[::-1],
        files.defects,
        files.totals,
        files.disagreements,
    )
    pd.testing.assert_frame_equal(schools_frame(again, turned).set_index("uai"), table)
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(frame, copies[name])
    pd.testing.assert_frame_equal(files.conventions, own[0])
    pd.testing.assert_frame_equal(files.schools_listed, own[1])


def test_raw_frames_are_not_modified(tmp_path):
    _small(tmp_path)
    names = {"snee_collectivites": "collectivites", "snee_ecoles": "ecoles"}
    raw = {id: read_table(tmp_path / f"fr-en-aap-snee-{name}.csv", get_source(id)) for id, name in names.items()}
    before = {id: frame.copy() for id, frame in raw.items()}
    snee_files(raw)
    for id, frame in raw.items():
        pd.testing.assert_frame_equal(frame, before[id])


def test_every_generated_ecole_is_in_the_frame_or_outside(files):
    schools = schools_frame(files, {"ips_ecoles_2021": _frames()["ips_ecoles_2021"]})
    report = report_joins(files, schools, {}).set_index("kind")["count"]
    assert report["in_the_frame"] + report["outside_the_departements"] == report["listed"] == 12_624
    assert report[["grant_exact", "grant_shared", "grant_unknown"]].sum() == report["in_the_frame"]
    granted = schools[schools["granted"]]
    assert (granted["grant_low"] <= granted["grant_high"]).all() and schools["grant_high"].notna().all()
    exact = granted[granted["tie"] == "exact"]
    assert len(exact) > 1000 and (exact["grant"] == exact["grant_high"]).all()
    assert granted.loc[granted["tie"] != "exact", "grant"].isna().all()
    assert (
        granted["siren"].isna().equals(granted["tie"] == "unknown")
        and not schools.loc[~schools["granted"], "siren"].any()
    )
    # What the signatories of a département were granted is what its écoles may have together.
    total = files.conventions.groupby("departement")["grant"].sum()
    bounds = granted.groupby("departement")[["grant_low", "grant_high"]].sum()
    assert (bounds["grant_low"] <= total).all() and (bounds["grant_high"] >= total).all()
    by_siren = files.conventions.groupby("siren")["grant"].sum()
    tied = granted.dropna(subset="siren")
    assert (tied["grant_high"] == tied["siren"].map(by_siren)).all()


@pytest.mark.opendata
def test_real_ecoles_all_keep_their_place(opendata, tmp_path):
    """Generated grants on the écoles of the IPS file: none of the file is lost, IFN within what its communes have."""
    ips = read_table(opendata / "ips" / "fr-en-ips_ecoles.csv", get_source("ips_ecoles_2021"))
    ifn = read_table(opendata / "ifn" / "ifn_iris_2020.parquet", get_source("ifn_2020"))
    public = ips[ips["secteur"] == "public"]
    write_snee_files(tmp_path, schools=public.groupby("code_du_departement")["uai"].agg(list).to_dict())
    files = load_snee(tmp_path)
    table = schools_frame(files, {"ips_ecoles_2021": ips, "ifn_2020": ifn}).set_index("uai")
    assert set(ips["uai"]) <= set(table.index) and table.index.is_unique
    assert (table.loc[ips["uai"], "ips"].to_numpy() == ips["ips"].to_numpy()).all()
    only_listed = set(table.index) - set(ips["uai"])
    report = report_joins(files, table.reset_index(), {}).set_index("kind")["count"]
    assert report["without_ips"] == len(only_listed) < 500 and table.loc[list(only_listed), "granted"].all()
    # Laon, whose code never changed, against a sum done here.
    iris = ifn[ifn["code_iris"].str.startswith("02408")]
    mean = np.average(iris["SCORE GLOBAL"], weights=iris["Population"])
    assert table.loc[table["commune"] == "02408", "ifn"].to_numpy() == pytest.approx(mean, rel=1e-12)
    assert table["ifn"].between(ifn["SCORE GLOBAL"].min(), ifn["SCORE GLOBAL"].max()).sum() > 31_000
