"""Communes, schools' numbers and académies through the years: codes change, files keep those of their own year.

The tables of `catalog/communes` say which commune codes are in force, and what became of the others; `origin.toml`
there says where they come from.
"""

from __future__ import annotations

import csv
import difflib
import io
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pandas as pd

from tne_eval.errors import ContractError, MissingDataError, Problem
from tne_eval.sources.contract import MAX_ROWS_LISTED, TYPES
from tne_eval.sources.geography import academie_of, list_departements, normalise_departement

# A column with as many distinct codes, all of them postal codes, is a column of postal codes: one INSEE code in eleven
# happens to be a postal code too.
MIN_POSTAL = 8
# First three digits of a UAI that are no département code. In the Pacific they may be the code of another territory:
# 987 is Wallis-et-Futuna in a UAI, Polynésie française in INSEE's code.
_UAI_PREFIXES = {"620": "2A", "720": "2B", "975": "975", "983": "988", "984": "987", "987": "986"}
# Décret 2019-1200 of 20 November 2019: Caen and Rouen made one académie on 1 January 2020.
# Before 1997 (Antilles-Guyane in three) académies are not described here.
FIRST_ACADEMIE_YEAR = 1997
_MERGED_ACADEMIES = {
    "Normandie": (2020, {"14": "Caen", "50": "Caen", "61": "Caen", "27": "Rouen", "76": "Rouen"}),
}


@dataclass(frozen=True, slots=True)
class CommuneChange:
    """What became of a commune code.

    `kind`: merged, delegated or associated (`commune` holds it now), arrondissement (of the city `commune`), recreated
    (in force again, having left `commune`). `year`: first known vintage of the official code where this is so; None
    when it was so before the first vintage.
    """

    code: str
    name: str
    kind: str
    commune: str
    year: int | None


def _read(name: str) -> str:
    return resources.files("tne_eval.catalog").joinpath("communes", name).read_text(encoding="utf-8")


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_read(name))))


@cache
def _in_force() -> frozenset[str]:
    return frozenset(
        f"{run['prefix']}{number:03d}"
        for run in _rows("in_force.csv")
        for number in range(int(run["first"]), int(run["last"]) + 1)
    )


@cache
def _changes() -> dict[str, CommuneChange]:
    return {
        row["code"]: CommuneChange(
            row["code"], row["name"], row["kind"], row["commune"], int(row["year"]) if row["year"] else None
        )
        for row in _rows("changed.csv")
    }


@cache
def _postal() -> dict[str, tuple[str, int]]:
    """Postal code → (its commune when it has only one, how many communes share it)."""
    return {row["postal"]: (row["commune"], int(row["communes"])) for row in _rows("postal.csv")}


@cache
def _left_since() -> dict[str, list[CommuneChange]]:
    """Commune → those that left it since the first vintage, when it is still there."""
    left: dict[str, list[CommuneChange]] = {}
    for change in _changes().values():
        if change.kind == "recreated" and change.commune in _in_force():
            left.setdefault(change.commune, []).append(change)
    return left


@cache
def commune_vintages() -> tuple[int, int]:
    """First and last vintage of the official geographic code that the tables compare."""
    years = sorted(int(year) for year in tomllib.loads(_read("origin.toml"))["vintage"])
    return years[0], years[-1]


def commune_change(code: str) -> CommuneChange | None:
    """What became of a code, None when it has been in force throughout. Raises ContractError on an unknown code."""
    _known(code)
    return _changes().get(code)


def commune_now(code: str, vintage: int | None = None) -> str:
    """Code of the commune that holds today what `code` named.

    Parameters
    ----------
    code : a commune, a merged, delegated or associated commune, or an arrondissement of Paris, Lyon or Marseille (kept
        as it is: `commune_of_arrondissement` gives the city).
    vintage : year of the official code that the file is said to follow. The code must then have been in force in that
        year, and its commune must not have been divided since.

    Raises
    ------
    ContractError : no such code; a postal code; a code that was not in force in `vintage`, or divided since.
    MissingDataError : a vintage that the tables do not know.
    """
    _refuse_vintage(vintage)
    problem = _problem(code, vintage)
    if problem:
        raise ContractError([_located(problem, "(value)", None, None)])
    return _present(code)


def commune_of_arrondissement(code: str) -> str:
    """`75101` → `75056`, `69381` → `69123`, `13201` → `13055`; any other commune → as `commune_now` gives it."""
    change = commune_change(code)
    return change.commune if change and change.kind == "arrondissement" else commune_now(code)


