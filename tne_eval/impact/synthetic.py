"""Synthetic control and synthetic difference-in-differences, with the exact distribution of their placebos."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError
from tne_eval.impact.inference import TIE
from tne_eval.impact.simplex import DonorPanel, Donors, did_weights, donor_panel, numbers, refuse, simplex_weights
from tne_eval.results import frame_html

# Share of the spread of the data below which a fit is exact and a change is none.
_NOTHING = 1e-10
# Placebo sets fitted together, which bounds memory.
_BLOCK = 1024


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticControl:
    """What `synthetic_control` gives.

    Attributes
    ----------
    weights : Series by donor, at least 0, of sum 1 (mean over the treated where each has its own donors).
    gaps : Series by time, mean outcome of the treated less that of their synthetic control.
    estimate : mean gap from `first_treated` on, unit of the outcome.
    loss : mean squared gap before; pre_rmse : its square root; ratio : root mean square gap after / before.
    placebos : frame by set of donors (`units`, a tuple) with `estimate`, `pre_rmse`, `post_rmse`, `ratio`; None if not
        asked, as are the next ones.
    p_ratio : share of sets, the treated one among them, whose ratio is at least as large; rank : its place, 1 largest.
    p_value : the same for |estimate|, two-sided; p_one_sided : the same in the direction of the estimate, valid only
        where that direction was chosen before.
    n_placebos, exact : number of placebo sets, and whether these are all there are; smallest_p : 1 / (1 + number).
    """

    weights: pd.Series
    gaps: pd.Series
    estimate: float
    loss: float
    pre_rmse: float
    ratio: float
    placebos: pd.DataFrame | None = field(default=None, repr=False)
    p_ratio: float | None = None
    rank: int | None = None
    p_value: float | None = None
    p_one_sided: float | None = None
    n_placebos: int = 0
    exact: bool = True
    smallest_p: float | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row by time: `gap`."""
        return self.gaps.rename("gap").rename_axis("time").reset_index()

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticDid:
    """What `synthetic_did` gives.

    Attributes
    ----------
    estimate : unit of the outcome; unit_weights : Series by donor; time_weights : Series by pre-period; both sum to 1.
    gaps : Series by time, treated less weighted donors, less the time-weighted mean of that difference before: their
        mean from `first_treated` on is the estimate.
    pre_rmse : root mean square of the pre-period differences around their mean (the unit weights have an intercept).
    did : the same with equal weights, that is plain difference-in-differences.
    noise, zeta : standard deviation of the donors' first differences before, and the regularisation that it gives.
    placebos : Series of estimates by set of donors (a tuple); None if not asked, as are the next ones.
    placebo_sd : their standard deviation (divisor: their number), the standard error of algorithm 4.
    p_value : two-sided share of sets, the treated one among them, at least as far from 0.
    n_placebos, exact, smallest_p : as in SyntheticControl.
    """

    estimate: float
    unit_weights: pd.Series
    time_weights: pd.Series
    gaps: pd.Series
    pre_rmse: float
    did: float
    noise: float
    zeta: float
    placebos: pd.Series | None = field(default=None, repr=False)
    placebo_sd: float | None = None
    p_value: float | None = None
    n_placebos: int = 0
    exact: bool = True
    smallest_p: float | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row by time: `gap`, and `time_weight` (0 from the treatment on)."""
        frame = self.gaps.rename("gap").rename_axis("time").reset_index()
        return frame.assign(time_weight=self.time_weights.reindex(self.gaps.index, fill_value=0.0).to_numpy())

    def _repr_html_(self) -> str:
        return frame_html(self)


def synthetic_control(
    outcomes: pd.DataFrame,
    treated: Sequence[Hashable],
    first_treated: int,
    predictors: pd.DataFrame | None = None,
    predictor_weights: pd.Series | None = None,
    donors: Donors | None = None,
    placebos: bool = False,
    *,
    alpha: float = 0.05,
    max_placebos: int = 20_000,
    seed: int = 0,
) -> SyntheticControl:
    """Synthetic control of Abadie, Diamond and Hainmueller (2010), by an exact convex programme.

    Without predictors, the weights minimise the sum of squared gaps of all pre-periods: a convex problem, whose minimum
    of least norm is returned where there are several. With predictors, they minimise Σ_p v_p (x_p − x_p0 w)², each
    predictor divided by its standard deviation over the treated and the donors (as in R's Synth); v is not searched.
    Several treated units are averaged and fitted as one. Where `donors` is a mapping, each treated unit is fitted with
    its own donors, and gaps and weights are averaged.

    Placebos (§ 2.4): each set of as many never treated units is taken for the treated one, its donors being all the
    other ones, none treated. The sets are enumerated, or `max_placebos` of them drawn without repetition where there
    are more. The p-values are ranks: they suppose that any set could have been treated, and leave aside that the pool
    of a placebo is smaller than that of the treated by as many units as are treated. The treated are thus fitted a
    little better before, so that `p_ratio` is too small where donors are few; `p_value` does not divide by that fit.

    Parameters
    ----------
    outcomes : units × times (sorted integers), no missing cell.
    treated : labels of `outcomes`; first_treated : first time with the treatment, a column.
    predictors : units × predictors, no missing cell; predictor_weights : v by predictor, at least 0.
    donors : labels that may be donors, or a mapping of unit → labels (with placebos: of each unit that may be one);
        by default all the others.
    alpha : level that the placebos must be able to reject at, strictly between 0 and 1; seed : of the draw of the sets.

    Raises DesignError on outcomes, labels or predictors that do not fit the above, and on too few donors for `alpha`.
    """
    panel = donor_panel(outcomes, treated, first_treated, donors)
    matrix, v = _checked_predictors(predictors, predictor_weights, panel)
    sets, exact = _placebo_sets(panel, alpha, max_placebos, seed) if placebos else (None, True)
    apart = isinstance(donors, Mapping)
    weights = _control_weights(panel, panel.treated, matrix, v, apart)
    gaps = panel.values[panel.treated].mean(0) - weights @ panel.values
    measures = _measures(gaps[None], panel)
    estimate, pre_rmse, _, ratio = (float(one[0]) for one in measures)
    found = {}
    if sets is not None:
        curves = [
            panel.values[one].mean(0) - _control_weights(panel, one, matrix, v, apart) @ panel.values for one in sets
        ]
        found = _placebo_report(sets, exact, np.array(curves), (estimate, ratio), panel)
    used = panel.allowed[panel.treated].any(0)
    return SyntheticControl(
        weights=pd.Series(weights[used], index=panel.units[used], name="weight"),
        gaps=pd.Series(gaps, index=panel.times, name="gap"),
        estimate=estimate,
        loss=pre_rmse**2,
        pre_rmse=pre_rmse,
        ratio=ratio,
        **found,
    )


def synthetic_did(
    outcomes: pd.DataFrame,
    treated: Sequence[Hashable],
    first_treated: int,
    donors: Sequence[Hashable] | None = None,
    placebos: bool = False,
    *,
    alpha: float = 0.05,
    max_placebos: int = 20_000,
    seed: int = 0,
) -> SyntheticDid:
    """Synthetic difference-in-differences of Arkhangelsky et al. (2021), algorithm 1, by exact programmes.

    Unit weights minimise the squared pre-period gaps around their mean, plus ζ² T_pre |ω|², with
    ζ = (N_tr T_post)^¼ σ and σ the standard deviation of the donors' first differences before the treatment; time
    weights minimise the donors' squared distance between their weighted pre-periods and their post mean, around its
    mean, with a ridge of (1e-6 σ)² N_donors as in the authors' implementation. That one stops its iterations early: its
    estimates differ from the exact ones in the third or fourth digit.

    Placebos: each set of as many donors is taken for the treated, the other donors remaining, and algorithm 1 applied
    with their σ (algorithm 4, all sets in place of random ones; the authors' implementation keeps the σ of all donors).
    See `synthetic_control` for `alpha`, `max_placebos` and `seed`.

    Parameters
    ----------
    outcomes : units × times (sorted integers), no missing cell; at least two pre-periods.
    treated : labels of `outcomes`; first_treated : first time with the treatment, a column.
    donors : labels that may be donors; by default all the others.

    Raises DesignError on outcomes or labels that do not fit, on donors without noise, on too few donors for `alpha`.
    """
    if isinstance(donors, Mapping):
        raise DesignError(
            "donors is a mapping",
            why="synthetic difference-in-differences weights donors of all the treated together",
            remedy="give one list of donors",
        )
    panel = donor_panel(outcomes, treated, first_treated, donors)
    pool = panel.candidates
    noise = _noise(panel)
    sets, exact = _placebo_sets(panel, alpha, max_placebos, seed) if placebos else (None, True)
    values, observed = panel.values[pool], panel.values[panel.treated].mean(0)
    everyone = np.ones((1, len(pool)), dtype=bool)
    unit, time = did_weights(values, observed[None], everyone, panel.pre, np.array([noise]), len(panel.treated))
    gaps = observed - unit[0] @ values
    gaps -= time[0] @ gaps[: panel.pre]
    estimate = float(gaps[panel.pre :].mean())
    plain = observed - values.mean(0)
    found = {}
    if sets is not None:
        effects = _did_placebos(values, np.searchsorted(pool, sets), panel.pre)
        found = {
            "placebos": pd.Series(effects, index=_labels(sets, panel), name="estimate"),
            "placebo_sd": float(effects.std()),
            "p_value": _share(np.abs(effects), abs(estimate)),
            "n_placebos": len(sets),
            "exact": exact,
            "smallest_p": 1 / (1 + len(sets)),
        }
    return SyntheticDid(
        estimate=estimate,
        unit_weights=pd.Series(unit[0], index=panel.units[pool], name="weight"),
        time_weights=pd.Series(time[0], index=panel.times[: panel.pre], name="weight"),
        gaps=pd.Series(gaps, index=panel.times, name="gap"),
        pre_rmse=float(gaps[: panel.pre].std()),
        did=float(plain[panel.pre :].mean() - plain[: panel.pre].mean()),
        noise=noise,
        zeta=(len(panel.treated) * (len(panel.times) - panel.pre)) ** 0.25 * noise,
        **found,
    )


def _control_weights(
    panel: DonorPanel, chosen: np.ndarray, predictors: np.ndarray | None, v: np.ndarray | None, apart: bool
) -> np.ndarray:
    """(n,) weights of the synthetic control of the rows `chosen`, 0 at those that are no donors."""
    weights = np.zeros(len(panel.values))
    barred = np.union1d(chosen, panel.treated)
    for group in chosen[:, None] if apart else [chosen]:
        allowed = panel.allowed[group[0]].copy()
        allowed[barred] = False
        if predictors is None:
            columns, target = panel.values[allowed, : panel.pre].T, panel.values[group, : panel.pre].mean(0)
        else:
            columns, target = predictors[allowed].T, predictors[group].mean(0)
            spread = np.column_stack([target, columns]).std(1, ddof=1)
            factor = np.sqrt(v) / np.where(spread > 0, spread, 1.0)
            columns, target = columns * factor[:, None], target * factor
        weights[allowed] += simplex_weights(columns, target) / (len(chosen) if apart else 1)
    return weights


def _did_placebos(values: np.ndarray, sets: np.ndarray, pre: int) -> np.ndarray:
    """(S,) estimates with the donors of each set taken for the treated, and the noise of those that remain."""
    steps = np.diff(values[:, :pre], axis=1)
    steps = steps - steps.mean()
    count = (len(values) - sets.shape[1]) * steps.shape[1]
    total, square = (part.sum() - part.sum(1)[sets].sum(1) for part in (steps, steps**2))
    noise = np.sqrt((square - total**2 / count) / (count - 1))
    effects = []
    for place in range(0, len(sets), _BLOCK):
        some = sets[place : place + _BLOCK]
        targets = values[some].mean(1)
        allowed = np.ones((len(some), len(values)), dtype=bool)
        np.put_along_axis(allowed, some, False, axis=1)
        unit, time = did_weights(values, targets, allowed, pre, noise[place : place + _BLOCK], some.shape[1])
        gaps = targets - unit @ values
        effects.append(gaps[:, pre:].mean(1) - (time * gaps[:, :pre]).sum(1))
    return np.concatenate(effects)


def _measures(gaps: np.ndarray, panel: DonorPanel) -> tuple[np.ndarray, ...]:
    """(S,) estimate, root mean square gap before and after, and their ratio (infinite after an exact fit)."""
    before, after = (np.sqrt((part**2).mean(1)) for part in (gaps[:, : panel.pre], gaps[:, panel.pre :]))
    spread = _NOTHING * max(float(np.std(panel.values)), np.finfo(float).tiny)
    before, after = np.where(before > spread, before, 0.0), np.where(after > spread, after, 0.0)
    ratio = np.divide(after, before, out=np.where(after > 0, np.inf, 1.0), where=before > 0)
    return gaps[:, panel.pre :].mean(1), before, after, ratio


def _share(placebos: np.ndarray, observed: float) -> float:
    """Share at least as large as the observed one, which is counted too."""
    slack = TIE * abs(observed) if math.isfinite(observed) else 0.0
    return float((1 + np.sum(placebos >= observed - slack)) / (1 + len(placebos)))


def _placebo_report(sets, exact, curves, observed, panel) -> dict:
    estimate, ratio = observed
    names = ("estimate", "pre_rmse", "post_rmse", "ratio")
    frame = pd.DataFrame(dict(zip(names, _measures(curves, panel), strict=True)), index=_labels(sets, panel))
    sign = 1.0 if estimate >= 0 else -1.0
    p_ratio = _share(frame["ratio"].to_numpy(), ratio)
    return {
        "placebos": frame,
        "p_ratio": p_ratio,
        "rank": round(p_ratio * (1 + len(sets))),
        "p_value": _share(frame["estimate"].abs().to_numpy(), abs(estimate)),
        "p_one_sided": _share(sign * frame["estimate"].to_numpy(), abs(estimate)),
        "n_placebos": len(sets),
        "exact": exact,
        "smallest_p": 1 / (1 + len(sets)),
    }


def _labels(sets: np.ndarray, panel: DonorPanel) -> pd.Index:
    labels = np.asarray(panel.units, dtype=object)[sets]
    return pd.Index([tuple(one) for one in labels], name="units", tupleize_cols=False)


def _checked_predictors(
    predictors: pd.DataFrame | None, weights: pd.Series | None, panel: DonorPanel
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(n, P) predictors in the order of the panel and (P,) weights, or None and None."""
    if predictors is None and weights is None:
        return None, None
    if predictors is None or weights is None:
        raise DesignError(
            "predictors and predictor_weights go together",
            why="the weight of each predictor is a choice that decides the result",
            remedy="give both; pd.Series(1.0, index=predictors.columns) weighs them alike",
        )
    if not isinstance(predictors, pd.DataFrame) or not isinstance(weights, pd.Series):
        raise DesignError("predictors are a frame, predictor_weights a Series", remedy="convert them")
    refuse("units without predictors", panel.units.difference(predictors.index), "add their rows")
    odd = set(predictors.columns) ^ set(weights.index)
    refuse("predictors and predictor_weights differ", sorted(map(str, odd)), "give each predictor one weight")
    matrix = numbers(predictors.loc[panel.units], "predictors")
    if len(matrix) > len(panel.units) or not predictors.columns.is_unique or not weights.index.is_unique:
        raise DesignError("a unit or a predictor appears twice", remedy="keep one row a unit, one column a predictor")
    v = weights.reindex(predictors.columns).to_numpy(dtype=float)
    if not (np.isfinite(v).all() and (v >= 0).all() and v.sum() > 0):
        raise DesignError("predictor_weights must be at least 0, finite, and not all 0", remedy="correct the weights")
    refuse("constant predictors", predictors.columns[np.ptp(matrix, axis=0) == 0], "leave them out")
    return matrix, v


def _noise(panel: DonorPanel) -> float:
    """Standard deviation of the donors' first differences before the treatment (Arkhangelsky et al. 2021, eq. 5)."""
    if panel.pre < 2:
        raise DesignError("one pre-period only", why="noise is that of first differences", remedy="add pre-periods")
    before = panel.values[panel.candidates, : panel.pre]
    noise = float(np.diff(before, axis=1).std(ddof=1))
    if noise <= _NOTHING * float(np.std(panel.values)):
        raise DesignError(
            "the donors do not vary before the treatment",
            why="their first differences are all equal, so the regularisation is 0 and the weights are not determined",
            remedy="use synthetic_control, or donors that vary",
        )
    return noise


def _placebo_sets(panel: DonorPanel, alpha: float, most: int, seed: int) -> tuple[np.ndarray, bool]:
    """(S, k) rows of the sets of placebos, and whether they are all the sets."""
    if not 0 < alpha < 1 or most < 1:
        raise DesignError(f"alpha is {alpha!r}, max_placebos {most!r}", why="a level is within 0-1, a number above 0")
    pool, size = panel.candidates, len(panel.treated)
    left = (panel.allowed.sum(1) - np.diag(panel.allowed))[pool] - (size - 1)
    refuse("placebos left with fewer than two donors", panel.units[pool[left < 2]], "widen the pool of donors")
    total = math.comb(len(pool), size)
    count = min(total, most)
    if 1 / (1 + count) > alpha:
        raise DesignError(
            f"{count} placebo set(s) cannot reject at level {alpha:g}",
            why=f"the smallest p that they can give is {1 / (1 + count):.3g}",
            remedy="widen the pool of donors, raise max_placebos, or state a higher alpha",
        )
    if total <= most:
        return np.array(list(itertools.combinations(pool, size))), True
    rng, drawn = np.random.default_rng(seed), {}
    while len(drawn) < most:
        drawn[tuple(np.sort(rng.choice(pool, size, replace=False)))] = None
    return np.array(list(drawn)), False
