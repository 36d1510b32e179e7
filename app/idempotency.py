"""`Idempotency-Key`: a repeated request gets the first one's answer, and does nothing.

After draft-ietf-httpapi-idempotency-key-header-07. The key is written with the answer, at the end
of the work's own transaction: both happen or neither, whatever dies, and all replicas see it. Who
repeats a request does the work too, meets the key, and rolls back. While the first is still under
way it waits for the row that the first one has locked.
"""

import hashlib
import random
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, g, request
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Table,
    delete,
    insert,
    select,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError, OperationalError
from werkzeug.exceptions import BadRequest, Conflict, UnprocessableEntity

from app.database import (
    AWAY,
    ID,
    LOCK_WAIT_TIMEOUT,
    UTCDateTime,
    ascii_string,
    database,
    error_code,
    is_duplicate,
    metadata,
)
from app.errors import RETRY_AFTER

KEY = re.compile(r"[\x20-\x7e]{1,255}")
KEPT = timedelta(hours=24)
SWEPT = 0.01  # of the keyed requests take old keys away
SWEPT_AT_ONCE = 1000  # rows


# The answers that keys stand for.
ANSWERS = Table(
    "idempotency_keys",
    metadata,
    Column("token_id", ID, primary_key=True, autoincrement=False),
    Column("key", ascii_string(255), primary_key=True),
    Column("fingerprint", LargeBinary(32).with_variant(mysql.BINARY(32), "mysql"), nullable=False),
    Column("created_at", UTCDateTime(0), nullable=False, index=True),
    Column("status", Integer),
    Column("headers", JSON),
    Column("body", LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")),
)
KEEP = insert(ANSWERS)


class RepeatedError(Exception):
    """Somebody has used the key before."""


class StillRunningError(Conflict):
    """409: the first request with this key has no answer yet."""

    description = "The first request with this Idempotency-Key is still running."

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Add when to ask again."""
        return [*super().get_headers(*args, **kwargs), ("Retry-After", str(RETRY_AFTER))]


def once(work: Callable[[Connection], Response], *, long: bool = False) -> Response:
    """Run `work` in a transaction and return its answer, or the first answer to this key.

    Only success is kept: work that raises leaves the key free.

    :param long: the work may take up to 30 s.
    :raises HTTPException: 400, the key is malformed; 409, its first request still runs; 422, it
        came with another request.
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
            response = database().write(lambda connection: _keyed(connection, row, work), long=long)
        except (*AWAY, StillRunningError):
            raise
        except Exception as error:
            # Whatever it is: what the first request has made may be in the way of this one.
            if replay := _replay(row):
                return replay
            if not isinstance(error, RepeatedError):
                raise
        else:
            _sweep()
            return response


def _keyed(
    connection: Connection, row: dict[str, object], work: Callable[[Connection], Response]
) -> Response:
    response = work(connection)
    answer = {
        "created_at": datetime.now(UTC),
        "status": response.status_code,
        "headers": dict(response.headers.items()),
        "body": response.get_data(),
    }
    try:
        connection.execute(KEEP, row | answer)
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
    """Return the first answer; None where it has just gone, so that the key is free."""
    too_old = datetime.now(UTC) - KEPT
    this = (ANSWERS.c.token_id == row["token_id"], ANSWERS.c.key == row["key"])
    with database().read() as connection:
        first = connection.execute(select(ANSWERS).where(*this)).first()
        if first and first.created_at < too_old:
            # Only if it is old: another request may have taken the key meanwhile.
            connection.execute(delete(ANSWERS).where(*this, ANSWERS.c.created_at < too_old))
            return None
    if first and first.fingerprint != row["fingerprint"]:
        raise UnprocessableEntity("This Idempotency-Key came with another request before.")
    return Response(first.body, first.status, first.headers) if first else None


def _sweep() -> None:
    if random.random() < SWEPT:  # noqa: S311 no secret hangs on it
        old = delete(ANSWERS).where(ANSWERS.c.created_at < datetime.now(UTC) - KEPT)
        # What was asked for is done; that this fails is nothing to the client.
        with suppress(*AWAY), database().reader.connect() as connection:
            connection.execute(old.with_dialect_options(mysql_limit=SWEPT_AT_ONCE))
