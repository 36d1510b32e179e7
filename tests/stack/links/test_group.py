"""A group of three MySQL servers. `make faults` injects all of its faults under load."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.compose import Stack
from tests.support.faults.group import MEMBERS, Group
from tests.support.links.client import TARGET
from tests.support.service import Service
from tests.support.waiting import wait_until

CODES = "SELECT code FROM slipway.links"


@pytest.fixture(scope="module", name="grown")
def _grown(engine: None) -> Iterator[Group]:  # noqa: ARG001
    """A group that a stack with one link has grown into.

    It has an image of its own: the page's commands build it, and it is removed with the stack.
    """
    with Group() as grown:
        grown.up()
        with Service(grown.url, write_token(grown, "before")) as client:
            client.post("/api/links", json={"url": TARGET, "code": "before"})
        grown.begin()
        yield grown


def write_token(stack: Stack, name: str) -> str:
    """Create a write token."""
    return stack.exec("app", "slipway", "tokens", "create", name).strip()


def test_data_is_kept(grown: Group) -> None:
    """Each member has what was written before there was a group."""
    for member in MEMBERS:
        assert grown.mysql_root(CODES, member) == [["before"]]


def test_primary_that_is_killed_is_replaced(grown: Group) -> None:
    """Another member becomes the primary, with all that was acknowledged; the old one returns."""
    primary, codes = grown.primary(), {"before"}

    def create() -> bool:
        answer = client.post("/api/links", json={"url": TARGET})
        if answer.status_code == 201:
            codes.add(answer.json()["code"])
            return True
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        return False

    def has_all(member: str) -> bool:
        return codes <= {row[0] for row in grown.mysql_root(CODES, member)}

    with Service(grown.url, write_token(grown, "during")) as client:
        assert all(create() for _ in range(20))
        grown.exec(primary, "bash", "-c", "kill -KILL $(pidof mysqld)")
        wait_until(create)
        wait_until(lambda: all(create() for _ in range(20)))
    assert grown.primary() != primary
    grown.wait_complete()
    for member in MEMBERS:
        wait_until(partial(has_all, member))


def test_one_server_is_left(grown: Group) -> None:
    """The way back to one server keeps the data, and leaves no container of the group."""
    grown.end()
    assert grown.compose("ps", "--all", "--services").split() == ["app", "db", "migrate", "secrets"]
    with Service(grown.url, write_token(grown, "after")) as client:
        assert client.get("/before").status_code == 302
        assert client.post("/api/links", json={"url": TARGET}).status_code == 201
