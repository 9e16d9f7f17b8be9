"""Proposition 99 by synthdid-py 0.1.0 (as it stops, and run on), conformal p by diff-diff 3.13.0: synthetic_prop99.csv.

    python tests/reference/synthetic_prop99.py california_prop99.csv

in the environment of bench/impact_peers.txt. Rows: quantity, label, value.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import synthdid
from diff_diff.conformal import _make_perms, _single_null_pvalue

EFFECTS = (-40.0, -30.0, -20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0)

wide = pd.read_csv(sys.argv[1], sep=";").pivot(index="State", columns="Year", values="PacksPerCapita")
donors = wide.drop(index="California")
outcomes = pd.concat([donors, wide.loc[["California"]]]).to_numpy()
rows = []
for suffix, options in (("", {}), ("_run_on", {"min_decrease": 1e-9, "max_iter": 200_000})):
    sdid = synthdid.synthdid_estimate(outcomes, 38, 19, **options)
    control = synthdid.sc_estimate(outcomes, 38, 19, **options)
    rows += [("sdid" + suffix, "", float(sdid)), ("sc" + suffix, "", float(control))]
    rows += [("sdid_omega" + suffix, *pair) for pair in zip(donors.index, sdid.weights.omega, strict=True)]
    rows += [("sdid_lambda" + suffix, *pair) for pair in zip(wide.columns[:19], sdid.weights.lambda_, strict=True)]
    rows += [("sc_omega" + suffix, *pair) for pair in zip(donors.index, control.weights.omega, strict=True)]
rows.append(("did", "", float(synthdid.did_estimate(outcomes, 38, 19))))
for place, state in enumerate(donors.index):
    order = np.r_[np.delete(np.arange(38), place), place]
    rows.append(("placebo", state, float(synthdid.synthdid_estimate(outcomes[order], 37, 19))))
permutations = _make_perms(31, "moving_block", 0, np.random.default_rng(0))
for effect in EFFECTS:
    found = _single_null_pvalue(
        outcomes[-1], donors.to_numpy().T, np.arange(31) >= 19, np.full(12, effect), permutations, 1
    )
    rows += [("conformal_p", effect, found["p_value"]), ("conformal_s", effect, found["s_observed"])]
with (Path(__file__).parent / "synthetic_prop99.csv").open("w", newline="") as file:
    csv.writer(file, lineterminator="\n").writerows([("quantity", "label", "value"), *rows])
