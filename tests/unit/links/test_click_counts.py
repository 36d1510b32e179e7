"""Links that change between the two statements of a batch of clicks."""

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
