"""A request's time budget: how long it may wait for connections and use them.

Every wait has a limit, and so has the sum of all waits of one request: less than two seconds, or
less than thirty for work that takes long.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple


class Limits(NamedTuple):
    """How long to wait, in seconds."""

    pool: float  # for a connection that others are using
    answer: float  # for one answer of the server
    total: float  # for everything that one request does, and all tries of one transaction


SHORT_LIMITS = Limits(pool=1, answer=1.5, total=1.8)
LONG_LIMITS = Limits(pool=8, answer=20, total=28)


@dataclass
class Budget:
    """The seconds that a request has spent on connections, or on waiting for them.

    Not the time since it began: a client that sends its body slowly does not use the database.
    """

    spent: float = 0.0  # without the current use
    charging_since: float | None = None  # time.monotonic() at the start of the current use


# The current request's. Not in Flask's `g`, which costs more, and a request reads it often.
budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


def time_left(limits: Limits = SHORT_LIMITS) -> float:
    """Return the seconds that are left for the current request, or all of them outside of one."""
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
    """Charge the time of a block to the current request.

    For waits that use a connection through another request, such as for a shared batch.
    """
    start_charging()
    try:
        yield
    finally:
        stop_charging()


def renew_budget() -> None:
    """Give the current request its full time again, for the next part of a long work."""
    if current := budget.get():
        current.spent = 0.0
