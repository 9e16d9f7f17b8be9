"""Time and memory of reading: 6e evaluations against DuckDB's own parse, and DNMA at full size. Prints ratios.

    python bench/read.py [--dnma-rows 3900000] [--folder DIR]

Each step runs in a process of its own, so that peaks of memory are its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np

from tne_eval.catalog import get_source

ROWS_6E = 370_000
ROWS_DNMA = 3_900_000
BAR_RATIO, BAR_MB = 3.0, 1024
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"

EVALUATIONS, DNMA = get_source("evaluations_6e_etablissement"), get_source("dnma_profils")
_PROFILES = ("globales", "eleve", "parent", "enseignant", "admin_vie_scol_tech")


def _uais(count: int) -> np.ndarray:
    return np.array([f"{number:07d}{_LETTERS[number % 23]}" for number in range(20_000, 20_000 + count)], dtype=object)


def write_evaluations(path: Path, rows: int = ROWS_6E) -> None:
    """9 years × 2 disciplines × 3 groups of pupils × some 6,850 collèges, scores and shares with one decimal."""
    schools = rows // 54 + 1
    with duckdb.connect() as connection:
        uai = _uais(schools)
        connection.execute("create table schools as select * from (select unnest(?) as uai)", [list(uai)])
        shares = ", ".join(f"round(random() * 30, 1) as groupe_{n}" for n in range(1, 7))
        connection.execute(
            "copy (select 2017 + year as annee, uai, 'AMIENS' as libelle_academie, discipline, caracteristique,"
            " (20 + random() * 200)::int as effectif, round(200 + random() * 100, 1) as score_moyen,"
            f" round(30 + random() * 30, 1) as ecart_type, {shares} from range(9) y(year), schools,"
            " (values ('Français'), ('Mathématiques')) d(discipline),"
            f" (values ('Ensemble'), ('Filles'), ('Garçons')) c(caracteristique) limit {rows})"
            f" to '{path}' (header, delimiter ';')"
        )


def write_dnma(path: Path, rows: int = ROWS_DNMA) -> None:
    """Weeks × établissements, seven profiles of users with visits, users and minutes."""
    schools = 12_000
    with duckdb.connect() as connection:
        connection.execute(
            "create table schools as select unnest(?) as uai, unnest(?) as place",
            [list(_uais(schools)), list(range(schools))],
        )
        figures = ", ".join(
            f"(random() * 20000)::int + 20000 as visites_{who}, (random() * 2000)::int as utilisateurs_{who},"
            f" (random() * 200000)::int as duree_{who}"
            for who in _PROFILES
        )
        connection.execute(
            "copy (select (date '2019-09-02' + (week * 7)::int) as debutsemaine, uai, 'Versailles' as academie,"
            " 'Île-de-France' as region,"
            " 'Département ' || place % 100 as departement, 'COMMUNE ' || place % 3000 as commune,"
            f" 'COLLEGE' as nature_uai, 'PUBLIC' as secteur, {figures} from range({rows // schools + 1}) w(week),"
            f" schools limit {rows}) to '{path}' (header, delimiter ';')"
        )


def _parse(path: Path) -> float:
    """Seconds that DuckDB takes to parse a file into a table of texts: the yardstick."""
    start = time.perf_counter()
    with duckdb.connect() as connection:
        connection.execute("create table t as select * from read_csv(?, all_varchar=true)", [str(path)])
        return time.perf_counter() - start


def _read_and_melt(path: Path) -> tuple[float, int]:
    from tne_eval.sources.read import melt_table, read_table

    start = time.perf_counter()
    table = read_table(path, EVALUATIONS)
    panel = melt_table(
        table,
        EVALUATIONS.id,
        unit_type="college",
        unit="uai",
        period_type="school_year",
        period="annee",
        group=("discipline", "caracteristique"),
        variables=("score_moyen", "ecart_type", *(f"groupe_{n}" for n in range(1, 7))),
        n="effectif",
    )
    return time.perf_counter() - start, len(panel)


def _step(name: str, path: Path) -> dict:
    """One measured step, in this process."""
    from tne_eval.sources.read import read_table, read_texts

    if name == "speed":
        _parse(path), _read_and_melt(path)  # files in the cache, modules loaded
        yardsticks, reads, rows = [], [], 0
        for _ in range(5):
            yardsticks.append(_parse(path))
            seconds, rows = _read_and_melt(path)
            reads.append(seconds)
        return {"ratio": float(np.median(reads) / np.median(yardsticks)), "panel_rows": rows}
    start = time.perf_counter()
    if name == "check":
        texts = read_texts(path, DNMA)
        outcome = {"rows": len(texts.table), "problems": len(texts.problems)}
    else:
        outcome = {"rows": len(read_table(path, DNMA))}
    return {**outcome, "seconds": time.perf_counter() - start}


def _peak_mb() -> float:
    """Peak of resident memory of this process, in MiB; getrusage would count that of the parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _in_process(name: str, path: Path) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "--step", name, "--file", str(path)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> int:
    """Print the ratios; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dnma-rows", type=int, default=ROWS_DNMA)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--step")
    parser.add_argument("--file", type=Path)
    words = parser.parse_args()
    if words.step:
        outcome = _step(words.step, words.file)
        outcome["peak_mb"] = _peak_mb()
        print(json.dumps(outcome))
        return 0
    with tempfile.TemporaryDirectory(prefix="tne-eval-bench-", dir=words.folder) as folder:
        evaluations, dnma = Path(folder, "evaluations.csv"), Path(folder, "dnma.csv")
        write_evaluations(evaluations)
        speed = _in_process("speed", evaluations)
        print(f"6e, {ROWS_6E} rows: read + check + melt = {speed['ratio']:.2f} × DuckDB's parse (bar {BAR_RATIO:g})")
        write_dnma(dnma, words.dnma_rows)
        size = dnma.stat().st_size / 1e6
        parse = min(_parse(dnma) for _ in range(2))
        peaks = [speed["peak_mb"]]
        for step in ("check", "read"):
            done = _in_process(step, dnma)
            peaks.append(done["peak_mb"])
            print(
                f"DNMA, {done['rows']} rows, {size:.0f} MB, {step}: {done['seconds'] / parse:.2f} × DuckDB's parse,"
                f" peak {done['peak_mb']:.0f} MiB (bar {BAR_MB})"
            )
    kept = speed["ratio"] <= BAR_RATIO and max(peaks) < BAR_MB
    print("bars hold" if kept else "a bar is missed")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
