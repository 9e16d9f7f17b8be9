"""One converter for periods: whole numbers that sort, whatever the type.

school_year 2020 is 2020-2021 (its first year); exam_session 2021 is June 2021; year 2021 is the
calendar year; quarter 20213 is the third quarter of 2021; month 202503 is March 2025; date 20250331 is a day.
"""

from __future__ import annotations

import datetime as dt
import re

from tne_eval.errors import ContractError, Problem

PERIOD_TYPES = ("school_year", "exam_session", "year", "quarter", "month", "date")
_FORMS = {
    "school_year": re.compile(r"^(\d{4})(?:-(\d{4}|\d{2}))?$"),
    "exam_session": re.compile(r"^(\d{4})$"),
    "year": re.compile(r"^(\d{4})$"),
    "quarter": re.compile(r"^(\d{4})-?[QT]([1-4])$"),
    "month": re.compile(r"^(\d{4})-(0[1-9]|1[0-2])$"),
    "date": re.compile(r"^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"),
}


def parse_period(text: str, period_type: str) -> int:
    """`2020-2021` → 2020, `2021` → 2021, `2021-T3` → 20213, `2025-03` → 202503, `2025-03-31` → 20250331."""
    match = _FORMS[period_type].match(str(text).strip())
    consecutive = (
        period_type != "school_year"
        or match is None
        or match[2] is None
        or int(match[2]) % 100 == (int(match[1]) + 1) % 100
    )
    if match is None or not consecutive:
        raise ContractError(
            [Problem("(value)", None, None, repr(text)[:80], f"a period of type {period_type}", "Correct this cell.")]
        )
    if period_type in ("school_year", "exam_session", "year"):
        return int(match[1])
    return int("".join(group for group in match.groups() if group))


def quarter_of(date: str) -> int:
    """Quarter that holds a day: `2021-09-30` → 20213."""
    day = parse_period(date, "date")
    return day // 10_000 * 10 + (day // 100 % 100 - 1) // 3 + 1


def format_period(period: int, period_type: str) -> str:
    """The period as French readers write it: `2020-2021`, `2021`, `3e trim. 2021`, `03/2025`, `31/03/2025`."""
    text = str(int(period))
    if period_type == "school_year":
        return f"{text}\u2011{int(text) + 1}"  # no-break hyphen
    if period_type in ("exam_session", "year"):
        return text
    if period_type == "quarter":
        return f"{'1er' if text[4] == '1' else text[4] + 'e'} trim. {text[:4]}"
    if period_type == "month":
        return f"{text[4:6]}/{text[:4]}"
    return f"{text[6:8]}/{text[4:6]}/{text[:4]}"


def session_exposed(day: dt.date) -> int:
    """First exam session whose pupils were exposed from `day` on.

    The end of the school year that contains the day, or the next one when the day is after 31 December. School years
    run from September to August and sessions are held in June: both cases give the calendar year after the day's.
    """
    return day.year + 1


def first_exposed(period_type: str, day: dt.date) -> int:
    """First period that an exposure from `day` on can have changed.

    An exam session by `session_exposed`; a school year, counted at its beginning, the first one that begins after the
    day (1 September).
    """
    if period_type == "exam_session":
        return session_exposed(day)
    if period_type == "school_year":
        return day.year if (day.month, day.day) < (9, 1) else day.year + 1
    raise ContractError(
        [
            Problem(
                "(value)", None, None, period_type, "exam_session or school_year", "Choose an outcome of one of them."
            )
        ]
    )
