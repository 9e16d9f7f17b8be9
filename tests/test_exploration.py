"""The exploration: what it computes, what it says when the plan is left, and the notebook driven in JupyterLab."""

import base64
import contextlib
import dataclasses
import itertools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from tne_eval.catalog import get_design
from tne_eval.errors import DesignError, MissingDataError, ReportError, UnknownNameError
from tne_eval.impact import estimate_impact
from tne_eval.impact.plan import compare
from tne_eval.report import execute_notebook, explore_widget
from tne_eval.report.explore import (
    declared_periods,
    explorable_designs,
    exploration_html,
    explore,
    export_exploration,
    keep_periods,
    verdict_in_words,
)
from tne_eval.report.explore_widget import exploration_widget
from tne_eval.report.facts import gather_territory
from tne_eval.report.tutorial import explain_refusal, invented_schools
from tne_eval.results import Verdict

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
# What a reader waits for is under a second; a machine that runs other tests at once may take longer.
SECONDS = 10.0
STEMS = ("indicateur_vienne", "evenements", "placebos")


@pytest.fixture(scope="module")
def lab(tmp_path_factory, chromium_path):
    """JupyterLab on a free port, on a copy of the notebooks: (address, token, folder)."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "notebooks"
    folder.mkdir()
    shutil.copy(NOTEBOOKS / "exploration.ipynb", folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    own = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    words = (
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",
        # A run that is killed leaves no server behind.
        "--MappingKernelManager.cull_idle_timeout=120",
        "--MappingKernelManager.cull_interval=30",
        "--MappingKernelManager.cull_connected=True",
        "--ServerApp.shutdown_no_activity_timeout=180",
    )
    settings = home / "JUPYTER_CONFIG_DIR" / "labconfig"
    settings.mkdir(parents=True)
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (settings / "page_config.json").write_text(json.dumps(quiet), encoding="utf-8")
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, *words], env=os.environ | own, stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, token, server, home / "server.log")
        yield address, token, folder
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)


def _wait_for(address, token, server, log):
    for _ in range(120):
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}/api/status?token={token}", timeout=2).close()
            return
        time.sleep(0.25)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="module")
def notebook(lab, browser):
    """The page of exploration.ipynb with every cell run, and what its console said."""
    address, token, folder = lab
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/lab/tree/exploration.ipynb?token={token}")
    _idle(page)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.locator(".tne-verdict").wait_for(timeout=60_000)
    _idle(page)
    return page, complaints, folder


# Before the kernel is connected the indicator already says idle, and a run opens a dialog.
_CONNECTED = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
  return context?.isReady && context.session?.kernel?.connectionStatus === "connected"
    && context.session.kernel.status === "idle";
}"""


def _idle(page):
    page.wait_for_function(_CONNECTED, timeout=60_000)
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').first.wait_for(timeout=60_000)


# Read at one instant: between two reads the kernel may have sent something else.
_VIEW = """() => {
  const view = document.querySelector(".tne-exploration");
  const text = name => view.querySelector(name)?.innerText ?? "";
  return [text(".tne-verdict"), text(".tne-deviation"), [...view.querySelectorAll("img")].map(image => image.src)];
}"""


def _seen(page):
    """[verdict, deviation, sources of the figures]"""
    return page.evaluate(_VIEW)


def _changed(page, before):
    """What is seen once verdict and figures differ from `before`."""
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        now = _seen(page)
        if now[0] != before[0] and now[2] != before[2]:
            return now
        time.sleep(0.02)
    pytest.fail(f"nothing changed within {SECONDS} s")


@pytest.mark.navigateur
def test_a_new_territory_changes_verdict_and_figures(notebook):
    page, _complaints, _folder = notebook
    before = _seen(page)
    assert "l’Aisne" in before[0] and before[1] == "" and len(before[2]) == 3
    page.get_by_label("Territoire").select_option("Vienne")
    now = _changed(page, before)
    assert "la Vienne" in now[0] and now[1] == ""
    assert all(source.startswith("data:image/png;base64,") for source in now[2])


@pytest.mark.navigateur
def test_arrow_keys_leave_the_plan_and_a_button_comes_back(notebook):
    page, _complaints, _folder = notebook
    before = _seen(page)
    handle = page.locator(".noUi-handle-upper")
    handle.focus()
    page.keyboard.press("ArrowLeft")
    now = _changed(page, before)
    assert "Écart au plan déclaré" in now[1] and now[0].startswith("Hors plan")
    page.get_by_role("button", name="Revenir au plan déclaré").focus()
    page.keyboard.press("Enter")
    again = _changed(page, now)
    assert again == before


