"""One evaluation by each Python peer, timed: run by bench/inequality.py with the peers' own interpreter.

    python bench/peers.py rows.npy     (2, n): values, weights

Prints {peer: [seconds, values of Gini, Theil T and Atkinson(0.5), those it has]}; for a peer that fails, its error.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import numpy as np


def ineqpy(value, weight):
    """Weighted: all three."""
    from ineqpy import inequality

    return lambda: [
        inequality.gini(value, weights=weight),
        inequality.theil(value, weights=weight),
        inequality.atkinson(value, weights=weight, e=0.5),
    ]


def inequalipy(value, weight):
    """Weighted: the Gini only; its weighted Atkinson raises."""
    from inequalipy import gini

    return lambda: [gini(value, weights=weight)]


def pysal(value, weight):
    """Without weights: all three."""
    from inequality.atkinson import Atkinson
    from inequality.gini import Gini
    from inequality.theil import Theil

    return lambda: [Gini(value).g, Theil(value).T, Atkinson(value, 0.5).A]


def main() -> int:
    """Time each peer, best of three."""
    warnings.simplefilter("ignore")
    value, weight = np.load(sys.argv[1])
    found = {}
    for peer in (ineqpy, inequalipy, pysal):
        try:
            evaluate, seconds = peer(value, weight), []
            for _ in range(3):
                start = time.perf_counter()
                values = evaluate()
                seconds.append(time.perf_counter() - start)
            found[peer.__name__] = [min(seconds), [float(one) for one in values]]
        except Exception as error:
            found[peer.__name__] = f"{type(error).__name__}: {error}"
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
