"""Ports for tests."""

import os
import sys

import pytest

from tests.support.compose import run

CODE = "from tests.support.waiting import free_port, free_port_pair as pair"
MANY = f"{CODE}; print(*(free_port() for _ in range(99)), *(n for _ in range(99) for n in pair()))"


def test_no_two_tests_get_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of a run never get the same port, however soon each port is free again."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    ports = []
    for worker in ("gw0", "gw1"):
        environ = os.environ | {"PYTEST_XDIST_WORKER": worker}
        ports += run(sys.executable, "-c", MANY, env=environ).split()
    assert len(ports) == len(set(ports)) == 2 * 3 * 99
