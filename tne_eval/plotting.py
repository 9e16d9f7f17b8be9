"""Frame in, Axes out. One look: readable in grey, French numbers, no chart without its unit."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as MplFigure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import LayoutEngine, TightLayoutEngine
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import Formatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from tne_eval import french
from tne_eval.sources.periods import format_period

BLUE, OCHRE, GREY, LIGHT = "#0B4F8A", "#8C6D1F", "#5F6670", "#D9DEE4"
_STYLE = {
    "figure.figsize": (7.2, 3.6),
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#222222",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LIGHT,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "xtick.color": "#222222",
    "ytick.color": "#222222",
}
_UNIT = {
    "percent": "%",
    "points": "points de pourcentage",
    "index": "indice",
    "ratio": "pour cent élèves scolarisés",
    "score": "indice (100 = moyenne)",
    "test_points": "points de score (250 ± 50)",
    "ips_points": "points d'IPS",
    "count": "nombre",
}


def _axes(ax: Axes | None, height: float = 3.6, *, width: float = 7.2) -> Axes:
    if ax is not None:
        return ax
    _, ax = plt.subplots(figsize=(width, height), layout=_Margins())
    return ax


class _Margins(LayoutEngine):
    """Margins that hold the labels of one Axes, from the sizes of their texts alone: the layouts of matplotlib, which
    take any figure, measure every part of it and are a fifth of the time of a report. A figure to which something was
    added gets one of these."""

    _adjust_compatible, _colorbar_gridspec = True, False

    def execute(self, fig: MplFigure) -> None:
        if _is_plain(fig):
            _set_margins(fig)
        else:
            TightLayoutEngine().execute(fig)


def _is_plain(fig: MplFigure) -> bool:
    return len(fig.axes) == 1 and not fig.axes[0].get_title() and not fig.get_suptitle()


def _set_margins(fig: MplFigure) -> tuple[float, float]:
    """Points from the axes to the far end of the labels of their ticks, beside and below."""
    ax = fig.axes[0]
    wide, high = 72 * fig.get_size_inches()
    across, up = _largest(ax.xaxis), _largest(ax.yaxis)
    beside, below = _padding(ax.yaxis) + up[0], _padding(ax.xaxis) + across[1]
    left, bottom = _GAP + beside + _label_room(ax.yaxis), _GAP + below + _label_room(ax.xaxis)
    # The label of the last tick is centred on it: half of it reaches beyond the axes.
    right, top = _GAP + across[0] / 2, _GAP + up[1] / 2
    fig.subplots_adjust(left / wide, bottom / high, 1 - right / wide, 1 - top / high)
    return beside, below


def settle(fig: MplFigure) -> None:
    """Fix margins and labels for the last drawing of a figure, which then looks for the box of no text: those of the
    labels of ticks, sought three times over, are a tenth of the time of a figure. Other figures stay as they are."""
    if not isinstance(fig.get_layout_engine(), _Margins) or not _is_plain(fig):
        return
    beside, below = _set_margins(fig)
    fig.set_layout_engine("none")
    ax = fig.axes[0]
    beside, below = beside + ax.yaxis.labelpad, below + ax.xaxis.labelpad
    for axis, place, (right, up) in ((ax.xaxis, (0.5, 0), (0, -below)), (ax.yaxis, (0, 0.5), (-beside, 0))):
        points = ScaledTranslation(right / 72, up / 72, fig.dpi_scale_trans)
        axis.set_label_coords(*place, transform=ax.transAxes + points)
        for tick in axis.get_major_ticks():
            tick.label1.set_in_layout(False)


def _largest(axis: Axis) -> np.ndarray:
    """Largest width and height in points of the labels of its ticks."""
    return np.max([(0.0, 0.0), *map(_extent, axis.get_ticklabels())], axis=0)


_GAP = 4.0  # points
_LEADING = 1.4  # a line of DejaVu Sans is 1.16 of its size, lines are 1.2 of that apart


def _extent(text: Text) -> tuple[float, float]:
    """Width and height in points of a text, turned as it is."""
    lines, size = text.get_text().splitlines(), text.get_fontsize()
    wide, high = max((_width(line, size) for line in lines), default=0.0), _LEADING * size * len(lines)
    turn = np.radians(text.get_rotation())
    cos, sin = abs(np.cos(turn)), abs(np.sin(turn))
    return wide * cos + high * sin, wide * sin + high * cos


@cache
def _width(line: str, size: float) -> float:
    # Fitted to the pixels of a screen, a text is up to 2 % wider.
    return 1.02 * text_to_path.get_text_width_height_descent(line, FontProperties(size=size), ismath=False)[0]


def _padding(axis: Axis) -> float:
    """Points from the axes to the labels of its ticks: those of the tick and the space beyond."""
    return axis.get_tick_padding() + axis.get_major_ticks(1)[0].get_pad()


def _label_room(axis: Axis) -> float:
    return axis.labelpad + _LEADING * axis.label.get_fontsize() if axis.get_label_text() else 0.0


def french_axis(axis, decimals: int | None = None, *, sign: bool = False) -> None:
    """French numbers on an axis; as few decimals as its ticks need."""
    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(_FrenchTicks(decimals, sign))


class _FrenchTicks(Formatter):
    def __init__(self, decimals: int | None, sign: bool) -> None:
        self.decimals, self.sign, self.needed = decimals, sign, decimals or 0

    def set_locs(self, locs: Sequence[float]) -> None:
        super().set_locs(locs)
        ticks = np.asarray(locs)
        self.needed = self.decimals
        if self.needed is None:
            self.needed = next((d for d in range(4) if (abs(ticks - np.round(ticks, d)) < 1e-9).all()), 4)

    def __call__(self, value: float, pos: int | None = None) -> str:
        return french.number(round(value, 9), self.needed, sign=self.sign)


_HEADROOM = 0.08  # of the height of the axes, for words above a curve


def _name_line(ax: Axes, x: float, text: str, values: Sequence[float], **look: object) -> None:
    """Words at the top of a vertical line, on the side where there is more room."""
    side = 1 if x < (np.min(values) + np.max(values)) / 2 else -1
    ax.annotate(
        text,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4 * side, -10),
        textcoords="offset points",
        horizontalalignment="left" if side > 0 else "right",
        **look,
    )


@mpl.rc_context(_STYLE)
def draw_events(events: pd.DataFrame, *, unit: str, exposed: int | None = None, ax: Axes | None = None) -> Axes:
    """Change of the gap between treated and controls since the last period before, with the band of re-assignments.

    events : `period, estimate, band_low, band_high` of an ImpactResult; exposed : first exposed period, marked.
    """
    ax = _axes(ax)
    if events["band_low"].notna().any():
        ax.fill_between(
            events["period"],
            events["band_low"],
            events["band_high"],
            color=LIGHT,
            label="95 % des tirages au sort",
            linewidth=0,
        )
    ax.axhline(0, color=GREY, linewidth=0.8)
    if exposed is not None:
        ax.axvline(exposed - 0.5, color=OCHRE, linewidth=1.2, linestyle=(0, (4, 3)))
    ax.plot(
        events["period"],
        events["estimate"],
        color=BLUE,
        marker="o",
        markersize=5,
        linewidth=1.8,
        label="Écart mesuré",
    )
    if exposed is not None:
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, top + _HEADROOM * (top - bottom))
        _name_line(ax, exposed - 0.5, "premiers élèves exposés", events["period"], color=OCHRE, fontsize=8.5)
    ax.set_xticks(list(events["period"]))
    ax.set_ylabel(_UNIT[unit])
    french_axis(ax.yaxis, sign=True)
    ax.legend(loc="best", fontsize=8.5)
    return ax


@mpl.rc_context(_STYLE)
def draw_placebos(placebo: np.ndarray, estimate: float, *, unit: str, ax: Axes | None = None) -> Axes:
    """Where the estimate stands among the same statistic computed for départements drawn by lot."""
    ax = _axes(ax, 3.0)
    ax.hist(placebo, bins=min(40, max(8, len(placebo) // 12)), color=LIGHT, edgecolor="white")
    ax.axvline(estimate, color=BLUE, linewidth=2.2)
    _name_line(ax, estimate, f"estimation : {french.number(estimate, 1, sign=True)}", placebo, color=BLUE)
    ax.set_xlabel(_UNIT[unit])
    ax.set_ylabel("tirages au sort")
    french_axis(ax.xaxis, sign=True)
    french_axis(ax.yaxis)
    return ax


@mpl.rc_context(_STYLE)
def draw_comparison(result, *, ax: Axes | None = None) -> Axes:
    """An indicator of a territory beside its académie and France, period by period; lines stop at series breaks."""
    ax = _axes(ax)
    entry = result.indicator
    looks = {
        "departement": {"color": BLUE, "marker": "o", "linewidth": 2.0, "zorder": 3},
        "academie": {"color": OCHRE, "marker": "s", "linewidth": 1.3, "linestyle": (0, (5, 2))},
        "france": {"color": GREY, "marker": "^", "linewidth": 1.3, "linestyle": (0, (1, 1.5))},
    }
    ends = []
    for unit_type, look in looks.items():
        series = result.series(unit_type)
        if series.empty:
            continue
        label = {"academie": "Académie : ", "departement": "", "france": ""}[unit_type] + str(
            result.frame.loc[result.frame["unit_type"] == unit_type, "label"].iloc[0]
        )
        for place, run in enumerate(_runs(series, entry.breaks)):
            ax.plot(
                _dates(run.index, entry.period_type),
                run,
                markersize=4,
                label=None if place else label,
                **look,
            )
        ends.append(series)
    periods = sorted(set().union(*(series.index for series in ends)))
    if entry.period_type != "quarter":
        ax.set_xticks(_dates(periods, entry.period_type), [format_period(p, entry.period_type) for p in periods])
        if len(periods) > 6 and entry.period_type == "school_year":
            ax.tick_params(axis="x", rotation=40)
    ax.set_ylabel(_UNIT[entry.unit])
    french_axis(ax.yaxis)
    ax.legend(loc="best", fontsize=8.5)
    return ax


def _runs(series: pd.Series, breaks: Sequence[int]) -> list[pd.Series]:
    """The series cut at its breaks."""
    edges = [-np.inf, *breaks, np.inf]
    parts = [series[(series.index >= low) & (series.index < high)] for low, high in itertools.pairwise(edges)]
    return [part for part in parts if len(part)]


def _dates(periods: Sequence[int], period_type: str) -> list[float]:
    """Periods on a scale of years."""
    if period_type == "quarter":
        return [period // 10 + (period % 10 - 0.5) / 4 for period in periods]
    if period_type == "date":
        return [period // 10_000 + (period // 100 % 100 - 1) / 12 for period in periods]
    if period_type == "month":
        return [period // 100 + (period % 100 - 1) / 12 for period in periods]
    return [float(period) for period in periods]


@mpl.rc_context(_STYLE)
def draw_ranges(table: pd.DataFrame, *, unit: str, ax: Axes | None = None) -> Axes:
    """Estimates one under the other (`label, estimate`, and `low, high` where an interval exists)."""
    ax = _axes(ax, 0.9 + 0.33 * len(table))
    place = np.arange(len(table))[::-1]
    ax.axvline(0, color=GREY, linewidth=0.8)
    if "low" in table:
        ax.hlines(place, table["low"], table["high"], color=BLUE, linewidth=1.6)
    ax.plot(table["estimate"], place, "o", color=BLUE, markersize=6)
    ax.set_yticks(place, table["label"])
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel(_UNIT[unit])
    french_axis(ax.xaxis, sign=True)
    return ax


@mpl.rc_context(_STYLE)
def draw_bars(
    table: pd.DataFrame,
    *,
    unit: str,
    limit: float | None = None,
    limit_label: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Horizontal bars (`label, value, strong`), the strong ones dark, with an optional limit line."""
    ax = _axes(ax, 0.9 + 0.3 * len(table))
    place = np.arange(len(table))[::-1]
    colours = [BLUE if strong else "#9FB4C8" for strong in table["strong"]]
    ax.barh(place, table["value"], color=colours, height=0.68)
    if limit is not None:
        ax.axvline(limit, color=OCHRE, linewidth=1.4, linestyle=(0, (4, 3)), label=limit_label)
        ax.legend(loc="lower right", fontsize=8.5)
    ax.set_yticks(place, table["label"])
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(_UNIT[unit])
    french_axis(ax.xaxis)
    return ax


