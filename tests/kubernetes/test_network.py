"""The NetworkPolicies allow the connections that the service needs, and no others."""

import pytest

from tests.support.kubernetes.objects import Object, find
from tests.support.kubernetes.policies import Peer, allowed, pod

# conftest.py does not see that tests which ask for an overlay by its name need Docker.
pytestmark = pytest.mark.engine

SYSTEM = {"kubernetes.io/metadata.name": "kube-system"}
PEERS = {
    "stranger here": Peer({"run": "stranger"}),
    "stranger elsewhere": Peer({"run": "stranger"}, {"kubernetes.io/metadata.name": "default"}),
    "pretender": Peer(
        {"app.kubernetes.io/name": "slipway", "app.kubernetes.io/component": "service"},
        {"kubernetes.io/metadata.name": "default"},
    ),
    "edge": Peer({"app": "ingress-nginx"}, {"network.slipway/edge": "true"}),
    "monitoring": Peer({"app": "prometheus"}, {"network.slipway/monitoring": "true"}),
    "dns": Peer({"k8s-app": "kube-dns"}, SYSTEM),
    "api server": Peer({"component": "kube-apiserver"}, SYSTEM),
    "node's dns": Peer(address="169.254.20.10"),
    "metadata": Peer(address="169.254.169.254"),
    "managed db": Peer(address="10.0.12.34"),
    "internet": Peer(address="192.0.2.1"),
}
BOTH = {
    ("edge", "app", 8000),
    ("monitoring", "app", 9100),
    ("app", "monitoring", 4318),
    ("app", "dns", 53),
    ("app", "node's dns", 53),
}
ALLOWED = {
    "local": BOTH | {("app", "db", 3306)},
    "cloud": BOTH | {("app", "managed db", 3306)},
}
PORTS = (53, 80, 443, 3306, 4318, 8000, 9100)


@pytest.mark.parametrize("overlay", ALLOWED)
def test_network_policies_allow_only_these_connections(
    overlay: str, request: pytest.FixtureRequest
) -> None:
    """Among all pairs of peers and all ports, only those that the service needs are allowed."""
    objects: list[Object] = request.getfixturevalue(overlay)
    ours = {"app": pod(find(objects, "Deployment", "slipway")["spec"]["template"])}
    if overlay == "local":
        ours["db"] = pod(find(objects, "StatefulSet", "slipway-db")["spec"]["template"])
    peers = PEERS | ours
    pairs = [
        (source, target)
        for source in peers
        for target in peers
        if source != target and {source, target} & ours.keys()
    ]
    assert ALLOWED[overlay] == {
        (source, target, port)
        for source, target in pairs
        for port in PORTS
        if allowed(objects, peers[source], peers[target], port)
    }


@pytest.mark.parametrize("overlay", ALLOWED)
def test_names_are_asked_over_udp(overlay: str, request: pytest.FixtureRequest) -> None:
    """The service can send DNS queries over UDP, and nobody can send it anything over UDP."""
    objects: list[Object] = request.getfixturevalue(overlay)
    app = pod(find(objects, "Deployment", "slipway")["spec"]["template"])
    asked = [name for name, peer in PEERS.items() if allowed(objects, app, peer, 53, "UDP")]
    assert asked == ["dns", "node's dns"]
    assert not any(allowed(objects, peer, app, 8000, "UDP") for peer in PEERS.values())
