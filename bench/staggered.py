"""Time of staggered difference-in-differences: group-time effects with cluster bands, and imputation, against peers.

    python bench/staggered.py [--folder .bench]

The panel is 7,000 units × 15 years in 100 clusters, of which 2, 5 and 5 start treatment at three dates: 42 cells. Each
side reads the long frame, makes cells, the average by time since treatment, and 999 cluster multiplier draws. Seconds
are those of the processor, with one thread on each side, so that other work on the machine weighs less. Peers run in an
environment of their own in the folder, from bench/impact_peers.txt. The folder also receives `staggered.json` and
the plot `staggered.png`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from shared import exponent, least_seconds, peers_interpreter, plot_growth, with_one_thread

from tne_eval.impact.group_time import group_time_effects, multiplier_bands
from tne_eval.impact.impute import impute_effects

HERE = Path(__file__).parent
YEARS, CLUSTERS, DRAWS, UNITS = 15, 100, 999, 7000
SIZES = (3500, 7000, 14_000, 28_000, 56_000)
REPEATS = 9
best = partial(least_seconds, repeats=REPEATS)
# Bars: times faster than diff-diff, greatest growth exponent in units, seconds and megabytes of the imputation.
BAR_GROUP_TIME, BAR_COVARIATE, BAR_IMPUTE, BAR_GROWTH = 15.0, 8.0, 10.0, 1.2
BAR_SECONDS, BAR_MEGABYTES = 1.0, 100.0

PEER = """
import json, sys, time, warnings
import numpy as np, pandas as pd
warnings.filterwarnings("ignore")
from diff_diff import CallawaySantAnna, ImputationDiD
rows = pd.read_pickle(sys.argv[1])
names = ("y", "unit", "time", "cohort")
def best(call):
    found, kept = call(), []
    for _ in range(int(sys.argv[2])):
        start = time.process_time()
        call()
        kept.append(time.process_time() - start)
    return min(kept), found
def group_time(covariates):
    one = CallawaySantAnna(cluster="cluster", n_bootstrap=999, seed=0)
    return one.fit(rows, *names, covariates=covariates, aggregate="event_study")
def imputed():
    return ImputationDiD(cluster="cluster").fit(rows, *names, aggregate="event_study")
out = {}
for name, covariates in (("group-time", None), ("group-time dr", ["x"])):
    seconds, found = best(lambda: group_time(covariates))
    cells = sorted((int(g), int(t), float(one["effect"])) for (g, t), one in found.group_time_effects.items())
    out[name] = [seconds, [one[2] for one in cells]]
seconds, found = best(imputed)
out["imputation"] = [seconds, [float(found.overall_att)]]
print(json.dumps(out))
"""


def panel(units: int) -> pd.DataFrame:
    """Cohorts of 2, 5 and 5 clusters of 100, a covariate fixed in time, normal outcomes with cluster shocks."""
    rng = np.random.default_rng(1)
    unit, time_ = np.repeat(np.arange(units), YEARS), np.tile(np.arange(2010, 2010 + YEARS), units)
    cluster = unit % CLUSTERS
    cohort = np.select([cluster < 2, cluster < 7, cluster < 12], [2018, 2020, 2022], 0)
    fixed = rng.normal(size=units)[unit]
    y = fixed * (1 + 0.1 * (time_ - 2010)) + rng.normal(size=(CLUSTERS, YEARS))[cluster, time_ - 2010]
    y = y + rng.normal(size=len(y))
    return pd.DataFrame({"unit": unit, "time": time_, "cohort": cohort, "cluster": cluster, "x": fixed, "y": y})


def group_time(rows: pd.DataFrame, covariates: list[str] | None = None):
    """Cells, event study and draws. The bands of two treated clusters are timed as if they were offered."""
    found = group_time_effects(rows, "y", "unit", "time", "cohort", covariates=covariates, cluster="cluster")
    found.aggregate("dynamic")
    multiplier_bands(replace(found, errors_valid=np.ones(len(found.estimates), dtype=bool)), draws=DRAWS)
    return found


def imputed(rows: pd.DataFrame):
    return impute_effects(rows, "y", "unit", "time", "cohort", cluster="cluster")


def megabytes(rows: pd.DataFrame) -> float:
    """Greatest memory that an imputation holds beyond the frame."""
    tracemalloc.start()
    imputed(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def diff_diff(interpreter: Path, rows: pd.DataFrame) -> dict[str, list]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.pkl"
        # Plain arrays: the peers' pandas may be of another version.
        pd.DataFrame({name: rows[name].to_numpy() for name in rows}).to_pickle(file)
        command = [interpreter, "-P", "-c", PEER, file, str(REPEATS)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> int:
    """Print the table of ratios; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".bench")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 0.5:
        print(f"other work runs here (load {load:.1f} on {cores} cores)")
    rows, missed = panel(UNITS), []
    calls = {
        "group-time": lambda: group_time(rows),
        "group-time dr": lambda: group_time(rows, ["x"]),
        "imputation": lambda: imputed(rows),
    }
    bars = dict(zip(calls, (BAR_GROUP_TIME, BAR_COVARIATE, BAR_IMPUTE), strict=True))
    seconds = {name: best(call) for name, call in calls.items()}
    interpreter = peers_interpreter(folder, "impact_peers.txt")
    peers = diff_diff(interpreter, rows) if interpreter else {}
    print(f"{UNITS} units × {YEARS} years, {CLUSTERS} clusters, {DRAWS} draws")
    for name, one in seconds.items():
        line = f"  {name:<16}{one * 1e3:9.1f} ms"
        if name in peers:
            found = calls[name]()
            ours = found.estimates if "group" in name else [found.estimate]
            off = np.abs(np.subtract(ours, peers[name][1])).max() if len(ours) == len(peers[name][1]) else np.nan
            gain = peers[name][0] / one
            line += f"   diff-diff {peers[name][0] * 1e3:9.1f} ms   {gain:6.1f} × faster   off by {off:.1e}"
            if gain < bars[name]:
                missed.append(f"{name}: less than {bars[name]:g} × faster than diff-diff")
            if not off < 1e-8:
                missed.append(f"{name}: not the estimates of diff-diff")
        print(line)
    memory = megabytes(rows)
    print(f"  imputation holds {memory:.0f} MB")
    if seconds["imputation"] > BAR_SECONDS or memory > BAR_MEGABYTES:
        missed.append(f"imputation above {BAR_SECONDS:g} s or {BAR_MEGABYTES:g} MB")
    panels = [panel(units) for units in SIZES]
    by_size = {
        name: [best(lambda call=call, one=one: call(one)) for one in panels]
        for name, call in (("group-time", group_time), ("imputation", imputed))
    }
    plot_growth(folder / "staggered.png", {name: (SIZES, one) for name, one in by_size.items()})
    print(f"growth over {', '.join(map(str, SIZES))} units, exponent of a fitted power")
    for name, one in by_size.items():
        print(f"  {name:<16}{exponent(SIZES, one):5.2f}")
        if exponent(SIZES, one) > BAR_GROWTH:
            missed.append(f"{name}: exponent above {BAR_GROWTH:g}")
    record = {"seconds": seconds, "peers": peers, "megabytes": memory, "by_units": by_size, "missed": missed}
    (folder / "staggered.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(*(missed or ["bars hold"]), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(with_one_thread(main))
