"""Predictors of the Basque example and the V that R's Synth prints for it: synthetic_basque.csv.

    python tests/reference/synthetic_basque.py

Predictors and windows are those of Abadie, Diamond and Hainmueller (2011, Journal of Statistical Software 42(13)). V is
as printed by `synth(dataprep.out, method = "BFGS")` in public tutorials, with MSPE (loss V) 0.008864606, Cataluna
0.8508145 and Madrid 0.1491843. Each predictor is the mean of a variable over the years first, first + step, ..., last.
"""

import csv
from pathlib import Path

PREDICTORS = [
    ("school.illit", 1964, 1969, 1, 0.02773094),
    ("school.prim", 1964, 1969, 1, 1.194e-07),
    ("school.med", 1964, 1969, 1, 1.60609e-05),
    ("school.high", 1964, 1969, 1, 0.0007163836),
    ("school.post.high", 1964, 1969, 1, 1.486e-07),
    ("invest", 1964, 1969, 1, 0.002423908),
    ("gdpcap", 1960, 1969, 1, 0.0587055),
    ("sec.agriculture", 1961, 1969, 2, 0.2651997),
    ("sec.energy", 1961, 1969, 2, 0.02851006),
    ("sec.industry", 1961, 1969, 2, 0.291276),
    ("sec.construction", 1961, 1969, 2, 0.007994382),
    ("sec.services.venta", 1961, 1969, 2, 0.004053188),
    ("sec.services.nonventa", 1961, 1969, 2, 0.009398579),
    ("popdens", 1969, 1969, 1, 0.303975),
]

with (Path(__file__).parent / "synthetic_basque.csv").open("w", newline="") as file:
    csv.writer(file, lineterminator="\n").writerows([("predictor", "first", "last", "step", "v"), *PREDICTORS])
