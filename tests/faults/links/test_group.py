"""A group of three MySQL servers loses no acknowledged write."""

from collections.abc import Iterator

import pytest

from tests.support.compose import Stack
from tests.support.faults import group
from tests.support.faults.group import Group
from tests.support.links.client import TARGET
from tests.support.links.faults import rounds
from tests.support.service import Service

pytestmark = pytest.mark.timed

[KILLED] = [fault for fault in group.FAULTS if fault.name == "primary killed"]


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


def test_nothing_is_lost(grown: tuple[Group, str]) -> None:
    """When the primary is killed, requests that fail get 503, and no acknowledged write is lost.

    `make faults` injects all faults of a group.
    """
    stack, token = grown
    violations = rounds.run(stack, token, KILLED)
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
