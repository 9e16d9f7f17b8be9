"""Every published effect of the catalogue is found again."""

import dataclasses

import pytest

from tne_eval.catalog import published_estimates
from tne_eval.impact import check_published_estimates, published

IDS = [entry.id for entry in published_estimates()]


def test_without_the_files_nothing_is_claimed():
    table = check_published_estimates()
    assert list(table["id"]) == IDS and set(table["status"]) == {"no_data"}


@pytest.fixture(scope="module")
def table(opendata):
    return check_published_estimates(opendata.parent / "reference-data").set_index("id")


@pytest.mark.opendata
@pytest.mark.parametrize("id", IDS)
def test_published_effect_is_found_again(table, id):
    row = table.loc[id]
    assert row["status"] == "agrees", f"published {row['published']}, computed {row['computed']}"


@pytest.mark.opendata
def test_a_wrong_value_would_be_seen(opendata, monkeypatch):
    entry = published_estimates()[0]
    wrong = dataclasses.replace(entry, published=entry.published + 1e-6)
    monkeypatch.setattr(published, "published_estimates", lambda: (wrong,))
    assert list(check_published_estimates(opendata.parent / "reference-data")["status"]) == ["differs"]
