"""TOML → entries. Every file is read and checked before the first entry is given."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tne_eval.catalog.entries import (
    Composite,
    Design,
    EffectContext,
    Indicator,
    Programme,
    PublishedValue,
    Question,
    Source,
    Territory,
    VerdictRule,
)
from tne_eval.errors import ContractError, Problem, UnknownNameError

_FOLDER = Path(__file__).parent
_ID = re.compile(r"^[a-z][a-z0-9_-]{1,60}$")
_KINDS: dict[str, type] = {
    "territory": Territory,
    "programme": Programme,
    "source": Source,
    "indicator": Indicator,
    "design": Design,
    "composite": Composite,
}
_PLURAL = {"territory": "territories"}


def make_entry(cls: type, data: object, path: str, problems: list[Problem], where: str = ""):
    """Build the frozen dataclass `cls` from parsed TOML; every mismatch is added to `problems`."""
    if not isinstance(data, Mapping):
        problems.append(Problem(path, None, where or None, repr(data), "a table", "See a neighbouring entry."))
        return None
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = _hints(cls)
    for name in sorted(set(data) - set(fields)):
        problems.append(Problem(path, None, where + name, "an unknown key", ", ".join(fields), "Correct or remove it."))
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _value(hints[name], data[name], path, problems, where + name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(Problem(path, None, where + name, "nothing", f"a value ({field.type})", "Add it."))
    if problems:
        return None
    return cls(**values)


@cache
def _hints(cls: type) -> dict[str, object]:
    return typing.get_type_hints(cls)


def _value(hint: object, value: object, path: str, problems: list[Problem], where: str):
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(argument for argument in typing.get_args(hint) if argument is not type(None))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return make_entry(typing.cast(type, hint), value, path, problems, where + ".")
    if origin is tuple and isinstance(value, list):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(
                _value(arguments[0], item, path, problems, f"{where}[{place}]") for place, item in enumerate(value)
            )
        return tuple(
            _value(item_hint, item, path, problems, where) for item_hint, item in zip(arguments, value, strict=True)
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected = origin if origin in (tuple, dict) else hint
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        problems.append(
            Problem(path, None, where, repr(value)[:60], getattr(hint, "__name__", str(hint)), "Correct it.")
        )
    return value


def _read(path: Path) -> tuple[dict, bytes]:
    raw = path.read_bytes()
    try:
        return tomllib.loads(raw.decode("utf-8")), raw
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContractError([Problem(path.name, None, None, str(error), "a valid TOML file", "Correct it.")]) from error


def read_entries(kind: str, folder: Path) -> dict:
    """Entries of one kind in `folder`, by id; every problem of every file at once."""
    entries, problems = {}, []
    dates = _exposure_dates() if kind == "design" else b""
    for path in sorted(folder.glob("*.toml")):
        data, raw = _read(path)
        name = f"{folder.name}/{path.name}"
        own: list[Problem] = []
        if data.get("id") != path.stem or not _ID.match(path.stem):
            own.append(
                Problem(name, None, "id", repr(data.get("id")), f"{path.stem!r}, as the file is named", "Rename one.")
            )
        if kind == "design":
            data["hash"] = hashlib.sha256(raw + dates).hexdigest()
        entry = make_entry(_KINDS[kind], data, name, own)
        problems += own
        entries[path.stem] = entry
    if problems:
        raise ContractError(problems)
    return entries


def _exposure_dates() -> bytes:
    """Exposure of every territory, with its components: part of each plan, whose hash changes with it."""
    dates = {
        path.stem: {name: part for name, part in _read(path)[0].items() if name in ("departement", "exposure")}
        for path in sorted((_FOLDER / "territories").glob("*.toml"))
    }
    return json.dumps(dates, sort_keys=True, default=str).encode()


@cache
def _entries(kind: str) -> Mapping:
    return types.MappingProxyType(read_entries(kind, _FOLDER / _PLURAL.get(kind, f"{kind}s")))


def _get(kind: str, name: object):
    entries = _entries(kind)
    if not isinstance(name, str) or name not in entries:
        raise UnknownNameError(kind, name, entries)
    return entries[name]


def list_territories() -> list[Territory]:
    """The twelve territories, demonstrators first, then by name."""
    return sorted(_entries("territory").values(), key=lambda entry: (entry.wave, entry.id))


def list_programmes() -> list[Programme]:
    """The programmes: TNE, and the call Socle numérique."""
    return list(_entries("programme").values())


def list_sources() -> list[Source]:
    """The sources of the catalogue: those that the build reads, and those to fetch or import."""
    return list(_entries("source").values())


def list_indicators() -> list[Indicator]:
    """The indicators that `compute_indicator` knows."""
    return list(_entries("indicator").values())


def list_designs() -> list[Design]:
    """The pre-analysis plans that `estimate_impact` knows."""
    return list(_entries("design").values())


@cache
def list_questions() -> tuple[Question, ...]:
    """The fifteen questions that the software should answer, with what it takes."""
    data, _ = _read(_FOLDER / "questions.toml")
    problems: list[Problem] = []
    questions = tuple(make_entry(Question, item, "questions.toml", problems) for item in data["question"])
    if problems:
        raise ContractError(problems)
    return questions


@cache
def published_values() -> tuple[Mapping[str, list[float]], tuple[PublishedValue, ...]]:
    """Small samples by name, and the published values that indicators are checked against."""
    data, _ = _read(_FOLDER / "published_values.toml")
    return types.MappingProxyType(data["data"]), _published("published_values.toml")


@cache
def impact_coverage() -> tuple[Mapping[str, object], ...]:
    """Rows of the measured size and coverage of the inference on effects (`bench/impact_coverage.py`)."""
    lines = (_FOLDER / "impact_coverage.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return tuple({name: _number(text) for name, text in row.items()} for row in rows)


def _number(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


@cache
def published_estimates() -> tuple[PublishedValue, ...]:
    """The published effects that estimators of impact are checked against."""
    return _published("published_estimates.toml")


def _published(name: str) -> tuple[PublishedValue, ...]:
    problems: list[Problem] = []
    values = tuple(make_entry(PublishedValue, item, name, problems) for item in _read(_FOLDER / name)[0]["value"])
    if problems:
        raise ContractError(problems)
    return values


@cache
def verdict_rules() -> tuple[VerdictRule, ...]:
    """The rules of a verdict, in the order in which they are tried."""
    data, _ = _read(_FOLDER / "verdicts.toml")
    problems: list[Problem] = []
    rules = tuple(make_entry(VerdictRule, item, "verdicts.toml", problems) for item in data["rule"])
    if problems:
        raise ContractError(problems)
    return rules


@cache
def effect_context() -> EffectContext:
    """The published effects and the prior that they support, in standard deviations."""
    data, _ = _read(_FOLDER / "published_effects.toml")
    problems: list[Problem] = []
    context = make_entry(EffectContext, data, "published_effects.toml", problems)
    if problems:
        raise ContractError(problems)
    return context


def get_territory(name: object) -> Territory:
    """A territory by its id; an unknown one is an error that lists the near ones."""
    return _get("territory", name)


def get_programme(name: object) -> Programme:
    """A programme by its id."""
    return _get("programme", name)


def get_source(name: object) -> Source:
    """A source by its id."""
    return _get("source", name)


def get_indicator(name: object) -> Indicator:
    """An indicator by its id; an unknown one is an error that lists the near ones."""
    return _get("indicator", name)


def get_composite(name: object) -> Composite:
    """A composite indicator by its id; an unknown one is an error that lists the near ones."""
    return _get("composite", name)


def get_design(name: object) -> Design:
    """A design by its id; an unknown one is an error that lists the near ones."""
    return _get("design", name)


@cache
def disclosure_rule() -> Mapping[str, int]:
    """`min_schools` and `min_pupils` below which no figure is built."""
    data, _ = _read(_FOLDER / "disclosure.toml")
    return types.MappingProxyType(data)


@cache
def precision_rule() -> Mapping[str, Mapping]:
    """The measured rule of `precision.toml`: quantity, method, statistic → coverage by number of clusters."""
    data, _ = _read(_FOLDER / "precision.toml")
    return types.MappingProxyType(data)


@cache
def read_sentences() -> Mapping[str, Mapping[str, str]]:
    """French sentences with named places, by section, for readers of reports."""
    data, _ = _read(_FOLDER / "sentences.toml")
    return types.MappingProxyType({section: types.MappingProxyType(texts) for section, texts in data.items()})


@cache
def catalog_hash() -> str:
    """sha256 over every catalogue file but the designs, which have their own: part of an edition's identity."""
    digest = hashlib.sha256()
    for path in sorted([*_FOLDER.rglob("*.toml"), *_FOLDER.rglob("*.csv")]):
        if path.parent.name == "designs":
            continue
        digest.update(path.relative_to(_FOLDER).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
