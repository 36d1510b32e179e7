"""Roll-ups: the clicks of past hours, summed once for each link.

Without them, each read of a link would sum a row for every hour in which the link was clicked. The
rows of hours are kept for histograms. If you correct one by hand, also delete the link's roll-up;
the next read creates a new one.
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

INTERVAL = timedelta(days=60)  # between two roll-ups of a link, so up to 1,440 hours to sum
MIN_CLICKS = 1000  # a link with fewer has few rows of hours to sum
MAX_LINKS = 10  # rolled up by one read, so that even a page of such links is answered in time

# In the order of the primary key, so that two of these statements can't deadlock.
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
    """Create the roll-ups that are due for links that were just read.

    If the database can't be written, do nothing.
    """
    now = datetime.now(UTC)
    due = [
        link.id
        for link in links
        if link.clicks > MIN_CLICKS and now - (link.rolled_up_until or link.created_at) > INTERVAL
    ]
    if due:
        # Even if its clock is wrong, no replica of the service still adds clicks before this time.
        until = histogram.bucket_start(now - timedelta(days=1), "day")
        # In a transaction, since its READ COMMITTED does not lock the rows of hours. Ignore errors:
        # the read must succeed even if the database is read-only, or if the link was deleted
        # meanwhile (IntegrityError).
        with suppress(*UNAVAILABLE, IntegrityError):
            database.write(
                lambda connection: connection.execute(
                    ROLL_UP, {"ids": due[:MAX_LINKS], "until": until}
                )
            )
