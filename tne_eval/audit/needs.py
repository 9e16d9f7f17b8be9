"""The data dictionary: what the evaluation needs, where it can be had, who holds it; from `catalog/needs.toml`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from tne_eval.audit.settings import read_catalog_file
from tne_eval.catalog import list_indicators
from tne_eval.errors import ContractError, Problem, UnknownNameError
from tne_eval.indicators.compute import variables_of

FILE = "needs.toml"


@dataclass(frozen=True, slots=True)
class Open:
    """Data sets that anyone may fetch, with the years they cover (`last` None: still published)."""

    slug: str
    first: int
    flag: str
    last: int | None = None
    absent: tuple[str, ...] = ()

    def covers(self, year: int, territory: str) -> bool:
        return self.first <= year <= (self.last or year) and territory not in self.absent


@dataclass(frozen=True, slots=True)
class Closed:
    """A file that its holder may give on request."""

    base: str
    holder: str
    first: int
    flag: str
    last: int | None = None

    def covers(self, year: int) -> bool:
        return self.first <= year <= (self.last or year)


@dataclass(frozen=True, slots=True)
class Need:
    """One piece of information: an indicator of the catalogue, or an outcome that the panel does not hold."""

    id: str
    label: str
    unit: str
    nature: str
    field: str
    why: str
    indicator: str = ""
    from_exposure: bool = False
    open: Open | None = None
    closed: Closed | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who can give data on request, what for, and how the files would be linked."""

    id: str
    name: str
    address: str
    title: str
    purpose: str
    linkages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Study:
    reference: str
    setting: str
    result: str


@dataclass(frozen=True, slots=True)
class ResearchQuestion:
    text: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """All of `needs.toml`, checked."""

    years_before: int
    holders: tuple[Holder, ...]
    needs: tuple[Need, ...]
    literature: tuple[Study, ...]
    questions: tuple[ResearchQuestion, ...]
    protection: tuple[str, ...]


@cache
def read_needs() -> Dictionary:
    """The data dictionary that the package ships."""
    return make_dictionary(read_catalog_file(FILE))


def list_needs() -> list[Need]:
    """What the evaluation needs, indicators of the catalogue first."""
    return list(read_needs().needs)


def list_holders() -> list[Holder]:
    """Who can be asked."""
    return list(read_needs().holders)


def get_holder(id: object) -> Holder:
    """A holder by its id; UnknownNameError lists the near ones."""
    known = {holder.id: holder for holder in list_holders()}
    if not isinstance(id, str) or id not in known:
        raise UnknownNameError("kind of request", id, known)
    return known[id]


def make_dictionary(data: Mapping) -> Dictionary:
    """Parsed TOML → dictionary. Raises ContractError with every problem: unknown or missing keys, names that lead
    nowhere, an indicator of the catalogue that no need names."""
    problems: list[Problem] = []
    holders = [_make(Holder, item, f"holder[{place}]", problems) for place, item in enumerate(data.get("holder", []))]
    needs = [_make_need(item, f"need[{place}]", problems) for place, item in enumerate(data.get("need", []))]
    literature = [_make(Study, item, "literature", problems) for item in data.get("literature", [])]
    questions = [_make(ResearchQuestion, item, "question", problems) for item in data.get("question", [])]
    if not problems:
        problems += _broken_links(holders, needs, questions)
    if problems:
        raise ContractError(problems)
    return Dictionary(
        data["years_before"],
        tuple(holders),
        tuple(needs),
        tuple(literature),
        tuple(questions),
        tuple(data["protection"]["text"]),
    )


def _make(cls: type, item: Mapping, where: str, problems: list[Problem]):
    fields = {field.name: field for field in dataclasses.fields(cls)}
    needed = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    wrong = [(name, "an unknown key", ", ".join(fields)) for name in sorted(set(item) - set(fields))]
    wrong += [(name, "nothing", "a value") for name in sorted(needed - set(item))]
    for name, value in item.items():
        kind = str(fields[name].type) if name in fields else ""
        fits = {"str": (str,), "int": (int,), "bool": (bool,), "int | None": (int,), "tuple[str, ...]": (list,)}.get(
            kind
        )
        if fits and type(value) not in fits:
            wrong.append((name, repr(value)[:60], kind))
    problems += [Problem(FILE, None, f"{where}.{name}", found, wanted, "Correct it.") for name, found, wanted in wrong]
    if wrong:
        return None
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in item.items()})


def _make_need(item: Mapping, where: str, problems: list[Problem]) -> Need | None:
    parts = dict(item)
    where = f"{where} {item.get('id', '')}"
    for name, cls in (("open", Open), ("closed", Closed)):
        if name in parts:
            parts[name] = _make(cls, parts[name], f"{where}.{name}", problems)
    return _make(Need, parts, where, problems)


def _broken_links(holders: list[Holder], needs: list[Need], questions: list[ResearchQuestion]) -> list[Problem]:
    ids = [need.id for need in needs]
    known_holders = {holder.id for holder in holders}
    entries = list_indicators()
    indicators = {entry.id for entry in entries}
    named = {need.indicator for need in needs if need.indicator}
    # Several indicators of the same figures are one piece of information; one that needs a fetch names its sources.
    told = set().union(*(variables_of(entry) for entry in entries if entry.id in named))
    alone = {entry.id for entry in entries if not entry.needs and not variables_of(entry) <= told}
    wrong = [
        *(
            (f"need {id}", "the same id twice", "one id a need")
            for id in sorted({id for id in ids if ids.count(id) > 1})
        ),
        *((f"need {id}", "an unknown indicator", "one of the catalogue") for id in sorted(named - indicators)),
        *((f"indicator {id}", "no need for its figures", "a need") for id in sorted(alone)),
        *(
            (f"need {need.id}", f"an unknown holder {need.closed.holder!r}", ", ".join(sorted(known_holders)))
            for need in needs
            if need.closed and need.closed.holder not in known_holders
        ),
        *(
            ("question", f"an unknown need {id!r}", "the id of a need")
            for question in questions
            for id in question.needs
            if id not in ids
        ),
    ]
    return [Problem(FILE, None, where, found, expected, "Correct it.") for where, found, expected in wrong]
