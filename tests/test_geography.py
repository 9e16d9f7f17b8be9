"""Départements and académies: every form that the public files write, and nothing else."""

from __future__ import annotations

import pandas as pd
import pytest

from tne_eval.errors import ContractError
from tne_eval.sources import (
    academie_of,
    departement_name,
    list_departements,
    normalise_academie,
    normalise_departement,
    normalise_departements,
)


def test_there_are_101_departements_sorted():
    codes = list_departements()
    assert len(codes) == len(set(codes)) == 101
    assert codes == sorted(codes)
    assert {"2A", "2B", "971", "972", "973", "974", "976"} <= set(codes)
    assert "20" not in codes


@pytest.mark.parametrize("code", list_departements())
def test_every_form_of_a_departement(code):
    name = departement_name(code)
    forms = {code, code.zfill(3), code.lower(), f"D{code}", f" {code} ", name, name.upper(), name.replace("-", " ")}
    assert {form: normalise_departement(form) for form in forms} == dict.fromkeys(forms, code)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("620", "2A"),
        ("720", "2B"),
        ("20", "2A"),
        ("02A", "2A"),
        ("Corse", "2A"),
        ("ALPES-DE-HTE-PROVENCE", "04"),
        ("SEINE ST DENIS", "93"),
        ("COTE-D'OR", "21"),
        ("Côte-d’Or", "21"),
        ("VAL D'OISE", "95"),
        ("LA REUNION", "974"),
        ("REUNION", "974"),
        ("978", "978"),
        ("988", "988"),
    ],
)
def test_forms_met_in_one_file_only(written, code):
    assert normalise_departement(written) == code


@pytest.mark.parametrize("value", ["1", "2", "", "0", "00", "96", "99", "1E5", "Aisnes", "75001", "NA", "D1", "Dé02"])
def test_what_is_no_departement_is_refused(value):
    with pytest.raises(ContractError):
        normalise_departement(value)


@pytest.mark.parametrize("value", [2, 2.0, None, float("nan"), pd.NA, ["02"]])
def test_a_number_is_never_guessed(value):
    with pytest.raises(ContractError):
        normalise_departement(value)


def test_a_column_names_file_row_and_column_of_every_unknown_code():
    column = pd.Series(["02", "2", "095", "Atlantide"], name="dep")
    with pytest.raises(ContractError) as caught:
        normalise_departements(column, file="essai.csv")
    problems = caught.value.problems
    assert [(problem.file, problem.row, problem.column) for problem in problems] == [
        ("essai.csv", 3, "dep"),
        ("essai.csv", 5, "dep"),
    ]
    assert "'2'" in problems[0].found
    assert "leading zero" in problems[0].remedy


def test_a_column_is_normalised_and_left_alone():
    column = pd.Series(["002", "02A", "D95"], name="dep")
    assert list(normalise_departements(column, file="essai.csv")) == ["02", "2A", "95"]
    assert list(column) == ["002", "02A", "D95"]


def test_academies():
    assert len({academie_of(code) for code in list_departements()}) == 30
    assert academie_of("02") == normalise_academie("AMIENS") == "Amiens"
    assert academie_of("95") == normalise_academie("versailles") == "Versailles"
    assert {normalise_academie(name) for name in ("CAEN", "Rouen", "NORMANDIE")} == {"Normandie"}
    assert normalise_academie("CRETEIL") == "Créteil"
    assert normalise_academie("ORLEANS-TOURS") == academie_of("45")
    assert normalise_academie("LA REUNION") == normalise_academie("REUNION") == "La Réunion"


@pytest.mark.parametrize("value", ["", "Picardie", "France entière", None, 20])
def test_what_is_no_academie_is_refused(value):
    with pytest.raises(ContractError):
        normalise_academie(value)
