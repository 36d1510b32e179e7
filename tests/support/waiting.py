"""Functions that wait for a condition, and find free ports."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import requests

# Each process of pytest-xdist takes other pairs of ports: see `_take`.
INDEX = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
COUNT = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_taken: set[int] = set()


def wait_until(condition: Callable[[], object], limit: float = 60) -> None:
    """Wait until the condition is true. A refused connection or time-out counts as false.

    Asking starts a process in many cases, so the longer it takes, the less often it is asked.

    :param limit: seconds after which the test fails.
    """
    begun = time.monotonic()
    while True:
        try:
            if condition():
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        waited = time.monotonic() - begun
        assert waited < limit, f"{condition} is still false after {limit} s"
        time.sleep(min(max(0.1, waited / 10), 0.5))


def free_port() -> int:
    """Return a free port of 127.0.0.1 that no other test of this run gets."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if _take(port):
            return port


def free_port_pair() -> tuple[int, int]:
    """Return two free ports of 127.0.0.1 with consecutive numbers that no other test gets.

    They are below the ports of outgoing connections, so no connection can take one before the
    caller does. A port of `free_port` is safe, because Linux prefers even numbers for connections
    and odd ones for `bind`, but then the next one is not.
    """
    while True:
        first = 7000 + 2 * secrets.randbelow(1000)
        with suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", first))
            other.bind(("127.0.0.1", first + 1))
            if _take(first):
                return first, first + 1


def _take(port: int) -> bool:
    """Return whether this process may use a free port: another test can have got it just before."""
    if port // 2 % COUNT != INDEX or port in _taken:
        return False
    _taken.add(port)
    return True
