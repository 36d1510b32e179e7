"""OpenTelemetry's settings: those that it would not understand stop the start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.environ import bare_environ
from tests.support.forked import python

URL = "http://127.0.0.1:9"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": URL}
# Prints the error for each of many environments, or null.
CHECK = """
import json, logging, os, sys
from app.config import SettingsError
from app.telemetry import tracing
logging.getLogger().setLevel("CRITICAL")  # as with any LOG_LEVEL, it does not matter here
found, bare = [], dict(os.environ)
for settings in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ |= bare | settings
    try:
        found.append(tracing.check_settings())
    except SettingsError as error:
        found.append(str(error))
print(json.dumps(found))
"""
EXPORTER = "OTEL_EXPORTER_OTLP_"
# The setting, its value, and what the error contains apart from the name.
WRONG = [
    (f"{EXPORTER}ENDPOINT", "localhost:4318", "http"),
    (f"{EXPORTER}ENDPOINT", "127.0.0.1:4318", "http"),
    (f"{EXPORTER}ENDPOINT", f" {URL}", "http"),
    (f"{EXPORTER}ENDPOINT", "grpc://127.0.0.1:4317", "http"),
    (f"{EXPORTER}ENDPOINT", "http://", "http"),
    (f"{EXPORTER}ENDPOINT", f"{URL}/v1/traces", "without /v1/traces"),
    (f"{EXPORTER}TRACES_ENDPOINT", "localhost:4318/v1/traces", "http"),
    (f"{EXPORTER}TIMEOUT", "10000", "seconds"),
    (f"{EXPORTER}TRACES_TIMEOUT", "10s", "seconds"),
    (f"{EXPORTER}TIMEOUT", "0", "seconds"),
    (f"{EXPORTER}TIMEOUT", "nan", "seconds"),
    (f"{EXPORTER}HEADERS", "Authorization: Bearer s3cret", "NAME=VALUE"),
    (f"{EXPORTER}HEADERS", "s3cret", "NAME=VALUE"),
    (f"{EXPORTER}HEADERS", "api-key=s3cret;a=b", "NAME=VALUE"),
    (f"{EXPORTER}TRACES_HEADERS", "api-key=s3cret%0A", "NAME=VALUE"),
    (f"{EXPORTER}PROTOCOL", "grpc", "http/json"),
    (f"{EXPORTER}CERTIFICATE", "/missing", "file"),
    (f"{EXPORTER}CLIENT_KEY", "/missing", "file"),
    ("OTEL_TRACES_EXPORTER", "console", "none"),
    ("OTEL_SDK_DISABLED", "1", "true"),
    ("OTEL_TRACES_SAMPLER_ARG", "10", "0.1 is 10 per cent"),
    ("OTEL_TRACES_SAMPLER_ARG", "10%", "0.1 is 10 per cent"),
    # OpenTelemetry's own texts do not always contain the whole name.
    ("OTEL_TRACES_SAMPLER", "ratio", "OpenTelemetry: Couldn't recognize sampler ratio."),
    (f"{EXPORTER}COMPRESSION", "zstd", "OpenTelemetry: Unsupported compression type: zstd"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "OpenTelemetry: Invalid key value resource attribute"),
    ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "x", "OpenTelemetry: Failed to load resource det"),
    ("OTEL_BSP_SCHEDULE_DELAY", "5s", "OpenTelemetry: Unable to parse value for OTEL_BSP"),
    ("OTEL_BSP_SCHEDULE_DELAY", "0", "OpenTelemetry: schedule_delay_millis must be positive"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "100", "OpenTelemetry: max_export_batch_size must be less"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x", "OpenTelemetry: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
]
RIGHT = [
    {f"{EXPORTER}ENDPOINT": "https://[::1]:4318/otlp/"},
    {f"{EXPORTER}TRACES_ENDPOINT": f"{URL}/v1/traces", f"{EXPORTER}ENDPOINT": ""},
    {f"{EXPORTER}TIMEOUT": "2.5", f"{EXPORTER}PROTOCOL": "http/protobuf"},
    {"OTEL_RESOURCE_ATTRIBUTES": "team=a,"},
    {f"{EXPORTER}HEADERS": "Authorization=Basic%20YTpi,api-key = x y==,"},
    {f"{EXPORTER}COMPRESSION": "gzip", f"{EXPORTER}CERTIFICATE": str(Path(__file__))},
    {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    {"OTEL_TRACES_SAMPLER": "traceidratio"},
    {"OTEL_TRACES_SAMPLER": "", "OTEL_BSP_MAX_QUEUE_SIZE": "", "OTEL_SERVICE_NAME": ""},
    {"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,a=b%20c", "OTEL_SDK_DISABLED": "False"},
    {f"{EXPORTER}ENDPOINT": "", f"{EXPORTER}TIMEOUT": "not used while traces are off"},
]


def errors(cases: list[dict[str, str]]) -> list[str | None]:
    """Return the error for each environment, or None."""
    printed = python(CHECK, json.dumps([ENDPOINT | case for case in cases]))
    found: list[str | None] = json.loads(printed)
    return found


def test_wrong_settings_are_errors() -> None:
    """A setting that OpenTelemetry can't use as it is meant is an error without secrets."""
    found = errors([{name: value} for name, value, _ in WRONG])
    for (name, value, text), error in zip(WRONG, found, strict=True):
        assert error, f"{name}={value} is accepted"
        assert error.startswith((f"{name}: ", "OpenTelemetry: "))
        assert text in error
        assert "s3cret" not in error
        assert "\n" not in error


def test_right_settings_are_accepted() -> None:
    """Usual spellings of settings, and empty ones, are accepted."""
    assert errors(RIGHT) == [None] * len(RIGHT)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["gunicorn", "--bind=127.0.0.1:0"], id="service"),
        pytest.param(["app", "tokens", "list"], id="command line"),
        pytest.param(["alembic", "upgrade", "heads"], id="migration"),
    ],
)
def test_wrong_setting_stops_the_start_in_one_line(command: list[str]) -> None:
    """A wrong setting is named in one line, without a traceback, and the exit status is 1."""
    environ = bare_environ(
        DATABASE_URL="sqlite:///never.db", **ENDPOINT, OTEL_TRACES_SAMPLER_ARG="10"
    )
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    message = "OTEL_TRACES_SAMPLER_ARG: Must be a share from 0 to 1: 0.1 is 10 per cent."
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"slipway: {message}\n")
