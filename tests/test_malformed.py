"""The malformed corpus of every source: a valid file passes, each broken one is one clear error and writes nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from malformed import ENOUGH, broken_files, file_name, valid_outlines, valid_table, write_csv, write_parquet, write_xlsx

from tne_eval.catalog import list_sources
from tne_eval.errors import ContractError
from tne_eval.sources.importing import check_path, import_path

SOURCES = {source.id: source for source in list_sources()}
ROOT = Path(__file__).parents[1]


def _tree(*folders: Path) -> str:
    """Hash of the names and bytes of everything in some folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


@pytest.mark.parametrize("name", SOURCES)
def test_a_valid_file_passes_in_every_format(name, tmp_path):
    source = SOURCES[name]
    if not source.columns:
        path = tmp_path / file_name(source, ".geojson")
        path.write_text(json.dumps(valid_outlines()), encoding="utf-8")
        assert check_path(path, source) == []
        return
    table = valid_table(source)
    assert len(table.rows) >= 3
    for write, suffix in ((write_csv, ".csv"), (write_xlsx, ".xlsx"), (write_parquet, ".parquet")):
        path = write(table, file_name(source, suffix))(tmp_path)
        assert check_path(path, source) == [], suffix


@pytest.mark.parametrize("name", SOURCES)
def test_every_broken_file_is_one_clear_error_and_changes_nothing(name, tmp_path):
    source = SOURCES[name]
    kept = tmp_path / "kept"
    for folder in ("data/raw", "reports"):
        (kept / folder).mkdir(parents=True)
        (kept / folder / "before.txt").write_text("as it was")
    before = _tree(kept)
    wrong, count = [], 0
    for count, broken in enumerate(broken_files(source), start=1):
        folder = tmp_path / f"f{count}"
        folder.mkdir()
        path = broken.write(folder)
        try:
            import_path(path, kept / "data" / "raw", source)
        except ContractError as error:
            wrong += [f"{broken.name}: {what}" for what in _complaints(error, path, broken)]
        else:
            wrong.append(f"{broken.name}: accepted")
        if _tree(kept) != before:
            wrong.append(f"{broken.name}: something was written")
            break
    assert not wrong, "\n".join(wrong)
    assert count >= ENOUGH


def _complaints(error: ContractError, path: Path, broken) -> list[str]:
    complaints = []
    for problem in error.problems:
        if problem.file != path.name or not (problem.found and problem.expected and problem.remedy):
            complaints.append(f"an empty field in {problem}")
        if str(path.parent) in str(problem):
            complaints.append(f"a path in {problem}")
    told = {(problem.row, column) for problem in error.problems for column in (problem.column, None)}
    if not broken.planted <= told:
        complaints.append(f"{sorted(broken.planted - told, key=str)} not among {sorted(told, key=str)[:8]}")
    return complaints
