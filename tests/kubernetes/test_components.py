"""The optional components can be added to both overlays, and have the types that are published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.conftest import build
from tests.support.checkout import ROOT
from tests.support.kubernetes.objects import Object, find
from tests.support.typed import Types

# conftest.py does not see that tests which ask for an overlay by its name need Docker.
pytestmark = pytest.mark.engine

COMPONENTS = ["../ingress", "../gateway", "../replica", "../../observe"]
CUSTOM = ["HTTPRoute", "PodMonitor", "PrometheusRule"]


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Types:
    """The published types of the objects that Kubernetes itself does not know."""
    return Types(tmp_path_factory.mktemp("types") / "schemas")


@pytest.fixture(scope="module", params=["local", "cloud"])
def whole(request: pytest.FixtureRequest, tools: str, project: Path) -> Iterator[list[Object]]:
    """The objects of an overlay with all components."""
    folder = project / "deploy/kubernetes"
    file = folder / request.param / "kustomization.yaml"
    secrets = folder / "replica/secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "database_replica_url").write_text("mysql+pymysql://app:word@replica/slipway\n")
    before = file.read_text()
    file.write_text(before + yaml.safe_dump({"components": COMPONENTS}))
    try:
        yield build(tools, project, request.param)
    finally:
        file.write_text(before)
        (secrets / "database_replica_url").unlink()


@pytest.mark.parametrize("kind", CUSTOM)
def test_custom_objects_are_valid(whole: list[Object], types: Types, kind: str) -> None:
    """The published type accepts each object, and rejects a misspelt field."""
    found = find(whole, kind, "slipway")
    assert types.errors(f"I{kind}", found) == ""
    assert "'specs' does not exist" in types.errors(
        f"I{kind}", found | {"specs": found["spec"]}
    ).replace('"', "")


def test_other_objects_are_valid(whole: list[Object]) -> None:
    """The newest version of Kubernetes accepts all other objects, such as the Ingress."""
    import kubernetes_validate  # noqa: PLC0415 its import takes seconds

    for each in whole:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    assert {"Ingress", *CUSTOM} < {each["kind"] for each in whole}


def test_components_follow_the_overlay(whole: list[Object]) -> None:
    """Each object is in the namespace of the overlay, and has its label."""
    assert {each["metadata"]["namespace"] for each in whole} == {"slipway"}
    labels = {each["metadata"]["labels"]["app.kubernetes.io/part-of"] for each in whole}
    assert labels == {"slipway"}


def test_routes_lead_to_the_service(whole: list[Object]) -> None:
    """Ingress and HTTPRoute send everything to the port of the Service."""
    [port] = find(whole, "Service", "slipway")["spec"]["ports"]
    [rule] = find(whole, "Ingress", "slipway")["spec"]["rules"]
    [path] = rule["http"]["paths"]
    backend = {"service": {"name": "slipway", "port": {"name": port["name"]}}}
    assert (path["path"], path["pathType"], path["backend"]) == ("/", "Prefix", backend)
    [rule] = find(whole, "HTTPRoute", "slipway")["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert rule["backendRefs"] == [{"name": "slipway", "port": port["port"]}]


def test_monitor_finds_the_pods(whole: list[Object]) -> None:
    """The PodMonitor selects the service's pods and their port, and makes the job of the rules."""
    monitor = find(whole, "PodMonitor", "slipway")["spec"]
    pod = find(whole, "Deployment", "slipway")["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    [endpoint] = monitor["podMetricsEndpoints"]
    [container] = pod["spec"]["containers"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    assert pod["metadata"]["labels"][monitor["jobLabel"]] == "slipway"


def test_dashboards_are_those_of_compose(whole: list[Object]) -> None:
    """The ConfigMap has each dashboard, and the label that Grafana's sidecar selects by."""
    found = find(whole, "ConfigMap", "slipway-dashboards")
    files = ROOT.glob("deploy/observe/dashboards/*.json")
    assert found["data"] == {path.name: path.read_text() for path in files}
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_service_reads_from_the_replica(whole: list[Object]) -> None:
    """Only the service gets the replica's URL, as a file of a Secret."""
    spec = find(whole, "Deployment", "slipway")["spec"]["template"]["spec"]
    [app] = spec["containers"]
    env: dict[str, Any] = {each["name"]: each.get("value") for each in app["env"]}
    folder, _, name = env["DATABASE_REPLICA_URL_FILE"].rpartition("/")
    [mount] = [each for each in app["volumeMounts"] if each["mountPath"] == folder]
    [volume] = [each for each in spec["volumes"] if each["name"] == mount["name"]]
    secret = find(whole, "Secret", volume["secret"]["secretName"])
    assert secret["data"].keys() == {name}
    assert not any("REPLICA" in str(each.get("env")) for each in spec["initContainers"])
