"""Create links, many requests per commit (leader/follower batching).

Each worker process has one batcher. While one batch commits, the next one forms. A request that
comes alone does not wait. If a batch takes long, as while the database is slow, those that wait for
the next one go on alone, and at the same time. Only links with a random code are created together:
another transaction can have locked a code that a client chose, and a batch would wait for it.
"""

from collections.abc import Sequence
from functools import partial
from itertools import compress
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

from flask import Flask, Response, current_app
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.api import idempotency
from app.api.etags import etag
from app.database import Database, database
from app.database.batching import Batcher
from app.database.deadline import charge_time, time_left
from app.database.errors import UNAVAILABLE, is_conflict
from app.identity.tokens import Actor
from app.links import aliases, queries

WAIT = 0.3  # seconds that a request waits for its batch to begin


class New:
    """A link to create, and the response to its request, which has no ETag yet."""

    def __init__(
        self, row: dict[str, Any], owner: Actor, response: Response, key: idempotency.Key | None
    ) -> None:
        self.row, self.owner, self.response, self.key = row, owner, response, key
        self._claims = [True]  # emptied by the first claim

    def claim(self) -> bool:
        """Return whether the caller is the first one, and so inserts the link."""
        try:
            return self._claims.pop()  # atomic: two threads can get here
        except IndexError:
            return False


def init_app(app: Flask) -> None:
    """Create the app's batcher."""
    work = partial(_create_together, app.extensions["database"])
    app.extensions["creates"] = Batcher("creates", work)


def create(new: New, *, is_random: bool) -> None:
    """Insert a link, and add the ETag to the response. Any thread or greenlet may call it.

    :param is_random: no client chose the code.
    :raises CodeTakenError: another link has the code.
    :raises GoalError: it is an alias without a goal.
    :raises RepeatedError: the key has already been used.
    """
    together = is_random and not aliases.is_alias(new.row["url"])
    if not together or not _is_created_by_batch(new):
        database().write(lambda connection: _insert(connection, [new]))


def _is_created_by_batch(new: New) -> bool:
    outcomes: SimpleQueue[bool | BaseException] = SimpleQueue()
    with charge_time():
        current_app.extensions["creates"].submit(new, outcomes.put)
        try:
            outcome = outcomes.get(timeout=max(min(WAIT, time_left()), 0))
        except Empty:
            if new.claim():
                return False
            try:
                outcome = outcomes.get(timeout=max(time_left(), 0))
            except Empty:
                raise PoolTimeoutError("Timed out waiting for a shared transaction.") from None
    if isinstance(outcome, BaseException):
        raise outcome.with_traceback(None)  # many requests raise it
    return outcome


def _create_together(database: Database, batch: Sequence[New]) -> list[bool]:
    """Insert all links and return True for each, or none and False if one is refused or must wait.

    Then each request inserts its own link, and gets its own error. Requests that no longer wait are
    left out, and get False.
    """
    claimed = nothing = [False] * len(batch)
    try:
        with database.transactional.begin() as connection:
            claimed = [new.claim() for new in batch]  # until here, they could go on alone
            if any(claimed):
                _insert(connection, list(compress(batch, claimed)))
    except UNAVAILABLE as error:
        is_undone = isinstance(error, OperationalError) and is_conflict(error)
        if any(claimed) and not is_undone:
            raise  # all may have been committed
        return nothing
    except Exception:
        if sum(claimed) == 1:
            raise
        return nothing  # no request may get the error of another
    return claimed


def _insert(connection: Connection, batch: Sequence[New]) -> None:
    for new in batch:
        aliases.check(connection, new.row)
    by_key = {new.row["lookup_key"]: new for new in batch}
    owners = {key: new.owner for key, new in by_key.items()}
    for row in queries.insert_all(connection, [new.row for new in batch], owners=owners):
        by_key[row["lookup_key"]].response.set_etag(etag(SimpleNamespace(**row)))
    idempotency.keep(connection, [(new.key, new.response) for new in batch if new.key])
