"""The missing-data register says what can be computed by computing it, and its dictionary holds together."""

from __future__ import annotations

import copy

import pytest

from tne_eval.audit import STATUSES, data_availability, list_holders, list_needs
from tne_eval.audit.availability import known_years
from tne_eval.audit.needs import FILE, make_dictionary
from tne_eval.audit.settings import read_catalog_file
from tne_eval.catalog import get_territory, list_indicators, list_sources, list_territories
from tne_eval.errors import ContractError
from tne_eval.indicators import compute_indicator
from tne_eval.indicators.compute import variables_of

OUTCOMES = {
    "eval_6e_colleges",
    "pix_scores",
    "ent_use",
    "equipment_by_school",
    "treatment_register",
    "executed_budget",
    "teaching_practice",
}


@pytest.fixture(scope="module")
def register(panel):
    return data_availability(panel)


def test_every_indicator_and_every_named_outcome_has_a_need():
    needs = list_needs()
    entries = {entry.id: entry for entry in list_indicators()}
    named = {need.indicator for need in needs if need.indicator}
    told = set().union(*(variables_of(entries[id]) for id in named))
    assert all(variables_of(entry) <= told for entry in entries.values() if not entry.needs)
    assert {need.id for need in needs} >= OUTCOMES
    assert all(need.label and need.unit and need.nature and need.field and need.why for need in needs)


def test_open_data_sets_are_sources_of_the_catalogue():
    known = {name for source in list_sources() for name in (source.id, source.slug)}
    named = {part for need in list_needs() if need.open for part in need.open.slug.split(", ")}
    assert named <= known


def test_one_row_per_need_territory_and_year(register):
    assert not register.duplicated(["need", "territory", "year"]).any()
    assert set(register["status"]) <= set(STATUSES) and register["territory"].nunique() == len(list_territories())
    whole = register[register["need"] == "eval_6e_colleges"]
    assert len(whole) == len(list_territories()) * register["year"].nunique()
    # before the exposure of a territory, nobody looks for what the programme delivered
    late = register[register["need"] == "treatment_register"].groupby("territory")["year"].min()
    assert all(late[place.id] == place.exposure.earliest.year for place in list_territories())


def test_computable_is_what_one_territory_really_computes(register, panel):
    """Against another path: the indicator of one territory, value by value."""
    said = register[register["status"] == "computable"]
    for territory in ("aisne", "guadeloupe", "corse-du-sud"):
        code = get_territory(territory).departement
        for need in list_needs():
            if not need.indicator:
                assert said[(said["need"] == need.id)].empty
                continue
            years = set(said[(said["need"] == need.id) & (said["territory"] == territory)]["year"])
            try:
                result = compute_indicator(need.indicator, panel, territory)
            except Exception:  # no figure of this indicator here
                assert years == set(), need.id
                continue
            shown = set(register["year"])
            assert years == {year for unit, year in known_years(result) if unit == code and year in shown}, need.id


def test_a_figure_taken_away_is_no_longer_computable(register, panel):
    gone = panel["unit"].astype(str).eq("02") & panel["variable"].astype(str).eq("dnb_admitted")
    less = panel[~(gone & panel["period"].eq(2023)).to_numpy()]
    less.attrs = panel.attrs
    after = data_availability(less)
    key = (after["need"] == "dnb_success_percent") & (after["territory"] == "aisne") & (after["year"] == 2023)
    before = register[key.to_numpy()]
    assert before["status"].tolist() == ["computable"] and after[key]["status"].tolist() == ["after_fetch"]
    same = after[~key].reset_index(drop=True)[["need", "year"]]
    assert len(same) == len(register) - 1


def test_without_any_figure_nothing_is_computable(panel):
    empty = panel.iloc[:0]
    assert "computable" not in set(data_availability(empty)["status"])


def test_statuses_of_known_cases(register):
    def status(need, year, territory="aisne"):
        rows = register[(register["need"] == need) & (register["territory"] == territory) & (register["year"] == year)]
        return rows["status"].tolist()

    assert status("eval_6e_colleges", 2016) == ["nowhere"] and status("eval_6e_colleges", 2017) == ["after_fetch"]
    assert status("pix_scores", 2021) == ["nowhere"] and status("pix_scores", 2022) == ["after_fetch"]
    assert status("treatment_register", 2022) == ["restricted"]
    assert status("teaching_practice", 2022) == ["nowhere"]
    assert status("ifn_mean", 2020) == ["computable"] and status("ifn_mean", 2020, "guadeloupe") == ["nowhere"]


def test_a_file_in_raw_is_seen(panel, tmp_path):
    source = next(source for source in list_sources() if source.slug == "fr-en-dnma-par-uai-profils")
    folder = tmp_path / source.id / "2026-01-01"
    folder.mkdir(parents=True)
    assert not data_availability(panel, tmp_path)["in_raw"].any()
    (folder / "export.csv").write_text("a;b\n")
    seen = data_availability(panel, tmp_path)
    assert set(seen[seen["in_raw"]]["need"]) == {"ent_use"}
    assert set(seen[seen["in_raw"]]["status"]) == {"after_fetch"}


def test_how_names_the_data_set_or_the_holder(register):
    holders = {holder.id for holder in list_holders()}
    for status, rows in register.groupby("status"):
        assert (rows["how"] == "").all() == (status == "nowhere")
    restricted = register[register["status"] == "restricted"]["how"]
    assert {text.rsplit("(", 1)[1].rstrip(")") for text in restricted} <= holders


def _need(data, id):
    return next(item for item in data["need"] if item["id"] == id)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data["need"][0].pop("unit"), "unit"),
        (lambda data: data["need"][0].update(colour="red"), "colour"),
        (lambda data: data["need"][0].update(indicator="nothing"), "unknown indicator"),
        (lambda data: data["need"].remove(_need(data, "ifn_access")), "no need for its figures"),
        (lambda data: data["need"].append(data["need"][0]), "the same id twice"),
        (lambda data: data["need"][-1]["closed"].update(holder="personne"), "unknown holder"),
        (lambda data: data["question"][0]["needs"].append("nothing"), "unknown need"),
        (lambda data: data["need"][0]["open"].update(first="2016"), "first"),
    ],
)
def test_a_broken_dictionary_is_refused(change, words):
    data = copy.deepcopy(read_catalog_file(FILE))
    make_dictionary(data)
    change(data)
    with pytest.raises(ContractError, match=words):
        make_dictionary(data)


def test_every_problem_at_once():
    data = copy.deepcopy(read_catalog_file(FILE))
    data["need"][0].pop("unit")
    data["holder"][0].pop("title")
    data["need"][1]["colour"] = "red"
    with pytest.raises(ContractError) as error:
        make_dictionary(data)
    assert len(error.value.problems) == 3
