"""Settings, read once from the environment and checked at start.

Each setting is declared once, as a field of `Settings`: its name in lower case, type, default and
check. A new one also needs its lines in `.env.example` and `docker-compose.yaml`; a test names
those that are missing.
"""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as settings_of
from pathlib import Path
from typing import Any, Self

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

MAX_PORT = 65_535
WINDOWS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class SettingsError(Exception):
    """Settings are missing or malformed; the message names each, and no secret."""


@dataclass(frozen=True)
class RateLimit:
    """How many requests a client may make in a window of some seconds."""

    count: int
    seconds: int

    def __str__(self) -> str:
        """Return the limit as it is written in the setting."""
        units = {seconds: unit for unit, seconds in WINDOWS.items()}
        return f"{self.count}/{units[self.seconds]}"


class _DatabaseURL(fields.Field[URL]):
    def _deserialize(self, value: str, *_args: Any, **_kwargs: Any) -> URL:
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            url = URL.create("unknown")
        is_stored = url.database not in {None, "", ":memory:"}
        if url.drivername not in {"mysql+pymysql", "sqlite"} or not is_stored:
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
    if not found or not 0 < int(found[3] or 1) <= MAX_PORT:
        raise ValidationError("Must be http(s)://host[:port], in lower case, and nothing behind.")


def _setting(kind: fields.Field[Any], *, secret: bool = False, **options: Any) -> Any:
    """Declare a setting: its type and check, as a field of marshmallow, and its default.

    :param secret: it can also come from a file, which NAME_FILE names, and is not in the repr.
    """
    return field(metadata={"kind": kind, "secret": secret}, repr=not secret, **options)


def _integer(least: int, most: int) -> fields.Field[Any]:
    return fields.Integer(validate=validate.Range(least, most))


def _one_of(*choices: str) -> fields.Field[Any]:
    return fields.String(validate=validate.OneOf(choices))


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. `.env.example` explains each setting to users."""

    database_url: URL = _setting(
        _DatabaseURL(
            required=True, error_messages={"required": "Is not set. It says where the database is."}
        ),
        secret=True,
    )
    database_replica_url: URL | None = _setting(_DatabaseURL(), secret=True, default=None)
    database_ca_file: str | None = _setting(fields.String(validate=_has_certificates), default=None)
    public_url: str | None = _setting(fields.String(validate=_is_base_url), default=None)
    secret_key: str | None = _setting(
        fields.String(
            validate=validate.Length(min=32, error="Must have at least {min} characters.")
        ),
        secret=True,
        default=None,
    )
    trusted_proxies: int = _setting(_integer(0, 100), default=0)
    web_concurrency: int = _setting(_integer(1, 1000), default=2)
    shutdown_delay: int = _setting(_integer(0, 3600), default=5)  # seconds
    rate_limit_create: RateLimit = _setting(_RateLimit(), default=RateLimit(3000, 60))
    rate_limit_auth: RateLimit = _setting(_RateLimit(), default=RateLimit(30, 60))
    log_level: str = _setting(_one_of("debug", "info", "warning", "error"), default="info")
    log_format: str = _setting(_one_of("json", "console"), default="json")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read settings. An empty variable counts as absent, unknown ones are ignored.

        :raises SettingsError: settings are missing or malformed.
        """
        given = {name: value for name, value in environ.items() if value}
        schema = Schema.from_dict({s.name.upper(): s.metadata["kind"] for s in settings_of(cls)})
        secrets, errors = _read_secret_files(given)
        try:
            found = schema(unknown=EXCLUDE).load(given | secrets)
        except ValidationError as error:
            # A secret whose file is unreadable is not missing.
            said = {name: " ".join(texts) for name, texts in error.messages_dict.items()}
            errors = {n: text for n, text in said.items() if f"{n}_FILE" not in errors} | errors
        if errors:
            wrong = (f"{name}: {text}" for name, text in errors.items())
            raise SettingsError("; ".join(wrong))
        return cls(**{name.lower(): value for name, value in found.items()})


SECRETS = {setting.name.upper() for setting in settings_of(Settings) if setting.metadata["secret"]}
"""Settings that can also come from a file, which NAME_FILE names."""


def _read_secret_files(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the secrets that files hold, and what is wrong with others, by NAME_FILE."""
    found, errors = {}, {}
    for name in SECRETS:
        file = given.get(f"{name}_FILE")
        if file and name in given:
            errors[f"{name}_FILE"] = f"Is set, and so is {name}. Set one."
        elif file:
            try:
                found[name] = Path(file).read_text().strip()
            except (OSError, ValueError) as error:
                errors[f"{name}_FILE"] = f"Can't be read: {error}"
    return found, errors
