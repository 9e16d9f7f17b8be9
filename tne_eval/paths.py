"""Where the shipped files are: in the checkout, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path

from tne_eval.errors import MissingDataError

_PACKAGE = Path(__file__).parent
_IN_CHECKOUT = {"embedded": _PACKAGE.parent / "data" / "embedded", "notebooks": _PACKAGE.parent / "notebooks"}


def shipped(kind: str) -> Path:
    """Folder of the shipped `embedded` figures or `notebooks`."""
    for folder in (_PACKAGE / "_shipped" / kind, _IN_CHECKOUT[kind]):
        if folder.is_dir():
            return folder
    raise MissingDataError(
        f"the shipped folder {kind!r} is missing",
        where=str(_PACKAGE),
        remedy="install tne-eval again, or work in a full checkout",
    )
