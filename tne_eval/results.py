"""Frozen results: what the pure functions of indicators and impact give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pandas as pd

from tne_eval.catalog import Design, Indicator
from tne_eval.errors import DesignError, MissingDataError


def frame_html(result: object) -> str:
    """What Jupyter shows of a frozen result: its kind, then the frame of `to_frame` (escaped, at most sixty rows)."""
    frame = result.to_frame()
    return f"<p><strong>{type(result).__name__}</strong></p>" + frame.to_html(
        max_rows=60, index=frame.index.name is not None
    )


class Verdict(StrEnum):
    """What may be said of an effect; derived by rule (`tne_eval.impact.verdict`), never chosen."""

    CREDIBLE = "credible effect"
    REFUSED = "no credible effect: design refused"
    FAILS = "no credible effect: design fails"
    UNKNOWABLE = "no credible effect: cannot be known"
    FRAGILE = "no credible effect: does not withstand variants"
    NOTHING = "no credible effect: nothing detected"
    UNDERPOWERED = "no credible effect: nothing detected, for want of power"
    BOUNDED = "no credible effect: effects beyond a bound excluded"


@dataclass(frozen=True, slots=True)
class Check:
    """One assumption put to the test. `passed` is None where it cannot be tested."""

    id: str
    passed: bool | None
    value: float | None
    limit: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Reference:
    """The declared second reference: placebo assignments in places that the programme never touched."""

    academies: tuple[str, ...]
    n_placebos: int
    p_value: float
    low: float
    high: float
    mde: float | None


_SCALARS = (
    "territory",
    "treated",
    "controls",
    "pre",
    "post",
    "estimate",
    "low",
    "high",
    "p_value",
    "smallest_p",
    "mde",
    "method",
    "n_assignments",
    "exact",
)


@dataclass(frozen=True, slots=True, eq=False)
class ImpactResult:
    """An effect under one design, with all that is needed to judge it.

    Attributes
    ----------
    estimate, low, high : in `design.unit`; `low`, `high` bound the 95 % interval by inversion. Each may be None:
        `reasons` then says why, by attribute name.
    method : the inference that the number of treated départements asks for (`infer_effect`).
    p_value, smallest_p : p of the estimate by that method, and the smallest that the assignments allow.
    tests : one row per test that was made, the plain permutation test among them.
    mde : smallest effect which, added to placebos, the plain test rejects with probability `design.power`.
    placebo : (n_assignments,) the statistic under every re-assignment, the observed one included.
    events : one row per period: gap of treated to controls, change since the last pre-period, placebo band.
    units : one row per treated département: its own change, that of its controls, its estimate.
    sensitivities : the same estimate under other windows and dates, with the p of the plain test.
    placebo_dates : the effect that would be found had the programme begun earlier.
    """

    design: Design
    territory: str | None
    treated: tuple[str, ...]
    controls: tuple[str, ...]
    pre: tuple[int, ...]
    post: tuple[int, ...]
    estimate: float | None
    low: float | None
    high: float | None
    p_value: float | None
    smallest_p: float | None
    mde: float | None
    method: str
    n_assignments: int
    exact: bool
    verdict: Verdict
    checks: tuple[Check, ...]
    reasons: dict[str, str]
    reference: Reference | None
    placebo: np.ndarray = field(repr=False)
    tests: pd.DataFrame = field(repr=False)
    events: pd.DataFrame = field(repr=False)
    units: pd.DataFrame = field(repr=False)
    sensitivities: pd.DataFrame = field(repr=False)
    placebo_dates: pd.DataFrame = field(repr=False)

    def to_dict(self) -> dict:
        """The scalar facts, ready for JSON."""
        plain = {name: getattr(self, name) for name in _SCALARS}
        return {
            "design": self.design.id,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()},
            "unit": self.design.unit,
            "verdict": str(self.verdict),
            "reasons": dict(self.reasons),
            "design_hash": self.design.hash,
        }

    def to_frame(self) -> pd.DataFrame:
        """One row: the estimate and what bounds it."""
        facts = self.to_dict()
        facts["treated"] = " ".join(self.treated)
        facts["controls"] = len(self.controls)
        facts["pre"] = " ".join(map(str, self.pre))
        facts["post"] = " ".join(map(str, self.post))
        facts["reasons"] = "; ".join(f"{name}: {why}" for name, why in self.reasons.items())
        return pd.DataFrame([facts])

    def plot(self, ax=None):
        """Event study with the placebo band."""
        from tne_eval.plotting import draw_events

        return draw_events(self.events, unit=self.design.unit, ax=ax)

    def _repr_html_(self) -> str:
        return self.to_frame().T.to_html(header=False)


def refuse_across_breaks(indicator: Indicator, first: int, last: int) -> None:
    """DesignError where the series of the indicator starts anew between two periods."""
    if broken := indicator.breaks_between(first, last):
        raise DesignError(
            f"{indicator.id!r} is not comparable from {first} to {last}",
            why=f"the series starts anew in {', '.join(map(str, broken))}: a raw difference measures the new scale",
            remedy="compare ranks (rank_change) or standardised values (standardized_change) of the départements",
        )


@dataclass(frozen=True, slots=True, eq=False)
class IndicatorResult:
    """An indicator for one territory and its comparisons, or for every département.

    `frame` has one row per unit × period: `unit_type` (departement, academie, france), `unit`, `label`, `period_type`,
    `period`, `group`, `value`, `n` (schools or candidates behind it, where known), `status`, `source`.
    """

    indicator: Indicator
    territory: str | None
    frame: pd.DataFrame = field(repr=False)
    caveats: tuple[str, ...] = ()
    _series: dict[str, pd.Series] = field(default_factory=dict, init=False, repr=False)

    @property
    def value(self) -> float | None:
        """Value of the territory at the latest period where it is known."""
        own = self.series()
        return None if own.empty else float(own.iloc[-1])

    def series(self, unit_type: str = "departement") -> pd.Series:
        """Known values by period, for the territory itself, its `academie` or `france`."""
        if unit_type not in self._series:
            self._series[unit_type] = self._known(unit_type)
        # Writing to the copy leaves what is kept as it is (pandas copies on write).
        return self._series[unit_type].copy(deep=False)

    def _known(self, unit_type: str) -> pd.Series:
        value = self.frame["value"].to_numpy(dtype=float)
        known = (self.frame["unit_type"].to_numpy(dtype=object) == unit_type) & ~np.isnan(value)
        period = self.frame["period"].to_numpy()[known]
        order = np.argsort(period, kind="stable")
        return pd.Series(value[known][order], index=pd.Index(period[order], name="period"), name="value")

    def gap(self, unit_type: str = "france") -> float | None:
        """Territory less its comparison at the latest period where both are known, in the indicator's unit."""
        difference = (self.series() - self.series(unit_type)).dropna()
        return None if difference.empty else float(difference.iloc[-1])

    def gap_is_readable(self, unit_type: str = "france") -> bool:
        """False where the gap is so small that its producer advises not to read it; such a gap is shown with that."""
        gap = self.gap(unit_type)
        return gap is None or self.indicator.is_readable(gap)

    def change(self, first: int | None = None, last: int | None = None, unit_type: str = "departement") -> float:
        """Value of the territory (or of `unit_type`) at `last` less that at `first`, in the indicator's unit.

        By default from the first to the last known period. Raises DesignError where the series starts anew between the
        two (raw values on two sides of a break are not comparable), MissingDataError where a value is not known.
        """
        own = self.series(unit_type)
        if own.empty:
            raise MissingDataError(f"no known value of {self.indicator.id!r}")
        first, last = (int(own.index[0]) if first is None else first), (int(own.index[-1]) if last is None else last)
        refuse_across_breaks(self.indicator, first, last)
        for period in (first, last):
            if period not in own.index:
                raise MissingDataError(
                    f"no value of {self.indicator.id!r} in {period}",
                    remedy=f"choose among {', '.join(map(str, own.index))}",
                )
        return float(own[last] - own[first])

    def to_frame(self) -> pd.DataFrame:
        return self.frame.copy()

    def to_dict(self) -> dict:
        return {
            "indicator": self.indicator.id,
            "territory": self.territory,
            "unit": self.indicator.unit,
            "rows": self.frame.astype(object).where(self.frame.notna(), None).to_dict(orient="records"),
        }

    def plot(self, ax=None):
        """Territory, académie and France over the periods."""
        from tne_eval.plotting import draw_comparison

        return draw_comparison(self, ax=ax)

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False)
