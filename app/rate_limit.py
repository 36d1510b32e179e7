"""Fixed windows of requests, counted in the database.

The counters live there because all workers and replicas must see the same ones, and the database
is all that they share. That costs a small commit, so only what is rare is counted: creations and
failed authentications, never a redirect or a read. A row a client, which its next window uses
again.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from random import random
from weakref import WeakValueDictionary

from flask import Flask, Response, current_app, g
from sqlalchemy import BigInteger, Column, Table, delete
from werkzeug.exceptions import TooManyRequests

from app.coalesce import Coalescer
from app.config import RateLimit, Settings
from app.database import AWAY, UTCDateTime, ascii_string, database, hit, metadata, retry

SWEPT = 0.001  # of the counted requests take idle counters away
SWEPT_AT_ONCE = 1000  # rows
KEPT = timedelta(days=2)  # longer than the longest window


# How often one client did one thing in its current window.
COUNTERS = Table(
    "rate_limits",
    metadata,
    Column("client", ascii_string(100), primary_key=True),
    Column("period", BigInteger, nullable=False),  # second in which the window began
    Column("hits", BigInteger, nullable=False),
    Column("updated_at", UTCDateTime(0), nullable=False, index=True),
)


def init_app(app: Flask, settings: Settings) -> None:
    """Take the limits from the settings, and tell clients of them in answers."""
    app.extensions["rate_limits"] = {
        "create": settings.rate_limit_create,
        "auth": settings.rate_limit_auth,
    }
    # One for each client that has requests under way: only they would wait for each other anyway.
    app.extensions["hits"] = WeakValueDictionary()
    app.after_request(_tell)


def count(name: str, client: str, amount: int = 1) -> None:
    """Count what a client does.

    :param name: which limit: "create" or "auth".
    :raises TooManyRequests: the client has done too much of it in this window.
    """
    limit: RateLimit = current_app.extensions["rate_limits"][name]
    now = time.time()
    gone = int(now % limit.seconds)
    # The second in which the window began, which goes on growing if the setting changes.
    period = int(now) - gone
    reset = limit.seconds - gone
    client = f"{name}:{client}"
    add = Coalescer(partial(_hit, client))
    hits = current_app.extensions["hits"].setdefault(client, add)((period, amount))
    if random() < SWEPT:  # noqa: S311 no secret hangs on it
        _sweep()
    g.rate_limit = {
        "RateLimit-Policy": f'"{name}";q={limit.count};w={limit.seconds}',
        "RateLimit": f'"{name}";r={max(limit.count - hits, 0)};t={reset}',
    }
    if hits > limit.count:
        raise TooManyRequests("Too many requests of this kind. Wait.", retry_after=reset)


def _hit(client: str, given: Sequence[tuple[int, int]]) -> list[int]:
    """Count for many requests in one step; return the sum up to each of them.

    :param given: periods and amounts.
    """
    periods, amounts = zip(*given, strict=True)
    total = sum(amounts)
    with database().reader.connect() as connection:
        hits = retry(lambda: hit(connection, client, max(periods), total))
    return [hits - total + amount for amount in accumulate(amounts)]


def _sweep() -> None:
    idle = delete(COUNTERS).where(COUNTERS.c.updated_at < datetime.now(UTC) - KEPT)
    # What is counted is counted; that this fails is nothing to the client.
    with suppress(*AWAY), database().reader.connect() as connection:
        connection.execute(idle.with_dialect_options(mysql_limit=SWEPT_AT_ONCE))


def _tell(response: Response) -> Response:
    """Add the fields of draft-ietf-httpapi-ratelimit-headers-10, where something was counted."""
    if "rate_limit" in g:
        response.headers.extend(g.rate_limit)
    return response
