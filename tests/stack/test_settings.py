"""Every setting is listed in `.env.example`, and Compose passes it on."""

import json
import re
from dataclasses import fields
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
        Stack().compose("--profile", "*", "config", "--no-interpolate", "--format", "json")
    )
    return config


def test_compose_file_is_valid() -> None:
    """Compose reports no errors or warnings, with any profile."""
    assert Stack().compose("--profile", "*", "config", "--quiet") == ""


def test_example_lists_every_setting_with_its_default() -> None:
    """`.env.example` lists every setting of Compose and of the service, and no others."""
    example = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    variables = json.loads(Stack().compose("config", "--variables", "--format", "json"))
    wanted = {name: variable["DefaultValue"] for name, variable in variables.items()}
    wanted |= {
        name: str(default) if isinstance(default, str | int | RateLimit) else ""
        for name, default in SERVICE.items()
    }
    assert example == wanted | OPENTELEMETRYS | {"COMPOSE_PROJECT_NAME": "slipway"}


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
        stacks_own |= {"SECRET_KEY_FILE"}
    assert {name for name, value in environment.items() if value is None} == (
        SERVICE.keys() - {"DATABASE_URL", "DATABASE_CA_FILE", "SECRET_KEY"} | OPENTELEMETRYS.keys()
    )
    assert {name for name, value in environment.items() if value} == stacks_own


def test_name_of_the_project_can_be_set() -> None:
    """COMPOSE_PROJECT_NAME overrides the project name in docker-compose.yaml."""
    stack = Stack()
    assert json.loads(stack.compose("config", "--format", "json"))["name"] == stack.project
    del stack.env["COMPOSE_PROJECT_NAME"]
    assert json.loads(stack.compose("config", "--format", "json"))["name"] == "slipway"


def test_development_is_not_started_by_itself() -> None:
    """`docker compose up` starts the four services of the stack, but not dev."""
    services = Stack().compose("config", "--services").split()
    assert sorted(services) == ["app", "db", "migrate", "secrets"]
