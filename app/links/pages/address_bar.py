"""Follow links from the address bar of a browser: the description of a search engine (OpenSearch).

Anyone can read the description. Suggestions have the codes of links, so only people who are signed
in get any: to other browsers, the page redirects to the sign-in, which they ignore.
"""

from flask import Blueprint as Pages
from flask import Response, jsonify, render_template, request

from app.api.openapi import named
from app.api.own_url import own_url
from app.api.resources import Blueprint
from app.database import database
from app.identity import sessions
from app.links import nearest, pasted

DESCRIPTION = "application/opensearchdescription+xml"
SUGGESTIONS = "application/x-suggestions+json"

blueprint = Blueprint("search_engine", __name__, description="Follow links from the address bar.")
pages = Pages("address_bar", __name__, url_prefix="/links/-/suggestions")
sessions.protect(pages)


@blueprint.route("/opensearch.xml")
@blueprint.response(
    200,
    {"type": "string"},
    content_type=DESCRIPTION,
    example="<OpenSearchDescription>…",
    headers=named("Vary"),  # the templates' context reads the cookie
)
def description() -> Response:
    """Describe this service as a search engine, for the address bar of a browser (OpenSearch)

    A search for `compose` then requests `/compose`.
    """
    description = render_template("opensearch.xml", own_url=own_url())
    return Response(description, mimetype=DESCRIPTION)


@pages.route("")
def suggest() -> Response:
    """Return what can be typed on, in the format of OpenSearch Suggestions 1.1.

    These are lists of codes, of their titles, and of their short URLs.
    """
    typed = request.args.get("q", "")
    with database().read() as connection:
        links = nearest.beginning_with(connection, pasted.clean(typed.strip()))
    codes = [link["code"] for link in links]
    titles = [link["title"] or link["url"] for link in links]
    response = jsonify([typed, codes, titles, [f"{own_url()}/{code}" for code in codes]])
    response.content_type = SUGGESTIONS
    return response
