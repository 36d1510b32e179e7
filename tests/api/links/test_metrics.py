"""Metrics of the example, and the page that tells of all."""

import re

from tests.api.conftest import Deployment
from tests.support.checkout import ROOT
from tests.support.links.client import Links
from tests.support.service import Service

PAGE = (ROOT / "docs" / "observe.md").read_text()
ALERTS = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text()


def test_batches_are_told(deployment: Deployment, service: Service, links: Links) -> None:
    """Each click is in a batch, whose commit took some time."""
    code = links.create()["code"]
    before = deployment.metrics.read()
    for _ in range(5):
        assert service.get(f"/{code}").status_code == 302
    after = deployment.metrics.read()

    def grown(sample: str) -> float:
        return after[sample] - before[sample]

    assert grown("slipway_click_batch_size_sum") == 5
    assert grown("slipway_click_batch_size_count") == 5  # one by one, so nothing to share
    assert grown("slipway_click_commit_seconds_count") == 5
    assert 0 < grown("slipway_click_commit_seconds_sum") < 5 * 2


def test_page_lists_every_metric(deployment: Deployment) -> None:
    """docs/observe.md has each metric, its type and its labels as they are, and no other."""
    _, text = deployment.metrics.ask()
    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in told}
    for sample in deployment.metrics.read():
        name, _, rest = sample.partition("{")
        base = name if name in told else re.sub("_(bucket|count|sum)$", "", name)
        labels[base] |= set(re.findall(r'(\w+)="', rest)) - {"le"}
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
    page = {name: (kind, set(re.findall(r"`(\w+)`", known))) for name, kind, known in rows}
    assert page == {name: (kind, labels[name]) for name, kind in told.items()}


def test_alerts_watch_what_there_is() -> None:
    """No alert waits for a metric that the service does not have."""
    watched = set(re.findall(r"\bslipway_\w+", ALERTS))
    known = set(re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE))
    assert {re.sub("_bucket$", "", name) for name in watched} <= known
