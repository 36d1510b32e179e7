"""A group of three MySQL servers loses no acknowledged write."""

import os
from collections.abc import Iterator

import pytest

from tests.support.compose import Stack
from tests.support.faults import group
from tests.support.faults.group import Group
from tests.support.faults.nemesis import Fault
from tests.support.links.client import TARGET
from tests.support.links.faults import rounds
from tests.support.service import Service

pytestmark = pytest.mark.timed

# `make faults` injects all of them.
DAILY = group.FAULTS if os.environ.get("ALL_FAULTS") else group.FAULTS[1:2]


@pytest.fixture(scope="module", name="grown")
def _grown(stack: Stack) -> Iterator[tuple[Group, str]]:
    """A group that a stack with data has grown into, and a write token."""
    with Group(tag=stack.tag) as grown:
        grown.up()
        token = grown.exec("app", "slipway", "tokens", "create", "group").strip()
        with Service(grown.url, token) as client:
            client.post("/api/links", json={"url": TARGET, "code": "before"})
        grown.begin()
        yield grown, token


def test_data_is_kept(grown: tuple[Group, str]) -> None:
    """Each member has what was written before there was a group."""
    for member in group.MEMBERS:
        assert grown[0].on(member, "SELECT code FROM slipway.links") == [["before"]]


@pytest.mark.parametrize("fault", DAILY, ids=lambda fault: fault.name)
def test_nothing_is_lost(grown: tuple[Group, str], fault: Fault) -> None:
    """During each fault, requests that fail get 503 in time, and no acknowledged write is lost."""
    stack, token = grown
    violations = rounds.run(stack, token, fault)
    assert not violations, "\n".join(map(str, violations))


def test_one_server_is_left(grown: tuple[Group, str]) -> None:
    """The way back to one server keeps the data, and leaves no container of the group."""
    stack, token = grown
    stack.end()
    assert stack.compose("ps", "--all", "--services").split() == ["app", "db", "migrate", "secrets"]
    with Service(stack.url, token) as client:
        assert client.get("/before").status_code == 302
        assert client.post("/api/links", json={"url": TARGET}).status_code == 201
    assert Stack.mysql_root(stack, "SELECT @@super_read_only") == [["0"]]