@mpl.rc_context(_STYLE)
def draw_gradient(groups: pd.DataFrame, *, label: str, ax: Axes | None = None) -> Axes:
    """Results of groups of schools against their mean IPS (`position, value, weight`, for `territory` and the rest)."""
    ax = _axes(ax, 3.8)
    size = 12 + 90 * groups["weight"] / groups["weight"].max()
    own = groups["own"].to_numpy()
    _cloud(ax, groups["position"][~own], groups["value"][~own], label="Autres départements")
    ax.scatter(
        groups["position"][own],
        groups["value"][own],
        s=size[own],
        color=BLUE,
        edgecolor="white",
        linewidth=0.6,
        label=label,
    )
    ax.set_xlabel("IPS moyen du groupe de collèges")
    ax.set_ylabel("réussite au DNB (%)")
    french_axis(ax.xaxis)
    french_axis(ax.yaxis)
    ax.legend(loc="lower right", fontsize=8.5)
    return ax


def _cloud(ax: Axes, x: pd.Series, y: pd.Series, *, label: str) -> None:
    """Many small grey points as one path: as marks of their own they would be half the weight of a report."""
    ends = np.repeat(np.column_stack([x, y]).astype(float), 2, axis=0)
    path = Path(ends, np.tile([Path.MOVETO, Path.LINETO], len(x)))
    path.should_simplify = False
    look = {"color": "#B9C2CC", "linewidth": 10**0.5}
    # Not add_patch: it looks for the extremes of each of the thousands of strokes.
    ax.add_artist(PathPatch(path, fill=False, capstyle="round", **look))
    ax.plot([], [], "o", markersize=10**0.5, markeredgewidth=0, color=look["color"], label=label)
    ax.update_datalim(ends)
    ax.autoscale_view()


