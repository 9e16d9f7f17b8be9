"""The exploration as widgets of Jupyter: what is chosen is estimated anew at once, and exported on demand."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tne_eval.catalog import Design, get_design, get_indicator, get_territory, list_territories
from tne_eval.errors import DesignError, TneError
from tne_eval.french import capital, phrase, typeset
from tne_eval.report.explore import (
    Exploration,
    declared_periods,
    explorable_designs,
    exploration_html,
    explore,
    export_exploration,
)
from tne_eval.sources.periods import format_period

_COMPARISONS = {"academie": "au sein de l'académie", "none": "à tous les départements hors programme"}
_WEIGHTS = {"equal": "chaque département compte autant", "size": "chaque département selon ses candidats"}
_PERIODS = {"exam_session": "Sessions", "school_year": "Années"}
_PAIR = ""  # value of the choice "both demonstrators": a dropdown has no use for None


@dataclass(slots=True, eq=False)
class ExplorationControls:
    """The widgets, and what they show now; `box` holds them all and is what a notebook displays."""

    territory: Any = field(repr=False)
    outcome: Any = field(repr=False)
    comparison: Any = field(repr=False)
    periods: Any = field(repr=False)
    weights: Any = field(repr=False)
    plan: Any = field(repr=False)
    export: Any = field(repr=False)
    message: Any = field(repr=False)
    view: Any = field(repr=False)
    box: Any = field(repr=False)
    shown: Exploration | None = None

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)


def exploration_widget(
    panel: pd.DataFrame,
    territory: str = "aisne",
    design: str = "dnb_within_academie",
    folder: str | Path | None = None,
) -> ExplorationControls:
    """Widgets that choose a territory, an outcome, a comparison, periods and weights, and show what `explore` gives.

    Parameters
    ----------
    panel : the tidy panel of `load_panel`.
    territory : territory id at the start; "" for the treated territories of the design together.
    design : design id at the start.
    folder : where exports go; None takes `reports/exploration`, beside the folder of notebooks when run there.

    Raises UnknownNameError; DesignError where the figures of the design are not in the panel.
    """
    designs = explorable_designs(panel)
    start = get_design(design)
    if territory != _PAIR:
        get_territory(territory)
    if start not in designs:
        raise DesignError(f"the figures of the design {design!r} are not in the panel")
    controls = _controls(designs, start, territory)
    _set_comparisons(controls, designs, start.id)
    _set_periods(controls, panel)
    _wire(controls, panel, designs, reports_folder() / "exploration" if folder is None else Path(folder))
    return controls


def reports_folder() -> Path:
    """`reports` of the working folder, or of its parent where the working folder is `notebooks`."""
    here = Path.cwd()
    return (here.parent if here.name == "notebooks" else here) / "reports"


def _controls(designs: tuple[Design, ...], start: Design, territory: str) -> ExplorationControls:
    import ipywidgets as widgets

    wide = widgets.Layout(width="42em", max_width="100%")
    look = {"style": {"description_width": "8em"}, "layout": wide}
    places = [(capital(phrase("verdict.pair_place")), _PAIR), *((place.name, place.id) for place in list_territories())]
    outcomes = [(get_indicator(name).label, name) for name in dict.fromkeys(item.outcome for item in designs)]
    parts = {
        "territory": widgets.Dropdown(options=places, value=territory, description="Territoire", **look),
        "outcome": widgets.Dropdown(options=outcomes, value=start.outcome, description="Résultat", **look),
        "comparison": widgets.Dropdown(description="Comparaison", **look),
        "periods": widgets.SelectionRangeSlider(
            options=[0, 1], description="Sessions", continuous_update=False, **look
        ),
        "weights": widgets.Dropdown(
            options=[(typeset(words), name) for name, words in _WEIGHTS.items()], description="Poids", **look
        ),
        "plan": widgets.Button(description="Revenir au plan déclaré", layout=widgets.Layout(width="auto")),
        "export": widgets.Button(description="Enregistrer ce que je vois", layout=widgets.Layout(width="auto")),
        "message": widgets.HTML(),
        "view": widgets.HTML(),
    }
    choices = [parts[name] for name in ("territory", "outcome", "comparison", "periods", "weights")]
    buttons = widgets.HBox([parts["plan"], parts["export"]])
    box = widgets.VBox([*choices, buttons, parts["message"], parts["view"]])
    return ExplorationControls(**parts, box=box)


def _set_comparisons(controls: ExplorationControls, designs: tuple[Design, ...], chosen: str = "") -> None:
    """The designs that the catalogue declares for the outcome."""
    own = [(typeset(_COMPARISONS[item.strata]), item.id) for item in designs if item.outcome == controls.outcome.value]
    controls.comparison.options = own
    controls.comparison.value = chosen or own[0][1]
    controls.comparison.disabled = len(own) == 1


def _set_periods(controls: ExplorationControls, panel: pd.DataFrame) -> None:
    """Every period of the plan, all of them chosen."""
    periods = declared_periods(panel, controls.comparison.value)
    kind = get_indicator(controls.outcome.value).period_type
    controls.periods.index = (0, 0)
    controls.periods.options = [(format_period(period, kind), period) for period in periods]
    controls.periods.index = (0, len(periods) - 1)
    controls.periods.description = _PERIODS[kind]


def _wire(controls: ExplorationControls, panel: pd.DataFrame, designs: tuple[Design, ...], folder: Path) -> None:
    busy = False

    def refresh() -> None:
        low, high = controls.periods.value
        kept = [period for _label, period in controls.periods.options if low <= period <= high]
        controls.message.value = ""
        try:
            controls.shown = explore(
                panel, controls.territory.value or None, controls.comparison.value, kept, controls.weights.value
            )
        except TneError as error:
            controls.shown = None
            controls.view.value = f"<pre>{html.escape(str(error))}</pre>"
        else:
            controls.view.value = exploration_html(controls.shown)
        controls.export.disabled = controls.shown is None

    def after(change: Callable[[], None] | None = None) -> Callable:
        """One estimate for each choice of the reader, none for what it moves in the other widgets."""

        def react(_event) -> None:
            nonlocal busy
            if busy:
                return
            busy = True
            try:
                if change is not None:
                    change()
                refresh()
            finally:
                busy = False

        return react

    def new_outcome() -> None:
        _set_comparisons(controls, designs)
        _set_periods(controls, panel)

    def export(_button) -> None:
        place = export_exploration(controls.shown, folder)
        controls.message.value = f'<p role="status">Enregistré dans {html.escape(str(place))}</p>'

    def new_comparison() -> None:
        _set_periods(controls, panel)

    def declared() -> None:
        _set_periods(controls, panel)
        controls.weights.value = "equal"

    controls.territory.observe(after(), "value")
    controls.outcome.observe(after(new_outcome), "value")
    controls.comparison.observe(after(new_comparison), "value")
    controls.weights.observe(after(), "value")
    controls.periods.observe(after(), "value")
    controls.plan.on_click(after(declared))
    controls.export.on_click(export)
    refresh()
