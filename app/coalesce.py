"""Many requests' work in one round trip to the database.

Who comes first does it. While that is under way others gather, and the next of them does it for
all. So a lone request waits for nobody, and under load most share a statement, or a commit.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.database import connecting

T = TypeVar("T")
R = TypeVar("R")

# Seconds before work that follows on shared work: there is much to do, and more will gather.
GATHER = 0.001


class _Batch(Generic[T, R]):
    def __init__(self) -> None:
        self.items: list[T] = []
        self.results: Sequence[R] = ()
        self.error: BaseException | None = None


class Coalescer(Generic[T, R]):
    """Does its work for all callers that wait.

    :param work: takes what the callers gave, in the order in which they came, and returns a
        result for each. It runs in one caller's context. What it raises, all of them raise.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._work = work
        self._next: _Batch[T, R] = _Batch()
        self._shared = False  # the last batch had more than one caller
        self._gathering = threading.Lock()
        self._working = threading.Lock()

    def __call__(self, item: T) -> R:
        """Return the result of work that began after this call."""
        with self._gathering:
            batch = self._next
            place = len(batch.items)
            batch.items.append(item)
        with connecting(), self._working:
            if batch is self._next:
                self._run(batch)
        if batch.error:
            raise batch.error
        return batch.results[place]

    def _run(self, batch: _Batch[T, R]) -> None:
        if self._shared:
            time.sleep(GATHER)
        with self._gathering:
            self._next = _Batch()
        self._shared = len(batch.items) > 1
        try:
            batch.results = self._work(batch.items)
        except BaseException as error:  # noqa: BLE001 whatever it is, nobody may go without a result
            batch.error = error
