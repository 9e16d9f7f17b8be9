"""What several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def opendata() -> Path:
    """Folder of the raw open-data files: TNE_EVAL_OPENDATA, or ../shared/opendata beside the checkout.

    Without it, tests that need it are skipped; with TNE_EVAL_REQUIRE_OPENDATA=1 they fail.
    """
    named = os.environ.get("TNE_EVAL_OPENDATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "opendata"
    if folder.is_dir():
        return folder
    reason = f"no raw open data in {folder}: set TNE_EVAL_OPENDATA to their folder"
    if os.environ.get("TNE_EVAL_REQUIRE_OPENDATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def reference_data(opendata):
    """Reader of the published reference data sets, which lie beside the raw open data."""
    import pandas as pd

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(opendata.parent / "reference-data" / name)

    return read


@pytest.fixture(scope="session")
def panel():
    """The shipped panel."""
    import tne_eval as tne

    return tne.load_panel()