def departement_of_commune(code: str) -> str:
    """Département where the commune is today: `2A004` → `2A`, `97411` → `974`, and `49144` → `44` (it changed)."""
    return _departement_prefix(commune_now(code))


def communes_now(
    values: pd.Series, *, file: str, first_row: int = 2, vintage: int | None = None, blank: bool = False
) -> pd.Series:
    """`commune_now` on a column; every wrong code is reported with its file, row and column at once.

    With `blank`, an empty cell is a commune that is not known (None in the result), not an error. A column whose codes
    are all postal codes is refused too, even where each is a commune code as well.
    """
    _refuse_vintage(vintage)
    _refuse_postal(values, file)
    if not blank:
        return _each(values, lambda code: _problem(code, vintage), _present, file, first_row)
    return _each(
        values,
        lambda code: None if _empty(code) else _problem(code, vintage),
        lambda code: None if _empty(code) else _present(code),
        file,
        first_row,
    )


def at_communes(communes: pd.Series, values: pd.Series) -> pd.Series:
    """Values of communes of today; of the city for an arrondissement that has none of its own, missing without any."""
    city = {code: commune_of_arrondissement(code) for code in communes.dropna().unique()}
    return communes.map(values).astype(float).fillna(communes.map(city).map(values).astype(float))


def departements_of_communes(values: pd.Series, *, file: str, first_row: int = 2) -> pd.Series:
    """`departement_of_commune` on a column; every wrong code is reported with its file, row and column at once."""
    return communes_now(values, file=file, first_row=first_row).map(_departement_prefix)


def departement_of_uai(uai: str) -> str:
    """Département that a school's number belongs to: `0020001C` → `02`, `6200001A` → `2A`, `9710001X` → `971`.

    Schools of Saint-Martin and Saint-Barthélemy have numbers of Guadeloupe: only their commune tells them apart.

    Raises ContractError on a wrong check letter, on numbers outside French territories (099…), and on those given in
    Corse before 1976 (020…), which do not say which of its two départements the school is in.
    """
    problem = _uai_problem(uai)
    if problem:
        raise ContractError([_located(problem, "(value)", None, None)])
    return _uai_departement(uai)


def departements_of_uais(values: pd.Series, *, file: str, first_row: int = 2) -> pd.Series:
    """`departement_of_uai` on a column; every wrong number is reported with its file, row and column at once."""
    return _each(values, _uai_problem, _uai_departement, file, first_row)


def academie_in(code: str, year: int) -> str:
    """Académie of a département in a calendar year, 1997 or later: `14` was of Caen until 2019, of Normandie since.

    Files may lag: the DNB of session 2020 still writes Caen and Rouen.

    Raises ContractError on an unknown département, MissingDataError before 1997.
    """
    if code not in list_departements():
        normalise_departement(code)
        raise ContractError(
            [Problem("(value)", None, None, repr(code), "the code of one of the 101 départements", "Normalise it.")]
        )
    if year < FIRST_ACADEMIE_YEAR:
        raise MissingDataError(
            f"the académies of {year} are not described", remedy=f"choose {FIRST_ACADEMIE_YEAR} or later"
        )
    name = academie_of(code)
    since, before = _MERGED_ACADEMIES.get(name, (FIRST_ACADEMIE_YEAR, {}))
    return name if year >= since else before[code]


def _empty(cell: object) -> bool:
    return cell == "" or (not isinstance(cell, str) and bool(pd.isna(cell)))


def _present(code: str) -> str:
    change = _changes().get(code)
    return change.commune if change and change.kind in ("merged", "delegated", "associated") else code


def _departement_prefix(commune: str) -> str:
    return normalise_departement(commune[:3] if commune[:2] in ("97", "98") else commune[:2])


def _known(code: object) -> None:
    problem = _problem(code, None)
    if problem:
        raise ContractError([_located(problem, "(value)", None, None)])


# (found, expected, remedy): what is wrong with a value, before its place is known.
_Wrong = tuple[str, str, str]
_EXPECTED = "the INSEE code of a commune, five characters such as '02691'"


def _problem(code: object, vintage: int | None) -> _Wrong | None:
    if not isinstance(code, str):
        return repr(code)[:80], _EXPECTED, "Keep codes as text: a number loses its leading zero."
    change = _changes().get(code)
    if code not in _in_force() and change is None:
        return repr(code)[:80], _EXPECTED, _remedy(code)
    return None if vintage is None else _problem_of_year(code, change, vintage)


