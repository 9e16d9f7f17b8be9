"""Numbers as readers see them, looked for among the numbers that they may stand for."""

import re

import numpy as np

_NUMBER = re.compile(r"\d[\d\u202f]*(?:,\d+)?")
# Scales at which a value of a table may be said: as it is, in per cent, for ten units, in millions.
_SCALES = (1, 100, 10, 1e-6)


def numbers_without_origin(text: str, known: np.ndarray) -> list[str]:
    """The numbers of a text that are none of the known sizes, rounded as they are written."""
    missing = []
    for found in _NUMBER.findall(text):
        written = found.replace("\u202f", "").replace(",", ".")
        half = 0.5 * 10.0 ** -len(written.partition(".")[2]) * (1 + 1e-9)
        if not any((np.abs(known * scale - float(written)) <= half).any() for scale in _SCALES):
            missing.append(found)
    return missing
