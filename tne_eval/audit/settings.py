"""Limits and column names of the audit, from `catalog/audit.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType

import tne_eval.catalog
from tne_eval.errors import ContractError, Problem

_FILE = "audit.toml"


@dataclass(frozen=True, slots=True)
class Limits:
    """What each rule takes for a defect; `catalog/audit.toml` says why."""

    counter_ratio: float
    rising_share: float
    rising_steps: int
    rising_growth: float
    unknown_share: float
    same_numbers: int
    constant_rows: int
    missing_units: int
    missing_p: float
    missing_effect: float
    digit_counts: int
    digit_p: float
    digit_effect: float
    jump_z: float
    jump_steps: int
    jump_share: float
    series_units: int
    regular_share: float
    held_share: float
    max_mb: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """A source and the one that lists all its units with their size: folders and column names, as patterns."""

    label: str
    folders: tuple[str, ...]
    unit: tuple[str, ...]
    reference_folders: tuple[str, ...]
    reference_unit: tuple[str, ...]
    reference_size: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits; column-name patterns by role; folders, counters and announced denominators of the programme; coverage."""

    limits: Limits
    columns: Mapping[str, tuple[str, ...]]
    folders: tuple[str, ...]
    counters: Mapping[str, tuple[str, ...]]
    denominators: tuple[tuple[str, str], ...]
    coverage: tuple[Coverage, ...]


@cache
def read_settings() -> Settings:
    """The settings that the package ships. Raises ContractError where a limit is missing, unknown or no number."""
    data = read_catalog_file(_FILE)
    limits, wanted = data["limits"], {field.name for field in fields(Limits)}
    problems = [
        Problem(_FILE, None, f"limits.{name}", found, expected, "Correct the file.")
        for name, found, expected in (
            *((name, "nothing", "a number") for name in sorted(wanted - set(limits))),
            *((name, "an unknown limit", ", ".join(sorted(wanted))) for name in sorted(set(limits) - wanted)),
            *((name, repr(value), "a number") for name, value in limits.items() if type(value) not in (int, float)),
        )
    ]
    if problems:
        raise ContractError(problems)
    return Settings(
        limits=Limits(**limits),
        columns=MappingProxyType({role: tuple(patterns) for role, patterns in data["columns"].items()}),
        folders=tuple(data["programme"]["folders"]),
        counters=MappingProxyType({name: tuple(found) for name, found in data["programme"]["counters"].items()}),
        denominators=tuple((item["counter"], item["figure"]) for item in data["denominator"]),
        coverage=tuple(
            Coverage(**{name: value if isinstance(value, str) else tuple(value) for name, value in item.items()})
            for item in data["coverage"]
        ),
    )


def read_catalog_file(name: str) -> dict:
    """A TOML file of the catalogue folder; ContractError where it is no valid TOML."""
    path = Path(tne_eval.catalog.__file__).parent / name
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContractError([Problem(name, None, None, str(error), "a valid TOML file", "Correct it.")]) from error
