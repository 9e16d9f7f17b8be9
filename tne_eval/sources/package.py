"""Tables → bytes and their description (Frictionless Data Package): the same bytes on every run and machine."""

from __future__ import annotations

import hashlib
import json

import pandas as pd

from tne_eval.catalog import get_source
from tne_eval.sources.tables import Field, Table

COMMAND = "tne-eval build --from DIR"
LICENCES = {
    "Licence Ouverte 2.0 (Etalab)": {
        "name": "etalab-2.0",
        "title": "Licence Ouverte 2.0 (Etalab)",
        "path": "https://www.etalab.gouv.fr/licence-ouverte-open-licence/",
    },
    "Licence non renseignée par le producteur": {
        "name": "notspecified",
        "title": "Licence non renseignée par le producteur",
        "path": "https://data.education.gouv.fr/pages/cgu/",
    },
}
_TO_MONTH = {
    "exam_session": lambda period: f"{period}-06",
    "school_year": lambda period: f"{period}-09",
    "year": lambda period: f"{period}-12",
    "quarter": lambda period: f"{period // 10}-{period % 10 * 3:02d}",
    "month": lambda period: f"{period // 100}-{period % 100:02d}",
    "date": lambda period: f"{period // 10_000}-{period // 100 % 100:02d}",
}


def _written(column: pd.Series, field: Field) -> pd.Series:
    """A column as text: fixed decimals, blank where not known."""
    if field.type == "string":
        return column.fillna("").astype(str)
    form = f".{field.decimals}f"
    # Rounding to ten decimals first: what the last bits of a sum hold may differ between machines.
    texts = ["" if pd.isna(value) else format(round(float(value), 10), form) for value in column]
    return pd.Series(texts, index=column.index)


def table_csv(frame: pd.DataFrame, fields: tuple[Field, ...], key: tuple[str, ...]) -> bytes:
    """CSV with a header, rows sorted by key, LF, UTF-8."""
    frame = frame.sort_values(list(key), kind="stable").reset_index(drop=True)
    written = pd.DataFrame({field.name: _written(frame[field.name], field) for field in fields})
    return written.to_csv(index=False, lineterminator="\n").encode("utf-8")


def _described(field: Field) -> dict:
    entry = {"name": field.name, "type": field.type, "title": field.title}
    if field.unit:
        entry["unit"] = field.unit
    if field.variable:
        entry["variable"] = True
    if field.empty:
        entry["empty"] = field.empty
    return entry


def _resource(name: str, path: str, title: str, raw: bytes, sources: tuple[str, ...]) -> dict:
    entries = [get_source(id) for id in sources]
    licences = dict.fromkeys(entry.licence for entry in entries)
    return {
        "name": name,
        "path": path,
        "title": title,
        "encoding": "utf-8",
        "bytes": len(raw),
        "hash": f"sha256:{hashlib.sha256(raw).hexdigest()}",
        "sources": [{"title": f"{entry.label} — {entry.producer}", "path": entry.url} for entry in entries],
        "licenses": [LICENCES[licence] for licence in licences],
        "command": COMMAND,
    }


def table_resource(table: Table, frame: pd.DataFrame, raw: bytes) -> dict:
    """The description of a table that enters the panel."""
    first, last = int(frame[table.period].min()), int(frame[table.period].max())
    years = sorted({_TO_MONTH[table.period_type](period)[:4] for period in (first, last)})
    resource = _resource(table.name, f"{table.name}.csv", table.title, raw, table.sources)
    return resource | {
        "profile": "tabular-data-resource",
        "format": "csv",
        "description": table.note,
        "vintage": "-".join(years),
        "until": _TO_MONTH[table.period_type](last),
        "rows": len(frame),
        "schema": {"fields": [_described(field) for field in table.fields], "primaryKey": list(table.key)},
        "panel": {
            "source": "+".join(table.sources),
            "unit": table.unit,
            "period_type": table.period_type,
            "period": table.period,
            "group": list(table.group),
            "weight": table.weight,
            "n": table.n,
        },
    }


def other_resource(
    name: str, path: str, title: str, raw: bytes, sources: tuple[str, ...], fields: tuple[Field, ...] = ()
) -> dict:
    """The description of a file that does not enter the panel."""
    resource = _resource(name, path, title, raw, sources)
    if not fields:
        return resource | {"profile": "data-resource", "format": "geojson", "vintage": get_source(sources[0]).vintage}
    return resource | {
        "profile": "tabular-data-resource",
        "format": "csv",
        "schema": {"fields": [_described(field) for field in fields]},
    }


def package_json(resources: list[dict]) -> bytes:
    """datapackage.json."""
    package = {
        "profile": "data-package",
        "name": "tne-eval-embedded",
        "title": "Figures calculées sur données ouvertes, par département ou groupe d'établissements d'un département",
        "licenses": [LICENCES["Licence Ouverte 2.0 (Etalab)"]],
        "resources": resources,
    }
    return (json.dumps(package, ensure_ascii=False, indent=2) + "\n").encode("utf-8")
