"""Traces that the workers of a service without Docker send."""

from pathlib import Path

import pytest

from tests.api.conftest import Receiver, embed
from tests.support.service import Service
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("attributes", "count"),
    [
        pytest.param("service.instance.id=web-1,zone=a", 1, id="set"),
        pytest.param("zone=a", 2, id="not set"),
    ],
)
def test_instance_is_what_the_operator_sets(
    tmp_path: Path, collector: Receiver, attributes: str, count: int
) -> None:
    """Both workers send the `service.instance.id` that is set. Otherwise each has its own."""
    port, received = collector
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_RESOURCE_ATTRIBUTES": attributes,
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process",  # it adds the worker's process id
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }

    def sent(attribute: str) -> set[str]:
        return {span["resource"][attribute] for span in received()}

    with embed(tmp_path, **settings) as deployment:

        def both_have_sent() -> bool:
            with Service(deployment.url) as client:  # any worker can accept its new connection
                client.get("/")
            return len(sent("process.pid")) > 1

        wait_until(both_have_sent)
    ids = sent("service.instance.id")
    assert (len(ids), "web-1" in ids) == (count, count == 1)
