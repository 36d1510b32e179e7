"""The manifests that Kustomize builds are valid, secure and consistent with the code."""

import base64
import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.conftest import build
from tests.support.checkout import ROOT
from tests.support.compose import docker, run
from tests.support.kubernetes.objects import Object, containers, find, templates

# conftest.py does not see that tests which ask for an overlay by its name need Docker.
pytestmark = pytest.mark.engine

NAMESPACE = yaml.safe_load((ROOT / "deploy/kubernetes/namespace.yaml").read_text())
VOLUMES = {"configMap", "emptyDir", "secret"}  # all are allowed at the level "restricted"


@pytest.fixture(scope="module")
def kubernetes() -> Any:
    """The package that knows the objects of all versions. Its import takes seconds."""
    import kubernetes_validate  # noqa: PLC0415

    return kubernetes_validate


@pytest.mark.parametrize("place", [-1, -2, -3], ids=["newest", "second newest", "third newest"])
def test_objects_are_valid(overlay: list[Object], kubernetes: Any, place: int) -> None:
    """The three minor versions that Kubernetes supports know every field, and accept its value."""
    version = list(dict.fromkeys(kubernetes.utils.all_versions()))[place]
    for each in overlay:
        kubernetes.validate(each, version, strict=True)


def test_slip_is_noticed(cloud: list[Object], kubernetes: Any) -> None:
    """The validation rejects a misspelt field."""
    wrong = copy.deepcopy(find(cloud, "Deployment", "slipway"))
    wrong["spec"]["template"]["spec"]["automountServiceAccountTokens"] = False
    with pytest.raises(kubernetes.ValidationError, match="automountServiceAccountTokens"):
        kubernetes.validate(wrong, kubernetes.latest_version(), strict=True)


def test_scanner_finds_only_what_is_wrong(
    tools: str, local: list[Object], cloud: list[Object], tmp_path: Path
) -> None:
    """checkov reports nothing in our manifests, and reports a root file system that is writable.

    checkov.yaml gives the reason for each rule that it skips.
    """
    wrong = copy.deepcopy(cloud)
    container = find(wrong, "Deployment", "slipway")["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"]["readOnlyRootFilesystem"] = False
    for name, objects in {"local": local, "cloud": cloud, "wrong": wrong}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(objects))
    command = ["checkov", "--config-file=/checkov.yaml", "--directory=/objects"]
    mount = f"--volume={tmp_path}:/objects:ro"
    output = run("docker", "run", "--rm", "--network=none", mount, tools, *command, check=False)
    assert "Failed checks: 1," in output
    assert re.findall(r"^Check: (\w+)", output, re.MULTILINE) == ["CKV_K8S_22"]
    assert re.findall(r"File: /(\w+)", output) == ["wrong"]


