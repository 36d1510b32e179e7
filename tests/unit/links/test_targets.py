"""The rules of target URLs, and how a request's path and query are added to a target."""

from urllib.parse import urlsplit

import pytest
from werkzeug.urls import iri_to_uri

from app.links import targets

OWN = "https://go.example.com"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://go.example.com", id="own address"),
        pytest.param("http://go.example.com:443/x", id="HTTP on the HTTPS port"),
        pytest.param("http://go.example.com", id="HTTP"),
        pytest.param("https://GO.example.com./x", id="upper case and final dot"),
        pytest.param("https://user:pw@go.example.com:443", id="user and port"),
        pytest.param("HTTPS://go.example.com?x", id="upper-case scheme"),
    ],
)
def test_own_address_is_a_loop(url: str) -> None:
    """A target that leads back to this service is rejected, in any spelling of its address."""
    assert targets.rejection_reason(url, OWN) == "Must not lead back to this service."


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://go.example.com:8443", id="other port"),
        pytest.param("https://example.com", id="other host"),
        pytest.param("https://[2001:db8::1]:8080/x", id="IPv6 address"),
        pytest.param("https://bücher.example/ü?ü#ü", id="international host"),
        pytest.param("https://example.com/" + "x" * (3000 - 20), id="longest allowed"),
        pytest.param("https://a/b|c^d`{e}", id="punctuation"),
    ],
)
def test_other_addresses_are_fine(url: str) -> None:
    """A URL that a browser can open is a valid target."""
    assert targets.rejection_reason(url, OWN) is None


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://%67o.example.com", id="encoded letter"),
        pytest.param("http://exa%00mple.com", id="encoded null byte"),
        pytest.param("http://<b>.example", id="markup"),
        pytest.param("http://straße.example", id="sharp s"),
        pytest.param("http://[fe80::1%25eth0]/", id="IPv6 zone"),
        pytest.param("http://a|b/", id="pipe"),
    ],
)
def test_odd_hosts_are_refused(url: str) -> None:
    """A host that browsers read as another host, or can't read, is rejected."""
    assert (
        targets.rejection_reason(url, OWN)
        == "Must be an absolute http or https URL with a valid host."
    )


@pytest.mark.parametrize(
    "host",
    [
        "a..example.com",
        ".example.com",
        pytest.param("a" * 64, id="long label"),
        "example.com:65536",
        pytest.param("[2001:db8::1", id="unclosed IPv6 address"),
    ],
)
def test_hosts_that_nobody_can_have_are_refused(host: str) -> None:
    """A host that breaks the rules of DNS names, ports or IPv6 addresses is rejected."""
    assert targets.rejection_reason(f"https://{host}/x", OWN) == "Must be a valid URL."


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(
            f"https://example.com/{targets.ALLOWED}", id="all allowed characters in the path"
        ),
        pytest.param(
            f"https://example.com/?{targets.ALLOWED}", id="all allowed characters in the query"
        ),
        *(
            pytest.param(f"https://example.com/{chr(c)}", id=f"path {c:#x}")
            for c in range(0x21, 0x100)
        ),
        *(
            pytest.param(f"https://example.com/?{chr(c)}", id=f"query {c:#x}")
            for c in range(0x21, 0x100)
        ),
        pytest.param("https://example.com", id="no path"),
        pytest.param("https://example.com?", id="empty query"),
        pytest.param("https://EXAMPLE.com/", id="upper-case host"),
        pytest.param("HTTPS://example.com/", id="upper-case scheme"),
        pytest.param("https://example.com./", id="final dot"),
        pytest.param("https://example.com:443/", id="default port"),
        pytest.param("https://example.com:0443/", id="default port with a zero"),
        pytest.param("https://example.com:0/", id="port 0"),
        pytest.param("https://example.com:/", id="empty port"),
        pytest.param("https://user:@example.com/", id="empty password"),
        pytest.param("https://@example.com/", id="empty user"),
        pytest.param("https://[2001:DB8::1]/", id="IPv6 address"),
        pytest.param("https://xn--bcher-kva.example/", id="punycode"),
        pytest.param("https://bücher.example/", id="international host"),
    ],
)
def test_location_is_a_uri(url: str) -> None:
    """The `Location` for a target is the URI that Werkzeug's `iri_to_uri` returns for it.

    The service calls that slow function only for URLs that don't look like URIs already.
    """
    assert targets.location_of(url) == iri_to_uri(url)


