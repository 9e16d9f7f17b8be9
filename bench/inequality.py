"""Time of bootstrap and linearised errors of Gini, Theil T and Atkinson(0.5), against a floor and against peers.

    python bench/inequality.py [--n 10000 100000 1000000] [--folder .bench]

The floor is one argsort of the values and a thousand passes that read values and weights (their sums, one thread).
Peers evaluate once, on weights already multiplied: their time × 1,000 is the least a thousand replicates would take.
Python peers get an environment of their own in the folder, from bench/peers.txt; R peers are Debian's, left out where R
is not installed.
The folder also receives `inequality.json` and the plot `growth.png`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from shared import exponent, peers_interpreter

from tne_eval.indicators import resample
from tne_eval.indicators.influence import linearized_error
from tne_eval.indicators.resample import bootstrap

HERE = Path(__file__).parent
NAMES = ["gini", "theil_t", "atkinson(0.5)"]
CLUSTERS, REPLICATES = 7000, 1000
SIZES = (10_000, 100_000, 1_000_000)
GROWTH_REPLICATES = (250, 500, 1000, 2000)
# A busy moment of a machine lasts as long as many of the short runs: more of them find a quiet one.
REPEATS = {10_000: 15, 100_000: 7, 1_000_000: 3}
# Bars: numba and linearised in floors, numba and numpy in times the fastest weighted peer; the last three at 10^6.
BAR_NUMBA, BAR_LINEARIZED, BAR_PEER_NUMBA, BAR_PEER_NUMPY = 3.0, 1.0, 50.0, 4.0
WEIGHTED_PEERS = ("ineqpy", "inequalipy", "laeken")


def rows(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-normal values, uniform weights, and clusters of equal size in random order."""
    rng = np.random.default_rng(1)
    return rng.lognormal(size=n), rng.uniform(0.5, 2, n), rng.permutation(np.arange(n) % CLUSTERS)


def best(*calls: Callable[[], object], repeats: int = 5) -> list[float]:
    """Least seconds of each call, the calls taking turns so that a busy moment falls on all of them."""
    for call in calls:
        call()
    seconds = [[] for _ in calls]
    for _ in range(repeats):
        for call, kept in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    return [min(kept) for kept in seconds]


def numpy_only(*arguments: object, **named: object) -> object:
    """`bootstrap` as it is where numba is not installed."""
    with patch.object(resample, "kernels", lambda: None):
        return bootstrap(*arguments, **named)


