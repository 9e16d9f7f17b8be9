"""Numbers, dates and sentences for French readers."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
import string
from collections.abc import Iterable

from tne_eval.catalog import read_sentences
from tne_eval.errors import UnknownNameError

NARROW = "\u202f"  # narrow no-break space: thousands, and before ; ? !
HARD = "\u00a0"  # no-break space: before % and units, and before :
MINUS = "\u2212"
UNKNOWN = "n.d."
_MONTHS = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)


def typeset(text: str) -> str:
    """French typography over plain text: no-break spaces before : ; ? ! % € » and after «, curved apostrophes."""
    text = re.sub(r" ([;!?])", rf"{NARROW}\1", text)
    text = re.sub(r" ([:%€»])", rf"{HARD}\1", text)
    text = text.replace("« ", f"«{HARD}")
    return re.sub(r"(?<=\w)'(?=\w|$)", "’", text)


def number(value: float | None, decimals: int = 0, *, sign: bool = False) -> str:
    """`1234.5` → `1 234,5` (narrow no-break space, comma, U+2212); nothing or NaN → `n.d.`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{abs(value):,.{decimals}f}".replace(",", NARROW).replace(".", ",")
    is_zero = not any(char in "123456789" for char in text)
    if is_zero:
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def percent(value: float | None, decimals: int = 1) -> str:
    """A percentage given on 0-100: `84.53` → `84,5 %`."""
    text = number(value, decimals)
    return text if text == UNKNOWN else f"{text}{HARD}%"


def points(value: float | None, decimals: int = 1, *, sign: bool = True) -> str:
    """A difference of percentages: `-2.54` → `−2,5 points`; singular below two in absolute value."""
    text = number(value, decimals, sign=sign)
    if text == UNKNOWN:
        return text
    return f"{text}{HARD}point{'s' if abs(round(value, decimals)) >= 2 else ''}"


def probability(value: float | None) -> str:
    """A p-value: three decimals, never `0,000`."""
    if value is not None and 0 < value < 0.001:
        return f"<{HARD}0,001"
    return number(value, 3)


def money(value: float | None) -> str:
    """Euros: `27_300_000` → `27,3 millions d'euros`."""
    if value is not None and abs(value) >= 1_000_000:
        return f"{number(value / 1e6, 1)}{HARD}million{'s' if abs(value) >= 2e6 else ''} d'euros"
    text = number(value)
    return text if text == UNKNOWN else f"{text}{HARD}€"


def day(value: dt.date) -> str:
    """`2020-09-01` → `1er septembre 2020`."""
    return f"{'1er' if value.day == 1 else value.day}{HARD}{_MONTHS[value.month - 1]} {value.year}"


def month(value: dt.date) -> str:
    """`2022-09-01` → `septembre 2022`."""
    return f"{_MONTHS[value.month - 1]} {value.year}"


def date_text(written: str) -> str:
    """`2021-03-31` → `31 mars 2021`, `2021-06` → `juin 2021`; what is neither a day nor a month stays as it is."""
    for form, said in (("%Y-%m-%d", day), ("%Y-%m", month)):
        with contextlib.suppress(ValueError):
            return said(dt.datetime.strptime(written, form).date())
    return written


def listing(items: Iterable[str]) -> str:
    """`a, b et c`."""
    items = list(items)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} et {items[-1]}" if items else ""


def of(name: str) -> str:
    """`d'Amiens`, `de Versailles`."""
    return f"d'{name}" if name[:1] in "AEIOUYÉÈ" else f"de {name}"


def years(periods: Iterable[int]) -> str:
    """`[2016, 2017, 2018, 2019]` → `2016-2019`; gaps are kept: `2016-2019 et 2021`."""
    runs: list[list[int]] = []
    for period in sorted(periods):
        if runs and period == runs[-1][-1] + 1:
            runs[-1].append(period)
        else:
            runs.append([period])
    return listing(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


_FORMATS = {
    "percent": percent,
    "points": points,
    "count": lambda value, decimals=0: number(value, 0),
    "index": number,
    "ratio": number,
    "score": number,
    "test_points": number,
    "ips_points": lambda value, decimals: points(value, decimals, sign=False),
}


def amount(value: float | None, unit: str, decimals: int = 1) -> str:
    """A value in a unit of the catalogue, as readers see it: percent, points, count, index, ratio, score, test_points,
    ips_points."""
    return _FORMATS[unit](value, decimals)


def capital(text: str) -> str:
    """First letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def phrase(key: str, /, **values: str) -> str:
    """A text of the catalogue (`section.name`) with its places filled, as it goes inside a sentence.

    Raises UnknownNameError when the text does not exist, or when a place has no value.
    """
    section, _, name = key.partition(".")
    texts = read_sentences()
    if name not in texts.get(section, {}):
        raise UnknownNameError("sentence", key, [f"{part}.{text}" for part in texts for text in texts[part]])
    template = texts[section][name]
    missing = {place for _, place, _, _ in string.Formatter().parse(template) if place} - set(values)
    if missing:
        raise UnknownNameError(f"value for the sentence {key!r}:", min(missing), values)
    return typeset(template.format(**values))


def sentence(key: str, /, **values: str) -> str:
    """The same text with a capital letter."""
    return capital(phrase(key, **values))
