"""What the tutorial needs beside the library: refusals shown as such, and schools that are invented and say so."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError, TneError

_WORDS = {"what": "Quoi", "where": "Où", "why": "Pourquoi", "remedy": "Que faire"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a function said when it refused; empty where it had nothing to say."""

    kind: str
    what: str
    where: str
    why: str
    remedy: str

    def _lines(self) -> list[tuple[str, str]]:
        said = [(word, getattr(self, name)) for name, word in _WORDS.items()]
        return [("Refus", self.kind), *((word, text) for word, text in said if text)]

    def __str__(self) -> str:
        return "\n".join(f"{word} : {text}" for word, text in self._lines())

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{word}</th>'
            f'<td style="text-align:left">{html.escape(text)}</td></tr>'
            for word, text in self._lines()
        )
        return f"<table><caption>Ce que dit le refus</caption>{rows}</table>"


def explain_refusal(function: Callable, *arguments, **options) -> Refusal:
    """Call a function that is expected to refuse, and give its refusal.

    Raises DesignError where it gave a result; any error that is not a refusal of tne_eval goes through.
    """
    try:
        function(*arguments, **options)
    except TneError as error:
        return Refusal(type(error).__name__, error.what, error.where, error.why, error.remedy)
    raise DesignError("nothing was refused", why=f"{function.__name__} gave a result")


def invented_schools(count: int = 120, pupils: int = 40, seed: int = 0) -> pd.DataFrame:
    """An invented sample of pupils: `college, ips, eleves, note`, one row a pupil.

    `ips` and `eleves` belong to the collège; `note` (0-20) grows with its IPS. `attrs["origin"]` says that the figures
    are invented: no report takes them.
    """
    draw = np.random.default_rng(seed)
    ips = draw.normal(103, 15, count).clip(60, 150).round(1)
    school = np.repeat(np.arange(count), pupils)
    note = 10 + 0.06 * (ips[school] - 103) + draw.normal(0, 0.8, count)[school] + draw.normal(0, 2.8, count * pupils)
    frame = pd.DataFrame(
        {
            "college": [f"inventé {rank + 1}" for rank in school],
            "ips": ips[school],
            "eleves": pupils,
            "note": note.clip(0.5, 20).round(1),
        }
    )
    frame.attrs["origin"] = {"kind": "invented"}
    return frame
