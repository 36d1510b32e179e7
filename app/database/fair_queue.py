"""A first-come-first-served queue for SQLAlchemy's connection pool."""

import queue
from collections import deque
from typing import Any

from sqlalchemy.util.queue import Empty, Full, Queue


class FairQueue(Queue[Any]):
    """A queue that hands a returned connection directly to the caller that has waited longest.

    SQLAlchemy's own queue only wakes that caller. With gevent, the greenlet that returned the
    connection continues first, and its next request takes the connection again. Under load, some
    callers would then wait until they time out.

    Any thread or greenlet may use it. It relies on private names of SQLAlchemy's queue, which
    tests/unit/test_private_parts.py lists.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: deque[queue.SimpleQueue[Any]] = deque()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return an item, and wait for one if the queue is empty.

        :param block: False to raise the error immediately instead of waiting.
        :param timeout: seconds to wait, or None to wait without a limit.
        :raises sqlalchemy.util.queue.Empty: there was no item in time.
        """
        with self.mutex:
            if not self._empty():
                return self._get()
            if not block:
                raise Empty
            mine: queue.SimpleQueue[Any] = queue.SimpleQueue()
            self.waiting.append(mine)
        try:
            return mine.get(timeout=timeout)
        except queue.Empty:
            with self.mutex:
                if mine in self.waiting:
                    self.waiting.remove(mine)
                    raise Empty from None
            return mine.get()  # `put` chose this caller between its time-out and the lock

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 SQLAlchemy's signature
        """Hand an item to the caller that has waited longest, or store it if none waits.

        It never waits, so it ignores `block` and `timeout`.

        :raises sqlalchemy.util.queue.Full: no caller waits, and the queue is full.
        """
        with self.mutex:
            if self.waiting:
                self.waiting.popleft().put(item)
            elif self._full():
                raise Full
            else:
                self._put(item)
