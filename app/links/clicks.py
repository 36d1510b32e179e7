"""Redirects resolved and clicks counted, many requests at once.

Each worker process has one thread that does both. It takes all requests that wait, looks their
links up in one statement, adds their clicks in one more, and wakes them when that is committed:
what was answered is counted. While it commits, the next batch gathers. So many requests share
one commit, and a lone one waits for nobody.
"""

import _thread
import contextvars
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import NamedTuple

import structlog
from flask import Flask, current_app
from prometheus_client import Histogram
from sqlalchemy import Connection, Engine, bindparam, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as DatabaseTimeoutError

from app import metrics, tracing
from app.coalesce import gather
from app.database import add_up, is_conflict
from app.links.tables import HOURS, LINKS

ANSWER_WITHIN = 1.7  # seconds that a request waits for its batch, and a little more
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
LOOK_UP = select(LINKS.c.lookup_key, LINKS.c.id, LINKS.c.url, LINKS.c.expires_at).where(
    LINKS.c.lookup_key.in_(bindparam("keys", expanding=True))
)


log = structlog.get_logger()


class Target(NamedTuple):
    """What a redirect needs of a link."""

    id: int
    url: str
    expired: bool


Outcome = Target | None | Exception
"""What a key was resolved to, None if it is unknown; or why that could not be done."""


class Waiting:
    """One request that waits for its batch."""

    __slots__ = ("counts", "done", "key", "since", "trace")

    def __init__(self, key: str, done: Callable[[Outcome], object], *, counts: bool) -> None:
        self.key = key
        self.counts = counts
        self.since = time.monotonic()
        self.trace = tracing.here()
        self.done = [done]  # empty when it was called

    def end(self, outcome: Outcome) -> None:
        """Tell the outcome, unless there was one before."""
        try:
            done = self.done.pop()  # in one step, since two threads can come here
        except IndexError:
            return
        try:
            done(outcome)
        except Exception:
            log.exception("A request was resolved and not answered.")


class Batcher:
    """What resolves and counts in this process, and its queue."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: SimpleQueue[Waiting] = SimpleQueue()
        self._submitted: deque[Waiting] = deque()  # the oldest first; some have their outcome
        self._starting = threading.Lock()
        self._started = False

    def resolve(self, key: str, *, counts: bool) -> Target | None:
        """Return where a lookup key leads, after its click was committed if it `counts`.

        Unknown keys give None. A click on an expired link is not counted.

        :raises sqlalchemy.exc.SQLAlchemyError: the database is away. The click may have been
            counted all the same.
        """
        outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self.submit(key, outcomes.put, counts=counts)
        outcome = outcomes.get()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def submit(self, key: str, done: Callable[[Outcome], object], *, counts: bool) -> None:
        """Begin to resolve a key.

        :param done: is called once, with what `resolve` would return or raise, by a thread that
            has more to do: it must neither wait nor fail.
        """
        self._start()
        waiting = Waiting(key, done, counts=counts)
        self._submitted.append(waiting)
        self._queue.put(waiting)

    def _start(self) -> None:
        # At the first request and not before: threads would not survive gunicorn's fork.
        if self._started:
            return
        with self._starting:
            if not self._started:
                for work in (self._run, self._watch):
                    # Not `Thread.start`, which waits. And in no context: with gevent they would
                    # have the first request's for ever.
                    contextvars.Context().run(_thread.start_new_thread, work, ())
                self._started = True

    def _run(self) -> None:
        while True:
            batch = [waiting for waiting in self._gather() if waiting.done]
            if not batch:
                continue
            BATCH_SIZE.observe(len(batch))
            targets: dict[str, Target] = {}
            failed: Exception | None = None
            try:
                with tracing.batch("clicks", (w.trace for w in batch)), COMMIT_SECONDS.time():
                    targets = self._commit(batch)
            except Exception as error:  # noqa: BLE001 whatever it is, the waiting must hear of it
                failed = error
            for waiting in batch:
                waiting.end(failed or targets.get(waiting.key))
            if len(batch) > 1:
                # Else who was just answered would come too late for the next batch, for ever.
                gather()

    def _watch(self) -> None:
        """Give up for those that have waited too long."""
        while True:
            time.sleep(ANSWER_WITHIN / 20)
            overdue = time.monotonic() - ANSWER_WITHIN
            while self._submitted:
                first = self._submitted[0]
                if first.done and first.since > overdue:
                    break
                self._submitted.popleft()
                first.end(DatabaseTimeoutError("The batch did not come back in time."))

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
    now = datetime.now(UTC)
    return {
        row.lookup_key: Target(row.id, row.url, bool(row.expires_at and row.expires_at <= now))
        for row in connection.execute(LOOK_UP, {"keys": list(keys)})
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
        add_up(connection, HOURS, counted, hour)


def init_app(app: Flask) -> None:
    """Give the app its batcher; its thread starts with the first request."""
    app.extensions["clicks"] = Batcher(app.extensions["database"].reader)


def batcher() -> Batcher:
    """Return the current app's batcher."""
    found: Batcher = current_app.extensions["clicks"]
    return found
