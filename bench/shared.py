"""What several benches do alike: peers, one thread, the least time of a call, growth fitted and plotted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def peers_interpreter(folder: Path, requirements: str) -> Path | None:
    """Python of the environment that holds what a requirements file of this folder lists.

    It is made under `folder` where it is missing or was made from another list; None where that fails.
    """
    wanted = (HERE / requirements).read_text(encoding="utf-8")
    home = folder / Path(requirements).stem.replace("_", "-")
    interpreter, stamp = home / "bin" / "python", home / "made-from.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return interpreter
    print("making the environment of the peers", flush=True)
    try:
        venv.create(home, clear=True, with_pip=True)
        install = [interpreter, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", HERE / requirements]
        subprocess.run(install, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        print(f"Python peers left out: {(error.stderr or str(error)).strip().splitlines()[-1]}")
        return None
    stamp.write_text(wanted, encoding="utf-8")
    return interpreter


def with_one_thread(main: Callable[[], int]) -> int:
    """What `main` returns in a process whose libraries have one thread each, ours and, by inheritance, the peers'."""
    if ONE_THREAD.items() <= os.environ.items():
        return main()
    # Libraries read the number of threads when they are loaded.
    return subprocess.run([sys.executable, *sys.argv], env={**os.environ, **ONE_THREAD}).returncode


def least_seconds(call: Callable[[], object], repeats: int, clock: Callable[[], float] = time.process_time) -> float:
    """Least time of several calls by a clock, after one that is not counted."""
    call()
    kept = []
    for _ in range(repeats):
        start = clock()
        call()
        kept.append(clock() - start)
    return min(kept)


def exponent(size: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds on log size: growth as a power of the size."""
    return float(np.polyfit(np.log(size), np.log(seconds), 1)[0]) if len(size) > 1 else float("nan")


def plot_growth(path: Path, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> None:
    """Seconds against size of each curve, both on logarithmic scales, with its fitted power."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, (size, seconds) in curves.items():
        axes.loglog(size, seconds, "o-", label=f"{name}: power {exponent(size, seconds):.2f}")
    axes.set(xlabel="size", ylabel="seconds")
    axes.grid(which="major", color="0.85")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
