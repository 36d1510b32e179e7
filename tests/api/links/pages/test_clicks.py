"""Pages that show the clicks of a link and the most clicked links."""

import re
from datetime import UTC, datetime, timedelta

from tests.api.conftest import Deployment
from tests.support.links.client import Links
from tests.support.links.pages import listed
from tests.support.visitor import Visitor


def test_clicks_are_shown(member: Visitor, links: Links) -> None:
    """A link's page shows its clicks in total and as an accessible chart of a chosen range."""
    code = links.create()["code"]
    for _ in range(3):
        links.service.get(f"/{code}")
    ranges = {"": ("30 days", 30), "?range=24h": ("24 hours", 24), "?range=x": ("30 days", 30)}
    for query, (name, bars) in ranges.items():
        page = member.get(f"/links/{code}{query}").text
        [label] = re.findall('<svg [^>]*role="img" aria-label="([^"]*)"', page)
        assert label.startswith(f"Last {name}: 3 clicks, at most 3 in one ")
        assert "in the time zone UTC." in page
        assert page.count("<rect ") == 1
        cells = re.findall(r"<td>(\d+)</td>", page)
        assert (len(cells), sum(map(int, cells))) == (bars, 3)
    assert "<strong>3 clicks</strong>" in member.get("/links", params={"q": code}).text
    # Opening these pages does not count as a click.
    assert links.service.get(f"/api/links/{code}").json()["clicks"] == 3


def test_chart_is_in_the_time_zone_of_the_reader(
    member: Visitor, links: Links, deployment: Deployment
) -> None:
    """Days begin at midnight of the reader's time zone. An unknown zone is UTC."""
    code = links.create()["code"]
    yesterday = datetime.now(UTC) - timedelta(days=1)
    hour = f"{yesterday:%Y-%m-%d} 23:00:00.000000"
    deployment.sql(
        f"INSERT INTO link_clicks SELECT id, '{hour}', 5 FROM links WHERE code = '{code}'"
    )
    for zone, day in (("Pacific/Kiritimati", datetime.now(UTC)), ("No/where", yesterday)):
        page = member.get(f"/links/{code}", params={"zone": zone}).text
        assert f'<th scope="row">{day:%-d %b}</th><td>5</td>' in page
        assert ("in the time zone UTC." in page) == (zone == "No/where")


def test_most_clicked_links_of_the_week(
    member: Visitor, links: Links, deployment: Deployment
) -> None:
    """The page ranks links by their clicks in the last week; older clicks do not count."""
    codes = [links.create()["code"] for _ in range(3)]
    for code, clicks in zip(codes, (900_001, 900_002, 1), strict=True):
        links.service.get(f"/{code}")
        deployment.sql(
            f"UPDATE link_clicks SET clicks = {clicks} WHERE link_id ="
            f" (SELECT id FROM links WHERE code = '{code}')"
        )
    deployment.sql(
        "INSERT INTO link_clicks SELECT id, '2020-01-01 00:00:00.000000', 9000000 FROM links"
        f" WHERE code = '{codes[2]}'"
    )
    page = member.get("/links/-/top").text
    assert listed(page)[:2] == [codes[1], codes[0]]
    assert "<strong>900,002 clicks</strong>" in page
