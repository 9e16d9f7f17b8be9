"""Numbers, dates and sentences as French readers expect them."""

import datetime as dt
import string

import pytest

from tne_eval import french
from tne_eval.catalog import read_sentences
from tne_eval.errors import UnknownNameError

N, H, M = french.NARROW, french.HARD, french.MINUS


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (1234567.891, 2, f"1{N}234{N}567,89"),
        (-0.04, 1, "0,0"),
        (-1.25, 1, f"{M}1,2"),
        (0, 0, "0"),
        (None, 1, "n.d."),
        (float("nan"), 1, "n.d."),
        (float("inf"), 1, "n.d."),
    ],
)
def test_number(value, decimals, expected):
    assert french.number(value, decimals) == expected


def test_units():
    assert french.percent(84.53) == f"84,5{H}%"
    assert french.points(-2.54) == f"{M}2,5{H}points"
    assert french.points(1.96, 1) == f"+2,0{H}points"
    assert french.points(1.2) == f"+1,2{H}point"
    assert french.points(1.2, sign=False) == f"1,2{H}point"
    assert french.probability(0.0004) == f"<{H}0,001"
    assert french.probability(0.0833) == "0,083"
    assert french.money(27_300_000) == f"27,3{H}millions d'euros"
    assert french.day(dt.date(2022, 9, 1)) == f"1er{H}septembre 2022"
    for written, said in {
        "2021-03-31": f"31{H}mars 2021",
        "2021-06": "juin 2021",
        "2021": "2021",
        "2021/2022": "2021/2022",
        "2021-13": "2021-13",
        "": "",
    }.items():
        assert french.date_text(written) == said
    assert french.years([2016, 2017, 2018, 2019, 2021]) == "2016-2019 et 2021"
    assert french.listing(["a", "b", "c"]) == "a, b et c"
    assert [french.of(name) for name in ("Amiens", "Versailles", "Orléans-Tours")] == [
        "d'Amiens",
        "de Versailles",
        "d'Orléans-Tours",
    ]


def test_typeset():
    assert french.typeset("l'écart : 5 % ; « oui » ?") == f"l’écart{H}: 5{H}%{N}; «{H}oui{H}»{N}?"


def test_a_sentence_needs_its_values_and_must_exist():
    with pytest.raises(UnknownNameError, match=r"verdict\.measured"):
        french.sentence("verdict.mesured")
    with pytest.raises(UnknownNameError, match="value for the sentence"):
        french.sentence("programme.same_dates", first_earliest="2022")


def test_no_sentence_holds_a_figure_of_its_own():
    """Numbers come from results. The three exceptions are constants of a method, named as such."""
    allowed = {"programme.figures_note", "counter.note", "effect.events_band"}
    for section, texts in read_sentences().items():
        for name, text in texts.items():
            literal = "".join(part for part, *_ in string.Formatter().parse(text))
            assert f"{section}.{name}" in allowed or not any(char.isdigit() for char in literal), name
