"""A simulated world whose truth is known: for tests and for the notebook on methods, never for a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tne_eval.sources.geography import academie_of, list_departements
from tne_eval.sources.panel import PANEL_COLUMNS

SESSIONS = tuple(range(2016, 2025))


def simulate_panel(
    *,
    seed: int,
    effect: float = 0.0,
    treated: Sequence[str] = ("02", "95"),
    first_session: int = 2021,
    academie_sd: float = 1.0,
    departement_sd: float = 0.6,
    candidates: int = 100_000,
) -> pd.DataFrame:
    """A panel of DNB counts, départements × sessions, in which the effect is the one asked for.

    Parameters
    ----------
    effect : points of success rate added to the `treated` départements from `first_session` on.
    academie_sd : standard deviation, in points, of a shock common to the départements of an académie in a session.
    departement_sd : standard deviation, in points, of a département's own shock in a session.
    candidates : present at each session in each département; large, so that counting rounds nothing away.

    Returns
    -------
    A tidy panel whose `attrs["origin"]["kind"]` is "simulated": reports refuse it.
    """
    rng = np.random.default_rng(seed)
    units = list_departements()
    academies = sorted({academie_of(unit) for unit in units})
    own_academie = [academies.index(academie_of(unit)) for unit in units]
    level = rng.normal(87, 2, size=(len(units), 1)) + rng.normal(0, 1.5, size=(1, len(SESSIONS)))
    shock = rng.normal(0, academie_sd, size=(len(academies), len(SESSIONS)))[own_academie]
    noise = rng.normal(0, departement_sd, size=(len(units), len(SESSIONS)))
    exposed = np.isin(units, treated)[:, None] & (np.array(SESSIONS) >= first_session)
    rate = np.clip(level + shock + noise + effect * exposed, 0, 100)
    counts = {"dnb_present": np.full(rate.shape, candidates), "dnb_admitted": np.rint(rate * candidates / 100)}
    parts = [
        pd.DataFrame(
            {
                "unit_type": "departement",
                "unit": np.repeat(units, len(SESSIONS)),
                "period_type": "exam_session",
                "period": np.tile(SESSIONS, len(units)),
                "group": "",
                "variable": variable,
                "value": values.ravel().astype(float),
                "weight": np.nan,
                "n": np.nan,
                "status": "observed",
                "source": "simulated",
            }
        )
        for variable, values in counts.items()
    ]
    panel = pd.concat(parts, ignore_index=True)[list(PANEL_COLUMNS)]
    panel.attrs["origin"] = {"kind": "simulated", "tables": {}}
    return panel