@pytest.mark.navigateur
def test_the_keyboard_alone_reaches_every_control(notebook):
    page, _complaints, _folder = notebook
    page.get_by_label("Territoire").focus()
    reached = []
    for _ in range(9):
        reached.append(page.evaluate("document.activeElement.tagName + ' ' + document.activeElement.className"))
        page.keyboard.press("Tab")
    assert [text.split()[0] for text in reached] == [*["SELECT"] * 3, *["DIV"] * 3, "SELECT", *["BUTTON"] * 2]
    assert ["noUi-handle" in text for text in reached[3:6]] == [True, True, False]


@pytest.mark.navigateur
def test_what_is_seen_is_exported_once_more_each_time(notebook):
    page, _complaints, folder = notebook
    before = _seen(page)
    button = page.get_by_role("button", name="Enregistrer ce que je vois")
    for name in ("vienne-dnb_within_academie", "vienne-dnb_within_academie-2"):
        button.click()
        page.get_by_text(f"{name}", exact=False).and_(page.locator("[role=status]")).wait_for(timeout=30_000)
        place = folder.parent / "reports" / "exploration" / name
        images = [base64.b64encode((place / f"{stem}.png").read_bytes()).decode() for stem in STEMS]
        assert [f"data:image/png;base64,{image}" for image in images] == before[2]
        assert (place / "verdict.txt").read_text(encoding="utf-8").splitlines()[0] == before[0].splitlines()[0]


@pytest.mark.navigateur
def test_a_refusal_is_shown_as_one(notebook):
    page, _complaints, _folder = notebook
    before = _seen(page)
    page.get_by_label("Territoire").select_option("Guadeloupe")
    now = _changed(page, before)
    assert now[0].startswith("Comparaison impossible") and len(now[2]) == 1


@pytest.mark.navigateur
def test_the_console_is_silent(notebook):
    _page, complaints, _folder = notebook
    assert complaints == []


# --- without a browser ---------------------------------------------------------------------------------------


def by_hand(panel, periods, unit="02", peers=("60", "80"), first=2021, breaks=(2024,)):
    """The difference in differences of one département, from the counts of candidates."""
    rows = panel[(panel["unit_type"] == "departement") & panel["variable"].isin(["dnb_admitted", "dnb_present"])]
    counts = rows.pivot_table(
        index=["unit", "period"], columns="variable", values="value", aggfunc="sum", observed=True
    )
    rate = (100 * counts["dnb_admitted"] / counts["dnb_present"]).unstack("period")
    pre = [period for period in periods if period < first]
    post = [period for period in periods if period >= first and period not in breaks]
    change = rate[post].mean(axis=1) - rate[pre].mean(axis=1)
    return change[unit] - change[list(peers)].mean()


def test_the_whole_plan_gives_the_effect_of_the_plan(panel):
    seen = explore(panel, "aisne", "dnb_within_academie")
    effect = estimate_impact("dnb_within_academie", panel, "aisne")
    assert seen.result.to_dict() == effect.to_dict()
    assert seen.deviation == "" and seen.label == "Non concluant"
    assert seen.periods == seen.declared == (2016, 2017, 2018, 2019, 2021, 2022, 2023, 2024)
    assert [picture.name for picture in seen.figures] == ["indicateur_aisne", *STEMS[1:]]
    for picture in seen.figures:
        assert picture.png.startswith(b"\x89PNG") and picture.alt and picture.caption and len(picture.data)
    assert "−1,4\u00a0point" in seen.text and "l’Aisne" in seen.text
    assert explore(panel, "aisne", "dnb_within_academie", reversed(seen.declared)).deviation == ""


@pytest.mark.parametrize("periods", [range(2017, 2020), (2018, 2019, 2021), (2017, 2018, 2019, 2021, 2022, 2023)])
def test_other_years_give_another_effect_and_say_so(panel, periods):
    kept = [*periods] if max(periods) > 2020 else [*periods, 2022]
    before = pd.util.hash_pandas_object(panel).sum()
    seen = explore(panel, "aisne", "dnb_within_academie", kept)
    assert seen.result.estimate == pytest.approx(by_hand(panel, kept), abs=1e-10)
    assert (*seen.result.pre, *seen.result.post) == tuple(kept)
    assert "Écart au plan déclaré" in seen.deviation and "2016-2019 et 2021-2024" in seen.deviation
    assert seen.label.startswith("Hors plan")
    assert not seen.to_frame()["plan_followed"].item()
    assert pd.util.hash_pandas_object(panel).sum() == before and panel.attrs["origin"]["kind"] == "embedded"


def test_too_few_years_are_a_refusal_not_a_crash(panel):
    for kept, words in (((2019, 2021), "Trop peu de sessions"), ((2016, 2017, 2018), "s’arrêtent avant")):
        seen = explore(panel, "aisne", "dnb_within_academie", kept)
        assert seen.result.verdict is Verdict.REFUSED and words in seen.text
        assert seen.label.startswith("Hors plan") and len(seen.figures) == 1


