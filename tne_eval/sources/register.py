"""The treatment register: which school received what, and when; and what can be said of treated shares without it."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import hashlib
import io
import itertools
import math
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from tne_eval.catalog import Figure, Source, Territory, list_territories
from tne_eval.catalog.load import make_entry
from tne_eval.errors import ContractError, DesignError, MissingDataError, Problem, ReportError
from tne_eval.sources.communes import departement_of_uai
from tne_eval.sources.contract import check_judged, convert_judged, judge_table
from tne_eval.sources.geography import plain_name
from tne_eval.sources.read import read_texts

COMPONENTS = ("equipement", "formation", "ressources", "parentalite")
LEVELS = ("ecole", "college")
DATES = ("announced", "convention", "delivery")
ANY = "any"
_FRENCH_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_ISO_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ].*)?", re.ASCII)
_SERIAL = re.compile(r"[34]\d{4}", re.ASCII)
_FRENCH_NUMBER = re.compile(r"\d+,\d+", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """A register that keeps its contract.

    `frame`: a row per school and component: `uai, departement` (None where the number says none), `component, level`
    (None where not given), `announced, convention, delivery` (days such as 20200921, NA where not known), `dose,
    dose_unit, source`; the index is the row in the file. `findings` are facts to look at that break no rule.
    """

    frame: pd.DataFrame
    sha256: str
    file: str
    findings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class EffectOnTreated:
    """Bounds of the mean effect on treated schools: of the estimate (`estimate_low` to `estimate_high`) and of its
    interval (`low` to `high`; None when the estimate has no interval), in the unit of the estimate."""

    estimate_low: float
    estimate_high: float
    low: float | None
    high: float | None


@cache
def _data() -> dict:
    return tomllib.loads(resources.files("tne_eval.catalog").joinpath("register.toml").read_text(encoding="utf-8"))


@cache
def register_source() -> Source:
    """The contract of the register, as a catalogue entry."""
    problems: list[Problem] = []
    source = make_entry(Source, _data()["source"], "register.toml", problems)
    if problems:
        raise ContractError(problems)
    return source


def read_register(path: str | Path) -> Register:
    """Read a treatment register, csv (`;`, UTF-8) or xlsx, and check it.

    The component and the level may carry accents and capitals; days are written 2020-09-21 or 21/09/2020; a dose may
    have a decimal comma.

    Raises
    ------
    ContractError : a file whose lines or columns are not those of the contract; else every wrong cell at once: UAI,
        component, level, day, days out of order (announced ≤ convention ≤ delivery), dose without its unit, a school
        and component given twice, the example row of the template.
    """
    path = Path(path)
    source = register_source()
    as_text = tuple(
        dataclasses.replace(column, type="text", values=(), low=None, missing=("",)) for column in source.columns
    )
    raw = read_texts(path, dataclasses.replace(source, columns=as_text, key=()))
    if raw.table is None:
        raise ContractError(raw.problems)
    texts, problems = _normalised(raw.table, path.name)
    judged = judge_table(texts, source)
    problems += [*raw.problems, *check_judged(texts, judged, source, path.name)]
    problems += _example_left(texts, path.name) + _dose_problems(texts, path.name) + _order_problems(texts, path.name)
    if problems:
        # The same breach may be seen twice: as a text, then under its type.
        unique = dict.fromkeys(problems)
        raise ContractError(sorted(unique, key=lambda problem: (problem.row or 0, problem.column or "")))
    frame = convert_judged(judged, source, texts.index)
    departements = [_departement(uai) for uai in frame["uai"]]
    frame.insert(1, "departement", pd.Series(departements, index=frame.index, dtype=object))
    findings = _findings(frame, path.name)
    return Register(frame, hashlib.sha256(path.read_bytes()).hexdigest(), path.name, findings)


def _normalised(table: pd.DataFrame, file: str) -> tuple[pd.DataFrame, list[Problem]]:
    """Cells as the contract writes them. Days that do not exist are problems, and blank from here on."""
    texts = table.astype(object).map(lambda cell: str(cell).strip())
    texts.attrs = dict(table.attrs)
    for name in {"component", "level"} & set(texts):
        texts[name] = texts[name].map(plain_name)
    if "dose" in texts:
        french = texts["dose"].map(lambda cell: bool(_FRENCH_NUMBER.fullmatch(cell)))
        texts["dose"] = texts["dose"].mask(french, texts["dose"].str.replace(",", "."))
    problems = []
    for name in [name for name in DATES if name in texts]:
        days = [_day(cell) for cell in texts[name]]
        for row, cell, day in zip(texts.index, texts[name], days, strict=True):
            if cell and not day:
                remedy = "Give the cell the format of a date." if _SERIAL.fullmatch(cell) else "Correct this day."
                problems.append(
                    Problem(file, int(row), name, repr(cell)[:80], "a day such as 2020-09-21 or 21/09/2020", remedy)
                )
        texts[name] = days
    return texts, problems


def _day(cell: str) -> str:
    """`21/09/2020` or `2020-09-21` → `2020-09-21`; anything else, or a day that does not exist → ""."""
    french, iso = _FRENCH_DAY.fullmatch(cell), _ISO_DAY.fullmatch(cell)
    parts = (french[3], french[2], french[1]) if french else iso.groups() if iso else None
    try:
        return dt.date(*map(int, parts)).isoformat() if parts else ""
    except ValueError:
        return ""


def _filled(texts: pd.DataFrame, name: str) -> pd.Series:
    """Cells of a column, blank where the file has no such column."""
    return texts[name] if name in texts else pd.Series("", index=texts.index, dtype=object)


def _example_left(texts: pd.DataFrame, file: str) -> list[Problem]:
    example = _data()["template"]["example"]["uai"]
    return [
        Problem(file, int(row), "uai", repr(example), "a school that exists", "Remove the example row of the template.")
        for row in texts.index[_filled(texts, "uai") == example]
    ]


def _dose_problems(texts: pd.DataFrame, file: str) -> list[Problem]:
    bare = texts.index[(_filled(texts, "dose") != "") & (_filled(texts, "dose_unit") == "")]
    return [Problem(file, int(row), "dose_unit", "nothing", "the unit of the dose", "Write the unit.") for row in bare]


def _order_problems(texts: pd.DataFrame, file: str) -> list[Problem]:
    """Days that are known come in order: each is compared with the last one known before it."""
    problems = []
    for row, days in zip(texts.index, zip(*(_filled(texts, name) for name in DATES), strict=True), strict=True):
        known = [(name, day) for name, day in zip(DATES, days, strict=True) if day]
        for (early, before), (late, after) in itertools.pairwise(known):
            if before > after:  # ISO texts sort as days do
                found = f"{after}, before {early} {before}"
                expected = "announced ≤ convention ≤ delivery"
                problems.append(Problem(file, int(row), late, found, expected, "Correct one of the two days."))
    return problems


def _departement(uai: str) -> str | None:
    try:
        return departement_of_uai(uai)
    except ContractError:
        return None


def _findings(frame: pd.DataFrame, file: str) -> tuple[Problem, ...]:
    inside = {territory.departement for territory in list_territories()}
    return tuple(
        Problem(
            file,
            int(row),
            "uai",
            f"{uai!r}, in département {departement or 'not known'}",
            "a school of the twelve territories",
            "Check this number; the row is kept, and counts in no territory.",
        )
        for row, uai, departement in zip(frame.index, frame["uai"], frame["departement"], strict=True)
        if departement not in inside
    )


def write_register_template(path: str | Path) -> Path:
    """Write an empty register to fill in: .xlsx (with a sheet of instructions in French) or .csv (`;`, UTF-8).

    Its one row is an example, clearly fictional, that `read_register` refuses until it is removed.

    Raises ReportError when something is already there, or when the name ends otherwise.
    """
    path = Path(path)
    makers = {".xlsx": _template_xlsx, ".csv": _template_csv}
    if path.suffix.lower() not in makers:
        raise ReportError("a template is a .xlsx or a .csv file", where=str(path), remedy="choose one of these endings")
    if path.exists():
        raise ReportError("a file is already there", where=str(path), remedy="choose another name, or move it away")
    if not path.parent.is_dir():
        raise ReportError("no such folder", where=str(path.parent), remedy="make it first")
    handle, beside = tempfile.mkstemp(prefix=".registre-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(makers[path.suffix.lower()]())
        Path(beside).replace(path)
    finally:
        Path(beside).unlink(missing_ok=True)
    return path


def _template_rows() -> list[list[str]]:
    example = _data()["template"]["example"]
    names = [column.name for column in register_source().columns]
    return [names, [example[name] for name in names]]


def _template_csv() -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";", lineterminator="\n").writerows(_template_rows())
    return text.getvalue().encode("utf-8-sig")


def _template_xlsx() -> bytes:
    import openpyxl

    template = _data()["template"]
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = template["sheet"]
    for row in _template_rows():
        sheet.append(row)
    for column in sheet.iter_cols(max_row=2):
        column[0].font = openpyxl.styles.Font(bold=True)
        column[1].font = openpyxl.styles.Font(italic=True, color="808080")
        sheet.column_dimensions[column[0].column_letter].width = 24
    sheet.freeze_panes = "A2"
    manual = book.create_sheet(template["help_sheet"])
    manual.append([template["title"]])
    manual["A1"].font = openpyxl.styles.Font(bold=True)
    for line in template["instructions"]:
        manual.append([line])
    manual.append([])
    for name, meaning in template["columns"].items():
        manual.append([f"{name} : {meaning}"])
    manual.column_dimensions["A"].width = 120
    raw = io.BytesIO()
    book.save(raw)
    return raw.getvalue()


@dataclass(frozen=True, slots=True)
class _Share:
    low: float
    likely: float | None
    high: float
    basis: str
    scope: str = ""
    flag: str = ""
    source: str = ""


_UNKNOWN = _Share(0.0, None, 1.0, "bounds")


def treated_shares(register: Register | None, panel: pd.DataFrame, totals: pd.DataFrame | None = None) -> pd.DataFrame:
    """Share of each territory's schools that are treated, by level and component.

    Parameters
    ----------
    register : the treatment register; None takes what is published.
    panel : the tidy panel: its variable `colleges` counts the collèges of a département.
    totals : columns `departement, level, schools`: numbers of schools counted elsewhere, a directory for instance. They
        come before the panel's. Écoles have no total otherwise: the panel only counts those with an IPS.

    Returns
    -------
    DataFrame, a row for each territory × level (ecole, college) × component (the four, and any: at least one of them):
    `territory, departement, level, component, low, likely, high` (shares, 0-1; `likely` is NaN where nothing tells),
    `basis, scope, flag, source`. `basis`:
    - register: counted there. `low` to `high` covers schools whose level is not given, and the number of collèges in
      the years since the exposure. A territory or a component without a row is not known to be untreated: it keeps what
      is published, and any may then be up to 1;
    - register_no_total: counted there, but the number of schools is not known: bounds 0 and 1;
    - published, published_any (at least one component is; this one may not be), published_component (this one is;
      others may be), announced (a target, which bounds nothing): from figures of the catalogue, with their `flag` and
      `source`;
    - bounds: nothing is known, 0 to 1.

    A share is that of schools, not of pupils; where the two differ much, `effect_on_treated` needs the latter.

    Raises
    ------
    MissingDataError : no number of collèges in the panel.
    ContractError : more schools in the register than the département has.
    """
    counts = _totals(totals)
    rows = []
    for territory in list_territories():
        for level in LEVELS:
            total = counts.get((territory.departement, level)) or _panel_total(panel, territory, level)
            shares = _published_shares(territory, level, total)
            if register is not None:
                shares |= _registered_shares(register, territory, level, total)
            rows += [
                {
                    "territory": territory.id,
                    "departement": territory.departement,
                    "level": level,
                    "component": component,
                    **dataclasses.asdict(share),
                }
                for component, share in shares.items()
            ]
    return pd.DataFrame(rows).astype({"likely": float})


def _totals(totals: pd.DataFrame | None) -> dict[tuple[str, str], tuple[float, float, float]]:
    if totals is None:
        return {}
    return {(row.departement, row.level): (float(row.schools),) * 3 for row in totals.itertuples() if row.schools > 0}


def _panel_total(panel: pd.DataFrame, territory: Territory, level: str) -> tuple[float, float, float] | None:
    """(fewest, number in the likely year, most) collèges of the département in the school years since the exposure."""
    if level != "college":
        return None
    mine = panel[(panel["variable"] == "colleges") & (panel["unit"] == territory.departement)]
    mine = mine[mine["value"].notna()].set_index("period")["value"].sort_index()
    if mine.empty:
        raise MissingDataError(
            f"no number of collèges for {territory.id} in the panel",
            remedy="use the shipped panel, or build one from the enrolment files",
        )
    start, likely = (_school_year(day) for day in (territory.exposure.earliest, territory.exposure.likely))
    since = mine[mine.index >= start] if (mine.index >= start).any() else mine.tail(1)
    closest = min(since.index, key=lambda period: abs(period - likely))
    return float(since.min()), float(since[closest]), float(since.max())


def _school_year(day: dt.date) -> int:
    return day.year if day.month >= 9 else day.year - 1


def _registered_shares(
    register: Register, territory: Territory, level: str, total: tuple[float, float, float] | None
) -> dict[str, _Share]:
    """Shares of the components that the register knows of in this territory; silence on the others is not zero."""
    mine = register.frame[register.frame["departement"] == territory.departement]
    known = [component for component in COMPONENTS if (mine["component"] == component).any()]
    shares = {name: _counted(mine[mine["component"] == name], register, level, total) for name in known}
    if known:
        whole = _counted(mine, register, level, total)
        partial = len(known) < len(COMPONENTS)
        shares[ANY] = dataclasses.replace(whole, likely=None, high=1.0) if partial else whole
    return shares


def _counted(rows: pd.DataFrame, register: Register, level: str, total: tuple[float, float, float] | None) -> _Share:
    source = f"{register.file}, sha256 {register.sha256}"
    if total is None:
        return _Share(0.0, None, 1.0, "register_no_total", source=source)
    treated = rows.loc[rows["level"] == level, "uai"].nunique()
    unknown = rows.loc[rows["level"].isna(), "uai"].nunique()
    fewest, likely, most = total
    if treated > most:
        departement = rows["departement"].iloc[0]
        found = f"{treated} schools of level {level!r} in département {departement}"
        raise ContractError(
            [Problem(register.file, None, "level", found, f"at most {most:g}, as counted", "Check the levels given.")]
        )
    return _Share(
        treated / most,
        None if unknown else min(treated / likely, 1.0),
        min((treated + unknown) / fewest, 1.0),
        "register",
        source=source,
    )


def _published_shares(territory: Territory, level: str, total: tuple[float, float, float] | None) -> dict[str, _Share]:
    figures = {figure.id: figure for figure in territory.figures}
    told = {
        entry["component"]: _published(entry, figures, total)
        for entry in _data()["published"]
        if entry["territory"] == territory.id and entry["level"] == level
    }
    whole = told.get(ANY)
    shares = {}
    for component in COMPONENTS:
        if component in told:
            shares[component] = told[component]
        elif whole is not None and whole.basis == "published":
            shares[component] = dataclasses.replace(whole, low=0.0, likely=None, basis="published_any")
        else:
            shares[component] = _UNKNOWN
    parts = [share for name, share in told.items() if name != ANY and share.basis == "published"]
    if whole is None and parts:
        largest = max(parts, key=lambda share: share.low)
        whole = dataclasses.replace(largest, likely=None, high=1.0, basis="published_component")
    return {**shares, ANY: whole or _UNKNOWN}


def _published(entry: Mapping, figures: Mapping[str, Figure], total: tuple[float, float, float] | None) -> _Share:
    names = [entry[key] for key in ("share", "treated", "total") if key in entry]
    used = [figures[name] for name in names]
    if "share" in entry:
        low, likely, high = (value / 100 for value in _values(used[0]))
    else:
        few, middle, many = _values(used[0])
        fewest, mean, most = _values(used[1]) if "total" in entry else (total or (math.nan,) * 3)
        low, likely, high = few / most, middle / mean, min(many / fewest, 1.0)
    if math.isnan(likely):
        return _UNKNOWN
    announced = entry.get("announced", False)
    return _Share(
        0.0 if announced else low,
        likely,
        1.0 if announced else high,
        "announced" if announced else "published",
        entry["scope"],
        "+".join(dict.fromkeys(figure.flag for figure in used)),
        " ; ".join(dict.fromkeys(figure.source for figure in used)),
    )


def _values(figure: Figure) -> tuple[float, float, float]:
    if figure.value is not None:
        return (figure.value,) * 3
    return figure.low, figure.likely, figure.high


def effect_on_treated(
    estimate: float, low: float | None, high: float | None, share_low: float, share_high: float
) -> EffectOnTreated | None:
    """Mean effect on treated schools that an effect on all schools stands for, when only a share is treated.

    An effect on every school of a territory (intention to treat) mixes treated schools with others. If others are not
    touched at all, effect on all = share × effect on treated, hence effect on treated = effect on all / share. With a
    share known between two bounds, each bound of the result is the extreme quotient.

    Parameters
    ----------
    estimate, low, high : the effect on all schools and its interval, in one unit (None and None: no interval).
    share_low, share_high : bounds of the treated share, 0-1, weighted as the estimate is (pupils, where it counts
        pupils). The bounds are taken as certain: the result holds at the level of the interval when they are.

    Returns
    -------
    EffectOnTreated, or None when `share_low` is 0: a share as small as one likes leaves the effect unbounded. An effect
    that is not distinguished from zero on all schools is not on treated schools either: 0 stays where it was.

    Raises
    ------
    DesignError : figures out of order or not finite, shares outside 0-1.
    """
    interval = (low, high) if low is not None and high is not None else None
    figures = (estimate, share_low, share_high, *(interval or ()))
    ordered = interval is None or interval[0] <= estimate <= interval[1]
    if (low is None) != (high is None) or not all(map(math.isfinite, figures)) or not ordered:
        raise DesignError(
            "no effect on treated schools from these figures",
            why=f"estimate {estimate}, interval {low} to {high}",
            remedy="give finite figures with low ≤ estimate ≤ high, or no interval (None, None)",
        )
    if not 0 <= share_low <= share_high <= 1:
        raise DesignError(
            f"a treated share from {share_low} to {share_high}", remedy="give bounds with 0 ≤ low ≤ high ≤ 1"
        )
    if share_low == 0:
        return None
    quotients = sorted((estimate / share_low, estimate / share_high))
    if interval is None:
        return EffectOnTreated(quotients[0], quotients[1], None, None)
    corners = [bound / share for bound in interval for share in (share_low, share_high)]
    return EffectOnTreated(quotients[0], quotients[1], min(corners), max(corners))
