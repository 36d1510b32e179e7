"""Functions that wait for a condition, and find free ports."""

import socket
import time
from collections.abc import Callable

import requests


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
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_port_pair() -> tuple[int, int]:
    """Return two free ports of 127.0.0.1 with consecutive numbers."""
    while True:
        first = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
        return first, first + 1
