"""A panel read once: where the rows of each variable are, and in which département, period and group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from tne_eval.errors import ContractError, DesignError, MissingDataError, Problem
from tne_eval.sources import academie_of, list_departements
from tne_eval.sources.communes import departement_of_uai, departements_of_uais
from tne_eval.sources.panel import STATUSES

LEVELS = ("departement", "academie", "france")
SCHOOLS = ("college", "ecole", "lycee")
OBSERVED, HIDDEN, MISSING = (STATUSES.index(status) for status in ("observed", "hidden", "missing"))
_LETTERS = np.array([ord(letter) for letter in "ABCDEFGHJKLMNPRSTUVWXYZ"])


class Areas(NamedTuple):
    """Units of one level, and the place among them of each of the 101 départements."""

    labels: tuple[str, ...]
    of_departement: np.ndarray


class Rows(NamedTuple):
    """Rows of one variable. `departement` is a place in `list_departements()`, `period` one in `PanelIndex.periods`;
    `unit` and `group` are codes of the panel's labels, `status` one of `STATUSES`; all (n,)."""

    departement: np.ndarray
    period: np.ndarray
    unit: np.ndarray
    group: np.ndarray
    status: np.ndarray
    value: np.ndarray
    n: np.ndarray


@cache
def areas(level: str) -> Areas:
    """The units of `departement`, `academie` or `france`, sorted."""
    codes = list_departements()
    own = {"departement": codes, "academie": [academie_of(code) for code in codes], "france": ["France"] * len(codes)}
    labels, place = np.unique(np.array(own[level]), return_inverse=True)
    return Areas(tuple(labels.tolist()), place)


class PanelIndex:
    """The columns of a panel as codes, made once for any number of indicators; the panel is not modified.

    `periods` (p,) are its periods, sorted. What `once` has made is kept for the next indicator that asks for it.
    """

    def __init__(self, panel: pd.DataFrame) -> None:
        # Without its attributes: pandas copies those of a frame, deeply, to whatever is made from it.
        self.panel = panel.copy(deep=False)
        self.panel.attrs = {}
        self._unit_type, self._unit_types = _codes(panel, "unit_type")
        self._unit, self.units = _codes(panel, "unit")
        self._group, self._groups = _codes(panel, "group")
        self._variable, variables = _codes(panel, "variable")
        status, labels = _codes(panel, "status")
        known = {label: place for place, label in enumerate(STATUSES)}
        self._status = np.array([known.get(label, OBSERVED) for label in labels], dtype=np.int8)[status]
        period, labels = pd.factorize(panel["period"].to_numpy())
        rank = np.argsort(labels)
        self.periods = labels[rank]
        self._period = np.argsort(rank)[period]
        self._value = panel["value"].to_numpy(dtype=float)
        self._n = panel["n"].to_numpy(dtype=float)
        # Codes of 16 bits are sorted in linear time.
        narrow = self._variable.astype(np.uint16) if len(variables) <= 2**16 else self._variable
        order = np.argsort(narrow, kind="stable")
        bounds = np.searchsorted(narrow[order], np.arange(len(variables) + 1))
        self._places = {name: order[bounds[at] : bounds[at + 1]] for at, name in enumerate(variables)}
        self._made: dict = {}

    def once(self, key: tuple, make: Callable[[], object]):
        """What `make` gives, made at the first call with this key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def has(self, variable: str) -> bool:
        return len(self._places.get(variable, ())) > 0

    def places(self, variable: str) -> np.ndarray:
        """Places of the variable's rows in the panel. Raises MissingDataError where there are none."""
        if not self.has(variable):
            raise MissingDataError(
                f"the panel holds no {variable!r}",
                remedy="load the shipped panel, or build the table that holds it",
            )
        return self._places[variable]

    def part(self, variables: Iterable[str]) -> pd.DataFrame:
        """The panel's rows of these variables that it holds."""
        held = [self._places[name] for name in sorted(variables) if self.has(name)]
        return self.panel.iloc[np.concatenate(held) if held else []]

    def by_schools(self, variables: Iterable[str]) -> bool:
        """Whether every one of the variables has rows of schools, which are then used in place of groups."""
        return all(len(self._of_type(variable, SCHOOLS)) > 0 for variable in variables)

    def rows(self, variable: str, *, schools: bool, where: Mapping[str, str] | None = None) -> Rows:
        """Rows of schools, or of départements, in the groups that hold every `where` pair.

        Raises MissingDataError where there are none, UnknownNameError or ContractError on a unit that is in no
        département, DesignError on two rows of one unit, period and group.
        """
        rows = self.once(("rows", variable, schools), lambda: self._rows(variable, schools))
        if not where:
            return rows
        held = self.in_groups(where)[rows.group]
        return Rows(*(column[held] for column in rows))

    def in_groups(self, where: Mapping[str, str]) -> np.ndarray:
        """(g,) which group labels hold every `where` pair; to be read by the codes of `Rows.group`."""
        wanted = {f"{name}={value}" for name, value in where.items()}
        return np.array([wanted <= set(label.split(";")) for label in self._groups], dtype=bool)

    def published(self, variable: str, unit_type: str) -> tuple[Rows, list[str]]:
        """Rows of one type of unit as they stand, `departement` being a place among the labels given with them."""
        places = self._of_type(variable, (unit_type,))
        unit, labels = pd.factorize(self.units[self._unit[places]], sort=True)
        return self._take(places, unit), list(labels)

    def _rows(self, variable: str, schools: bool) -> Rows:
        places = self._of_type(variable, SCHOOLS if schools else ("departement",))
        if not len(places):
            raise MissingDataError(
                f"the panel holds {variable!r} for no {'school' if schools else 'département'}",
                remedy="load the shipped panel, or build the table that holds it",
            )
        own = self._unit[places]
        used = np.zeros(len(self.units), dtype=bool)
        used[own] = True
        departement = np.full(len(self.units), -1)
        departement[used] = (_departements_of_schools if schools else _departements)(self.units[used])
        rows = self._take(places, departement[own])
        self._refuse_twice(variable, rows)
        return rows

    def _of_type(self, variable: str, types: tuple[str, ...]) -> np.ndarray:
        places = self.places(variable)
        return places[np.isin(self._unit_types, types)[self._unit_type[places]]]

    def _take(self, places: np.ndarray, departement: np.ndarray) -> Rows:
        columns = (self._period, self._unit, self._group, self._status, self._value, self._n)
        return Rows(departement, *(column[places] for column in columns))

    def _refuse_twice(self, variable: str, rows: Rows) -> None:
        key = np.zeros(len(rows.value), dtype=np.int64)
        size = 1
        for code in (rows.unit, rows.period, rows.group):
            held = np.bincount(code) > 0
            key = key * held.sum() + (np.cumsum(held) - 1)[code]
            size *= int(held.sum())
        # Counting in an array is faster than hashing, as long as the array is not much larger than the rows.
        twice = np.bincount(key).max() > 1 if size <= 16 * len(key) + 1_000_000 else not pd.Index(key).is_unique
        if twice:
            raise DesignError(
                f"{variable!r} has two rows for one unit, period and group",
                remedy="keep one of them, or give each a group of its own",
            )

    def key(self, rows: Rows) -> np.ndarray:
        """(n,) one whole number for each unit, period and group."""
        return (rows.unit.astype(np.int64) * len(self.periods) + rows.period) * len(self._groups) + rows.group

    def sources(self, variables: Iterable[str]) -> str:
        """Names of the sources of the rows of these variables."""
        names = frozenset(variables)
        return self.once(("sources", names), lambda: ", ".join(sorted(self.part(names)["source"].astype(str).unique())))


