"""Histograms of a link's clicks, in buckets of one hour or one day."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

BUCKET_SIZES = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
BUCKET_LIMIT = 1000
DEFAULT_BUCKETS = {"hour": 24, "day": 30}  # if a request has no start


def bucket_range(
    start: datetime | None, end: datetime | None, by: str
) -> tuple[datetime, datetime]:
    """Widen a time range to whole buckets.

    By default, the range ends now and has `DEFAULT_BUCKETS` buckets.

    :raises ValueError: the range is empty or too long.
    :raises OverflowError: it ends after the year 9999.
    """
    size = BUCKET_SIZES[by]
    try:
        wanted = end or datetime.now(UTC)
        last = bucket_start(wanted, by)
        if last < wanted:
            last += size
        first = bucket_start(start, by) if start else last - size * DEFAULT_BUCKETS[by]
    except OverflowError:
        raise OverflowError("The time range must not end after the year 9999.") from None
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


def local_starts(now: datetime, by: str, count: int) -> list[datetime]:
    """Return the starts of the last `count` hours or days in the time zone of `now`.

    A day begins at midnight, so it can have 23 or 25 hours.
    """
    if by == "hour":
        hour = bucket_start(now.astimezone(UTC), by)
        starts = [hour - n * BUCKET_SIZES[by] for n in range(count)]
        return [start.astimezone(now.tzinfo) for start in reversed(starts)]
    return [bucket_start(now, by) - n * BUCKET_SIZES[by] for n in reversed(range(count))]


def sum_by_start(
    hours: Mapping[datetime, int], starts: Sequence[datetime]
) -> list[tuple[datetime, int]]:
    """Sum clicks by hour into buckets that begin at `starts`. The last one has no end.

    Clicks before the first start are left out. Clicks are known by the hour in UTC: where a day
    begins at half an hour, the hour counts for the day in which it begins.
    """
    ordered = [start.astimezone(UTC) for start in starts]
    sums = [0] * len(starts)
    for hour, clicks in hours.items():
        if (place := bisect_right(ordered, hour)) > 0:
            sums[place - 1] += clicks
    return list(zip(starts, sums, strict=True))
