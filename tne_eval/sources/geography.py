"""Départements and académies: one normaliser, applied at the door."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources

import pandas as pd

from tne_eval.errors import ContractError, Problem

_SPACES = re.compile(r"[\s'’.\-]+")


@cache
def _geography() -> dict:
    text = resources.files("tne_eval.catalog").joinpath("geography.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def plain_name(text: str) -> str:
    """Lower case, no accent, single spaces: how names are compared."""
    bare = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in bare if not unicodedata.combining(char))
    return _SPACES.sub(" ", bare).strip().lower()


@cache
def _forms() -> dict[str, str]:
    """Every known way to write a département → its code."""
    data = _geography()
    forms: dict[str, str] = {}
    places = {code: entry["name"] for code, entry in data["departement"].items()} | data["elsewhere"]
    for code, name in places.items():
        forms[plain_name(name)] = code
        for written in (code, code.zfill(3), f"D{code}"):
            forms[written.lower()] = code
    forms |= {written.lower(): code for written, code in data["code_alias"].items()}
    return forms | data["name_alias"]


def list_departements() -> list[str]:
    """Codes of the 101 départements, sorted."""
    return sorted(_geography()["departement"])


def departement_name(code: str) -> str:
    return _geography()["departement"][code]["name"]


def academie_of(code: str) -> str:
    """Académie of a département, as it stands since 2020."""
    return _geography()["departement"][code]["academie"]


@cache
def _regions() -> dict[str, str]:
    return {academie: region for region, academies in _geography()["region"].items() for academie in academies}


def list_regions() -> list[str]:
    """The 18 regions, as they stand since 2016, sorted."""
    return sorted(_geography()["region"])


def region_of(code: str) -> str:
    """Region of a département."""
    return _regions()[academie_of(code)]


def _code(value: object) -> str | None:
    return _forms().get(plain_name(value)) if isinstance(value, str) else None


def normalise_departement(value: str) -> str:
    """`02`, `002`, `D02`, `2A`, `02A`, `620`, `20` or a name → the code INSEE uses (`02`, `2A`, `971`).

    Raises ContractError on anything else: a number (whose leading zero is lost) or an unknown name is never guessed.
    """
    code = _code(value)
    if code is None:
        raise ContractError([_unknown("(value)", None, None, value)])
    return code


def normalise_departements(values: pd.Series, *, file: str, first_row: int = 2) -> pd.Series:
    """The normaliser on a column; every unknown code is reported with its file, row and column at once."""
    codes = values.map(lambda value: _code(value))
    bad = codes.isna().to_numpy().nonzero()[0]
    if len(bad):
        column = None if values.name is None else str(values.name)
        raise ContractError([_unknown(file, int(place) + first_row, column, values.iloc[place]) for place in bad])
    return codes


def _unknown(file: str, row: int | None, column: str | None, value: object) -> Problem:
    return Problem(
        file,
        row,
        column,
        repr(value)[:80],
        "a département code such as '02', '002', '2A', '971', or its name",
        "Keep codes as text (a leading zero is lost in numbers) and correct this cell.",
    )


def normalise_academie(value: str) -> str:
    """Name of an académie as it stands since 2020 (`CAEN` and `ROUEN` → `Normandie`)."""
    data = _geography()
    known = {plain_name(entry["academie"]): entry["academie"] for entry in data["departement"].values()}
    name = (known | data["academie_alias"]).get(plain_name(value)) if isinstance(value, str) else None
    if name is None:
        raise ContractError(
            [Problem("(value)", None, None, repr(value)[:80], "the name of an académie", "Correct this cell.")]
        )
    return name
