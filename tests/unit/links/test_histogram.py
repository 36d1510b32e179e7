"""Clicks are summed in buckets of hours and days."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.links import histogram
from app.links.pages import charts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("end", "by", "last"),
    [
        pytest.param(NOON, "hour", NOON, id="full hour"),
        pytest.param(
            NOON + timedelta(microseconds=1),
            "hour",
            NOON + timedelta(hours=1),
            id="a moment after the full hour",
        ),
        pytest.param(NOON, "day", NOON + timedelta(hours=12), id="middle of a day"),
    ],
)
def test_span_ends_with_a_whole_bucket(end: datetime, by: str, last: datetime) -> None:
    """The end is rounded up to a whole bucket, and the default start counts back from there."""
    assert histogram.bucket_range(None, end, by) == (
        last - histogram.BUCKET_SIZES[by] * histogram.DEFAULT_BUCKETS[by],
        last,
    )


def test_longest_span() -> None:
    """A span can have 1000 buckets; one more is an error."""
    thousand = timedelta(hours=1000)
    assert histogram.bucket_range(NOON - thousand, NOON, "hour") == (NOON - thousand, NOON)
    with pytest.raises(ValueError, match="1000 buckets"):
        histogram.bucket_range(NOON - thousand, NOON + timedelta(seconds=1), "hour")


def test_hours_add_up_to_days() -> None:
    """Each hour's clicks are added to their day in UTC, and empty days are included."""
    midnight = NOON.replace(hour=0)
    hours = {midnight - timedelta(hours=1): 1, midnight: 2, NOON: 3}
    days = [midnight + timedelta(days=n) for n in (-1, 0, 1)]
    assert histogram.bucketize(hours, days[0], days[2] + timedelta(days=1), "day") == [
        (days[0], 1),
        (days[1], 5),
        (days[2], 0),
    ]


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        pytest.param(datetime(2026, 3, 29), "Europe/Berlin", 23, id="summer time begins"),  # noqa: DTZ001
        pytest.param(datetime(2026, 10, 25), "Europe/Berlin", 25, id="summer time ends"),  # noqa: DTZ001
        pytest.param(datetime(2026, 5, 1), "Asia/Kolkata", 24, id="begins at half an hour"),  # noqa: DTZ001
    ],
)
def test_local_days(day: datetime, zone: str, hours: int) -> None:
    """A day of the reader has 23 to 25 hours, and each hour counts for one day."""
    now = day.replace(hour=12, tzinfo=ZoneInfo(zone)) + timedelta(days=1)
    starts = histogram.local_starts(now, "day", 3)
    assert [(start.day, start.hour) for start in starts] == [
        ((day + timedelta(days=n)).day, 0) for n in (-1, 0, 1)
    ]
    first = starts[0].astimezone(UTC).replace(minute=0)
    clicks = {first + timedelta(hours=n): 1 for n in range(72)}
    assert histogram.sum_by_start(clicks, starts)[1] == (starts[1], hours)


@pytest.mark.parametrize(
    ("peak", "top"),
    [(0, 2), (1, 2), (3, 4), (5, 6), (10, 10), (11, 20), (99, 100), (401, 600)],
    ids=str,
)
def test_axis_ends_above_the_peak(peak: int, top: int) -> None:
    """The axis ends at an even, round number."""
    assert charts.axis_top(peak) == top
