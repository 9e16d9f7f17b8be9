"""The index of the reports: a map, and for each territory what its report concludes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from tne_eval.catalog import Territory, catalog_hash, list_territories
from tne_eval.paths import shipped
from tne_eval.report.editions import list_editions
from tne_eval.report.manifest import Manifest, code_hash, read_manifest, sha256
from tne_eval.report.publish import locked, publish_file
from tne_eval.sources.periods import session_exposed

_KEY = re.compile(rb'<meta name="tne-eval-key" content="([0-9a-f]{64})">')
_WAVES = {1: "Démonstrateur (2020)", 2: "Extension (dès 2022)"}
# Reports about no single territory: id (with "_" for "-", their notebook), and the words that lead to it.
OTHERS = {
    "synthese": "Lire la synthèse des douze territoires",
    "socle-numerique": "Le socle numérique dans les écoles élémentaires : où est allé l’argent",
    "qualite-donnees": "Ce qui existe, ce qui manque, ce qui n’est pas plausible dans les données",
    "methodes": "Les méthodes, et comment elles sont vérifiées",
}
_COLORS = {1: "#0B4F8A", 2: "#8FB4D6"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the index: a territory, its newest report if there is one, and its earlier editions."""

    id: str
    name: str
    wave: str
    first_session: int
    edition: str = ""
    verdict_kind: str = ""
    verdict_label: str = ""
    verdict: str = ""
    earlier: tuple[str, ...] = ()


def list_entries(out: Path) -> list[Entry]:
    """Entries of the twelve territories, from the records of the published reports."""
    return [_entry(territory, out / territory.id) for territory in list_territories()]


def write_index(out: Path) -> bool:
    """Write `index.html` in the folder of reports; False when it is already as it should be."""
    entries = list_entries(out)
    others = {id: made.edition for id in OTHERS if (made := _newest(out / id)) is not None}
    edition = max((entry.edition for entry in entries), default="")
    key = _key(entries, others)
    index = out / "index.html"
    if index.is_file() and (found := _KEY.search(index.read_bytes())) and found[1].decode() == key:
        return False
    page = render_index(entries, edition, key, others)
    with locked(out, may_be_link=True):
        return publish_file(page.encode(), index)


def render_index(entries: Iterable[Entry], edition: str, key: str, others: Collection[str]) -> str:
    """The page, checked; `others` are the reports of `OTHERS` that exist. Its search is the one script we ship."""
    from markupsafe import Markup

    from tne_eval.report.html import check_page, page_policy, page_template, search_script

    script = search_script()
    page = page_template("index.html.j2").render(
        entries=list(entries),
        edition=edition,
        others=[(id, label) for id, label in OTHERS.items() if id in others],
        key=key,
        map=draw_map(),
        script=Markup(script),
        csp=page_policy(script),
    )
    check_page(page, local_links=True, script=script)
    return page


def _entry(territory: Territory, folder: Path) -> Entry:
    wave = _WAVES[territory.wave]
    entry = Entry(territory.id, territory.name, wave, session_exposed(territory.exposure.likely))
    made = _newest(folder)
    if made is None:
        return entry
    verdict = made.summary.get("verdict", {})
    return replace(
        entry,
        edition=made.edition,
        verdict_kind=verdict.get("kind", ""),
        verdict_label=verdict.get("label", ""),
        verdict=verdict.get("title", ""),
        earlier=tuple(list_editions(folder)[-2::-1]),
    )


def _newest(folder: Path) -> Manifest | None:
    """The record of the newest edition; None when there is none that can be read."""
    editions = list_editions(folder)
    return read_manifest(folder / editions[-1]) if editions else None


def _key(entries: list[Entry], others: dict[str, str]) -> str:
    """What the index is made from, so that an unchanged one is found without drawing the map again."""
    contours = shipped("embedded") / "contours.json"
    facts = {
        "entries": [asdict(entry) for entry in entries],
        "others": others,
        "catalog": catalog_hash(),
        "code": code_hash(),
        "contours": sha256(contours) if contours.is_file() else "",
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def draw_map():
    """The map of the territories as a figure block, drawn once; None when the contours are not there."""
    import matplotlib
    import pandas as pd

    from tne_eval import maps
    from tne_eval.errors import MissingDataError
    from tne_eval.report.blocks import figure_block

    try:
        contours = maps.load_contours()
    except MissingDataError:
        return None
    matplotlib.use("Agg")
    territories = list_territories()
    waves = pd.Series({territory.departement: _WAVES[territory.wave] for territory in territories})
    ax = maps.draw_departements(
        waves,
        outlined=list(waves.index),
        classes=list(_WAVES.values()),
        colors=list(_COLORS.values()),
        legend_title="Entrée dans le programme",
        missing="",
        outline_label="",
        contours=contours,
    )
    names = {wave: [one.name for one in territories if one.wave == wave] for wave in _WAVES}
    alt = " ".join(f"{_WAVES[wave]} : {', '.join(names[wave])}." for wave in _WAVES)
    data = pd.DataFrame([{"territoire": one.name, "entrée": _WAVES[one.wave]} for one in territories])
    caption = "Les douze Territoires numériques éducatifs"
    return figure_block(ax.figure, name="carte", caption=caption, alt=f"Carte de France. {alt}", data=data)
