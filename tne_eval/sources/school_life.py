"""School life: what happened to each school that enters or leaves a panel, followed by its number (UAI)."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

import pandas as pd

from tne_eval.errors import ContractError, MissingDataError, Problem
from tne_eval.sources.communes import communes_now, departements_of_uais

EVENTS = ("open", "closed", "merged")
TO_CONFIRM = "à confirmer"
_FILE = "presence"


def follow_schools(presence: pd.DataFrame, *, events: pd.DataFrame | None = None) -> pd.DataFrame:
    """What happened to each school over the periods of a panel.

    Parameters
    ----------
    presence : columns `uai, period` (whole numbers): a row where a school is in the files. A row given twice counts
        once; other columns are ignored.
    events : columns `uai, event, into`, what a directory of schools says: `event` ∈ open (still there after the last
        period), closed, merged (`into` is then the UAI that took it over; empty elsewhere). At most one row a school.

    Returns
    -------
    DataFrame sorted by `uai`, a row a school: `departement, first, last` (periods), `seen` (number of periods), `gaps`
    (periods between first and last without it, a tuple), `status` at the last period, `merged_into` (UAI or "") and
    `basis` (files or events). `status`:
    - present: seen in the first and the last period without a gap;
    - opened: there at the end, not at the beginning, without a gap;
    - reappears: there at the end, after a gap;
    - closed, merged: not there at the end. On the basis of files, closed only means that it left them: files leave
      small schools out;
    - absent: not there at the end, but open according to events.

    Raises
    ------
    ContractError : columns missing, a wrong UAI, a period that is no whole number, an unknown event.
    MissingDataError : no row.
    """
    seen = _checked(presence)
    periods = sorted(seen["period"].unique())
    told = _checked_events(events, periods[-1])
    grouped = seen.groupby("uai", sort=True)["period"]
    life = grouped.agg(first="min", last="max", seen="size")
    life.insert(0, "departement", departements_of_uais(life.index.to_series(), file=_FILE))
    place = {period: rank for rank, period in enumerate(periods)}
    span = life["last"].map(place) - life["first"].map(place) + 1
    gaps = pd.Series([()] * len(life), index=life.index, dtype=object)
    for uai in life.index[span > life["seen"]]:
        own = set(grouped.get_group(uai))
        gaps[uai] = tuple(int(p) for p in periods if life.at[uai, "first"] < p < life.at[uai, "last"] and p not in own)
    life["gaps"] = gaps
    stays = life["last"] == periods[-1]
    status = pd.Series("present", index=life.index, dtype=object)
    status = status.mask(life["first"] > periods[0], "opened").mask(gaps.map(bool), "reappears").mask(~stays, "closed")
    event = told["event"].reindex(life.index)
    known = ~stays & event.notna()
    life["status"] = status.mask(known, event.replace("open", "absent"))
    life["merged_into"] = told["into"].reindex(life.index).where(known & (event == "merged"), "")
    life["basis"] = pd.Series("files", index=life.index, dtype=object).mask(known, "events")
    return life.reset_index()


def attrition(presence: pd.DataFrame, base: int, until: int) -> pd.DataFrame:
    """How many of the schools there at `base` are there in every period from `base` to `until`, by département.

    Returns
    -------
    DataFrame sorted by `departement`: `base` (schools at base), `kept` (of these, in every period), `left`, and
    `kept_share` (0-1).

    Raises
    ------
    MissingDataError : a period without any school, or `until` before `base`.
    ContractError : as `follow_schools`.
    """
    seen = _checked(presence)
    periods = sorted(seen["period"].unique())
    if base not in periods or until not in periods or until < base:
        raise MissingDataError(
            f"no schools followed from {base} to {until}",
            why=f"the periods at hand are {', '.join(map(str, periods))}",
            remedy="choose two of these, in order",
        )
    wanted = [period for period in periods if base <= period <= until]
    counts = seen[seen["period"].isin(wanted)].groupby("uai")["period"].size()
    start = seen.loc[seen["period"] == base, ["uai"]].sort_values("uai")
    table = pd.DataFrame(
        {
            "departement": departements_of_uais(start["uai"], file=_FILE).to_numpy(),
            "kept": counts.reindex(start["uai"]).to_numpy() == len(wanted),
        }
    )
    summary = table.groupby("departement")["kept"].agg(base="size", kept="sum").reset_index()
    summary["left"] = summary["base"] - summary["kept"]
    summary["kept_share"] = summary["kept"] / summary["base"]
    return summary


def merger_candidates(presence: pd.DataFrame) -> pd.DataFrame:
    """Schools that may have merged: one leaves the files when another enters them in the same commune.

    Parameters
    ----------
    presence : columns `uai, period, commune` (INSEE code, of any year: communes that merged are one; empty where not
        known: a school whose commune is never known is no candidate).

    Returns
    -------
    DataFrame `uai, into, commune, last` (last period of the one that left), `first` (next period: the first of the one
    that entered), `pairs` (candidates for that school: above one, the files cannot tell which) and `flag`, always
    "à confirmer": nothing here says that the two are one school.
    """
    seen = _checked(presence, ("uai", "period", "commune"))
    periods = [int(period) for period in sorted(seen["period"].unique())]
    following = dict(itertools.pairwise(periods))
    seen["commune"] = communes_now(seen["commune"], file=_FILE, blank=True).to_numpy()
    ordered = seen.sort_values(["uai", "period"])
    lives = ordered.groupby("uai").agg(first=("period", "min"), last=("period", "max")).reset_index()
    places = ordered.groupby("uai")["commune"].agg(["first", "last"])
    leavers = lives[lives["last"] < periods[-1]].drop(columns="first")
    leavers = leavers.assign(
        commune=leavers["uai"].map(places["last"]), first=leavers["last"].map(following).astype("int64")
    )
    entrants = lives[lives["first"] > periods[0]].drop(columns="last").rename(columns={"uai": "into"})
    entrants = entrants.assign(commune=entrants["into"].map(places["first"]))
    pairs = leavers.merge(entrants, on=["commune", "first"]).sort_values(["uai", "into"], ignore_index=True)
    pairs["pairs"] = pairs.groupby("uai")["into"].transform("size").astype("int64")
    return pairs.assign(flag=TO_CONFIRM)[["uai", "into", "commune", "last", "first", "pairs", "flag"]]


def _checked(presence: pd.DataFrame, columns: tuple[str, ...] = ("uai", "period")) -> pd.DataFrame:
    """The rows that count, each school × period once, with whole periods."""
    _require(presence, columns, _FILE)
    if presence.empty:
        raise MissingDataError("no school to follow", where=_FILE, remedy="give at least one row")
    seen = presence[list(columns)].drop_duplicates(["uai", "period"]).reset_index(drop=True)
    departements_of_uais(presence["uai"], file=_FILE)
    whole = [_whole(value) for value in seen["period"]]
    wrong = sorted({repr(value) for value, kept in zip(seen["period"], whole, strict=True) if kept is None})
    if wrong:
        raise ContractError(
            [Problem(_FILE, None, "period", text, "a whole number such as 2021", "Convert it.") for text in wrong]
        )
    return seen.assign(period=pd.Series(whole, dtype="int64"))


def _whole(value: object) -> int | None:
    try:
        return int(value) if not isinstance(value, str) and float(value).is_integer() else None
    except (TypeError, ValueError):
        return None


def _checked_events(events: pd.DataFrame | None, last: int) -> pd.DataFrame:
    if events is None:
        return pd.DataFrame({"event": [], "into": []}, index=pd.Index([], name="uai"), dtype=object)
    _require(events, ("uai", "event", "into"), "events")
    told = events[["uai", "event", "into"]].astype(object).reset_index(drop=True)
    told["into"] = told["into"].where(told["into"].notna(), "")
    problems = []
    for place, (_, event, into) in enumerate(told.itertuples(index=False), start=2):
        problems += _event_problems(place, event, into)
    repeated = told.index[told["uai"].duplicated()]
    problems += [
        Problem("events", int(place) + 2, "uai", f"{told.at[place, 'uai']!r} again", "one event a school", "Keep one.")
        for place in repeated
    ]
    if problems:
        raise ContractError(problems)
    departements_of_uais(told["uai"], file="events")
    return told.set_index("uai")


def _event_problems(row: int, event: Hashable, into: str) -> list[Problem]:
    if event not in EVENTS:
        return [Problem("events", row, "event", repr(event)[:80], " or ".join(map(repr, EVENTS)), "Correct it.")]
    if (event == "merged") != bool(into):
        expected = "the UAI that took the school over" if event == "merged" else "nothing, as it did not merge"
        return [Problem("events", row, "into", repr(into)[:80], expected, "Correct it.")]
    return []


def _require(table: pd.DataFrame, columns: tuple[str, ...], file: str) -> None:
    missing = [name for name in columns if name not in table]
    if missing:
        raise ContractError(
            [Problem(file, 1, name, "no such column", f"a column named {name!r}", "Rename it.") for name in missing]
        )