def test_namespace_enforces_restricted(overlay: list[Object], kubernetes: Any) -> None:
    """The namespace enforces the Pod Security Standard "restricted", and all our pods meet it."""
    kubernetes.validate(NAMESPACE, kubernetes.latest_version(), strict=True)
    assert NAMESPACE["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for template in templates(overlay):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert {kind for each in spec["volumes"] for kind in each if kind != "name"} <= VOLUMES
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def test_pods_get_nothing_of_kubernetes(overlay: list[Object]) -> None:
    """Pods get no service account token, and no environment variables about other Services."""
    for template in templates(overlay):
        assert template["spec"]["automountServiceAccountToken"] is False
        assert template["spec"]["enableServiceLinks"] is False


def test_all_is_in_one_namespace(local: list[Object]) -> None:
    """A kustomization on top can rename the namespace, and all objects move with it."""
    assert {each["metadata"]["namespace"] for each in local} == {"slipway-test"}


def test_namespace_is_that_of_the_objects(cloud: list[Object]) -> None:
    """The objects are in the namespace that the page creates before them."""
    assert {each["metadata"]["namespace"] for each in cloud} == {NAMESPACE["metadata"]["name"]}


def test_delete_keeps_the_data(overlay: list[Object]) -> None:
    """`kubectl delete -k` deletes no namespace and no claim, and keeps those of the StatefulSet.

    A namespace takes everything in it along.
    """
    assert not {each["kind"] for each in overlay} & {"Namespace", "PersistentVolumeClaim"}
    for each in overlay:
        if each["kind"] == "StatefulSet":
            kept = each["spec"]["persistentVolumeClaimRetentionPolicy"]
            assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_images(local: list[Object], cloud: list[Object]) -> None:
    """All containers of the service use the image that the kustomization names."""
    (pod,) = templates(cloud)
    assert {each["image"] for each in containers(pod)} == {"registry.example.com/you/slipway:1.2.3"}
    assert len({each["image"] for pod in templates(local) for each in containers(pod)}) == 2


def test_only_the_migration_has_the_migrators_secret(overlay: list[Object]) -> None:
    """Each container of the service mounts the secret of its own account and no other."""
    pod = find(overlay, "Deployment", "slipway")["spec"]["template"]
    secrets = {each["name"]: each["secret"] for each in pod["spec"]["volumes"] if "secret" in each}
    mounted = {
        container["name"]: [
            secrets[mount["name"]]["secretName"].rpartition("-")[0]
            for mount in container.get("volumeMounts", [])
            if mount["name"] in secrets
        ]
        for container in containers(pod)
    }
    mounted.pop("wait", None)
    assert mounted == {"migrate": ["slipway-migrate"], "app": ["slipway-app"]}


def test_migration_waits_for_the_database(local: list[Object]) -> None:
    """The init container that waits for the database is before the one that migrates it."""
    spec = find(local, "Deployment", "slipway")["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["initContainers"]] == ["wait", "migrate"]


def test_selectors_find_their_pods(overlay: list[Object]) -> None:
    """Each Service, disruption budget, spread constraint and owner selects exactly its own pods."""
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in overlay
        if each["kind"] in {"Deployment", "StatefulSet"}
    }
    for each in overlay:
        name = each["metadata"]["name"]
        selector = each.get("spec", {}).get("selector")
        if selector:
            wanted = selector.get("matchLabels", selector)
            found = {
                other
                for other, template in pods.items()
                if wanted.items() <= template["metadata"]["labels"].items()
            }
            assert found == {name}, each["kind"]
    spec = pods["slipway"]["spec"]
    for spread in spec["topologySpreadConstraints"]:
        assert spread["labelSelector"] == find(overlay, "Deployment", "slipway")["spec"]["selector"]


def test_labels(overlay: list[Object]) -> None:
    """Every object has the label `part-of`, and those with a component have the label `name`."""
    for each in overlay:
        if each["metadata"]["labels"].get("app.kubernetes.io/component"):
            assert each["metadata"]["labels"]["app.kubernetes.io/name"] == "slipway"
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "slipway"


def test_database_gets_all_its_files(local: list[Object]) -> None:
    """The ConfigMap has unchanged copies of the files of db/, with all the scripts in db/init/."""
    data = find(local, "ConfigMap", "slipway-db")["data"]
    paths = [ROOT / "db/start.sh", ROOT / "db/my.cnf", *(ROOT / "db/init").iterdir()]
    assert data == {path.name: path.read_text() for path in paths}
    template = find(local, "StatefulSet", "slipway-db")["spec"]["template"]
    (init,) = [each for each in template["spec"]["volumes"] if each["name"] == "init"]
    wanted = [path.name for path in sorted((ROOT / "db/init").iterdir())]
    assert [each["path"] for each in init["configMap"]["items"]] == wanted


def test_secrets_are_made_once(local: list[Object], project: Path) -> None:
    """A second run makes no secrets. Passwords are random, and git ignores all secret files."""
    assert run("make", "--silent", "kubernetes-secrets", cwd=project) == "secrets: 0 files made\n"
    secrets = find(local, "Secret", "slipway-db")["data"]
    passwords = {name: base64.b64decode(secrets[name]).strip() for name in secrets if "_p" in name}
    assert {len(word) for word in passwords.values()} == {32}
    assert len(set(passwords.values())) == 3
    for account, secret in (("app", "slipway-app"), ("migrator", "slipway-migrate")):
        url = base64.b64decode(find(local, "Secret", secret)["data"]["database_url"]).strip()
        word = passwords[f"{account}_password"].decode()
        assert url.decode() == f"mysql+pymysql://{account}:{word}@slipway-db/slipway"
    files = [path for path in project.glob("deploy/kubernetes/*/secrets/**/*") if path.is_file()]
    assert len(files) == 17
    names = [str(path.relative_to(project)) for path in files]
    ignored = run("git", "check-ignore", "--no-index", *names, cwd=ROOT).split()
    assert ignored == names


def test_change_of_a_secret_is_a_restart(tools: str, project: Path, cloud: list[Object]) -> None:
    """Applying a changed secret replaces the pods, since its generated name has a new hash."""
    file = project / "deploy/kubernetes/cloud/secrets/app/database_url"
    before = file.read_text()
    file.write_text("another\n")
    try:
        after = build(tools, project, "cloud")
    finally:
        file.write_text(before)
    assert find(after, "Deployment", "slipway") != find(cloud, "Deployment", "slipway")


def test_image_can_build_them(tools: str) -> None:
    """The kubectl in the tools image is new enough for the manifests."""
    version = docker("run", "--rm", "--network=none", tools, "kubectl", "version", "--client")
    (minor,) = re.findall(r"Client Version: v1\.(\d+)", version)
    assert int(minor) >= 32
