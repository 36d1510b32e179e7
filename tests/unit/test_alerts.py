"""The alert rules pass the tests of promtool, and select by labels that something makes."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.conftest import NO_PROMTOOL
from tests.support.checkout import ROOT
from tests.support.scrape import documented_metrics

FOLDER = ROOT / "deploy/prometheus"
RULES = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
# A metric with its matchers, for example up{job="…"}. Recorded ones have colons.
SELECTOR = re.compile(r"\b(up|slipway_\w+|\w+:[\w:]+)\b(?:\{([^}]*)\})?")
BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")
MATCHER = re.compile(r'(\w+)(!=|=~|!~|=)"([^"]*)"')
TARGET = {"job", "instance"}  # labels that Prometheus adds to each target


def scrape(runtime: str) -> dict[str, Any]:
    """Return the only scrape configuration for Compose or Kubernetes."""
    [found] = yaml.safe_load((FOLDER / f"scrape-{runtime}.yaml").read_text())["scrape_configs"]
    return dict(found)


def manifest(name: str, kind: str) -> dict[str, Any]:
    """Return an object of a file of deploy/kubernetes."""
    objects = yaml.safe_load_all((ROOT / "deploy/kubernetes" / name).read_text())
    return next(dict(each) for each in objects if each["kind"] == kind)


def test_each_alert_fires_when_it_should() -> None:
    """`promtool test rules` passes: each alert fires in time, and none fires without a reason."""
    if not shutil.which("promtool"):
        pytest.skip(NO_PROMTOOL)
    command = ["promtool", "test", "rules", "alerts_test.yaml"]
    done = subprocess.run(command, cwd=FOLDER, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_each_label_is_made_by_something(rule: dict[str, Any]) -> None:
    """Each metric is the service's own, recorded or `up`, and has the labels that a rule names."""
    page = documented_metrics((ROOT / "docs/observe.md").read_text())
    for each in (each for each in RULES if "record" in each):
        [kept] = BY.findall(each["expr"]) or [""]
        page[each["record"]] = ("gauge", set(kept.split(", ")) - {"le"})
    found = SELECTOR.findall(rule["expr"])
    assert found
    known = set(TARGET)
    for metric, matchers in found:
        base = re.sub("_(bucket|count|sum)$", "", metric)
        labels = set(TARGET) if metric == "up" else TARGET | page[base][1]
        labels |= {"le"} if metric.endswith("_bucket") else set()
        values = {label: (sign, value) for label, sign, value in MATCHER.findall(matchers)}
        assert values.keys() <= labels
        if "job" in values:
            for runtime in ("compose", "kubernetes"):
                assert values["job"] == ("=", scrape(runtime)["job_name"])
        known |= labels
    for labels in BY.findall(rule["expr"]):
        assert set(labels.split(", ")) <= known
    summary = str(rule.get("annotations"))
    assert set(re.findall(r"\$labels\.(\w+)", summary)) <= known


def test_compose_is_scraped() -> None:
    """The scrape configuration names a service of Compose, and its port for metrics."""
    [target] = scrape("compose")["dns_sd_configs"]
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    assert ["edge" in services[name]["networks"] for name in target["names"]] == [True]
    assert f"every_address({target['port']})" in (ROOT / "gunicorn.conf.py").read_text()


def test_pods_are_scraped() -> None:
    """The scrape configuration finds the service's pods and their port, and no others.

    A PodMonitor, as docs/observe.md describes it, finds the same and makes the same job.
    """
    config = scrape("kubernetes")
    [discovery] = config["kubernetes_sd_configs"]
    namespace = manifest("namespace.yaml", "Namespace")["metadata"]["name"]
    assert discovery["namespaces"] == {"names": [namespace]}
    service, database = (
        manifest(name, kind)["spec"]["template"]
        for name, kind in (("base/deployment.yaml", "Deployment"), ("local/db.yaml", "StatefulSet"))
    )
    [selector] = discovery["selectors"]
    assert selector["role"] == discovery["role"] == "pod"
    label, value = selector["label"].split("=")
    found = [pod["metadata"]["labels"][label] == value for pod in (service, database)]
    assert found == [True, False]
    [container] = service["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    rules = config["relabel_configs"]
    [kept] = [rule["regex"] for rule in rules if rule.get("action") == "keep"]
    assert f"every_address({ports[kept]})" in (ROOT / "gunicorn.conf.py").read_text()
    assert "`jobLabel: app.kubernetes.io/name`" in (ROOT / "docs/observe.md").read_text()
    assert service["metadata"]["labels"]["app.kubernetes.io/name"] == config["job_name"]
    # A Prometheus that goes by these annotations would make a job of another name.
    assert "annotations" not in service["metadata"]
