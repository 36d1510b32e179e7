"""Lists that are sorted by the clicks of a day, a week or a month."""

from datetime import UTC, datetime, timedelta

from tests.api.conftest import Deployment
from tests.support.links.client import Links
from tests.support.links.pages import listed
from tests.support.service import Service
from tests.support.visitor import Visitor

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RANGES = ("-clicks_24h", "-clicks_7d", "-clicks_30d")


def click(deployment: Deployment, code: str, clicks: int, age: timedelta) -> None:
    """Add clicks on a link in an hour of the past."""
    hour = f"{datetime.now(UTC) - age:%Y-%m-%d %H}:00:00.000000"
    deployment.sql(
        "INSERT INTO link_clicks (link_id, hour, clicks)"
        f" SELECT id, '{hour}', {clicks} FROM links WHERE code = '{code}'"
    )


def ranked(links: Links, sort: str, tag: str, limit: int = 100) -> list[str]:
    """Return the codes of a list, read page by page."""
    found: list[str] = []
    which = {"sort": sort, "tag": tag, "limit": str(limit)}
    while True:
        page = links.service.get("/api/links", params=which).json()
        found += [link["code"] for link in page["links"]]
        if not page["next"]:
            return found
        which = {"after": page["next"], "limit": str(limit)}


def test_links_are_ranked_by_the_clicks_of_a_range(alone: Deployment) -> None:
    """Clicks count in the ranges in which they happened, before and after they are kept.

    Links without clicks in a range are not in its list.
    """
    with Service(alone.url, alone.token()) as service:
        links = Links(service)
        codes = {name: links.create(tags=["t"])["code"] for name in ("a", "b", "c", "d", "none")}
        names = {code: name for name, code in codes.items()}
        for name, clicks, age in (
            ("a", 1, HOUR),
            ("b", 3, 5 * HOUR),
            ("b", 3, 6 * HOUR),
            ("c", 20, 3 * DAY),
            ("a", 40, 20 * DAY),
            ("d", 999, 40 * DAY),
        ):
            click(alone, codes[name], clicks, age)
        wanted = dict(zip(RANGES, ("ba", "cba", "acb"), strict=True))
        for _ in range(2):  # the first time keeps the hours, the second time reads them
            for sort, order in wanted.items():
                for limit in (1, 100):
                    found = ranked(links, sort, "t", limit)
                    assert "".join(names[code] for code in found) == order
        [[kept]] = alone.sql("SELECT COUNT(*) FROM link_top_clicks")
        assert int(kept) == 4
        # Clicks that are not kept yet count too.
        click(alone, codes["a"], 6, timedelta())
        assert ranked(links, "-clicks_24h", "t")[0] == codes["a"]
        # A deleted link leaves the list, and comes back to its place, even if hours were kept
        # meanwhile.
        links.service.delete(f"/api/links/{codes['c']}")
        assert "".join(names[code] for code in ranked(links, "-clicks_7d", "t")) == "ab"
        alone.sql("DELETE FROM link_top_clicks")
        assert "".join(names[code] for code in ranked(links, "-clicks_7d", "t")) == "ab"
        history = links.service.get(f"/api/links/{codes['c']}/history").json()
        number = history["changes"][0]["id"]
        links.service.post(f"/api/links/{codes['c']}/history/{number}/undo")
        assert "".join(names[code] for code in ranked(links, "-clicks_7d", "t")) == "cab"
        links.delete()


def test_page_shows_the_clicks_of_the_range(alone: Deployment) -> None:
    """In a list by clicks, each row has the clicks of the range; a filter applies too."""
    token = alone.token()
    with Service(alone.url, token) as service, Visitor(alone.url, token) as member:
        links = Links(service)
        tag = links.new_code()[:20]
        alone.sql("DELETE FROM link_top_clicks")  # since clicks of past hours are added below
        code, other = (links.create(tags=tags)["code"] for tags in ([tag], []))
        click(alone, code, 1234, DAY * 2)
        click(alone, code, 5000, DAY * 20)
        click(alone, other, 2, DAY * 2)
        page = member.get(f"/links?sort=-clicks_7d&tag={tag}").text
        assert listed(page) == [code]
        assert "<strong>1,234 clicks</strong>" in page
        assert "clicked in the last 7 days" in page
        assert listed(member.get("/links/-/top").text)[:2] == [code, other]
        links.delete()
