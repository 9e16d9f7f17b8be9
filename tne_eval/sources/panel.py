"""Tables of figures → one tidy panel, which says where it comes from."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import pandas as pd

from tne_eval.errors import ContractError, MissingDataError, Problem
from tne_eval.paths import shipped

PANEL_COLUMNS = (
    "unit_type",
    "unit",
    "period_type",
    "period",
    "group",
    "variable",
    "value",
    "weight",
    "n",
    "status",
    "source",
)
STATUSES = ("observed", "imputed", "hidden_by_producer", "hidden", "missing", "not_applicable")
_TEXT = ("unit_type", "unit", "period_type", "group", "variable", "status", "source")


def load_panel(folder: str | Path | None = None) -> pd.DataFrame:
    """The tidy panel: one row per unit × period × group × variable.

    Parameters
    ----------
    folder : a folder that `tne-eval build` wrote from fetched or imported files; None takes the shipped figures.

    Returns
    -------
    DataFrame with the columns `unit_type, unit, period_type, period, group, variable, value, weight, n, status,
    source`. `panel.attrs["origin"]` says which figures these are (`kind` embedded or built, the tables, their vintage
    and sha256); `describe_panel` says it in a table.

    Raises
    ------
    MissingDataError : no figures there.
    ContractError : a table differs from its recorded sha256 or breaks its schema.
    """
    place = shipped("embedded") if folder is None else Path(folder)
    package = place / "datapackage.json"
    if not package.is_file():
        raise MissingDataError(
            "no figures in this folder", where=str(place), remedy="run: tne-eval build --from RAW --to FOLDER"
        )
    files = tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(place.iterdir()))
    # Writing to the copy leaves the panel that is kept as it is (pandas copies on write).
    return _read_panel(place.absolute(), "embedded" if folder is None else "built", files).copy(deep=False)


@lru_cache(maxsize=1)
def _read_panel(place: Path, kind: str, _files: tuple) -> pd.DataFrame:
    """The panel of a folder whose files are these, at their times and sizes."""
    resources = json.loads((place / "datapackage.json").read_text(encoding="utf-8"))["resources"]
    tables = [_melt(place, resource) for resource in resources if "panel" in resource]
    panel = pd.concat(tables, ignore_index=True)
    for column in _TEXT:
        panel[column] = panel[column].astype("category")
    panel.attrs["origin"] = {
        "kind": kind,
        "tables": {
            resource["name"]: {
                "vintage": resource["vintage"],
                "until": resource["until"],
                "source": resource["panel"]["source"],
                "licence": resource["licenses"][0]["title"],
                "sha256": resource["hash"].removeprefix("sha256:"),
            }
            for resource in resources
            if "panel" in resource
        },
    }
    return panel


def describe_panel(panel: pd.DataFrame) -> pd.DataFrame:
    """Which figures the panel holds: a row per table, with vintage, licence and sha256."""
    origin = panel.attrs["origin"]
    return pd.DataFrame(
        [{"table": name, "origin": origin["kind"], **facts} for name, facts in origin["tables"].items()]
    )


def _melt(folder: Path, resource: dict) -> pd.DataFrame:
    """One table, wide as stored, to panel rows, as its `panel` record says."""
    raw = (folder / resource["path"]).read_bytes()
    if f"sha256:{hashlib.sha256(raw).hexdigest()}" != resource["hash"]:
        raise ContractError(
            [
                Problem(
                    resource["path"],
                    None,
                    None,
                    "a table that differs from its recorded sha256",
                    "the table that tne-eval build wrote",
                    "Build the figures again; never edit them by hand.",
                )
            ]
        )
    how = resource["panel"]
    fields = {field["name"]: field for field in resource["schema"]["fields"]}
    text = {name: "string" for name, field in fields.items() if field["type"] == "string"}
    table = pd.read_csv(
        folder / resource["path"],
        dtype=text,
        keep_default_na=False,
        na_values={name: [""] for name in fields if name not in text},
    )
    variables = [name for name, field in fields.items() if field.get("variable")]
    keys = pd.DataFrame(
        {
            "unit_type": table.get("unit_type", "departement"),
            "unit": table[how["unit"]],
            "period_type": how["period_type"],
            "period": table[how["period"]].astype("int64"),
            "group": _group(table, how["group"]),
            "weight": table[how["weight"]].astype(float) if how["weight"] else float("nan"),
            "n": table[how["n"]].astype(float) if how["n"] else float("nan"),
            "source": how["source"],
        }
    )
    parts = []
    for name in variables:
        value = table[name].astype(float)
        # A column whose blanks have several reasons names the column that holds them.
        empty = fields[name].get("empty", "missing")
        status = pd.Series("observed", index=table.index).mask(value.isna(), table.get(empty, empty))
        parts.append(keys.assign(variable=name, value=value, status=status))
    return pd.concat(parts, ignore_index=True)[list(PANEL_COLUMNS)]


def _group(table: pd.DataFrame, names: list[str]) -> pd.Series:
    group = pd.Series("", index=table.index)
    for name in names:
        group = group + (";" if name != names[0] else "") + f"{name}=" + table[name].astype(str)
    return group
