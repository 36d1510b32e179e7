"""Traces of redirects, of which the sampler leaves some out."""

import secrets
from pathlib import Path
from typing import Any

from tests.api.conftest import Receiver, embed
from tests.support.links.client import TARGET
from tests.support.service import Service
from tests.support.waiting import wait_until

SPAN = "00f067aa0ba902b7"
STATE = "vendor=value"


class Spans:
    """The spans that a service with one worker sends, of half of all traces."""

    def __init__(self, collector: Receiver) -> None:
        port, self._received = collector
        self.settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.5",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "WEB_CONCURRENCY": "1",
        }

    def of(self, trace_id: str) -> list[dict[str, Any]]:
        """Return the spans of a trace that have arrived."""
        return [span for span in self._received() if span["traceId"] == trace_id]

    def request(self, trace_id: str) -> dict[str, Any]:
        """Wait for the span of the trace's request, which is sent last, and return it."""
        wait_until(lambda: any(span["kind"] == 2 for span in self.of(trace_id)))
        [found] = [span for span in self.of(trace_id) if span["kind"] == 2]
        return found


def test_only_what_is_sampled_is_sent(tmp_path: Path, collector: Receiver) -> None:
    """Of half of all traces, redirects send their spans. All log lines have their trace ids."""
    spans = Spans(collector)
    with embed(tmp_path, **spans.settings) as deployment:
        service = Service(deployment.url, deployment.token())
        code = service.post("/api/links", json={"url": TARGET}).json()["code"]
        for path, status in ((f"/{code}", 302), ("/unknown", 404)):
            # The sampler compares the last half of the trace id.
            sampled, left_out = (f"{secrets.token_hex(8)}{half * 16}" for half in "0f")
            for trace_id in (left_out, sampled):
                names = {"traceparent": f"00-{trace_id}-{SPAN}-01", "tracestate": STATE}
                answer = service.get(path, headers=names)
                assert answer.status_code == status
                line = deployment.line(answer.headers["X-Request-Id"])
                assert (line["trace_id"], line["status"]) == (trace_id, status)
            request = spans.request(sampled)
            assert (request["name"], request["traceState"]) == ("GET /<unreserved:code>", STATE)
            assert request["parentSpanId"] == SPAN
            assert request["attributes"]["http.response.status_code"] == str(status)
            assert spans.of(left_out) == []
        ids = [service.get(f"/{code}").headers["X-Request-Id"] for _ in range(50)]
        found = {deployment.line(request_id)["trace_id"] for request_id in ids}
        assert len(found) == len(ids)


def test_fast_path_sends_the_same_spans(tmp_path: Path, collector: Receiver) -> None:
    """A sampled redirect has the same spans on the fast path as from Flask, behind a proxy too."""
    spans = Spans(collector)
    with embed(tmp_path, TRUSTED_PROXIES="1", **spans.settings) as deployment:
        service = Service(deployment.url, deployment.token())
        code = service.post("/api/links", json={"url": TARGET}).json()["code"]
        described = []
        for headers in ({}, {"Connection": "close"}):  # on the fast path, and by Flask
            trace_id = f"{secrets.token_hex(8)}{'0' * 16}"
            names = {"traceparent": f"00-{trace_id}-{SPAN}-01", "X-Request-Id": trace_id}
            names |= {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "go.example.com"}
            assert service.get(f"/{code}/é?a=b", headers=names | headers).status_code == 302
            request = spans.request(trace_id)
            attributes = request["attributes"]
            assert "go.example.com" in str(attributes["server.address"])
            assert trace_id in str(attributes.pop("http.response.header.x-request-id"))
            parts = [(s["name"], s["kind"], s["parentSpanId"] == SPAN) for s in spans.of(trace_id)]
            described.append((request["name"], attributes, sorted(parts)))
        assert described[0] == described[1]
