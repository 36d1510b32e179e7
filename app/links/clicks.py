"""Resolve redirects and count their clicks, many requests per commit (leader/follower batching).

Each worker process has one batcher for both. The batcher takes all waiting requests, looks up their
links in one statement, and upserts their clicks in a second one of the same packet. It answers the
requests after that is committed, so every redirect that a client receives is counted. While one
batch commits, the next one forms. Under load, many requests share one commit. A request that comes
alone does not wait.

If another transaction has locked rows, only clicks on the links of these rows wait. A first batch
runs into the lock. From then on, clicks on these links go to a second batcher, which skips locked
rows and tries again until the rows are free.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from queue import SimpleQueue

import structlog
from flask import Flask, current_app
from prometheus_client import Histogram
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as DatabaseTimeoutError

from app.database import Database
from app.database.batching import BATCH_LIMIT, Batcher, run_in_background
from app.database.errors import is_conflict, is_orphan
from app.database.kept_connection import KeptConnection
from app.links.click_counts import (
    Target,
    count_clicks,
    find_and_count,
    find_targets,
    lock_free_rows,
)
from app.telemetry import metrics

ANSWER_WITHIN = 1.7  # seconds that a request waits for its batch, or slightly more
# Seconds from the start of a batch in which it can be retried, if a link was deleted meanwhile.
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
log = structlog.get_logger()


class Later(Enum):
    """LATER: the request waits for a locked row, and gets its outcome later."""

    LATER = auto()


LATER = Later.LATER
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

    def resolve(self, outcome: Outcome | Later) -> None:
        """Report the outcome, unless one was already reported, or it comes later."""
        if outcome is LATER:
            return
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

    def __init__(self, database: Database) -> None:
        self._database = database
        self._packets = KeptConnection(database.packets)
        self._batcher = Batcher("clicks", self._resolve_all)
        self._locked_batcher = Batcher("locked clicks", self._resolve_free)
        self._locked_keys: set[str] = set()  # until a click on the link is counted
        self._locked: deque[PendingRequest] = deque()  # `_watch` tries them again
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
        """Try again to count clicks on locked rows, and fail requests that have waited too long."""
        while True:
            time.sleep(ANSWER_WITHIN / 20)
            self._packets.release()
            for _ in range(len(self._locked)):
                again = self._locked.popleft()
                self._locked_batcher.submit(again, again.resolve)
            overdue = time.monotonic() - ANSWER_WITHIN
            while self._submitted:
                first = self._submitted[0]
                if first.on_outcome and first.since > overdue:
                    break
                self._submitted.popleft()
                first.resolve(DatabaseTimeoutError("The batch did not finish in time."))

    def _resolve_all(self, batch: Sequence[PendingRequest]) -> list[Outcome | Later]:
        pending = [request for request in batch if request.on_outcome]
        locked = {r for r in pending if r.counts and r.key in self._locked_keys}
        for request in locked:
            self._locked_batcher.submit(request, request.resolve)
        outcomes: dict[PendingRequest, Outcome | Later] = dict.fromkeys(locked, LATER)
        if pending := [request for request in pending if request not in locked]:
            BATCH_SIZE.observe(len(pending))
            with COMMIT_SECONDS.time():
                outcomes |= self._find_and_count(pending)
        return [outcomes.get(request) for request in batch]

    def _find_and_count(
        self, pending: list[PendingRequest]
    ) -> Mapping[PendingRequest, Outcome | Later]:
        """Resolve and count a batch; after a conflict, only clicks on rows that are free."""
        deadline = time.monotonic() + RETRY_WITHIN
        while True:
            try:
                with self._packets.use() as connection:
                    keys = {request.key for request in pending}
                    targets = find_and_count(connection, keys, _clicks(pending))
                    return {request: targets.get(request.key) for request in pending}
            except IntegrityError as error:  # a link was deleted between the two statements
                if not is_orphan(error) or time.monotonic() > deadline:
                    raise
            except OperationalError as error:
                if not is_conflict(error):
                    raise
                return self._find_and_count_free(pending)

    def _resolve_free(self, batch: Sequence[PendingRequest]) -> list[Outcome | Later]:
        pending = [request for request in batch if request.on_outcome]
        outcomes = self._find_and_count_free(pending) if pending else {}
        return [outcomes.get(request) for request in batch]

    def _find_and_count_free(
        self, pending: list[PendingRequest]
    ) -> Mapping[PendingRequest, Outcome | Later]:
        """Resolve and count a batch, apart from clicks on locked rows: those get LATER.

        A batch of another worker can also have locked the rows, for milliseconds.
        """
        targets: dict[str, Target] = {}
        try:
            with self._database.transactional.begin() as connection:
                targets = find_targets(connection, {request.key for request in pending})
                free = lock_free_rows(connection, targets.values())
                later = {
                    request
                    for request in pending
                    if request.counts
                    and (target := targets.get(request.key))
                    and target.is_live
                    and target.id not in free
                }
                counted = [request for request in pending if request not in later]
                count_clicks(connection, _clicks(counted), targets)
        except OperationalError as error:
            if not is_conflict(error):
                raise
            later = set(pending)
        self._locked_keys -= {request.key for request in pending}
        self._locked_keys |= {request.key for request in later}
        self._locked += later
        return {r: LATER if r in later else targets.get(r.key) for r in pending}


def _clicks(pending: Iterable[PendingRequest]) -> Counter[str]:
    return Counter(request.key for request in pending if request.counts)


def init_app(app: Flask) -> None:
    """Create the app's resolver."""
    app.extensions["clicks"] = Resolver(app.extensions["database"])


def resolver() -> Resolver:
    """Return the current app's resolver."""
    found: Resolver = current_app.extensions["clicks"]
    return found
