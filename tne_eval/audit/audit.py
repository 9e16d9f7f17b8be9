"""The audit of a table, and of all that is known of the programme."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from tne_eval.audit import rules
from tne_eval.audit.finding import Finding, make_finding, sort_findings
from tne_eval.audit.settings import Coverage, Settings, read_settings
from tne_eval.audit.tables import READABLE, RawTable, first_match, read_raw_table
from tne_eval.catalog import Figure, Territory, list_territories
from tne_eval.errors import ContractError, MissingDataError
from tne_eval.indicators import audit_counters
from tne_eval.indicators.formulas import select
from tne_eval.sources import normalise_departement

SHIPPED = "tne_counters"


def audit_file(path: str | Path) -> list[Finding]:
    """What a raw .csv or .parquet file shows that its contract does not forbid; empty for a file of another kind, or
    too large to be read whole (`max_mb` of `catalog/audit.toml`).

    Raises ContractError where the file is no table.
    """
    settings = read_settings()
    path = Path(path)
    if path.suffix.lower() not in READABLE or (path.is_file() and not _is_readable(path, settings)):
        return []
    table = read_raw_table(path, settings)
    return sort_findings([*audit_table(table), *_announced(_raw_counts(table, settings), settings, table.name)])


def audit_table(table: RawTable) -> list[Finding]:
    """Every rule that the columns of one table allow."""
    settings = read_settings()
    limits, roles, where = settings.limits, settings.columns, table.name
    key = [*table.key, *([table.period] if table.period else [])]
    keyed = table.cells if table.periods is None else table.cells.assign(**{table.period: table.periods})
    found = [
        *rules.duplicated_keys(keyed, key, where=where),
        *rules.constant_columns(table.figures, limits, where=where),
        *rules.identical_columns(table.figures, limits, where=where),
    ]
    if table.period and not table.figures.empty:
        found += _audit_periods(table, settings)
    size = first_match(table.figures, roles["size"])
    for column in table.figures:
        found += rules.digit_preference(table.figures[column], limits, where=where, column=column)
        if size and column != size and first_match([column], roles["missing"]):
            found += rules.missing_by_size(
                table.figures[column], table.figures[size], limits, where=where, column=column
            )
    return sort_findings([*found, *_audit_unknown(table, settings)])


def _audit_periods(table: RawTable, settings: Settings) -> list[Finding]:
    limits, where, kind = settings.limits, table.name, table.period_type
    units = pd.DataFrame({"unit": table.unit(), "period": table.periods})
    if units["unit"].nunique() > limits.series_units:
        return []
    found = [
        *rules.missing_periods(units, limits, where=where, period_type=kind),
        *rules.empty_periods(pd.concat([units, table.figures], axis=1), where=where, period_type=kind),
    ]
    if units.duplicated().any():
        return found  # several rows a period: not series
    for column in table.figures:
        series = table.series(column)
        declared = bool(first_match([column], settings.columns["cumulative"]))
        falls = rules.falling_series(series, limits, where=where, column=column, period_type=kind, declared=declared)
        leaps = rules.jumps(series, limits, where=where, column=column, period_type=kind)
        told = {one.subject for one in falls}
        found += falls + [one for one in leaps if one.subject not in told]
    return found


def _audit_unknown(table: RawTable, settings: Settings) -> list[Finding]:
    """Unknown parts at the last period, all rows together."""
    total = first_match(table.figures, settings.columns["total"])
    if not total:
        return []
    last = (table.periods == table.periods.max()).to_numpy() if table.period else slice(None)
    rows = table.figures.loc[last]
    return [
        finding
        for column in rows
        if first_match([column], settings.columns["unknown"])
        for finding in rules.unknown_share(
            rows[column].sum(), rows[total].sum(), settings.limits, where=table.name, column=column
        )
    ]


def audit_programme(panel: pd.DataFrame, raw: str | Path | None = None) -> list[Finding]:
    """What is implausible in the programme's own figures.

    Parameters
    ----------
    panel : the tidy panel; its counters are set against the pupils enrolled, and against what the territories announce.
    raw : folder of fetched or imported files (`raw/<source>/<vintage>/…`); the latest vintage of each source that
        follows the programme is put through every rule. None, or a folder without such files: the panel alone.

    Returns
    -------
    Findings, gravest first. A raw file that is no table is refused with ContractError, every problem at once.
    """
    settings = read_settings()
    tables = read_latest(raw, settings.folders, settings)
    found = [*_stock_findings(panel), *_announced(_panel_counts(panel, settings), settings, SHIPPED)]
    alike = rules.identical_tables(
        {table.name: table.figures for table in tables}, {table.name: table.sha256 for table in tables}, settings.limits
    )
    copies = {name for one in alike for name in one.subject.split(", ")}
    for table in tables:
        if table.name not in copies:
            found += audit_table(table)
            found += _announced(_raw_counts(table, settings), settings, table.name)
    return sort_findings([*found, *alike, *_coverage(raw, settings)])


def read_latest(raw: str | Path | None, patterns: tuple[str, ...], settings: Settings) -> list[RawTable]:
    """Tables of the latest vintage of each source whose folder follows a pattern, named by their source."""
    if raw is None or not Path(raw).is_dir():
        return []
    folders = {folder for pattern in patterns for folder in Path(raw).glob(pattern) if folder.is_dir()}
    tables, problems = [], []
    for folder in sorted(folders):
        vintages = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        files = sorted(path for path in (vintages[-1].rglob("*") if vintages else ()) if _is_readable(path, settings))
        for path in files:
            name = folder.name if len(files) == 1 else f"{folder.name}/{path.name}"
            try:
                tables.append(read_raw_table(path, settings, name))
            except ContractError as error:
                problems += [replace(problem, file=f"{folder.name}/{problem.file}") for problem in error.problems]
    if problems:
        raise ContractError(problems)
    return sorted(tables, key=lambda table: (len(table.name), table.name))


def _is_readable(path: Path, settings: Settings) -> bool:
    return path.suffix.lower() in READABLE and path.stat().st_size <= settings.limits.max_mb * 1_000_000


def _coverage(raw: str | Path | None, settings: Settings) -> list[Finding]:
    """Units that a source lacks, by size, where the source and the list of all units are both in `raw`."""
    found = []
    for pair in settings.coverage:
        held, listed = (read_latest(raw, folders, settings) for folders in (pair.folders, pair.reference_folders))
        for table in held:
            for other in listed:
                found += _missing_units(table, other, pair, settings)
    return found


def _missing_units(table: RawTable, other: RawTable, pair: Coverage, settings: Settings) -> list[Finding]:
    unit = first_match(table.cells, pair.unit)
    listed = first_match(other.cells, pair.reference_unit)
    size = first_match(other.figures, pair.reference_size)
    if not (unit and listed and size and table.period_type == other.period_type):
        return []
    common = sorted(set(_periods(table)) & set(_periods(other)))
    if not common:
        return []
    here, there = ((_periods(one) == common[-1]).to_numpy() for one in (table, other))
    present = pd.Series(1.0, index=table.cells.loc[here, unit].unique())
    sizes = other.figures.loc[there, size].groupby(other.cells.loc[there, listed]).sum()
    return rules.missing_by_size(
        present.reindex(sizes.index), sizes, settings.limits, where=table.name, column=pair.label
    )


def _periods(table: RawTable) -> pd.Series:
    return pd.Series(0, index=table.cells.index) if table.periods is None else table.periods


def _stock_findings(panel: pd.DataFrame) -> list[Finding]:
    """Pupils reached above the pupils enrolled in a year, or above all those of the period (`audit_counters`)."""
    try:
        audit = audit_counters(panel)
    except MissingDataError:
        return []
    places = {place.id: place for place in list_territories()}
    found = []
    for _, row in audit[audit["verdict"] != "plausible"].iterrows():
        over = row["verdict"] == "impossible"
        found.append(
            make_finding(
                "counter_above_distinct" if over else "counter_above_stock",
                "impossible" if over else "doubtful",
                SHIPPED,
                places[row["territory"]].name,
                row["percent_of_distinct" if over else "percent_of_stock"] / 100,
                1,
                counted=int(row["pupils_reached"]),
                locative=places[row["territory"]].locative,
                stock=round(row["stock"]),
                distinct=round(row["distinct"]),
                percent=round(row["percent_of_stock"]),
            )
        )
    return found


def _panel_counts(panel: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """`unit, variable, value`: each counter of the programme at its latest month."""
    parts = []
    for variable in settings.counters:
        if not (panel["variable"] == variable).any():
            continue
        rows = select(panel, variable)
        latest = rows[rows["value"].notna()].sort_values("period").groupby("unit", observed=True).tail(1)
        parts.append(latest[["unit", "value"]].assign(unit=latest["unit"].astype(str), variable=variable))
    return pd.concat(parts) if parts else pd.DataFrame(columns=["unit", "variable", "value"])


def _raw_counts(table: RawTable, settings: Settings) -> pd.DataFrame:
    """The same from a raw table with a column of départements."""
    empty = pd.DataFrame(columns=["unit", "variable", "value"])
    place = first_match(table.cells, settings.columns["departement"])
    held = {name: first_match(table.figures, patterns) for name, patterns in settings.counters.items()}
    held = {name: column for name, column in held.items() if column}
    if not place or not held:
        return empty
    rows = (table.periods == table.periods.max()).to_numpy() if table.period else [True] * len(table.cells)
    units = table.cells.loc[rows, place].map(_departement)
    parts = [
        pd.DataFrame({"unit": units, "value": table.figures.loc[rows, column]})
        .groupby("unit", as_index=False)
        .sum()
        .assign(variable=name)
        for name, column in held.items()
    ]
    return pd.concat(parts)


def _departement(cell: str | None) -> str | None:
    try:
        return normalise_departement(cell)
    except ContractError:
        return None


def _announced(counts: pd.DataFrame, settings: Settings, where: str) -> list[Finding]:
    """Counters against the pupils, posts or teachers that each territory announces."""
    values = {(row["unit"], row["variable"]): row["value"] for _, row in counts.iterrows()}
    rows = []
    for place in list_territories():
        for counter, id in settings.denominators:
            figure = _figure(place, id)
            if figure is not None and (place.departement, counter) in values:
                rows.append(
                    {
                        "unit": place.name,
                        "counter": counter,
                        "value": values[place.departement, counter],
                        "denominator": figure.value,
                        "label": figure.label,
                    }
                )
    frame = pd.DataFrame(rows, columns=["unit", "counter", "value", "denominator", "label"])
    return rules.counters_above(frame, settings.limits, where=where)


def _figure(place: Territory, id: str) -> Figure | None:
    return next((figure for figure in place.figures if figure.id == id and figure.value), None)
