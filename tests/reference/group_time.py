"""Group-time effects of csdid and imputed effects of diff-diff on the county data mpdta of R did.

In an environment of their own: pip install csdid==0.4.3 diff-diff==3.13.0
then: python group_time.py mpdta.csv > group_time.csv
The columns state, wave (a covariate that varies over time) and size (a weight) are made here from those of the file.
"""

import contextlib
import io
import sys
import warnings

import numpy as np
import pandas as pd
from csdid.att_gt import ATTgt
from diff_diff import ImputationDiD, SurveyDesign

warnings.filterwarnings("ignore")
rows = pd.read_csv(sys.argv[1])
rows["state"] = rows["countyreal"] // 1000
rows["wave"] = np.sin(rows["countyreal"] * 0.7 + rows["year"] * 1.3) + rows["lpop"] * (rows["year"] - 2003) / 10
rows["size"] = np.exp(rows["lpop"] / 4)
SCENARIOS = {
    "never lpop": ("nevertreated", "lemp~lpop", None, None),
    "not_yet lpop": ("notyettreated", "lemp~lpop", None, None),
    "never wave": ("nevertreated", "lemp~wave+lpop", None, None),
    "never state": ("nevertreated", None, "state", None),
    "not_yet lpop state": ("notyettreated", "lemp~lpop", "state", None),
    "never lpop size": ("nevertreated", "lemp~lpop", None, "size"),
    "not_yet size": ("notyettreated", None, None, "size"),
}
out = []


def csdid(name, control, formula, cluster, weight):
    fit = ATTgt(
        yname="lemp",
        tname="year",
        idname="countyreal",
        gname="first.treat",
        data=rows.copy(),
        control_group=[control],
        xformla=formula,
        clustervar=cluster,
        weights_name=weight,
    ).fit(est_method="dr", bstrap=False)
    cells = fit.results
    for group, time, att, error in zip(cells["group"], cells["year"], cells["att"], cells["se"], strict=True):
        out.append((name, "cell", group, time, att, error))
    for kind in ("simple", "dynamic", "group", "calendar"):
        found = fit.aggte(kind, bstrap=False, cband=False, clustervars=[cluster] if cluster else None).atte
        out.append((name, kind, "", "", found["overall_att"], found["overall_se"]))
        for element, att, error in zip(
            *(np.ravel(found[key]) if found[key] is not None else () for key in ("egt", "att_egt", "se_egt")),
            strict=True,
        ):
            out.append((name, kind, element, "", att, error))


def imputed(name, covariates=None, cluster=None, weight=None):
    design = SurveyDesign(weights=weight) if weight else None
    fit = ImputationDiD(cluster=cluster).fit(
        rows.copy(),
        "lemp",
        "countyreal",
        "year",
        "first.treat",
        covariates=covariates,
        aggregate="event_study",
        survey_design=design,
    )
    out.append((name, "impute", "", "", fit.overall_att, fit.overall_se))
    for event, one in fit.event_study_effects.items():
        if event >= 0:
            out.append((name, "impute", event, "", one["effect"], one["se"]))


with contextlib.redirect_stdout(io.StringIO()):
    for name, scenario in SCENARIOS.items():
        csdid(name, *scenario)
    imputed("plain")
    imputed("wave", ["wave"])
    imputed("state", cluster="state")
    imputed("size", weight="size")
    late = rows[~((rows["countyreal"] % 7 == 0) & (rows["year"] == 2003) & (rows["first.treat"] != 2004))]
    rows = late.reset_index(drop=True)
    imputed("unbalanced wave", ["wave"])
table = pd.DataFrame(out, columns=["scenario", "kind", "first", "second", "estimate", "error"])
sys.stdout.write(table.to_csv(index=False, float_format="%.15g", lineterminator="\n"))
