"""Bearer tokens (RFC 6750): they authenticate requests to the API, and limit what they can do.

A token is 256 random bits, so its SHA-256 hash without salt is safe to store and cheap to check.
Tokens are looked up by an index on the hash. Clients can't choose a hash, so the time that a lookup
takes tells them nothing about stored tokens (timing attacks).
"""

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import Flask, current_app, g, has_request_context, request
from marshmallow import fields
from werkzeug.exceptions import HTTPException

from app.api import rate_limit
from app.api.headers import is_api
from app.api.resources import Blueprint, ResponseSchema
from app.config import Settings
from app.database import SWEEP_LIMIT, Database, database
from app.database.batching import Batcher
from app.database.errors import UNAVAILABLE
from app.database.types import (
    BigIntId,
    UTCDateTime,
    ascii_string,
    binary,
    exact_string,
    metadata,
)

SCOPES = ("read", "write", "admin")  # each includes those before it
NAME_LENGTH = 100
ACTOR_LENGTH = 100  # characters
LAST_USE_INTERVAL = timedelta(minutes=1)  # between two updates of last_used_at
# Endpoints of forms that need only scope read, because they change only what the user owns.
FORMS_FOR_READERS: set[str] = set()

blueprint = Blueprint("auth", __name__, url_prefix="/api", description="Authentication.")


# Only the hash (`digest`) of a token is stored.
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
    # Of a token that belongs to a person: who that is, at the provider where they sign in. Each of
    # their browsers has a token too, whose text nobody knows.
    sa.Column("person", ascii_string(64)),
    sa.Column("person_name", sa.String(NAME_LENGTH)),
    sa.Column("is_session", sa.Boolean()),
    sqlite_autoincrement=True,  # never reuse an id, as in MySQL
)

# Built once, because each request runs it.
BY_DIGEST = sa.select(TOKENS).where(TOKENS.c.digest.in_(sa.bindparam("digests", expanding=True)))


class Actor(NamedTuple):
    """Who makes a request. `key` is stable ASCII of up to 100 characters, `name` is for people."""

    key: str
    name: str


COMMAND_LINE = Actor("command-line", "command line")


class ActorSchema(ResponseSchema):
    """Who has done something. `key` is stable, `name` is for people."""

    key = fields.String(metadata={"examples": ["token:ci"]})
    name = fields.String(metadata={"examples": ["ci"]})


class MeSchema(ResponseSchema):
    """The token of the request."""

    name = fields.String(metadata={"examples": ["ci"]})
    scope = fields.String(metadata={"enum": SCOPES, "examples": ["write"]})


class RefusedError(HTTPException):
    """A 401 or 403 error, with the `WWW-Authenticate` challenge of RFC 6750, section 3."""

    def __init__(self, code: int, detail: str, **challenge: str) -> None:
        super().__init__(detail)
        self.code = code
        values = {"realm": "slipway", **challenge}.items()
        self.challenge = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in values)

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Add `WWW-Authenticate`."""
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self.challenge)]


def init_app(app: Flask, settings: Settings) -> None:
    """Require a token for everything under `/api`."""
    app.config["EDITORS"] = settings.editors
    find_all = partial(_find_by_digests, app.extensions["database"])
    app.extensions["token_lookups"] = Batcher("tokens", find_all)
    app.before_request(authenticate)


@blueprint.route("/me")
@blueprint.response(200, MeSchema)
def me() -> sa.RowMapping:
    """Get the token's name and scope"""
    token: sa.Row[Any] = g.token
    return token._mapping


def authenticate() -> None:
    """Check the token of a request to `/api`.

    :raises RefusedError: 401, the request has no valid token; 403, the token's scope is too small.
    :raises TooManyRequests: the address has sent too many invalid tokens. Valid tokens are accepted
        even then: otherwise, one client could lock out others behind the same address.
    """
    if not is_api():
        return
    if "Authorization" not in request.headers:
        raise RefusedError(401, "A token is missing. Send Authorization: Bearer TOKEN.")
    # `request.authorization` would raise an error if other schemes are malformed.
    scheme, _, secret = request.headers["Authorization"].partition(" ")
    token = find_by_secret(secret.strip(" \t")) if scheme.lower() == "bearer" else None
    if token is None:
        count_failed_attempt()
        detail = "The token is invalid, revoked or expired."
        raise RefusedError(401, detail, error="invalid_token")
    authorize(token)


def authorize(token: sa.Row[Any]) -> None:
    """Check that the token's scope allows the request, make it `g.token`, and record its use.

    :raises RefusedError: 403, the scope is too small.
    :raises TooManyRequests: the token has sent too many writes with an invalid body.
    """
    is_read = request.method in {"GET", "HEAD", "OPTIONS"} or request.endpoint in FORMS_FOR_READERS
    needed = "read" if is_read else "write"
    if SCOPES.index(token.scope) < SCOPES.index(needed):
        detail = f"This request needs a token with scope {needed!r}."
        raise RefusedError(403, detail, error="insufficient_scope", scope=needed)
    g.token = token
    if needed == "write":
        rate_limit.check_writer(str(token.id))
    _record_use(token)