def measure(n: int) -> dict[str, float]:
    """Seconds of the floor, of the draws alone, of both bootstraps and of the linearised errors."""
    value, weight, cluster = rows(n)
    rng = np.random.default_rng(0)

    def floor() -> None:
        np.argsort(value)
        for _ in range(REPLICATES):
            value.sum()
            weight.sum()

    calls = {
        "floor": floor,
        "draws": lambda: rng.bit_generator.random_raw(CLUSTERS * REPLICATES // 2),
        "linearized": lambda: [linearized_error(name, value, weight, cluster) for name in NAMES],
        "numpy": lambda: numpy_only(NAMES, value, weight, cluster, replicates=REPLICATES),
    }
    if resample.kernels():
        calls["numba"] = lambda: bootstrap(NAMES, value, weight, cluster, replicates=REPLICATES)
    return dict(zip(calls, best(*calls.values(), repeats=REPEATS.get(n, 3)), strict=True))


def growth(n: int = 100_000) -> dict[str, list[float]]:
    """Seconds by number of replicates."""
    ways = {"numpy": numpy_only, **({"numba": bootstrap} if resample.kernels() else {})}
    value, weight, cluster = rows(n)
    return {
        name: best(*(lambda r=r, way=way: way(NAMES, value, weight, cluster, replicates=r) for r in GROWTH_REPLICATES))
        for name, way in ways.items()
    }


def python_peers(interpreter: Path, n: int) -> dict[str, list | str]:
    value, weight, _ = rows(n)
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, np.array([value, weight]))
        # -P: the script's folder holds an `inequality` of its own, which is not PySAL's.
        command = [interpreter, "-P", HERE / "peers.py", file.name]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def r_peers(n: int) -> dict[str, list]:
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        np.concatenate(rows(n)).astype(float).tofile(file.name)
        command = ["Rscript", HERE / "peers.R", file.name, str(n)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {peer: [float(seconds), [float(value)]] for peer, seconds, value in map(str.split, lines)}


def agreement(n: int, peers: dict[str, list | str]) -> dict[str, float]:
    """Greatest difference between a weighted peer's values and ours; survey's clustered error of the mean, relative."""
    value, weight, cluster = rows(n)
    ours = bootstrap(NAMES, value, weight, cluster, replicates=2).estimates
    found = {
        peer: float(np.abs(np.subtract(peers[peer][1], ours[: len(peers[peer][1])])).max())
        for peer in WEIGHTED_PEERS
        if isinstance(peers.get(peer), list)
    }
    if "survey" in peers:
        found["survey"] = abs(peers["survey"][1][0] / linearized_error("mean", value, weight, cluster) - 1)
    return found


def plot(folder: Path, sizes: list[int], times: dict[int, dict], by_replicates: dict[str, list[float]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    colour = {name: f"C{place}" for place, name in enumerate(("floor", "linearized", "numpy", "numba"))}
    for name in ("floor", "linearized", *by_replicates):
        left.loglog(sizes, [times[n][name] for n in sizes], "o-", label=name, color=colour[name])
    for name, seconds in by_replicates.items():
        right.loglog(GROWTH_REPLICATES, seconds, "o-", label=name, color=colour[name])
    left.set(xlabel="rows", ylabel="seconds", title=f"{REPLICATES} replicates, {CLUSTERS} clusters")
    right.set(xlabel="replicates", title="100,000 rows", xticks=GROWTH_REPLICATES, xticklabels=GROWTH_REPLICATES)
    right.minorticks_off()
    left.legend()
    right.legend()
    figure.savefig(folder / "growth.png", dpi=120)


def main() -> int:
    """Print the table of ratios; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=SIZES)
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".bench")
    words = parser.parse_args()
    sizes = sorted(words.n)
    words.folder.mkdir(parents=True, exist_ok=True)
    interpreter = peers_interpreter(words.folder, "peers.txt")
    has_r = shutil.which("Rscript") is not None
    if not has_r:
        print("R peers left out: Rscript is not installed (Debian: r-base-core r-cran-laeken r-cran-survey)")
    if not resample.kernels():
        print("numba is not installed (extra `fast`): its rows are left out")

    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 0.5:
        print(f"other work runs here (load {load:.1f} on {cores} cores): the floor, in threads, suffers most")

    times, peers, agreed, missed = {}, {}, {}, []
    for n in sizes:
        print(f"\nn = {n}: {' + '.join(NAMES)}, weighted, {REPLICATES} replicates, {CLUSTERS} clusters", flush=True)
        seconds = times[n] = measure(n)
        peers[n] = (python_peers(interpreter, n) if interpreter else {}) | (r_peers(n) if has_r else {})
        agreed[n] = agreement(n, peers[n])
        for name, one in seconds.items():
            print(f"  {name:<28}{one:10.4f} s{one / seconds['floor']:10.2f} × floor")
        for peer, found in peers[n].items():
            if isinstance(found, str):
                print(f"  {peer:<28}{found[:80]}")
                continue
            took, scale, what = found[0], REPLICATES, f"{len(found[1])} of 3 statistics"
            if peer == "survey":
                scale, what = 1, "one linearised error of a mean"
            known = f", off by {agreed[n][peer]:.1e}" if peer in agreed[n] else ", no weights"
            print(f"  {peer:<28}{took * scale:10.4f} s{took * scale / seconds['floor']:10.2f} × floor  {what}{known}")
        if "numba" in seconds and seconds["numba"] > BAR_NUMBA * seconds["floor"]:
            missed.append(f"numba above {BAR_NUMBA:g} × floor at n = {n}")
        fastest = min((peers[n][peer][0] for peer in agreed[n] if peer in WEIGHTED_PEERS), default=None)
        for name, bar in (("numba", BAR_PEER_NUMBA), ("numpy", BAR_PEER_NUMPY)):
            if fastest and name in seconds:
                gain = fastest * REPLICATES / seconds[name]
                print(f"  fastest weighted peer / {name:<7}{gain:10.1f} ×")
                if n == SIZES[-1] and gain < bar:
                    missed.append(f"{name} less than {bar:g} × faster than the fastest weighted peer at n = {n}")
        if n == SIZES[-1] and seconds["linearized"] > BAR_LINEARIZED * seconds["floor"]:
            missed.append(f"linearised errors above {BAR_LINEARIZED:g} × floor at n = {n}")

    by_replicates = growth()
    exponents = {
        name: {"rows": exponent(sizes, [times[n][name] for n in sizes]), "replicates": exponent(GROWTH_REPLICATES, one)}
        for name, one in by_replicates.items()
    }
    print("\ngrowth, exponents of a fitted power")
    for name, one in exponents.items():
        print(f"  {name:<10} rows {one['rows']:.2f}, replicates {one['replicates']:.2f}")
    plot(words.folder, sizes, times, by_replicates)
    record = {"seconds": times, "peers": peers, "agreement": agreed, "by_replicates": by_replicates}
    text = json.dumps({**record, "exponents": exponents, "missed": missed}, indent=1)
    (words.folder / "inequality.json").write_text(text + "\n", encoding="utf-8")
    print(*(missed or ["bars hold"]), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
