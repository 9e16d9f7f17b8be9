"""What the portal says of a data set: one description in the forms of Opendatasoft Explore v2.1."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from tne_eval.catalog.entries import Source
from tne_eval.errors import MissingDataError, TneError
from tne_eval.sources.addresses import Address, FetchError, list_near_url
from tne_eval.sources.transport import read_json
from tne_eval.sources.web import Web

_PAGE = 100
_MOST_DATA_SETS = 10_000


@dataclass(frozen=True, slots=True)
class DataSet:
    """What the portal says of a data set; any change of it means another edition."""

    modified: str
    processed: str
    records: int | None

    def to_dict(self) -> dict:
        return {"modified": self.modified, "processed": self.processed, "records": self.records}


def describe(web: Web, source: Source, address: Address) -> DataSet:
    """Ask the portal for the description of a source's data set.

    Raises
    ------
    MissingDataError : the data set has gone; the near names on the portal are listed.
    FetchError : no answer, or one in another form.
    """
    try:
        answer = read_json(web, address.metadata)
    except MissingDataError as error:
        raise _gone(web, source, address, error) from error
    metas = answer.get("metas") if isinstance(answer, dict) else None
    default = metas.get("default") if isinstance(metas, dict) else None
    if not isinstance(default, dict):
        raise FetchError(
            f"source {source.id}: the server does not describe the data set as Opendatasoft Explore v2.1 does",
            where=address.metadata,
            why="no metas.default in its answer",
            remedy="check --base-url; if it is right, the portal has changed: tell the maintainers of tne-eval",
        )
    records = default.get("records_count")
    return DataSet(
        str(default.get("modified") or ""),
        str(default.get("data_processed") or ""),
        records if isinstance(records, int) and not isinstance(records, bool) else None,
    )


def _gone(web: Web, source: Source, address: Address, error: MissingDataError) -> MissingDataError:
    near = difflib.get_close_matches(source.slug, _list_slugs(web, address), n=5, cutoff=0.5)
    return MissingDataError(
        f"source {source.id}: the data set {source.slug} has gone from the portal",
        where=address.metadata,
        why=error.why,
        remedy=(f"near names there: {', '.join(near)}; " if near else "no near name there; ")
        + f"correct `slug` in catalog/sources/{source.id}.toml",
    )


def _list_slugs(web: Web, address: Address) -> list[str]:
    """Identifiers of the portal's data sets; those that could be had, as this only helps an error message."""
    slugs: list[str] = []
    try:
        for offset in range(0, _MOST_DATA_SETS, _PAGE):
            page = read_json(web, list_near_url(address.metadata, offset))
            found = [str(row["dataset_id"]) for row in page["results"]]
            slugs += found
            if len(found) < _PAGE:
                break
    except (TneError, KeyError, TypeError):
        pass
    return slugs
