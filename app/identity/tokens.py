"""Bearer tokens (RFC 6750): who may use the API, and for what.

A token is 256 random bits, so its plain SHA-256 is safe to store and cheap to check. It is found by
the index on the hash, which no client can choose: the time of a lookup reveals nothing.
"""

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app, g, request
from marshmallow import fields
from werkzeug.exceptions import HTTPException

from app.api import rate_limit
from app.api.headers import is_api
from app.api.resources import Blueprint, ResponseSchema
from app.database import Database, database
from app.database.batching import Batcher
from app.database.errors import UNAVAILABLE
from app.database.types import BigIntId, UTCDateTime, binary, exact_string, metadata

SCOPES = ("read", "write")  # each includes those before it
NAME_LENGTH = 100
LAST_USE_INTERVAL = timedelta(minutes=1)  # between two updates of last_used_at

blueprint = Blueprint("auth", __name__, url_prefix="/api", description="Who am I?")


# Who may use the API. The token itself is not stored.
TOKENS = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", BigIntId, primary_key=True),
    sa.Column("name", exact_string(NAME_LENGTH), nullable=False, unique=True),
    sa.Column("digest", binary(32), nullable=False, unique=True),
    sa.Column("scope", sa.String(10), nullable=False),
    sa.Column("created_at", UTCDateTime(0), nullable=False),
    sa.Column("expires_at", UTCDateTime(0)),
    sa.Column("last_used_at", UTCDateTime(0)),
    sqlite_autoincrement=True,  # no id twice, as in MySQL
)

# Compiled once: each request runs one of them.
BY_DIGEST = sa.select(TOKENS).where(TOKENS.c.digest.in_(sa.bindparam("digests", expanding=True)))
BY_ID = sa.select(TOKENS).where(TOKENS.c.id == sa.bindparam("number"))


class MeSchema(ResponseSchema):
    """A token, as its owner sees it."""

    name = fields.String(metadata={"examples": ["ci"]})
    scope = fields.String(metadata={"enum": SCOPES, "examples": ["write"]})


class RefusedError(HTTPException):
    """401 or 403, with the challenge of RFC 6750, section 3."""

    def __init__(self, code: int, detail: str, **challenge: str) -> None:
        super().__init__(detail)
        self.code = code
        values = {"realm": "slipway", **challenge}.items()
        self.challenge = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in values)

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Add the challenge."""
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self.challenge)]


def init_app(app: Flask) -> None:
    """Require a token for everything under `/api`."""
    find_all = partial(_find_by_digests, app.extensions["database"])
    app.extensions["token_lookups"] = Batcher("tokens", find_all)
    app.before_request(authenticate)


@blueprint.route("/me")
@blueprint.response(200, MeSchema)
def me() -> sa.RowMapping:
    """Tell the token's name and scope"""
    token: sa.Row[Any] = g.token
    return token._mapping


def authenticate() -> None:
    """Check the token of a request to `/api`.

    :raises RefusedError: 401, it has no valid token, or 403, its scope is too small.
    :raises TooManyRequests: too many wrong tokens came from its address. A valid one is accepted
        even then: otherwise a neighbour behind the same address could lock its owner out.
    """
    if not is_api():
        return
    if "Authorization" not in request.headers:
        raise RefusedError(401, "A token is needed.")
    given = request.authorization
    secret = given.token if given and given.type == "bearer" else None
    token = find_by_secret(secret) if secret else None
    if token is None:
        count_failed_attempt()
        raise RefusedError(401, "The token is not valid.", error="invalid_token")
    authorize(token)


def authorize(token: sa.Row[Any]) -> None:
    """Allow the request with this token, if its scope is large enough.

    :raises RefusedError: 403, it is too small.
    """
    needed = "read" if request.method in {"GET", "HEAD", "OPTIONS"} else "write"
    if SCOPES.index(token.scope) < SCOPES.index(needed):
        detail = f"The token's scope must be {needed!r} for this."
        raise RefusedError(403, detail, error="insufficient_scope", scope=needed)
    g.token = token
    _record_use(token)


def find_by_secret(secret: str) -> sa.Row[Any] | None:
    """Return the valid token with this secret text."""
    return _valid(current_app.extensions["token_lookups"](_digest(secret)))


def find_by_id(number: int) -> sa.Row[Any] | None:
    """Return the valid token with this id."""
    with database().read() as connection:
        return _valid(connection.execute(BY_ID, {"number": number}).first())


def count_failed_attempt() -> None:
    """Count a wrong token against the address of the request's client.

    :raises TooManyRequests: too many came from its address.
    """
    rate_limit.count("auth", _network(request.remote_addr or ""))


def _find_by_digests(database: Database, digests: Sequence[bytes]) -> list[sa.Row[Any] | None]:
    with database.read() as connection:
        found = connection.execute(BY_DIGEST, {"digests": list(set(digests))}).all()
    tokens = {row.digest: row for row in found}
    return [tokens.get(digest) for digest in digests]


def _valid(token: sa.Row[Any] | None) -> sa.Row[Any] | None:
    expired = token and token.expires_at and token.expires_at <= datetime.now(UTC)
    return None if expired else token


def _network(address: str) -> str:
    """Return the network that stands for an address: with IPv6, a client has a whole /64."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, IPv4Address):
        return address
    return str(ip.ipv4_mapped or IPv6Network((int(ip) >> 64 << 64, 64)))


def _record_use(token: sa.Row[Any]) -> None:
    now = datetime.now(UTC)
    if token.last_used_at is None or token.last_used_at < now - LAST_USE_INTERVAL:
        # A database that is read-only for now can still serve reads.
        used = sa.update(TOKENS).where(TOKENS.c.id == token.id).values(last_used_at=now)
        with suppress(*UNAVAILABLE), database().autocommit.connect() as connection:
            connection.execute(used)


def _digest(token: str) -> bytes:
    """Return the part of a token that is stored."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def create_token(database: Database, name: str, scope: str, expires: timedelta | None) -> str:
    """Save a new token and return it; nobody can read it again.

    :raises sqlalchemy.exc.IntegrityError: another token has this name.
    """
    token = f"slipway_{secrets.token_urlsafe(32)}"
    now = datetime.now(UTC)
    row = {"name": name, "digest": _digest(token), "scope": scope, "created_at": now}
    new = sa.insert(TOKENS).values(**row, expires_at=now + expires if expires else None)
    database.write(lambda connection: connection.execute(new))
    return token


def revoke_token(database: Database, name: str) -> bool:
    """Delete a token, and return whether there was one."""
    with database.autocommit.connect() as connection:
        return bool(connection.execute(sa.delete(TOKENS).where(TOKENS.c.name == name)).rowcount)
