"""A link with clicks of ten years is renamed while it is clicked."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.compose import Stack
from tests.support.links.client import Links

HOURS = 87_600  # of ten years
PAST = f"""
    SET SESSION cte_max_recursion_depth = {HOURS};
    INSERT INTO link_clicks (link_id, hour, clicks)
        WITH RECURSIVE hours_ (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hours_ WHERE n < {HOURS})
        SELECT id, '2010-01-01' + INTERVAL n HOUR, 1 FROM hours_ JOIN links ON code = '{{code}}';
    INSERT INTO link_click_rollups SELECT id, '2015-01-01', 43823 FROM links WHERE code = '{{code}}'
"""


def test_popular_link_is_renamed(stack: Stack, links: Links) -> None:
    """All clicks move, and each click that was answered meanwhile is counted, under either code."""
    old, new = links.create()["code"], links.new_code()
    stack.mysql_root(PAST.format(code=old))
    before = links.service.get(f"/api/links/{old}").json()["clicks"]

    def click(number: int) -> int:
        return links.service.get(f"/{(old, new)[number % 2]}").status_code

    with ThreadPoolExecutor(8) as pool:
        clicks = pool.map(click, range(400))
        renamed = links.service.patch(f"/api/links/{old}", json={"code": new})
        statuses = list(clicks)
    assert renamed.status_code == 200
    assert set(statuses) <= {302, 404, 503}  # 503: the click would have waited too long
    read = links.service.get(f"/api/links/{new}").json()
    counted = read["clicks"] - before
    assert statuses.count(302) <= counted <= len(statuses)
    assert stack.mysql_root(
        f"SELECT COUNT(*) >= {HOURS} FROM link_clicks JOIN links ON id = link_id"
        f" WHERE code = '{new}'"
    ) == [["1"]]
