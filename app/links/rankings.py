"""The most clicked links of the last day, week or month.

A month can have a row for each link in each of 720 hours, too many to sum for a page. So the links
with the most clicks in each past hour are kept in a table of their own. The first reader after
that hour fills it, so redirects have nothing to do with it. The last hours are summed from the rows
that redirects write.

A ranking is exact if at most `PER_HOUR` links are clicked in an hour. Otherwise it lacks the clicks
of a link in the hours in which it was not among these. It is also incomplete for a while if there
is more to keep than fits into the time of one request: the next readers go on.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from app.database import Database
from app.database.errors import UNAVAILABLE
from app.links.histogram import bucket_start
from app.links.tables import LINK_CLICKS, LINK_TOP_CLICKS

PER_HOUR = 500  # links, so that a month has at most 360,000 rows
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEEP_WITHIN = 5  # seconds of a request
AT_ONCE = 6 * HOUR  # in one transaction, whose time is limited
MARGIN = 2 * HOUR  # until an hour is kept: the clocks of other replicas can be behind
RANGES = {"-clicks_24h": DAY, "-clicks_7d": 7 * DAY, "-clicks_30d": 30 * DAY}
"""The sort orders of lists by clicks, with the time range of each."""
TTL = max(RANGES.values()) + DAY

# Several hours at once. REPLACE, because another request can keep the same hours.
KEEP = sa.text("""
    REPLACE INTO link_top_clicks (hour, link_id, clicks)
    SELECT hour, link_id, clicks FROM (
        SELECT hour, link_id, clicks, ROW_NUMBER() OVER (
            PARTITION BY hour ORDER BY clicks DESC, link_id) AS place
        FROM link_clicks WHERE hour >= :start AND hour < :end) AS ranked
    WHERE place <= :places ORDER BY hour, link_id""").bindparams(
    sa.bindparam("start", type_=LINK_CLICKS.c.hour.type),
    sa.bindparam("end", type_=LINK_CLICKS.c.hour.type),
    sa.bindparam("places", PER_HOUR),
)
LAST_KEPT = sa.select(sa.func.max(LINK_TOP_CLICKS.c.hour))

# Held by the request that keeps hours: others of this process would do the same work.
_keeping = threading.Lock()


def keep(database: Database) -> None:
    """Keep the most clicked links of the hours that have passed since the last call.

    If the database can't be written, or after `KEEP_WITHIN`, do nothing more: the next call goes
    on.
    """
    if _keeping.acquire(blocking=False):
        try:
            with suppress(*UNAVAILABLE):
                _keep(database)
        finally:
            _keeping.release()


def _keep(database: Database) -> None:
    until = time.monotonic() + KEEP_WITHIN
    now = datetime.now(UTC)
    end = bucket_start(now - MARGIN, "hour")
    with database.read(long=True) as connection:
        last = connection.scalar(LAST_KEPT)
        start = max(last + HOUR, end - TTL) if last else end - TTL
        due = connection.scalar(_first_clicked(start, end))
    while due and time.monotonic() < until:
        values = {"start": due, "end": min(due + AT_ONCE, end)}
        database.write(partial(sa.Connection.execute, statement=KEEP, parameters=values), long=True)
        with database.read(long=True) as connection:
            due = connection.scalar(_first_clicked(values["end"], end))
    if last is None or last + HOUR < end:
        database.sweep(LINK_TOP_CLICKS.c.hour, TTL)


def keep_restored(connection: sa.Connection, link_id: int) -> None:
    """Keep the clicks of a restored link in the hours that were kept while it was deleted."""
    last = connection.scalar(LAST_KEPT)
    kept, counted = LINK_TOP_CLICKS.columns, LINK_CLICKS.columns
    connection.execute(sa.delete(LINK_TOP_CLICKS).where(kept.link_id == link_id))
    if last:
        rows = sa.select(counted.hour, counted.link_id, counted.clicks).where(
            counted.link_id == link_id, counted.hour.between(last - TTL, last)
        )
        names = ["hour", "link_id", "clicks"]
        connection.execute(sa.insert(LINK_TOP_CLICKS).from_select(names, rows))


def ranking() -> sa.Subquery:
    """Return the query for the columns `link_id` and `clicks`, with the values of `hours`."""
    kept, counted = LINK_TOP_CLICKS.columns, LINK_CLICKS.columns
    names = ("start", "kept_until", "counted_from")
    bounds = {name: sa.bindparam(name, type_=kept.hour.type) for name in names}
    old = sa.select(kept.link_id, kept.clicks).where(
        kept.hour >= bounds["start"], kept.hour < bounds["kept_until"]
    )
    new = sa.select(counted.link_id, counted.clicks).where(counted.hour >= bounds["counted_from"])
    both = sa.union_all(old, new).subquery()
    clicks = sa.func.sum(both.c.clicks, type_=sa.BigInteger).label("clicks")
    return sa.select(both.c.link_id, clicks).group_by(both.c.link_id).subquery("ranking")


def hours(connection: sa.Connection, sort: str) -> Mapping[str, Any]:
    """Return the start of a sort order's time range, and the end of the hours that are kept.

    From `counted_from` on, the rows that redirects write are summed: at most those of a day.
    """
    now = datetime.now(UTC)
    start = bucket_start(now - RANGES[sort], "hour")
    last = connection.scalar(LAST_KEPT)
    kept_until = max(start, last + HOUR) if last else start
    counted_from = max(kept_until, bucket_start(now - DAY, "hour"))
    return {"start": start, "kept_until": kept_until, "counted_from": counted_from}


def _first_clicked(start: datetime, end: datetime) -> sa.Select[Any]:
    hour = LINK_CLICKS.c.hour
    return sa.select(sa.func.min(hour)).where(hour >= start, hour < end)
