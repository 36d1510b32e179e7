"""`Idempotency-Key`: a repeated request gets the first one's answer, and changes nothing.

It follows draft-ietf-httpapi-idempotency-key-header-07. The key is written with the answer, at the
end of the work's own transaction: both happen or neither, even after a crash, and all replicas see
it. A repeated request does the work too, meets the key, and rolls back. While the first request is
still running, the repeated one waits for the row that the first one has locked.
"""

import hashlib
import random
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Response, g, request
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError, OperationalError
from werkzeug.exceptions import BadRequest, Conflict, UnprocessableEntity

from app.api.problems import RETRY_AFTER
from app.database import database
from app.database.errors import LOCK_WAIT_TIMEOUT, UNAVAILABLE, error_code, is_duplicate
from app.database.types import BigIntId, UTCDateTime, ascii_string, binary, metadata

KEY = re.compile(r"[\x20-\x7e]{1,255}")
TTL = timedelta(hours=24)
SWEEP_PROBABILITY = 0.01  # the share of keyed requests that delete old keys
SWEEP_LIMIT = 1000  # rows


# The first answer to each key.
IDEMPOTENCY_KEYS = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("token_id", BigIntId, primary_key=True, autoincrement=False),
    sa.Column("key", ascii_string(255), primary_key=True),
    sa.Column("fingerprint", binary(32), nullable=False),
    sa.Column("created_at", UTCDateTime(0), nullable=False, index=True),
    sa.Column("status", sa.Integer),
    sa.Column("headers", sa.JSON),
    sa.Column("body", sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")),
)
INSERT = sa.insert(IDEMPOTENCY_KEYS)


class RepeatedError(Exception):
    """The key was used before."""


class StillRunningError(Conflict):
    """409: the first request with this key has no answer yet."""

    description = "The first request with this Idempotency-Key is still running."

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Add `Retry-After`."""
        return [*super().get_headers(*args, **kwargs), ("Retry-After", str(RETRY_AFTER))]


def once(work: Callable[[sa.Connection], Response], *, long: bool = False) -> Response:
    """Run `work` in a transaction and return its answer, or the first answer to this key.

    Only success is stored: work that raises leaves the key free.

    :param long: the work may take up to 30 s.
    :raises HTTPException: 400, the key is malformed; 409, its first request is still running; 422,
        it was used with another request.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return database().write(work, long=long)
    if not KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    content = f"{request.method} {request.path}\n".encode() + request.get_data()
    row = {"token_id": g.token.id, "key": key, "fingerprint": hashlib.sha256(content).digest()}

    while True:
        try:
            response = database().write(
                lambda connection: _run_with_key(connection, row, work), long=long
            )
        except (*UNAVAILABLE, StillRunningError):
            raise
        except Exception as error:
            # Of any kind: the result of the first request may be in the way of this one.
            if replay := _replay(row):
                return replay
            if not isinstance(error, RepeatedError):
                raise
        else:
            _sweep()
            return response


def _run_with_key(
    connection: sa.Connection, row: dict[str, object], work: Callable[[sa.Connection], Response]
) -> Response:
    response = work(connection)
    answer = {
        "created_at": datetime.now(UTC),
        "status": response.status_code,
        "headers": dict(response.headers.items()),
        "body": response.get_data(),
    }
    try:
        connection.execute(INSERT, row | answer)
    except IntegrityError as error:
        if is_duplicate(error):
            raise RepeatedError from None
        raise
    except OperationalError as error:
        if error_code(error) == LOCK_WAIT_TIMEOUT:
            raise StillRunningError from None
        raise
    return response


def _replay(row: dict[str, object]) -> Response | None:
    """Return the first answer, or None where it has expired, so that the key is free."""
    too_old = datetime.now(UTC) - TTL
    this = (IDEMPOTENCY_KEYS.c.token_id == row["token_id"], IDEMPOTENCY_KEYS.c.key == row["key"])
    with database().autocommit.connect() as connection:
        first = connection.execute(sa.select(IDEMPOTENCY_KEYS).where(*this)).first()
        if first and first.created_at < too_old:
            # Only if it is still the old one: another request may have taken the key meanwhile.
            connection.execute(
                sa.delete(IDEMPOTENCY_KEYS).where(*this, IDEMPOTENCY_KEYS.c.created_at < too_old)
            )
            return None
    if first and first.fingerprint != row["fingerprint"]:
        raise UnprocessableEntity("This Idempotency-Key came with another request before.")
    return Response(first.body, first.status, first.headers) if first else None


def _sweep() -> None:
    if random.random() < SWEEP_PROBABILITY:  # noqa: S311 no secret depends on it
        old = sa.delete(IDEMPOTENCY_KEYS).where(
            IDEMPOTENCY_KEYS.c.created_at < datetime.now(UTC) - TTL
        )
        # The request itself has succeeded, so the client need not know of a failure here.
        with suppress(*UNAVAILABLE), database().autocommit.connect() as connection:
            connection.execute(old.with_dialect_options(mysql_limit=SWEEP_LIMIT))
