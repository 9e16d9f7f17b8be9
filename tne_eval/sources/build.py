"""Raw files → the shipped tables: everything is read, checked and computed before the first byte is written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tne_eval.catalog import Source, get_source, list_sources
from tne_eval.errors import ContractError, MissingDataError, Problem
from tne_eval.sources.contours import outlines_json, read_outlines, simplify_outlines
from tne_eval.sources.package import other_resource, package_json, table_csv, table_resource
from tne_eval.sources.read import read_table
from tne_eval.sources.reconcile import FIELDS, left_out, reconcile
from tne_eval.sources.store import list_held
from tne_eval.sources.tables import FETCHED, TABLES, Table

CONTOURS = "contours"


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build wrote: `written` files, the `reconciliation` of sources that report the same thing, sources of the
    catalogue that no table needs and that were `skipped`, and `left_out`: what was too small to be shown."""

    written: tuple[Path, ...]
    reconciliation: pd.DataFrame
    skipped: tuple[str, ...]
    left_out: tuple[str, ...]


def find_files(raw: Path, source: Source) -> list[Path]:
    """Files of the latest vintage under `raw/<source>/` where there is one, a fetched one first; else every file under
    `raw`, at any depth, named like one of the source's patterns."""
    if held := list_held(raw, source.id):
        return sorted(held[0].files)
    vintages = sorted(path for path in (raw / source.id).glob("*/") if not path.name.startswith("."))
    places = vintages[-1:] or [raw]
    found = {path for place in places for pattern in source.files for path in place.rglob(pattern)}
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(raw).parts))


def build_embedded(raw: str | Path, to: str | Path) -> BuildResult:
    """Make every shipped table from the raw files, and each table of `FETCHED` whose raw files are all there.

    Parameters
    ----------
    raw : folder that holds the raw files, at any depth; each is recognised by its name.
    to : folder to write; tables that are there are replaced, other files are left alone.

    Returns
    -------
    BuildResult.

    Raises
    ------
    MissingDataError : raw files that are not there, all of them at once.
    ContractError : raw files that break their contract, every problem of every file at once. Nothing is written.
    """
    raw, to = Path(raw), Path(to)
    needed = dict.fromkeys([*(id for table in TABLES for id in table.sources), CONTOURS])
    found = {id: find_files(raw, get_source(id)) for id in needed}
    _refuse_missing(raw, found)
    optional = {id: find_files(raw, get_source(id)) for table in FETCHED for id in table.sources}
    specs = (*TABLES, *(table for table in FETCHED if all(optional[id] for id in table.sources)))
    found |= {id: optional.get(id) or found[id] for table in specs for id in table.sources}
    frames = _read_all({id: paths for id, paths in found.items() if id != CONTOURS}, found[CONTOURS])
    outlines = frames.pop(CONTOURS)
    tables = {table.name: table.make(frames) for table in specs}
    reconciliation = reconcile(frames, tables)
    files = _files(specs, tables, reconciliation, outlines)
    _write(files, to)
    return BuildResult(
        written=tuple(to / name for name in files),
        reconciliation=reconciliation,
        skipped=tuple(source.id for source in list_sources() if source.id not in found),
        left_out=tuple(left_out(frames)),
    )


def _refuse_missing(raw: Path, found: Mapping[str, list[Path]]) -> None:
    missing = [id for id, paths in found.items() if not paths]
    if missing:
        names = "; ".join(f"{id} ({' or '.join(get_source(id).files)})" for id in missing)
        raise MissingDataError(
            f"{len(missing)} raw source(s) missing: {', '.join(missing)}",
            where=str(raw),
            why=f"no file is named like: {names}",
            remedy="fetch them (tne-eval fetch) or put them in this folder, then build again",
        )


def _read_all(found: Mapping[str, list[Path]], contours: list[Path]) -> dict:
    """Every source read and checked; problems of all files together."""
    frames, problems = {}, []
    for id, paths in found.items():
        parts = []
        for path in paths:
            try:
                parts.append(read_table(path, get_source(id)))
            except ContractError as error:
                problems += error.problems
        if len(parts) == len(paths):
            frames[id] = parts[0] if len(parts) == 1 else _join(parts, get_source(id), problems)
    try:
        if len(contours) > 1:
            names = ", ".join(path.name for path in contours)
            raise ContractError(
                [Problem(contours[0].name, None, None, f"several files ({names})", "one", "Keep one of them.")]
            )
        frames[CONTOURS] = simplify_outlines(read_outlines(contours[0]))
    except ContractError as error:
        problems += error.problems
    if problems:
        raise ContractError(problems)
    return frames


def _join(parts: list[pd.DataFrame], source: Source, problems: list[Problem]) -> pd.DataFrame:
    """Files of one source end to end. A row that two files share is kept once; two that disagree are a problem."""
    joined = pd.concat([part.assign(_file=part.attrs["file"], _row=part.index) for part in parts], ignore_index=True)
    figures = [name for name in joined if not name.startswith("_")]
    joined = joined[~joined.duplicated(figures)]
    clash = joined[joined.duplicated(list(source.key))]
    problems += [
        Problem(
            row["_file"],
            int(row["_row"]),
            ", ".join(source.key),
            f"{', '.join(str(row[name]) for name in source.key)} with other figures than in another file",
            "one set of figures for each key",
            "Keep one edition of this source in the folder.",
        )
        for _, row in clash.head(1000).iterrows()
    ]
    return joined[figures].reset_index(drop=True)


def _files(
    specs: Sequence[Table], tables: Mapping[str, pd.DataFrame], reconciliation: pd.DataFrame, outlines: dict
) -> dict[str, bytes]:
    files, resources = {}, []
    for table in specs:
        frame = tables[table.name]
        files[f"{table.name}.csv"] = table_csv(frame, table.fields, table.key)
        resources.append(table_resource(table, frame, files[f"{table.name}.csv"]))
    files["contours.json"] = outlines_json(outlines)
    resources.append(
        other_resource(
            "contours", "contours.json", "Contours simplifiés des départements", files["contours.json"], (CONTOURS,)
        )
    )
    files["reconciliation.csv"] = table_csv(reconciliation, FIELDS, ("comparison", "left_source", "right_source"))
    sources = tuple(dict.fromkeys([*reconciliation["left_source"], *reconciliation["right_source"]]))
    resources.append(
        other_resource(
            "reconciliation",
            "reconciliation.csv",
            "Rapprochement des sources qui décrivent la même chose",
            files["reconciliation.csv"],
            tuple(sorted(sources)),
            FIELDS,
        )
    )
    files["datapackage.json"] = package_json(resources)
    return files


def _write(files: Mapping[str, bytes], to: Path) -> None:
    """Everything is written beside, then renamed in place, the description last: a reader who comes in between meets
    a table that does not match its sha256, never half a table."""
    to.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    try:
        for name, content in files.items():
            with (beside / name).open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        for name in files:
            (beside / name).replace(to / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
