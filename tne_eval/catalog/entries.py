"""What a catalogue entry is: frozen dataclasses, read from TOML, one file an entry."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """A fact with its source. `value`, or `low`, `likely`, `high` where sources conflict.

    `flag`: V read in the source text; V2 read in a third-party note; D derived here; M background knowledge,
    not verified; C sources conflict; B from the programme's own presentation only; NF looked for, not found.
    """

    id: str
    label: str
    unit: str
    date: str
    source: str
    flag: str
    value: float | None = None
    low: float | None = None
    likely: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ComponentDates:
    """When one component (equipment, training, resources, parents) may first have reached pupils."""

    id: str
    label: str
    earliest: dt.date
    likely: dt.date
    latest: dt.date
    flag: str
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Exposure:
    """When pupils may first have been exposed: three dates, since announcement, convention and delivery differ.

    `components` holds those whose own dates are known.
    """

    earliest: dt.date
    likely: dt.date
    latest: dt.date
    flag: str
    source: str
    note: str = ""
    components: tuple[ComponentDates, ...] = ()


@dataclass(frozen=True, slots=True)
class TreatedShare:
    """Range of the share of pupils, or of schools, that the programme reached (0-1)."""

    low: float
    high: float
    flag: str
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Territory:
    id: str
    name: str
    in_text: str
    locative: str
    departement: str
    wave: int
    exposure: Exposure
    context: str = ""
    treated_share: TreatedShare | None = None
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A dated fact of a programme."""

    date: str
    label: str
    flag: str
    source: str


