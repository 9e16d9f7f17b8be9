"""The report on the digital base: from the published totals, from files of the true shape, and refused when broken."""

from __future__ import annotations

import pandas as pd
import pytest
from snee_files import write_snee_files

from tne_eval.catalog import get_programme, get_source
from tne_eval.errors import ContractError
from tne_eval.report import sections
from tne_eval.report.blocks import Figure, Note, Paragraph, Table, Verdict
from tne_eval.report.facts import gather_territory
from tne_eval.report.sections import socle
from tne_eval.report.socle_facts import gather_schools
from tne_eval.sources.build import find_files
from tne_eval.sources.read import read_table

PARTS = (socle.socle_opening, socle.socle_money, socle.socle_targeting, socle.socle_take_up, socle.socle_effect)


def _blocks(facts) -> list:
    return [block for part in PARTS for block in part(facts)]


def _tables(blocks) -> dict[str, Table]:
    return {block.name: block for block in blocks if isinstance(block, Table)}


def _words(blocks) -> str:
    return " ".join(block.text for block in blocks if isinstance(block, Paragraph | Verdict | Note))


@pytest.fixture(scope="module")
def totals(panel):
    return socle.gather_socle(panel)


@pytest.fixture(scope="module")
def raw(opendata, tmp_path_factory):
    """Real IPS, fragility and income files, and generated SNEE files that list real écoles."""
    folder = tmp_path_factory.mktemp("raw")
    for id in ("ips_ecoles_2021", "ips_ecoles_2022", "ifn_2020"):
        for path in find_files(opendata, get_source(id)):
            (folder / path.name).symlink_to(path)
    source = get_source("ips_ecoles_2021")
    ips = read_table(find_files(folder, source)[0], source)
    write_snee_files(folder, schools=ips.groupby("code_du_departement")["uai"].apply(list).to_dict())
    return folder


@pytest.fixture(scope="module")
def files(panel, raw):
    return socle.gather_socle(panel, raw)


def test_without_the_files_the_totals_answer_and_what_is_missing_is_said(totals):
    blocks = _blocks(totals)
    words = _words(blocks)
    assert totals.schools is None and "snee_collectivites" in words
    money = {row[0]: row[1] for row in _tables(blocks)["faits_du_programme"].frame.rows}
    grants = next(figure for figure in get_programme("snee").figures if figure.id == "grants")
    assert grants.value == 103095993.73
    assert "103\u202f095\u202f993,73" in money[next(label for label in money if label.startswith("Subventions vers"))]
    assert len(_tables(blocks)["regions"].frame.rows) == 13
    assert sum(isinstance(block, Figure) for block in blocks) == 1


def test_regions_add_up_to_the_published_totals(totals):
    published = {figure.id: figure.value for figure in get_programme("snee").figures}
    assert totals.regions["grants"].sum() == sum(
        value for id, value in published.items() if id.startswith("grants_") and value and id not in
        ("grants_requested", "grants_per_school", "grants_nord")
    )  # fmt: skip
    assert (totals.regions["euros_per_pupil"] * totals.regions["pupils"]).sum() == pytest.approx(
        totals.regions["grants"].sum()
    )


@pytest.mark.opendata
def test_with_the_files_every_part_speaks(files):
    blocks = _blocks(files)
    tables = _tables(blocks)
    assert {"taux_par_taille", "couts_bornes", "defauts", "totaux", "ciblage", "candidature"} <= set(tables)
    assert tables["totaux"].frame.rows == () and files.schools.files.totals["grants"] == 103095993.73
    assert files.schools.files.totals["spending"] == 196533726.48
    rates = {row[0]: row[3] for row in tables["taux_par_taille"].frame.rows}
    assert next(iter(rates.values())) == "63,5\u00a0%" and list(rates.values())[-1] == "39,3\u00a0%"
    assert "snee_collectivites" not in _words(blocks)
    assert sum(isinstance(block, Figure) for block in blocks) == 3


@pytest.mark.opendata
def test_what_cannot_be_tied_is_bounded(files):
    found = files.schools
    assert found.bounds.index_low < found.bounds.index_high
    costs = found.costs[found.costs["amount"] == "grant"]
    assert (costs["low"] <= costs["tied"]).all() and (costs["tied"] <= costs["high"]).all()
    assert costs["total_amount"].iloc[0] == pytest.approx(103095993.73)
    assert found.schools["granted"].sum() > 10_000 and found.forgotten.rows > 0


def test_half_the_files_are_none_and_a_broken_one_is_refused(tmp_path):
    assert gather_schools(None) is None and gather_schools(tmp_path) is None
    files = write_snee_files(tmp_path)
    for path in files.values():
        aside = path.rename(tmp_path.with_name("aside"))
        assert gather_schools(tmp_path) is None
        aside.rename(path)
    listed = next(path for name, path in files.items() if "ecoles" in str(path))
    text = listed.read_text(encoding="utf-8-sig").splitlines()
    listed.write_text("\n".join([text[0], "not;a;school", *text[2:]]), encoding="utf-8")
    with pytest.raises(ContractError, match=listed.name):
        gather_schools(tmp_path)


def test_a_territory_says_its_region_or_that_none_is_published(panel):
    aisne, table = sections.socle_in_territory(gather_territory("aisne", panel))
    (guadeloupe,) = sections.socle_in_territory(gather_territory("guadeloupe", panel))
    assert "Hauts-de-France" in aisne.text and "au rang 2 des 13 régions" in aisne.text.replace("\u202f", " ")
    assert [row[0] for row in table.data.rows][1] == "Hauts-de-France"
    assert [row[2] for row in table.data.rows] == list(range(1, 14))
    assert guadeloupe.text != aisne.text and "métropole" in guadeloupe.text


def test_the_callers_panel_is_not_modified(panel):
    before = pd.util.hash_pandas_object(panel).sum()
    socle.gather_socle(panel)
    assert pd.util.hash_pandas_object(panel).sum() == before
