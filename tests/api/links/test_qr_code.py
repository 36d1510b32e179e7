"""QR codes by format and size."""

from io import BytesIO
from struct import unpack
from xml.etree import ElementTree as ET

import pytest
import segno

from tests.support.links.client import Links
from tests.support.service import Service
from tests.support.visitor import Visitor

FORMATS = pytest.mark.parametrize(
    ("ending", "kind"), [("svg", "image/svg+xml"), ("png", "image/png")], ids=["SVG", "PNG"]
)


def width(image: bytes) -> int:
    """Return the width of an SVG or PNG image in pixels."""
    if image.startswith(b"\x89PNG"):
        found: int = unpack(">I", image[16:20])[0]
        return found
    return int(ET.fromstring(image).attrib["width"])  # noqa: S314 our own


@FORMATS
def test_address_decides_the_format(service: Service, links: Links, ending: str, kind: str) -> None:
    """The end of the path decides the format, whatever the client accepts."""
    link = links.create()
    wanted = BytesIO()
    segno.make_qr(link["short_url"]).save(wanted, ending, scale=8, light="white")
    for accept in ("*/*", "image/svg+xml", "image/png", "text/html"):
        answer = service.get(f"/{link['code']}.qr.{ending}", headers={"Accept": accept})
        assert answer.headers["Content-Type"].partition(";")[0] == kind
        assert answer.content == wanted.getvalue()
    name = answer.headers["Content-Disposition"]
    assert name == f"inline; filename={link['code']}.{ending}"


@pytest.mark.parametrize("size", [64, 100, 299, 1000])
@pytest.mark.parametrize("ending", [".qr", ".qr.svg", ".qr.png"])
def test_size_is_the_largest_width(service: Service, links: Links, ending: str, size: int) -> None:
    """The image is as wide as whole pixels for each square allow."""
    link = links.create()
    squares = segno.make_qr(link["short_url"]).symbol_size()[0]
    image = service.get(f"/{link['code']}{ending}?size={size}").content
    assert width(image) == size // squares * squares


def test_each_square_has_a_pixel(service: Service, links: Links) -> None:
    """A QR code with more squares than `size` is wider than that, so that it can be read."""
    link = links.create(code=f"{links.new_code()}{'x' * 31}")
    links.codes.append(link["code"])
    host = ".".join(["a" * 60] * 4)
    image = service.get(f"/{link['code']}.qr.png?size=64", headers={"Host": host}).content
    squares = segno.make_qr(f"http://{host}/{link['code']}").symbol_size()[0]
    assert squares > 64
    assert width(image) == squares


@pytest.mark.parametrize("size", ["0", "63", "1001", "-64", "1e2", "", "64.0"])
@pytest.mark.parametrize("ending", [".qr", ".qr.png"])
def test_wrong_size_is_named(service: Service, links: Links, ending: str, size: str) -> None:
    """A size that is not from 64 to 1000 gets 422 with the name of the parameter."""
    answer = service.get(f"/{links.create()['code']}{ending}?size={size}")
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == ["size"]


@FORMATS
def test_file_is_not_sent_twice(service: Service, links: Links, ending: str, kind: str) -> None:
    """A file with a matching If-None-Match gets 304. Another size has another ETag."""
    path = f"/{links.create()['code']}.qr.{ending}"
    known = {"If-None-Match": service.get(path).headers["ETag"], "Accept": kind}
    assert service.get(path, headers=known).status_code == 304
    assert service.get(f"{path}?size=1000", headers=known).status_code == 200


def test_other_endings_are_not_found(service: Service, links: Links) -> None:
    """There are no other formats."""
    code = links.create()["code"]
    for ending in ("gif", "SVG", "svg.png", "svg/x", "", "svgx"):
        assert service.get(f"/{code}.qr.{ending}").status_code == 404, ending


def test_page_offers_the_files(member: Visitor, links: Links) -> None:
    """The page of a link has the QR code as files to save. An expired link has none."""
    code = links.create()["code"]
    page = member.get(f"/links/{code}").text
    assert f'href="/{code}.qr.svg" download' in page
    assert f'href="/{code}.qr.png?size=1000" download' in page
    expired = links.create(expires_at="2020-01-01T00:00:00Z")["code"]
    assert "download" not in member.get(f"/links/{expired}").text
