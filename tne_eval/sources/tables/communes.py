"""Archives of the official geographic code → the three small tables of `catalog/communes`.

Run `python -m tne_eval.sources.tables.communes FOLDER`; `catalog/communes/origin.toml` says which archives FOLDER
holds, and their sha256.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import tarfile
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tne_eval.errors import ContractError, Problem

HERE = Path(__file__).parents[2] / "catalog" / "communes"
_MEMBER = "package/data/communes.json"
_ARCHIVE = "etalab-decoupage-administratif-{version}.tgz"
# Départements divided in 1968 (Seine, Seine-et-Oise) and 1976 (Corse), whose communes took other codes. No school file
# uses the old ones, and many are postal codes today (75001, 20100): left out.
_RENUMBERED = ("20", "75", "78")
_KINDS = {"commune-deleguee": "delegated", "commune-associee": "associated"}

Records = Sequence[Mapping]


def read_vintages(folder: Path, origin: Mapping) -> dict[int, Records]:
    """Records of each vintage, oldest first, from the archives in `folder`.

    Raises ContractError on archives that are missing or differ from their recorded sha256, all at once.
    """
    vintages, problems = {}, []
    for year, entry in sorted(origin["vintage"].items()):
        path = folder / _ARCHIVE.format(version=entry["version"])
        raw = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(raw).hexdigest() != entry["sha256"]:
            found = "an archive with another sha256" if raw else "no such file"
            problems.append(Problem(path.name, None, None, found, entry["sha256"], "Fetch this version again."))
            continue
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            vintages[int(year)] = json.load(archive.extractfile(_MEMBER))
    if problems:
        raise ContractError(problems)
    return vintages


def _in_force(records: Records) -> set[str]:
    return {record["code"] for record in records if record["type"] == "commune-actuelle"}


def _holders(records: Records) -> dict[str, str]:
    """Code that is no commune in this vintage → commune that holds it."""
    present = _in_force(records)
    holders = {}
    for record in records:
        if record["type"] in _KINDS:
            holders[record["code"]] = record["chefLieu"]
        for old in record.get("anciensCodes", []):
            holders[old] = record["code"]
    return {code: holder for code, holder in holders.items() if code not in present and holder in present}


def changed_codes(vintages: Mapping[int, Records]) -> list[tuple[str, str, str, str, str]]:
    """Rows (code, name, kind, commune, year) of every code that is not, or not always, that of a commune.

    Kinds: `merged`, `delegated` and `associated` (commune = the one that holds it now), `arrondissement` (commune = its
    city), `recreated` (in force again; commune = the one it left).
    """
    years = sorted(vintages)
    last = vintages[years[-1]]
    force = {year: _in_force(vintages[year]) for year in years}
    holders = {year: _holders(vintages[year]) for year in years}
    kinds = {record["code"]: _KINDS[record["type"]] for record in last if record["type"] in _KINDS}
    names = {record["code"]: record["nom"] for year in years for record in vintages[year]}
    now: dict[str, str] = {}
    for year in years:
        now |= holders[year]
    rows = []
    for code in now.keys() - force[years[-1]]:
        holder = now[code]
        while holder not in force[years[-1]]:
            holder = now[holder]
        if code[:2] in _RENUMBERED and holder[:2] != code[:2]:
            continue
        seen = [year for year in years if code in force[year]]
        gone = str(next(year for year in years if year > seen[-1])) if seen else ""
        rows.append((code, names.get(code, ""), kinds.get(code, "merged"), holder, gone))
    for code in force[years[-1]]:
        apart = [year for year in years if code not in force[year] and code in holders[year]]
        if apart:
            since = next(year for year in years if year > apart[-1])
            rows.append((code, names[code], "recreated", holders[apart[-1]][code], str(since)))
    for record in last:
        if record["type"] == "arrondissement-municipal":
            rows.append((record["code"], record["nom"], "arrondissement", record["commune"], ""))
    return sorted(rows)


def code_runs(codes: set[str]) -> list[tuple[str, str, str]]:
    """Codes as runs without a gap: (first two characters, first number, last number)."""
    runs: list[list] = []
    for prefix, number in sorted((code[:2], int(code[2:])) for code in codes):
        if runs and runs[-1][0] == prefix and runs[-1][2] + 1 == number:
            runs[-1][2] = number
        else:
            runs.append([prefix, number, number])
    return [(prefix, f"{first:03d}", f"{last:03d}") for prefix, first, last in runs]


def postal_codes(records: Records) -> list[tuple[str, str, str]]:
    """(postal code, its commune when it has only one, how many communes share it)."""
    communes: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record["type"] == "commune-actuelle":
            for postal in record.get("codesPostaux", []):
                communes[postal].append(record["code"])
    return [(postal, held[0] if len(held) == 1 else "", str(len(held))) for postal, held in sorted(communes.items())]


def commune_tables(vintages: Mapping[int, Records]) -> dict[str, bytes]:
    """The files of `catalog/communes`, by name."""
    last = vintages[max(vintages)]
    tables = {
        "changed.csv": (("code", "name", "kind", "commune", "year"), changed_codes(vintages)),
        "in_force.csv": (("prefix", "first", "last"), code_runs(_in_force(last))),
        "postal.csv": (("postal", "commune", "communes"), postal_codes(last)),
    }
    return {name: _csv(header, rows) for name, (header, rows) in tables.items()}


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def main(folder: str, to: Path = HERE) -> None:
    origin = tomllib.loads((HERE / "origin.toml").read_text(encoding="utf-8"))
    for name, raw in commune_tables(read_vintages(Path(folder), origin)).items():
        (to / name).write_bytes(raw)


if __name__ == "__main__":
    main(sys.argv[1])
