"""Periods: one whole number that sorts, whatever the type."""

from __future__ import annotations

import datetime as dt

import pytest

from tne_eval.errors import ContractError
from tne_eval.sources.periods import PERIOD_TYPES, format_period, parse_period, quarter_of, session_exposed


@pytest.mark.parametrize(
    ("text", "period_type", "period", "shown"),
    [
        ("2020-2021", "school_year", 2020, "2020\u20112021"),
        ("2020-21", "school_year", 2020, "2020\u20112021"),
        ("1999-2000", "school_year", 1999, "1999\u20112000"),
        ("2020", "school_year", 2020, "2020\u20112021"),
        (" 2021 ", "exam_session", 2021, "2021"),
        ("2020", "year", 2020, "2020"),
        ("2021-T3", "quarter", 20213, "3e trim. 2021"),
        ("2021Q1", "quarter", 20211, "1er trim. 2021"),
        ("2025-03", "month", 202503, "03/2025"),
        ("2025-03-31", "date", 20250331, "31/03/2025"),
    ],
)
def test_a_period_is_read_and_shown(text, period_type, period, shown):
    assert parse_period(text, period_type) == period
    assert format_period(period, period_type) == shown
    assert period_type in PERIOD_TYPES


@pytest.mark.parametrize(
    ("text", "period_type"),
    [
        ("2020-2022", "school_year"),
        ("2020-20", "school_year"),
        ("2020/2021", "school_year"),
        ("20", "exam_session"),
        ("2021-06", "exam_session"),
        ("44197", "date"),
        ("2025-13-01", "date"),
        ("2025-3", "month"),
        ("2021-T5", "quarter"),
        ("", "year"),
    ],
)
def test_what_is_no_period_is_refused(text, period_type):
    with pytest.raises(ContractError):
        parse_period(text, period_type)


@pytest.mark.parametrize(
    ("day", "quarter"),
    [("2021-01-01", 20211), ("2021-03-31", 20211), ("2021-04-01", 20212), ("2022-09-01", 20223), ("2017-12-31", 20174)],
)
def test_the_quarter_of_a_day(day, quarter):
    assert quarter_of(day) == quarter


def test_the_first_exposed_session_is_that_of_the_next_calendar_year():
    assert session_exposed(dt.date(2020, 9, 21)) == 2021
    assert session_exposed(dt.date(2021, 2, 1)) == 2022