def index_of(panel: pd.DataFrame | PanelIndex) -> PanelIndex:
    """The index of a panel; an index is its own."""
    return panel if isinstance(panel, PanelIndex) else PanelIndex(panel)


def _codes(panel: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a text column and its labels."""
    column = panel[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, labels = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, labels = pd.factorize(column.to_numpy(dtype=object))
    if len(codes) and codes.min() < 0:
        raise DesignError(f"the column {name!r} of the panel holds missing values", remedy="write each as a text")
    return codes.astype(np.intp), np.asarray(labels, dtype=object)


def _departements(codes: np.ndarray) -> np.ndarray:
    known = {code: place for place, code in enumerate(list_departements())}
    unknown = sorted(set(codes) - set(known))
    if unknown:
        found = ", ".join(map(repr, unknown[:5]))
        raise ContractError(
            [Problem("(panel)", None, "unit", found, "codes of the 101 départements", "Normalise them.")]
        )
    return np.array([known[code] for code in codes], dtype=np.intp)


def _departements_of_schools(uais: np.ndarray) -> np.ndarray:
    """Places of the départements of school numbers, whose check letters are verified all at once."""
    text = uais.astype("U9")
    digits = np.ascontiguousarray(text).view(np.uint32).reshape(len(text), 9).astype(np.int64)
    numbers = digits[:, :7] - ord("0")
    plain = (numbers >= 0).all(axis=1) & (numbers <= 9).all(axis=1) & (digits[:, 8] == 0)
    letter = _LETTERS[(numbers @ 10 ** np.arange(6, -1, -1)) % 23]
    if not (plain & (letter == digits[:, 7])).all():
        departements_of_uais(pd.Series(uais, name="unit"), file="(panel)")
    _, first, prefix = np.unique(numbers[:, :3] @ [100, 10, 1], return_index=True, return_inverse=True)
    return _departements(np.array([departement_of_uai(uais[place]) for place in first], dtype=object))[prefix]