def _problem_of_year(code: str, change: CommuneChange | None, vintage: int) -> _Wrong | None:
    expected = f"a commune in force in {vintage}"
    if change and change.kind in ("merged", "delegated", "associated") and (change.year or 0) <= vintage:
        when = f"since {change.year} at the latest" if change.year else f"since before {commune_vintages()[0]}"
        found = f"{code!r}, part of {change.commune!r} {when}"
        return found, expected, f"Check the vintage, or write {change.commune!r}."
    if change and change.kind == "recreated" and vintage < (change.year or 0):
        found = f"{code!r}, then part of {change.commune!r}"
        return found, expected, "Check the vintage: this code was not used in that year."
    left = sorted(other.code for other in _left_since().get(code, []) if (other.year or 0) > vintage)
    if left:
        found = f"{code!r}, divided since {vintage} ({', '.join(left)} left it)"
        return found, "a commune that is still whole", "Find from the address which commune it is today."
    return None


def _remedy(code: str) -> str:
    if code in _postal():
        commune, shared = _postal()[code]
        whose = f"of commune {commune!r}" if commune else f"shared by {shared} communes"
        return f"This is the postal code {whose}: write the INSEE code."
    if code.isdecimal() and len(code) == 4 and (f"0{code}" in _in_force() or f"0{code}" in _changes()):
        return f"The leading zero is lost: write '0{code}', and keep codes as text."
    if code.upper() in _in_force():
        return f"Write {code.upper()!r}."
    same = sorted(known for known in _in_force() if known[:2] == code[:2])
    near = difflib.get_close_matches(code, same, n=3, cutoff=0.7)
    return f"Near codes: {', '.join(near)}." if near else "No code looks like it: check the column."


def _uai_problem(uai: object) -> _Wrong | None:
    expected = "a UAI: seven digits and their check letter, the first three saying the département"
    if not isinstance(uai, str) or TYPES["uai"].parse(uai) is None:
        return repr(uai)[:80], expected, "Correct this number; its letter follows from its digits."
    if uai[:3] == "020":
        return repr(uai), "a number that tells 2A from 2B", "Give the number the school has today (620… or 720…)."
    if _uai_departement(uai) is None:
        return repr(uai), expected, f"No département is written {uai[:3]!r}: leave schools abroad out."
    return None


def _uai_departement(uai: str) -> str | None:
    code = uai[1:3] if uai[0] == "0" else uai[:3]
    return code if code in list_departements() else _UAI_PREFIXES.get(uai[:3])


def _refuse_vintage(vintage: int | None) -> None:
    first, last = commune_vintages()
    if vintage is not None and not first <= vintage <= last:
        raise MissingDataError(
            f"the commune codes of {vintage} are not known",
            why=f"the tables compare the vintages {first} to {last}",
            remedy="leave the vintage out, or make the tables again with a later one (catalog/communes/origin.toml)",
        )


def _refuse_postal(values: pd.Series, file: str) -> None:
    distinct = {value for value in values.unique() if isinstance(value, str) and value}
    if len(distinct) >= MIN_POSTAL and distinct <= _postal().keys():
        found = f"{len(distinct)} distinct codes that are all postal codes"
        raise ContractError([Problem(file, None, _name(values), found, _EXPECTED, "Use the column of INSEE codes.")])


def _name(values: pd.Series) -> str | None:
    return None if values.name is None else str(values.name)


def _each(
    values: pd.Series,
    judge: Callable[[object], _Wrong | None],
    convert: Callable[[str], str | None],
    file: str,
    first_row: int,
) -> pd.Series:
    """A column judged once per distinct value, then converted."""
    codes, distinct = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=False)
    wrong = [judge(value) for value in distinct]
    bad = [place for place, code in enumerate(codes) if wrong[code]]
    if bad:
        name = _name(values)
        problems = [_located(wrong[codes[place]], file, place + first_row, name) for place in bad[:MAX_ROWS_LISTED]]
        if len(bad) > MAX_ROWS_LISTED:
            others = f"{len(bad) - MAX_ROWS_LISTED} more row(s) alike"
            problems.append(Problem(file, None, name, others, "none", "Correct the column throughout."))
        raise ContractError(problems)
    converted = [convert(value) for value in distinct]
    return pd.Series([converted[code] for code in codes], index=values.index, name=values.name, dtype=object)


def _located(wrong: _Wrong, file: str, row: int | None, column: str | None) -> Problem:
    found, expected, remedy = wrong
    return Problem(file, row, column, found, expected, remedy)
