"""An edition as an RO-Crate: its files and its manifest, described by the Process Run Crate profile.

Left out on purpose: any person, and any time of day (the profile's `agent` and `endTime`). What the manifest does
not record is not said, and two exports of an edition have the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tne_eval.errors import ReportError
from tne_eval.report.editions import last_day, read_record
from tne_eval.report.manifest import FILE_NAME, Manifest, sha256

LICENCE = "https://www.etalab.gouv.fr/licence-ouverte-open-licence/"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_METADATA = "ro-crate-metadata.json"
_PROFILE_OF = "1.1"  # the version of RO-Crate that the profile extends
_TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
_FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".svg": "image/svg+xml",
}


def export_crate(folder: str | Path, to: str | Path) -> Path:
    """Write an edition as an RO-Crate in a new folder.

    Parameters
    ----------
    folder : `<report>/<edition>`; it is only read.
    to : the folder to write, which must not exist; it appears whole.

    Returns
    -------
    The folder that was written.

    Raises
    ------
    ReportError : rocrate is not installed; `to` exists or is inside the edition; the manifest cannot be read; or a
        file is not as the manifest records it (all are listed).

    Notes
    -----
    Process Run Crate 0.5 (Workflow Run RO-Crate working group) on RO-Crate 1.1: one CreateAction, whose instrument is
    tne-eval, whose objects are the tables of figures, designs, notebook and parameters, and whose results are the
    files. `datePublished` is the last day of the half-year.
    """
    folder, to = Path(folder), Path(to)
    record = read_record(folder)
    _check_files(record, folder)
    if to.exists() or to.is_symlink():
        raise ReportError("the crate's folder exists already", where=str(to), remedy="name a new folder")
    if to.resolve().is_relative_to(folder.resolve()):
        raise ReportError("a crate inside the edition itself", where=str(to), remedy="name a folder elsewhere")
    crate = _describe(record, folder)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".crate-", dir=to.parent) as scratch:
        crate.write(Path(scratch) / "crate")
        (Path(scratch) / "crate").rename(to)
    return to


def _check_files(record: Manifest, folder: Path) -> None:
    problems = []
    for name, digest in record.outputs.items():
        path = folder / name
        if name in (FILE_NAME, _METADATA):
            problems.append(f"{name} is not a name for a file of an edition")
        if any(
            place.is_symlink() for place in (path, *path.parents) if place.is_relative_to(folder) and place != folder
        ):
            problems.append(f"{name} is a link")
        elif not path.is_file():
            problems.append(f"{name} is missing")
        elif sha256(path) != digest:
            problems.append(f"{name} is not as {FILE_NAME} records it")
    if problems:
        raise ReportError(
            "an edition that is not as it was made",
            where=str(folder),
            why="; ".join(problems)[:600],
            remedy="see `tne-eval verify`; make the edition again, or take it from a copy",
        )


def _describe(record: Manifest, folder: Path):
    """The crate, not yet written."""
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        remedy = 'pip install "tne-eval[crate]"'
        raise ReportError("an RO-Crate needs the package rocrate", why=str(error)[:200], remedy=remedy) from None
    crate = ROCrate(version=_PROFILE_OF)
    crate.metadata.extra_terms.update(_TERMS)

    def add(id: str, kind: str, **properties) -> dict:
        crate.add(ContextEntity(crate, id, properties={"@type": kind, **properties}))
        return {"@id": id}

    files = [*sorted(record.outputs), FILE_NAME]
    made = [crate.add_file(folder / name, name, properties=_file(folder / name, name)) for name in files]
    results = [{"@id": file.id} for file in made]
    licence = add(LICENCE, "CreativeWork", name="Licence Ouverte 2.0 (Etalab)", url=LICENCE)
    profile = add(PROFILE, "CreativeWork", name="Process Run Crate", version=PROFILE.rpartition("/")[2])
    objects = [add(id, kind, **properties) for id, kind, properties in _objects(record.inputs)]
    instrument = add("#tne-eval", "SoftwareApplication", **_software(record.inputs, add))
    title = f"{record.summary.get('title') or record.id}, {record.edition}"
    run = add(
        f"#run-{record.run_id}",
        "CreateAction",
        name=title,
        description=f"tne-eval report {record.id} --edition {record.edition}",
        instrument=instrument,
        object=objects,
        result=results,
    )
    _set_root(crate, record, title, conformsTo=profile, license=licence, mentions=[run])
    return crate


def _set_root(crate, record: Manifest, title: str, **links) -> None:
    description = (
        f"Rapport d'évaluation « {record.id} », édition {record.edition} : page, tableaux, figures, carnet exécuté et "
        "manifeste, avec ce dont ils sont faits et leurs empreintes."
    )
    values = {"name": title, "description": description, "identifier": record.run_id, "inLanguage": "fr"}
    for name, value in {**values, "datePublished": last_day(record.edition).isoformat(), **links}.items():
        crate.root_dataset[name] = value
    if "report.html" in record.outputs:
        crate.root_dataset["mainEntity"] = {"@id": "report.html"}


def _file(path: Path, name: str) -> dict:
    """Properties of a file of the crate."""
    facts = {"name": name, "sha256": sha256(path), "contentSize": str(path.stat().st_size)}
    known = _FORMATS.get(path.suffix)
    return {**facts, "encodingFormat": known} if known else facts


def _objects(inputs: Mapping) -> Iterator[tuple[str, str, dict]]:
    """What the run was given, as (id, type, properties); files that are not in the crate are works with a hash."""
    for name, facts in sorted(inputs["tables"].items()):
        work = {"name": name, "sha256": facts["sha256"]}
        for property, fact in (("version", "vintage"), ("temporalCoverage", "until")):
            if facts.get(fact):
                work[property] = str(facts[fact])
        yield _id("table", name), "CreativeWork", work
    for name, digest in sorted(inputs["designs"].items()):
        yield _id("design", name), "CreativeWork", {"name": name, "sha256": digest}
    notebook = inputs["notebook"]
    yield (
        _id("notebook", notebook["name"]),
        "SoftwareSourceCode",
        {
            "name": notebook["name"],
            "sha256": notebook["sha256"],
            "programmingLanguage": "Python",
        },
    )
    yield _id("catalogue", ""), "CreativeWork", {"name": "catalogue", "sha256": inputs["catalog"]}
    for name, value in sorted(inputs["parameters"].items()):
        yield _id("parameter", name), "PropertyValue", {"name": name, "value": str(value)}


def _software(inputs: Mapping, add) -> dict:
    """Properties of the program, with the packages that it ran on."""
    packages = [
        add(_id("package", name), "SoftwareApplication", name=name, softwareVersion=str(version))
        for name, version in sorted(inputs["versions"].items())
    ]
    version = str(inputs.get("version") or inputs["code"][:12])
    return {"name": "tne-eval", "softwareVersion": version, "sha256": inputs["code"], "softwareRequirements": packages}


def _id(kind: str, name: str) -> str:
    """A local identifier; what a URI cannot hold is quoted."""
    from urllib.parse import quote

    return f"#{kind}-{quote(name, safe='')}" if name else f"#{kind}"
