"""Bearer tokens (RFC 6750): who may use the API, and for what.

A token is 256 random bits, so its plain SHA-256 is safe to store and costs nothing to check. It
is found by the index on the hash, which no client can steer: how long that takes tells nothing.
"""

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any

from flask import Flask, current_app, g, request
from marshmallow import fields
from sqlalchemy import (
    Column,
    LargeBinary,
    Row,
    RowMapping,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import mysql
from werkzeug.exceptions import HTTPException

from app import rate_limit
from app.api import Blueprint, Output
from app.coalesce import Coalescer
from app.database import AWAY, ID, Database, UTCDateTime, database, exact_string, metadata
from app.headers import is_api

SCOPES = ("read", "write")  # each includes those before it
NAME_LENGTH = 100
USE_NOTED = timedelta(minutes=1)  # how exactly the last use is known, for the price of a write

blueprint = Blueprint("auth", __name__, url_prefix="/api", description="Who am I?")


# Who may use the API. The token itself is not kept.
TOKENS = Table(
    "tokens",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", exact_string(NAME_LENGTH), nullable=False, unique=True),
    Column(
        "digest",
        LargeBinary(32).with_variant(mysql.BINARY(32), "mysql"),
        nullable=False,
        unique=True,
    ),
    Column("scope", String(10), nullable=False),
    Column("created_at", UTCDateTime(0), nullable=False),
    Column("expires_at", UTCDateTime(0)),
    Column("last_used_at", UTCDateTime(0)),
    sqlite_autoincrement=True,  # no id twice, as in MySQL
)

# Made once: each request runs one.
BY_DIGEST = select(TOKENS).where(TOKENS.c.digest.in_(bindparam("digests", expanding=True)))
BY_ID = select(TOKENS).where(TOKENS.c.id == bindparam("number"))


class MeSchema(Output):
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
    """Let nobody into `/api` without a token."""
    app.extensions["tokens"] = Coalescer(_by_digests)
    app.before_request(authenticate)


@blueprint.route("/me")
@blueprint.response(200, MeSchema)
def me() -> RowMapping:
    """Tell the token's name and scope"""
    token: Row[Any] = g.token
    return token._mapping


def authenticate() -> None:
    """Find the request's token, for what lies under `/api`.

    :raises RefusedError: 401, it has none that is valid, or 403, its scope is too small.
    :raises TooManyRequests: too many wrong tokens came from its address. A right one passes
        even then: else a neighbour behind the same address could lock its owner out.
    """
    if not is_api():
        return
    if "Authorization" not in request.headers:
        raise RefusedError(401, "A token is needed.")
    given = request.authorization
    token = by_text(given.token) if given and given.type == "bearer" and given.token else None
    if token is None:
        count_wrong()
        raise RefusedError(401, "The token is not valid.", error="invalid_token")
    admit(token)


def admit(token: Row[Any]) -> None:
    """Let the request happen with this token, if its scope is large enough.

    :raises RefusedError: 403, it is too small.
    """
    needed = "read" if request.method in {"GET", "HEAD", "OPTIONS"} else "write"
    if SCOPES.index(token.scope) < SCOPES.index(needed):
        detail = f"The token's scope must be {needed!r} for this."
        raise RefusedError(403, detail, error="insufficient_scope", scope=needed)
    g.token = token
    _note_use(token)


def by_text(text: str) -> Row[Any] | None:
    """Return the valid token that this is."""
    return _valid(current_app.extensions["tokens"](_digest(text)))


def by_id(number: int) -> Row[Any] | None:
    """Return the valid token that has this number."""
    with database().read() as connection:
        return _valid(connection.execute(BY_ID, {"number": number}).first())


def count_wrong() -> None:
    """Count a wrong token of the request's client.

    :raises TooManyRequests: too many came from its address.
    """
    rate_limit.count("auth", _network(request.remote_addr or ""))


def _by_digests(digests: Sequence[bytes]) -> list[Row[Any] | None]:
    with database().read() as connection:
        found = connection.execute(BY_DIGEST, {"digests": list(set(digests))}).all()
    tokens = {row.digest: row for row in found}
    return [tokens.get(digest) for digest in digests]


def _valid(token: Row[Any] | None) -> Row[Any] | None:
    expired = token and token.expires_at and token.expires_at <= datetime.now(UTC)
    return None if expired else token


def _network(address: str) -> str:
    """Return whose address this is: of IPv6, a client has a whole /64."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, IPv4Address):
        return address
    return str(ip.ipv4_mapped or IPv6Network((int(ip) >> 64 << 64, 64)))


def _note_use(token: Row[Any]) -> None:
    now = datetime.now(UTC)
    if token.last_used_at is None or token.last_used_at < now - USE_NOTED:
        # A database that can only read now can still serve reads.
        used = update(TOKENS).where(TOKENS.c.id == token.id).values(last_used_at=now)
        with suppress(*AWAY), database().reader.connect() as connection:
            connection.execute(used)


def _digest(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def create_token(database: Database, name: str, scope: str, expires: timedelta | None) -> str:
    """Save a new token and return it; nobody can read it again.

    :raises sqlalchemy.exc.IntegrityError: another token has this name.
    """
    token = f"slipway_{secrets.token_urlsafe(32)}"
    now = datetime.now(UTC)
    new = insert(TOKENS).values(
        name=name,
        digest=_digest(token),
        scope=scope,
        created_at=now,
        expires_at=now + expires if expires else None,
    )
    database.write(lambda connection: connection.execute(new))
    return token


def revoke_token(database: Database, name: str) -> bool:
    """Delete a token, and say whether there was one."""
    with database.reader.connect() as connection:
        return bool(connection.execute(delete(TOKENS).where(TOKENS.c.name == name)).rowcount)
