"""Time of synthetic difference-in-differences and of its exact placebos, against diff-diff and synthdid-py.

    python bench/synthetic.py [--folder .bench]

100 units × 15 years, 2 treated from the eleventh year on: one fit, and all 4,753 pairs of donors as placebos. The
peers' times are extrapolated to all of them: from fits of a few pairs drawn at random for synthdid-py, from its own
loop over 100 placebos for diff-diff. Their environment is made in the folder from bench/impact_peers.txt where it is
missing.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from shared import exponent, least_seconds, peers_interpreter, plot_growth, with_one_thread

from tne_eval.impact.conformal import conformal_interval
from tne_eval.impact.synthetic import synthetic_control, synthetic_did

HERE = Path(__file__).parent
UNITS, YEARS, AFTER, TREATED = 100, 15, 5, 2
PEER_FITS = {"diff-diff": 100, "synthdid-py": 8}
UNIT_SIZES, YEAR_SIZES = (40, 60, 80, 100, 120), (10, 15, 30, 60)
REPEATS = 3
best = partial(least_seconds, repeats=REPEATS, clock=time.perf_counter)
# Bars: times faster than each peer on all the placebos, and the greatest difference of an estimate to diff-diff's and
# synthdid-py's, in standard deviations of the placebos (their iterations stop early).
BARS = {"diff-diff": 7.0, "synthdid-py": 200.0}
BAR_AGREEMENT = 0.05
# Growth of the fit of all pairs: pairs grow as units², each fit at most as units; years at most as their square.
BAR_UNITS, BAR_YEARS = 3.2, 2.0

PEERS = """
import json, sys, time, warnings
import numpy as np, pandas as pd
warnings.filterwarnings("ignore")
from diff_diff import SyntheticDiD
from synthdid import synthdid_estimate
values, pre, fits = np.load(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
donors = values[2:]
rng = np.random.default_rng(0)
units, years = len(donors), values.shape[1]
year = np.tile(np.arange(years), units)

def order(pair):
    return donors[np.r_[np.delete(np.arange(units), pair), pair]]

def one_synthdid(panel):
    return float(synthdid_estimate(panel, units - 2, pre))

def one_diff_diff(panel, placebos):
    frame = pd.DataFrame({"y": panel.ravel(), "unit": np.repeat(np.arange(units), years), "year": year})
    frame["treated"] = (frame["unit"] >= units - 2).astype(int)
    model = SyntheticDiD(variance_method="placebo", n_bootstrap=placebos, seed=0)
    return float(model.fit(frame, "y", "treated", "unit", "year", post_periods=list(range(pre, years))).att)

found = {}
pairs = [tuple(sorted(rng.choice(units, 2, replace=False).tolist())) for _ in range(fits["synthdid-py"])]
one_synthdid(order(pairs[0])), one_diff_diff(order(pairs[0]), 2)
start = time.perf_counter()
estimates = [one_synthdid(order(pair)) for pair in pairs[: fits["synthdid-py"]]]
found["synthdid-py"] = [(time.perf_counter() - start) / len(estimates), pairs[: len(estimates)], estimates]
estimates = [one_diff_diff(order(pair), 2) for pair in pairs[: fits["synthdid-py"]]]
seconds = []
for pair in pairs[:3]:
    start = time.perf_counter()
    one_diff_diff(order(pair), fits["diff-diff"])
    seconds.append((time.perf_counter() - start) / fits["diff-diff"])
found["diff-diff"] = [min(seconds), pairs[: len(estimates)], estimates]
print(json.dumps(found))
"""


def panel(units: int = UNITS, years: int = YEARS) -> tuple[pd.DataFrame, int]:
    """Random walks with a common trend and levels of their own; the first treated year."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(units, years)).cumsum(1) + 3 * rng.normal(size=(units, 1)) + rng.normal(size=years)
    return pd.DataFrame(values, columns=range(years)), years - max(1, years * AFTER // YEARS)


def peers(interpreter: Path, outcomes: pd.DataFrame, pre: int) -> dict[str, list]:
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, outcomes.to_numpy())
        command = [interpreter, "-c", PEERS, file.name, str(pre), json.dumps(PEER_FITS)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def growth() -> dict[str, tuple]:
    """Sizes and seconds of all pairs in units (15 years) and in years (60 units)."""

    def seconds(units: int, years: int) -> float:
        outcomes, first = panel(units, years)
        return best(lambda: synthetic_did(outcomes, [0, 1], first, placebos=True), repeats=2)

    return {
        "units": (UNIT_SIZES, [seconds(units, YEARS) for units in UNIT_SIZES]),
        "years": (YEAR_SIZES, [seconds(60, years) for years in YEAR_SIZES]),
    }


def main() -> int:
    """Print the table of ratios; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".bench")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    interpreter = peers_interpreter(folder, "impact_peers.txt")
    outcomes, first = panel()
    pairs = math.comb(UNITS - TREATED, TREATED)
    found = synthetic_did(outcomes, [0, 1], first, placebos=True)
    ours = best(lambda: synthetic_did(outcomes, [0, 1], first, placebos=True))
    print(f"{UNITS} units × {YEARS} years, {TREATED} treated")
    for name, call in (
        ("synthetic_did, one fit", lambda: synthetic_did(outcomes, [0, 1], first)),
        ("synthetic_control, one fit", lambda: synthetic_control(outcomes, [0, 1], first)),
        ("synthetic_control, all pairs", lambda: synthetic_control(outcomes, [0, 1], first, placebos=True)),
        ("conformal_interval", lambda: conformal_interval(outcomes, [0, 1], first)),
    ):
        print(f"  {name:<34}{1000 * best(call):10.2f} ms")
    print(
        f"  {f'synthetic_did, {pairs} pairs':<34}{1000 * ours:10.2f} ms{1e6 * ours / pairs:10.1f} µs a fit", flush=True
    )
    missed = [] if interpreter else ["the peers did not run"]
    estimates = {tuple(pair): value for pair, value in found.placebos.items()}
    for peer, (seconds, some, values) in (peers(interpreter, outcomes, first) if interpreter else {}).items():
        ratio = seconds * pairs / ours
        off = max(abs(estimates[i + 2, j + 2] - value) for (i, j), value in zip(some, values, strict=True))
        off /= found.placebo_sd
        print(f"  {peer:<34}{seconds * pairs:10.1f} s {ratio:10.0f} × ours, estimates within {off:.1e} s.d.")
        if ratio < BARS[peer]:
            missed.append(f"less than {BARS[peer]:g} × faster than {peer}")
        if off > BAR_AGREEMENT:
            missed.append(f"an estimate differs from {peer}'s by more than {BAR_AGREEMENT:g} s.d.")
    by_size = growth()
    plot_growth(folder / "synthetic.png", by_size)
    powers = {name: exponent(*one) for name, one in by_size.items()}
    print(f"growth of all pairs, exponents: units {powers['units']:.2f}, years {powers['years']:.2f}")
    if powers["units"] > BAR_UNITS or powers["years"] > BAR_YEARS:
        missed.append(f"growth above units^{BAR_UNITS:g} or years^{BAR_YEARS:g}")
    print(*(missed or ["bars hold"]), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(with_one_thread(main))
