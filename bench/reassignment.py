"""Time of treatment reassigned to all pairs of 100 clusters against pyfixest refits; memory of the wild bootstrap.

    python bench/reassignment.py [--folder .bench]

The panel is 7,000 units × 15 years less a row in ten, weighted, with a covariate: all 4,950 coefficients of treated ×
post and their CR1 t. The peer's time is the mean of ten refits × 4,950, at its default tolerance; it is compared with
ours at a tight one. Seconds are those of the processor with one thread on each side. The wild bootstrap runs in a
process of its own, whose greatest memory is read when it ends; at 300 units it is set beside pyfixest's, which expands
the effects of the units. Peers run in an environment of their own in the folder, from bench/impact_peers.txt. The
folder also receives `reassignment.json` and the plot `reassignment.png`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from shared import exponent, least_seconds, peers_interpreter, plot_growth, with_one_thread

from tne_eval.impact.cells import controls, panel_cells, reassign_treatment, reassigned
from tne_eval.impact.panel_did import difference_in_differences, event_study

HERE = Path(__file__).parent
COLUMNS = ("y", "unit", "year", "cluster")
UNITS, YEARS, CLUSTERS, DRAWS = 7000, 15, 100, 9999
SMALL, SMALL_DRAWS = 300, 999
PAIR, TWELVE = [3, 50], list(range(0, 96, 8))
REPEATS, REFITS = 5, 10
best = partial(least_seconds, repeats=REPEATS)
SIZES = {
    "units": (1750, 3500, 7000, 14_000, 28_000),
    "years": (8, 15, 30, 60),
    "assignments": (4950, 9900, 19_800, 39_600),
}
# Bars: times faster than refits; relative difference of coefficients and t; megabytes and seconds of the wild bootstrap
# (the process whole, with its libraries and panel); exponents of growth.
BAR_RATIO, BAR_AGREE = 1000.0, 1e-9
BAR_MEGABYTES, BAR_WILD_SECONDS = 1024.0, 5.0
BAR_GROWTH = {"units": 1.2, "years": 2.0, "assignments": 1.2}

PEER = """
import json, sys, time, warnings
import numpy as np, pandas as pd, pyfixest
warnings.filterwarnings("ignore")
rows, pairs = pd.read_pickle(sys.argv[1]), json.loads(sys.argv[2])
first = int(rows["year"].min()) + 7
def fit(pair, **options):
    rows["post"] = (rows["cluster"].isin(pair) & (rows["year"] >= first)).astype(float)
    return pyfixest.feols("y ~ post + x | unit + year", rows, vcov={"CRV1": "cluster"}, weights="w", **options)
fit(pairs[0])
start = time.process_time()
for pair in pairs:
    fit(pair)
seconds = (time.process_time() - start) / len(pairs)
exact = [fit(pair, fixef_tol=1e-14, fixef_maxiter=1_000_000) for pair in pairs]
found = [[float(one.coef()["post"]), float(one.tstat()["post"])] for one in exact]
print(json.dumps([seconds, found]))
"""
# The bootstrap of pyfixest takes no weights.
PEER_WILD = """
import json, resource, sys, time, warnings
import pandas as pd, pyfixest
warnings.filterwarnings("ignore")
rows, treated = pd.read_pickle(sys.argv[1]), json.loads(sys.argv[2])
rows["post"] = (rows["cluster"].isin(treated) & (rows["year"] >= int(rows["year"].min()) + 7)).astype(float)
one = pyfixest.feols("y ~ post + x | unit + year", rows, vcov={"CRV1": "cluster"})
one.wildboottest(param="post", reps=99, cluster="cluster", seed=1)
start = time.process_time()
found = one.wildboottest(param="post", reps=int(sys.argv[3]), cluster="cluster", seed=1)
seconds = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([seconds, peak, float(found["Pr(>|t|)"])]))
"""
OURS_WILD = """
import json, resource, sys, time
import pandas as pd
from tne_eval.impact.wild import wild_cluster_bootstrap
rows, treated = pd.read_pickle(sys.argv[1]), json.loads(sys.argv[2])
def run(weight, draws):
    first = int(rows["year"].min()) + 7
    return wild_cluster_bootstrap(
        rows, "y", "unit", "year", "cluster", treated, first, ["x"], weight, draws=draws, seed=1
    )
