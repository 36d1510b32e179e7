"""Metrics of a container: not published, and correct after workers or the service die."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import requests

from tests.support.compose import Stack
from tests.support.load import repeated
from tests.support.scrape import Metrics
from tests.support.waiting import wait_until

GREETED = 'slipway_requests_total{method="GET",route="/",status="200"}'
FILES = "import glob; print(*sorted(glob.glob('/dev/shm/slipway-metrics-*/*')))"
WORKERS = """
import glob, os, sys
def parent(process):
    return int(open(process + "/stat").read().rpartition(")")[2].split()[1])
def command(process):
    return open(process + "/cmdline").read()
servers = [p for p in glob.glob("/proc/[1-9]*") if "/gunicorn" in command(p)]
ids = {int(p.rpartition("/")[2]) for p in servers}
workers = {int(p.rpartition("/")[2]) for p in servers if parent(p) in ids}
for worker in workers if sys.argv[1:] else ():
    os.kill(worker, 9)
print(*sorted(workers))
"""


@pytest.fixture
def metrics(stack: Stack) -> Metrics:
    """The metrics of the stack."""
    return Metrics(partial(stack.python, "app"))


@contextmanager
def load(stack: Stack) -> Iterator[None]:
    """Send requests for the greeting from several clients during this block."""
    with repeated([lambda: requests.get(stack.url, timeout=10)] * 8):
        yield


def test_port_is_not_published(stack: Stack) -> None:
    """Only the service's public port is published on the host."""
    ports = stack.inspect("app")["NetworkSettings"]["Ports"]
    assert [port for port, published in ports.items() if published] == ["8000/tcp"]


def test_dead_workers_leave_no_trace_and_lose_no_count(stack: Stack, metrics: Metrics) -> None:
    """When workers are killed under load, counters continue and gauges return to zero.

    New workers reuse the files of the dead ones.
    """
    workers = stack.python("app", WORKERS).split()
    assert len(workers) == 2
    with load(stack):
        wait_until(lambda: metrics.read()["slipway_requests_in_flight"] > 0)
        before = metrics.read()
        assert stack.python("app", WORKERS, "kill").split() == workers
        wait_until(lambda: len(set(stack.python("app", WORKERS).split()) - set(workers)) == 2)
        stack.wait_ready()
        wait_until(lambda: metrics.read()[GREETED] > before[GREETED])
    after = metrics.read()
    assert after["slipway_requests_in_flight"] == 0
    assert after['slipway_database_pool_in_use{pool="autocommit"}'] == 0
    assert after[GREETED] > before[GREETED]
    places = {file.rpartition("_")[2] for file in stack.python("app", FILES).split()}
    assert places == {"0.db", "1.db", "2.db"}  # of the gunicorn master and of two workers


def test_restart_begins_anew(stack: Stack, metrics: Metrics) -> None:
    """After a crash of the whole service, metrics start from zero."""
    for _ in range(5):
        assert requests.get(stack.url, timeout=10).ok
    assert metrics.read()[GREETED] >= 5
    stack.compose("kill", "--signal", "KILL", "app")
    stack.up()
    assert GREETED not in metrics.read()
    assert len({file.rpartition("/")[0] for file in stack.python("app", FILES).split()}) == 1


def test_reload_keeps_counters(stack: Stack, metrics: Metrics) -> None:
    """When gunicorn reloads its configuration (SIGHUP), metrics go on."""
    booted = stack.compose("logs", "app").count("Booting worker")
    assert requests.get(stack.url, timeout=10).ok
    before = metrics.read()[GREETED]
    stack.compose("kill", "--signal", "HUP", "app")
    wait_until(lambda: stack.compose("logs", "app").count("Booting worker") == booted + 2)
    wait_until(lambda: requests.get(stack.url, timeout=10).ok)
    assert metrics.read()[GREETED] > before


def test_outage_is_reported(stack: Stack, metrics: Metrics) -> None:
    """During an outage of the database, metrics are still served and show it."""
    # After `docker unpause`, the container would stay unhealthy until the next health check.
    stack.exec("db", "bash", "-c", "kill -STOP $(pidof mysqld)")
    try:
        samples = metrics.read()
    finally:
        stack.exec("db", "bash", "-c", "kill -CONT $(pidof mysqld)")
    assert samples["slipway_database_up"] == 0
    assert not [sample for sample in samples if sample.startswith("slipway_schema_info{")]
    wait_until(lambda: metrics.read()["slipway_database_up"] == 1)
