"""A primary that becomes read-only, and another server that accepts writes in its place.

As with DNS and most TCP load balancers, nothing closes the sessions of the old primary.
"""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stack.links.test_replica import FILES, start
from tests.support.compose import Stack
from tests.support.links.client import TARGET
from tests.support.service import Service
from tests.support.waiting import wait_until

WORKERS = 2
SETTLED = 5  # seconds after which a connection tells of others too: see app/database/driver.py
ALL_WELL = {302: 40, 201: 80}
# `app` finds the proxy, not the server, by the name `db`. The proxy keeps sessions, and makes new
# ones with the host in /tmp/target.
PROXY = """
services:
  proxy:
    image: ${IMAGE}:${TAG}
    networks: [backend]
    tmpfs: [/tmp]
    healthcheck:
      test: [CMD, python3, -c, "import socket; socket.create_connection(('127.0.0.1', 3306))"]
      start_period: 30s
      start_interval: 1s
    command:
      - python3
      - -c
      - |
        import asyncio, contextlib
        async def copy(reader, writer):
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    writer.write(data)
            writer.close()
        async def serve(reader, writer):
            there = await asyncio.open_connection(open("/tmp/target").read(), 3306)
            await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))
        async def main():
            open("/tmp/target", "w").write("db")
            async with await asyncio.start_server(serve, port=3306) as server:
                await server.serve_forever()
        asyncio.run(main())
  app:
    links: ["proxy:db"]
"""
HOSTS = """
services:
  app: {environment: {DATABASE_URL_FILE: "", DATABASE_URL: "mysql://app:%s@%s"}}
  migrate: {environment: {DATABASE_URL_FILE: "", DATABASE_URL: "mysql://migrator:%s@%s"}}
"""


@pytest.fixture(scope="module", name="servers")
def _servers(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a replica, whose service connects to its primary through the proxy."""
    proxy = tmp_path_factory.mktemp("proxy") / "compose.yaml"
    proxy.write_text(PROXY)
    with Stack(tag=stack.tag) as servers:
        servers.env["COMPOSE_FILE"] = f"{FILES}:{proxy}"
        start(servers)
        yield servers


@pytest.fixture(scope="module", name="client")
def _client(servers: Stack) -> Iterator[Service]:
    """A client with a write token, which both servers know."""
    token = servers.exec("app", "slipway", "tokens", "create", "failover").strip()
    with Service(servers.url, token) as client:
        yield client


@pytest.fixture(scope="module", name="code")
def _code(servers: Stack, client: Service) -> str:
    """The code of a link, which both servers have."""
    code = str(client.post("/api/links", json={"url": TARGET}).json()["code"])
    there = f"SELECT 1 FROM slipway.links WHERE code = '{code}'"
    wait_until(lambda: servers.mysql_root(there, "db-replica"))
    return code


def set_read_only(servers: Stack, host: str, *, to: bool) -> None:
    """Make a server a replica that only reads, or a primary."""
    sql = f"STOP REPLICA; SET GLOBAL super_read_only = {to}; SET GLOBAL read_only = {to}"
    servers.mysql_root(sql, host)


def answers(client: Service, code: str) -> list[int]:
    """Return the statuses of 40 redirects, creates and batches, in turns: each has its own pool."""
    body = {"url": TARGET}
    return [
        status
        for _ in range(40)
        for status in (
            client.get(f"/{code}").status_code,
            client.post("/api/links", json=body).status_code,
            client.post("/api/links/batch", json={"links": [body]}).status_code,
        )
    ]


def connections(servers: Stack) -> int:
    """Return how many connections the first server has had."""
    return int(servers.mysql_root("SHOW GLOBAL STATUS LIKE 'Connections'")[0][1])


def test_read_only_server_costs_a_connection_for_a_write(
    servers: Stack, client: Service, code: str
) -> None:
    """While there is no other server, a failed write replaces its own connection, and no others."""

    def read(_number: int) -> int:
        return client.get(f"/api/links/{code}").status_code

    servers.mysql_root("SET GLOBAL super_read_only = 1")
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read, range(8)))
            before = connections(servers)
            for _ in range(20):
                assert client.get(f"/{code}").status_code == 503
                assert set(pool.map(read, range(8))) == {200}
    finally:
        set_read_only(servers, "db", to=False)
    opened = connections(servers) - before
    print(f"{opened} connections for 20 writes and 160 reads")
    assert opened < 80


def test_demoted_primary_is_left(servers: Stack, client: Service, code: str) -> None:
    """At most one request of each worker fails, although old sessions stay open."""
    assert Counter(answers(client, code)) == ALL_WELL
    time.sleep(SETTLED)
    set_read_only(servers, "db", to=True)
    set_read_only(servers, "db-replica", to=False)
    servers.python("proxy", "open('/tmp/target', 'w').write('db-replica')")
    after = answers(client, code)
    print(f"after the failover: {Counter(after)}, the last failure was number {_last(after)}")
    assert Counter(after)[503] <= WORKERS
    assert 503 not in after[40:]


def test_primary_is_found_among_hosts(
    servers: Stack, client: Service, code: str, tmp_path: Path
) -> None:
    """With several hosts, the service and migrations find the one that accepts writes."""
    app, migrator = servers.exec(
        "db", "bash", "-c", "cat /run/secrets/{app,migrator}_password"
    ).split()
    several = tmp_path / "hosts.yaml"
    hosts = "db,db-replica/slipway"
    several.write_text(HOSTS % (app, hosts, migrator, hosts))
    servers.env["COMPOSE_FILE"] = f"{FILES}:{several}"
    servers.up()
    assert Counter(answers(client, code)) == ALL_WELL

    set_read_only(servers, "db-replica", to=True)
    set_read_only(servers, "db", to=False)
    after = answers(client, code)
    print(f"after the switchover: {Counter(after)}, the last failure was number {_last(after)}")
    assert Counter(after)[503] <= WORKERS
    assert 503 not in after[40:]

    servers.compose("pause", "db-replica")
    try:
        assert Counter(answers(client, code)) == ALL_WELL
        servers.compose("restart", "app")
        servers.wait_ready()
        assert Counter(answers(client, code)) == ALL_WELL
    finally:
        servers.compose("unpause", "db-replica")


def _last(statuses: list[int]) -> int:
    return max((number for number, status in enumerate(statuses, 1) if status == 503), default=0)
