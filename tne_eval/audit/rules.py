"""The rules of the audit: pure functions of a tidy frame, giving findings. None changes what it is given.

A *series* has the columns `unit, period, value`, one row per unit and period, with periods as whole numbers of
`sources.periods`. Limits come from `catalog/audit.toml`, which says why each was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from tne_eval.audit.finding import Finding, make_finding
from tne_eval.audit.settings import Limits
from tne_eval.sources.periods import format_period


def counters_above(counts: pd.DataFrame, limits: Limits, *, where: str) -> list[Finding]:
    """Counters above the denominator announced for them.

    counts : `unit, counter, value, denominator, label, source`, a row per counter and denominator.

    Found when value / denominator exceeds `counter_ratio`. A counter summed over years may exceed one year's stock:
    then it cumulates, or counts the same ones several times; it is no number of persons either way.
    """
    ratios = counts["value"] / counts["denominator"]
    return [
        make_finding(
            "counter_above",
            "doubtful",
            where,
            f"{row['unit']}, {row['counter']}",
            ratio,
            limits.counter_ratio,
            f"counter_above_{row['counter']}",
            territory=row["unit"],
            counted=int(row["value"]),
            announced=int(row["denominator"]),
            percent=round(100 * ratio),
            ratio=float(ratio),
            label=row["label"],
        )
        for (_, row), ratio in zip(counts.iterrows(), ratios, strict=True)
        if row["denominator"] > 0 and ratio > limits.counter_ratio
    ]


def is_cumulative(values: np.ndarray, limits: Limits) -> bool:
    """Whether a series behaves as a cumulative one: it hardly ever falls, and grows much."""
    steps = np.diff(values)
    if len(steps) < limits.rising_steps or values[0] < 0:
        return False
    return bool((steps >= 0).mean() >= limits.rising_share and values[-1] >= limits.rising_growth * max(values[0], 1))


def falling_series(
    series: pd.DataFrame, limits: Limits, *, where: str, column: str, period_type: str, declared: bool = False
) -> list[Finding]:
    """Falls of a cumulative series: a total since the origin cannot decrease.

    A series is cumulative when `declared` so, or when it behaves so (`is_cumulative`). One finding per fall.
    """
    found = []
    for unit, rows in series.dropna(subset="value").groupby("unit", sort=True, observed=True):
        rows = rows.sort_values("period")
        values = rows["value"].to_numpy(dtype=float)
        if not (declared or is_cumulative(values, limits)):
            continue
        periods = rows["period"].to_numpy()
        for place in np.flatnonzero(np.diff(values) < 0):
            found.append(
                make_finding(
                    "falling_series",
                    "impossible",
                    where,
                    _subject(column, unit, format_period(periods[place + 1], period_type)),
                    values[place + 1] - values[place],
                    0,
                    column=_subject(column, unit),
                    before=_number(values[place]),
                    after=_number(values[place + 1]),
                    first=format_period(periods[place], period_type),
                    then=format_period(periods[place + 1], period_type),
                )
            )
    return found


def missing_periods(series: pd.DataFrame, limits: Limits, *, where: str, period_type: str) -> list[Finding]:
    """Periods without any row between the first and the last of a series, at the series' own step.

    The step is the most frequent one (a month, three months, a year), where `regular_share` of the steps are of that
    length and the series holds `held_share` of the periods between its ends; an irregular series has no gap. Units
    that lack the same periods make one finding.
    """
    gaps: dict[tuple[int, ...], list[str]] = {}
    for unit, rows in series.groupby("unit", sort=True, observed=True):
        held = np.unique([_rank(period, period_type) for period in rows["period"]])
        if len(held) < 3:
            continue
        lengths, times = np.unique(np.diff(held), return_counts=True)
        step = int(lengths[times.argmax()])
        wanted = range(int(held[0]), int(held[-1]) + 1, step)
        absent = tuple(rank for rank in wanted if rank not in held)
        regular = times.max() >= limits.regular_share * times.sum()
        if absent and regular and len(wanted) - len(absent) >= limits.held_share * len(wanted):
            gaps.setdefault(absent, []).append(str(unit))
    return [_gap("missing_periods", where, units, ranks, period_type) for ranks, units in sorted(gaps.items())]


def empty_periods(figures: pd.DataFrame, *, where: str, period_type: str) -> list[Finding]:
    """Periods that have rows but no figure at all. figures : `unit, period`, then one column per figure."""
    names = [name for name in figures if name not in ("unit", "period")]
    blank = figures[names].isna().all(axis=1)
    gaps: dict[tuple[int, ...], list[str]] = {}
    for unit, rows in figures[blank.to_numpy()].groupby("unit", sort=True, observed=True):
        gaps.setdefault(tuple(sorted(_rank(period, period_type) for period in rows["period"])), []).append(str(unit))
    return [_gap("empty_periods", where, units, ranks, period_type) for ranks, units in sorted(gaps.items())]


def _gap(rule: str, where: str, units: list[str], ranks: tuple[int, ...], period_type: str) -> Finding:
    periods = ", ".join(format_period(_unrank(rank, period_type), period_type) for rank in ranks)
    return make_finding(
        rule,
        "doubtful",
        where,
        _subject("", ", ".join(units), periods),
        len(ranks),
        0,
        f"{rule}_{'one' if len(ranks) == 1 else 'many'}",
        periods=periods,
        count=len(ranks),
    )


def unknown_share(part: float, whole: float, limits: Limits, *, where: str, column: str) -> list[Finding]:
    """A part left unknown above `unknown_share` of the whole: any split of the rest is about the rest only."""
    if not whole > 0 or not part / whole > limits.unknown_share:
        return []
    return [
        make_finding(
            "unknown_share",
            "doubtful",
            where,
            column,
            part / whole,
            limits.unknown_share,
            unknown=_number(part),
            total=_number(whole),
            percent=round(100 * part / whole),
            column=column,
        )
    ]


def identical_tables(tables: Mapping[str, pd.DataFrame], digests: Mapping[str, str], limits: Limits) -> list[Finding]:
    """Tables under different names that carry the same figures: a split that does not split.

    tables : by name, the columns of figures only. digests : by name, the sha256 of the file.

    Three degrees, of which the strongest is given: `identical_files` (same bytes), `identical_tables` (same rows of
    figures, whatever their order and their columns' names), `identical_totals` (same column sums). `same_numbers` or
    more distinct non-zero numbers must be shared, or for sums more than one column, each with as many rows.
    """
    found: list[Finding] = []
    told: list[frozenset[str]] = []
    for rule, sign in (
        ("identical_files", lambda name: digests[name]),
        ("identical_tables", lambda name: _rows_sign(tables[name], limits)),
        ("identical_totals", lambda name: _sums_sign(tables[name], limits)),
    ):
        groups: dict[object, list[str]] = {}
        for name in sorted(tables):
            if (mark := sign(name)) is not None:
                groups.setdefault(mark, []).append(name)
        for names in groups.values():
            if len(names) > 1 and not any(set(names) <= group for group in told):
                told.append(frozenset(names))
                found.append(
                    make_finding(
                        rule,
                        "impossible",
                        names[0],
                        ", ".join(names[1:]),
                        len(names),
                        1,
                        names=", ".join(names),
                        count=len(names),
                    )
                )
    return found


def _rows_sign(figures: pd.DataFrame, limits: Limits) -> object:
    values = figures.to_numpy(dtype=float)
    known = values[np.isfinite(values) & (values != 0)]
    if len(np.unique(known)) < limits.same_numbers:
        return None
    filled = np.where(np.isfinite(values), values, -np.inf)
    return (figures.shape, tuple(sorted(map(tuple, filled.tolist()))))


def _sums_sign(figures: pd.DataFrame, limits: Limits) -> object:
    sums = figures.sum().to_numpy(dtype=float)
    if len(figures) < limits.same_numbers or len(sums) < 2 or not (sums > 0).all():
        return None
    return (figures.shape, tuple(np.round(sums, 6)))


def identical_columns(figures: pd.DataFrame, limits: Limits, *, where: str) -> list[Finding]:
    """Two columns of one table with the same figures throughout, over `same_numbers` distinct numbers or more."""
    groups: dict[bytes, list[str]] = {}
    for name in figures:
        values = figures[name].to_numpy(dtype=float)
        if len(np.unique(values[np.isfinite(values) & (values != 0)])) >= limits.same_numbers:
            groups.setdefault(values.tobytes(), []).append(name)
    return [
        make_finding("identical_columns", "doubtful", where, ", ".join(names), len(names), 1, names=", ".join(names))
        for names in groups.values()
        if len(names) > 1
    ]


def missing_by_size(values: pd.Series, size: pd.Series, limits: Limits, *, where: str, column: str) -> list[Finding]:
    """Figures missing not at random: units without a figure are smaller (or larger) than units with one.

    Mann-Whitney test of size between the two groups; the effect size is the rank-biserial correlation 2·U/(n₁·n₂) − 1
    (Kerby 2014): −1 when every unit without a figure is smaller than every unit with one, 0 when they do not differ.
    Found when p < `missing_p` and the effect is at least `missing_effect`, with `missing_units` or more on each side.
    """
    known = size.notna().to_numpy()
    absent = values.isna().to_numpy()
    without, having = size[known & absent].astype(float), size[known & ~absent].astype(float)
    if min(len(without), len(having)) < limits.missing_units:
        return []
    test = stats.mannwhitneyu(without, having, alternative="two-sided", method="asymptotic")
    effect = 2 * test.statistic / (len(without) * len(having)) - 1
    if not (test.pvalue < limits.missing_p and abs(effect) >= limits.missing_effect):
        return []
    return [
        make_finding(
            "missing_by_size",
            "doubtful",
            where,
            column,
            effect,
            limits.missing_effect,
            column=column,
            missing=len(without),
            units=len(without) + len(having),
            percent=100 * len(without) / (len(without) + len(having)),
            median_without=_number(without.median()),
            median_with=_number(having.median()),
        )
    ]


def digit_preference(values: pd.Series, limits: Limits, *, where: str, column: str) -> list[Finding]:
    """Last digits that are not uniform: rounded or made-up counts (Beber and Scacco 2012).

    Pearson's chi-square of the last digit against ten equal shares, on whole counts of three figures or more (below,
    the last digit is no noise), `digit_counts` of them at least. Found when p < `digit_p` and Cramér's V =
    √(χ²/9n) is at least `digit_effect`: on large files a small p alone says nothing.
    """
    numbers = values.dropna().to_numpy(dtype=float)
    counts = numbers[(numbers >= 100) & (numbers == np.floor(numbers))].astype("int64")
    if len(counts) < limits.digit_counts or len(counts) < len(numbers) / 2:
        return []
    observed = np.bincount(counts % 10, minlength=10)
    test = stats.chisquare(observed)
    effect = float(np.sqrt(test.statistic / (9 * len(counts))))
    if not (test.pvalue < limits.digit_p and effect >= limits.digit_effect):
        return []
    digit = int(observed.argmax())
    return [
        make_finding(
            "digit_preference",
            "notice",
            where,
            column,
            effect,
            limits.digit_effect,
            column=column,
            digit=digit,
            percent=round(100 * observed[digit] / len(counts)),
            expected=10,
            count=len(counts),
        )
    ]


def jumps(series: pd.DataFrame, limits: Limits, *, where: str, column: str, period_type: str) -> list[Finding]:
    """First differences far from the others: robust z = 0.6745·(d − median)/MAD above `jump_z` in absolute value.

    Modified z-score of Iglewicz and Hoaglin (1993); where the MAD is zero, the mean absolute deviation × 1.2533 takes
    its place, as they advise. The step must also differ from the median one by `jump_share` of the range of the
    series, and each unit have `jump_steps` differences.
    """
    found = []
    for unit, rows in series.dropna(subset="value").groupby("unit", sort=True, observed=True):
        rows = rows.sort_values("period")
        values = rows["value"].to_numpy(dtype=float)
        steps = np.diff(values)
        if len(steps) < limits.jump_steps:
            continue
        away = steps - np.median(steps)
        spread = np.median(np.abs(away)) / 0.6745 or np.abs(away).mean() * 1.2533
        scores = away / spread if spread > 0 else np.zeros_like(away)
        periods = rows["period"].to_numpy()
        large = np.abs(away) >= limits.jump_share * np.ptp(values)
        for place in np.flatnonzero((np.abs(scores) > limits.jump_z) & large):
            found.append(
                make_finding(
                    "jumps",
                    "notice",
                    where,
                    _subject(column, unit, format_period(periods[place + 1], period_type)),
                    scores[place],
                    limits.jump_z,
                    column=_subject(column, unit),
                    before=_number(values[place]),
                    after=_number(values[place + 1]),
                    first=format_period(periods[place], period_type),
                    then=format_period(periods[place + 1], period_type),
                )
            )
    return found


def duplicated_keys(table: pd.DataFrame, key: list[str], *, where: str) -> list[Finding]:
    """Rows that share their key with an earlier row; none is allowed."""
    again = table.duplicated(key).to_numpy() if key else np.zeros(len(table), dtype=bool)
    if not again.any():
        return []
    first = table.loc[again, key].iloc[0]
    return [
        make_finding(
            "duplicated_keys",
            "doubtful",
            where,
            ", ".join(key),
            int(again.sum()),
            0,
            f"duplicated_keys_{'one' if again.sum() == 1 else 'many'}",
            key=", ".join(key),
            count=int(again.sum()),
            example=", ".join(map(str, first)),
        )
    ]


def constant_columns(figures: pd.DataFrame, limits: Limits, *, where: str) -> list[Finding]:
    """Columns of figures with one value throughout, over `constant_rows` known values or more: they say nothing."""
    found = []
    for name in figures:
        known = figures[name].dropna()
        if len(known) >= limits.constant_rows and known.nunique() == 1:
            found.append(
                make_finding(
                    "constant_columns",
                    "notice",
                    where,
                    name,
                    len(known),
                    limits.constant_rows,
                    column=name,
                    same=_number(known.iloc[0]),
                    count=len(known),
                )
            )
    return found


def _subject(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if str(part))


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)


def _rank(period: int, period_type: str) -> int:
    """Periods as consecutive whole numbers."""
    if period_type == "month":
        return int(period) // 100 * 12 + int(period) % 100 - 1
    if period_type == "quarter":
        return int(period) // 10 * 4 + int(period) % 10 - 1
    return int(period)


def _unrank(rank: int, period_type: str) -> int:
    if period_type == "month":
        return rank // 12 * 100 + rank % 12 + 1
    if period_type == "quarter":
        return rank // 4 * 10 + rank % 4 + 1
    return rank
