"""Segregation indices of PySAL (package `segregation`) and its Theil decomposition (package `inequality`).

In an environment of their own: pip install segregation==2.5.4 inequality==1.1.2
then: python segregation_pysal.py SCHOOLS00.csv.gz > segregation_pysal.csv
with the school counts of the R package `segregation` (data set schools00).
"""

import sys
import warnings

import numpy as np
import pandas as pd
from inequality.theil import TheilD
from segregation.multigroup import MultiInfoTheory
from segregation.singlegroup import CorrelationR, Dissim, Interaction, Isolation

warnings.filterwarnings("ignore")
rows = pd.read_csv(sys.argv[1])
counts = rows.pivot_table(index=["state", "school"], columns="race", values="n", aggfunc="sum", fill_value=0)
groups = list(counts.columns)
states = counts.index.get_level_values("state").to_numpy()
counts = counts.reset_index(drop=True).astype(float)
counts["total"] = counts[groups].sum(axis=1)
counts["pair"] = counts["black"] + counts["white"]

theil = TheilD(counts["total"].to_numpy(), states)
found = {
    "dissimilarity black white": Dissim(counts, "black", "pair").statistic,
    "exposure black white": Interaction(counts, "black", "pair").statistic,
    "isolation black": Isolation(counts, "black", "total").statistic,
    "normalized_exposure black": CorrelationR(counts, "black", "total").statistic,
    "normalized_entropy": MultiInfoTheory(counts, groups).statistic,
    "theil total": theil.T,
    "theil between": theil.bg[0],
    "theil within": theil.wg[0],
}
print("statistic,value")
for name, value in found.items():
    print(f"{name},{float(np.ravel(value)[0]):.12g}")
