"""A client for one download: its time-outs, and how often a failure is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx

from tne_eval.sources.addresses import FetchError, is_loopback

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds allowed to connect, between two blocks and in all; how often to try, and how long to wait in between."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 3600.0
    tries: int = 4
    tries_when_unavailable: int = 3
    backoff: float = 1.0
    longest_wait: float = 120.0


@dataclass(frozen=True, slots=True)
class Web:
    """A client, its limits, and the moment (`time.monotonic`) when all must be over."""

    client: httpx.Client
    limits: Limits
    deadline: float


class Fault(Exception):
    """A failure worth another try: at most `tries` in all, after `wait` seconds (None: back off)."""

    def __init__(self, error: FetchError, tries: int, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.tries, self.wait = error, tries, wait


@contextmanager
def open_web(url: str, limits: Limits) -> Iterator[Web]:
    """A client for one download. Certificates are always verified; proxies come from the environment."""
    times = httpx.Timeout(limits.read, connect=limits.connect)
    headers = {"User-Agent": "tne-eval", "Accept-Encoding": "gzip"}
    # A proxy could not reach this very machine.
    try:
        client = httpx.Client(timeout=times, headers=headers, trust_env=not is_loopback(url), follow_redirects=False)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        raise FetchError(
            "the network settings of this machine cannot be used",
            why=f"{type(error).__name__}: {error}",
            remedy="check the variables HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
        ) from error
    with client:
        yield Web(client, limits, time.monotonic() + limits.total)


def try_again(web: Web, action: Callable[[], _T]) -> _T:
    """What `action` returns, after as many tries as its faults deserve."""
    done = 0
    while True:
        try:
            return action()
        except Fault as fault:
            done += 1
            wait = web.limits.backoff * 2 ** (done - 1) if fault.wait is None else fault.wait
            if done >= fault.tries or wait > web.limits.longest_wait or time.monotonic() + wait > web.deadline:
                raise fault.error from fault.__cause__
            time.sleep(wait)
