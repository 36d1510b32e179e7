"""Metrics of the example, and where documentation and alerts use them."""

import re

from tests.api.conftest import Deployment
from tests.support.checkout import ROOT
from tests.support.links.client import Links
from tests.support.scrape import documented_metrics
from tests.support.service import Service

PAGE = (ROOT / "docs" / "observe.md").read_text()
ALERTS = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text()


def test_metrics_count_batches(deployment: Deployment, service: Service, links: Links) -> None:
    """Each click is counted in a batch, with the duration of its commit."""
    code = links.create()["code"]
    before = deployment.metrics.read()
    for _ in range(5):
        assert service.get(f"/{code}").status_code == 302
    after = deployment.metrics.read()

    def grown(sample: str) -> float:
        return after[sample] - before[sample]

    assert grown("slipway_click_batch_size_sum") == 5
    assert grown("slipway_click_batch_size_count") == 5  # one by one, so each is its own batch
    assert grown("slipway_click_commit_seconds_count") == 5
    assert 0 < grown("slipway_click_commit_seconds_sum") < 5 * 2


def test_page_lists_the_metrics_of_the_example(deployment: Deployment) -> None:
    """docs/observe.md lists only metrics that the example has, with type and labels."""
    page = documented_metrics(PAGE.partition("The example has")[2])
    served = deployment.metrics.described()
    assert page
    assert page == {name: served[name] for name in page}


def test_alerts_watch_what_there_is() -> None:
    """The alerting rules use only documented metrics."""
    watched = set(re.findall(r"(?<!\w)slipway_\w+", ALERTS))
    assert {re.sub("_bucket$", "", name) for name in watched} <= documented_metrics(PAGE).keys()
