"""Each panel of the dashboards shows data of a real stack, and each metric that we name exists."""

import math
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

import pytest
import requests
import yaml

from tests.support.checkout import ROOT
from tests.support.compose import Stack
from tests.support.leftovers import new_name
from tests.support.load import repeated
from tests.support.observed import (
    METRIC,
    Prometheus,
    Query,
    observed,
    queries,
    start_with_replica,
)
from tests.support.scrape import documented_metrics
from tests.support.waiting import wait_until

QUERIES = queries()
GROUPS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]


class Seen(NamedTuple):
    """A Prometheus, and the time of the load that it has seen."""

    prometheus: Prometheus
    start: float
    end: float


@contextmanager
def load(stack: Stack) -> Iterator[None]:
    """Send requests of several kinds during this block, which get any answer or none."""
    token = stack.exec("app", "slipway", "tokens", "create", new_name()).strip()
    paths = ["/", "/api/me", "/missing/page"]
    headers = {"Authorization": f"Bearer {token}"}
    # example
    link = {"url": "https://example.com", "code": "panels"}
    assert requests.post(f"{stack.url}/api/links", json=link, headers=headers, timeout=10).ok
    paths += ["/panels", "/api/links"]
    # /example
    with ExitStack() as sessions:
        sends = []
        for path in paths:
            session = sessions.enter_context(requests.Session())
            get = partial(session.get, headers=headers, timeout=10, allow_redirects=False)
            sends.append(partial(get, f"{stack.url}{path}"))
        with repeated(sends):
            yield


@pytest.fixture(scope="module")
def seen(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Prometheus after it has seen load, and a short outage, of a stack with a replica."""
    with Stack(tag=stack.tag) as replicated:
        start_with_replica(replicated)
        folder = tmp_path_factory.mktemp("observed")
        with observed(replicated, folder, "db", "db-replica") as prometheus:
            start = time.time()
            with load(replicated):
                time.sleep(10)  # some scrapes
                replicated.compose("stop", "db")
                time.sleep(3)
                replicated.compose("start", "db")
                replicated.wait_ready()
                time.sleep(5)
            yield Seen(prometheus, start, time.time())


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: "-".join(query[:3]))
def test_each_query_finds_data(seen: Seen, query: Query) -> None:
    """Prometheus, run with our configuration, has numbers for each query of each panel.

    `pytest -rP` shows the smallest and the largest value of each series.
    """
    found = seen.prometheus.series(query.expression, seen.start, seen.end)
    for labels, points in found:
        values = [value for _, value in points if math.isfinite(value)]
        if values:
            print(f"{query.expression}  {labels}  {min(values):g} to {max(values):g}")
    assert any(math.isfinite(value) for _, points in found for _, value in points)


def test_outage_is_seen(seen: Seen) -> None:
    """The errors of the outage are in the panel, and the database was down and is up again."""
    [errors] = {query.expression for query in QUERIES if query.panel == "Errors by route"}
    series = seen.prometheus.series(errors, seen.start, seen.end)
    assert {labels["status"] for labels, _ in series} == {"503"}
    assert max(value for _, points in series for _, value in points) > 0
    [(_, database)] = seen.prometheus.series("slipway_database_up", seen.start, seen.end)
    assert {value for _, value in database} == {0, 1}
    assert database[-1][1] == 1


def test_each_metric_that_we_name_exists(seen: Seen) -> None:
    """Prometheus has every metric of the documentation, of the rules and of the panels."""
    page = documented_metrics((ROOT / "docs/observe.md").read_text())
    named = {f"{name}_bucket" if kind == "histogram" else name for name, (kind, _) in page.items()}
    expressions = [rule["expr"] for rule in RULES]
    for expression in expressions + [query.expression for query in QUERIES]:
        named |= set(METRIC.findall(re.sub('"[^"]*"', "", expression)))
    known = set(seen.prometheus.ask("label/__name__/values"))
    assert len(named) > 30
    assert sorted(named - known) == []


def test_rules_are_evaluated(seen: Seen) -> None:
    """Prometheus has loaded all rules, and none has failed."""
    groups = seen.prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == len(RULES)


def test_exporter_can_read_what_it_collects(seen: Seen) -> None:
    """Each collector of the exporter succeeds with the privileges of its account."""

    def failed() -> list[str]:
        series = seen.prometheus.series(
            "mysql_exporter_collector_success", time.time() - 1, time.time()
        )
        assert series
        return sorted({labels["collector"] for labels, values in series if values[-1][1] != 1})

    wait_until(lambda: failed() == [], 10)
