"""Metrics are exact with several workers, have bounded labels, and have their own port."""

import secrets
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.api.conftest import Deployment
from tests.conftest import NO_PROMTOOL
from tests.support.checkout import ROOT
from tests.support.scrape import Metrics, documented_metrics
from tests.support.service import Service

PAGE = (ROOT / "docs" / "observe.md").read_text()
DOCS = 'method="GET",route="/docs"'
REQUESTS = 100
SPOOFS = {
    "Host": "localhost:{port}",
    "X_Forwarded_Host": "localhost:{port}",
    "X_Forwarded_Port": "{port}",
    "Forwarded": "host=localhost:{port}",
}


@pytest.fixture
def metrics(deployment: Deployment) -> Metrics:
    """The metrics of the service."""
    return deployment.metrics


def test_every_request_is_counted_once(metrics: Metrics, deployment: Deployment) -> None:
    """One scrape counts all requests, from many connections to all workers."""

    def send(_number: int) -> int:
        return requests.get(f"{deployment.url}/docs", timeout=30).status_code

    before = metrics.read()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(send, range(REQUESTS))) == {200}
    after = metrics.read()

    def grown(sample: str) -> float:
        return after[sample] - before.get(sample, 0)

    assert grown(f'slipway_requests_total{{{DOCS},status="200"}}') == REQUESTS
    assert grown(f"slipway_request_seconds_count{{{DOCS}}}") == REQUESTS
    assert grown(f'slipway_request_seconds_bucket{{le="+Inf",{DOCS}}}') == REQUESTS
    assert 0 < grown(f"slipway_request_seconds_sum{{{DOCS}}}") < 30 * REQUESTS
    assert after["slipway_requests_in_flight"] == 0


def test_buckets_are_from_a_millisecond_to_the_longest_request(
    metrics: Metrics, service: Service
) -> None:
    """Histogram buckets range from 1 ms to 30 s, the longest that a request can take."""
    service.get("/docs")
    start = 'slipway_request_seconds_bucket{le="'
    bounds = [s.removeprefix(start).partition('"')[0] for s in metrics.read() if DOCS in s]
    found = [float(bound) for bound in bounds if bound[0] in "0123456789"]
    assert (min(found), max(found)) == (0.001, 30)


def test_invented_paths_and_methods_get_no_label(metrics: Metrics, service: Service) -> None:
    """Unknown paths and methods share a few labels, so cardinality stays bounded."""

    def ask() -> None:
        made_up = secrets.token_hex(8)
        service.raw(f"/{made_up}/x.html")
        service.raw(f"/{made_up}")
        service.raw("/api/me", method=made_up.upper())
        service.raw("/livez", X_Request_Id=made_up)
        service.speak(f"GET /{made_up} {made_up}\r\n\r\n".encode())

    ask()
    before = metrics.read()
    for _ in range(20):
        ask()
    after = metrics.read()
    assert after.keys() == before.keys()
    labels = 'method="other",route="(refused)",status="400"'
    refused = f"slipway_requests_total{{{labels}}}"
    assert after[refused] - before[refused] == 20


def test_metrics_report_pools(metrics: Metrics, service: Service) -> None:
    """A request's wait for a connection is counted, and the connection is returned to the pool."""
    before = metrics.read()
    assert service.get("/api/me").status_code == 200
    after = metrics.read()
    waits = 'slipway_database_pool_wait_seconds_count{pool="autocommit"}'
    # One wait to look up the token, possibly one to record its use, and one for each scrape.
    assert 2 <= after[waits] - before.get(waits, 0) <= 4
    for pool in ("autocommit", "packets", "transactional", "long_autocommit", "long_transactional"):
        assert after[f'slipway_database_pool_in_use{{pool="{pool}"}}'] == 0
        assert after[f'slipway_database_pool_size{{pool="{pool}"}}'] > 0
        assert after[f'slipway_database_pool_timeouts_total{{pool="{pool}"}}'] >= 0


def test_metrics_report_versions(metrics: Metrics) -> None:
    """Metrics report the service's version, the schema revision and the database's state."""
    samples = metrics.read()
    assert samples["slipway_database_up"] == 1
    assert samples['slipway_schema_info{revision="0005"}'] == 1
    assert [sample for sample in samples if sample.startswith("slipway_build_info{version=")]


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/metrics/", "/METRICS", "/metrics?x"])
@pytest.mark.parametrize("header", ["Accept", *SPOOFS])
def test_public_port_serves_none(deployment: Deployment, path: str, header: str) -> None:
    """The public port answers 404 for metrics, even if headers claim another port."""
    value = SPOOFS.get(header, "text/plain").format(port=deployment.metrics.port)
    answer = Service(deployment.url).raw(path, "GET", b"", **{header: value})
    assert answer.status == 404
    assert b"slipway_" not in answer.body


@pytest.mark.parametrize("path", ["/", "/livez", "/docs", "/api/me", "/metrics/", "/favicon.ico"])
@pytest.mark.parametrize("header", ["Accept", *SPOOFS])
def test_their_port_serves_nothing_else(deployment: Deployment, path: str, header: str) -> None:
    """The metrics port serves only /metrics, even if headers claim the public port."""
    public = deployment.url.rpartition(":")[2]
    value = SPOOFS.get(header, "text/plain").format(port=public)
    assert deployment.metrics.ask(path, **{header: value}) == (404, "")
    assert deployment.metrics.ask(**{header: value})[0] == 200


def test_page_lists_every_metric(metrics: Metrics) -> None:
    """docs/observe.md lists every metric with its type and labels, and no others.

    The page's last table lists the metrics of the example, which this test leaves out.
    """
    page = documented_metrics(PAGE)
    served = metrics.described()
    assert served == {name: page[name] for name in served}
    assert documented_metrics(PAGE.partition("The example has")[0]).keys() <= served.keys()


def test_names_follow_the_conventions_of_prometheus(metrics: Metrics) -> None:
    """promtool, which checks names, units and help texts, finds nothing."""
    if not shutil.which("promtool"):
        pytest.skip(NO_PROMTOOL)
    _, text = metrics.ask()
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
