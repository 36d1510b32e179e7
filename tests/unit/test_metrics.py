"""No two metrics have the same name in the text that Prometheus reads."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import escape_metric_name
from prometheus_client.registry import Collector

from tests.support.forked import python

METRICS = """
import json
from prometheus_client import REGISTRY
from app import create_app
from app.telemetry import metrics
collectors = [REGISTRY]
metrics.serve = lambda _, more: collectors.extend(more)
create_app()
print(json.dumps([(m.name, m.type) for collector in collectors for m in collector.collect()]))
"""


class Translated(Collector):
    """A metric under its name in the text format, where `_` replaces characters such as dots."""

    def __init__(self, name: str, kind: str) -> None:
        self.metric = Metric(escape_metric_name(name), "", kind)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        yield self.metric


def register(metrics: Iterable[tuple[str, str]]) -> None:
    """Register metrics, by name and type, under their translated names.

    :raises ValueError: two of them, or of their series such as `NAME_total`, have the same name.
    """
    registry = CollectorRegistry(auto_describe=True)
    for name, kind in metrics:
        registry.register(Translated(name, kind))


@pytest.mark.parametrize("other", ["a.b", "a_b", "a-b", "a_b_total", "a.b.total"])
def test_collision_is_found(other: str) -> None:
    """Names that are equal after their translation are found, with the suffixes of series."""
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        register([("a.b", "counter"), (other, "gauge")])


def test_no_two_metrics_have_the_same_name(tmp_path: Path) -> None:
    """All metrics of the service differ by name, also after the translation."""
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/db", "SECRET_KEY": "x" * 32}
    metrics = json.loads(python(METRICS, **environ))
    assert {"slipway_requests", "slipway_database_up"} <= {name for name, _ in metrics}
    register(metrics)
