"""Roll-ups, the stored sums of past clicks, change no answer of the API."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import Links

Rollups = Callable[[], list[list[Any]]]

AT_ONCE = 10  # the most links that one read rolls up
HOURS = ("2020-01-01 00:00:00.000000", "2020-01-01 01:00:00.000000")


def date_back(deployment: Deployment, which: str) -> None:
    """Make links as old as 2020, with 1,000 clicks in each of two hours."""
    deployment.sql(f"UPDATE links SET created_at = '{HOURS[0]}' WHERE {which}")
    for hour in HOURS:
        deployment.sql(
            "INSERT INTO link_clicks (link_id, hour, clicks)"
            f" SELECT id, '{hour}', 1000 FROM links WHERE {which}"
        )


@pytest.fixture(name="code")
def _code(links: Links, deployment: Deployment) -> str:
    """The code of a link from 2020 with 1,000 clicks in each of two hours, and one click now."""
    code = str(links.create()["code"])
    links.service.get(f"/{code}")
    date_back(deployment, f"code = '{code}'")
    return code


@pytest.fixture(name="rollups")
def _rollups(deployment: Deployment, code: str) -> Rollups:
    """A function that returns the roll-ups of that link."""
    [[number]] = deployment.sql(f"SELECT id FROM links WHERE code = '{code}'")
    query = f"SELECT until, clicks FROM link_click_rollups WHERE link_id = {number}"
    return lambda: [[str(until)[:19], int(clicks)] for until, clicks in deployment.sql(query)]


def everywhere(links: Links, code: str) -> list[int]:
    """Return the clicks of a link from each answer that has them.

    The last two answers, the list and the link itself, also roll them up.
    """
    exported = links.service.get("/api/export").text.splitlines()
    merge = {"Content-Type": "application/merge-patch+json"}
    shown = [
        *(link for link in map(json.loads, exported) if link["code"] == code),
        links.service.patch(f"/api/links/{code}", data="{}", headers=merge).json(),
        *links.service.get("/api/links", params={"q": code}).json()["links"],
        links.service.get(f"/api/links/{code}").json(),
    ]
    assert len(shown) == 4
    return [link["clicks"] for link in shown]


def test_every_answer_has_all_clicks(links: Links, code: str, rollups: Rollups) -> None:
    """Clicks are correct before a roll-up, after it, and after one more click."""
    assert rollups() == []
    assert everywhere(links, code) == [2001] * 4
    [[until, clicks]] = rollups()
    assert clicks == 2000
    assert everywhere(links, code) == [2001] * 4
    links.service.get(f"/{code}")
    assert everywhere(links, code) == [2002] * 4
    assert rollups() == [[until, clicks]]


@pytest.mark.parametrize("path", ["/api/links?q={}", "/api/links/{}"], ids=["list", "link"])
def test_reading_rolls_up(links: Links, code: str, rollups: Rollups, path: str) -> None:
    """Reading a list or a link rolls up its clicks."""
    links.service.get(path.format(code))
    assert [clicks for _, clicks in rollups()] == [2000]


def test_link_stays_as_it_is(links: Links, code: str, rollups: Rollups) -> None:
    """A roll-up does not change the link's ETag or the clicks per hour."""
    before, after = (links.service.get(f"/api/links/{code}") for _ in range(2))
    assert rollups()
    assert before.json() == after.json()
    assert before.headers["ETag"] == after.headers["ETag"]
    span = {"by": "hour", "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T02:00:00Z"}
    answer = links.service.get(f"/api/links/{code}/clicks", params=span).json()
    assert [bucket["clicks"] for bucket in answer["series"]] == [1000, 1000]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE links SET created_at = CURRENT_TIMESTAMP WHERE code = '{}'",
        "UPDATE link_clicks SET clicks = 400 WHERE clicks = 1000",
    ],
    ids=["new", "few"],
)
def test_small_counts_are_not_rolled_up(
    links: Links, deployment: Deployment, code: str, rollups: Rollups, change: str
) -> None:
    """New links and links with few clicks are not rolled up."""
    deployment.sql(change.format(code))
    everywhere(links, code)
    assert rollups() == []


def test_old_roll_up_is_renewed(
    links: Links, deployment: Deployment, code: str, rollups: Rollups
) -> None:
    """An old roll-up is renewed when enough clicks have come since."""
    deployment.sql(
        "INSERT INTO link_click_rollups (link_id, until, clicks)"
        f" SELECT id, '{HOURS[1]}', 1000 FROM links WHERE code = '{code}'"
    )
    assert everywhere(links, code) == [2001] * 4
    assert everywhere(links, code) == [2001] * 4
    [[until, clicks]] = rollups()
    assert (until > HOURS[1], clicks) == (True, 2000)


def test_page_rolls_up_some_at_a_time(links: Links, deployment: Deployment) -> None:
    """One read rolls up a limited number of links, and the next read continues."""
    title = f"w{uuid.uuid4().hex}"
    for _ in range(AT_ONCE + 1):
        links.create(title=title)
    date_back(deployment, f"title = '{title}'")
    counts = []
    for _ in range(3):
        page = links.service.get("/api/links", params={"q": title}).json()["links"]
        assert [link["clicks"] for link in page] == [2000] * (AT_ONCE + 1)
        [[count]] = deployment.sql(
            "SELECT COUNT(*) FROM link_click_rollups JOIN links ON id = link_id"
            f" WHERE title = '{title}'"
        )
        counts.append(int(count))
    assert counts == [AT_ONCE, AT_ONCE + 1, AT_ONCE + 1]


def test_roll_up_goes_with_its_link(links: Links, code: str, rollups: Rollups) -> None:
    """Deleting a link deletes its roll-up."""
    links.service.get(f"/api/links/{code}")
    assert rollups()
    links.service.delete(f"/api/links/{code}")
    assert rollups() == []
