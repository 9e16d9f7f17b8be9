"""The missing-data register: each piece of information × territory × year, and what it takes to have it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tne_eval.audit.needs import Need, read_needs
from tne_eval.catalog import Territory, list_sources, list_territories
from tne_eval.errors import MissingDataError
from tne_eval.indicators import compute_indicator
from tne_eval.results import IndicatorResult

COMPUTABLE, AFTER_FETCH, RESTRICTED, NOWHERE = STATUSES = ("computable", "after_fetch", "restricted", "nowhere")
_COLUMNS = ("need", "label", "indicator", "territory", "departement", "year", "status", "in_raw", "how")
# Digits after the four of the year, by type of period.
_YEAR_DIVISOR = {"school_year": 1, "exam_session": 1, "year": 1, "quarter": 10, "month": 100, "date": 10_000}


def data_availability(panel: pd.DataFrame, raw: str | Path | None = None) -> pd.DataFrame:
    """What can be had, for each need, territory and year.

    Parameters
    ----------
    panel : the tidy panel. "computable" means that the indicator, computed from it here, has a value for that
        territory in that year.
    raw : folder of fetched or imported files (`raw/<source>/<vintage>/`): `in_raw` says that a file of the open source
        is already there, and only waits to be built into the panel.

    Returns
    -------
    DataFrame `need, label, indicator, territory, departement, year, status, in_raw, how`, where `status` is one of
    computable, after_fetch, restricted, nowhere, and `how` names the data set, or the file and its holder. Years run
    from `years_before` before the first exposure to the last year that the panel knows; a school year is its first
    year, a session, a quarter, a month or a day its calendar year. What only has a sense once the programme is there
    (`from_exposure`) starts with the territory's earliest exposure.
    """
    places = list_territories()
    values = _computed(panel)
    years = _years(panel, places)
    held = _held(raw)
    rows = []
    for need in read_needs().needs:
        known = values.get(need.indicator, frozenset())
        in_raw = bool(need.open) and any(part in held for part in need.open.slug.split(", "))
        for place in places:
            start = place.exposure.earliest.year if need.from_exposure else years[0]
            for year in range(start, years[-1] + 1):
                status, how = _status(need, place, year, known)
                rows.append(
                    (
                        need.id,
                        need.label,
                        need.indicator,
                        place.id,
                        place.departement,
                        year,
                        status,
                        in_raw and status == AFTER_FETCH,
                        how,
                    )
                )
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _status(need: Need, place: Territory, year: int, known: frozenset) -> tuple[str, str]:
    if (place.departement, year) in known:
        return COMPUTABLE, need.indicator
    if need.open and need.open.covers(year, place.id):
        return AFTER_FETCH, need.open.slug
    if need.closed and need.closed.covers(year):
        return RESTRICTED, f"{need.closed.base} ({need.closed.holder})"
    return NOWHERE, ""


def _computed(panel: pd.DataFrame) -> dict[str, frozenset]:
    """By indicator, the (département, year) pairs where it really has a value; none where the panel lacks an input."""
    found = {}
    for need in read_needs().needs:
        if need.indicator:
            try:
                found[need.indicator] = frozenset(known_years(compute_indicator(need.indicator, panel)))
            except MissingDataError:
                found[need.indicator] = frozenset()
    return found


def known_years(result: IndicatorResult) -> set[tuple[str, int]]:
    """(département, year) of each known value of an indicator."""
    frame = result.frame
    rows = frame[(frame["unit_type"] == "departement") & frame["value"].notna()]
    years = rows["period"] // _YEAR_DIVISOR[result.indicator.period_type]
    return set(zip(rows["unit"].astype(str), years.astype(int), strict=True))


def _years(panel: pd.DataFrame, places: list[Territory]) -> range:
    first = min(place.exposure.earliest.year for place in places) - read_needs().years_before
    kinds = panel.loc[panel["value"].notna().to_numpy()].groupby("period_type", observed=True)["period"].max()
    last = max((int(period) // _YEAR_DIVISOR[str(kind)] for kind, period in kinds.items()), default=first)
    return range(first, max(last, first) + 1)


def _held(raw: str | Path | None) -> set[str]:
    """Ids and slugs of the sources that have a file in `raw`."""
    if raw is None or not Path(raw).is_dir():
        return set()
    slugs = {source.id: source.slug for source in list_sources() if source.slug}
    folders = {folder.name for folder in Path(raw).iterdir() if folder.is_dir() and not folder.name.startswith(".")}
    held = {name for name in folders if any(path.is_file() for path in (Path(raw) / name).glob("*/[!.]*"))}
    return held | {slugs[name] for name in held if name in slugs}
