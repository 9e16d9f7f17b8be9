"""Words of problems and findings, in French or in English by locale; the templates are in messages.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from tne_eval.errors import Problem, language


@cache
def _templates() -> dict:
    return tomllib.loads(resources.files("tne_eval.sources").joinpath("messages.toml").read_text(encoding="utf-8"))


def phrase(key: str, **values: object) -> str:
    """One phrase of the section [phrase]."""
    return _templates()["phrase"][key][language()].format(**values)


def problem(key: str, file: str, row: int | None = None, column: str | None = None, /, **values: object) -> Problem:
    """The problem `key` of the section [problem]: found, expected and remedy with their `values` in place."""
    found, expected, remedy = (text.format(**values) for text in _templates()["problem"][key][language()])
    return Problem(file, row, column, found, expected, remedy)


def finding(key: str, file: str, row: int | None = None, column: str | None = None, /, **values: object) -> Problem:
    """The finding `key` of the section [finding]: a defect that breaks no contract, in the shape of a problem."""
    found, expected, remedy = (text.format(**values) for text in _templates()["finding"][key][language()])
    return Problem(file, row, column, found, expected, remedy)
