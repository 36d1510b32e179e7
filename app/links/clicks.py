"""Resolve redirects and count their clicks, many requests per commit (leader/follower batching).

Each worker process has one batcher for both. The batcher takes all waiting requests, looks up their
links in one statement, and upserts their clicks in a second one. It answers the requests after that
is committed, so every redirect that a client receives is counted. While one batch commits, the next
one forms. Under load, many requests share one commit. A request that comes alone does not wait.
"""

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from queue import SimpleQueue
from typing import NamedTuple

import structlog
from flask import Flask, current_app
from prometheus_client import Histogram
from sqlalchemy import Connection, Engine, TextClause, bindparam, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as DatabaseTimeoutError

from app.database.batching import BATCH_LIMIT, Batcher, run_in_background
from app.database.errors import is_conflict
from app.links.tables import LINK_CLICKS, LINKS
from app.telemetry import metrics

ANSWER_WITHIN = 1.7  # seconds that a request waits for its batch, or slightly more
# Seconds from the start of a batch in which it can be retried. After a deadlock, that is enough. A
# lock wait time-out takes longer (1 s) and is not retried, since all other requests wait meanwhile.
RETRY_WITHIN = 0.5

BATCH_SIZE = Histogram(
    "slipway_click_batch_size",
    "Requests that one batch resolved and counted together.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, BATCH_LIMIT),
)
COMMIT_SECONDS = Histogram(
    "slipway_click_commit_seconds",
    "Time to look up, count and commit one batch, in seconds.",
    buckets=metrics.SECONDS,
)
FIND_TARGETS = select(LINKS.c.lookup_key, LINKS.c.id, LINKS.c.url, LINKS.c.expires_at).where(
    LINKS.c.lookup_key.in_(bindparam("keys", expanding=True))
)

log = structlog.get_logger()


class Target(NamedTuple):
    """The part of a link that a redirect needs."""

    id: int
    url: str
    expired: bool


Outcome = Target | None | BaseException
"""The target of a lookup key, None if no link has it, or the exception that the lookup raised."""


class PendingRequest:
    """A request that is waiting for its batch."""

    __slots__ = ("counts", "key", "on_outcome", "since")

    def __init__(self, key: str, on_outcome: Callable[[Outcome], object], *, counts: bool) -> None:
        self.key = key
        self.counts = counts
        self.since = time.monotonic()
        self.on_outcome = [on_outcome]  # emptied by the call, so that it is called only once

    def resolve(self, outcome: Outcome) -> None:
        """Report the outcome, unless one was already reported."""
        try:
            on_outcome = self.on_outcome.pop()  # atomic: two threads can get here
        except IndexError:
            return
        try:
            on_outcome(outcome)
        except Exception:
            log.exception("A redirect was resolved, but the response could not be sent.")


