"""Histograms of a link's clicks, in buckets of one hour or one day in UTC."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

BUCKET_SIZES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
BUCKET_LIMIT = 1000
DEFAULT_BUCKETS = {"hour": 24, "day": 30}  # if a request has no start


def bucket_range(
    start: datetime | None, end: datetime | None, by: str
) -> tuple[datetime, datetime]:
    """Widen a time range to whole buckets.

    By default, the range ends now and has `DEFAULT_BUCKETS` buckets.

    :raises ValueError: the range is empty, too long, or ends after the year 9999.
    """
    size = BUCKET_SIZES[by]
    try:
        wanted = end or datetime.now(UTC)
        last = bucket_start(wanted, by)
        if last < wanted:
            last += size
        first = bucket_start(start, by) if start else last - size * DEFAULT_BUCKETS[by]
    except OverflowError:
        raise ValueError("The time range must not end after the year 9999.") from None
    if first >= last:
        raise ValueError("The time range must end after it begins.")
    if (last - first) / size > BUCKET_LIMIT:
        raise ValueError(f"The time range must not have more than {BUCKET_LIMIT} buckets.")
    return first, last


def bucketize(
    hours: Mapping[datetime, int], first: datetime, last: datetime, by: str
) -> list[tuple[datetime, int]]:
    """Sum clicks by hour into the buckets of a range, including empty buckets."""
    sums: Counter[datetime] = Counter()
    for hour, clicks in hours.items():
        sums[bucket_start(hour, by)] += clicks
    starts = (first + BUCKET_SIZES[by] * n for n in range((last - first) // BUCKET_SIZES[by]))
    return [(start, sums[start]) for start in starts]


def bucket_start(time: datetime, by: str) -> datetime:
    """Return the start of the hour or day that contains a time."""
    hour = time.replace(minute=0, second=0, microsecond=0)
    return hour if by == "hour" else hour.replace(hour=0)
