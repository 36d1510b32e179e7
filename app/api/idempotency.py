"""`Idempotency-Key`: a retry returns the response to the first request and changes nothing.

It follows draft-ietf-httpapi-idempotency-key-header-07. The key and the response are inserted at
the end of the transaction that does the work. So the work and the key are committed together or not
at all, even after a crash, and all replicas see the key. A retry does the work again, fails to
insert the key, rolls back, and returns the stored response. If the first request has inserted the
key but not committed yet, the retry waits for the lock on the key's row, and gets 409 after the
lock wait time-out.
"""

import hashlib
import random
import re
from collections.abc import Callable, Sequence
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
SWEEP_PROBABILITY = 0.01  # share of the requests with a key that also delete old keys


# The first successful response for each key of a token.
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
Key = dict[str, Any]
"""The columns that a request has before its work is done."""


class RepeatedError(Exception):
    """The key has already been used."""


class StillRunningError(Conflict):
    """409: the first request with this key has not finished yet."""

    description = "The first request with this Idempotency-Key is still running. Try again later."

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Add `Retry-After`."""
        return [*super().get_headers(*args, **kwargs), ("Retry-After", str(RETRY_AFTER))]


def once(work: Callable[[sa.Connection], Response], *, long: bool = False) -> Response:
    """Run `work` in a transaction and return its response, or the stored response for this key.

    Without an `Idempotency-Key`, it only runs `work`. Only successful responses are stored: if
    `work` raises an error, the key stays free.

    :param long: give the work up to 30 s.
    :raises HTTPException: 400, the key is malformed; 409, its first request is still running; 422,
        it was used for a different request.
    """

    def run(key: Key | None) -> Response:
        def transaction(connection: sa.Connection) -> Response:
            response = work(connection)
            keep(connection, [(key, response)] if key else [])
            return response

        return database().write(transaction, long=long)

    return once_by(run, long=long)


def once_by(run: Callable[[Key | None], Response], *, long: bool = False) -> Response:
    """Do the same as `once`, for work that has a transaction of its own.

    :param run: takes the key, or None without one. It must `keep` the key in its transaction.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return run(None)
    if not KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key must be 1 to 255 printable ASCII characters.")
    content = f"{request.method} {request.path}\n".encode() + request.get_data()
    row = {"token_id": g.token.id, "key": key, "fingerprint": hashlib.sha256(content).digest()}

    while True:
        try:
            response = run(row)
        except (*UNAVAILABLE, StillRunningError):
            raise
        except Exception as error:
            # After any error, look for a stored response. The work of a retry can fail because the
            # first request has already done it, for example if it takes a unique name.
            if replay := _replay(row, long=long):
                return replay
            if not isinstance(error, RepeatedError):
                raise
        else:
            if random.random() < SWEEP_PROBABILITY:  # noqa: S311 no secret depends on it
                database().sweep(IDEMPOTENCY_KEYS.c.created_at, TTL)
            return response


def keep(connection: sa.Connection, answers: Sequence[tuple[Key, Response]]) -> None:
    """Insert keys with the responses to their requests, at the end of the transaction.

    :raises RepeatedError: a key has already been used.
    :raises StillRunningError: the first request with a key has not finished yet.
    """
    rows = [
        key
        | {
            "created_at": datetime.now(UTC),
            "status": response.status_code,
            "headers": dict(response.headers.items()),
            "body": response.get_data(),
        }
        for key, response in answers
    ]
    try:
        if rows:
            connection.execute(INSERT, rows)
    except IntegrityError as error:
        if is_duplicate(error):
            raise RepeatedError from None
        raise
    except OperationalError as error:
        if error_code(error) == LOCK_WAIT_TIMEOUT:
            raise StillRunningError from None
        raise


def _replay(row: Key, *, long: bool) -> Response | None:
    """Return the stored response, or None if there is none. Delete an expired one.

    :param long: the work was long, so it can have taken all the time of a short read.
    :raises UnprocessableEntity: the key was used for a different request.
    """
    too_old = datetime.now(UTC) - TTL
    this = (IDEMPOTENCY_KEYS.c.token_id == row["token_id"], IDEMPOTENCY_KEYS.c.key == row["key"])
    with database().read(long=long) as connection:
        first = connection.execute(sa.select(IDEMPOTENCY_KEYS).where(*this)).first()
        if first and first.created_at < too_old:
            # Compare the time again: meanwhile, another request can have reused the expired key.
            connection.execute(
                sa.delete(IDEMPOTENCY_KEYS).where(*this, IDEMPOTENCY_KEYS.c.created_at < too_old)
            )
            return None
    if first and first.fingerprint != row["fingerprint"]:
        raise UnprocessableEntity(
            "This Idempotency-Key was used for a different request. Use a new key."
        )
    return Response(first.body, first.status, first.headers) if first else None
