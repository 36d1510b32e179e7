"""The queue of a pool of connections, in which nobody is passed by who came later."""

import queue
from collections import deque
from typing import Any

from sqlalchemy.util.queue import Empty, Full, Queue


class FairQueue(Queue[Any]):
    """SQLAlchemy's, that gives what comes back to who has waited longest.

    SQLAlchemy's only wakes that one. With gevent the greenlet that gave a connection back goes on
    first, and its next request takes it again: under load some would wait until they time out.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: deque[queue.SimpleQueue[Any]] = deque()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return an item.

        :param timeout: seconds, or None for ever.
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
            return mine.get()  # it came just now

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 SQLAlchemy's form
        """Give an item to who has waited longest, or keep it for the next.

        :raises Full: nobody waits, and there is no room.
        """
        with self.mutex:
            if self.waiting:
                self.waiting.popleft().put(item)
            elif self._full():
                raise Full
            else:
                self._put(item)
