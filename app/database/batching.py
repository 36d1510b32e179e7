"""Leader/follower batching: many requests share one round trip to the database.

The first caller is the leader: it runs the work. Callers that arrive meanwhile form the next batch,
which runs when this one has finished. So a request that comes alone never waits, and under load
most requests share a statement or a commit.
"""

import _thread
import contextvars
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gevent import Timeout, idle, monkey, spawn_raw
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database.deadline import Budget, budget, charge_time, time_left
from app.telemetry import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    _Waiting = tuple[Any, Callable[[Any], object], SpanContext | None]

T = TypeVar("T")
R = TypeVar("R")

BATCH_LIMIT = 1000  # items
YIELD_LIMIT = 0.05  # seconds to wait for idleness: an overloaded process is never idle


def yield_to_other_requests() -> None:
    """Let other greenlets run until none has anything to do, so that they can join the next batch.

    It takes at most YIELD_LIMIT. Without gevent's monkey patch it returns immediately: each thread
    has a loop of its own, which has nothing to do.
    """
    with Timeout(YIELD_LIMIT, False):
        idle()


def run_in_background(work: Callable[[], None]) -> None:
    """Run `work` in a new greenlet, or in a new thread without gevent's monkey patch.

    `work` has an empty context (contextvars), since it can outlive the request that started it.
    This function never waits, so a callback of gevent's loop may call it.
    """
    if monkey.is_module_patched("threading"):
        spawn_raw(work)
    else:  # not `Thread.start`, which waits until the thread runs
        contextvars.Context().run(_thread.start_new_thread, work, ())


class Batcher(Generic[T, R]):
    """Collects the items of concurrent callers, and runs `work` once for each batch of them.

    Any greenlet may use it; without gevent's monkey patch, any thread. A callback of gevent's loop
    may only call `submit`, because a call of the batcher itself waits.

    :param name: the name of the span of a shared batch.
    :param work: takes items in the order of arrival, and returns one result for each. It runs in
        the context of any one of the requests or in none, so it must not use Flask's context. If
        it raises an error, all callers of the batch get it.
    """

    def __init__(self, name: str, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._name = name
        self._work = work
        self._waiting: deque[_Waiting] = deque()  # tuples cost less than objects of a class
        # The leader holds this lock. If it hands over to a background greenlet or thread, that one
        # releases the lock.
        self._leadership = threading.Lock()
        self._last_was_shared = False

    def __call__(self, item: T, within: float = math.inf) -> R:
        """Submit an item, wait for its result, and return it.

        `work` starts only after the item is submitted, so its result is never stale.

        :param within: seconds to wait for others. If the caller leads, it does the work anyway.
        :raises sqlalchemy.exc.TimeoutError: the wait or the request's time budget ended first. The
            work may still be done.
        :raises Exception: any error of `work`.
        """
        outcomes: SimpleQueue[R | BaseException] = SimpleQueue()
        with charge_time():
            if self._enqueue(item, outcomes.put) and self._lead():
                self._lead_in_background()
            try:
                outcome = outcomes.get(timeout=max(min(within, time_left()), 0))
            except Empty:
                raise PoolTimeoutError("Timed out waiting for a shared batch.") from None
        if isinstance(outcome, BaseException):
            # All callers of the batch raise this one object, and each would lengthen its traceback.
            raise outcome.with_traceback(None)
        return outcome

    def submit(self, item: T, resolve: Callable[[R | BaseException], object]) -> None:
        """Add an item and return immediately.

        :param resolve: called once, with the result or the error, in the leader's greenlet or
            thread. It must not wait or raise an error: other callers get their results after it.
        """
        if self._enqueue(item, resolve):
            self._lead_in_background()

    def _enqueue(self, item: T, resolve: Callable[[R | BaseException], object]) -> bool:
        """Add an item, and return whether the caller has become the leader."""
        self._waiting.append((item, resolve, tracing.current_span_context()))
        # Nearly always there is a leader, and `locked` costs less than an `acquire` that fails. The
        # item can't be missed: a leader looks for new items after it has released the lock.
        return not self._leadership.locked() and self._leadership.acquire(blocking=False)

    def _lead(self) -> bool:
        """Work on one batch, and return whether the caller must also lead the next one."""
        try:
            # Clients that were just answered send their next requests now. Without a pause, these
            # would always be too late for this batch: two groups of clients would take turns, in
            # batches of half the size. Skip the pause if it would leave too little time for work.
            if self._last_was_shared and time_left() > 2 * YIELD_LIMIT:
                yield_to_other_requests()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_LIMIT))]
            self._last_was_shared = len(batch) > 1
            if batch:
                self._work_on(batch)
        finally:
            self._leadership.release()
        return bool(self._waiting) and self._leadership.acquire(blocking=False)

    def _work_on(self, batch: "list[_Waiting]") -> None:
        # The work belongs to the trace of the leader's request. If that request is not traced, or
        # if the leader runs in the background, it belongs to the trace of the first traced request.
        own = tracing.current_span_context()
        span = (
            nullcontext()
            if own
            else tracing.batch_span(self._name, (trace for _, _, trace in batch))
        )
        outcomes: Sequence[R | BaseException]
        try:
            with span:
                outcomes = self._work([item for item, _, _ in batch])
        except BaseException as error:  # noqa: BLE001 no caller may be left without an outcome
            outcomes = [error] * len(batch)
        for (_, resolve, _), outcome in zip(batch, outcomes, strict=True):
            resolve(outcome)

    def _lead_in_background(self) -> None:
        try:
            run_in_background(self._lead_while_needed)
        except BaseException:  # no thread can be started
            self._leadership.release()
            raise

    def _lead_while_needed(self) -> None:
        while True:
            budget.set(Budget())  # each batch has the time of one request
            if not self._lead():
                return
