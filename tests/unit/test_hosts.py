"""Several hosts of the database: which one a new connection goes to."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from pymysql.constants import CR
from pymysql.err import OperationalError

from app.database import driver, hosts

HOSTS = "a:1,b:2,c:3"
WITHIN = 0.5


class Servers:
    """Three servers. `primaries` accept writes, and `silent` ones do not answer."""

    def __init__(self) -> None:
        self.primaries: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.opened: list[Server] = []

    def connect(self, host: str, **_options: Any) -> "Server":
        """Open a connection, unless the host is silent."""
        self.asked.append(host)
        if host in self.silent:
            raise OperationalError(2003, "timed out")
        self.opened.append(Server(host, reads_only=host not in self.primaries))
        return self.opened[-1]


class Server:
    """A connection, and its only cursor."""

    def __init__(self, host: str, *, reads_only: bool) -> None:
        self.host, self.reads_only, self.is_open = host, reads_only, True

    def cursor(self) -> "Server":
        """Return itself, which is enough for one statement."""
        return self

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def execute(self, _statement: str) -> None:
        """Do nothing."""

    def fetchone(self) -> tuple[bool]:
        """Return the answer to the question whether the server only reads."""
        return (self.reads_only,)

    def close(self) -> None:
        """Note that it is closed."""
        self.is_open = False


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    """Three servers of which `a` is the primary."""
    monkeypatch.setattr(hosts, "_last_primary", {})
    monkeypatch.setattr(hosts, "_silent", set())
    found = Servers()
    found.primaries = {"a"}
    return found


@pytest.fixture
def connect(servers: Servers) -> Callable[[], str]:
    """A function that connects, and returns the host. No other connection stays open."""

    def find() -> str:
        servers.asked, servers.opened = [], []
        connection: Any = hosts.connect(servers.connect, WITHIN, {"host": HOSTS})
        assert [opened for opened in servers.opened if opened.is_open] == [connection]
        return str(connection.host)

    return find


def test_last_primary_is_asked_first(servers: Servers, connect: Callable[[], str]) -> None:
    """In the ordinary case, one host is asked."""
    servers.primaries = {"c"}
    assert connect() == "c"
    assert connect() == "c"
    assert servers.asked == ["c"]


def test_host_that_was_silent_is_asked_last(servers: Servers, connect: Callable[[], str]) -> None:
    """A host that hangs costs its time only once while another one is the primary."""
    servers.primaries, servers.silent = {"b"}, {"a"}
    assert connect() == "b"
    assert servers.asked == ["a", "b"]
    servers.primaries = {"c"}
    assert connect() == "c"
    assert servers.asked == ["b", "c"]


def test_former_primary_that_hung_is_not_believed(
    servers: Servers, connect: Callable[[], str]
) -> None:
    """While it goes on as the primary that it was, connections go to the new one."""
    assert connect() == "a"
    servers.primaries, servers.silent = set(), {"a"}
    with pytest.raises(OperationalError, match=r"timed out.*b is read-only.*c is read-only"):
        connect()
    wake = servers.connect

    def wake_late(host: str, **options: Any) -> Server:
        # The new primary is chosen while this connection waits for the old one.
        if host == "a":
            servers.silent, servers.primaries = set(), {"a", "b"}
        return wake(host, **options)

    servers.connect = wake_late  # type: ignore[method-assign]
    assert connect() == "b"
    assert servers.asked == ["b", "c", "a", "b"]
    assert connect() == "b"
    assert servers.asked == ["b"]


def test_primary_that_was_silent_is_found_again(
    servers: Servers, connect: Callable[[], str]
) -> None:
    """If no other host accepts writes, it is the primary as before."""
    servers.silent = {"a"}
    with pytest.raises(OperationalError):
        connect()
    servers.silent = set()
    assert connect() == "a"
    assert servers.asked == ["b", "c", "a", "b", "c"]
    assert connect() == "a"
    assert servers.asked == ["a"]


def test_silent_host_leaves_time_for_the_others(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even the last host does not get all of the time: the others are asked after it."""
    shares: list[float] = []

    def timeout(seconds: float, _error: Exception) -> Any:
        shares.append(seconds)
        return nullcontext()

    monkeypatch.setattr(hosts, "Timeout", timeout)
    monkeypatch.setattr(hosts, "_silent", {"a:1"})
    hosts.connect(servers.connect, WITHIN, {"host": HOSTS})
    assert servers.asked[2] == "a"
    assert shares[2] < WITHIN / 2


@pytest.mark.parametrize(
    ("port", "concerns_all"),
    [pytest.param(1, True, id="the primary"), pytest.param(2, False, id="another server")],
)
def test_silence_of_the_primary_concerns_all_pools(
    monkeypatch: pytest.MonkeyPatch, port: int, *, concerns_all: bool
) -> None:
    """If the primary among several hosts does not answer, all pools replace their connections."""
    monkeypatch.setattr(driver.Connection, "primary", ("a", 1))
    monkeypatch.setattr(driver.Connection, "outdated", 0.0)
    lost = SimpleNamespace(host="a", port=port, opened=time.monotonic() - driver.SETTLED - 1)
    context: Any = SimpleNamespace(
        connection=SimpleNamespace(connection=SimpleNamespace(dbapi_connection=lost)),
        original_exception=OperationalError(CR.CR_SERVER_LOST, "timed out"),
        is_disconnect=True,
    )
    driver.leave_server(context)
    assert (driver.Connection.outdated > lost.opened) == concerns_all
