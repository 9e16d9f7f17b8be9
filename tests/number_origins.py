"""Where each number of a sentence comes from: by place of the catalogue's sentences, the cells of the report's tables.

An origin takes the tables of a report (name → DataFrame) and gives the numbers, or the texts, that the place may hold.
A place that holds another sentence is `PHRASE`: its numbers are those of that sentence, which has its own places.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from tne_eval.french import day, month
from tne_eval.sources.periods import format_period

Tables = Mapping[str, pd.DataFrame]
Origin = Callable[[Tables], Iterable]
PHRASE = "phrase"


def _of(tables: Tables, table: str, where: Mapping) -> pd.DataFrame:
    rows = tables[table]
    for name, value in where.items():
        rows = rows[rows[name].isin(value if isinstance(value, list) else [value])]
    return rows


def cells(table: str, *columns: str, **where) -> Origin:
    """Values of columns, in the rows where other columns have these values."""
    return lambda tables: [value for name in columns for value in _of(tables, table, where)[name].dropna()]


def ends(table: str, column: str, **where) -> Origin:
    """The smallest and the largest value."""
    return lambda tables: [getattr(_of(tables, table, where)[column].astype(float), end)() for end in ("min", "max")]


def rows(table: str, **where) -> Origin:
    """How many rows."""
    return lambda tables: [len(_of(tables, table, where))]


def periods(table: str, column: str, kind: str, **where) -> Origin:
    """Periods as they are said."""
    return lambda tables: [format_period(int(value), kind) for value in _of(tables, table, where)[column].dropna()]


def either(*origins: Origin) -> Origin:
    return lambda tables: [value for origin in origins for value in origin(tables)]


def derived(make: Callable[[Tables], object]) -> Origin:
    """One number, computed from the tables."""
    return lambda tables: [make(tables)]


def listed(table: str, column: str, **where) -> Origin:
    """The whole numbers of texts such as `2021 2022 2023`."""
    return lambda tables: [
        int(part) for text in _of(tables, table, where)[column].dropna() for part in str(text).split()
    ]


def _last(table: str, column: str, indicateur: str) -> Origin:
    """The value at the latest period at which the territory has one."""

    def origin(tables: Tables) -> list:
        own = _of(tables, table, {"indicateur": indicateur}).dropna(subset="territoire").sort_values("periode")
        return [own[column].iloc[-1]]

    return origin


def _at(table: str, kind: str, indicateur: str) -> Origin:
    return lambda tables: [format_period(int(_last(table, "periode", indicateur)(tables)[0]), kind)]


def _curve(name: str, table: str, kind: str) -> dict[str, Origin]:
    """Places of the alternative text of a curve: first and last value of each line."""
    periods_of = periods(table, "periode", kind)
    values = cells(table, "valeur")
    places = ("value", "france", "academie", "first_value", "france_first", "academie_first")
    return {f"{name}.{place}": values for place in places} | {f"{name}.{end}": periods_of for end in ("first", "last")}


PRIMARY, NAIVE = "dnb_within_academie", "dnb_naive"
_SHARE = cells("contexte", "valeur", mesure=["share", "share_high"])
_COST = cells("contexte", "bas", "haut", mesure="cost_a_pupil")
_ITT = cells("contexte", "valeur", mesure="itt")
_TREATED = cells("contexte", "bas", "haut", mesure="treated")
_POSTERIOR = cells("contexte", "bas", "haut", mesure="posterior")
_WEIGHT = cells("contexte", "valeur", mesure=["weight_0", "weight_1", "weight_2"])


def _events(tables: Tables) -> list[float]:
    names = [name for name in (f"evenements_{PRIMARY}", f"evenements_{NAIVE}") if name in tables]
    return [value for name in names for value in tables[name]["estimate"].dropna()]


def _family(tables: Tables) -> pd.DataFrame:
    table = tables["effets_ecarts"]
    return table[table["romano_wolf"].notna()]


ORIGINS: dict[str, Origin | str] = {
    # the fifteen answers
    "answers.q1_known.first": cells("exposition", "premiere_session", exposition="likely"),
    "answers.q1_unknown.first": cells("exposition", "premiere_session", exposition="likely"),
    "answers.q1_known.low": _SHARE,
    "answers.q1_known.high": _SHARE,
    "answers.q2_above_stock.percent": cells("compteurs", "percent_of_stock", verdict="above_stock"),
    "answers.q2_impossible.percent": cells("compteurs", "percent_of_stock", verdict="impossible"),
    "answers.q2_plausible.percent": cells("compteurs", "percent_of_stock", verdict="plausible"),
    "answers.q4_region.euros": cells("aides_regions", "euros_par_eleve"),
    "answers.q4_region.rank": cells("aides_regions", "rang"),
    "answers.q4_region.count": rows("aides_regions"),
    "answers.q6_too_few.estimate": cells("effets", "estimate", design=PRIMARY),
    "answers.q6_too_few.count": cells("effets", "n_assignments", design=PRIMARY),
    "answers.q7_known.mde": cells("effets", "reference_mde", design=PRIMARY),
    "answers.q7_known.margin": cells("effets", "equivalence_margin", design=PRIMARY),
    "answers.q8_none.count": derived(lambda t: len(_family(t))),
    "answers.q9_both_sides.count": rows("combinaisons"),
    "answers.q9_both_sides.low": ends("combinaisons", "estimate"),
    "answers.q9_both_sides.high": ends("combinaisons", "estimate"),
    "answers.q9_one_side.count": rows("combinaisons"),
    "answers.q9_one_side.low": ends("combinaisons", "estimate"),
    "answers.q9_one_side.high": ends("combinaisons", "estimate"),
    "answers.q12_found.attendances": cells("compteurs", "attendances_per_100_pupils"),
    "answers.q13_found.cost": _COST,
    "answers.q14_found.itt": _ITT,
    "answers.q15_found.count": derived(lambda t: (t["demandes"]["detenteur"].fillna("") != "").sum()),
    # key figures
    "card.dnb.period": _at("dnb_ecarts", "exam_session", "dnb_success_percent"),
    "card.dnb_comment.france": _last("dnb_ecarts", "france", "dnb_success_percent"),
    "card.dnb_comment.academie": _last("dnb_ecarts", "academie", "dnb_success_percent"),
    "card.disadvantaged.period": _at("inegalites", "school_year", "disadvantaged_percent"),
    "card.disadvantaged_comment.france": _last("inegalites", "france", "disadvantaged_percent"),
    "card.fibre.period": _at("acces_et_competences", "quarter", "fibre_percent"),
    "card.fibre_comment.france": _last("acces_et_competences", "france", "fibre_percent"),
    # limits
    "limits.covid.excluded": listed("effets", "excluded", design=PRIMARY),
    # the programme and its counters
    "programme.dates.earliest": lambda t: _dates(t, "earliest"),
    "programme.dates.likely": lambda t: _dates(t, "likely"),
    "programme.dates.latest": lambda t: _dates(t, "latest"),
    "programme.dates.first": cells("exposition", "premiere_session", exposition="likely"),
    "programme.same_dates.first_earliest": cells("exposition", "premiere_session", exposition="earliest"),
    "programme.same_dates.first_latest": cells("exposition", "premiere_session", exposition="latest"),
    "counter.main.reached": cells("compteurs", "pupils_reached"),
    "counter.main.stock": cells("compteurs", "stock"),
    "counter.main.distinct": cells("compteurs", "distinct"),
    "counter.main.years": cells("compteurs", "years"),
    "counter.main.month": lambda t: _months(t, "month"),
    "counter.attendances.attendances": cells("compteurs", "attendances"),
    "counter.attendances.month": lambda t: _months(t, "attendances_month"),
    "counter.attendances.per_100": cells("compteurs", "attendances_per_100_pupils"),
    "counter.alt.value": cells("compteurs", "percent_of_stock"),
    "counter.alt.top_value": ends("compteurs", "percent_of_stock"),
    "counter.alt_all.top_value": ends("compteurs", "percent_of_stock"),
    "socle.territory.euros": cells("aides_regions", "euros_par_eleve"),
    "socle.territory.rank": cells("aides_regions", "rang"),
    "socle.territory.count": rows("aides_regions"),
    # results and gaps between pupils
    **_curve("dnb.figure_alt", "dnb_success_percent", "exam_session"),
    **_curve("dnb.figure_alt_alone", "dnb_success_percent", "exam_session"),
    "dnb.figure_caption.periods": lambda t: _range(t, "dnb_success_percent", "periode"),
    "dnb.figure_note.breaks": periods("dnb_success_percent", "periode", "exam_session"),
    "dnb.figure_note.excluded": periods("dnb_success_percent", "periode", "exam_session"),
    "dnb.gaps_caption.period": periods("dnb_ecarts", "periode", "exam_session"),
    **{
        f"dnb.{name}.{place}": _last("dnb_ecarts", column, "dnb_success_percent")
        for name in ("level", "level_alone")
        for place, column in (
            ("value", "territoire"),
            ("france", "france"),
            ("academie", "academie"),
            ("gap_france", "ecart_france"),
            ("gap_academie", "ecart_academie"),
        )
    },
    "dnb.level.period": _at("dnb_ecarts", "exam_session", "dnb_success_percent"),
    "dnb.level_alone.period": _at("dnb_ecarts", "exam_session", "dnb_success_percent"),
    "social.gradient.value": _last("resultats_selon_ips", "territoire", "gradient_dnb_colleges"),
    "social.gradient.france": _last("resultats_selon_ips", "france", "gradient_dnb_colleges"),
    "social.gradient.period": _at("resultats_selon_ips", "exam_session", "gradient_dnb_colleges"),
    "social.gradient_caption.period": _at("resultats_selon_ips", "exam_session", "gradient_dnb_colleges"),
    "social.gradient_alt.low": lambda t: [t["gradient_dnb_colleges"]["reussite"].iloc[0]],
    "social.gradient_alt.high": lambda t: [t["gradient_dnb_colleges"]["reussite"].iloc[-1]],
    **{
        f"social.{key}.{place}": cells(table, column, part=0.5)
        for key, table in (
            ("concentration", "concentration_echecs"),
            ("concentration_alt", "concentration_echecs"),
            ("lorenz_alt", "lorenz_ips_colleges"),
        )
        for place, column in (("share", "territoire"), ("france", "france"))
    },
    "social.concentration.period": _at("resultats_selon_ips", "exam_session", "gradient_dnb_colleges"),
    "social.concentration_caption.period": _at("resultats_selon_ips", "exam_session", "gradient_dnb_colleges"),
    "social.lorenz_caption.period": _at("inegalites", "school_year", "gini_ips_colleges"),
    "social.quarters.value": _last("resultats_selon_ips", "territoire", "quartile_gap_dnb_colleges"),
    "social.quarters.france": _last("resultats_selon_ips", "france", "quartile_gap_dnb_colleges"),
    "social.quarters.period": _at("resultats_selon_ips", "exam_session", "quartile_gap_dnb_colleges"),
    "social.ips_gap.value": _last("inegalites", "territoire", "quartile_gap_ips_colleges"),
    "social.ips_gap.france": _last("inegalites", "france", "quartile_gap_ips_colleges"),
    "social.ips_gap.period": _at("inegalites", "school_year", "quartile_gap_ips_colleges"),
    "social.ips_advice.limit": cells("inegalites", "plus_petit_ecart_lisible"),
    "social.segregation.value": _last("inegalites", "territoire", "disadvantaged_percent"),
    "social.segregation.france": _last("inegalites", "france", "disadvantaged_percent"),
    "social.segregation.index": _last("inegalites", "territoire", "segregation_entropy"),
    "social.segregation.index_france": _last("inegalites", "france", "segregation_entropy"),
    **_curve("social.segregation_figure_alt", "segregation_entropy", "school_year"),
    "social.segregation_figure_caption.periods": lambda t: _school_years(t, "segregation_entropy", "periode"),
    # the digital divide
    "divide.fibre.value": _last("acces_et_competences", "territoire", "fibre_percent"),
    "divide.fibre.period": _at("acces_et_competences", "quarter", "fibre_percent"),
    "divide.fibre.before": periods("acces_et_competences", "periode", "quarter", indicateur="fibre_lead"),
    "divide.fibre.lead": _last("acces_et_competences", "territoire", "fibre_lead"),
    "divide.fibre.lead_before": cells("acces_et_competences", "territoire", indicateur="fibre_lead"),
    **_curve("divide.fibre_alt", "fibre_percent", "quarter"),
    "divide.ifn.value": _last("acces_et_competences", "territoire", "ifn_mean"),
    "divide.ifn.france": _last("acces_et_competences", "france", "ifn_mean"),
    "divide.composite.count": cells("fracture_numerique_choix", "valeur", choix="mesures"),
    "divide.composite.combinations": cells("fracture_numerique_choix", "valeur", choix="combinaisons"),
    "divide.composite.share": cells(
        "fracture_numerique_choix", "valeur", choix=["normalisation", "weighting", "aggregation", "left_out"]
    ),
    "divide.composite.rank": cells("fracture_numerique_rangs", "rang"),
    "divide.composite.low": cells("fracture_numerique_rangs", "rang_bas"),
    "divide.composite.high": cells("fracture_numerique_rangs", "rang_haut"),
    "divide.composite.total": cells("fracture_numerique_choix", "valeur", choix="departements"),
    "divide.ranks_alt.count": rows("fracture_numerique_rangs"),
    "divide.ranks_alt.total": cells("fracture_numerique_choix", "valeur", choix="departements"),
    "divide.ranks_alt.first_low": lambda t: [t["fracture_numerique_rangs"]["rang_bas"].iloc[0]],
    "divide.ranks_alt.first_high": lambda t: [t["fracture_numerique_rangs"]["rang_haut"].iloc[0]],
    "divide.ranks_alt.last_low": lambda t: [t["fracture_numerique_rangs"]["rang_bas"].iloc[-1]],
    "divide.ranks_alt.last_high": lambda t: [t["fracture_numerique_rangs"]["rang_haut"].iloc[-1]],
    # the effect
    "power.test.smallest_p": cells("effets", "smallest_p", design=PRIMARY),
    "power.test.assignments": cells("effets", "n_assignments", design=PRIMARY),
    "power.test.sequel": PHRASE,
    "power.no_test.alpha": cells("effets", "alpha"),
    "verdict.measured.estimate": cells("effets", "estimate", design=PRIMARY),
    "verdict.measured.first": listed("effets", "post", design=PRIMARY),
    "verdict.fails_pretrend.slope": cells("effets", "slope", design=PRIMARY),
    "verdict.fails_pretrend.carried": cells("hypotheses", "constate", plan=PRIMARY, hypothese="pretrend"),
    "verdict.unknowable.alpha": cells("effets", "alpha", design=PRIMARY),
    "verdict.unknowable.controls": PHRASE,
    "verdict.unknowable.odds": PHRASE,
    "verdict.controls_many.count": cells("effets", "controls", design=PRIMARY),
    "verdict.one_in.count": cells("effets", "n_assignments", design=PRIMARY),
    "check.academie_shocks_rule.limit": cells("hypotheses", "limite", hypothese="academie_shocks"),
    "effect.reference.count": cells("effets", "reference_n_placebos", design=PRIMARY),
    "effect.reference.academies": cells("effets", "reference_academies", design=PRIMARY),
    "effect.reference.p_value": cells("effets", "reference_p_value", design=PRIMARY),
    "effect.reference.low": cells("effets", "reference_low", design=PRIMARY),
    "effect.reference.high": cells("effets", "reference_high", design=PRIMARY),
    "effect.reference.mde": cells("effets", "reference_mde", design=PRIMARY),
    "effect.naive_warning.estimate": cells("effets", "estimate", design=NAIVE),
    "effect.naive_warning.p_value": cells("effets", "p_value", design=NAIVE),
    "effect.naive_warning.share": cells("hypotheses", "constate", plan=NAIVE, hypothese="academie_shocks"),
    "effect.sensitivity_alt.low": ends(f"variantes_{PRIMARY}", "estimate"),
    "effect.sensitivity_alt.high": ends(f"variantes_{PRIMARY}", "estimate"),
    "effect.events_alt.base": listed("effets", "pre"),
    "effect.events_alt.before": _events,
    "effect.events_alt.after": _events,
    "effect.span.low": _events,
    "effect.span.high": _events,
    "effect.pair.verdict": PHRASE,
    "effect.placebo_alt.count": cells("effets", "n_assignments", design=NAIVE),
    "effect.placebo_alt.estimate": cells("effets", "estimate", design=NAIVE),
    "effect.placebo_alt.share": cells("effets", "p_value", design=NAIVE),
    "gaps.conclusion_none.count": derived(lambda t: len(_family(t))),
    "gaps.falsification.estimate": lambda t: t["effets_ecarts"].loc[
        t["effets_ecarts"]["romano_wolf"].isna(), "estimate"
    ],
    "gaps.falsification.p_value": lambda t: t["effets_ecarts"].loc[t["effets_ecarts"]["romano_wolf"].isna(), "p_value"],
    # robustness
    "robust.leave_one_out.low": lambda t: _named(t, "without_"),
    "robust.leave_one_out.high": lambda t: _named(t, "without_"),
    "robust.dates.low": lambda t: _named(t, "from_"),
    "robust.dates.high": lambda t: _named(t, "from_"),
    "robust.honest_zero.low": cells("tendances", "low", bound=1),
    "robust.honest_zero.high": cells("tendances", "high", bound=1),
    **{
        f"robust.{name}.{place}": origin
        for name in ("curve_text", "curve_alt")
        for place, origin in (
            ("count", rows("combinaisons")),
            ("low", ends("combinaisons", "estimate")),
            ("high", ends("combinaisons", "estimate")),
            ("median", derived(lambda t: t["combinaisons"]["estimate"].median())),
            ("share", derived(lambda t: _same_sign(t["combinaisons"]["estimate"]))),
            ("significant", derived(lambda t: (t["combinaisons"]["p_value"] <= t["effets"]["alpha"].iloc[0]).sum())),
        )
    },
    # among published effects
    "context.alt.low": ends("effets_publies", "estimate"),
    "context.alt.high": ends("effets_publies", "estimate"),
    "context.alt.own": _ITT,
    "context.cost.cost": _COST,
    "context.cost.sequel": PHRASE,
    "context.cost_floor.low": cells("contexte", "bas", mesure="cost"),
    "context.intro.itt": _ITT,
    "context.intro.point": cells("contexte", "valeur", mesure="point"),
    **{f"context.{name}.{place}": _SHARE for name in ("diluted_known", "diluted_unknown") for place in ("low", "high")},
    **{
        f"context.{name}.treated_{place}": _TREATED
        for name in ("diluted_known", "diluted_unknown")
        for place in ("low", "high")
    },
    "context.prior.prior": cells("contexte", "valeur", mesure="prior"),
    "context.prior.prior_sd": cells("contexte", "valeur", mesure="prior_sd"),
    "context.prior.low": _POSTERIOR,
    "context.prior.high": _POSTERIOR,
    "context.prior.weight_low": _WEIGHT,
    "context.prior.weight_high": _WEIGHT,
    # the synthesis
    "synthesis.forest_alt.bottom_value": ends("effets_territoires", "estimate"),
    "synthesis.forest_alt.top_value": ends("effets_territoires", "estimate"),
    "synthesis.map_alt.low": ends("carte_dnb", "reussite"),
    "synthesis.map_alt.high": ends("carte_dnb", "reussite"),
    "synthesis.map_caption.period": cells("ecarts_academie", "session"),
    "synthesis.multiples_alt.count": derived(lambda t: t["ecarts_academie"].shape[1] - 1),
    "synthesis.multiples_alt.periods": lambda t: _range(t, "ecarts_academie", "session"),
    "together.intro.count": cells("douze_ensemble", "territoires"),
    "together.wave.count": cells("prochaine_vague", "treated"),
    # the data
    "quality.opening.needs": cells("bilan", "informations", statut="all"),
    "quality.opening.computable": cells("bilan", "informations", statut="computable"),
    "quality.opening.fetch": cells("bilan", "informations", statut="after_fetch"),
    "quality.opening.restricted": cells("bilan", "informations", statut="restricted"),
    "quality.opening.nowhere": cells("bilan", "informations", statut="nowhere"),
    "quality.opening.findings": PHRASE,
    "quality.opening.impossible": PHRASE,
    "quality.findings_many.count": rows("constats"),
    "quality.impossible_many.count": rows("constats", severity="impossible"),
    "quality.heat_note.total": rows("compteurs"),
    "quality.cell_part.count": either(
        *(cells(f"disponibilite_{name}", "territories", status="computable") for name in ("indicateurs", "autres"))
    ),
    "quality.cell_part.total": rows("compteurs"),
    "quality.reconciliation.agree": derived(
        lambda t: ((t["rapprochement"]["compared"] > 0) & (t["rapprochement"]["differing"] == 0)).sum()
    ),
    "quality.reconciliation.total": derived(lambda t: (t["rapprochement"]["compared"] > 0).sum()),
    **{
        f"quality.{rule}.{place}": lambda t, place=place: _said(t, place)
        for rule in (
            "counter_above_distinct",
            "counter_above_stock",
            "counter_above_tne_attendances",
            "counter_above_tne_pupils_reached",
        )
        for place in ("counted", "distinct", "stock", "announced")
    },
    "quality.counter_above_tne_attendances.ratio": cells("constats", "value", rule="counter_above"),
    "quality.counter_above_tne_pupils_reached.percent": cells("constats", "value", rule="counter_above"),
    # the grants
    **{
        f"socle.{place}": cells("faits_du_programme", column, fait=fact)
        for place, column, fact in (
            ("money.low", "bas", "budget_announced"),
            ("money.high", "haut", "budget_announced"),
            ("money.grants", "valeur", "grants"),
            ("money.spending", "valeur", "spending"),
            ("money.rate", "valeur", "grant_rate"),
            ("rates.small", "valeur", "grant_rate_small"),
            ("rates.large", "valeur", "grant_rate_large"),
            ("take_up.answers", "valeur", "survey_answers"),
            ("take_up.files", "valeur", "files_submitted"),
            ("take_up.retained", "valeur", "files_retained_share"),
            ("take_up.known_small", "valeur", "known_small"),
            ("take_up.known_large", "valeur", "known_large"),
            ("take_up.applied_small", "valeur", "applied_small"),
            ("take_up.applied_large", "valeur", "applied_large"),
        )
    },
    "socle.map_alt.low": ends("carte_aides", "euros_par_eleve"),
    "socle.map_alt.high": ends("carte_aides", "euros_par_eleve"),
    "socle.opening_totals.low": ends("regions", "euros_per_pupil"),
    "socle.opening_totals.high": ends("regions", "euros_per_pupil"),
    "socle.regions_text.ips": cells("ciblage_regions", "indice", besoin="ips"),
    "socle.regions_text.ifn": cells("ciblage_regions", "indice", besoin="ifn"),
    # the methods
    **{
        f"statistic.{name}.parameters": lambda t, name=name: _parameters(t, name)
        for name in ("atkinson", "generalized_entropy", "quantile_ratio", "share_ratio")
    },
    "methods.opening.agrees": derived(lambda t: _status(t, "agrees")),
    "methods.opening.computed": derived(lambda t: _status(t, "agrees") + _status(t, "differs")),
    "methods.opening.absent": derived(lambda t: _status(t, "no_data")),
    "methods.catalogue_caption.count": rows("catalogue"),
}


def _dates(tables: Tables, name: str) -> list[str]:
    return [day(pd.Timestamp(text).date()) for text in cells("exposition", "date", exposition=name)(tables)]


def _months(tables: Tables, column: str) -> list[str]:
    return [month(dt.date(int(value) // 100, int(value) % 100, 1)) for value in tables["compteurs"][column].dropna()]


def _range(tables: Tables, table: str, column: str) -> list:
    return [tables[table][column].min(), tables[table][column].max()]


def _school_years(tables: Tables, table: str, column: str) -> list[int]:
    first, last = _range(tables, table, column)
    return [first, last + 1]


def _named(tables: Tables, start: str) -> list:
    table = tables["robustesse"]
    return list(table.loc[table["id"].str.startswith(start), "estimate"])


def _same_sign(estimates: pd.Series) -> float:
    return (estimates * estimates.median() > 0).mean()


def _said(tables: Tables, place: str) -> list[int]:
    parts = [part for facts in tables["constats"]["facts"] for part in facts.split("; ")]
    return [int(part.partition(": ")[2]) for part in parts if part.startswith(f"{place}: ")]


def _parameters(tables: Tables, name: str) -> list[float]:
    labels = {label for table in tables.values() if "statistic" in table for label in table["statistic"]}
    return [float(part) for one in labels if one.startswith(f"{name}(") for part in one[len(name) + 1 : -1].split(",")]


def _status(tables: Tables, status: str) -> int:
    return sum(int((table["status"] == status).sum()) for name, table in tables.items() if name.startswith("valeurs_"))
