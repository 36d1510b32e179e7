"""SQL for reading clicks: sums of hours and roll-ups, and histograms."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from app.links.tables import LINK_CLICK_ROLLUPS, LINK_CLICKS, LINKS


def _sum_of_hours(*conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    clicks = sa.func.coalesce(sa.func.sum(LINK_CLICKS.c.clicks), 0)
    return sa.select(clicks).where(*conditions).scalar_subquery()


def _clicks(rolled_up: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Return the column `clicks`: `rolled_up`, or without a roll-up the sum of all hours."""
    found = _ROLLUP.with_only_columns(rolled_up).scalar_subquery()
    all_hours = _sum_of_hours(LINK_CLICKS.c.link_id == LINKS.c.id)
    return sa.func.coalesce(found, all_hours).label("clicks")


_ROLLUP = sa.select(LINK_CLICK_ROLLUPS.c.until).where(LINK_CLICK_ROLLUPS.c.link_id == LINKS.c.id)
_SINCE = _sum_of_hours(
    LINK_CLICKS.c.link_id == LINK_CLICK_ROLLUPS.c.link_id,
    LINK_CLICKS.c.hour >= LINK_CLICK_ROLLUPS.c.until,
)
ROLLED_UP_UNTIL = _ROLLUP.label("rolled_up_until")
CLICKS = _clicks(LINK_CLICK_ROLLUPS.c.clicks + _SINCE)
# For lists: without the clicks since the roll-up, which `add_recent_clicks` adds.
ROLLED_UP_CLICKS = _clicks(LINK_CLICK_ROLLUPS.c.clicks)


def add_recent_clicks(connection: sa.Connection, links: Sequence[sa.Row[Any]]) -> Sequence[Any]:
    """Return links that were read with `ROLLED_UP_CLICKS`, plus the clicks since their roll-ups.

    This takes a second statement, which contains the hours as values. MySQL uses the index for a
    range of hours only if it knows the hours before the statement runs. If they came from a row of
    another table, it would read all hours of the link.
    """
    since = {link.id: link.rolled_up_until for link in links if link.rolled_up_until}
    if not since:
        return links
    clicks = dict(connection.execute(recent_clicks(since)).all())
    return [
        SimpleNamespace(**{**link._mapping, "clicks": link.clicks + clicks.get(link.id, 0)})
        for link in links
    ]


def recent_clicks(since: Mapping[int, datetime]) -> sa.Select[int, int]:
    """Return the query for the clicks of links since a given hour.

    :param since: the hour for each link, by the link's id.
    """
    links_by_hour = defaultdict(list)
    for link, hour in since.items():
        links_by_hour[hour].append(link)
    ranges = (
        sa.and_(LINK_CLICKS.c.link_id.in_(links), LINK_CLICKS.c.hour >= hour)
        for hour, links in links_by_hour.items()
    )
    clicks = sa.func.sum(LINK_CLICKS.c.clicks)
    return (
        sa.select(LINK_CLICKS.c.link_id, clicks)
        .where(sa.or_(*ranges))
        .group_by(LINK_CLICKS.c.link_id)
    )


def clicks_by_hour(
    connection: sa.Connection, link: sa.Row[Any], start: datetime, end: datetime
) -> dict[datetime, int]:
    """Return a link's clicks by hour, from `start` up to but excluding `end`.

    Hours without clicks are left out.
    """
    query = sa.select(LINK_CLICKS.c.hour, LINK_CLICKS.c.clicks).where(
        LINK_CLICKS.c.link_id == link.id, LINK_CLICKS.c.hour >= start, LINK_CLICKS.c.hour < end
    )
    return dict(connection.execute(query).all())