def test_every_range_of_years_has_its_words(panel):
    """No range of the slider gives an error or an empty sentence."""
    for design, places in (
        ("dnb_within_academie", ("val-d-oise", "guadeloupe")),
        ("segregation_falsification", ("corse-du-sud",)),
    ):
        declared = declared_periods(panel, design)
        plan = get_design(design)
        for first, last in itertools.combinations_with_replacement(range(len(declared)), 2):
            used = keep_periods(panel, plan, declared[first : last + 1])
            for territory in places:
                text = verdict_in_words(estimate_impact(design, used, territory))
                assert text.endswith(".") and "n.d." not in text and "nan" not in text


def test_weights_leave_no_gap_in_the_words(panel):
    """By size there is no interval and no detectable effect: neither is spoken of, nor put on one treated territory."""
    texts = {}
    for design in explorable_designs(panel):
        for territory in (None, "aisne", "isere"):
            result = estimate_impact(design.id, panel, territory, "size")
            text = texts[result.verdict] = verdict_in_words(result)
            assert text.endswith(".") and "n.d." not in text and "nan" not in text
            if result.verdict is Verdict.REFUSED:
                continue
            loud = verdict_in_words(dataclasses.replace(result, verdict=Verdict.CREDIBLE))
            assert ("un seul territoire traité" in loud) is (territory is not None), loud
    assert Verdict.UNDERPOWERED in texts


@pytest.mark.parametrize(
    ("territory", "design", "periods", "error", "words"),
    [
        ("aisn", "dnb_naive", None, UnknownNameError, "aisne"),
        ("aisne", "dnb_naif", None, UnknownNameError, "dnb_naive"),
        ("aisne", "dnb_naive", (2019, 2020, 2031), DesignError, "2020, 2031"),
        ("aisne", "dnb_naive", (), DesignError, "no period"),
        ("aisne", "eval6e_maths_score_national", None, MissingDataError, "not in the panel"),
    ],
)
def test_bad_choices_are_refused(panel, territory, design, periods, error, words):
    with pytest.raises(error) as caught:
        explore(panel, territory, design, periods)
    assert words in str(caught.value)


def test_only_designs_whose_figures_are_there_are_offered(panel):
    names = [design.id for design in explorable_designs(panel)]
    assert names[:2] == ["dnb_within_academie", "dnb_naive"] and "segregation_falsification" in names
    assert not any("eval6e" in name for name in names)


def test_the_pair_shows_both_curves_and_a_falsification_its_own_unit(panel):
    seen = explore(panel, None, "segregation_falsification", range(2015, 2024))
    assert [picture.name for picture in seen.figures][:2] == ["indicateur_aisne", "indicateur_val_d_oise"]
    assert "les deux démonstrateurs" in seen.text and "point" not in seen.text.split("tendance")[0]
    assert "2015\u20112016 à 2023\u20112024" in seen.deviation


def test_texts_stay_inert(panel):
    hostile = "<img src=x onerror=alert(1)>\"'<script>alert(1)</script>"
    seen = explore(panel, "guadeloupe", "dnb_within_academie")
    picture = dataclasses.replace(seen.figures[0], caption=hostile, alt=hostile)
    page = exploration_html(
        dataclasses.replace(seen, label=hostile, text=hostile, deviation=hostile, figures=(picture,))
    )
    assert "<script" not in page and page.count("<img") == 1 and page.count("&lt;script") == 5


def test_an_export_never_writes_over(panel, tmp_path):
    seen = explore(panel, "aisne", "dnb_naive", (2017, 2018, 2019, 2021, 2022))
    places = [export_exploration(seen, tmp_path) for _ in range(3)]
    assert [place.name for place in places] == ["aisne-dnb_naive", "aisne-dnb_naive-2", "aisne-dnb_naive-3"]
    for place in places:
        files = {path.name: path.read_bytes() for path in place.iterdir()}
        assert len(files) == 2 + 2 * len(seen.figures)
        assert files["evenements.png"] == seen.figures[1].png
        assert files["verdict.txt"].decode().startswith("Écart au plan déclaré")
        table = pd.read_csv(place / "resultat.csv")
        assert table["estimate"].item() == pytest.approx(seen.result.estimate) and not table["plan_followed"].item()


@pytest.fixture
def controls(panel, tmp_path):
    return exploration_widget(panel, folder=tmp_path)


