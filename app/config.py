"""Settings, read once from the environment and checked at start. `.env.example` explains them."""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SECRETS = {"DATABASE_URL", "DATABASE_REPLICA_URL", "SECRET_KEY"}
"""Settings that can also come from a file, which NAME_FILE names."""

PORTS = 65_535
SECRET_KEY_LENGTH = 32
WINDOWS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class SettingsError(Exception):
    """Settings are missing or malformed; the message names each, and no secret."""


@dataclass(frozen=True)
class RateLimit:
    """How many requests a client may make in a window of some seconds."""

    count: int
    seconds: int

    def __str__(self) -> str:
        """Return what the setting looks like."""
        units = {seconds: unit for unit, seconds in WINDOWS.items()}
        return f"{self.count}/{units[self.seconds]}"


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, with its default."""

    database_url: URL  # its repr hides the password
    database_replica_url: URL | None = None
    database_ca_file: str | None = None
    public_url: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    trusted_proxies: int = 0
    web_concurrency: int = 2
    shutdown_delay: int = 5  # seconds
    rate_limit_create: RateLimit = RateLimit(3000, 60)
    rate_limit_auth: RateLimit = RateLimit(30, 60)
    log_level: str = "info"
    log_format: str = "json"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read settings; an empty variable counts as absent, others than ours are ignored.

        :raises SettingsError: a setting is missing or malformed.
        """
        given = {name: value for name, value in environ.items() if value}
        try:
            return cls(**_Schema().load(given | _secrets(given)))
        except ValidationError as error:
            wrong = (f"{name}: {' '.join(said)}" for name, said in error.messages_dict.items())
            raise SettingsError("; ".join(wrong)) from None


def _secrets(given: Mapping[str, str]) -> dict[str, str]:
    """Read those secrets that are given as files."""
    found = {}
    for name in SECRETS:
        file = given.get(f"{name}_FILE")
        if file and name in given:
            raise ValidationError({f"{name}_FILE": [f"Is set, and so is {name}. Set one."]})
        if file:
            try:
                found[name] = Path(file).read_text().strip()
            except (OSError, ValueError) as error:
                raise ValidationError({f"{name}_FILE": [f"Can't be read: {error}"]}) from None
    return found


class _DatabaseURL(fields.Field[URL]):
    def _deserialize(self, value: str, *_args: Any, **_kwargs: Any) -> URL:
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            url = URL.create("unknown")
        if url.drivername not in {"mysql+pymysql", "sqlite"} or url.database in {
            None,
            "",
            ":memory:",
        }:
            raise ValidationError(
                "Must be mysql+pymysql://user:password@host/database or sqlite:///file."
            )
        return url


class _RateLimit(fields.Field[RateLimit]):
    def _deserialize(self, value: str, *_args: Any, **_kwargs: Any) -> RateLimit:
        count, _, window = value.partition("/")
        if not re.fullmatch("[1-9][0-9]{0,8}", count) or window not in WINDOWS:
            raise ValidationError(f"Must be a number and one of {', '.join(WINDOWS)}: 60/minute.")
        return RateLimit(int(count), WINDOWS[window])


def _has_certificates(value: str) -> None:
    try:
        ssl.create_default_context(cafile=value)
    except OSError as error:
        raise ValidationError(f"Must name a file with certificates: {error}.") from None


def _is_base_url(value: str) -> None:
    found = re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:([0-9]{1,5}))?", value)
    if not found or not 0 < int(found[3] or 1) <= PORTS:
        raise ValidationError("Must be http(s)://host[:port], in lower case, and nothing behind.")


class _Schema(Schema):
    class Meta:
        unknown = EXCLUDE

    database_url = _DatabaseURL(
        data_key="DATABASE_URL",
        required=True,
        error_messages={"required": "Is not set. It says where the database is."},
    )
    database_replica_url = _DatabaseURL(data_key="DATABASE_REPLICA_URL")
    database_ca_file = fields.String(data_key="DATABASE_CA_FILE", validate=_has_certificates)
    public_url = fields.String(data_key="PUBLIC_URL", validate=_is_base_url)
    secret_key = fields.String(
        data_key="SECRET_KEY",
        validate=validate.Length(
            min=SECRET_KEY_LENGTH, error="Must have at least {min} characters."
        ),
    )
    trusted_proxies = fields.Integer(data_key="TRUSTED_PROXIES", validate=validate.Range(0, 100))
    web_concurrency = fields.Integer(data_key="WEB_CONCURRENCY", validate=validate.Range(1, 1000))
    shutdown_delay = fields.Integer(data_key="SHUTDOWN_DELAY", validate=validate.Range(0, 3600))
    rate_limit_create = _RateLimit(data_key="RATE_LIMIT_CREATE")
    rate_limit_auth = _RateLimit(data_key="RATE_LIMIT_AUTH")
    log_level = fields.String(
        data_key="LOG_LEVEL", validate=validate.OneOf(["debug", "info", "warning", "error"])
    )
    log_format = fields.String(data_key="LOG_FORMAT", validate=validate.OneOf(["json", "console"]))
