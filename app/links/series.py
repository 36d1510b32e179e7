"""A link's clicks over time, cut into hours or days of UTC."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

SIZES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
BUCKET_LIMIT = 1000
SHOWN = {"hour": 24, "day": 30}  # buckets where the client does not say from when


def span(start: datetime | None, end: datetime | None, by: str) -> tuple[datetime, datetime]:
    """Widen a span to whole buckets; it ends now and begins `SHOWN` before, if not told.

    :raises ValueError: it is empty, too long, or outside of what a calendar has.
    """
    size = SIZES[by]
    try:
        wanted = end or datetime.now(UTC)
        last = floor(wanted, by)
        if last < wanted:
            last += size
        first = floor(start, by) if start else last - size * SHOWN[by]
    except OverflowError:
        raise ValueError("The span ends after the year 9999.") from None
    if first >= last:
        raise ValueError("The span must end after it begins.")
    if (last - first) / size > BUCKET_LIMIT:
        raise ValueError(f"The span must not have more than {BUCKET_LIMIT} buckets.")
    return first, last


def cut(
    hours: Mapping[datetime, int], first: datetime, last: datetime, by: str
) -> list[tuple[datetime, int]]:
    """Sum the clicks of hours into the buckets of a span, empty ones too."""
    sums: Counter[datetime] = Counter()
    for hour, clicks in hours.items():
        sums[floor(hour, by)] += clicks
    starts = (first + SIZES[by] * n for n in range((last - first) // SIZES[by]))
    return [(start, sums[start]) for start in starts]


def floor(time: datetime, by: str) -> datetime:
    """Return the beginning of the hour or day of a time."""
    hour = time.replace(minute=0, second=0, microsecond=0)
    return hour if by == "hour" else hour.replace(hour=0)
