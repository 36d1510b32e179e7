"""Pages that show the clicks of a link and the most clicked links."""

import re

from tests.api.conftest import Deployment
from tests.support.links.client import Links
from tests.support.links.pages import listed
from tests.support.visitor import Visitor


def test_clicks_are_shown(member: Visitor, links: Links) -> None:
    """A link's page shows its clicks in total and as accessible charts by hour and by day."""
    code = links.create()["code"]
    for _ in range(3):
        links.service.get(f"/{code}")
    page = member.get(f"/links/{code}").text
    labels = re.findall('<svg [^>]*role="img" aria-label="([^"]*)"', page)
    assert [label.partition(",")[0] for label in labels] == [
        "Last 24 hours: 3 clicks",
        "Last 30 days: 3 clicks",
    ]
    assert len(re.findall("<rect ", page)) == 2
    cells = re.findall(r"<td>(\d+)</td>", page)
    assert len(cells) == 24 + 30
    assert sum(map(int, cells)) == 6
    assert "<strong>3 clicks</strong>" in member.get("/links", params={"q": code}).text
    # Opening these pages does not count as a click.
    assert links.service.get(f"/api/links/{code}").json()["clicks"] == 3


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
