"""The manifests that Kustomize builds from a fresh clone, and their pods, run by Docker."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.checkout import copy_project
from tests.support.compose import Stack, docker, run
from tests.support.kubernetes.page import Shell
from tests.support.kubernetes.pods import Cluster, Pod
from tests.support.leftovers import new_name

# A second kustomization on top, as a user writes it to deploy another image.
OVERLAY = """
resources: [../local]
namespace: {namespace}
images:
  - {{name: slipway, newName: {image}, newTag: {tag}}}
"""


@pytest.fixture(scope="session")
def tools(engine: None) -> Iterator[str]:  # noqa: ARG001
    """The image with kubectl and checkov."""
    image = f"slipway-tools:{new_name()}"
    docker("build", "--quiet", "--tag", image, str(Path(__file__).parent / "tools"))
    yield image
    docker("image", "rm", image)


@pytest.fixture(scope="session")
def project(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """A clone with generated secrets, and with handwritten secrets for the overlay cloud."""
    folder = copy_project(tmp_path_factory.mktemp("kubernetes") / "slipway")
    run("make", "kubernetes-secrets", cwd=folder)
    cloud = folder / "deploy/kubernetes/cloud/secrets"
    for name in ("migrate/database_url", "app/database_url", "app/secret_key", "ca.pem"):
        (cloud / name).parent.mkdir(parents=True, exist_ok=True)
        (cloud / name).write_text(f"{name}\n")
    return folder


def build(tools: str, project: Path, overlay: str) -> list[dict[str, Any]]:
    """Return the objects of an overlay."""
    mount = f"--volume={project}:/project:ro"
    folder = f"/project/deploy/kubernetes/{overlay}"
    printed = docker("run", "--rm", "--network=none", mount, tools, "kubectl", "kustomize", folder)
    return list(yaml.safe_load_all(printed))


@pytest.fixture(scope="session")
def local(tools: str, project: Path, stack: Stack) -> list[dict[str, Any]]:
    """The objects of the overlay local, with the image of this run, in another namespace."""
    folder = project / "deploy/kubernetes/tested"
    folder.mkdir()
    image, _, tag = stack.image.partition(":")
    text = OVERLAY.format(namespace="slipway-test", image=image, tag=tag)
    (folder / "kustomization.yaml").write_text(text)
    return build(tools, project, "tested")


@pytest.fixture(scope="session")
def cloud(tools: str, project: Path) -> list[dict[str, Any]]:
    """The objects of the overlay cloud."""
    return build(tools, project, "cloud")


@pytest.fixture(params=["local", "cloud"])
def overlay(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The objects of one overlay after the other."""
    objects: list[dict[str, Any]] = request.getfixturevalue(request.param)
    return objects


@pytest.fixture(scope="session")
def cluster(local: list[dict[str, Any]]) -> Iterator[Cluster]:
    """A network without pods."""
    with Cluster(local) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def db(cluster: Cluster) -> Pod:
    """The database's pod, ready. It starts while the init container `wait` is already waiting."""
    waiting = cluster.pod("Deployment", "slipway")
    with subprocess.Popen(waiting.command("wait", "--rm")) as wait:
        pod = cluster.pod("StatefulSet", "slipway-db")
        pod.start()
        assert not pod.passes("mysql", "readiness")
        pod.wait("mysql", "startup")
        # Only the finished server passes the probe: the accounts exist.
        log_in = "mysql --host=127.0.0.1 --user=app --execute='DO 0' slipway"
        pod.exec("mysql", "bash", "-c", f"MYSQL_PWD=$(</run/secrets/app_password) {log_in}")
        assert wait.wait(30) == 0
    return pod


@pytest.fixture(scope="session")
def app(cluster: Cluster, db: Pod) -> Pod:  # noqa: ARG001
    """The service's pod, ready. Two pods migrated the empty database at the same time before."""
    pods = [cluster.pod("Deployment", "slipway") for _ in range(2)]
    commands = [pod.command("migrate", "--rm") for pod in pods]
    together = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands
    ]
    outputs = [each.communicate(timeout=120)[0] for each in together]
    assert [each.returncode for each in together] == [0, 0]
    assert sorted("Running upgrade" in each for each in outputs) == [False, True]
    pods[0].start()  # its init container migrates once more
    pods[0].wait("app")
    return pods[0]


@pytest.fixture
def shell(tmp_path: Path, project: Path, tools: str, db: Pod) -> Shell:
    """A shell for the commands of docs/kubernetes.md."""
    return Shell(tmp_path, project, tools, db)
