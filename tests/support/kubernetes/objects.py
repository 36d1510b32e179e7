"""Functions that find objects in built manifests."""

from typing import Any

Object = dict[str, Any]


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the only object of a kind and name. A generated name can be given without its hash."""
    generated = kind in {"ConfigMap", "Secret"}
    found = [
        each
        for each in objects
        if each["kind"] == kind
        and name in {each["metadata"]["name"], generated and each["metadata"]["name"][:-11]}
    ]
    assert len(found) == 1, (kind, name)
    return found[0]


def templates(objects: list[Object]) -> list[Object]:
    """Return the pod templates of all objects."""
    return [each["spec"]["template"] for each in objects if "template" in each.get("spec", {})]


def containers(template: Object) -> list[Object]:
    """Return a pod's containers, init containers first."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def quantity(text: str) -> float:
    """Return the value of a resource quantity, such as `500m` CPUs or `64Mi` bytes."""
    units = {"m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    number = text.rstrip("mKMGi")
    return float(number) * units.get(text.removeprefix(number), 1)


def requested(template: Object, resource: str) -> float:
    """Return how much of a resource the scheduler reserves for a pod.

    Init containers run one after the other, and before all other containers.
    """
    spec = template["spec"]
    first, others = (
        [quantity(each["resources"]["requests"][resource]) for each in spec.get(kind, [])]
        for kind in ("initContainers", "containers")
    )
    return max([*first, sum(others)])