run(sys.argv[4] or None, 99)
start = time.process_time()
found = run(sys.argv[4] or None, int(sys.argv[3]))
seconds = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([seconds, peak, found.p]))
"""


def panel(units: int = UNITS, years: int = YEARS) -> pd.DataFrame:
    """A row in ten is missing; shocks of clusters × years, effects of units, a covariate that drifts."""
    rng = np.random.default_rng(1)
    of_unit = np.sort(np.r_[np.arange(CLUSTERS), rng.integers(0, CLUSTERS, units - CLUSTERS)])
    unit, year = np.repeat(np.arange(units), years), np.tile(np.arange(years), units)
    cluster = of_unit[unit]
    x = rng.normal(size=len(unit)) + 0.1 * year
    y = rng.normal(size=units)[unit] + 0.3 * rng.normal(size=(CLUSTERS, years))[cluster, year]
    y += 0.4 * x + rng.normal(size=len(unit))
    w = rng.uniform(20, 400, units)[unit] * rng.uniform(0.8, 1.2, len(unit))
    frame = pd.DataFrame({"unit": unit, "year": 2010 + year, "cluster": cluster, "x": x, "w": w, "y": y})
    return frame[rng.uniform(size=len(frame)) > 0.1].reset_index(drop=True)


def first_treated(frame: pd.DataFrame) -> int:
    return int(frame["year"].min()) + 7


def reassign(frame: pd.DataFrame):
    return reassign_treatment(frame, *COLUMNS, PAIR, first_treated(frame), covariates=["x"], weight="w")


def growth() -> dict[str, list[float]]:
    """Seconds by units, by years (3,500 units), and of the assignments alone by their number."""
    cells = panel_cells(panel(), *COLUMNS, PAIR, 2017, ["x"], "w")
    built, rng = controls(cells), np.random.default_rng(0)
    seconds = {
        "units": [best(lambda one=one: reassign(one)) for one in map(panel, SIZES["units"])],
        "years": [best(lambda one=one: reassign(one)) for one in (panel(3500, years) for years in SIZES["years"])],
        "assignments": [],
    }
    for count in SIZES["assignments"]:
        chosen = rng.random((count, CLUSTERS)).argsort(axis=1) < len(PAIR)
        seconds["assignments"].append(best(lambda chosen=chosen: reassigned(cells, built, chosen)))
    return seconds


def child(interpreter: Path | str, script: str, frame: pd.DataFrame, *words: object) -> list:
    """What a script prints about the frame in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.pkl"
        # Plain arrays: the peers' pandas may be of another version.
        pd.DataFrame({name: frame[name].to_numpy() for name in frame}).to_pickle(file)
        command = [interpreter, "-P", "-c", script, file, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


def against_refits(interpreter: Path | None, frame: pd.DataFrame, seconds: float, missed: list[str]) -> dict:
    """Print the ratio to refits and the differences; returns what the peer gave."""
    if not interpreter:
        return {}
    found = reassign(frame)
    places = np.linspace(0, len(found.coefficients) - 1, REFITS).astype(int)
    pairs = [np.flatnonzero(found.assignments[place]).tolist() for place in places]
    refit, values = child(interpreter, PEER, frame, json.dumps(pairs))
    ours = np.column_stack([found.coefficients[places], found.cluster_t[places]])
    off = np.abs(ours / np.array(values) - 1).max(axis=0)
    ratio = refit * len(found.coefficients) / seconds
    print(f"  pyfixest            {refit * len(found.coefficients):10.1f} s   ({refit * 1e3:.0f} ms a refit)")
    print(f"  ratio               {ratio:10.0f} ×   off by {off[0]:.1e} (coefficient), {off[1]:.1e} (t), relative")
    if ratio < BAR_RATIO:
        missed.append(f"reassignment less than {BAR_RATIO:g} × faster than refits")
    if not off.max() <= BAR_AGREE:
        missed.append(f"reassignment further than {BAR_AGREE:g} from refits")
    return {"refit": refit, "ratio": ratio, "off": off.tolist()}


def wild(interpreter: Path | None, frame: pd.DataFrame, missed: list[str]) -> dict:
    """Print time and memory of the wild bootstrap, whole and at the size that the peer bears."""
    record = {"ours": child(sys.executable, OURS_WILD, frame, json.dumps(TWELVE), DRAWS, "w")}
    seconds, peak, _ = record["ours"]
    print(f"\nrestricted wild bootstrap, {DRAWS} draws, {len(TWELVE)} treated")
    print(f"  {UNITS} units × {YEARS}    {seconds:8.2f} s {peak:8.0f} MB, the process whole")
    if peak > BAR_MEGABYTES or seconds > BAR_WILD_SECONDS:
        missed.append(f"wild bootstrap above {BAR_MEGABYTES:g} MB or {BAR_WILD_SECONDS:g} s")
    if interpreter:
        small, words = panel(SMALL), (json.dumps(TWELVE), SMALL_DRAWS)
        record["small"] = child(sys.executable, OURS_WILD, small, *words, "")
        record["small_peer"] = child(interpreter, PEER_WILD, small, *words)
        for name, one in (("ours", record["small"]), ("pyfixest", record["small_peer"])):
            print(f"  {SMALL} units, {SMALL_DRAWS} draws, {name:<9}{one[0]:8.3f} s {one[1]:8.0f} MB, p = {one[2]:.3f}")
        print(f"  ratio               {record['small_peer'][0] / record['small'][0]:8.0f} ×")
    return record


def main() -> int:
    """Print the table of ratios; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".bench")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 0.5:
        print(f"other work runs here (load {load:.1f} on {cores} cores)")
    frame, missed = panel(), []
    pairs = CLUSTERS * (CLUSTERS - 1) // 2
    print(f"{pairs} pairs of {CLUSTERS} clusters, {UNITS} units × {YEARS} years, {len(frame)} rows")
    seconds = {
        "reassignment": best(lambda: reassign(frame)),
        "reading": best(lambda: panel_cells(frame, *COLUMNS, PAIR, first_treated(frame), ["x"], "w")),
        "CR2": best(lambda: difference_in_differences(frame, *COLUMNS, TWELVE, 2017, ["x"], "w")),
        "event study": best(lambda: event_study(frame, *COLUMNS, PAIR, 2017, None, ["x"], "w")),
    }
    print(f"  ours                {seconds['reassignment']:10.3f} s   (reading the rows {seconds['reading']:.3f} s)")
    print(f"  CR2 of 12 treated   {seconds['CR2']:10.3f} s")
    print(f"  event study of 2, covariance of its placebos {seconds['event study']:6.3f} s")
    interpreter = peers_interpreter(folder, "impact_peers.txt")
    record = {"seconds": seconds, "refits": against_refits(interpreter, frame, seconds["reassignment"], missed)}
    record["wild"] = wild(interpreter, frame, missed)
    record["growth"] = growth()
    plot_growth(folder / "reassignment.png", {name: (SIZES[name], one) for name, one in record["growth"].items()})
    print("\ngrowth, exponents of a fitted power")
    for name, one in record["growth"].items():
        slope = exponent(SIZES[name], one)
        times = zip(SIZES[name], one, strict=True)
        print(f"  {name:<12}{slope:6.2f}   " + "  ".join(f"{size}: {second:.3f} s" for size, second in times))
        if slope > BAR_GROWTH[name]:
            missed.append(f"{name}: exponent above {BAR_GROWTH[name]:g}")
    (folder / "reassignment.json").write_text(
        json.dumps(record | {"missed": missed}, indent=1) + "\n", encoding="utf-8"
    )
    print(*(missed or ["bars hold"]), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(with_one_thread(main))
