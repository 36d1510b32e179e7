"""Leader/follower batching: many requests share one round trip to the database.

The first caller leads: it runs the work. Callers that arrive meanwhile form the next batch. So a
lone request waits for nobody, and under load most requests share a statement, or a commit.
"""

import _thread
import contextvars
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
YIELD_LIMIT = 0.05  # seconds, since an overloaded process is never idle


def yield_to_other_requests() -> None:
    """Wait until the process has nothing else to do, so that more requests join the next batch.

    Under gevent only. A thread does not wait.
    """
    with Timeout(YIELD_LIMIT, False):
        idle()


def run_in_background(work: Callable[[], None]) -> None:
    """Run `work` in a greenlet or thread of its own, in no context: it may outlive the request."""
    if monkey.is_module_patched("threading"):
        spawn_raw(work)
    else:  # not `Thread.start`, which waits
        contextvars.Context().run(_thread.start_new_thread, work, ())


class Batcher(Generic[T, R]):
    """Runs its work for all callers that wait.

    Any greenlet may call it, without gevent any thread. A loop callback may only `submit`.

    :param name: of the span of work that is shared.
    :param work: takes items in the order in which they came, and returns a result for each. It
        runs in the context of a request or in none, so it must not use Flask's. If it raises, all
        callers get its error.
    """

    def __init__(self, name: str, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._name = name
        self._work = work
        self._waiting: deque[_Waiting] = deque()  # a tuple costs less than a class of its own
        self._leadership = threading.Lock()  # whoever holds it runs the work
        self._last_was_shared = False

    def __call__(self, item: T) -> R:
        """Return the result of work that began after this call.

        :raises sqlalchemy.exc.TimeoutError: there is none in the time that the request has left.
        """
        outcomes: SimpleQueue[R | BaseException] = SimpleQueue()
        with charge_time():
            if self._enqueue(item, outcomes.put) and self._lead():
                self._lead_in_background()
            try:
                outcome = outcomes.get(timeout=max(time_left(), 0))
            except Empty:
                raise PoolTimeoutError("The work of other requests takes too long.") from None
        if isinstance(outcome, BaseException):
            # Many callers raise it, and each would add to its trace.
            raise outcome.with_traceback(None)
        return outcome

    def submit(self, item: T, resolve: Callable[[R | BaseException], object]) -> None:
        """Begin to work on an item, without waiting.

        :param resolve: is called once, with the result or the error, by a thread or greenlet that
            has more to do: it must neither wait nor fail.
        """
        if self._enqueue(item, resolve):
            self._lead_in_background()

    def _enqueue(self, item: T, resolve: Callable[[R | BaseException], object]) -> bool:
        """Add an item, and return whether the caller has become the leader."""
        self._waiting.append((item, resolve, tracing.current_span_context()))
        # `locked` costs less. A leader that gives up leadership looks for items afterwards.
        return not self._leadership.locked() and self._leadership.acquire(blocking=False)

    def _lead(self) -> bool:
        """Work on one batch, and return whether the caller must go on leading."""
        try:
            # Requests that were just answered would otherwise come too late for the next batch, for
            # ever. The work itself needs time, too.
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
        # In the trace of the leader's request, or in that of the first one if none leads.
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
