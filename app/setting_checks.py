"""Checks of single settings, for `app/config.py`: fields and validators of marshmallow.

Validators raise ValidationError; its text completes the message "NAME: …".
"""

import re
import ssl
from ipaddress import IPv6Address
from typing import Any

from marshmallow import ValidationError, fields
from sqlalchemy import URL

from app import database_url

MAX_PORT = 65_535
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}  # oidc
LABEL = "[a-z0-9-]{1,63}"
HOST = rf"({LABEL}(?:\.{LABEL})*\.?|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?"


class DatabaseURL(fields.Field[URL]):
    """The address of a database."""

    def _deserialize(self, value: str, *_args: Any, **_kwargs: Any) -> URL:
        try:
            return database_url.parse(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


def is_one_host(url: URL) -> None:
    """Check that a database's address has only one host."""
    if "," in (url.host or ""):
        raise ValidationError(database_url.ONE_HOST)


def has_certificates(path: str) -> None:
    """Check that a file contains certificates in PEM format."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ValidationError(f"Must be the path of a file with certificates: {error}.") from None


def is_base_url(value: str) -> None:
    """Check that a URL is a scheme and a host."""
    found = re.fullmatch(f"https?://{HOST}", value)
    if not found or not _can_exist(found[1], found[2]):
        raise ValidationError("Must be http(s)://host[:port], in lower case, without a path.")


def _can_exist(host: str, port: str | None) -> bool:
    """Return whether a host and a port that HOST has matched can exist."""
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            return False
    return 0 < int(port or 1) <= MAX_PORT


# oidc
class Words(fields.Field[tuple[str, ...]]):
    """Texts that are separated by commas."""

    def _deserialize(self, value: str, *_args: Any, **_kwargs: Any) -> tuple[str, ...]:
        return tuple(word.strip() for word in value.split(",") if word.strip())


def is_issuer(value: str) -> None:
    """Check that a URL can be an issuer (OpenID Connect Discovery 1.0, section 3).

    On this machine, plain HTTP is accepted too, for development.
    """
    found = re.fullmatch(rf"(https?)://{HOST}(/[!-~]*)?", value)
    if (
        not found
        or not _can_exist(found[2], found[3])
        or (found[1] == "http" and found[2] not in LOOPBACK)
        or set("?#") & set(value)
    ):
        raise ValidationError("Must be https://host[:port][/path], exactly as the provider has it.")


def has_openid(scopes: str) -> None:
    """Check that a list of scopes has the one that OpenID Connect requires."""
    if "openid" not in scopes.split():
        raise ValidationError("Must contain openid, for example: openid profile.")


# /oidc
