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


ONE, ALL = click_counts.FIND_AND_COUNT_ONE, click_counts.FIND_AND_COUNT
PLAIN, OVER = ["a", 1, OLD.url, None, None], ["a", 1, OLD.url, 1, None]
ALIAS, LOST = ["a", 1, "/goal", None, [2, NEW.url, None]], ["a", 1, "/goal", None, None]


@pytest.mark.parametrize(
    ("packets", "found"),
    [
        pytest.param([(ONE, [PLAIN], 1)], OLD, id="counted"),
        pytest.param([(ONE, [], 0)], None, id="unknown"),
        pytest.param([(ONE, [], 1)], NEW, id="was created"),
        pytest.param([(ONE, [LOST], 1)], NEW, id="was an alias"),
        pytest.param([(ONE, [PLAIN], 0), (ALL, [ALIAS], 1)], NEW, id="became an alias"),
        pytest.param([(ONE, [PLAIN], 0), (ALL, [], 0)], None, id="was deleted"),
        pytest.param([(ONE, [OVER], 0), (ALL, [OVER], 0)], EXPIRED, id="expired"),
        pytest.param([(ONE, [LOST], 0), (ALL, [ALIAS], 1)], NEW, id="alias"),
        pytest.param([(ONE, [LOST], 0), (ALL, [ALIAS], 0)], None, id="goal was away"),
        pytest.param([(ONE, [PLAIN], 0), (ALL, [PLAIN], 0)], None, id="was away twice"),
    ],
)
def test_one_link_is_followed_only_if_it_was_counted(
    monkeypatch: pytest.MonkeyPatch, packets: list[Any], found: Target | None
) -> None:
    """The packet for one key leaves aliases to the other one, but not what it has counted."""
    given = iter(packets)

    def find_and_insert(_: object, statements: str, values: dict[str, Any]) -> tuple[str, int]:
        expected, rows, counted = next(given)
        given_clicks = values["sum"] if expected == ONE else json.loads(values["clicks"])
        assert (statements, given_clicks) == (expected, 3 if expected == ONE else [["a", 3]])
        return json.dumps(rows), counted

    monkeypatch.setattr(click_counts, "find_targets", lambda *_: {"a": NEW})
    monkeypatch.setattr(click_counts, "find_and_insert", find_and_insert)
    connection: Any = SimpleNamespace(dialect=SimpleNamespace(name="mysql"))
    assert click_counts.find_and_count(connection, ["a"], {"a": 3}).get("a") == found
    assert not list(given)
