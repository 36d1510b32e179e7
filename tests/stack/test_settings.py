"""Every setting is listed in `.env.example`, and Compose passes it on."""

import json
import re
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from app.config import RateLimit, Settings
from tests.support.checkout import ROOT
from tests.support.compose import Stack

pytestmark = pytest.mark.usefixtures("engine")

SERVICE = {field.name.upper(): field.default for field in fields(Settings)}
OPENTELEMETRYS = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_HEADERS": "",
    "OTEL_SERVICE_NAME": "slipway",
    "OTEL_RESOURCE_ATTRIBUTES": "",
    "OTEL_TRACES_SAMPLER": "parentbased_always_on",
    "OTEL_TRACES_SAMPLER_ARG": "1.0",
    "OTEL_SDK_DISABLED": "false",
}


@pytest.fixture(scope="module", name="raw")
def _raw() -> dict[str, Any]:
    config: dict[str, Any] = json.loads(
        Stack().compose("config", "--no-interpolate", "--format", "json")
    )
    return config


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("", id="production"),
        pytest.param(":docker-compose.dev.yaml", id="development"),
        pytest.param(":deploy/replica/compose.yaml", id="replica"),
        pytest.param(":deploy/group/compose.yaml", id="group"),
    ],
)
def test_compose_files_are_valid(more: str) -> None:
    """Compose reports no errors or warnings."""
    stack = Stack()
    stack.env["COMPOSE_FILE"] = f"docker-compose.yaml{more}"
    assert stack.compose("config", "--quiet") == ""


def test_example_lists_every_setting_with_its_default() -> None:
    """`.env.example` lists every setting of Compose and of the service, and no others."""
    example = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    variables = json.loads(Stack().compose("config", "--variables", "--format", "json"))
    wanted = {name: variable["DefaultValue"] for name, variable in variables.items()}
    wanted |= {
        name: str(default) if isinstance(default, str | int | RateLimit) else ""
        for name, default in SERVICE.items()
    }
    assert example == wanted | OPENTELEMETRYS


def test_example_sets_nothing() -> None:
    """In `.env.example` every line is a comment, so a copy changes nothing."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


@pytest.mark.parametrize("service", ["migrate", "app"])
def test_compose_passes_every_setting_on(raw: dict[str, Any], service: str) -> None:
    """Compose passes every setting on without a default; only the paths of secrets are fixed."""
    environment = raw["services"][service]["environment"]
    stacks_own = {"DATABASE_URL_FILE", "DATABASE_CA_FILE"}
    if service == "app":
        stacks_own |= {"SECRET_KEY_FILE", "PUBLISHED"}
    assert {name for name, value in environment.items() if value is None} == (
        SERVICE.keys() - {"DATABASE_URL", "DATABASE_CA_FILE", "SECRET_KEY"} | OPENTELEMETRYS.keys()
    )
    assert {name for name, value in environment.items() if value} == stacks_own


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        pytest.param("slipway", "slipway", id="plain"),
        pytest.param("second-clone", "second-clone", id="another"),
        pytest.param("_My App.2", "myapp2", id="characters that Compose leaves out"),
    ],
)
def test_each_folder_is_a_stack_of_its_own(tmp_path: Path, folder: str, project: str) -> None:
    """Containers, images, volumes and networks are named after the folder of the checkout."""
    checkout = tmp_path / folder
    checkout.mkdir()
    for name in ("docker-compose.yaml", "docker-compose.dev.yaml"):
        shutil.copy(ROOT / name, checkout)
    for included in ROOT.glob("deploy/observe"):
        shutil.copytree(included, checkout / "deploy/observe")
    stack = Stack(checkout)
    for name in ("COMPOSE_PROJECT_NAME", "IMAGE", "TAG"):
        del stack.env[name]
    config = json.loads(stack.compose("config", "--format", "json"))
    assert config["name"] == project
    images = {name: each.get("image") for name, each in config["services"].items()}
    assert images == {
        "secrets": None,  # Compose's default: project and service
        "db": None,
        "migrate": f"{project}-app:latest",
        "app": f"{project}-app:latest",
    }
    made = [*config["volumes"].values(), *config["networks"].values()]
    assert all(each["name"].startswith(f"{project}_") for each in made)
    stack.env["COMPOSE_FILE"] = "docker-compose.yaml:docker-compose.dev.yaml"
    config = json.loads(stack.compose("config", "--format", "json"))
    assert config["services"]["app"]["image"] == f"{project}-dev"


def test_development_is_not_started_by_itself() -> None:
    """`docker compose up` starts the four services of the stack, and builds for production."""
    config = json.loads(Stack().compose("config", "--format", "json"))
    builds = {name: service.get("build") for name, service in config["services"].items()}
    assert builds.keys() == {"app", "db", "migrate", "secrets"}
    dockerfiles = [build["dockerfile"] for build in builds.values() if build]
    assert sorted(dockerfiles) == ["Dockerfile", "Dockerfile", "Dockerfile.multistage"]


def test_each_image_is_built_once() -> None:
    """Only one service builds each image, in production and in development."""
    stack = Stack()
    for files in ("docker-compose.yaml", "docker-compose.yaml:docker-compose.dev.yaml"):
        stack.env["COMPOSE_FILE"] = files
        services = json.loads(stack.compose("config", "--format", "json"))["services"]
        # Without a name of its own, an image is named after its service.
        images = {name: each.get("image", name) for name, each in services.items()}
        built = [image for name, image in images.items() if "build" in services[name]]
        assert sorted(built) == sorted(set(images.values()))
