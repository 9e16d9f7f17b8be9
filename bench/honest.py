"""Time of honest difference-in-differences against moderndid, and growth with the number of periods.

    python bench/honest.py [--folder .bench]

The Medicaid event study of R HonestDiD (5 periods before, 2 after): the C-LF sets of ten values of M̄. moderndid tries
1,000 effects for each value; its time is that of two values × 5, of the processor where other work runs. Its
environment is made in the folder from bench/impact_peers.txt where it is missing; it needs the extra `didhonest`.
Version 0.2.0 leaves the oldest move before out of the union; here the greatest move is another one, so the sets agree.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from shared import exponent, least_seconds, peers_interpreter, plot_growth

from tne_eval.impact.honest import breakdown_bound, honest_did

HERE = Path(__file__).parent
STUDY = HERE.parent / "tests" / "reference" / "honest_estimates.csv"
N_PRE = 5
CURVE = np.linspace(0, 2, 10)
PEER_BOUNDS = [1.0, 2.0]
SIZES = (4, 8, 16, 32)
REPEATS = 5
best = partial(least_seconds, repeats=REPEATS)
# Bars: times faster than moderndid on the curve; its ends to ours, in steps of its grid; exponents of growth.
BAR_RATIO, BAR_STEPS = 30.0, 2.0
BAR_GROWTH = {"relative_magnitude, before": 1.4, "relative_magnitude, after": 1.0, "smoothness, before": 2.5}

PEER = """
import json, sys, time, warnings
import numpy as np
warnings.filterwarnings("ignore")
from moderndid.didhonest.delta.rm.rm import compute_conditional_cs_rm
study, n_pre, bounds = np.load(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
estimates, covariance = study[0], study[1:]
n_post = len(estimates) - n_pre
weights = np.eye(n_post)[:, [0]]
def one(bound, points):
    return compute_conditional_cs_rm(
        estimates, covariance, n_pre, n_post, l_vec=weights, m_bar=bound, alpha=0.05, hybrid_flag="LF",
        grid_points=points,
    )
one(1.0, 5)
found = []
for bound in bounds:
    start = time.process_time()
    set_ = one(bound, 1000)
    seconds = time.process_time() - start
    kept = set_["grid"][set_["accept"] > 0]
    found.append([seconds, kept.min(), kept.max(), set_["grid"][1] - set_["grid"][0]])
print(json.dumps(found))
"""


def peer(interpreter: Path, estimates: np.ndarray, covariance: np.ndarray) -> list[list[float]] | str:
    """Seconds, ends and step of the grid for each of the peer's bounds; or why there are none."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, np.vstack([estimates, covariance]))
        command = [interpreter, "-c", PEER, file.name, str(N_PRE), json.dumps(PEER_BOUNDS)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def study(n_pre: int, n_post: int) -> tuple[np.ndarray, np.ndarray]:
    """Random-walk covariance and estimates."""
    rng = np.random.default_rng(1)
    root = np.tril(np.ones((n_pre + n_post, n_pre + n_post))) + np.eye(n_pre + n_post)
    return rng.normal(size=n_pre + n_post), root @ root.T / 100


def growth() -> dict[str, list[float]]:
    """Seconds of a curve of ten bounds by number of periods before (4 after) or after (4 before)."""

    def seconds(restriction: str, n_pre: int, n_post: int) -> float:
        estimates, covariance = study(n_pre, n_post)
        return best(lambda: honest_did(estimates, covariance, n_pre, restriction, bound=CURVE), repeats=3)

    return {
        "relative_magnitude, before": [seconds("relative_magnitude", size, 4) for size in SIZES],
        "relative_magnitude, after": [seconds("relative_magnitude", 4, size) for size in SIZES],
        "smoothness, before": [seconds("smoothness", size, 4) for size in SIZES],
    }


def main() -> int:
    """Print the table of ratios; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".bench")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(STUDY)
    estimates, covariance = table["estimate"].to_numpy(), table.filter(like="cov").to_numpy()
    ours = {
        "curve of ten M̄": best(lambda: honest_did(estimates, covariance, N_PRE, bound=CURVE)),
        "curve of ten M": best(lambda: honest_did(estimates, covariance, N_PRE, "smoothness", bound=CURVE / 40)),
        "breakdown M̄": best(lambda: breakdown_bound(estimates, covariance, N_PRE)),
    }
    for name, one in ours.items():
        print(f"  {name:<28}{one:10.4f} s")
    missed = []
    interpreter = peers_interpreter(folder, "impact_peers.txt")
    found = peer(interpreter, estimates, covariance) if interpreter else "its environment could not be made"
    if isinstance(found, str):
        missed.append(f"moderndid did not run: {found[:120]}")
    else:
        curve = sum(one[0] for one in found) / len(found) * len(CURVE)
        ratio = curve / ours["curve of ten M̄"]
        same = honest_did(estimates, covariance, N_PRE, bound=PEER_BOUNDS)
        gaps = [
            max(abs(one[1] - low), abs(one[2] - high)) / one[3]
            for one, low, high in zip(found, same.low, same.high, strict=True)
        ]
        print(f"  {'moderndid, ten M̄':<28}{curve:10.4f} s{ratio:10.0f} ×  ends {max(gaps):.2f} steps of its grid away")
        if ratio < BAR_RATIO:
            missed.append(f"less than {BAR_RATIO:g} × faster than moderndid")
        if max(gaps) > BAR_STEPS:
            missed.append(f"ends more than {BAR_STEPS:g} steps of moderndid's grid away")
    by_periods = growth()
    exponents = {name: exponent(SIZES, one) for name, one in by_periods.items()}
    plot_growth(folder / "honest.png", {name: (SIZES, one) for name, one in by_periods.items()})
    print("\ngrowth with periods, exponents of a fitted power")
    for name, one in exponents.items():
        print(f"  {name:<28}{one:6.2f}   {', '.join(f'{second:.4f}' for second in by_periods[name])} s")
        if one > BAR_GROWTH[name]:
            missed.append(f"{name}: growth above {BAR_GROWTH[name]:g}")
    record = {"ours": ours, "moderndid": found, "by_periods": by_periods, "exponents": exponents, "missed": missed}
    (folder / "honest.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(*(missed or ["bars hold"]), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
