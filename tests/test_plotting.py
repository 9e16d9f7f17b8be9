"""Figures hold what is drawn on them, by matplotlib's own measure of it."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import tne_eval as tne
from tne_eval import plotting

LONG = "Un département au nom bien plus long que les autres"


def _table(labels, **columns) -> pd.DataFrame:
    return pd.DataFrame({"label": labels, **columns})


def _events() -> pd.DataFrame:
    periods = np.arange(2016, 2025)
    return pd.DataFrame(
        {"period": periods, "estimate": 1e4 * np.cos(periods), "band_low": -2e4, "band_high": np.nan}
    ).assign(band_high=2e4)


DRAWN = {
    "curves": lambda: plotting.draw_curves(
        {LONG: pd.DataFrame({"population_share": [0, 0.5, 1], "value_share": [0, 0.2, 1]})}, x=LONG, y=LONG
    ),
    "events": lambda: plotting.draw_events(_events(), unit="points", exposed=2018),
    "late events": lambda: plotting.draw_events(_events(), unit="points", exposed=2024),
    "placebos": lambda: plotting.draw_placebos(np.random.default_rng(1).normal(size=4095), 2.5, unit="points"),
    "ranges": lambda: plotting.draw_ranges(_table(["A", LONG], estimate=[-1.0, 1234567.0]), unit="count"),
    "bars": lambda: plotting.draw_bars(_table(["A", LONG], value=[1.0, 2e6], strong=[True, False]), unit="count"),
    "forest": lambda: plotting.draw_forest(
        _table([LONG * 3, "B"], estimate=[0.1, 0.2], low=[0.0, np.nan], high=[0.3, np.nan], own=[False, True])
    ),
    "specifications": lambda: plotting.draw_specifications(
        pd.DataFrame({"estimate": [-12345.5, 2.0], "p_value": [0.01, 0.5], "near": [True, False]}),
        alpha=0.05,
        unit="points",
    ),
}


@pytest.fixture(params=DRAWN, ids=str)
def ax(request):
    axes = DRAWN[request.param]()
    yield axes
    plt.close(axes.figure)


def _spill(figure) -> float:
    """By how many points the drawing reaches out of its figure; nothing else than the layout moved it."""
    figure.canvas.draw()
    box, page = figure.get_tightbbox(), figure.get_size_inches()
    return 72 * max(-box.x0, -box.y0, box.x1 - page[0], box.y1 - page[1])


def test_everything_is_inside(ax):
    assert _spill(ax.figure) <= 0


def test_a_settled_figure_is_inside_and_its_labels_lie_over_none_of_its_ticks(ax):
    figure = ax.figure
    plotting.settle(figure)
    figure.canvas.draw()
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        placed = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
        ticks = [text.get_window_extent(renderer) for place, text in placed if low <= place <= high and text.get_text()]
        label = axis.label.get_window_extent(renderer).padded(3)
        assert not axis.get_label_text() or not any(label.overlaps(tick) for tick in ticks)
        for box in (*ticks, *([label.padded(-3)] if axis.get_label_text() else [])):
            assert box.x0 >= page.x0 and box.y0 >= page.y0 and box.x1 <= page.x1 and box.y1 <= page.y1


def test_a_figure_with_a_title_is_not_settled():
    axes = DRAWN["events"]()
    axes.set_title("Un titre")
    engine = axes.figure.get_layout_engine()
    plotting.settle(axes.figure)
    assert axes.figure.get_layout_engine() is engine
    plt.close(axes.figure)


def test_what_a_user_adds_is_inside_too(ax):
    ax.set_title("Deux lignes\nde titre")
    twin = ax.twinx()
    twin.set_ylim(0, 123_456)
    twin.set_ylabel("une autre mesure")
    assert _spill(ax.figure) <= 0


def test_a_tick_can_be_read_before_anything_is_drawn():
    """A cursor over a new figure asks for the value under it."""
    axes = DRAWN["ranges"]()
    assert axes.xaxis.get_major_formatter().format_data_short(12.0) == "+12"
    plt.close(axes.figure)


def test_turned_labels_are_inside(panel):
    axes = tne.compute_indicator("segregation_entropy", panel, "aisne").plot()
    assert {text.get_rotation() for text in axes.get_xticklabels()} == {40}
    assert _spill(axes.figure) <= 0
    plt.close(axes.figure)


def test_the_figure_of_a_user_keeps_its_margins():
    figure, axes = plt.subplots()
    before = axes.get_position().bounds
    assert plotting.draw_events(_events(), unit="points", ax=axes) is axes
    figure.canvas.draw()
    assert axes.get_position().bounds == before
    plt.close(figure)
