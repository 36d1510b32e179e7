"""Roll-ups: the clicks of past hours, summed once.

Otherwise each read of a link would sum a row for each hour in which it was ever followed. The hours
stay, for histograms. To correct one by hand, also delete the link's roll-up: the next read makes a
new one.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.exc import IntegrityError

from app.database import Database
from app.database.errors import UNAVAILABLE
from app.database.types import UTCDateTime
from app.links import histogram

INTERVAL = timedelta(days=60)  # between two roll-ups of a link: 1,440 hours to sum
MIN_CLICKS = 1000  # a link with fewer has few hours, which are not worth a roll-up
MAX_LINKS = 10  # in one read, so that a page of such links is answered in time

# In the order of the key, so that two of them can't deadlock.
ROLL_UP = text("""
    REPLACE INTO link_click_rollups (link_id, until, clicks)
    SELECT id, :until, (SELECT COALESCE(SUM(clicks), 0) FROM link_clicks
                        WHERE link_id = links.id AND hour < :until)
    FROM links WHERE id IN :ids AND NOT EXISTS (
        SELECT * FROM link_click_rollups WHERE link_id = links.id AND until >= :until)
    ORDER BY id""").bindparams(
    bindparam("ids", expanding=True), bindparam("until", type_=UTCDateTime(0))
)


def roll_up(database: Database, links: Iterable[Any]) -> None:
    """Make the roll-ups that are due, for links as they were read."""
    now = datetime.now(UTC)
    due = [
        link.id
        for link in links
        if link.clicks > MIN_CLICKS and now - (link.rolled_up_until or link.created_at) > INTERVAL
    ]
    if due:
        # No replica still counts clicks of a day ago, even if its clock is wrong.
        until = histogram.bucket_start(now - timedelta(days=1), "day")
        # In READ COMMITTED, which locks no hours. A database that is read-only for now can still
        # serve reads, and a link may be deleted meanwhile.
        with suppress(*UNAVAILABLE, IntegrityError):
            database.write(
                lambda connection: connection.execute(
                    ROLL_UP, {"ids": due[:MAX_LINKS], "until": until}
                )
            )
