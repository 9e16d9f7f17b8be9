"""Effects that restrictions on trends leave possible: the identified sets of Δ^RM and Δ^SD, in closed form."""

from __future__ import annotations

import numpy as np


def rm_halfwidth(before: np.ndarray, bounds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) half-widths of the identified set of θ around l'β_post under Δ^RM(M̄).

    δ moves by at most M̄ v a period, v the greatest move before: l'δ_post is a sum of moves weighted by
    c_t = l_t + l_{t+1} + …, so it reaches M̄ v ‖c‖₁ at most (Rambachan and Roth 2023, §2.4).

    before : (n_pre,) coefficients; bounds : (B,); weights : (n_post,).
    """
    greatest = np.abs(np.diff(np.append(before, 0))).max()
    return bounds * greatest * np.abs(np.cumsum(weights[::-1])).sum()


def sd_center_halfwidth(before: np.ndarray, bounds: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Identified set of θ − l'β_post under Δ^SD(M): centre, (B,) half-widths, and the least M that `before` allows.

    The last slope before goes on after the reference period, give or take changes of M at most; the change of period r
    weighs Σ_{t > r} (t − r) l_t on l'δ_post (Rambachan and Roth 2023, §2.4).

    before : (n_pre,) coefficients; bounds : (B,); weights : (n_post,).
    """
    ahead = np.arange(1, len(weights) + 1)
    reach = np.abs(np.maximum(ahead - np.arange(len(weights))[:, None], 0) @ weights).sum()
    bends = np.abs(np.diff(np.append(before, 0), n=2))
    return float(before[-1] * (ahead @ weights)), bounds * reach, float(bends.max(initial=0))
