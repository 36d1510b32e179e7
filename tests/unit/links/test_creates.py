"""Links of several requests that are created in one transaction."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any
from unittest import mock

import pytest
from flask import Flask, Response
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError

from app.api.idempotency import IDEMPOTENCY_KEYS, RepeatedError
from app.database import Database
from app.database.batching import Batcher
from app.database.errors import DEADLOCK, LOCK_WAIT_TIMEOUT, UnavailableError
from app.identity.tokens import Actor
from app.links import creates, queries
from app.links.tables import LINK_HISTORY, LINKS
from tests.support.waiting import wait_until


def new(name: str = "a", key: Any = None, **fields: object) -> creates.New:
    """Return a link that the actor of this name creates, with an idempotency key."""
    row = queries.new_row({"url": f"https://example.com/{name}", **fields})
    key = key or {"token_id": 1, "key": secrets.token_hex(8), "fingerprint": bytes(32)}
    return creates.New(row, Actor(f"token:{name}", name), Response(name, 201), key)


def count(database: Database) -> int:
    """Return the number of links."""
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(LINKS)) or 0


def test_each_request_gets_what_is_its_own(database: Database) -> None:
    """Each link has its owner, and each response and stored answer has the ETag of its link."""
    batch = [new(name) for name in "cab"]
    assert creates._create_together(database, batch) == [True] * 3
    with database.read() as connection:
        links = {row.lookup_key: row for row in connection.execute(select(LINKS))}
        owners = {row.new_link_id: row for row in connection.execute(select(LINK_HISTORY))}
        answers = {row.key: row for row in connection.execute(select(IDEMPOTENCY_KEYS))}
    for each in batch:
        assert each.key
        link, answer = links[each.row["lookup_key"]], answers[each.key["key"]]
        assert (link.url, link.revision) == (each.row["url"], 1)
        assert (owners[link.id].owner, owners[link.id].name) == each.owner
        assert each.response.headers["ETag"] == answer.headers["ETag"] == f'"{link.id}-1"'
        assert (answer.status, answer.body) == (201, each.response.get_data())


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda old: new(code=old.row["code"]), id="taken code"),
        pytest.param(lambda old: new(key=old.key), id="used key"),
        pytest.param(lambda _: new(title=None), id="wrong field"),
    ],
)
def test_one_that_is_refused_costs_the_others_nothing(
    database: Database, wrong: Callable[[creates.New], creates.New]
) -> None:
    """If the database refuses one of them, none is created, and each can be created alone."""
    old = new()
    assert creates._create_together(database, [old]) == [True]
    batch = [new("b"), wrong(old), new("c")]
    assert creates._create_together(database, batch) == [False] * 3
    assert count(database) == 1
    with pytest.raises((queries.CodeTakenError, RepeatedError, IntegrityError)):
        creates._create_together(database, [wrong(old)])
    for each in (batch[0], batch[2]):
        with database.transactional.begin() as connection:
            creates._insert(connection, [each])
    assert count(database) == 3


@pytest.mark.parametrize("code", [DEADLOCK, LOCK_WAIT_TIMEOUT])
def test_one_that_must_wait_does_not_hold_up_the_others(database: Database, code: int) -> None:
    """After a conflict, which has changed nothing, each is created alone."""
    conflict = UnavailableError("INSERT", {}, Exception(code))
    with mock.patch.object(queries, "insert_all", side_effect=conflict):
        assert creates._create_together(database, [new(), new()]) == [False] * 2


def test_nothing_is_repeated_that_may_be_done(database: Database) -> None:
    """If the database is away, all may be committed, so all requests get the error."""
    away = UnavailableError("COMMIT", {}, Exception(2013))
    with (
        mock.patch.object(queries, "insert_all", side_effect=away),
        pytest.raises(UnavailableError),
    ):
        creates._create_together(database, [new(), new()])


def test_request_that_went_on_alone_is_left_out(database: Database) -> None:
    """A link whose request no longer waits for the batch is not created twice."""
    batch = [new(name) for name in "abc"]
    assert [batch[1].claim(), batch[1].claim()] == [True, False]
    assert creates._create_together(database, batch) == [True, False, True]
    assert count(database) == 2
    assert creates._create_together(database, batch) == [False] * 3
    assert count(database) == 2


def test_slow_batch_holds_up_nobody_else(database: Database) -> None:
    """While one batch is stuck, other requests create their links alone."""
    stuck, go_on = Event(), Event()

    def hold(*_: object) -> None:
        if not stuck.is_set():
            stuck.set()
            assert go_on.wait(30)

    event.listen(database.transactional, "checkin", hold)  # SQLite needs the commit before it
    app = Flask(__name__)
    app.extensions["database"] = database
    creates.init_app(app)

    def create(each: creates.New) -> str:
        with app.app_context():
            creates.create(each, is_random=True)
        return each.response.headers["ETag"]

    with (
        ThreadPoolExecutor(4) as pool,
        mock.patch.object(creates, "time_left", return_value=30),
    ):
        with mock.patch.object(creates, "WAIT", 30):  # this one must not go on alone
            first = pool.submit(create, new("a"))
            assert stuck.wait(30)
        others = [pool.submit(create, new(name)) for name in "bcd"]
        assert len({other.result(30) for other in others}) == 3
        assert not first.done()
        go_on.set()
        assert first.result(30)
    assert count(database) == 4
    # The batch of those that went on alone still runs, and uses a connection.
    batcher = app.extensions["creates"]
    wait_until(lambda: not batcher._waiting and not batcher._leadership.locked())


def test_requests_share_a_commit(database: Database) -> None:
    """Requests that arrive during a commit are committed together after it."""
    commits, go_on = [], Event()

    def hold(_connection: object) -> None:
        commits.append(1)
        assert go_on.wait(30)

    event.listen(database.transactional, "commit", hold)
    batcher = Batcher("creates", partial(creates._create_together, database))
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(batcher, new())
        wait_until(lambda: commits == [1])
        others = [pool.submit(batcher, new()) for _ in range(5)]
        wait_until(lambda: len(batcher._waiting) == 5)
        go_on.set()
        assert first.result() is True
        assert [other.result() for other in others] == [True] * 5
    assert (len(commits), count(database)) == (2, 6)