@pytest.mark.parametrize(
    ("target", "rest", "location"),
    [
        pytest.param("/show?id=%s", "/123", "/show?id=123", id="query"),
        pytest.param("/show?id=%s&x#y", "/1/2?z", "/show?id=1/2&x&z#y", id="two queries"),
        pytest.param("/show?id=%s", "", "/show?id=", id="nothing"),
        pytest.param("/show?id=%s", "/", "/show?id=", id="slash"),
        pytest.param("/%s/edit", "", "//edit", id="nothing in the path"),
        pytest.param("/q?q=%s", "/a&b=c+d;e%26%2B", "/q?q=a%26b%3Dc%2Bd%3Be%26%2B", id="escapes"),
        pytest.param("/browse/%s", "/a&b=c+d;e%2F", "/browse/a&b=c+d;e%2F", id="path"),
        pytest.param("/browse/%s?x", "/a\\b", "/browse/a%5Cb?x", id="backslash"),
        pytest.param("/#/a?b=%s", "/a&b", "/#/a?b=a&b", id="fragment"),
        pytest.param("?q=%s", "/a", "?q=a", id="no path"),
        pytest.param("/ä/%s", "/%C3%A4", "/%C3%A4/%C3%A4", id="other letters"),
        pytest.param("/a%41%s", "/b", "/a%41b", id="after an escape"),
        pytest.param("/%%s/%2%s", "/e", "/%%s/%2%s/e", id="half an escape"),
    ],
)
def test_rest_replaces_the_placeholder(target: str, rest: str, location: str) -> None:
    """What follows the code replaces `%s`, encoded as its place in the target needs it."""
    rest, _, query = rest.partition("?")
    assert targets.rejection_reason(f"https://a.example{target}", OWN) is None
    found = targets.location_of(f"https://a.example{target}", rest, query)
    assert found == f"https://a.example{location}"


@pytest.mark.parametrize(
    "url", ["https://%s.example/", "https://a.example:%s/", "https://u:%s@a.example/", "%s://a/"]
)
def test_placeholder_is_not_in_the_host(url: str) -> None:
    """A placeholder before the path is rejected. An older version accepted it in a password."""
    assert targets.rejection_reason(url, OWN)
    old = "https://u:%s@a.example/"
    assert targets.location_of(old, "/@evil.example") == f"{old}@evil.example"


def test_location_keeps_the_host() -> None:
    """Nothing in a request's path or query can change the host of the target."""
    for target in (
        "https://example.com",
        "https://example.com/a?b#c",
        "https://example.com/%s",
        "https://example.com?%s",
        "https://example.com#%s",
    ):
        for rest in ("", "/", "//evil.example", "/@evil.example", "/\\evil.example", "/:80"):
            for query in ("", "@evil.example", "x=https://evil.example/"):
                location = targets.location_of(target, rest, query)
                assert urlsplit(location).netloc == "example.com"
                assert location.isascii()


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://go.example.com/docs", "/docs"),
        ("HTTP://GO.example.com:80/docs", "/docs"),
        ("ftp://go.example.com/docs", "ftp://go.example.com/docs"),
        ("https://go.example.com/do\tcs", "https://go.example.com/do\tcs"),
        ("https://go.example.com/docs?x", "https://go.example.com/docs?x"),
        ("mailto:/docs", "mailto:/docs"),
        ("https:/docs", "https:/docs"),
    ],
    ids=["own", "other spelling", "scheme", "tab", "query", "no host", "no host, https"],
)
@pytest.mark.parametrize("own_url", ["https://go.example.com", ""], ids=["set", "unknown"])
def test_own_addresses_are_aliases(url: str, target: str, own_url: str) -> None:
    """The short URL of a link here means this link, if the service knows its own address."""
    assert targets.relative(url, own_url) == (target if own_url else url)


def test_placeholder_has_one_spelling() -> None:
    """Only `%s` is replaced."""
    assert targets.location_of("https://x.example/%S?q=%s", "/a").endswith("?q=a")
