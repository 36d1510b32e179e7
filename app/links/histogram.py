"""A link's clicks over time, in buckets of an hour or a day of UTC."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

BUCKET_SIZES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
BUCKET_LIMIT = 1000
DEFAULT_BUCKETS = {"hour": 24, "day": 30}  # where a request has no start


def bucket_range(
    start: datetime | None, end: datetime | None, by: str
) -> tuple[datetime, datetime]:
    """Widen a range to whole buckets. By default it ends now and has `DEFAULT_BUCKETS`.

    :raises ValueError: it is empty, too long, or outside of the calendar.
    """
    size = BUCKET_SIZES[by]
    try:
        wanted = end or datetime.now(UTC)
        last = bucket_start(wanted, by)
        if last < wanted:
            last += size
        first = bucket_start(start, by) if start else last - size * DEFAULT_BUCKETS[by]
    except OverflowError:
        raise ValueError("The span ends after the year 9999.") from None
    if first >= last:
        raise ValueError("The span must end after it begins.")
    if (last - first) / size > BUCKET_LIMIT:
        raise ValueError(f"The span must not have more than {BUCKET_LIMIT} buckets.")
    return first, last


def bucketize(
    hours: Mapping[datetime, int], first: datetime, last: datetime, by: str
) -> list[tuple[datetime, int]]:
    """Sum the clicks of hours into the buckets of a range, empty ones too."""
    sums: Counter[datetime] = Counter()
    for hour, clicks in hours.items():
        sums[bucket_start(hour, by)] += clicks
    starts = (first + BUCKET_SIZES[by] * n for n in range((last - first) // BUCKET_SIZES[by]))
    return [(start, sums[start]) for start in starts]


def bucket_start(time: datetime, by: str) -> datetime:
    """Return the beginning of the hour or day of a time."""
    hour = time.replace(minute=0, second=0, microsecond=0)
    return hour if by == "hour" else hour.replace(hour=0)