@mpl.rc_context(_STYLE)
def draw_panels(panels: dict[str, tuple[pd.Series, int]], *, unit: str, columns: int = 4):
    """Small multiples on one scale: a series by name, with the period that a vertical line marks; gives the Figure."""
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(7.2, 1.7 * rows), sharex=True, sharey=True, squeeze=False, layout="tight"
    )
    for ax in grid.flat[len(panels) :]:
        ax.set_visible(False)
    for ax, (name, (series, first)) in zip(grid.flat, panels.items(), strict=False):
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.axvline(first - 0.5, color=OCHRE, linewidth=1.1, linestyle=(0, (4, 3)))
        ax.plot(series.index, series, color=BLUE, marker="o", markersize=2.8, linewidth=1.3)
        ax.set_title(name, fontsize=8.5, loc="left")
        ax.tick_params(labelsize=7.5)
        ax.set_xticks([int(series.index[0]), int(series.index[-1])])
        french_axis(ax.yaxis, sign=True)
    figure.supylabel(_UNIT[unit], fontsize=8.5)
    return figure


@mpl.rc_context(_STYLE)
def draw_curves(curves: dict[str, pd.DataFrame], *, x: str, y: str, ax: Axes | None = None) -> Axes:
    """Lorenz or concentration curves (`population_share, value_share`, 0-1) against the diagonal of equality."""
    ax = _axes(ax, 4.2, width=5.2)
    ax.plot([0, 100], [0, 100], color=GREY, linewidth=0.9, linestyle=(0, (2, 3)), label="répartition égale")
    looks = itertools.cycle([(BLUE, "-", 2.0), ("#8E99A6", "-", 1.6), (OCHRE, (0, (5, 2)), 1.6)])
    for (name, curve), (color, dashes, width) in zip(curves.items(), looks, strict=False):
        ax.plot(
            100 * curve["population_share"],
            100 * curve["value_share"],
            color=color,
            linestyle=dashes,
            linewidth=width,
            label=name,
        )
    ax.set(xlim=(0, 100), ylim=(0, 100), xlabel=x, ylabel=y)
    ax.set_box_aspect(1)
    ax.grid(axis="x")
    french_axis(ax.xaxis)
    french_axis(ax.yaxis)
    ax.legend(loc="upper left", fontsize=8.5)
    return ax


