"""A stack that sends its traces to a receiver."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.support.checkout import ROOT
from tests.support.compose import Stack, docker
from tests.support.leftovers import new_name
from tests.support.waiting import wait_until

RECEIVER = (ROOT / "tests" / "support" / "receiver.py").read_text()
PORT = 4318


class Traces:
    """The spans that a receiver on the stack's network has received."""

    def __init__(self, container: str) -> None:
        self.container = container

    def spans(self, trace_id: str = "") -> list[dict[str, Any]]:
        """Return the spans received so far, all or only those of one trace."""
        spans = [json.loads(line) for line in docker("logs", self.container).splitlines()]
        return [span for span in spans if trace_id in {"", span["traceId"]}]

    def whole(self, trace_id: str) -> dict[str, list[dict[str, Any]]]:
        """Wait for a request's own span, and return all spans of its trace by name.

        A request's own span ends last, so it is sent last.
        """
        wait_until(partial(self._has_request, trace_id))
        found: dict[str, list[dict[str, Any]]] = {}
        for span in self.spans(trace_id):
            found.setdefault(span["name"], []).append(span)
        return found

    def _has_request(self, trace_id: str) -> bool:
        return any("url.path" in span["attributes"] for span in self.spans(trace_id))


@contextmanager
def received(stack: Stack) -> Iterator[Traces]:
    """Start a receiver, and restart the service with tracing to it. Undo both at the end."""
    options = ["--detach", "--name", new_name(), "--read-only"]
    options += [f"--network={stack.project}_edge", "--network-alias=otel"]
    command = ["python3", "-c", RECEIVER, str(PORT)]
    container = docker("run", *options, stack.image, *command).strip()
    stack.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://otel:{PORT}"
    try:
        stack.up()
        yield Traces(container)
    finally:
        del stack.env["OTEL_EXPORTER_OTLP_ENDPOINT"]
        docker("rm", "--force", container)
        stack.up()
