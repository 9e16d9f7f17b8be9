"""Interactive exploration: a territory, a design and the periods kept → an effect in words and figures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tne_eval import french
from tne_eval.catalog import Design, get_design, get_indicator, get_territory, list_designs
from tne_eval.errors import DesignError, MissingDataError
from tne_eval.french import capital, listing, number, phrase, sentence
from tne_eval.impact import estimate_impact
from tne_eval.impact.inference import permutation_p
from tne_eval.impact.plan import compare
from tne_eval.indicators import compute_indicator
from tne_eval.indicators.compute import variables_of
from tne_eval.plotting import draw_events, draw_placebos
from tne_eval.report.blocks import make_grid
from tne_eval.report.run import csv_text
from tne_eval.report.sections.words import peers, refusal_text, said, verdict_key, why_text
from tne_eval.results import ImpactResult, IndicatorResult, Verdict
from tne_eval.sources.periods import format_period

_DPI = 100
_ROLES = ("primary", "contrast", "secondary", "falsification")
_PERIODS = {
    "exam_session": ("la session {}", "sessions"),
    "school_year": ("l'année scolaire {}", "années scolaires"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A figure as PNG, with its caption, a text that says what it shows (`alt`) and its values."""

    name: str
    caption: str
    alt: str
    png: bytes = field(repr=False)
    data: pd.DataFrame = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Exploration:
    """What is seen for one choice.

    Attributes
    ----------
    periods : those kept; declared : those of the registered plan. weights : "equal", as declared, or "size".
    deviation : what differs from the plan, in French; empty where nothing does.
    label, text : the verdict in French, in a word and in sentences. figures : curves, event study, placebos.
    """

    territory: str | None
    design: Design
    periods: tuple[int, ...]
    declared: tuple[int, ...]
    weights: str
    deviation: str
    label: str
    text: str
    result: ImpactResult
    figures: tuple[Picture, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row: the result, the periods kept, the weights and whether the plan was followed."""
        return self.result.to_frame().assign(
            periods=" ".join(map(str, self.periods)),
            weights=self.weights,
            plan_followed=not self.deviation,
            label=self.label,
        )

    def _repr_html_(self) -> str:
        return exploration_html(self)


def explorable_designs(panel: pd.DataFrame) -> tuple[Design, ...]:
    """Designs of the catalogue whose figures are in the panel, the primary one first."""
    known = sorted(list_designs(), key=lambda design: _ROLES.index(design.role))
    return tuple(design for design in known if _is_there(design, panel))


def _is_there(design: Design, panel: pd.DataFrame) -> bool:
    try:
        return not compare(design.id, panel).outcome.empty
    except MissingDataError:
        return False


def declared_periods(panel: pd.DataFrame, design: str) -> tuple[int, ...]:
    """Periods that the registered plan keeps, of those in the panel.

    Raises UnknownNameError, MissingDataError.
    """
    return tuple(int(period) for period in compare(design, panel).outcome.columns)


def explore(
    panel: pd.DataFrame,
    territory: str | None,
    design: str,
    periods: Sequence[int] | None = None,
    weights: str = "equal",
) -> Exploration:
    """The effect under a design of the catalogue, in words and figures, with only some of its periods where asked.

    Parameters
    ----------
    panel : the tidy panel of `load_panel`; it is not modified.
    territory : a territory id; None for the treated territories of the design together.
    design : a design id.
    periods : periods to keep among `declared_periods`; None for all. The size of a département is then that over the
        periods kept. With too few of them the verdict is a refusal.
    weights : what a département counts for in the means, see `estimate_impact`.

    Returns
    -------
    Exploration; its `deviation` says that the registered plan was left whenever the periods are not all those declared
    or the weights are not equal.

    Raises UnknownNameError, MissingDataError; DesignError on a period that the plan does not keep, and on weights that
    cannot be had.
    """
    if territory is not None:
        get_territory(territory)
    declared = declared_periods(panel, design)
    kept = declared if periods is None else tuple(sorted({int(period) for period in periods}))
    if strange := sorted(set(kept) - set(declared)):
        raise DesignError(
            f"the design {design!r} keeps no period {', '.join(map(str, strange))}",
            remedy=f"choose among {', '.join(map(str, declared))}",
        )
    if not kept:
        raise DesignError("no period is kept", remedy=f"choose among {', '.join(map(str, declared))}")
    plan = get_design(design)
    used = panel if kept == declared else keep_periods(panel, plan, kept)
    result = estimate_impact(design, used, territory, weights)
    label = sentence(f"verdict.{verdict_key(result)}_label")
    deviation = _deviation(plan, declared, kept, weights)
    return Exploration(
        territory=territory,
        design=plan,
        periods=kept,
        declared=declared,
        weights=weights,
        deviation=deviation,
        label=phrase("explore.outside", label=label) if deviation else label,
        text=verdict_in_words(result),
        result=result,
        figures=(*_curves(panel, result), *_effect_figures(result)),
    )


def keep_periods(panel: pd.DataFrame, design: Design, periods: Sequence[int]) -> pd.DataFrame:
    """The panel without the other periods of the variables behind the outcome of a design; a copy."""
    entry = get_indicator(design.outcome)
    own = panel["variable"].isin(variables_of(entry)) & (panel["period_type"] == entry.period_type)
    return panel[~own | panel["period"].isin(periods)].reset_index(drop=True)


# --- words ---------------------------------------------------------------------------------------------------


def _period_words(design: Design) -> tuple[str, str, str]:
    kind = get_indicator(design.outcome).period_type
    return kind, *_PERIODS[kind]


def _listed(periods: Sequence[int], kind: str) -> str:
    if kind == "exam_session":
        return french.years(periods)
    if len(periods) > 2 and list(periods) == list(range(periods[0], periods[-1] + 1)):
        return phrase("explore.range", low=format_period(periods[0], kind), high=format_period(periods[-1], kind))
    return listing(format_period(period, kind) for period in periods)


def _deviation(design: Design, declared: Sequence[int], kept: Sequence[int], weights: str) -> str:
    """What differs from the plan, in a sentence; empty where nothing does."""
    kind, _one, many = _period_words(design)
    what = []
    if kept != declared:
        said = {"kind": many, "declared": _listed(declared, kind), "kept": _listed(kept, kind)}
        what.append(phrase("explore.deviation_periods", **said))
    if weights != "equal":
        what.append(phrase("explore.deviation_weights"))
    return phrase("explore.deviation", day=french.day(design.registered_on), what=" ; ".join(what)) if what else ""


def _place(territory: str | None) -> str:
    return phrase("verdict.pair_place") if territory is None else get_territory(territory).in_text


def verdict_in_words(result: ImpactResult) -> str:
    """What was measured, whatever the outcome, and why it may or may not be believed."""
    place = _place(result.territory)
    if result.verdict is Verdict.REFUSED:
        pair = phrase("verdict.pair_locative")
        return refusal_text(
            result, place, pair if result.territory is None else get_territory(result.territory).locative
        )
    kind, one, _many = _period_words(result.design)
    measured = phrase(
        "explore.measured",
        outcome=get_indicator(result.design.outcome).label,
        first=one.format(format_period(result.post[0], kind)),
        place=place,
        peers=peers(result),
        estimate=said(result.estimate, result.design),
    )
    return f"{measured} {why_text(result)}"


# --- figures -------------------------------------------------------------------------------------------------


def _picture(axes, name: str, caption: str, alt: str, data: pd.DataFrame) -> Picture:
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer, figure = io.BytesIO(), axes.figure
    figure.set_dpi(_DPI)
    # Not savefig: it lays the figure out twice, and the reader waits.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    pyplot.close(figure)
    return Picture(name, caption, alt, buffer.getvalue(), data)


def _curves(panel: pd.DataFrame, result: ImpactResult) -> list[Picture]:
    """The indicator of each territory beside its académie and France, over every period known."""
    pictures = []
    for name in [result.territory] if result.territory else result.design.treated:
        try:
            pictures.append(_curve(compute_indicator(result.design.outcome, panel, name), name))
        except MissingDataError:
            continue
    return pictures


def _curve(indicator: IndicatorResult, territory: str) -> Picture:
    entry, own, place = indicator.indicator, indicator.series(), get_territory(territory).in_text
    return _picture(
        indicator.plot(),
        f"indicateur_{territory.replace('-', '_')}",
        phrase(
            "explore.curve_alone" if indicator.series("academie").empty else "explore.curve",
            indicator=entry.label,
            place=place,
        ),
        phrase(
            "explore.curve_alt",
            place=capital(place),
            first=format_period(int(own.index[0]), entry.period_type),
            last=format_period(int(own.index[-1]), entry.period_type),
            first_value=french.amount(own.iloc[0], entry.unit, entry.decimals),
            value=french.amount(own.iloc[-1], entry.unit, entry.decimals),
        ),
        indicator.frame[["label", "period", "value"]],
    )


def _effect_figures(result: ImpactResult) -> list[Picture]:
    if result.estimate is None:
        return []
    design = result.design
    unit, kind = design.unit, _period_words(design)[0]
    events, count = result.events, number(len(result.placebo))

    def span(values: pd.Series) -> str:
        return phrase("explore.range", low=said(values.min(), design), high=said(values.max(), design))

    return [
        _picture(
            draw_events(events, unit=unit, exposed=result.post[0]),
            "evenements",
            phrase("explore.events", base=format_period(result.pre[-1], kind)),
            phrase(
                "explore.events_alt",
                before=span(events[events["period"].isin(result.pre)]["estimate"]),
                after=span(events[events["period"] >= result.post[0]]["estimate"]),
            ),
            events,
        ),
        _picture(
            draw_placebos(result.placebo, result.estimate, unit=unit),
            "placebos",
            phrase("explore.placebos", count=count),
            phrase(
                "explore.placebos_alt",
                count=count,
                estimate=said(result.estimate, design),
                share=french.percent(100 * permutation_p(result.placebo), 0),
            ),
            pd.DataFrame({"placebo": result.placebo}),
        ),
    ]


# --- page, files ---------------------------------------------------------------------------------------------


def exploration_html(exploration: Exploration) -> str:
    """The verdict, what was changed in the plan, and the figures, as an inert HTML fragment."""
    box = "color:#1a2129;padding:.8em 1em;margin:.6em 0;border-left:8px solid"
    parts = []
    if exploration.deviation:
        said = html.escape(exploration.deviation)
        parts.append(f'<p class="tne-deviation" style="{box} #9b2c1f;background:#fbf0ee">{said}</p>')
    parts.append(
        f'<div class="tne-verdict" role="status" style="{box} #0b4f8a;background:#eef4fa">'
        f"<p><strong>{html.escape(exploration.label)}</strong></p><p>{html.escape(exploration.text)}</p></div>"
    )
    for picture in exploration.figures:
        source = "data:image/png;base64," + base64.b64encode(picture.png).decode()
        parts.append(
            f'<figure class="tne-figure" style="margin:1em 0"><figcaption>{html.escape(picture.caption)}</figcaption>'
            f'<img src="{source}" alt="{html.escape(picture.alt)}" style="max-width:100%;background:#fff"></figure>'
        )
    return '<div class="tne-exploration" lang="fr">' + "".join(parts) + "</div>"


def export_exploration(exploration: Exploration, folder: str | Path) -> Path:
    """Write what is seen (result, words, figures as PNG and CSV) into a new folder of `folder`, and give it back.

    The folder is named after the territory and the design; where it exists, the next free number is added to its name:
    nothing is ever written over.
    """
    place = _new_folder(Path(folder), f"{exploration.territory or 'demonstrateurs'}-{exploration.design.id}")
    words = "\n\n".join(filter(None, (exploration.deviation, exploration.label, exploration.text)))
    (place / "verdict.txt").write_text(words + "\n", encoding="utf-8")
    (place / "resultat.csv").write_text(csv_text(make_grid(exploration.to_frame())), encoding="utf-8")
    for picture in exploration.figures:
        (place / f"{picture.name}.png").write_bytes(picture.png)
        (place / f"{picture.name}.csv").write_text(csv_text(make_grid(picture.data)), encoding="utf-8")
    return place


def _new_folder(folder: Path, name: str) -> Path:
    rank = 1
    while True:
        place = folder / (name if rank == 1 else f"{name}-{rank}")
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            rank += 1
        else:
            return place
