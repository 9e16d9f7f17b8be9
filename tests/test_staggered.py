"""The twelve territories together: against csdid's definition by hand, re-assignment, a world whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tne_eval.catalog import list_territories
from tne_eval.errors import DesignError
from tne_eval.impact.plan import change_of, compare
from tne_eval.impact.planning import plan_wave
from tne_eval.impact.staggered import estimate_staggered
from tne_eval.indicators import indicator_table
from tne_eval.sources.periods import session_exposed
from tne_eval.sources.simulated import simulate_panel

FIRST = {place.departement: session_exposed(place.exposure.likely) for place in list_territories()}


@pytest.fixture(scope="module")
def shipped(panel):
    return estimate_staggered("dnb_naive", panel)


def test_cells_by_hand(panel, shipped):
    """Each cohort × session after: change since the last session before, less that of the never treated."""
    table = indicator_table("dnb_success_percent", panel)[[2016, 2017, 2018, 2019, 2021, 2022, 2023]]
    never = table.loc[[unit for unit in table.index if unit not in FIRST]]
    total, weight = 0.0, 0
    for first, base in ((2021, 2019), (2023, 2022)):
        own = table.loc[[unit for unit, period in FIRST.items() if period == first]]
        for period in [year for year in table.columns if year >= first]:
            effect = (own[period] - own[base]).mean() - (never[period] - never[base]).mean()
            total, weight = total + len(own) * effect, weight + len(own)
    assert shipped.estimate == pytest.approx(total / weight)
    assert set(shipped.left_out) == {"corse-du-sud", "finistere", "isere"} and len(shipped.territories) == 9


def test_p_is_the_rank_among_the_draws(shipped):
    size = np.abs(shipped.placebo)
    assert shipped.p_value == np.mean(size >= size[0] * (1 - 1e-9))
    assert len(shipped.placebo) == 1000 and shipped.smallest_p == 1e-3


@pytest.mark.parametrize("effect", [0.0, 4.0])
def test_a_known_effect_is_found(effect):
    """Treated from their own first session: the simulated world takes one date for all, so each cohort has its own."""
    worlds = [
        simulate_panel(seed=5, effect=effect, treated=[unit for unit, own in FIRST.items() if own == first],
                       first_session=first, academie_sd=0, departement_sd=0.3)
        for first in (2021, 2023)
    ]  # fmt: skip
    panel = worlds[0].copy()
    later = panel["unit"].isin([unit for unit, own in FIRST.items() if own == 2023])
    panel.loc[later, "value"] = worlds[1].loc[later, "value"]
    found = estimate_staggered("dnb_naive", panel)
    # Two départements over three sessions, seven over one, noise of 0.3 at both ends of each change.
    assert found.estimate == pytest.approx(effect, abs=0.5) and found.imputed == pytest.approx(effect, abs=0.5)
    assert (found.p_value <= 0.01) == (effect > 0)


def test_without_an_exposed_period_it_is_refused(panel):
    early = panel[panel["period"] < 2020]
    with pytest.raises(DesignError, match="no territory"):
        estimate_staggered("dnb_naive", early)


def test_the_panel_is_not_modified(panel):
    before = pd.util.hash_pandas_object(panel).sum()
    estimate_staggered("segregation_falsification", panel)
    assert pd.util.hash_pandas_object(panel).sum() == before


def test_a_larger_wave_could_show_smaller_effects(panel):
    waves = plan_wave(["dnb_naive", "dnb_girls_boys_gap_national"], panel, sizes=(2, 12))
    assert (waves.loc[12] < waves.loc[2]).all() and (waves > 0).all(axis=None)
    # Twelve of eighty-nine near-normal changes: 2.8 standard errors of a difference of means.
    comparison = compare("dnb_naive", panel)
    spread = change_of(comparison)[list(comparison.controls)].std()
    assert waves.loc[12, "dnb_naive"] == pytest.approx(2.8 * spread * np.sqrt(1 / 12 + 1 / 77), rel=0.15)
