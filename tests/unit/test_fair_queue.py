"""The first-come-first-served queue of a connection pool."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.util.queue import Empty, Full

from app.database.fair_queue import FairQueue
from tests.support.waiting import wait_until


def test_returned_connection_goes_to_the_longest_waiting() -> None:
    """A returned item goes to the caller that has waited longest. Later callers can't take it."""
    queue = FairQueue(2)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(queue.get, timeout=10)
        wait_until(lambda: len(queue.waiting) == 1)
        second = pool.submit(queue.get, timeout=10)
        wait_until(lambda: len(queue.waiting) == 2)
        queue.put("a")
        with pytest.raises(Empty):
            queue.get(block=False)
        assert first.result() == "a"
        queue.put("b")
        assert second.result() == "b"


def test_caller_that_gave_up_gets_nothing() -> None:
    """A caller that timed out gets no item. A full queue accepts no further item."""
    queue = FairQueue(1)
    with pytest.raises(Empty):
        queue.get(timeout=0)
    queue.put("a")
    with pytest.raises(Full):
        queue.put("b")
    assert queue.get() == "a"