class Resolver:
    """Resolves codes and counts clicks.

    Any greenlet may call it; without gevent's monkey patch, any thread. A callback of gevent's loop
    must not wait, so it may call only `submit`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batcher = Batcher("clicks", self._resolve_all)
        self._submitted: deque[PendingRequest] = deque()  # oldest first; some are resolved already
        self._is_watching = False

    def resolve(self, key: str, *, counts: bool) -> Target | None:
        """Return the target of a lookup key, or None if no link has it.

        :param counts: also count a click, and return only after it is committed. A click on an
            expired link is not counted.
        :raises sqlalchemy.exc.SQLAlchemyError: the database is unavailable. The click may have
            been counted anyway.
        """
        outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self.submit(key, outcomes.put, counts=counts)
        outcome = outcomes.get()
        if isinstance(outcome, BaseException):
            raise outcome.with_traceback(None)  # many requests raise it
        return outcome

    def submit(self, key: str, on_outcome: Callable[[Outcome], object], *, counts: bool) -> None:
        """Start to resolve a lookup key, without waiting.

        :param on_outcome: called once with what `resolve` would return or raise. It runs in a
            thread that has other work to do, so it must neither block nor raise an exception.
        """
        if not self._is_watching:  # not in __init__: threads do not survive gunicorn's fork
            self._is_watching = True
            run_in_background(self._watch)
        pending = PendingRequest(key, on_outcome, counts=counts)
        self._submitted.append(pending)
        self._batcher.submit(pending, pending.resolve)

    def _watch(self) -> None:
        """Fail requests that have waited too long for their batch."""
        while True:
            time.sleep(ANSWER_WITHIN / 20)
            overdue = time.monotonic() - ANSWER_WITHIN
            while self._submitted:
                first = self._submitted[0]
                if first.on_outcome and first.since > overdue:
                    break
                self._submitted.popleft()
                first.resolve(DatabaseTimeoutError("The batch did not finish in time."))

    def _resolve_all(self, batch: Sequence[PendingRequest]) -> list[Outcome]:
        pending = [request for request in batch if request.on_outcome]
        targets: dict[str, Target] = {}
        if pending:
            BATCH_SIZE.observe(len(pending))
            with COMMIT_SECONDS.time():
                targets = self._find_and_count(pending)
        return [targets.get(request.key) for request in batch]

    def _find_and_count(self, pending: list[PendingRequest]) -> dict[str, Target]:
        """Resolve and count a batch; retry if it conflicts with another transaction."""
        deadline = time.monotonic() + RETRY_WITHIN
        while True:
            try:
                with self._engine.connect() as connection:
                    targets = _find_targets(connection, {request.key for request in pending})
                    clicks = Counter(request.key for request in pending if request.counts)
                    _count_clicks(connection, clicks, targets)
                    return targets
            except (IntegrityError, OperationalError) as error:
                # IntegrityError: a link was deleted between the two statements.
                again = isinstance(error, IntegrityError) or is_conflict(error)
                if not again or time.monotonic() > deadline:
                    raise


def _find_targets(connection: Connection, keys: set[str]) -> dict[str, Target]:
    now = datetime.now(UTC)
    return {
        row.lookup_key: Target(row.id, row.url, bool(row.expires_at and row.expires_at <= now))
        for row in connection.execute(FIND_TARGETS, {"keys": list(keys)})
    }


def _count_clicks(connection: Connection, clicks: Counter[str], targets: dict[str, Target]) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    # In the order of the primary key, so that the batches of two workers can't deadlock.
    counts = {
        target.id: clicks[key]
        for key, target in sorted(targets.items(), key=lambda item: item[1].id)
        if clicks[key] and not target.expired
    }
    if counts:
        upsert_counts(connection, hour, counts)


def upsert_counts(connection: Connection, hour: datetime, counts: Mapping[int, int]) -> None:
    """Add clicks to the rows of links for an hour, and insert rows that are missing (an upsert).

    The rows are passed as one JSON value. So the statement has the same text for any number of
    rows, and SQLAlchemy compiles it only once.

    :param counts: clicks by the link's id.
    """
    values = {"rows": json.dumps(list(counts.items())), "hour": hour}
    connection.execute(_upsert(connection.dialect.name), values)


@cache
def _upsert(dialect: str) -> TextClause:
    if dialect == "mysql":
        statement = """
            INSERT INTO link_clicks (link_id, hour, clicks)
            SELECT * FROM (
                SELECT link_id, :hour, clicks FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
                    link_id BIGINT PATH '$[0]', clicks BIGINT PATH '$[1]')) AS given
            ) AS new (link_id, hour, clicks)
            ON DUPLICATE KEY UPDATE clicks = link_clicks.clicks + new.clicks"""
    else:
        statement = """
            INSERT INTO link_clicks (link_id, hour, clicks)
            SELECT json_extract(value, '$[0]'), :hour, json_extract(value, '$[1]')
            FROM json_each(:rows) WHERE true
            ON CONFLICT DO UPDATE SET clicks = link_clicks.clicks + excluded.clicks"""
    return text(statement).bindparams(bindparam("hour", type_=LINK_CLICKS.c.hour.type))


def init_app(app: Flask) -> None:
    """Create the app's resolver."""
    app.extensions["clicks"] = Resolver(app.extensions["database"].autocommit)


def resolver() -> Resolver:
    """Return the current app's resolver."""
    found: Resolver = current_app.extensions["clicks"]
    return found
