"""The manifests as Kustomize builds them, from a fresh clone of the project."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import copy_project
from tests.compose import Stack, docker, run

TOOLS = "slipway-test-tools"
# A second kustomization on top, as somebody has it who deploys another image.
OVERLAY = """
resources: [../local]
namespace: {namespace}
images:
  - {{name: slipway, newName: {image}, newTag: {tag}}}
"""


@pytest.fixture(scope="session")
def tools(engine: None) -> str:  # noqa: ARG001
    """The image with kubectl and checkov."""
    docker("build", "--quiet", "--tag", TOOLS, str(Path(__file__).parent / "tools"))
    return TOOLS


@pytest.fixture(scope="session")
def project(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """A clone in which the secrets have been made, and those of cloud written by hand."""
    folder = copy_project(tmp_path_factory.mktemp("kubernetes") / "slipway")
    run("make", "kubernetes-secrets", cwd=folder)
    cloud = folder / "deploy/kubernetes/cloud/secrets"
    for name in ("migrate/database_url", "app/database_url", "ca.pem"):
        (cloud / name).parent.mkdir(parents=True, exist_ok=True)
        (cloud / name).write_text(f"{name}\n")
    return folder


def build(tools: str, project: Path, overlay: str) -> list[dict[str, Any]]:
    """Return the objects of an overlay."""
    mount = f"--volume={project}:/slipway:ro"
    folder = f"/slipway/deploy/kubernetes/{overlay}"
    printed = docker("run", "--rm", "--network=none", mount, tools, "kubectl", "kustomize", folder)
    return list(yaml.safe_load_all(printed))


@pytest.fixture(scope="session")
def local(tools: str, project: Path, stack: Stack) -> list[dict[str, Any]]:
    """The objects of local, in another namespace and with the image that this run has built."""
    folder = project / "deploy/kubernetes/tested"
    folder.mkdir()
    image, _, tag = stack.image.partition(":")
    text = OVERLAY.format(namespace="slipway-test", image=image, tag=tag)
    (folder / "kustomization.yaml").write_text(text)
    return build(tools, project, "tested")


@pytest.fixture(scope="session")
def cloud(tools: str, project: Path) -> list[dict[str, Any]]:
    """The objects of cloud."""
    return build(tools, project, "cloud")
