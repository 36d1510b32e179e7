"""Many requests' work in one round trip to the database.

Who comes first does it. While that is under way others gather, and the next of them does it for
all. So a lone request waits for nobody, and under load most share a statement, or a commit.
"""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from gevent import Timeout, idle
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database import connecting, time_left

T = TypeVar("T")
R = TypeVar("R")

GATHER = 0.05  # seconds, or a little more: with more to do than it can, a process is never idle


def gather() -> None:
    """Wait until there is nothing else to do, so that more requests come to share the next work.

    For after shared work, when others have just been answered. Without gevent's loop, as in a
    thread, it does not wait.
    """
    with Timeout(GATHER, False):
        idle()


class _Batch(Generic[T, R]):
    def __init__(self) -> None:
        self.items: list[T] = []
        self.results: Sequence[R] = ()
        self.error: BaseException | None = None
        # One for each caller: that it has to work for all, or that it is done.
        self.leads: SimpleQueue[bool] = SimpleQueue()


class Coalescer(Generic[T, R]):
    """Does its work for all callers that wait.

    :param work: takes what the callers gave, in the order in which they came, and returns a
        result for each. It runs in one caller's context. What it raises, all of them raise.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._work = work
        self._gathering = threading.Lock()
        self._next: _Batch[T, R] = _Batch()
        self._led = False  # somebody works, or was told to
        self._shared = False  # the last batch had more than one caller

    def __call__(self, item: T) -> R:
        """Return the result of work that began after this call.

        :raises sqlalchemy.exc.TimeoutError: there was none in the time that the request has left.
        """
        with self._gathering:
            batch = self._next
            place = len(batch.items)
            batch.items.append(item)
            if not self._led:
                self._led = True
                batch.leads.put(True)
        with connecting():
            try:
                leads = batch.leads.get(timeout=max(time_left(), 0))
            except Empty:
                raise PoolTimeoutError("The work of other requests takes too long.") from None
            if leads:
                self._lead(batch)
        if batch.error:
            # It is raised by many, each of which would add to its trace.
            raise batch.error.with_traceback(None)
        return batch.results[place]

    def _lead(self, batch: _Batch[T, R]) -> None:
        if self._shared and time_left() > 2 * GATHER:  # some is for the work
            gather()
        with self._gathering:
            self._next = _Batch()
        self._shared = len(batch.items) > 1
        try:
            batch.results = self._work(batch.items)
        except BaseException as error:  # noqa: BLE001 whatever it is, nobody may go without a result
            batch.error = error
        with self._gathering:
            self._led = bool(self._next.items)
            if self._led:
                self._next.leads.put(True)
        for _ in batch.items[1:]:
            batch.leads.put(False)
