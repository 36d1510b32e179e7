"""Replicas fit the node, the database's connections and the time that Kubernetes gives them."""

import re

import pytest

from app.database import AUTOCOMMIT_SIZE, LONG_SIZE, PACKETS_SIZE, TRANSACTIONAL_SIZE
from tests.support.checkout import ROOT
from tests.support.kubernetes.objects import Object, find, quantity, requested

# conftest.py does not see that tests which ask for an overlay by its name need Docker.
pytestmark = pytest.mark.engine

FREE_CPU = 2 - 0.85  # of a node of two CPUs, minikube's default, without what its own pods request
MAX_CONNECTIONS = 151  # MySQL's default


def test_grace_period_is_long_enough(overlay: list[Object]) -> None:
    """The grace period is SHUTDOWN_DELAY plus gunicorn's graceful_timeout plus 5 s.

    No lifecycle hook uses up a part of it.
    """
    spec = find(overlay, "Deployment", "slipway")["spec"]["template"]["spec"]
    settings = find(overlay, "ConfigMap", "slipway")["data"]
    (graceful,) = re.findall(
        r"^graceful_timeout = (\d+)", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE
    )
    delay = int(settings["SHUTDOWN_DELAY"])
    assert spec["terminationGracePeriodSeconds"] == delay + int(graceful) + 5
    assert all("lifecycle" not in each for each in spec["containers"])


def test_all_replicas_fit_into_the_database(overlay: list[Object]) -> None:
    """The largest number of replicas, plus one in a rolling update, fits MySQL's connections."""
    workers = int(find(overlay, "ConfigMap", "slipway")["data"]["WEB_CONCURRENCY"])
    pods = find(overlay, "HorizontalPodAutoscaler", "slipway")["spec"]["maxReplicas"]
    rollout = find(overlay, "Deployment", "slipway")["spec"]["strategy"]["rollingUpdate"]
    assert rollout == {"maxSurge": 1, "maxUnavailable": 0}
    assert (pods + 1) * workers * (
        AUTOCOMMIT_SIZE + PACKETS_SIZE + TRANSACTIONAL_SIZE + 2 * LONG_SIZE
    ) <= MAX_CONNECTIONS


def test_local_fits_a_small_node(local: list[Object]) -> None:
    """At the worst moment, all pods fit on a node of 2 CPUs beside the cluster's own pods.

    That is a rolling update of the largest number of replicas: all new pods run, the surge's too,
    and all old pods are still shutting down. The autoscaler wants this number of replicas before
    the pods use all the CPU that is left. The page has the sums.
    """
    scaler = find(local, "HorizontalPodAutoscaler", "slipway")["spec"]
    surge = find(local, "Deployment", "slipway")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    numbers = {"Deployment": 2 * scaler["maxReplicas"] + surge, "StatefulSet": 1}
    owners = [each for each in local if "template" in each.get("spec", {})]
    cpu, memory = (
        sum(
            numbers[each["kind"]] * requested(each["spec"]["template"], resource) for each in owners
        )
        for resource in ("cpu", "memory")
    )
    assert cpu <= FREE_CPU
    database = requested(find(local, "StatefulSet", "slipway-db")["spec"]["template"], "cpu")
    [metric] = scaler["metrics"]
    target = quantity(metric["resource"]["target"]["averageValue"])
    assert (scaler["maxReplicas"] - 1) * target <= FREE_CPU - database
    page = (ROOT / "docs/kubernetes.md").read_text()
    assert f"request at most {cpu:.1f} CPUs and {memory / 2**30:.1f} GiB" in page


def test_autoscaler_does_not_depend_on_requests(overlay: list[Object]) -> None:
    """The autoscaler's target is an amount of CPU, which the processes of a pod can exceed."""
    [metric] = find(overlay, "HorizontalPodAutoscaler", "slipway")["spec"]["metrics"]
    assert metric["resource"]["target"]["type"] == "AverageValue"
    workers = int(find(overlay, "ConfigMap", "slipway")["data"]["WEB_CONCURRENCY"])
    assert 0 < quantity(metric["resource"]["target"]["averageValue"]) < workers
