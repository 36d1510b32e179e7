"""Clicks by hour and day."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.support.links.client import Links
from tests.support.service import Service


@pytest.mark.parametrize(
    ("by", "buckets"), [pytest.param("hour", 24, id="hour"), pytest.param("day", 30, id="day")]
)
def test_series_shows_recent_clicks(service: Service, links: Links, by: str, buckets: int) -> None:
    """The series has 24 hours or 30 days, the current one last. Empty buckets are included."""
    code = links.create()["code"]
    for _ in range(3):
        service.get(f"/{code}")
    answer = service.get(f"/api/links/{code}/clicks?by={by}").json()
    assert answer["total"] == 3
    assert len(answer["series"]) == buckets
    # The three clicks can fall into two buckets, if one ends meanwhile.
    assert sum(bucket["clicks"] for bucket in answer["series"][-2:]) == 3
    times = [datetime.fromisoformat(bucket["at"]) for bucket in answer["series"]]
    assert {b - a for a, b in pairwise(times)} == {
        timedelta(hours=1) if by == "hour" else timedelta(days=1)
    }


def test_series_takes_whole_buckets(service: Service, links: Links) -> None:
    """A time span is widened to whole buckets."""
    code = links.create()["code"]
    span = {"from": "2026-01-01T10:59:59Z", "to": "2026-01-01T12:00:01+00:00", "by": "hour"}
    answer = service.get(f"/api/links/{code}/clicks", params=span).json()
    assert answer == {
        "total": 0,
        "series": [{"at": f"2026-01-01T{hour}:00:00Z", "clicks": 0} for hour in (10, 11, 12)],
    }


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        pytest.param("by=week", "by", id="unknown bucket"),
        pytest.param("from=2026-01-01", "from", id="start without a time"),
        pytest.param("to=now", "to", id="end that is no time"),
        pytest.param("to=2026-01-01T24:00:00Z", "to", id="end at hour 24"),
        pytest.param(
            "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from", id="start after the end"
        ),
        pytest.param(
            "from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from", id="span too long"
        ),
        pytest.param(
            "from=9999-12-31T23:00:00Z&to=9999-12-31T23:30:00Z",
            "to",
            id="last hour of the calendar",
        ),
        pytest.param("to=9999-12-31T23:30:00Z", "to", id="end in the last hour, no start"),
    ],
)
def test_wrong_span_is_named(service: Service, links: Links, query: str, parameter: str) -> None:
    """An empty, too long or invalid time span gets 422 with the name of the wrong parameter."""
    answer = service.get(f"/api/links/{links.create()['code']}/clicks?{query}")
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]