def actor() -> Actor:
    """Return who makes the current request. Outside of a request, it is the command line.

    All tokens of a person are the same actor. Of other tokens, the key contains the name, so a new
    token with the same name is the same actor.
    """
    if not has_request_context():
        return COMMAND_LINE
    if g.token.person:
        return Actor(f"person:{g.token.person}", g.token.person_name)
    name = g.token.name
    key = f"token:{name}"
    if not key.isascii() or len(key) > ACTOR_LENGTH:
        key = f"token#{hashlib.sha256(name.encode(errors='replace')).hexdigest()}"
    return Actor(key, name)


def check_owner(owner: Sequence[str] | None) -> None:
    """Check that a request may change a resource, if only its owner may: see EDITORS.

    :param owner: key and name of the actor who created the resource, or None if it is unknown.
    :raises RefusedError: 403, somebody else owns the resource.
    """
    if not has_request_context() or current_app.config["EDITORS"] == "all":
        return
    if (owner is None or owner[0] != actor().key) and g.token.scope != "admin":
        detail = "Only the owner or an admin can change this, because EDITORS is `owner`."
        raise RefusedError(403, detail, error="insufficient_scope")


def find_by_secret(secret: str) -> sa.Row[Any] | None:
    """Return the token with this secret text, or None if there is none or it has expired."""
    return unless_expired(current_app.extensions["token_lookups"](_digest(secret)))


def count_failed_attempt() -> None:
    """Count an invalid token for the address of the client.

    :raises TooManyRequests: the address has sent too many.
    """
    rate_limit.count("auth", _network(request.remote_addr or ""))


def _find_by_digests(database: Database, digests: Sequence[bytes]) -> list[sa.Row[Any] | None]:
    with database.read() as connection:
        found = connection.execute(BY_DIGEST, {"digests": list(set(digests))}).all()
    tokens = {row.digest: row for row in found}
    return [tokens.get(digest) for digest in digests]


def unless_expired(token: sa.Row[Any] | None) -> sa.Row[Any] | None:
    """Return the token, or None if it has expired."""
    expired = token and token.expires_at and token.expires_at <= datetime.now(UTC)
    return None if expired else token


def _network(address: str) -> str:
    """Return the name under which a client is counted: its IPv4 address, or its IPv6 /64 network.

    One client usually has all addresses of a /64. If each were counted separately, the client could
    avoid the limit.
    """
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
        # Ignore a failure: while the database is read-only, requests can still read.
        used = sa.update(TOKENS).where(TOKENS.c.id == token.id).values(last_used_at=now)
        with suppress(*UNAVAILABLE), database().autocommit.connect() as connection:
            connection.execute(used)


def _digest(token: str) -> bytes:
    """Return the hash of a token, which is stored instead of it."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def create_token(
    database: Database, name: str, scope: str, expires: timedelta | None, **person: Any
) -> str:
    """Create a token and return it. Only its hash is stored, so it can't be read again.

    :param expires: the token's lifetime; None means that it never expires.
    :param person: the columns about the person that it belongs to, if any.
    :raises sqlalchemy.exc.IntegrityError: another token has this name.
    """
    token = f"slipway_{secrets.token_urlsafe(32)}"
    now = datetime.now(UTC)
    row = {"name": name, "digest": _digest(token), "scope": scope, "created_at": now}
    row |= person
    new = sa.insert(TOKENS).values(**row, expires_at=now + expires if expires else None)
    database.write(lambda connection: connection.execute(new))
    return token


def create_session(
    database: Database, person: str, person_name: str, scope: str, lifetime: timedelta
) -> Any:
    """Create a token for a browser in which a person has signed in, and return its row.

    This also deletes those that have expired, because nobody revokes them.
    """
    is_old = sa.and_(TOKENS.c.is_session, TOKENS.c.expires_at < datetime.now(UTC))
    with database.autocommit.connect() as connection:
        # By their ids: MySQL would lock all rows that a condition without an index reads.
        old = connection.scalars(sa.select(TOKENS.c.id).where(is_old).limit(SWEEP_LIMIT)).all()
        if old:
            connection.execute(sa.delete(TOKENS).where(TOKENS.c.id.in_(old)))
    printable = "".join(character for character in person_name if character.isprintable())
    columns = {"person": person, "person_name": printable[:NAME_LENGTH], "is_session": True}
    name = f"session-{secrets.token_hex(8)}"
    return find_by_secret(create_token(database, name, scope, lifetime, **columns))


def revoke_token(database: Database, name: str) -> bool:
    """Delete the token with this name. Return False if there is none."""
    with database.autocommit.connect() as connection:
        return bool(connection.execute(sa.delete(TOKENS).where(TOKENS.c.name == name)).rowcount)
