"""A request's time budget: the time for which it can wait for connections and use them.

Each wait has a limit, and so has the sum of all waits of one request: less than two seconds, or
less than thirty seconds for long work. The functions here act on the current request, which they
find in a context variable. Any thread or greenlet may call them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple


class Limits(NamedTuple):
    """Time limits, in seconds."""

    pool: float  # for a free connection of the pool
    answer: float  # for one response of the database server
    total: float  # for all waits of one request, or for all attempts of one transaction


SHORT_LIMITS = Limits(pool=1, answer=1.5, total=1.8)
LONG_LIMITS = Limits(pool=8, answer=20, total=28)


@dataclass
class Budget:
    """The seconds that one request has spent on using connections, or on waiting for them.

    It does not count the time since the request began, because a client that sends its body slowly
    does not use the database meanwhile. Only the request's own greenlet or thread uses it.
    """

    spent: float = 0.0  # without the use that is in progress
    charging_since: float | None = None  # time.monotonic() at the start of that use, if any


# The current request's budget. It is not in Flask's `g`, because reading that costs more.
budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


def time_left(limits: Limits = SHORT_LIMITS) -> float:
    """Return the seconds that the current request has left, or `limits.total` outside a request.

    The result is negative if the request has used more.
    """
    current = budget.get()
    if not current:
        return limits.total
    charging = time.monotonic() - current.charging_since if current.charging_since else 0
    return limits.total - current.spent - charging


def start_charging() -> None:
    """Begin to charge time to the current request, if there is one."""
    current = budget.get()
    if current and not current.charging_since:
        current.charging_since = time.monotonic()


def stop_charging() -> None:
    """Stop charging time to the current request, if there is one."""
    current = budget.get()
    if current and current.charging_since:
        current.spent += time.monotonic() - current.charging_since
        current.charging_since = None


@contextmanager
def charge_time() -> Iterator[None]:
    """Charge the time of a `with` block to the current request.

    Use it to wait for another request's connection, for example for a shared batch. The pool
    charges for the request's own connections.
    """
    start_charging()
    try:
        yield
    finally:
        stop_charging()


def renew_budget() -> None:
    """Give the current request its full time again, for the next part of long work."""
    if current := budget.get():
        current.spent = 0.0
