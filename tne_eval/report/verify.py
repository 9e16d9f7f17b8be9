"""An edition made again, elsewhere, from what its manifest records; each file compared byte for byte."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tne_eval.errors import ReportError
from tne_eval.french import phrase
from tne_eval.paths import shipped
from tne_eval.report.compare import printable
from tne_eval.report.editions import InputChange, list_causes, list_changes, previous_edition, read_record
from tne_eval.report.manifest import FILE_NAME, Manifest, sha256


@dataclass(frozen=True, slots=True, eq=False)
class FileCheck:
    """A file of an edition against the same file made again.

    `status` is equal, differs, missing (made again, but not in the folder) or unexpected (in the folder only).
    `causes`, of editions.CAUSES: "altered" when the file is not what its own manifest records, the inputs that have
    changed when the one made again is not, "unexplained" when it is not although no input has changed.
    """

    name: str
    status: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """What became of an edition made again: every file, and the inputs that are not what they were."""

    id: str
    edition: str
    folder: Path
    files: tuple[FileCheck, ...]
    inputs: tuple[InputChange, ...]
    identical: bool

    def to_dict(self) -> dict:
        """All of it as JSON values."""
        return {**asdict(self), "folder": str(self.folder)}

    def to_frame(self):
        """One row a file: name, status, causes."""
        import pandas as pd

        rows = [(file.name, file.status, " ".join(file.causes)) for file in self.files]
        return pd.DataFrame(rows, columns=["name", "status", "causes"])


def verify_edition(folder: str | Path, *, notebook: Path | None = None, data: Path | None = None) -> Verification:
    """Make an edition again in a temporary folder and compare each file; the edition itself is only read.

    Parameters
    ----------
    folder : `<report>/<edition>`; the edition before, which a change log needs, is beside it.
    notebook : the notebook that makes it; None takes the shipped one that the manifest names.
    data : folder of figures; None takes the shipped ones.

    Raises
    ------
    ReportError : a manifest that cannot be read, a notebook that is not there, or a report that fails when made again.
    """
    folder = Path(folder)
    record = read_record(folder)
    notebook = shipped("notebooks") / record.inputs["notebook"]["name"] if notebook is None else notebook
    if not notebook.is_file():
        raise ReportError(
            "the notebook of this edition is not there",
            where=str(notebook),
            why=f"{folder / FILE_NAME} names it",
            remedy="install the version of tne-eval that made the edition",
        )
    with tempfile.TemporaryDirectory(prefix="tne-eval-verify-") as scratch:
        again = _make_again(record, folder, notebook, data, Path(scratch))
        made = read_record(again)
        inputs = tuple(list_changes(record.inputs, made.inputs))
        files = tuple(_check_files(folder, record, again, made, list_causes(inputs)))
    identical = all(file.status == "equal" for file in files)
    return Verification(record.id, record.edition, folder, files, inputs, identical)


def describe_verification(verification: Verification) -> list[str]:
    """The verification in French: one sentence, then a line for each file that is not the same, without the controls
    that a file's name may hold."""
    equal = sum(file.status == "equal" for file in verification.files)
    counts = {"id": verification.id, "edition": verification.edition, "equal": equal, "all": len(verification.files)}
    lines = [phrase("verify.identical" if verification.identical else "verify.not_identical", **counts)]
    for file in verification.files:
        if file.status != "equal":
            causes = ", ".join(phrase(f"verify.cause_{cause}") for cause in file.causes)
            lines.append(phrase(f"verify.{file.status}", name=file.name, causes=causes))
    return [printable(line) for line in lines]


def _make_again(record: Manifest, folder: Path, notebook: Path, data: Path | None, out: Path) -> Path:
    from tne_eval.report.run import Job, make_reports

    if record.inputs.get("previous") and (previous := previous_edition(folder.absolute().parent, record.edition)):
        shutil.copytree(previous, out / record.id / previous.name)
    job = Job(record.id, notebook, dict(record.inputs["parameters"]))
    (result,) = make_reports([job], out, edition=record.edition, data=data, workers=1)
    if result.status == "failed":
        raise ReportError(
            "the edition could not be made again",
            where=str(folder),
            why=result.message,
            remedy="install the version of tne-eval that made it, with the figures that it used",
        )
    return result.folder


def _check_files(folder: Path, record: Manifest, again: Path, made: Manifest, changed: tuple[str, ...]):
    """A FileCheck for each file of either folder, by name."""
    here, there = _hashes(folder), _hashes(again)
    for name in sorted({*here, *there}):
        if here.get(name) == there.get(name):
            yield FileCheck(name, "equal")
            continue
        if name == FILE_NAME:
            altered = not changed and record.outputs == made.outputs
            moved = made.inputs != record.inputs or made.outputs != record.outputs
        else:
            altered = here.get(name) != record.outputs.get(name)
            moved = there.get(name) != record.outputs.get(name)
        causes = (*(("altered",) if altered else ()), *((changed or ("unexplained",)) if moved else ()))
        status = "differs" if name in here and name in there else "missing" if name in there else "unexpected"
        yield FileCheck(name, status, causes)


def _hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file; a link is not a file of an edition, and is given as such."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[path.relative_to(folder).as_posix()] = "link"
        elif path.is_file():
            found[path.relative_to(folder).as_posix()] = sha256(path)
    return found
