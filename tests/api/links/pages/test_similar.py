"""The page of an unknown code offers similar links."""

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import Links
from tests.support.links.pages import XSS
from tests.support.visitor import Visitor

OFFER = "Similar links"


def test_similar_links_are_offered(member: Visitor, reader: Visitor, links: Links) -> None:
    """After a typing mistake, the page leads to the link that was meant, also below `/links`."""
    code = links.create(code=links.new_code(), title=XSS)["code"]
    wrong = f"{code[:-3]}{code[-2]}{code[-3]}{code[-1]}x"
    for visitor in (member, reader):
        page = visitor.get(f"/{wrong}/further?x=1")
        assert (page.status_code, OFFER in page.text) == (404, True)
        assert f'<a href="/{code}">{code}</a> &lt;script' in page.text
        assert f'<a href="/links/{code}">{code}</a>' in visitor.get(f"/links/{wrong}").text


def test_offer_follows_what_was_pasted(member: Visitor, links: Links) -> None:
    """A typing mistake and punctuation at the end are not too much together."""
    code = links.create(code=links.new_code())["code"]
    page = member.get(f"/{code[:-1]}.").text
    assert f'<a href="/{code}">' in page
    assert f"Create {code[:-1]}<" in page


@pytest.mark.parametrize("ending", ["", "+", ".qr"])
def test_others_learn_no_codes(
    deployment: Deployment, visitor: Visitor, links: Links, ending: str
) -> None:
    """Codes can't be guessed from the page of an unknown code by people without a token.

    A token that was revoked is no token, even if the browser still has its cookie. Programs get
    problem details, which never offer links.
    """
    code = links.create(code=links.new_code())["code"]
    path = f"/{code}x{ending}"
    assert OFFER not in visitor.get(path).text
    token = deployment.cli("tokens", "create", f"soon-{code}").strip()
    former = Visitor(visitor.url, token)
    assert OFFER in former.get(path).text
    assert code not in former.get(path, headers={"Accept": "*/*"}).json()["detail"]
    deployment.cli("tokens", "revoke", f"soon-{code}")
    assert OFFER not in former.get(path).text


def test_reserved_words_can_not_be_created(member: Visitor) -> None:
    """The page of a reserved word does not offer to create a link that would be rejected."""
    for path in ("/live-z", "/API", "/livez."):
        page = member.get(path)
        assert page.status_code == 404
        assert "/links/-/new?code" not in page.text
