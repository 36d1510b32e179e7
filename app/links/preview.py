"""Show a link without following it or counting a click: `GET /<code>+` and `GET /<code>.qr`."""

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import segno
from flask import Response, abort, jsonify, render_template, request
from sqlalchemy import Row

from app.api.headers import prefers_html
from app.api.openapi import named, not_modified, problem_responses
from app.api.own_url import own_url
from app.api.resources import Blueprint
from app.database import database
from app.links import service
from app.links.schemas import PreviewSchema

SCALE = 8  # pixels per module, which is one square of a QR code

blueprint = Blueprint("preview", __name__, description="Preview links without counting a click.")


@blueprint.route("/<unreserved:code>+")
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


@blueprint.route("/<unreserved:code>.qr")
@blueprint.response(
    200,
    {"type": "string"},
    content_type="image/svg+xml",
    example="<svg/>",
    headers=named("ETag", "Vary"),
)
@blueprint.alt_response(200, schema={"contentMediaType": "image/png"}, content_type="image/png")
@blueprint.doc(
    parameters=["If-None-Match"], responses=not_modified("Vary") | problem_responses(410)
)
def qr_code(code: str) -> Response:
    """Draw a link's short URL as a QR code

    The format is SVG, or PNG if the `Accept` header prefers it. No click is counted.
    """
    url = f"{own_url()}/{_unexpired(code).code}"
    kinds = ["image/svg+xml", "image/png"]
    kind = request.accept_mimetypes.best_match(kinds, kinds[0])
    drawn = BytesIO()
    # With a white margin: without it, cameras would not recognise the code on a dark page.
    segno.make_qr(url).save(drawn, kind[6:9], scale=SCALE, light="white")
    response = Response(drawn.getvalue(), mimetype=kind)
    response.vary.add("Accept")
    response.add_etag()
    response.make_conditional(request)
    return response


def _unexpired(code: str) -> Row[Any]:
    """Return the link with this code.

    :raises UnknownCodeError: there is no such link; the client gets 404.
    :raises Gone: the link has expired.
    """
    link = service.find_without_clicks(database(), code)
    if link.expires_at and link.expires_at <= datetime.now(UTC):
        abort(410, "This link has expired.")
    return link
