"""Rate limits: fixed windows of requests, counted in the database.

The counters are in the database because all workers and replicas need the same ones, and the
database is all that they share. Counting costs a small commit, so only rare requests are counted:
creations, writes with an invalid body and failed authentications, never reads. A client has one row
for each limit, and each new window reuses it.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from math import ceil
from random import random
from weakref import WeakValueDictionary

import sqlalchemy as sa
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import TooManyRequests

from app.config import RateLimit, Settings
from app.database import Database, database, retry
from app.database.batching import Batcher
from app.database.errors import UNAVAILABLE
from app.database.types import UTCDateTime, ascii_string, metadata

SWEEP_PROBABILITY = 0.001  # share of the counted requests that also delete idle counters
TTL = timedelta(days=2)  # longer than the longest window
INVALID = {400, 413, 422}  # statuses of writes with an invalid body
INVALID_SIZE = 16 * 1024  # bytes of an invalid body that count as much as one creation

# How often a client has used one limit in its current window.
RATE_LIMITS = sa.Table(
    "rate_limits",
    metadata,
    sa.Column("client", ascii_string(100), primary_key=True),
    sa.Column("period", sa.BigInteger, nullable=False),  # start of the window, Unix time in seconds
    sa.Column("hits", sa.BigInteger, nullable=False),
    sa.Column("updated_at", UTCDateTime(0), nullable=False, index=True),
)

# An upsert. LAST_INSERT_ID(value) returns the new count without a second statement (MySQL manual,
# "Information Functions"). MySQL assigns from left to right, so `hits` sees the old period.
INCREMENT_MYSQL = sa.text("""
    INSERT INTO rate_limits (client, period, hits, updated_at)
    VALUES (:client, :period, LAST_INSERT_ID(:amount), :now) AS new
    ON DUPLICATE KEY UPDATE
        hits = LAST_INSERT_ID(IF(new.period > rate_limits.period, 0, rate_limits.hits) + :amount),
        period = GREATEST(rate_limits.period, new.period), updated_at = new.updated_at""")
INCREMENT_SQLITE = sa.text("""
    INSERT INTO rate_limits (client, period, hits, updated_at)
    VALUES (:client, :period, :amount, :now)
    ON CONFLICT (client) DO UPDATE SET
        hits = iif(excluded.period > period, 0, hits) + :amount,
        period = max(period, excluded.period), updated_at = excluded.updated_at
    RETURNING hits""")


def init_app(app: Flask, settings: Settings) -> None:
    """Read the limits from the settings, and add the `RateLimit` headers to responses."""
    app.extensions["rate_limits"] = {
        "create": settings.rate_limit_create,
        "auth": settings.rate_limit_auth,
    }
    # One batcher for each client with running requests. Batching makes no client slower: requests
    # of one client would otherwise wait for the lock on its row.
    app.extensions["rate_limit_batchers"] = WeakValueDictionary()
    # The clients whose invalid writes have exceeded the limit in this process, with the time at
    # which their window ends.
    app.extensions["rate_limit_blocked"] = {}
    app.after_request(_add_headers)
    app.after_request(_count_invalid)  # runs first, because Flask runs them in reverse order


def count(name: str, client: str, amount: int = 1) -> None:
    """Count an action of a client, and raise an error if it exceeds the limit.

    :param name: the limit: "create" or "auth".
    :param client: a token's id, or an address.
    :param amount: how many actions to count at once.
    :raises TooManyRequests: the client has exceeded the limit of this window.
    """
    if reset := _count(name, client, amount):
        raise _exceeded(reset)


def check_writer(client: str) -> None:
    """Raise an error if a client's writes can't be read in this window.

    It does not use the database: each process knows only the invalid writes that it has counted.

    :param client: a token's id.
    :raises TooManyRequests: the client has sent too many writes with an invalid body.
    """
    reset = ceil(current_app.extensions["rate_limit_blocked"].get(client, 0) - time.time())
    if reset > 0:
        _set_headers("create", 0, reset)
        raise _exceeded(reset)


def _count(name: str, client: str, amount: int) -> int:
    """Return the seconds until the window ends if the client has exceeded the limit, else 0."""
    limit: RateLimit = current_app.extensions["rate_limits"][name]
    now = time.time()
    elapsed = int(now % limit.seconds)
    # The start of the window as a time, and not a window number, which would jump when the setting
    # changes.
    period = int(now) - elapsed
    reset = limit.seconds - elapsed
    client = f"{name}:{client}"
    new = Batcher("rate_limit", partial(_increment_for_all, database(), client))
    batcher = current_app.extensions["rate_limit_batchers"].setdefault(client, new)
    hits = batcher((period, amount))
    if random() < SWEEP_PROBABILITY:  # noqa: S311 no secret depends on it
        database().sweep(RATE_LIMITS.c.updated_at, TTL)
    _set_headers(name, max(limit.count - hits, 0), reset)
    return reset if hits > limit.count else 0


def _exceeded(reset: int) -> TooManyRequests:
    return TooManyRequests(
        f"The rate limit is exceeded. Try again in {reset} s.", retry_after=reset
    )


def _set_headers(name: str, left: int, reset: int) -> None:
    limit: RateLimit = current_app.extensions["rate_limits"][name]
    g.rate_limit = {
        "RateLimit-Policy": f'"{name}";q={limit.count};w={limit.seconds}',
        "RateLimit": f'"{name}";r={left};t={reset}',
    }


def _increment_for_all(
    database: Database, client: str, given: Sequence[tuple[int, int]]
) -> list[int]:
    """Count many requests of a client in one statement, and return the count after each of them.

    :param given: a period and an amount for each request.
    """
    periods, amounts = zip(*given, strict=True)
    total = sum(amounts)
    with database.autocommit.connect() as connection:
        hits = retry(lambda: increment(connection, client, max(periods), total))
    return [hits - total + amount for amount in accumulate(amounts)]


def increment(connection: sa.Connection, client: str, period: int, amount: int) -> int:
    """Add to a client's counter and return its new value.

    This is one statement (an upsert), so no two requests get the same value. If the clock of a
    replica is behind and its period is older, its requests count in the newest period.
    """
    values = {"client": client, "period": period, "amount": amount, "now": datetime.now(UTC)}
    if connection.dialect.name == "mysql":
        return int(connection.execute(INCREMENT_MYSQL, values).lastrowid)
    return int(connection.execute(INCREMENT_SQLITE, values).scalar_one())


def _count_invalid(response: Response) -> Response:
    """Count a write with an invalid body as creations. The response stays the same.

    Otherwise a client could make the service check large bodies without a limit.
    """
    is_counted = "rate_limit" in g or "token" not in g
    if response.status_code not in INVALID or request.method in {"GET", "HEAD"} or is_counted:
        return response
    limit = request.max_content_length or 0
    size = limit if request.content_length is None else min(request.content_length, limit)
    with suppress(*UNAVAILABLE):
        client = str(g.token.id)
        if reset := _count("create", client, max(ceil(size / INVALID_SIZE), 1)):
            now = time.time()
            blocked = current_app.extensions["rate_limit_blocked"].items()
            current_app.extensions["rate_limit_blocked"] = {
                **{other: end for other, end in blocked if end > now},
                client: now + reset,
            }
    return response


def _add_headers(response: Response) -> Response:
    """Add the headers of draft-ietf-httpapi-ratelimit-headers-10 if the request was counted."""
    if "rate_limit" in g:
        response.headers.extend(g.rate_limit)
    return response
