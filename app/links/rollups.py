"""Roll-ups: the clicks of hours long past, summed once.

Else each read of a link would sum a row for each hour in which it was ever followed. The hours stay
for series: who corrects one by hand deletes the link's roll-up, and the next read makes another.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.exc import IntegrityError

from app.database import AWAY, UTCDateTime, database
from app.links import series

DUE = timedelta(days=60)  # after which there are 1,440 hours to sum
FEW = 1000  # clicks, which are in no more hours: not worth a row
AT_ONCE = 10  # links, so that a page of many such ones has an answer in time; the next read goes on

# In the order of the key, so that two can't wait for each other.
ROLL_UP = text("""
    REPLACE INTO link_click_rollups (link_id, until, clicks)
    SELECT id, :until, (SELECT COALESCE(SUM(clicks), 0) FROM link_clicks
                        WHERE link_id = links.id AND hour < :until)
    FROM links WHERE id IN :ids AND NOT EXISTS (
        SELECT * FROM link_click_rollups WHERE link_id = links.id AND until >= :until)
    ORDER BY id""").bindparams(
    bindparam("ids", expanding=True), bindparam("until", type_=UTCDateTime(0))
)


def roll_up(links: Iterable[Any]) -> None:
    """Roll up the clicks of those links, as they were read, for which it is due."""
    now = datetime.now(UTC)
    due = [
        link.id
        for link in links
        if link.clicks > FEW and now - (link.rolled_up_until or link.created_at) > DUE
    ]
    if due:
        # A day ago no replica counts clicks any more, whatever its clock says.
        until = series.floor(now - timedelta(days=1), "day")
        # In READ COMMITTED, where it locks no hours. A database that can only read now can still
        # serve reads, and a link may be deleted meanwhile.
        with suppress(*AWAY, IntegrityError):
            database().write(
                lambda connection: connection.execute(
                    ROLL_UP, {"ids": due[:AT_ONCE], "until": until}
                )
            )
