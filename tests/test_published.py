"""Every published value of the catalogue is found again."""

import pytest

from tne_eval.catalog import published_values
from tne_eval.indicators import check_published_values

IDS = [entry.id for entry in published_values()[1]]


def test_small_samples_need_no_file():
    table = check_published_values()
    samples, entries = published_values()
    with_sample = {entry.id for entry in entries if entry.data in samples}
    assert set(table.loc[table["status"] == "agrees", "id"]) == with_sample
    assert set(table.loc[table["status"] == "no_data", "id"]) == set(IDS) - with_sample


@pytest.fixture(scope="module")
def table(opendata):
    return check_published_values(opendata.parent / "reference-data").set_index("id")


@pytest.mark.opendata
@pytest.mark.parametrize("id", IDS)
def test_published_value_is_found_again(table, id):
    row = table.loc[id]
    assert row["status"] == "agrees", f"published {row['published']}, computed {row['computed']}"


def test_a_wrong_value_would_be_seen(monkeypatch):
    import dataclasses

    from tne_eval.indicators import published

    samples, entries = published_values()
    wrong = dataclasses.replace(entries[0], published=entries[0].published + 1e-6)
    monkeypatch.setattr(published, "published_values", lambda: (samples, (wrong,)))
    assert list(check_published_values()["status"]) == ["differs"]
