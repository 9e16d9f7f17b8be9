"""Cost of the twelve reports, page and PDF, against papermill followed by nbconvert on the same notebook.

    python bench/reports.py [--folder .bench]

Ours is one process that makes the twelve reports, with its workers; seconds are those of the processor, its own and
those of its children, start included. The other way is the commands `papermill` and `jupyter nbconvert --to html`, for
three territories, × 4; it makes no PDF. Both run the same notebook and so the same estimates. Also: growth with the
number of territories, what two workers gain, a run with nothing to do, `import tne_eval` beside `import pandas`, and an
exploration, from the choices to figures and verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shared import exponent, plot_growth

HERE = Path(__file__).parent
NOTEBOOK = HERE.parent / "notebooks" / "evaluation_territoire.ipynb"
TERRITORIES = 12
PLACES = ("aisne", "guadeloupe", "vosges")  # those that papermill and nbconvert are timed on
SIZES = (1, 2, 4, 8, 12)
REPEATS = 3
# Bars: our processor time over theirs; growth; wall time of one worker over that of two; seconds with nothing to do;
# seconds of `import tne_eval` over those of `import pandas`; seconds of an exploration.
BAR_COST, BAR_GROWTH, BAR_WORKERS, BAR_NOTHING, BAR_IMPORT, BAR_EXPLORE = 0.25, 1.1, 1.6, 3.0, 1.5, 1.0

MAKE = """
import sys
from tne_eval.catalog import list_territories
from tne_eval.report.run import make_reports, territory_job
out, count, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
results = make_reports([territory_job(place.id) for place in list_territories()[:count]], out, workers=workers)
assert all(result.status != "failed" for result in results), [result.message for result in results]
"""


EXPLORE = """
import time
import tne_eval as tne
from tne_eval.report.explore import explore, exploration_html
panel = tne.load_panel()
exploration_html(explore(panel, "aisne", "dnb_naive"))
times = []
for place in tne.list_territories()[1:]:
    start = time.perf_counter()
    exploration_html(explore(panel, place.id, "dnb_naive"))
    times.append(time.perf_counter() - start)
print(sorted(times)[len(times) // 2])
"""


def timed(command: list[str | Path], folder: Path) -> tuple[float, float]:
    """(wall, processor) seconds of a command and all its children."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def ours(count: int, workers: int, folder: Path) -> tuple[float, float]:
    out = folder / "reports"
    shutil.rmtree(out, ignore_errors=True)
    return timed([sys.executable, "-c", MAKE, out, str(count), str(workers)], folder)


def theirs(folder: Path) -> float:
    """Processor seconds of one report, over as long a time as ours take: a short one would find a quiet moment."""
    bin, executed = Path(sys.executable).parent, folder / "executed.ipynb"
    total = 0.0
    for place in PLACES:
        run = [bin / "papermill", NOTEBOOK, executed, "-p", "territory", place, "--no-progress-bar"]
        convert = [bin / "jupyter", "nbconvert", "--to", "html", executed]
        total += timed(run, folder)[1] + timed(convert, folder)[1]
    return total / len(PLACES)


def imports(folder: Path) -> float:
    """Least seconds of `import tne_eval` over those of `import pandas`, both in a new process that did nothing else."""
    script = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"

    def least(name: str) -> float:
        runs = [subprocess.run([sys.executable, "-c", script.format(name)], capture_output=True, text=True, cwd=folder)
                for _ in range(7)]  # fmt: skip
        return min(float(run.stdout) for run in runs)

    return least("tne_eval") / least("pandas")


def exploration(folder: Path) -> float:
    """Median wall seconds of a change of territory."""
    done = subprocess.run([sys.executable, "-c", EXPLORE], capture_output=True, text=True, cwd=folder, check=True)
    return float(done.stdout)


def ceiling() -> float:
    """What two processes that share nothing gain on this machine at this moment: 2 on two whole cores."""
    script = "sum(number * number % 7 for number in range(10_000_000))"

    def wall(count: int) -> float:
        start = time.perf_counter()
        for run in [subprocess.Popen([sys.executable, "-c", script]) for _ in range(count)]:
            run.wait()
        return time.perf_counter() - start

    return 2 * min(wall(1) for _ in range(3)) / min(wall(2) for _ in range(3))


def main() -> int:
    """Print the table of ratios; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".bench")
    home = parser.parse_args().folder
    home.mkdir(parents=True, exist_ok=True)
    missed = []

    def say(text: str, value: float, bar: float, *, at_least: bool = False) -> None:
        print(f"  {text:<58}{value:8.2f}   bar {bar:g}")
        if (value < bar) if at_least else (value > bar):
            missed.append(text)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In turn, so that a slow moment of the machine is one for all; the least of each.
        rounds = [(ours(TERRITORIES, 2, folder), ours(TERRITORIES, 1, folder), theirs(folder)) for _ in range(REPEATS)]
        cost = min(run[1] for two, one, _ in rounds for run in (two, one))
        other = min(other for *_, other in rounds) * TERRITORIES
        one, two = (min(run[at][0] for run in rounds) for at in (1, 0))
        print(f"{TERRITORIES} reports, page and PDF: {cost:.1f} s of processor; papermill and nbconvert {other:.1f} s")
        say("processor time over that of papermill and nbconvert", cost / other, BAR_COST)
        say("wall time of one worker over that of two", one / two, BAR_WORKERS, at_least=True)
        print(f"    (two processes that share nothing gain {ceiling():.2f} here)")
        command = [sys.executable, "-c", MAKE, folder / "reports", str(TERRITORIES), "2"]
        say("seconds with nothing to do", timed(command, folder)[0], BAR_NOTHING)
        say("import tne_eval over import pandas", imports(folder), BAR_IMPORT)
        say("seconds of an exploration", exploration(folder), BAR_EXPLORE)
        # The start of the process is the same for any number: growth is that of what comes after it.
        start = timed([sys.executable, "-c", "import tne_eval.report.run"], folder)[1]
        by_size = [ours(size, 1, folder)[1] - start for size in SIZES]
        say("growth with territories, power", exponent(SIZES, by_size), BAR_GROWTH)
    plot_growth(home / "reports.png", {"territories": (SIZES, by_size)})
    record = {"ours": cost, "theirs": other, "by_size": by_size, "missed": missed}
    (home / "reports.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(*(missed or ["bars hold"]), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
