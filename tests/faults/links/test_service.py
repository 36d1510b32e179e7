"""Faults of the service's processes lose no acknowledged write."""

import http.client
import json
import time

import pytest
import requests

from tests.support.compose import Stack, docker
from tests.support.faults import nemesis
from tests.support.faults.nemesis import Fault
from tests.support.links.client import TARGET
from tests.support.links.faults import rounds
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timed


@pytest.mark.parametrize("fault", nemesis.SERVICE, ids=lambda fault: fault.name)
def test_nothing_is_lost(stack: Stack, token: str, fault: Fault) -> None:
    """Only requests to the process that died get no answer, and the service recovers by itself."""
    violations = rounds.run(stack, token, fault)
    assert not violations, "\n".join(map(str, violations))


def test_service_drains_before_it_stops(stack: Stack, token: str) -> None:
    """Connection draining: after SIGTERM the service is not ready, but serves on for a while.

    It finishes requests that have begun, and exits with 0.
    """
    usual = stack.env["SHUTDOWN_DELAY"]
    stack.env["SHUTDOWN_DELAY"] = "4"
    stack.up()
    body = json.dumps({"url": TARGET, "title": "slow"}).encode()
    slow = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    try:
        slow.putrequest("POST", "/api/links")
        for name, value in {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }.items():
            slow.putheader(name, value)
        slow.endheaders(body[:1])
        wait_until(lambda: requests.get(f"{stack.url}/readyz", timeout=5).ok)

        docker("kill", "--signal", "TERM", stack.id("app"))
        signalled = time.monotonic()
        wait_until(lambda: requests.get(f"{stack.url}/readyz", timeout=5).status_code == 503, 2)
        assert "shutting down" in requests.get(f"{stack.url}/readyz", timeout=5).json()["detail"]
        served = 0
        try:
            while True:  # each request on a new connection
                assert requests.get(stack.url, timeout=5).status_code == 200
                served += 1
        except requests.ConnectionError:
            assert time.monotonic() - signalled > 3
        assert served > 1

        slow.send(body[1:])
        assert slow.getresponse().status == 201
        wait_until(lambda: stack.inspect("app")["State"]["Status"] == "exited")
        assert stack.inspect("app")["State"]["ExitCode"] == 0
    finally:
        slow.close()
        stack.env["SHUTDOWN_DELAY"] = usual
        stack.up()
        stack.mysql_root("DELETE FROM links WHERE title = 'slow'")
