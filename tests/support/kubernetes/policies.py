"""Evaluates the NetworkPolicies of built manifests: which connections they allow."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from tests.support.kubernetes.objects import Object, containers

Labels = dict[str, str]


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod of any namespace, or an address outside of the cluster."""

    labels: Labels = field(default_factory=dict)
    namespace: Labels | None = None  # labels of the pod's namespace; None: the service's own
    ports: dict[str, int] = field(default_factory=dict)  # numbers of the named ports
    address: str | None = None


def pod(template: Object) -> Peer:
    """Return the peer for a pod template of the service's own namespace."""
    ports = [port for each in containers(template) for port in each.get("ports", [])]
    named = {port["name"]: port["containerPort"] for port in ports}
    return Peer(template["metadata"]["labels"], ports=named)


def allowed(
    objects: list[Object], source: Peer, target: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Return whether `source` can open a connection to a port of `target`.

    A pod that no policy selects can open and accept all connections. Otherwise, at least one of the
    policies that select the pod must allow the connection.
    """
    return _lets(objects, source, target, "Egress", target, port, protocol) and _lets(
        objects, target, source, "Ingress", target, port, protocol
    )


def _lets(  # noqa: PLR0913, PLR0917
    objects: list[Object],
    own: Peer,
    other: Peer,
    direction: str,
    target: Peer,
    port: int,
    protocol: str,
) -> bool:
    if own.namespace is not None or own.address:
        return True  # outside of our namespace, our policies do not apply
    policies = [
        each["spec"]
        for each in objects
        if each["kind"] == "NetworkPolicy"
        and direction in each["spec"]["policyTypes"]
        and _selects(each["spec"]["podSelector"], own.labels)
    ]
    rules = [rule for policy in policies for rule in policy.get(direction.lower(), [])]
    side = "to" if direction == "Egress" else "from"
    return not policies or any(
        any(_matches(each, other) for each in rule[side])
        and any(
            each["protocol"] == protocol and target.ports.get(each["port"], each["port"]) == port
            for each in rule["ports"]
        )
        for rule in rules
    )


def _matches(peer: Object, other: Peer) -> bool:
    if "ipBlock" in peer:
        block = ip_network(peer["ipBlock"]["cidr"])
        return other.address is not None and ip_address(other.address) in block
    if other.address is not None:
        return False
    if "namespaceSelector" in peer:
        there = _selects(peer["namespaceSelector"], other.namespace or {})
    else:
        there = other.namespace is None
    return there and _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: Object, labels: Labels) -> bool:
    assert selector.keys() <= {"matchLabels"}, "matchExpressions are not supported"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
