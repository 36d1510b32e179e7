"""Metrics: exact under several workers, bounded whatever is asked, on no other port."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.api.conftest import Deployment
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
    """The service's metrics."""
    return deployment.metrics


def test_every_request_is_counted_once(metrics: Metrics, deployment: Deployment) -> None:
    """Requests that many connections bring to all workers are all in one scrape."""

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
    """They tell what is fast from what is slow."""
    service.get("/docs")
    start = 'slipway_request_seconds_bucket{le="'
    bounds = [s.removeprefix(start).partition('"')[0] for s in metrics.read() if DOCS in s]
    found = [float(bound) for bound in bounds if bound[0] in "0123456789"]
    assert (min(found), max(found)) == (0.001, 30)


def test_what_clients_make_up_gets_no_label(metrics: Metrics, service: Service) -> None:
    """Paths and methods that nobody knows add up to a few samples."""

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
    refused = 'slipway_requests_total{method="other",route="(refused)",status="400"}'
    assert after[refused] - before[refused] == 20


def test_pools_are_told(metrics: Metrics, service: Service) -> None:
    """A request that needs a connection is in the waits, and gives it back."""
    before = metrics.read()
    assert service.get("/api/me").status_code == 200
    after = metrics.read()
    waits = 'slipway_database_pool_wait_seconds_count{pool="autocommit"}'
    # One to look the token up; one to note its use, perhaps; and one for each scrape.
    assert 2 <= after[waits] - before.get(waits, 0) <= 4
    for pool in ("autocommit", "transactional", "long_autocommit", "long_transactional"):
        assert after[f'slipway_database_pool_in_use{{pool="{pool}"}}'] == 0
        assert after[f'slipway_database_pool_size{{pool="{pool}"}}'] > 0
        assert after[f'slipway_database_pool_timeouts_total{{pool="{pool}"}}'] >= 0


def test_versions_are_told(metrics: Metrics) -> None:
    """What runs, what schema its database has, and that it is ready."""
    samples = metrics.read()
    assert samples["slipway_ready"] == 1
    assert samples['slipway_schema_info{revision="0003"}'] == 1
    assert [sample for sample in samples if sample.startswith("slipway_build_info{version=")]


@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/metrics/", "/METRICS", "/metrics?x"])
@pytest.mark.parametrize("header", ["Accept", *SPOOFS])
def test_public_port_serves_none(deployment: Deployment, path: str, header: str) -> None:
    """Whatever port a client claims to have asked, the public one says 404."""
    value = SPOOFS.get(header, "text/plain").format(port=deployment.metrics.port)
    answer = Service(deployment.url).raw(path, "GET", b"", **{header: value})
    assert answer.status == 404
    assert b"slipway_" not in answer.body


@pytest.mark.parametrize("path", ["/", "/livez", "/docs", "/api/me", "/metrics/", "/favicon.ico"])
@pytest.mark.parametrize("header", ["Accept", *SPOOFS])
def test_their_port_serves_nothing_else(deployment: Deployment, path: str, header: str) -> None:
    """It does not know the service, whatever port a client claims to have asked."""
    public = deployment.url.rpartition(":")[2]
    value = SPOOFS.get(header, "text/plain").format(port=public)
    assert deployment.metrics.ask(path, **{header: value}) == (404, "")
    assert deployment.metrics.ask(**{header: value})[0] == 200


def test_page_lists_every_metric(metrics: Metrics) -> None:
    """docs/observe.md has each metric, its type and its labels as they are, and no other.

    The last table is that of the example, which tells of its own.
    """
    page = documented_metrics(PAGE)
    served = metrics.described()
    assert served == {name: page[name] for name in served}
    assert documented_metrics(PAGE.partition("The example has")[0]).keys() <= served.keys()
