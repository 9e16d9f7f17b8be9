"""What a report was made from and what it consists of: one record for resume, provenance and comparison.

`run_id` is a hash of all that can change the report: notebook, parameters, edition, figures, catalogue, designs,
code, versions. No time of day is in it, nor in anything else that is hashed or compared.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from tne_eval.catalog import catalog_hash, list_designs
from tne_eval.errors import MissingDataError, ReportError

FILE_NAME = "manifest.json"
EDITION = re.compile(r"[0-9]{4}-S[12]")
_CODE = {".py", ".toml", ".j2", ".css", ".js", ".typ"}
_PACKAGE = Path(__file__).parents[1]
_VERSIONS = (
    "ipython",
    "jinja2",
    "markdown-it-py",
    "matplotlib",
    "nbformat",
    "numpy",
    "pandas",
    "papermill",
    "scipy",
    "shapely",
    "statsmodels",
    "typst",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record of one report.

    `inputs` is what `run_id` hashes; `outputs` gives the sha256 of each file of the folder, this record excepted;
    `summary` holds the title and the verdict, for the index.
    """

    id: str
    edition: str
    run_id: str
    inputs: Mapping
    outputs: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping = field(default_factory=dict)

    def to_dict(self) -> dict:
        return asdict(self)


def make_manifest(
    id: str, *, notebook: Path, parameters: Mapping, edition: str = "", data: Path, previous: Mapping | None = None
) -> Manifest:
    """The record of a report before it is made: its inputs, and the `run_id` that they give.

    Parameters
    ----------
    id : folder name of the report (a territory, or synthese).
    notebook : the notebook that makes it.
    parameters : what the notebook is given.
    edition : "2026-S1"; empty takes the half-year of the latest figures.
    data : folder of the figures, with its datapackage.json.
    previous : what the change log depends on, from `editions.previous_facts`.
    """
    tables = read_tables(data)
    edition = check_edition(edition or default_edition(tables))
    inputs = {
        "notebook": {"name": notebook.name, "sha256": sha256(notebook)},
        "parameters": dict(parameters),
        "edition": edition,
        "tables": tables,
        "catalog": catalog_hash(),
        "designs": {design.id: design.hash for design in list_designs()},
        "seed": {design.id: design.seed for design in list_designs()},
        "previous": dict(previous or {}),
        "version": code_version(),
        "code": code_hash(),
        "versions": dict(_versions()),
    }
    return Manifest(id, edition, run_id_of(inputs), inputs)


def run_id_of(inputs: Mapping) -> str:
    """sha256 of the canonical JSON of the inputs: what `Manifest.run_id` is."""
    canonical = json.dumps(inputs, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def check_edition(name: object) -> str:
    """The name of an edition, such as "2026-S2".

    Raises
    ------
    ReportError : when it is not a year of four digits, `-S`, and 1 or 2.
    """
    if not isinstance(name, str) or not EDITION.fullmatch(name):
        raise ReportError(f"edition {str(name)[:40]!r}", remedy="write it as 2026-S1 or 2026-S2")
    return name


def default_edition(source) -> str:
    """Edition of the figures, from the latest month that a table covers: `2025-07` → `2025-S2`.

    `source` is a panel (its `attrs["origin"]["tables"]` are read) or those tables.
    """
    tables = source.attrs["origin"]["tables"] if hasattr(source, "attrs") else source
    months = [facts["until"] for facts in tables.values() if facts.get("until")]
    if not months or not all(re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month) for month in months):
        raise MissingDataError("the figures do not say until which month they go", why=str(sorted(set(months)))[:200])
    year, month = max(months).split("-")
    return f"{year}-S{1 if int(month) <= 6 else 2}"


def read_tables(data: Path) -> dict[str, dict]:
    """Every file of figures, with the sha256 that it has now, its vintage and last month."""
    package = data / "datapackage.json"
    if not package.is_file():
        raise MissingDataError("no figures in this folder", where=str(data), remedy="install tne-eval again")
    resources = json.loads(package.read_text(encoding="utf-8"))["resources"]
    known = {resource["path"]: resource for resource in resources}
    tables = {}
    for path in sorted(data.rglob("*")):
        if path.is_file() and path != package:
            name = path.relative_to(data).as_posix()
            facts = known.get(name, {})
            tables[facts.get("name", name)] = {
                "vintage": facts.get("vintage") or "",
                "until": facts.get("until") or "",
                "sha256": sha256(path),
            }
    return {**tables, "datapackage": {"vintage": "", "until": "", "sha256": sha256(package)}}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def code_hash() -> str:
    """sha256 over the package's own code, templates and styles."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        name = path.relative_to(_PACKAGE).as_posix()
        # The catalogue has its own hash: a change of its entries is not one of code.
        if path.suffix in _CODE and not name.startswith("_shipped/") and not re.match(r"catalog/.*\.toml", name):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", f"{sys.version_info.major}.{sys.version_info.minor}")]
    return (*found, *((name, importlib.metadata.version(name)) for name in _VERSIONS))


def code_version() -> str:
    """Version of the installed package."""
    return importlib.metadata.version("tne-eval")


def write_manifest(manifest: Manifest, folder: Path) -> None:
    text = json.dumps(manifest.to_dict(), sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """The record in a report's folder; None when there is none that can be read."""
    try:
        return Manifest(**json.loads((folder / FILE_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def list_outputs(folder: Path) -> dict[str, str]:
    """sha256 of each file of a report, its manifest excepted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE_NAME)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def is_up_to_date(manifest: Manifest, folder: Path) -> bool:
    """Whether the folder holds this very report, whole and unchanged."""
    made = read_manifest(folder)
    return made is not None and made.run_id == manifest.run_id and made.outputs == list_outputs(folder)


def production_lines(manifest: Manifest) -> list[tuple[str, str]]:
    """How the report was made, in French: (label, one line or several)."""
    inputs = manifest.inputs
    tables = [
        f"{name} : millésime {facts['vintage']}, empreinte {facts['sha256'][:12]}"
        for name, facts in inputs["tables"].items()
        if facts["vintage"]
    ]
    designs = [f"{name} : empreinte {digest[:12]}" for name, digest in inputs["designs"].items()]
    versions = ", ".join(f"{name} {version}" for name, version in inputs["versions"].items())
    lines = [
        ("Identifiant", manifest.run_id),
        ("Édition", manifest.edition),
        ("Données", "\n".join(tables)),
        ("Plans d’analyse", "\n".join(designs)),
        ("Carnet de calcul", f"{inputs['notebook']['name']}, empreinte {inputs['notebook']['sha256'][:12]}"),
        ("Code", f"tne-eval {code_version()}, empreinte {inputs['code'][:12]}"),
        ("Catalogue", f"empreinte {inputs['catalog'][:12]}"),
        ("Versions", versions),
    ]
    return [(label, value) for label, value in lines if value]
