"""Targets: what follows a code is added to them, whatever they hold."""

from urllib.parse import urlsplit

import pytest
from werkzeug.urls import iri_to_uri

from app.links import targets

OWN = "https://go.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://go.example.com",
        "http://go.example.com:443/x",
        "http://go.example.com",
        "https://GO.example.com./x",
        "https://user:pw@go.example.com:443",
        "HTTPS://go.example.com?x",
    ],
)
def test_own_address_is_a_loop(url: str) -> None:
    """This service is found in any spelling of its address."""
    assert targets.rejection_reason(url, OWN) == "Must not lead back to this service."


@pytest.mark.parametrize(
    "url",
    [
        "https://go.example.com:8443",
        "https://example.com",
        "https://[2001:db8::1]:8080/x",
        "https://bücher.example/ü?ü#ü",
        "https://example.com/" + "x" * (2048 - 20),
        "https://a/b|c^d`{e}",
    ],
)
def test_other_addresses_are_fine(url: str) -> None:
    """Whatever a browser can open is a target."""
    assert targets.rejection_reason(url, OWN) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://%67o.example.com",
        "http://exa%00mple.com",
        "http://<b>.example",
        "http://straße.example",
        "http://[fe80::1%25eth0]/",
        "http://a|b/",
    ],
)
def test_odd_hosts_are_refused(url: str) -> None:
    """A host that browsers read as another, or not at all, is no target."""
    assert (
        targets.rejection_reason(url, OWN)
        == "Must be an absolute http or https URL with a valid host."
    )


@pytest.mark.parametrize(
    "host", ["a..example.com", ".example.com", "a" * 64, "example.com:65536", "[2001:db8::1"]
)
def test_hosts_that_nobody_can_have_are_refused(host: str) -> None:
    """The rules of DNS, of ports and of IPv6 hold."""
    assert targets.rejection_reason(f"https://{host}/x", OWN) == "Must be a valid URL."


@pytest.mark.parametrize(
    "url",
    [
        f"https://example.com/{targets.ALLOWED}",
        f"https://example.com/?{targets.ALLOWED}",
        *(f"https://example.com/{chr(c)}" for c in range(0x21, 0x100)),
        *(f"https://example.com/?{chr(c)}" for c in range(0x21, 0x100)),
        "https://example.com",
        "https://example.com?",
        "https://EXAMPLE.com/",
        "HTTPS://example.com/",
        "https://example.com./",
        "https://example.com:443/",
        "https://example.com:0443/",
        "https://example.com:0/",
        "https://example.com:/",
        "https://user:@example.com/",
        "https://@example.com/",
        "https://[2001:DB8::1]/",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/",
    ],
)
def test_location_is_a_uri(url: str) -> None:
    """What looks like one is not made into one, and would not have been changed."""
    assert targets.location_of(url) == iri_to_uri(url)


def test_location_keeps_the_host() -> None:
    """Nothing in a request's path or query changes the host of the target."""
    for target in ("https://example.com", "https://example.com/a?b#c"):
        for rest in ("", "/", "//evil.example", "/@evil.example", "/\\evil.example", "/:80"):
            for query in ("", "@evil.example", "x=https://evil.example/"):
                location = targets.location_of(target, rest, query)
                assert urlsplit(location).netloc == "example.com"
                assert location.isascii()
