"""Waiting for conditions, with a limit."""

import socket
import time
from collections.abc import Callable

import requests


def wait_until(condition: Callable[[], object], limit: float = 60) -> None:
    """Return as soon as the condition holds; refused connections count as not yet.

    :param limit: seconds after which the test fails.
    """
    deadline = time.monotonic() + limit
    while True:
        try:
            if condition():
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        assert time.monotonic() < deadline, f"not within {limit} s: {condition}"
        time.sleep(0.1)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_port_pair() -> tuple[int, int]:
    """Return two ports of 127.0.0.1 in a row that nobody listens on."""
    while True:
        first = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
        return first, first + 1
