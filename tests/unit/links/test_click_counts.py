"""Links that change between the two statements of a batch of clicks."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from app.links import click_counts
from app.links.click_counts import Target, unchanged

OLD = Target(1, "https://example.com/old", expired=False)
NEW = Target(1, "https://example.com/new", expired=False)
OTHER = Target(2, "https://example.com/new", expired=False)
EXPIRED = Target(1, "https://example.com/old", expired=True)


def test_only_links_that_were_there_all_the_time_are_followed() -> None:
    """A link that was created, deleted or replaced meanwhile may not have been counted."""
    before = {"edited": OLD, "deleted": OLD, "replaced": OLD, "ended": OLD, "renewed": EXPIRED}
    after = {"edited": NEW, "created": NEW, "replaced": OTHER, "ended": EXPIRED, "renewed": OLD}
    assert unchanged(before, after) == {"edited": NEW, "ended": EXPIRED, "renewed": EXPIRED}


@pytest.mark.parametrize(
    ("row", "counted", "after"),
    [
        pytest.param(["old", 1, "https://example.com", None, None], 1, NEW, id="renamed"),
        pytest.param(["old", 1, "/goal", None, None], 0, NEW, id="goal was created"),
        pytest.param(["old", 1, "/goal", 0, [2, "https://example.com", 1]], 0, OLD, id="expired"),
        pytest.param(["old", 1, "/goal", 0, [2, "/other", 0]], 0, OLD, id="goal was an alias"),
    ],
)
def test_uncounted_clicks_are_not_followed(
    monkeypatch: pytest.MonkeyPatch, row: list[Any], counted: int, after: Target
) -> None:
    """A link that the INSERT may not have found is not followed, even if numbers are equal.

    For "renamed", the INSERT has counted the click on the new code instead.
    """
    found = {"new": after} if counted else {"old": after}
    monkeypatch.setattr(click_counts, "find_and_insert", lambda *_: (json.dumps([row]), counted))
    monkeypatch.setattr(click_counts, "find_targets", lambda *_: found)
    connection: Any = SimpleNamespace(dialect=SimpleNamespace(name="mysql"))
    targets = click_counts.find_and_count(connection, ["new", "old"], {"new": 1, "old": 1})
    assert [key for key, target in targets.items() if target.is_live] == []


def test_all_that_was_counted_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the INSERT has counted each click, also links that the SELECT has missed are followed."""
    row = ["edited", 1, OLD.url, None, None]
    monkeypatch.setattr(click_counts, "find_and_insert", lambda *_: (json.dumps([row]), 2))
    monkeypatch.setattr(click_counts, "find_targets", lambda *_: {"edited": NEW, "created": OTHER})
    connection: Any = SimpleNamespace(dialect=SimpleNamespace(name="mysql"))
    clicks = {"created": 1, "edited": 1}
    targets = click_counts.find_and_count(connection, clicks, clicks)
    assert targets == {"edited": OLD, "created": OTHER}


@pytest.mark.parametrize(
    ("url", "counted", "packets"),
    [
        pytest.param(OLD.url, 1, 1, id="counted"),
        pytest.param(OLD.url, 0, 2, id="became an alias"),
        pytest.param("/goal", 0, 2, id="alias"),
        pytest.param("/goal", 1, 1, id="was an alias"),
    ],
)
def test_click_on_one_link_is_counted_once(
    monkeypatch: pytest.MonkeyPatch, url: str, counted: int, packets: int
) -> None:
    """The packet for one key leaves aliases to the other one, but not what it has counted."""
    alias = ["old", 1, "/goal", None, [2, NEW.url, None]]
    answers = [([["old", 1, url, None, None]], counted), ([alias], 1)]
    given = iter(answers)

    def find_and_insert(*_: object) -> tuple[str, int]:
        rows, inserted = next(given)
        return json.dumps(rows), inserted

    monkeypatch.setattr(click_counts, "find_targets", lambda *_: {"old": NEW})
    monkeypatch.setattr(click_counts, "find_and_insert", find_and_insert)
    connection: Any = SimpleNamespace(dialect=SimpleNamespace(name="mysql"))
    targets = click_counts.find_and_count(connection, ["old"], {"old": 1})
    assert targets == {"old": OLD if (url, counted) == (OLD.url, 1) else NEW}
    assert len(list(given)) == len(answers) - packets
