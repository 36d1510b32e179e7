"""Show a link without following it or counting a click: `/<code>+`, and `/<code>.qr` and so on."""

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from flask import Response, abort, jsonify, render_template, request
from sqlalchemy import Row
from werkzeug.routing import BaseConverter

from app.api.headers import prefers_html
from app.api.openapi import named, not_modified, problem_responses
from app.api.own_url import own_url
from app.api.resources import Blueprint
from app.database import database
from app.links import redirect, service
from app.links.aliases import is_alias
from app.links.click_counts import find_targets
from app.links.schemas import QR_CODE_SIZES, PreviewSchema, QRCodeArgumentsSchema

SCALE = 8  # pixels per module, which is one square of a QR code
KINDS = {"svg": "image/svg+xml", "png": "image/png"}
FORMAT = {"type": "string", "enum": list(KINDS), "examples": ["svg"]}
# In the form of the OpenAPI document, where a list of parameters replaces those of a schema.
SIZE = {
    "in": "query",
    "name": "size",
    "schema": {"type": "integer", "minimum": QR_CODE_SIZES[0], "maximum": QR_CODE_SIZES[1]},
    "description": "The largest width in pixels. Each square of the QR code is as many whole pixels"
    f" wide as fit, and at least one. Without it, each is {SCALE} pixels wide.",
}

blueprint = Blueprint("preview", __name__, description="Preview links without counting a click.")


class ImageFormat(BaseConverter):
    """A converter for the format of a QR code, at the end of a path."""

    regex = "|".join(KINDS)


def answers_with_image(header: str) -> Callable[[Any], Any]:
    """Return a decorator that documents a view that returns a QR code, with this header."""

    def document(view: Any) -> Any:
        view = blueprint.doc(
            parameters=["If-None-Match", SIZE],
            responses=not_modified(header) | problem_responses(410),
        )(view)
        view = blueprint.alt_response(
            200, schema={"contentMediaType": "image/png"}, content_type="image/png"
        )(view)
        view = blueprint.response(
            200,
            {"type": "string"},
            content_type="image/svg+xml",
            example="<svg/>",
            headers=named("ETag", header),
        )(view)
        return blueprint.arguments(QRCodeArgumentsSchema, location="query")(view)

    return document


@blueprint.route("/<unreserved_code:code>+")
@blueprint.response(200, PreviewSchema, headers=named("Vary"))
@blueprint.alt_response(
    200, schema={"type": "string"}, content_type="text/html", example="<!doctype html>…"
)
@blueprint.doc(responses=problem_responses(410))
def preview(code: str) -> Response:
    """Show where a link leads

    Browsers get a page, other clients get JSON. No click is counted.
    """
    shown = PreviewSchema().dump(_unexpired(code))
    if prefers_html():
        response = Response(render_template("preview.html", link=shown))
    else:
        response = jsonify(shown)
    response.vary.add("Accept")
    return response


@blueprint.route("/<unreserved_code:code>.qr")
@answers_with_image("Vary")
def qr_code(arguments: dict[str, int], code: str) -> Response:
    """Draw a link's short URL as a QR code

    The format is SVG, or PNG if the `Accept` header prefers it. No click is counted.
    """
    kind = request.accept_mimetypes.best_match(KINDS.values(), KINDS["svg"])
    response = _drawn(_unexpired(code), "png" if kind == KINDS["png"] else "svg", **arguments)
    response.vary.add("Accept")
    return response


@blueprint.route("/<unreserved_code:code>.qr.<image:image_format>")
@answers_with_image("Content-Disposition")
def qr_file(arguments: dict[str, int], code: str, image_format: str) -> Response:
    """Get a link's QR code as a file

    The file is named after the link. No click is counted.
    """
    link = _unexpired(code)
    response = _drawn(link, image_format, **arguments)
    name = f"{link.code}.{image_format}"
    response.headers.set("Content-Disposition", "inline", filename=name)
    return response


def _drawn(link: Row[Any], image_format: str, size: int | None = None) -> Response:
    """Return the QR code of a link's short URL, of at most this width in pixels."""
    import segno  # noqa: PLC0415 until the first image, it takes no time and no memory

    qr = segno.make_qr(f"{own_url()}/{link.code}")
    scale = max(size // qr.symbol_size()[0], 1) if size else SCALE
    image = BytesIO()
    # With a white margin: without it, cameras would not recognise the code on a dark page.
    qr.save(image, image_format, scale=scale, light="white")
    response = Response(image.getvalue(), mimetype=KINDS[image_format])
    response.add_etag()
    response.make_conditional(request)
    return response


def _unexpired(code: str) -> Row[Any]:
    """Return the link with this code.

    :raises UnknownCodeError: there is no such link; the client gets 404.
    :raises NotFound: it is an alias that leads nowhere.
    :raises Gone: the link has expired, or the one that an alias leads to.
    """
    link = service.find_without_clicks(database(), code)
    if link.expires_at and link.expires_at <= datetime.now(UTC):
        abort(410, "This link has expired.")
    if is_alias(link.url):
        with database().read() as connection:
            found = find_targets(connection, [link.lookup_key])
        redirect.location(found.get(link.lookup_key), code, "", "")
    return link