@dataclass(frozen=True, slots=True)
class Programme:
    id: str
    name: str
    label: str
    summary: str
    components: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Period:
    """A period that is left out or flagged, with the reason."""

    period: int
    why: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a raw file: its names (the first is the one we keep), type and bounds.

    `labels` are the other names that a header may carry; `*` stands for any text (a date in the header). `missing` are
    the cells that mean "not known"; with none, a blank is an error.
    """

    name: str
    labels: tuple[str, ...]
    type: str = "text"
    required: bool = True
    low: float | None = None
    high: float | None = None
    missing: tuple[str, ...] = ("",)
    values: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Sum:
    """Columns that must add up, row by row, to another column or to a fixed `value`, within `tolerance`.

    `apart` is a column that some editions count apart from the others: with or without it, the sum is right.
    """

    parts: tuple[str, ...]
    total: str = ""
    apart: str = ""
    value: float = 100.0
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """A file: who makes it, under which licence, how to get it, what its columns are, what to know before using it.

    `slug` names a data set of data.education.gouv.fr (Opendatasoft Explore v2.1), `query` what to ask the server for
    (`select`, `where`, `group_by`, `order_by`); elsewhere `download` is the https address of the file, where `{period}`
    stands for one of `periods`. `access` is open, or restricted where no public file exists. `max_mb` caps a download.
    An open source with neither `slug` nor `download` is taken by hand from its `url` and imported.
    `years` says what is covered; `breaks` are the periods from which the series starts anew; `small_cells` is the
    producer's own rule of secrecy.
    `files` are glob patterns of file names; several files that match are read one after the other. `keep` gives, by
    column, the values of the rows that concern us: other rows are not read. `at_most` pairs are (small, large).
    """

    id: str
    label: str
    producer: str
    licence: str
    url: str
    vintage: str
    grain: str
    files: tuple[str, ...]
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    separator: str = ";"
    decimal: str = "."
    header_row: int = 1
    keep: dict = field(default_factory=dict)
    at_most: tuple[tuple[str, str], ...] = ()
    sums: tuple[Sum, ...] = ()
    quirks: tuple[str, ...] = ()
    citation: str = ""
    slug: str = ""
    download: str = ""
    periods: tuple[str, ...] = ()
    query: dict = field(default_factory=dict)
    access: str = "open"
    max_mb: int = 500
    years: str = ""
    breaks: tuple[Period, ...] = ()
    small_cells: str = ""


@dataclass(frozen=True, slots=True)
class ExampleRows:
    """Rows of a small panel, by columns: a unit and a value of each variable in every row; one period.

    `group` and `n` are by row, or empty: no group, and one school a row.
    """

    unit: tuple[str, ...]
    variables: dict
    period: int
    group: tuple[str, ...] = ()
    n: tuple[float, ...] = ()
    unit_type: str = "departement"


@dataclass(frozen=True, slots=True)
class Example:
    """A small panel and the values that it must give, by unit; `why` is the arithmetic, to be checked by hand."""

    why: str
    rows: tuple[ExampleRows, ...]
    expected: dict


@dataclass(frozen=True, slots=True)
class Indicator:
    """A statistic: formula, inputs (names of panel variables), unit, direction and French words for readers.

    `breaks` are the periods from which the series starts anew: values on two sides of one are never subtracted.
    `needs` are the sources to fetch before it can be computed; empty where the shipped figures are enough.
    `smallest_readable_gap`: a gap of this size or less is not to be read (0: its producer gives no such rule).
    """

    id: str
    label: str
    family: str
    question: str
    formula: str
    unit: str
    direction: str
    period_type: str
    reference: str
    reading: str
    inputs: dict = field(default_factory=dict)
    decimals: int = 1
    breaks: tuple[int, ...] = ()
    needs: tuple[str, ...] = ()
    smallest_readable_gap: float = 0.0
    caveats: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()

    def breaks_between(self, first: int, last: int) -> tuple[int, ...]:
        """Breaks of the series that lie between two periods: the values on their two sides are not comparable."""
        low, high = sorted((first, last))
        return tuple(period for period in self.breaks if low < period <= high)

    def is_readable(self, gap: float) -> bool:
        """Whether a gap is larger than the smallest that may be read."""
        return abs(gap) > self.smallest_readable_gap or self.smallest_readable_gap == 0


@dataclass(frozen=True, slots=True)
class Deviation:
    """What was done otherwise than the plan said, since it was registered."""

    date: dt.date
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Design:
    """The pre-analysis plan of one effect. Its hash, over the plan and the exposure dates, is printed in the report.

    `role`: primary, contrast (shown for what most software would print), secondary or falsification (an outcome that
    the programme can hardly move). Designs of one `family` are tested together. `size`: variable of the panel that
    gives the size of a département, summed over groups. `covariates`: indicators whose change adjusts a variant.
    """

    id: str
    label: str
    short: str
    role: str
    outcome: str
    unit: str
    treated: tuple[str, ...]
    pool: str
    strata: str
    first_period: int
    last_period: int
    excluded: tuple[Period, ...]
    breaks: tuple[Period, ...]
    doubtful: tuple[Period, ...]
    estimators: tuple[str, ...]
    inference: str
    alpha: float
    power: float
    equivalence_margin: float
    max_enumeration: int
    draws: int
    seed: int
    min_reference_stratum: int
    max_academie_share: float
    registered_on: dt.date
    rationale: str
    hash: str
    family: str = ""
    component: str = ""
    size: str = ""
    covariates: tuple[str, ...] = ()
    deviations: tuple[Deviation, ...] = ()


@dataclass(frozen=True, slots=True)
class VerdictRule:
    """A verdict and the facts that must hold for it, all of them; `why` says what it means."""

    verdict: str
    when: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class PublishedEffect:
    """An effect that others published, in standard deviations; `value`, or `low` and `high` where a range was given."""

    id: str
    study: str
    setting: str
    outcome: str
    flag: str
    source: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class EffectPrior:
    """What was believed of the effect on exposed pupils before our data: a normal law, in standard deviations."""

    mean: float
    sd: float
    flag: str
    source: str
    note: str


@dataclass(frozen=True, slots=True)
class EffectContext:
    """The published effects, the prior that they support, the share of pupils reached supposed where none is known."""

    prior: EffectPrior
    unknown_share: TreatedShare
    effect: tuple[PublishedEffect, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """One of the levels of a composite."""

    id: str
    label: str


@dataclass(frozen=True, slots=True)
class CompositePart:
    """An indicator of a composite: its period, which values are better, its level, its weight in a budget of 1."""

    indicator: str
    direction: str
    period: int
    level: str | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite indicator: its parts, the choices made, and those held to be as defensible.

    `normalisation`, `weighting` and `aggregation` are the choices made; their plurals and `leave_one_out` the
    alternatives under which ranks are computed again.
    """

    id: str
    label: str
    normalisation: str
    weighting: str
    aggregation: str
    normalisations: tuple[str, ...]
    weightings: tuple[str, ...]
    aggregations: tuple[str, ...]
    leave_one_out: bool
    reference: str
    reading: str
    levels: tuple[Level, ...]
    components: tuple[CompositePart, ...]
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedValue:
    """A value that others published, and how to compute it again.

    `data` names a sample of published_values.toml or a published file; `rows` the rows that its authors keep (all,
    floored: negative values set to zero, positive). `call` is statistic (the value of `statistic`), error (its
    linearised standard error) or a function of segregation, between `groups` where it compares two. `limit` is the
    largest difference accepted.
    """

    id: str
    family: str
    label: str
    data: str
    call: str
    published: float
    limit: float
    source: str
    statistic: str = ""
    rows: str = "all"
    groups: tuple[str, ...] = ()
    separator: str = ","


@dataclass(frozen=True, slots=True)
class Question:
    """One of the fifteen questions, and what it takes to answer it."""

    id: str
    text: str
    answerable: str
    how: str
