"""Locks of other transactions: requests wait, retry, and get 503 in time."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
import requests

from tests.support.compose import Stack
from tests.support.links.client import TARGET, Links
from tests.support.mysql import RootSession, waits
from tests.support.service import Service
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timed

LIMIT = 2  # seconds for an answer
TRIES = 10  # attempts of a test, because a slow machine can miss the service's retry

CLICKS = "SELECT clicks FROM link_clicks WHERE link_id = {id} FOR UPDATE"
LINK = "SELECT id FROM links WHERE lookup_key = '{code}' FOR UPDATE"
TAG = "SELECT tag FROM link_tags WHERE link_id = {id} FOR UPDATE"
KEY = "SELECT status FROM idempotency_keys WHERE `key` = '{code}' FOR UPDATE"
NEW_LINK = """INSERT INTO links
        (code, lookup_key, url, title, tags, created_at, updated_at, revision)
    VALUES ('{code}', '{code}', '', '', '[]', NOW(), NOW(), 1)"""

# In a deadlock, MySQL rolls back the transaction that has changed fewer rows.
MUCH_WORK = """INSERT INTO rate_limits (client, period, hits, updated_at)
    WITH RECURSIVE rows_ (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows_ WHERE n < 500)
    SELECT CONCAT('work', n), 1, 1, NOW() FROM rows_"""


class Case(NamedTuple):
    """A request, the row that another transaction locks, and a row that both need.

    `crossed` is None where no deadlock is possible: a click or a new link that has to wait holds no
    lock that others need.
    """

    held: str
    crossed: str | None
    status: int
    method: str
    path: str
    body: dict[str, Any] | None = None
    sends_code: bool = True

    def send(self, service: Service, code: str) -> requests.Response:
        """Send the request from another thread, with an idempotency key."""
        path = self.path.format(code=code)
        body = self.body and self.body | ({"code": code} if self.sends_code else {})
        with service.again() as client:
            return client.request(self.method, path, json=body, headers={"Idempotency-Key": code})


EDIT = Case(TAG, LINK, 200, "PATCH", "/api/links/{code}", {"tags": ["new"]})
CASES = {
    "create": Case(NEW_LINK, None, 201, "POST", "/api/links", {"url": TARGET}),
    "change": EDIT._replace(sends_code=False),
    "change with its code": EDIT,
    "delete": Case(TAG, LINK, 204, "DELETE", "/api/links/{code}"),
    "follow": Case(LINK, None, 302, "GET", "/{code}"),
}
WRITES = ("create", "change", "delete")
KEYED = CASES["create"]._replace(held=KEY, crossed=NEW_LINK)
RANDOM = KEYED._replace(sends_code=False)


def prepare(case: Case, links: Links) -> dict[str, str]:
    """Create the link that the request needs, if any; return its code and id."""
    code = links.new_code()
    if case.method == "POST":
        return {"code": code, "id": "0"}
    links.create(code=code, tags=["old"])
    etag = links.service.get(f"/api/links/{code}").headers["ETag"]
    return {"code": code, "id": etag.strip('"').partition("-")[0]}


def counted(session: RootSession, event: str) -> int:
    """Return how often an event has happened in InnoDB."""
    sql = f"SELECT count FROM information_schema.innodb_metrics WHERE name = '{event}'"
    return int(session.run(sql)[0][0])


def more(session: RootSession, event: str) -> Callable[[], bool]:
    """Return a function that returns whether an event has happened since this call."""
    before = counted(session, event)
    return lambda: counted(session, event) > before


def let_go_when_timed_out(
    holder: RootSession, sent: Future[requests.Response]
) -> requests.Response:
    """Release the lock once the request has timed out on it for the first time."""
    timed_out = more(holder, "lock_timeouts")
    wait_until(lambda: timed_out() or sent.done())
    holder.run("ROLLBACK")
    return sent.result()


def send_while_held(
    stack: Stack, case: Case, links: Links, names: dict[str, str]
) -> requests.Response:
    """Send a request while another transaction holds its row, and return the answer."""
    with RootSession(stack) as other:
        other.run(f"START TRANSACTION; {case.held.format(**names)}")
        answer = case.send(links.service, names["code"])
        other.run("ROLLBACK")
    return answer


def check(answer: requests.Response, case: Case, links: Links, code: str) -> None:
    """Check that the request has succeeded exactly once."""
    assert answer.status_code == case.status, answer.text
    assert answer.elapsed.total_seconds() < LIMIT
    found = links.service.get(f"/api/links/{code}")
    if case.method == "DELETE":
        assert found.status_code == 404
    elif case.method == "PATCH":
        assert (found.json()["tags"], found.headers["ETag"][-3:]) == (["new"], '-2"')
    else:
        # A click that was answered with 503 can have been counted anyway.
        assert found.json()["clicks"] in ({1, 2} if case.method == "GET" else {0})


@pytest.mark.parametrize(
    "case",
    [KEYED, CASES["change"], CASES["delete"]],
    ids=["create with a key", "change", "delete"],
)
def test_victim_of_a_deadlock_tries_again(stack: Stack, links: Links, case: Case) -> None:
    """The service retries the victim of a deadlock, and the client notices nothing."""
    names = prepare(case, links)
    with ThreadPoolExecutor() as pool, RootSession(stack) as other:
        deadlocked = more(other, "lock_deadlocks")
        other.run(f"START TRANSACTION; {MUCH_WORK}; {case.held.format(**names)}")
        sent = pool.submit(case.send, links.service, names["code"])
        wait_until(lambda: waits(stack, "user = 'app'"))
        other.run(str(case.crossed).format(**names))
        assert deadlocked()
        other.run("ROLLBACK")
        check(sent.result(), case, links, names["code"])


@pytest.mark.parametrize("case", [CASES[name] for name in WRITES], ids=WRITES)
def test_released_lock_is_waited_for(stack: Stack, links: Links, case: Case) -> None:
    """After a lock wait time-out, the service retries while the request has time left."""
    for _ in range(TRIES):
        names = prepare(case, links)
        with ThreadPoolExecutor() as pool, RootSession(stack) as other:
            other.run(f"START TRANSACTION; {case.held.format(**names)}")
            sent = pool.submit(case.send, links.service, names["code"])
            answer = let_go_when_timed_out(other, sent)
        if answer.status_code == case.status:
            break
    check(answer, case, links, names["code"])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_held_lock_is_reported_in_time(stack: Stack, links: Links, case: Case) -> None:
    """If a lock stays, the request gets 503 with Retry-After in time, and changes nothing."""
    names = prepare(case, links)
    answer = send_while_held(stack, case, links, names)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.elapsed.total_seconds() < LIMIT
    check(case.send(links.service, names["code"]), case, links, names["code"])


@pytest.mark.parametrize("case", [KEYED, RANDOM], ids=["own code", "random code"])
def test_key_in_use_is_reported(stack: Stack, links: Links, case: Case) -> None:
    """If an idempotency key's row is locked, a request with the key gets 409.

    The answer is the same as while the first request with the key is still running.
    """
    names = prepare(case, links)
    answer = send_while_held(stack, case, links, names)
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")
    assert "still running" in answer.json()["detail"]
    assert links.service.get(f"/api/links/{names['code']}").status_code == 404


def test_counter_of_a_limit_is_waited_for(stack: Stack, links: Links) -> None:
    """After a lock wait time-out on the rate limit's counter, the service retries."""
    links.create()
    for _ in range(TRIES):
        with ThreadPoolExecutor() as pool, RootSession(stack) as other:
            other.run("START TRANSACTION; SELECT hits FROM rate_limits FOR UPDATE")
            sent = pool.submit(links.service.again().post, "/api/links", json={"url": TARGET})
            answer = let_go_when_timed_out(other, sent)
        if answer.status_code == 201:
            links.codes.append(answer.json()["code"])
            return
    pytest.fail(f"All {TRIES} attempts failed, the last one with {answer.status_code}.")


