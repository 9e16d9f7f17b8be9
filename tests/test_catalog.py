"""The catalogue: every entry loads, every figure has a source, and broken files are refused with every problem."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tne_eval import catalog
from tne_eval.catalog.load import read_entries
from tne_eval.errors import ContractError, UnknownNameError
from tne_eval.sources.geography import departement_name, list_departements

FLAGS = {"V", "V2", "D", "M", "C", "B", "NF"}
ID = re.compile(r"^[a-z][a-z0-9_-]{1,60}$")
DATE = re.compile(r"^\d{4}(-\d{2}(-\d{2})?)?(/\d{4})?$")
TERRITORIES = {
    "aisne": "02",
    "bouches-du-rhone": "13",
    "cher": "18",
    "corse-du-sud": "2A",
    "doubs": "25",
    "finistere": "29",
    "guadeloupe": "971",
    "herault": "34",
    "isere": "38",
    "val-d-oise": "95",
    "vienne": "86",
    "vosges": "88",
}


def _entries() -> list:
    return [*catalog.list_territories(), *catalog.list_programmes()]


def _wrong(rule) -> list[str]:
    """Figures that break `rule`, as entry/figure."""
    return [f"{entry.id}/{figure.id}" for entry in _entries() for figure in entry.figures if not rule(figure)]


TERRITORY = """
id = "somewhere"
name = "Somewhere"
in_text = "le Somewhere"
locative = "dans le Somewhere"
departement = "01"
wave = 2

[exposure]
earliest = 2022-01-01
likely = 2022-09-01
latest = 2023-09-01
flag = "D"
source = "a source"

