"""A first-come-first-served queue for SQLAlchemy's connection pool."""

import queue
from collections import deque
from typing import Any

from sqlalchemy.util.queue import Empty, Full, Queue


class FairQueue(Queue[Any]):
    """Hands a returned connection to the caller that has waited longest.

    SQLAlchemy's own queue only wakes that caller. With gevent, the greenlet that returned the
    connection runs on first, and its next request takes the connection again: under load, some
    callers would wait until they time out. It relies on private parts of that queue.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: deque[queue.SimpleQueue[Any]] = deque()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return an item.

        :param timeout: seconds, or None to wait without a limit.
        :raises Empty: there was none in time.
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
            return mine.get()  # it arrived in this moment

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 SQLAlchemy's signature
        """Hand an item to the caller that has waited longest, or keep it for the next one.

        :raises Full: nobody waits, and there is no room.
        """
        with self.mutex:
            if self.waiting:
                self.waiting.popleft().put(item)
            elif self._full():
                raise Full
            else:
                self._put(item)
