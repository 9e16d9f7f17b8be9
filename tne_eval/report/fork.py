"""A notebook's cells run in a forked child: its own process, with the libraries of the parent already there.

The child tells each cell's outputs through a pipe, one JSON line a message. It sees its own working folder, no
input, default warnings and plotting settings, whatever the parent has set.
"""

from __future__ import annotations

import builtins
import contextlib
import faulthandler
import gc
import json
import os
import random
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path


def forked_outcomes(cells, scratch: Path, timeout: float) -> Iterator[dict]:
    """Fork, and yield what the child says of each cell; a child that dies gives its cell an error output."""
    import nbformat

    receiver, sender = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        _child(cells, sender, scratch)
    os.close(sender)
    deadline = time.monotonic() + timeout
    current, finished = None, False
    try:
        for line in _lines(receiver, deadline):
            if line is None:
                yield {"event": "timeout"}
                return
            message = json.loads(line)
            if message["event"] == "end":
                finished = True
                continue
            current = message["index"] if message["event"] == "start" else None
            if "outputs" in message:
                message["outputs"] = [nbformat.from_dict(output) for output in message["outputs"]]
            yield message
        if not finished:
            yield _death(child, 0 if current is None else current)
            child = 0
    finally:
        os.close(receiver)
        if child:
            _kill_group(child)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _kill_group(child: int) -> None:
    """The child leads a group: what it started must not outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _death(child: int, index: int) -> dict:
    from nbformat.v4 import new_output

    _, status = os.waitpid(child, 0)
    _kill_group(child)
    if os.WIFSIGNALED(status):
        how = f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    else:
        how = f"exit code {os.waitstatus_to_exitcode(status)}"
    error = new_output("error", ename="DeadProcessError", evalue=f"the process ended: {how}", traceback=[])
    return {"event": "done", "index": index, "outputs": [error], "count": None}


def _lines(receiver: int, deadline: float) -> Iterator[bytes | None]:
    """Lines from a pipe until it closes; None when the deadline passes."""
    pending = b""
    while True:
        ready, _, _ = select.select([receiver], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            yield None
            return
        block = os.read(receiver, 1 << 20)
        if not block:
            return
        *lines, pending = (pending + block).split(b"\n")
        yield from lines


def _child(cells, sender: int, scratch: Path) -> None:
    """Run the cells and leave; never returns into the parent's code."""
    code = 1
    try:
        parent = os.getppid()
        die_with_parent()
        if os.getppid() == parent:
            os.setsid()
            os.chdir(scratch)
            _run_cells(cells, sender, scratch)
            code = 0
    except BaseException:
        with contextlib.suppress(Exception):
            traceback.print_exc()
    finally:
        os._exit(code)


def _run_cells(cells, sender: int, scratch: Path) -> None:
    _fresh_process()
    # It lives for seconds: what it leaves in cycles goes with it.
    gc.disable()
    streams = _Streams(scratch)
    shell, outputs = _make_shell(scratch)
    with os.fdopen(sender, "wb", buffering=0) as pipe:

        def tell(**message) -> None:
            pipe.write(json.dumps(message, default=str).encode() + b"\n")

        for index, cell in enumerate(cells):
            if cell.cell_type != "code" or not cell.source.strip():
                continue
            tell(event="start", index=index)
            outputs.clear()
            count = shell.execution_count
            shell.run_cell(cell.source, store_history=True)
            found = streams.take() + list(outputs)
            tell(event="done", index=index, outputs=found, count=count)
            if any(output["output_type"] == "error" for output in found):
                break
        tell(event="end")


def _fresh_process() -> None:
    """Undo what the parent may have set, so that a fork starts as a new interpreter would."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(one, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.disable()
    warnings.resetwarnings()
    warnings.showwarning = _write_warning
    for category in (ResourceWarning, ImportWarning, PendingDeprecationWarning, DeprecationWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "matplotlib" in sys.modules:
        matplotlib = sys.modules["matplotlib"]
        matplotlib.rcdefaults()
        matplotlib.use("Agg", force=True)

    def no_input(*args, **kwargs):
        raise EOFError("a report cannot ask for input")

    builtins.input = no_input
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115 open for the life of the process


def _write_warning(message, category, filename, lineno, file=None, line=None) -> None:
    (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))


class _Streams:
    """Standard output and error, those of C code and sub-processes included, read back after each cell."""

    def __init__(self, scratch: Path) -> None:
        self.files, self.read = {}, {}
        for name, number in (("stdout", 1), ("stderr", 2)):
            file = os.open(scratch / f".{name}", os.O_RDWR | os.O_CREAT | os.O_APPEND)
            os.dup2(file, number)
            self.files[name], self.read[name] = file, 0
            setattr(sys, name, open(number, "w", encoding="utf-8", buffering=1, closefd=False))  # noqa: SIM115
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr

    def take(self) -> list[dict]:
        found = []
        for name, file in self.files.items():
            getattr(sys, name).flush()
            size = os.fstat(file).st_size
            text = os.pread(file, size - self.read[name], self.read[name]).decode("utf-8", "replace")
            self.read[name] = size
            if text:
                found.append({"output_type": "stream", "name": name, "text": text})
        return found


def _make_shell(scratch: Path):
    """An IPython shell whose displays, results and errors go to a list of nbformat outputs."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    outputs: list[dict] = []

    class Publisher(DisplayPublisher):
        def publish(self, data, metadata=None, **kwargs) -> None:
            outputs.append({"output_type": "display_data", "data": data, "metadata": metadata or {}})

        def clear_output(self, wait=False) -> None:
            outputs.clear()

    class Hook(DisplayHook):
        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict, md_dict=None) -> None:
            outputs.append(
                {
                    "output_type": "execute_result",
                    "data": format_dict,
                    "metadata": md_dict or {},
                    "execution_count": self.prompt_count,
                }
            )

        def finish_displayhook(self) -> None:
            pass

    class Shell(InteractiveShell):
        def _showtraceback(self, etype, evalue, stb) -> None:
            outputs.append(
                {"output_type": "error", "ename": etype.__name__, "evalue": str(evalue), "traceback": list(stb)}
            )

        def ask_exit(self) -> None:
            raise SystemExit("a report cannot leave")

    # Pictures are bytes in IPython and base64 text in a notebook; reports show neither.
    InteractiveShell.clear_instance()
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    shell = Shell.instance(
        config=config, ipython_dir=str(scratch / "ipython"), display_pub_class=Publisher, displayhook_class=Hook
    )
    return shell, outputs


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends, so that a killed run leaves nothing behind."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
