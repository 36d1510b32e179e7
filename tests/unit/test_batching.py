"""Leader/follower batching: requests that arrive at the same time share their work."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import gevent
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database.batching import Batcher, yield_to_other_requests
from tests.support.waiting import wait_until


class Work:
    """Doubles numbers once `may_end` is set, and records its batches."""

    def __init__(self) -> None:
        self.given: list[list[int]] = []
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.error: Exception | None = None

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        """Return the doubled numbers, or raise `error`."""
        self.given.append(list(numbers))
        self.begun.set()
        assert self.may_end.wait(10)
        if self.error:
            raise self.error
        return [2 * number for number in numbers]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def call(work: Work) -> Iterator[Callable[[int], "Future[int]"]]:
    """A function that calls the batcher in a thread, and returns once its number is queued."""
    double = Batcher("double", work)

    with ThreadPoolExecutor() as threads:

        def begin(number: int) -> "Future[int]":
            future = threads.submit(double, number)
            wait_until(lambda: work.begun.is_set() and _known(double, work, number))
            return future

        yield begin
        work.may_end.set()


def _known(double: Batcher[int, int], work: Work, number: int) -> bool:
    waiting = [item for item, *_ in list(double._waiting)]
    return any(number in numbers for numbers in (*work.given, waiting))


def test_lone_call_is_worked_on_at_once(work: Work, call: Callable[[int], "Future[int]"]) -> None:
    """Work for a lone call begins immediately, without waiting for others."""
    lone = call(1)
    assert work.given == [[1]]
    work.may_end.set()
    assert lone.result(10) == 2


def test_concurrent_callers_share_a_batch(work: Work, call: Callable[[int], "Future[int]"]) -> None:
    """Calls that arrive while work is running form the next batch."""
    calls = [call(number) for number in (1, 2, 3, 4)]
    work.may_end.set()
    assert [c.result(10) for c in calls] == [2, 4, 6, 8]
    assert work.given == [[1], [2, 3, 4]]


def test_all_hear_of_an_error(work: Work, call: Callable[[int], "Future[int]"]) -> None:
    """All callers of a batch get its error, and the next batch can succeed."""
    work.error = OSError("away")
    calls = [call(number) for number in (1, 2, 3)]
    work.may_end.set()
    for each in calls:
        with pytest.raises(OSError, match="away"):
            each.result(10)
    work.error = None
    assert call(4).result(10) == 8


def test_caller_without_time_left_gives_up(
    work: Work, call: Callable[[int], "Future[int]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller without time left gets a time-out, and later callers still get their results."""
    first = call(1)
    monkeypatch.setattr("app.database.batching.time_left", lambda: 0.1)
    with pytest.raises(PoolTimeoutError):
        call(2).result(10)
    work.may_end.set()
    assert first.result(10) == 2
    monkeypatch.undo()
    assert call(3).result(10) == 6


def test_gathering_lets_all_others_go_first() -> None:
    """While the leader waits for more calls, other greenlets that are ready can run."""
    did = []

    def other() -> None:
        for number in range(3):
            did.append(number)
            gevent.sleep(0.001)

    others = gevent.spawn(other)
    yield_to_other_requests()
    assert did
    others.join()


def test_gathering_ends_though_there_is_always_more_to_do() -> None:
    """Yielding ends after its time limit even if the loop is never idle."""
    reader, writer = os.pipe()
    os.write(writer, b"to be read")
    readable = gevent.get_hub().loop.io(reader, 1)
    readable.start(lambda: None)
    try:
        yield_to_other_requests()
    finally:
        readable.close()
        os.close(reader)
        os.close(writer)


def test_a_leader_that_is_killed_leaves_nobody_waiting() -> None:
    """If the leader is killed, the next caller leads, and also serves the callers that wait."""
    double: Batcher[int, int] = Batcher(
        "double", lambda numbers: [2 * number for number in numbers]
    )
    double._last_was_shared = True  # so that the leader waits for others first
    outcomes: list[int | BaseException] = []
    leader = gevent.spawn(double, 1)
    gevent.spawn(double.submit, 2, outcomes.append)
    while not double._waiting:
        gevent.sleep(0)
    leader.kill()
    assert double(3) == 6
    assert 4 in outcomes
