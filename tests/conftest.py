"""What several test files share."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
from pathlib import Path

import hypothesis
import pytest

# How long a case takes says what else the machine is doing.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

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


@pytest.fixture(scope="session")
def reports(tmp_path_factory, worker_id):
    """The folder of all the real reports and what making them gave: made once, whatever the number of workers."""
    from tne_eval.report import make_all_reports

    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    out, record = shared / "all-reports", shared / "all-reports.pickle"
    with (shared / "all-reports.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            record.write_bytes(pickle.dumps(make_all_reports(out)))
    return out, pickle.loads(record.read_bytes())


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser that Debian ships; in CI it must be there."""
    if path := shutil.which("chromium") or shutil.which("chromium-browser"):
        return path
    reason = "Chromium is not on this machine (Debian: apt install chromium)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser(chromium_path):
    """Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()
