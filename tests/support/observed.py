"""A stack with deploy/observe, whose Prometheus and MySQL exporter are from Debian."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests
import yaml

from tests.support.checkout import ROOT
from tests.support.compose import Stack, docker
from tests.support.leftovers import new_name
from tests.support.waiting import free_port, wait_until

FOLDER = ROOT / "deploy/observe"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("dashboards/*.json"))
}
REPLICA_ACCOUNT = (ROOT / "deploy/replica/account.sh").read_text()
# A server that is no member of a group shows itself as offline, if it has the plug-in.
GROUP = "INSTALL PLUGIN group_replication SONAME 'group_replication.so'"
# The names of metrics in an expression of ours.
METRIC = re.compile(r"\b(?:slipway_|mysql_)\w+|\w+:[\w:]+|\bup\b")
SCRAPE_INTERVAL, RATE_INTERVAL = "1s", "5s"


class Query(NamedTuple):
    """A query of a panel."""

    dashboard: str
    panel: str
    ref: str
    expression: str


def queries() -> list[Query]:
    """Return the queries of all panels of all dashboards."""
    return [
        Query(name, panel["title"], target["refId"], target["expr"])
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **parameters: Any) -> Any:
        """Send a request to the HTTP API, and return the data of the answer."""
        answer = requests.get(f"{self.url}/{path}", params=parameters, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(
        self, expression: str, start: float, end: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the series of a panel's query for each second: labels, and times with values."""
        query = expression.replace("$__rate_interval", RATE_INTERVAL)
        found = self.ask("query_range", query=query, start=start, end=end, step=1)
        return [
            (each["metric"], [(at, float(value)) for at, value in each["values"]])
            for each in found["result"]
        ]

    def up(self) -> dict[str, bool]:
        """Return whether each target was scraped, by job and instance."""
        targets = self.ask("targets")["activeTargets"]
        return {
            f"{each['labels']['job']} {each['labels']['instance']}": each["health"] == "up"
            for each in targets
        }


def start_with_replica(stack: Stack) -> None:
    """Start a stack with what all panels need: a replica, and the plug-in of a group."""
    stack.env["COMPOSE_FILE"] = f"docker-compose.yaml{os.pathsep}deploy/replica/compose.yaml"
    stack.up("db")
    stack.exec("db", "bash", "-c", REPLICA_ACCOUNT)
    stack.up()
    stack.mysql_root(GROUP)


@contextmanager
def observed(stack: Stack, folder: Path, *servers: str) -> Iterator[Prometheus]:
    """Add deploy/observe to a running stack, without Grafana and Jaeger, and wait for a scrape.

    :param folder: an empty folder.
    :param servers: which MySQL servers to scrape.
    """
    [base] = re.findall(r"^FROM (prom/\S+)", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    config["global"] = dict.fromkeys(config["global"], SCRAPE_INTERVAL)
    [mysql] = config["scrape_configs"]
    mysql["static_configs"] = [{"targets": list(servers)}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    image = f"slipway-debian:{new_name()}"
    mount = f"{folder}/prometheus.yaml:/etc/prometheus/prometheus.yaml:ro"
    contexts = {base: f"docker-image://{image}"}
    services = {
        "prometheus": {"build": {"additional_contexts": contexts}, "volumes": [mount]},
        "mysqld-exporter": {"image": image, "entrypoint": ["prometheus-mysqld-exporter"]},
    }
    # JSON is YAML too.
    (folder / "debian.yaml").write_text(json.dumps({"services": services}))
    docker("build", "--quiet", "--tag", image, str(ROOT / "tests/support/observe"))
    port = free_port()
    before = stack.env["COMPOSE_FILE"]
    stack.env |= {
        "COMPOSE_FILE": f"{before}{os.pathsep}{folder}/debian.yaml",
        "COMPOSE_PROFILES": "observe",
        "PROMETHEUS_PORT": str(port),
    }
    try:
        stack.up("--build", "prometheus", "mysqld-exporter")
        prometheus = Prometheus(port)
        wait_until(lambda: (targets := prometheus.up()) and all(targets.values()))
        yield prometheus
    finally:
        stack.compose("rm", "--force", "--stop", "prometheus", "mysqld-exporter")
        del stack.env["COMPOSE_PROFILES"], stack.env["PROMETHEUS_PORT"]
        stack.env["COMPOSE_FILE"] = before
        docker("image", "rm", "--force", image)
