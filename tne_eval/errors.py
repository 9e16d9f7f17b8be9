"""One error tree. Each error says what, where, why and what to do; each kind has its exit code."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass


def language() -> str:
    """`fr` where the first of LC_ALL, LC_MESSAGES and LANG that is set begins so; else `en`."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "fr" if value.lower().startswith("fr") else "en"
    return "en"


_LABELS = {
    "en": {"row": "row {}", "column": "column {!r}", "all": "{}: found {}; expected {}. {}"},
    "fr": {"row": "ligne {}", "column": "colonne « {} »", "all": "{} : trouvé {} ; attendu {}. {}"},
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule in one place of one file (`row` counts the header as row 1)."""

    file: str
    row: int | None
    column: str | None
    found: str
    expected: str
    remedy: str

    def to_dict(self) -> dict:
        return asdict(self)

    def __str__(self) -> str:
        labels = _LABELS[language()]
        place = [self.file]
        if self.row is not None:
            place.append(labels["row"].format(self.row))
        if self.column:
            place.append(labels["column"].format(self.column))
        return labels["all"].format(", ".join(place), self.found, self.expected, self.remedy).rstrip()


class TneError(Exception):
    """Base of every error that tne_eval raises on purpose.

    `what` happened, `where`, `why`, and the `remedy`; the command line prints these and leaves with `exit_code`.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        self.what, self.where, self.why, self.remedy = what, where, why, remedy
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        for label, text in (("where", self.where), ("why", self.why), ("what to do", self.remedy)):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)

    def to_dict(self) -> dict:
        return {
            "error": type(self).__name__,
            "exit_code": self.exit_code,
            "what": self.what,
            "where": self.where,
            "why": self.why,
            "remedy": self.remedy,
        }


class UnknownNameError(TneError):
    """A name that the catalogue does not hold; the near ones are listed."""

    exit_code = 3

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
        remedy = f"did you mean {', '.join(near)}?" if near else f"choose among {', '.join(known)}"
        super().__init__(f"unknown {kind} {str(name)[:80]!r}", remedy=remedy)


class ContractError(TneError):
    """A file that breaks its contract: every problem is listed, nothing is written."""

    exit_code = 4

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        files = sorted({problem.file for problem in self.problems})
        super().__init__(f"{len(self.problems)} problem(s) in {', '.join(files)}")

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {problem}" for problem in self.problems)])

    def to_dict(self) -> dict:
        return {**super().to_dict(), "problems": [problem.to_dict() for problem in self.problems]}


class MissingDataError(TneError):
    """Figures that the question needs are not in the panel."""

    exit_code = 5


class DesignError(TneError):
    """A design or a statistic that these data cannot carry."""

    exit_code = 6


class ReportError(TneError):
    """A report that could not be made; the previous one is left as it was."""

    exit_code = 7


class FetchError(TneError):
    """A download that was refused or did not come to its end; nothing is stored."""

    exit_code = 8
