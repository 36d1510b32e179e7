"""The queue of a pool of connections."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.util.queue import Empty, Full

from app.database.fair_queue import FairQueue
from tests.support.waiting import wait_until


def test_what_comes_back_is_for_who_has_waited_longest() -> None:
    """Who asks later gets nothing before, not even in the moment in which it comes."""
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


def test_who_gives_up_is_given_nothing() -> None:
    """What comes after a time-out stays for the next, and no more than there is room for."""
    queue = FairQueue(1)
    with pytest.raises(Empty):
        queue.get(timeout=0)
    queue.put("a")
    with pytest.raises(Full):
        queue.put("b")
    assert queue.get() == "a"
