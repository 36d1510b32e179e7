"""The chart of a link's clicks: its bars, its axes, and the ranges to choose from."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row

from app.database import database
from app.links import histogram, imports, service

WIDTH, HEIGHT = 600, 100  # of the drawing, which is stretched to the size of its place
TICKS = 4  # labels below the chart
STEPS = (1, 2, 4, 6, 8, 10)


class Range(NamedTuple):
    """A time range: its name, the size of its bars and their number."""

    name: str
    by: str
    bars: int


RANGES = {
    "24h": Range("24 hours", "hour", 24),
    "7d": Range("7 days", "day", 7),
    "30d": Range("30 days", "day", 30),
    "90d": Range("90 days", "day", 90),
}
DEFAULT = "30d"


def chart(link: Row[Any], arguments: Mapping[str, str]) -> dict[str, Any]:
    """Return the chart of a link's clicks, for the template.

    :param arguments: `range`, a key of RANGES, and `zone`, the time zone of the reader.
    """
    chosen = arguments.get("range", DEFAULT)
    name, by, bars = RANGES.get(chosen, RANGES[DEFAULT])
    try:
        zone = imports.time_zone(arguments.get("zone", "UTC"))
    except ValueError:
        zone = UTC
    now = datetime.now(zone)
    starts = histogram.local_starts(now, by, bars)
    hours = service.count_clicks(database(), link, starts[0], now + timedelta(hours=1))
    buckets = histogram.sum_by_start(hours, starts)
    peak = max(clicks for _, clicks in buckets)
    top = axis_top(peak)
    return {
        "range": chosen if chosen in RANGES else DEFAULT,
        "name": f"Last {name}",
        "by": by,
        "zone": str(zone),
        "total": sum(clicks for _, clicks in buckets),
        "peak": peak,
        "values": [top, top // 2, 0],
        "bars": [_bar(n, clicks / top, bars) for n, (_, clicks) in enumerate(buckets) if clicks],
        "buckets": [(_label(at, by), clicks) for at, clicks in buckets],
        "ticks": [_label(starts[n * (bars - 1) // (TICKS - 1)], by) for n in range(TICKS)],
    }


def axis_top(peak: int) -> int:
    """Return the value at the top of the axis: an even, round number that is not less than `peak`.

    So the value in the middle is a whole number too.
    """
    power = int("1" + "0" * (len(str(peak)) - 1))
    return max(2, next(step * power for step in STEPS if step * power >= peak))


def _bar(place: int, share: float, bars: int) -> dict[str, Any]:
    slot, height = WIDTH / bars, max(HEIGHT * share, 1)
    gap = min(slot / 5, 4)
    return {
        "place": place,
        "x": f"{place * slot + gap / 2:.1f}",
        "y": f"{HEIGHT - height:.1f}",
        "width": f"{slot - gap:.1f}",
        "height": f"{height:.1f}",
    }


def _label(at: datetime, by: str) -> str:
    return f"{at:%H:%M}" if by == "hour" else f"{at:%-d %b}"
