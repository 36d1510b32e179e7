"""Create links, many requests per commit (leader/follower batching).

Each worker process has one batcher. While one batch commits, the next one forms. A request that
comes alone does not wait. Only links with a random code are created together: another transaction
can have locked a code that a client chose, and the whole batch would wait for it.
"""

import math
import time
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from flask import Flask, Response, current_app
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from app.api import idempotency
from app.api.etags import etag
from app.database import Database, database
from app.database.batching import Batcher
from app.database.deadline import time_left
from app.database.errors import UNAVAILABLE, is_conflict
from app.identity.tokens import Actor
from app.links import aliases, queries


class New(NamedTuple):
    """A link to create, and the response to its request, which has no ETag yet."""

    row: dict[str, Any]
    owner: Actor
    response: Response
    key: idempotency.Key | None
    deadline: float = math.inf  # time.monotonic() at which its request gets 503


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
    new = new._replace(deadline=time.monotonic() + time_left())
    together = is_random and not aliases.is_alias(new.row["url"])
    if not together or not current_app.extensions["creates"](new):
        database().write(lambda connection: _insert(connection, [new]))


def _create_together(database: Database, batch: Sequence[New]) -> list[bool]:
    """Insert all links and return True for each, or none and False if one is refused or must wait.

    Then each request inserts its own link, and gets its own error. Nothing is inserted for requests
    that waited too long, because their clients were told to try again.
    """
    now = time.monotonic()
    wanted = [new for new in batch if new.deadline > now]
    nothing = [False] * len(batch)
    if not wanted:
        return nothing
    try:
        with database.transactional.begin() as connection:
            _insert(connection, wanted)
    except UNAVAILABLE as error:
        if not (isinstance(error, OperationalError) and is_conflict(error)):
            raise  # all may have been committed
        return nothing
    except Exception:  # noqa: BLE001 no request may get the error of another
        return nothing
    return [new.deadline > now for new in batch]


def _insert(connection: Connection, batch: Sequence[New]) -> None:
    for new in batch:
        aliases.check(connection, new.row)
    by_key = {new.row["lookup_key"]: new for new in batch}
    owners = {key: new.owner for key, new in by_key.items()}
    for row in queries.insert_all(connection, [new.row for new in batch], owners=owners):
        by_key[row["lookup_key"]].response.set_etag(etag(SimpleNamespace(**row)))
    idempotency.keep(connection, [(new.key, new.response) for new in batch if new.key])
