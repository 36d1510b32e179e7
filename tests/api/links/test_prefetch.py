"""Requests of browsers that load a target before anybody clicks."""

import pytest

from tests.support.links.client import TARGET, Links
from tests.support.service import Service


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("Sec-Purpose", "prefetch", id="prefetch"),
        pytest.param("Sec-Purpose", "prefetch;prerender", id="prerender"),
        pytest.param("Purpose", "prefetch", id="older browsers"),
        pytest.param("X-Moz", "prefetch", id="Firefox"),
        pytest.param("X-Purpose", "preview", id="Safari"),
    ],
)
def test_prefetch_is_not_a_click(service: Service, links: Links, name: str, value: str) -> None:
    """A prefetch gets its redirect and counts nothing. The click that follows is counted.

    The browser must not store the response: it would not ask again on a click.
    """
    code = links.create()["code"]
    early = service.get(f"/{code}/x?y=1", headers={name: value})
    assert (early.status_code, early.headers["Location"]) == (302, f"{TARGET}/x?y=1")
    assert early.headers["Cache-Control"] == "no-store"
    assert service.get(f"/api/links/{code}").json()["clicks"] == 0
    assert service.get(f"/{code}").headers["Cache-Control"] == "private, max-age=0"
    assert service.get(f"/api/links/{code}").json()["clicks"] == 1


def test_other_headers_do_not_prevent_a_count(service: Service, links: Links) -> None:
    """A header with a similar name, or with another value, changes nothing."""
    code = links.create()["code"]
    for name, value in (("X-Purposes", "prefetch"), ("X-Mozilla", "prefetch"), ("Purpose", "x")):
        service.get(f"/{code}", headers={name: value})
    assert service.get(f"/api/links/{code}").json()["clicks"] == 3
