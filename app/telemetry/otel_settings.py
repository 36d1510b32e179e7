"""Checks of OpenTelemetry's settings, of which a wrong one stops the start.

Otherwise OpenTelemetry would log one warning and do something else, or fail at every export.
"""

import logging
import os
import re
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from app.config import SettingsError

MAX_TIMEOUT = 300  # seconds: a longer one is meant as milliseconds
HEADER = re.compile(r'\s*[\w.-]+\s*=([^",;\\]*)', flags=re.ASCII)


def _are_headers(value: str) -> None:
    for pair in filter(None, value.split(",")):
        found = HEADER.fullmatch(pair)
        text = unquote(found[1]) if found else "\n"
        if not (text.isascii() and text.isprintable()):
            # Without the value, which can be secret.
            raise ValidationError("Must be NAME=VALUE,NAME=VALUE with printable ASCII characters.")


def _is_file(value: str) -> None:
    if not Path(value).is_file():
        raise ValidationError("Must be the path of a file.")


def _text(pattern: str, error: str) -> fields.String:
    return fields.String(validate=validate.Regexp(rf"(?i:{pattern})\Z", error=error))


def _number(least: float, most: float, error: str) -> fields.Float:
    messages: dict[str, Any] = {"invalid": error, "special": error, "too_large": error}
    return fields.Float(validate=validate.Range(least, most, error=error), error_messages=messages)


# For traces only, each name begins with OTEL_EXPORTER_OTLP_TRACES_.
EXPORTER: dict[str, fields.Field[Any]] = {
    "ENDPOINT": _text(r"https?://[^\s/]+\S*", "Must begin with http:// or https:// and a host."),
    "TIMEOUT": _number(0.1, MAX_TIMEOUT, f"Is in seconds here: from 0.1 to {MAX_TIMEOUT}."),
    "HEADERS": fields.String(validate=_are_headers),
    # It is always sent as JSON, which receivers accept at the same address.
    "PROTOCOL": _text("http/(json|protobuf)", "Must be http/json or http/protobuf."),
    "CERTIFICATE": fields.String(validate=_is_file),
    "CLIENT_CERTIFICATE": fields.String(validate=_is_file),
    "CLIENT_KEY": fields.String(validate=_is_file),
}
SCHEMA = Schema.from_dict(
    {f"OTEL_EXPORTER_OTLP_TRACES_{name}": field for name, field in EXPORTER.items()}
    | {f"OTEL_EXPORTER_OTLP_{name}": field for name, field in EXPORTER.items()}
    | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": _text(
            r"https?://[^\s/]+(?!\S*/v1/traces/?\Z)\S*",
            "Must begin with http:// or https:// and a host, without /v1/traces.",
        ),
        "OTEL_TRACES_EXPORTER": _text("otlp", "Must be otlp, or none to turn traces off."),
        "OTEL_SDK_DISABLED": _text("false", "Must be true or false."),
        "OTEL_TRACES_SAMPLER_ARG": _number(
            0, 1, "Must be a share from 0 to 1: 0.1 is 10 per cent."
        ),
    }
)


def check() -> None:
    """Check the settings in the environment, and remove empty ones, which count as not set.

    What the schema does not cover, OpenTelemetry checks itself: each warning or error that it logs
    while everything is created counts.

    :raises SettingsError: settings are wrong. The message contains no headers.
    """
    for name in [name for name, value in os.environ.items() if name[:5] == "OTEL_" and not value]:
        del os.environ[name]
    if "OTEL_RESOURCE_ATTRIBUTES" in os.environ:  # a comma at the end is usual, and means nothing
        os.environ["OTEL_RESOURCE_ATTRIBUTES"] = os.environ["OTEL_RESOURCE_ATTRIBUTES"].rstrip(",")
    os.environ.setdefault("OTEL_TRACES_SAMPLER_ARG", "1.0")  # not set, it logs a warning
    if errors := SCHEMA(unknown=EXCLUDE).validate(os.environ):
        raise SettingsError("; ".join(f"{name}: {' '.join(errors[name])}" for name in errors))

    log, complaints = logging.getLogger("opentelemetry"), BufferingHandler(1000)
    log.addHandler(complaints)
    log.propagate = False
    log.setLevel(logging.WARNING)  # whatever LOG_LEVEL is
    try:
        from app.telemetry import spans  # noqa: PLC0415 it imports OpenTelemetry

        spans.try_settings()
    except ValueError as error:
        raise SettingsError(f"OpenTelemetry: {error}") from None
    finally:
        log.setLevel(logging.NOTSET)
        log.propagate = True
        log.removeHandler(complaints)
    if texts := [record.getMessage() for record in complaints.buffer]:
        raise SettingsError(f"OpenTelemetry: {' '.join(texts)}")
