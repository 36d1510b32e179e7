"""Settings, read once from the environment and checked at start.

Each setting is declared once, as a field of `Settings`: its name in lower case, type, default,
check and description. After a change, `make settings` writes them into `.env.example` and
`docs/configuration.md`. A new setting also needs a line in `docker-compose.yaml`; tests name what
is missing.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as settings_of
from pathlib import Path
from typing import Any, Self

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from sqlalchemy import URL

from app.setting_checks import (
    DatabaseURL,
    Words,  # oidc
    has_certificates,
    has_openid,  # oidc
    is_base_url,
    is_issuer,  # oidc
    is_one_host,
)

WINDOWS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class SettingsError(Exception):
    """Settings are missing or malformed. The message names each of them, but no secret value."""


@dataclass(frozen=True)
class RateLimit:
    """How many requests a client can make in a window of `seconds`."""

    count: int
    seconds: int

    def __str__(self) -> str:
        """Return the limit in the form of the setting, for example `30/minute`."""
        units = {seconds: unit for unit, seconds in WINDOWS.items()}
        return f"{self.count}/{units[self.seconds]}"


class _RateLimit(fields.Field[RateLimit]):
    def _deserialize(self, value: str, *_args: Any, **_kwargs: Any) -> RateLimit:
        count, _, window = value.partition("/")
        if not re.fullmatch("[1-9][0-9]{0,8}", count) or window not in WINDOWS:
            raise ValidationError(
                f"Must be a number, a slash and one of {', '.join(WINDOWS)}, for example 60/minute."
            )
        return RateLimit(int(count), WINDOWS[window])


class _Choice(fields.String):
    """One of several words, in any case; `warn` is short for the log level `warning`."""

    def __init__(self, *choices: str) -> None:
        super().__init__(validate=validate.OneOf(choices))

    def _deserialize(self, value: str, *_args: Any, **_kwargs: Any) -> str:
        return {"warn": "warning"}.get(value.lower(), value.lower())


def _setting(text: str, kind: fields.Field[Any], *, secret: bool = False, **options: Any) -> Any:
    """Declare a setting.

    :param text: the description for users.
    :param kind: its type and check, as a marshmallow field.
    :param secret: keep it out of the repr. If NAME_FILE is set, read it from the file at that path.
    :param options: other arguments of `dataclasses.field`, such as `default`.
    """
    return field(
        metadata={"text": text, "kind": kind, "secret": secret}, repr=not secret, **options
    )


def _integer(least: int, most: int) -> fields.Field[Any]:
    return fields.Integer(validate=validate.Range(least, most))


@dataclass(frozen=True)
class Settings:
    """All settings of the service. Safe to share between threads: they never change."""

    database_url: URL = _setting(
        "Address of the database: mysql+pymysql://USER:PASSWORD@HOST/DATABASE, or"
        " sqlite:////PATH for a single machine. In PASSWORD, write @ as %40. Of several hosts,"
        " HOST,HOST, the one that accepts writes is used.",
        DatabaseURL(
            required=True,
            error_messages={
                "required": "Not set. Set it to the address of the database, for example"
                " mysql+pymysql://app:PASSWORD@db/slipway."
            },
        ),
        secret=True,
    )
    database_replica_url: URL | None = _setting(
        "Address of a read replica. Lists and statistics are read there, and can lag behind.",
        DatabaseURL(validate=is_one_host),
        secret=True,
        default=None,
    )
    database_ca_file: str | None = _setting(
        "File with the certificate authority that signed MySQL's certificate. Without it, the"
        " system's certificate authorities are trusted.",
        fields.String(validate=has_certificates),
        default=None,
    )
    public_url: str | None = _setting(
        "Address that the service's own URLs begin with, for example https://go.example.com."
        " Without it, they begin with the host that the request was sent to.",
        fields.String(validate=is_base_url),
        default=None,
    )
    trusted_proxies: int = _setting(
        "Number of reverse proxies in front of the service. Only that many addresses of"
        " X-Forwarded-For are trusted. With 0, all X-Forwarded-* headers are ignored.",
        _integer(0, 100),
        default=0,
    )
    web_concurrency: int = _setting(
        "Number of worker processes. Use one for each CPU that the service has.",
        _integer(1, 1000),
        default=2,
    )
    body_memory: int = _setting(
        "Megabytes (MiB) of request bodies, and of answers that clients do not read, which each"
        " worker process holds. Beyond it, large requests get 503.",
        _integer(8, 100_000),
        default=32,
    )
    shutdown_delay: int = _setting(
        "Seconds that the service keeps serving after SIGTERM while /readyz already fails, so that"
        " load balancers stop sending requests.",
        _integer(0, 3600),
        default=5,
    )
    rate_limit_create: RateLimit = _setting(
        "How many resources one token can create per second, minute, hour or day. Writes with an"
        " invalid body count too: each 16 KiB as one resource.",
        _RateLimit(),
        default=RateLimit(3000, 60),
    )
    rate_limit_auth: RateLimit = _setting(
        "How many wrong tokens one client address can send per second, minute, hour or day.",
        _RateLimit(),
        default=RateLimit(30, 60),
    )
    editors: str = _setting(
        "Who can change and delete a resource: all (everyone with scope write), or owner (only its"
        " creator and admins).",
        _Choice("all", "owner"),
        default="all",
    )
    log_level: str = _setting(
        "Least severe level that is logged.",
        _Choice("debug", "info", "warning", "error"),
        default="info",
    )
    log_format: str = _setting(
        "Format of log lines: JSON, or coloured text for a terminal.",
        _Choice("json", "console"),
        default="json",
    )
    secret_key: str | None = _setting(
        "Key that signs the session cookies of the web page: at least 32 characters, the same for"
        " all replicas. Without it, the web page is off. Compose and make run create one.",
        fields.String(
            validate=validate.Length(min=32, error="Must have at least {min} characters.")
        ),
        secret=True,
        default=None,
    )
    # oidc
    oidc_issuer: str | None = _setting(
        "Address of the OpenID Connect provider where people sign in, for example"
        " https://login.example.com/realms/staff. Without it, this sign-in is off.",
        fields.String(validate=is_issuer),
        default=None,
    )
    oidc_client_id: str | None = _setting(
        "Client id that the provider has given to this service.", fields.String(), default=None
    )
    oidc_client_secret: str | None = _setting(
        "Client secret that the provider has given to this service.",
        fields.String(),
        secret=True,
        default=None,
    )
    oidc_scopes: str = _setting(
        "Scopes to request from the provider, separated by spaces.",
        fields.String(validate=has_openid),
        default="openid profile",
    )
    oidc_name_claim: str = _setting(
        "Claim that has the name of the person.", fields.String(), default="name"
    )
    oidc_role_claim: str = _setting(
        "Claim that decides what the person can do: a string, or a list of strings.",
        fields.String(),
        default="roles",
    )
    oidc_read_roles: tuple[str, ...] = _setting(
        "Values of that claim with which people can read, separated by commas; * means everybody.",
        Words(),
        default=(),
    )
    oidc_write_roles: tuple[str, ...] = _setting(
        "The same for people who can also create, change and delete.", Words(), default=()
    )
    oidc_admin_roles: tuple[str, ...] = _setting(
        "The same for people who can also see and revoke the tokens of others.",
        Words(),
        default=(),
    )

    def check_oidc(self) -> None:
        """Check that all is set that OIDC_ISSUER needs. Migrations don't have these secrets.

        :raises SettingsError: something is missing.
        """
        for name in ("oidc_client_id", "oidc_client_secret", "secret_key"):
            if self.oidc_issuer and not getattr(self, name):
                raise SettingsError(f"{name.upper()}: Not set. OIDC_ISSUER needs it.")
        roles = self.oidc_read_roles + self.oidc_write_roles + self.oidc_admin_roles
        if self.oidc_issuer and not roles:
            raise SettingsError(
                "OIDC_WRITE_ROLES: Not set, and no OIDC_READ_ROLES or OIDC_ADMIN_ROLES."
            )

    # /oidc

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read all settings. An empty variable counts as not set; unknown ones are ignored.

        :raises SettingsError: settings are missing or malformed.
        """
        given = {name: value for name, value in environ.items() if value}
        schema = Schema.from_dict({s.name.upper(): s.metadata["kind"] for s in settings_of(cls)})
        secrets, errors = _read_secret_files(given)
        try:
            found = schema(unknown=EXCLUDE).load(given | secrets)
        except ValidationError as error:
            # A secret whose file can't be read is missing too. Report only the error of NAME_FILE.
            said = {name: " ".join(texts) for name, texts in error.messages_dict.items()}
            errors = {n: text for n, text in said.items() if f"{n}_FILE" not in errors} | errors
        if errors:
            wrong = (f"{name}: {text}" for name, text in errors.items())
            raise SettingsError("; ".join(wrong))
        return cls(**{name.lower(): value for name, value in found.items()})


SECRETS = {setting.name.upper() for setting in settings_of(Settings) if setting.metadata["secret"]}
"""Names of the settings that can also be read from a file, whose path is in NAME_FILE."""


def _read_secret_files(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the secrets that were read from files, and the errors of those that weren't.

    The secrets are by NAME, the errors by NAME_FILE.
    """
    found, errors = {}, {}
    for name in SECRETS:
        file = given.get(f"{name}_FILE")
        if file and name in given:
            errors[f"{name}_FILE"] = f"Is set, and so is {name}. Set only one of them."
        elif file:
            try:
                found[name] = Path(file).read_text().strip()
            except (OSError, ValueError) as error:
                errors[f"{name}_FILE"] = f"Can't be read: {error}."
    return found, errors