def test_time_limit_holds_for_the_sum_of_waits(stack: Stack, links: Links) -> None:
    """The time limit holds for the sum of all waits of a request."""
    with ExitStack() as sessions, ThreadPoolExecutor() as pool:
        waiting = []
        for table in ("tokens", "rate_limits", "idempotency_keys", "links"):
            waiting.append(sessions.enter_context(RootSession(stack)))
            waiting[-1].run(f"LOCK TABLES {table} WRITE")
        for number, session in enumerate(waiting, 1):
            pool.submit(session.run, f"DO SLEEP({0.7 * number}); UNLOCK TABLES")
        body = {"url": TARGET, "code": links.new_code()}
        headers = {"Idempotency-Key": body["code"]}
        answer = links.service.post("/api/links", json=body, headers=headers)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.elapsed.total_seconds() < LIMIT


def test_link_that_is_deleted_meanwhile_is_not_found(stack: Stack, links: Links) -> None:
    """If a link is deleted while a click on it waits, nothing is counted, and the answer is 404."""
    for _ in range(TRIES):
        names = prepare(CASES["follow"], links)
        with ThreadPoolExecutor() as pool, RootSession(stack) as other:
            other.run(f"START TRANSACTION; {LINK.format(**names)}")
            sent = pool.submit(CASES["follow"].send, links.service, names["code"])
            wait_until(lambda: other.run("SELECT 1 FROM performance_schema.data_lock_waits"))
            other.run(f"DELETE FROM links WHERE id = {names['id']}; COMMIT")
            status = sent.result().status_code
        if status != 503:
            break
    assert status == 404


def follow(links: Links, code: str, times: int) -> Counter[int]:
    """Follow a link several times, one after the other, and count the statuses."""
    with links.service.again() as client:
        return Counter(client.get(f"/{code}").status_code for _ in range(times))


@pytest.mark.parametrize("held", [CLICKS, LINK], ids=["clicks", "link"])
def test_only_clicks_on_a_locked_row_wait(stack: Stack, links: Links, held: str) -> None:
    """While rows of one link are locked, redirects of all other links succeed and are counted.

    The other links have clicks in this hour, or none yet. When the lock is released, the link works
    again, and no answered click is lost.
    """
    locked = prepare(CASES["follow"], links)
    others = [links.create()["code"] for _ in range(8)]
    for code in (locked["code"], *others[:4]):
        follow(links, code, 1)
    with ThreadPoolExecutor() as pool:
        with RootSession(stack) as holder:
            holder.run(f"START TRANSACTION; {held.format(**locked)}")
            waiting = [pool.submit(follow, links, locked["code"], 2) for _ in range(4)]
            running = [pool.submit(follow, links, code, 100) for code in others]
            assert [each.result() for each in running] == [{302: 100}] * len(others)
            assert [each.result() for each in waiting] == [{503: 2}] * len(waiting)
        assert follow(links, locked["code"], 10) == {302: 10}
    clicks = {c: links.service.get(f"/api/links/{c}").json()["clicks"] for c in others}
    assert list(clicks.values()) == [101] * 4 + [100] * 4
    assert 11 <= links.service.get(f"/api/links/{locked['code']}").json()["clicks"] <= 19
