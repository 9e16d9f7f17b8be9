"""Rural communes, from Insee's density grid."""

from __future__ import annotations

import pandas as pd

from tne_eval.sources.communes import at_communes, communes_now

# Levels of the seven that Insee calls rural (Insee 2022, grille communale de densité à sept niveaux).
_RURAL_FROM = 5


def rural_communes(communes: pd.Series, grid: pd.DataFrame | None) -> pd.Series:
    """Whether each commune of today is rural: boolean, missing where the grid (or there being none) does not say.

    Communes merged since take their densest level, an arrondissement that has no level of its own that of its city.
    """
    if grid is None:
        return pd.Series(pd.NA, index=communes.index, dtype="boolean")
    own = communes_now(grid["code_commune"], file=grid.attrs.get("file", "densite"))
    level = at_communes(communes, grid["densite"].astype(float).groupby(own).min())
    return (level >= _RURAL_FROM).astype("boolean").mask(level.isna())
