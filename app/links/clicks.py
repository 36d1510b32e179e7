"""Redirects resolved and clicks counted, many requests at once.

Each worker process has one thread that does both. It takes all requests that wait, looks their
links up in one statement, adds their clicks in one more, and wakes them when that is committed:
what was answered is counted. While it commits, the next batch gathers. So many requests share
one commit, and a lone one waits for nobody.
"""

import contextvars
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import NamedTuple, cast

from flask import Flask, current_app
from prometheus_client import Histogram
from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as DatabaseTimeoutError

from app import metrics, tracing
from app.database import add_up, is_conflict
from app.links.models import Link, LinkClicks

ANSWER_WITHIN = 1.8  # seconds that a request waits for its batch
BATCH_LIMIT = 1000  # requests
RETRY = 0.5  # seconds: after a deadlock, but not after a lock wait, since all others wait behind it

BATCH_SIZE = Histogram(
    "slipway_click_batch_size",
    "Requests that were resolved and counted together.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
COMMIT_SECONDS = Histogram(
    "slipway_click_commit_seconds",
    "Time to look up, count and commit one batch.",
    buckets=metrics.SECONDS,
)


class Target(NamedTuple):
    """What a redirect needs of a link."""

    id: int
    url: str
    expired: bool


class Waiting:
    """One request that waits for its batch."""

    __slots__ = ("answer", "counts", "done", "error", "given_up", "key", "trace")

    def __init__(self, key: str, *, counts: bool) -> None:
        self.key = key
        self.counts = counts
        self.trace = tracing.here()
        self.answer: Target | None = None
        self.error: Exception | None = None
        self.given_up = False
        # A bare lock, held until there is an answer: the cheapest thing to wait for.
        self.done = threading.Lock()
        self.done.acquire()


class Batcher:
    """The one thread of this process that resolves and counts, and its queue."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: SimpleQueue[Waiting] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def resolve(self, key: str, *, counts: bool) -> Target | None:
        """Return where a lookup key leads, after its click was committed if it `counts`.

        Unknown keys give None. A click on an expired link is not counted.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away. The click may have been
            counted all the same.
        """
        self._start()
        waiting = Waiting(key, counts=counts)
        self._queue.put(waiting)
        if not waiting.done.acquire(timeout=ANSWER_WITHIN):
            waiting.given_up = True
            raise DatabaseTimeoutError("The batch did not come back in time.")
        if waiting.error:
            raise waiting.error
        return waiting.answer

    def _start(self) -> None:
        # At the first request and not before: a thread would not survive gunicorn's fork.
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="clicks", daemon=True)
                    # In no context: with gevent it would have the first request's for ever.
                    contextvars.Context().run(self._thread.start)

    def _run(self) -> None:
        while True:
            batch = [waiting for waiting in self._gather() if not waiting.given_up]
            BATCH_SIZE.observe(len(batch))
            try:
                with tracing.batch("clicks", (w.trace for w in batch)), COMMIT_SECONDS.time():
                    targets = self._commit(batch)
                for waiting in batch:
                    waiting.answer = targets.get(waiting.key)
            except Exception as error:  # noqa: BLE001 whatever it is, the waiting must hear of it
                for waiting in batch:
                    waiting.error = error
            for waiting in batch:
                waiting.done.release()

    def _gather(self) -> list[Waiting]:
        """Wait for one request, and take all others that wait."""
        batch = [self._queue.get()]
        try:
            while len(batch) < BATCH_LIMIT:
                batch.append(self._queue.get_nowait())
        except Empty:
            pass
        return batch

    def _commit(self, batch: list[Waiting]) -> dict[str, Target]:
        """Resolve and count a batch, again if another transaction was in its way."""
        deadline = time.monotonic() + RETRY
        while True:
            try:
                with self._engine.connect() as connection:
                    targets = _look_up(connection, {w.key for w in batch})
                    _count(connection, Counter(w.key for w in batch if w.counts), targets)
                    return targets
            except (IntegrityError, OperationalError) as error:
                # IntegrityError: a link was deleted between the two statements.
                again = isinstance(error, IntegrityError) or is_conflict(error)
                if not again or time.monotonic() > deadline:
                    raise


def _look_up(connection: Connection, keys: set[str]) -> dict[str, Target]:
    columns = (Link.lookup_key, Link.id, Link.url, Link.expires_at)
    now = datetime.now(UTC)
    return {
        row.lookup_key: Target(row.id, row.url, bool(row.expires_at and row.expires_at <= now))
        for row in connection.execute(select(*columns).where(Link.lookup_key.in_(keys)))
    }


def _count(connection: Connection, clicks: Counter[str], targets: dict[str, Target]) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    # In the order of the key, so that two workers' batches can't wait for each other.
    counted = {
        target.id: clicks[key]
        for key, target in sorted(targets.items(), key=lambda item: item[1].id)
        if clicks[key] and not target.expired
    }
    if counted:
        add_up(connection, cast(Table, LinkClicks.__table__), counted, hour)


def init_app(app: Flask) -> None:
    """Give the app its batcher; its thread starts with the first request."""
    app.extensions["clicks"] = Batcher(app.extensions["database"].reader)


def batcher() -> Batcher:
    """Return the current app's batcher."""
    found: Batcher = current_app.extensions["clicks"]
    return found