@mpl.rc_context(_STYLE)
def draw_rank_intervals(table: pd.DataFrame, *, count: int, ax: Axes | None = None) -> Axes:
    """Rank intervals over all choices (`label, rank, rank_low, rank_high, strong`), rank 1 on the left, of `count`."""
    ax = _axes(ax, 1.0 + 0.3 * len(table))
    place = np.arange(len(table))[::-1]
    strong = table["strong"].to_numpy(bool)
    for kept, color, width in ((~strong, "#8E99A6", 3.0), (strong, BLUE, 4.5)):
        ax.hlines(place[kept], table["rank_low"][kept], table["rank_high"][kept], color=color, linewidth=width)
        ax.plot(table["rank"][kept], place[kept], "|", color="white", markersize=9, markeredgewidth=2)
    ax.set_yticks(place, table["label"])
    ax.set_xlim(0, count + 1)
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"rang parmi {french.number(count)} départements")
    french_axis(ax.xaxis)
    return ax


@mpl.rc_context(_STYLE)
def draw_forest(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Effects in standard deviations one under the other (`label, estimate, low, high, own`), our own dark and square.

    `low` and `high` may be missing: the effect then stands without a line.
    """
    ax = _axes(ax, 0.9 + 0.38 * len(table))
    place = np.arange(len(table))[::-1]
    own = table["own"].to_numpy(dtype=bool)
    ends = table[["low", "high"]].astype(float).to_numpy()
    ax.axvline(0, color=GREY, linewidth=0.8)
    for mine, colour, mark in ((False, GREY, "o"), (True, BLUE, "s")):
        rows = own == mine
        known = rows & ~np.isnan(ends).any(axis=1)
        ax.hlines(place[known], ends[known, 0], ends[known, 1], color=colour, linewidth=1.6)
        ax.plot(table["estimate"].to_numpy(dtype=float)[rows], place[rows], mark, color=colour, markersize=6)
    ax.set_yticks(place, [textwrap.fill(label, 46) for label in table["label"]], fontsize=8)
    ax.grid(axis="x")
    ax.grid(visible=False, axis="y")
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel("écarts-types de résultats d'élèves")
    french_axis(ax.xaxis, sign=True)
    return ax


@mpl.rc_context(_STYLE)
def draw_specifications(table: pd.DataFrame, *, alpha: float, unit: str, ax: Axes | None = None) -> Axes:
    """Estimates of a specification curve in ascending order (`estimate, p_value, near`), one point each.

    Hollow where `near`; a bar below those whose p is at most `alpha`.
    """
    ax = _axes(ax)
    place, estimate = np.arange(len(table)), table["estimate"].to_numpy()
    near = table["near"].to_numpy(dtype=bool)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.plot(place[~near], estimate[~near], "o", color=BLUE, markersize=6)
    ax.plot(place[near], estimate[near], "o", markerfacecolor="white", markeredgecolor=BLUE, markersize=6)
    loud = table["p_value"].to_numpy() <= alpha
    ax.plot(place[loud], np.full(loud.sum(), 0.03), "|", color=OCHRE, transform=ax.get_xaxis_transform(), markersize=9)
    ax.set_xticks([])
    ax.set_ylabel(_UNIT[unit])
    french_axis(ax.yaxis, sign=True)
    return ax
