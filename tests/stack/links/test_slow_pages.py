"""Pages that answer after work that has waited longer than short work can."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support.compose import Stack
from tests.support.links.client import Links
from tests.support.mysql import RootSession
from tests.support.visitor import Visitor, form

HOLD = "START TRANSACTION; SELECT id FROM links WHERE lookup_key = '{code}' FOR UPDATE"
EDIT = "UPDATE links SET revision = revision + 1 WHERE lookup_key = '{code}'"
FAILURES = pytest.mark.parametrize(
    ("sql", "status", "reason"),
    [
        pytest.param("DO 0", 409, "Another link has this code.", id="code is taken"),
        pytest.param(EDIT, 412, "This link has changed since you opened it.", id="has changed"),
    ],
)


def post_while_held(
    stack: Stack, links: Links, sql: str, link: str, path: str = "", **fields: str
) -> requests.Response:
    """Post the form of a link's page to a path below it, while another transaction has the row.

    :param sql: what that transaction does.
    """
    with Visitor(stack.url, links.service.token) as member:
        data = form(member.get(f"/links/{link}").text) | fields
        with RootSession(stack) as other, ThreadPoolExecutor() as pool:
            other.run(HOLD.format(code=link))
            pool.submit(other.run, f"{sql}; DO SLEEP(2.5); COMMIT".format(code=link))
            return member.post(f"/links/{link}{path}", data=data)


@FAILURES
def test_slow_rename_shows_its_form(
    stack: Stack, links: Links, sql: str, status: int, reason: str
) -> None:
    """A rename that fails after a long wait shows the form again, with the new code."""
    taken, code = (links.create(code=links.new_code())["code"] for _ in range(2))
    answer = post_while_held(stack, links, sql, code, code=taken)
    assert answer.status_code == status, answer.text
    assert reason in answer.text
    assert form(answer.text)["code"] == taken


# history
@FAILURES
def test_slow_undo_shows_the_history(
    stack: Stack, links: Links, sql: str, status: int, reason: str
) -> None:
    """An undo that fails after a long wait shows the link's history, and why it failed."""
    old, new = links.create(code=links.new_code())["code"], links.new_code()
    links.service.patch(f"/api/links/{old}", json={"code": new})
    links.create(code=old)
    [edit, _] = links.service.get(f"/api/links/{new}/history").json()["changes"]
    answer = post_while_held(stack, links, sql, new, f"/history/{edit['id']}/undo")
    assert answer.status_code == status, answer.text
    assert reason in answer.text
    assert f"History of {new}" in answer.text


# /history