def test_widgets_follow_each_other(controls, panel, monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments[1:])
        return explore(*arguments)

    monkeypatch.setattr(explore_widget, "explore", counted)
    assert controls.comparison.value == "dnb_within_academie" and not controls.comparison.disabled
    controls.outcome.value = "segregation_entropy"
    assert controls.comparison.value == "segregation_falsification" and controls.comparison.disabled
    assert controls.periods.value == (2014, 2024) and controls.shown.deviation == ""
    controls.periods.value = (2016, 2023)
    assert controls.shown.periods == tuple(range(2016, 2024)) and "Écart au plan" in controls.view.value
    controls.plan.click()
    assert controls.shown.deviation == "" and controls.periods.value == (2014, 2024)
    controls.outcome.value = "dnb_success_percent"
    controls.comparison.value = "dnb_naive"
    assert controls.shown.result.design.id == "dnb_naive"
    controls.comparison.value = "dnb_within_academie"
    controls.territory.value = ""
    assert controls.shown.result.to_dict() == estimate_impact("dnb_within_academie", panel).to_dict()
    within = "dnb_within_academie"
    assert [design for _territory, design, *_ in calls] == [
        *["segregation_falsification"] * 3,
        *[within, "dnb_naive", within, within],
    ]


def test_weights_leave_the_plan_and_come_back(controls):
    plan = controls.shown
    controls.weights.value = "size"
    weighed = controls.shown
    assert weighed.weights == "size" and weighed.result.estimate != plan.result.estimate
    assert "selon leur nombre de candidats" in weighed.deviation and weighed.label.startswith("Hors plan")
    assert [figure.png for figure in weighed.figures[1:]] != [figure.png for figure in plan.figures[1:]]
    assert not weighed.to_frame()["plan_followed"].item()
    controls.plan.click()
    assert controls.weights.value == "equal" and controls.shown.result.to_dict() == plan.result.to_dict()


def test_weights_by_size_are_those_of_the_candidates(panel):
    """Aisne beside Oise and Somme, each with the mean number of its candidates, by hand."""
    rows = panel[(panel["variable"] == "dnb_present") & (panel["unit_type"] == "departement")]
    size = rows.groupby(["unit", "period"], observed=True)["value"].sum().groupby("unit", observed=True).mean()
    seen = explore(panel, "aisne", "dnb_within_academie", weights="size").result
    change = compare("dnb_within_academie", panel, "aisne")
    change = change.table[list(seen.post)].mean(axis=1) - change.table[list(seen.pre)].mean(axis=1)
    expected = change["02"] - (size["60"] * change["60"] + size["80"] * change["80"]) / (size["60"] + size["80"])
    assert seen.estimate == pytest.approx(expected, rel=1e-12)
    assert seen.units["estimate"].item() == pytest.approx(expected, rel=1e-12)
    assert seen.low is None and seen.mde is None and seen.reference is None
    with pytest.raises(DesignError, match="choose among equal, size"):
        explore(panel, "aisne", "dnb_within_academie", weights="pupils")


def test_the_export_button_says_where(controls, tmp_path):
    controls.export.click()
    assert str(tmp_path / "aisne-dnb_within_academie") in controls.message.value
    controls.territory.value = "vienne"
    assert controls.message.value == ""


def test_a_widget_for_what_is_not_there_is_refused(panel):
    with pytest.raises(DesignError):
        exploration_widget(panel, design="eval6e_maths_score_national")
    with pytest.raises(UnknownNameError):
        exploration_widget(panel, territory="aisn")


# --- tutorial ------------------------------------------------------------------------------------------------


def test_the_tutorial_runs_from_a_question_to_a_report(tmp_path):
    book = execute_notebook(
        NOTEBOOKS / "tutoriel.ipynb", {"report_folder": str(tmp_path / "out")}, tmp_path / "done.ipynb", "fork"
    )
    outputs = {cell["id"]: cell["outputs"] for cell in book.cells if cell["cell_type"] == "code"}
    assert not any(output["output_type"] in ("stream", "error") for own in outputs.values() for output in own)
    shown = [str(output.get("data", {}).get("text/html", "")) for own in outputs.values() for output in own]
    refusals = [text for text in shown if "Ce que dit le refus" in text]
    kinds = ["UnknownNameError", "MissingDataError", "DesignError", "ReportError"]
    assert len(refusals) == 4 and all(kind in text for kind, text in zip(kinds, refusals, strict=True))
    assert (tmp_path / "out" / "aisne" / "latest.html").is_file()


def test_a_refusal_that_does_not_come_is_an_error(panel):
    with pytest.raises(DesignError, match="nothing was refused"):
        explain_refusal(declared_periods, panel, "dnb_naive")
    with pytest.raises(ZeroDivisionError):
        explain_refusal(lambda: 1 / 0)


def test_invented_schools_say_so_and_enter_no_report():
    schools = invented_schools()
    assert schools.attrs["origin"] == {"kind": "invented"} and schools["college"].nunique() == 120
    assert schools["college"].str.startswith("inventé").all() and schools["note"].between(0, 20).all()
    pd.testing.assert_frame_equal(schools, invented_schools())
    with pytest.raises(ReportError, match="real"):
        gather_territory("aisne", schools)