[[figures]]
id = "pupils"
label = "Élèves"
unit = "élèves"
date = "2022"
source = "a source"
flag = "V"
value = 10
"""


def _write(folder: Path, **files: str) -> Path:
    target = folder / "territories"
    target.mkdir()
    for stem, text in files.items():
        (target / f"{stem}.toml").write_text(text, encoding="utf-8")
    return target


# What is shipped


def test_the_twelve_territories_are_there_demonstrators_first():
    entries = catalog.list_territories()
    assert {entry.id: entry.departement for entry in entries} == TERRITORIES
    assert [entry.id for entry in entries if entry.wave == 1] == ["aisne", "val-d-oise"]
    assert [entry.wave for entry in entries] == [1] * 2 + [2] * 10


def test_territories_are_departements_under_their_own_name():
    for entry in catalog.list_territories():
        assert entry.departement in list_departements()
        assert entry.name == departement_name(entry.departement)
        assert entry.in_text.endswith(entry.name)
        assert entry.locative.endswith(entry.name)


def test_every_kind_of_entry_loads():
    assert {entry.id for entry in catalog.list_programmes()} == {"snee", "tne"}
    for entries in (catalog.list_sources(), catalog.list_indicators(), catalog.list_designs()):
        assert all(ID.match(entry.id) for entry in entries)


def test_ids_are_plain_and_unique():
    for entry in _entries():
        ids = [figure.id for figure in entry.figures]
        assert ID.match(entry.id)
        assert len(ids) == len(set(ids)), entry.id
    assert _wrong(lambda figure: ID.match(figure.id)) == []


def test_a_figure_says_what_it_is_and_where_it_was_read():
    assert _wrong(lambda figure: figure.label and figure.unit and figure.source) == []
    assert _wrong(lambda figure: DATE.match(figure.date)) == []
    assert _wrong(lambda figure: figure.flag in FLAGS) == []


def test_a_figure_is_one_value_or_one_ordered_range():
    def one_or_range(figure) -> bool:
        bounds = (figure.low, figure.likely, figure.high)
        if figure.value is not None:
            return bounds == (None, None, None)
        return None not in bounds and figure.low <= figure.likely <= figure.high and figure.low < figure.high

    assert _wrong(one_or_range) == []


def test_ranges_conflicts_and_own_computations_are_explained():
    assert _wrong(lambda figure: figure.note or (figure.value is not None and figure.flag not in {"C", "D"})) == []


@pytest.mark.parametrize("name", TERRITORIES)
def test_exposure_dates_are_ordered_and_sourced(name):
    exposure = catalog.get_territory(name).exposure
    assert exposure.earliest <= exposure.likely <= exposure.latest
    assert exposure.earliest.year >= 2020
    assert exposure.flag in FLAGS
    assert exposure.source and exposure.note


@pytest.mark.parametrize("name", TERRITORIES)
def test_every_territory_has_both_published_counters(name):
    ids = {figure.id for figure in catalog.get_territory(name).figures}
    assert {"training_attendances", "pupils_reached"} <= ids


@pytest.mark.parametrize(("counter", "total"), [("training_attendances", 53_491), ("pupils_reached", 2_435_461)])
def test_counters_add_up_to_the_published_total(counter, total):
    parts = [figure.value for entry in catalog.list_territories() for figure in entry.figures if figure.id == counter]
    national = next(figure.value for figure in catalog.get_programme("tne").figures if figure.id == counter)
    assert sum(parts) == national == total


def test_prose_for_readers_holds_no_digit():
    texts = [entry.context for entry in catalog.list_territories()]
    texts += [entry.summary for entry in catalog.list_programmes()]
    assert all(text and not re.search(r"\d", text) for text in texts)


def test_programmes_name_their_components():
    assert all(entry.components for entry in catalog.list_programmes())


def test_there_are_fifteen_questions_with_an_honest_answer_to_each():
    questions = catalog.list_questions()
    assert [question.id for question in questions] == [f"q{number}" for number in range(1, 16)]
    assert {question.answerable for question in questions} <= {"shipped", "fetch", "restricted", "nowhere"}
    assert all(question.text.endswith("?") and question.how.endswith(".") for question in questions)


def test_the_hash_of_the_catalogue_is_a_sha256():
    assert re.fullmatch(r"[0-9a-f]{64}", catalog.catalog_hash())


# Names


def test_an_unknown_territory_lists_the_near_ones():
    with pytest.raises(UnknownNameError) as caught:
        catalog.get_territory("aine")
    assert "aisne" in caught.value.remedy
    assert "aine" in caught.value.what


@pytest.mark.parametrize(
    "get",
    [
        catalog.get_territory,
        catalog.get_programme,
        catalog.get_source,
        catalog.get_indicator,
        catalog.get_design,
    ],
)
@pytest.mark.parametrize("name", ["", "no such entry", "AISNE", None, 2, ["aisne"]])
def test_an_unknown_name_is_refused(get, name):
    with pytest.raises(UnknownNameError):
        get(name)


def test_a_name_with_no_near_one_lists_all():
    with pytest.raises(UnknownNameError) as caught:
        catalog.get_territory("zzzzzz")
    assert all(name in caught.value.remedy for name in TERRITORIES)


# Broken files


def test_a_well_formed_entry_is_read(tmp_path):
    entries = read_entries("territory", _write(tmp_path, somewhere=TERRITORY))
    assert entries["somewhere"].figures[0].value == 10.0
    assert isinstance(entries["somewhere"].figures[0].value, float)


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ('name = "Somewhere"', 'name = "Somewhere"\ncolour = "red"', "colour"),
        ('locative = "dans le Somewhere"\n', "", "locative"),
        ("wave = 2", 'wave = "two"', "wave"),
        ("wave = 2", "wave = true", "wave"),
        ("likely = 2022-09-01\n", "", "exposure.likely"),
        ("likely = 2022-09-01", 'likely = "2022-09-01"', "exposure.likely"),
        ("value = 10", 'value = "ten"', "figures[0].value"),
        ("value = 10", "worth = 10", "figures[0].worth"),
        ('source = "a source"\nflag = "V"', 'flag = "V"', "figures[0].source"),
        ('id = "somewhere"', 'id = "elsewhere"', "id"),
    ],
)
def test_one_fault_is_named(tmp_path, old, new, column):
    assert old in TERRITORY
    with pytest.raises(ContractError) as caught:
        read_entries("territory", _write(tmp_path, somewhere=TERRITORY.replace(old, new)))
    assert [problem.column for problem in caught.value.problems] == [column]
    assert caught.value.problems[0].file == "territories/somewhere.toml"


def test_every_fault_of_every_file_is_listed_at_once(tmp_path):
    first = TERRITORY.replace('name = "Somewhere"', "colour = 1").replace("wave = 2", 'wave = "two"')
    second = TERRITORY.replace('id = "somewhere"', 'id = "other"').replace("value = 10", "value = false")
    with pytest.raises(ContractError) as caught:
        read_entries("territory", _write(tmp_path, somewhere=first, other=second))
    assert {(problem.file, problem.column) for problem in caught.value.problems} == {
        ("territories/somewhere.toml", "colour"),
        ("territories/somewhere.toml", "name"),
        ("territories/somewhere.toml", "wave"),
        ("territories/other.toml", "figures[0].value"),
    }
    assert "4 problem(s)" in str(caught.value)


def test_a_file_name_that_is_no_id_is_refused(tmp_path):
    text = TERRITORY.replace('id = "somewhere"', 'id = "Some_Where"')
    with pytest.raises(ContractError, match="problem"):
        read_entries("territory", _write(tmp_path, Some_Where=text))


@pytest.mark.parametrize("raw", [b"id = ", b"id = 'x'\nid = 'y'", b"name = '\xff'"])
def test_what_is_not_toml_is_a_contract_error(tmp_path, raw):
    folder = _write(tmp_path)
    (folder / "somewhere.toml").write_bytes(raw)
    with pytest.raises(ContractError):
        read_entries("territory", folder)


def test_an_entry_cannot_be_changed():
    with pytest.raises(AttributeError):
        catalog.get_territory("aisne").wave = 2
