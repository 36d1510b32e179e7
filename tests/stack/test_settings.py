"""The settings that users may set: one list of them, and compose passes each one on."""

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
    """Compose finds nothing to complain about, in any profile."""
    assert Stack().compose("--profile", "*", "config", "--quiet") == ""


def test_example_lists_every_setting_with_its_default() -> None:
    """`.env.example` has what compose interpolates and what the service reads, and no more."""
    example = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    variables = json.loads(Stack().compose("config", "--variables", "--format", "json"))
    wanted = {name: variable["DefaultValue"] for name, variable in variables.items()}
    wanted |= {
        name: str(default) if isinstance(default, str | int | RateLimit) else ""
        for name, default in SERVICE.items()
    }
    assert example == wanted | OPENTELEMETRYS | {"COMPOSE_PROJECT_NAME": "slipway"}


def test_example_sets_nothing() -> None:
    """A copy of `.env.example` changes nothing until a line is edited."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


@pytest.mark.parametrize("service", ["migrate", "app"])
def test_compose_passes_every_setting_on(raw: dict[str, Any], service: str) -> None:
    """A setting has its default in the service alone; only the secrets are the stack's own."""
    environment = raw["services"][service]["environment"]
    stacks_own = {"DATABASE_URL_FILE", "DATABASE_CA_FILE"}
    if service == "app":
        stacks_own |= {"SECRET_KEY_FILE"}
    assert {name for name, value in environment.items() if value is None} == (
        SERVICE.keys() - {"DATABASE_URL", "DATABASE_CA_FILE", "SECRET_KEY"} | OPENTELEMETRYS.keys()
    )
    assert {name for name, value in environment.items() if value} == stacks_own


def test_name_of_the_project_can_be_set() -> None:
    """COMPOSE_PROJECT_NAME goes before the name in the file."""
    stack = Stack()
    assert json.loads(stack.compose("config", "--format", "json"))["name"] == stack.project
    del stack.env["COMPOSE_PROJECT_NAME"]
    assert json.loads(stack.compose("config", "--format", "json"))["name"] == "slipway"


def test_development_is_not_started_by_itself() -> None:
    """`docker compose up` starts the four services of the stack and not dev."""
    services = Stack().compose("config", "--services").split()
    assert sorted(services) == ["app", "db", "migrate", "secrets"]
