"""The web page of links, at `/links`: what the API does, for people.

The rules are the API's own: forms are checked by its schemas. What lies beside links is under
`/links/-/`, since no code begins with `-`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Semaphore
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from markupsafe import Markup
from marshmallow import EXCLUDE, ValidationError
from sqlalchemy import Row
from sqlalchemy.exc import InternalError
from werkzeug.exceptions import Conflict, ServiceUnavailable

from app import rate_limit, sessions
from app.database import AWAY, begin_next_part, database, is_too_broad
from app.errors import RETRY_AFTER, invalid_fields
from app.links import exports, imports, series, store
from app.links.api import TOO_BROAD, creating, found
from app.links.redirect import UnknownCodeError
from app.links.rollups import roll_up
from app.links.schemas import (
    Cursor,
    LinkCreateSchema,
    LinkPatchSchema,
    LinkSchema,
    PageArgumentsSchema,
)
from app.observability import because
from app.revisions import etag

UPLOAD_LIMIT = 64 * 1024 * 1024  # bytes
REFUSED_SHOWN = 100  # lines of an import
TOP = 20  # links
WEEK = timedelta(days=7)
FIELDS = ("url", "code", "title", "tags", "expires_at")
CHANGED = "The link has changed since you opened it. What you see beside the form is how it is now."
BUSY = "Another file is being imported. Send yours when that is done: go back, and try again."
INTERRUPTED = "The database did not answer in time. Send the file again: what is there stays."


files = Semaphore()  # one at a time in a process: where /tmp is in memory, many would fill it
schema = LinkSchema()
blueprint = Blueprint("pages", __name__, url_prefix="/links", template_folder="templates")


def init_app(app: Flask) -> None:
    """Add the pages, and the ways to them."""
    app.jinja_env.filters |= {"time": _time, "count": _count}
    app.config["PAGES"] += [
        ("Links", "pages.listing"),
        ("Most clicked", "pages.top"),
        ("Import and export", "pages.transfer"),
    ]
    app.register_blueprint(blueprint)


@blueprint.before_request
def take_large_files() -> None:
    """Raise the limit of the one form with a file; its sender must be signed in all the same.

    :raises ServiceUnavailable: another file is being taken.
    """
    if request.endpoint == "pages.transfer" and request.method == "POST":
        g.takes_file = files.acquire(blocking=False)
        if not g.takes_file:
            raise ServiceUnavailable(BUSY, retry_after=RETRY_AFTER)
        request.max_content_length = UPLOAD_LIMIT


@blueprint.teardown_request
def let_in_the_next(_error: BaseException | None) -> None:
    """End the wait of those who have a file too."""
    if g.get("takes_file"):
        files.release()


sessions.protect(blueprint)


@blueprint.route("")
def listing() -> Any:
    """List links, page by page: newest first or by code, with words or with a tag."""
    given = {name: value for name, value in request.args.items() if value}
    links, more, wrong = [], None, {}
    try:
        arguments = PageArgumentsSchema(unknown=EXCLUDE).load(given)
        with database().read(long="q" in arguments, stale=True) as connection:
            rows, follow = store.page(connection, **arguments)
        roll_up(rows)
        links = list(map(_told, rows))
        if follow:
            more = given | {"after": Cursor.encode(rows[-1], arguments["sort"])}
    except ValidationError as error:
        wrong = _messages(error)
    except InternalError as error:
        if not is_too_broad(error):
            raise
        wrong = {"q": TOO_BROAD}
    page = render_template("listing.html", links=links, more=more, given=given, wrong=wrong)
    return page, 422 if wrong else 200


@blueprint.route("/-/new", methods=["GET", "POST"])
def new() -> Any:
    """Show an empty form, and create a link from it."""
    if request.method != "POST":
        return _form({"code": request.args.get("code", "")}, {})
    form = _filled()
    try:
        fields = LinkCreateSchema().load(_fields({n: value for n, value in form.items() if value}))
        link = creating(fields, lambda: database().write(lambda c: store.create(c, fields)))
    except ValidationError as error:
        return _form(form, _messages(error), 422)
    except Conflict as error:
        return _form(form, {"code": str(error.description)}, 409)
    flash(f"Created {link.code}.")
    return redirect(url_for("pages.show", code=link.code), 303)


@blueprint.route("/-/check")
def check() -> Response:
    """Say what is wrong with a code before it is sent: "" where nothing is."""
    code = request.args.get("code", "")
    problem = ""
    try:
        LinkCreateSchema(only=["code"]).load({"code": code} if code else {})
        with database().read() as connection:
            if store.find(connection, code):
                problem = "Another link has this code."
    except ValidationError as error:
        problem = _messages(error)["code"]
    return jsonify({"problem": problem})


@blueprint.route("/<code:code>", methods=["GET", "POST"])
def show(code: str) -> Any:
    """Show a link with its clicks, and change it if it is still as it was shown."""
    link = _find(code)
    if request.method != "POST":
        return _page_of(link)
    form = _filled()
    try:
        _same(request.form.get("revision", ""))(link)
        # Only what was edited: the form may not be able to show all of a field.
        edited = {name: form[name] for name, was in _shown(link).items() if form[name] != was}
        fields = LinkPatchSchema().load(_fields(edited))
        same = _same(etag(link))
        changed = found(database().write(lambda c: store.change(c, code, fields, same)))
    except ValidationError as error:
        return _page_of(link, form, _messages(error), 422)
    except ChangedError:
        link = _find(code)
        return _page_of(link, form, {"": CHANGED}, 412)
    flash("Saved." if fields else "Nothing was changed.")
    return redirect(url_for("pages.show", code=changed.code), 303)


@blueprint.route("/<code:code>/delete", methods=["GET", "POST"])
def delete(code: str) -> Any:
    """Ask whether to delete a link, and do it."""
    link = _find(code)
    if request.method != "POST":
        return render_template("delete.html", link=_told(link))
    try:
        same = _same(request.form.get("revision", ""))
        found(database().write(lambda c: store.delete(c, code, same)))
    except ChangedError:
        link = _find(code)
        return render_template("delete.html", link=_told(link), wrong=CHANGED), 412
    flash(f"Deleted {link.code}.")
    return redirect(url_for("pages.listing"), 303)


@blueprint.route("/-/top")
def top() -> str:
    """Show which links were clicked most in the last week."""
    start = series.floor(datetime.now(UTC) - WEEK, "hour")
    with database().read(long=True, stale=True) as connection:
        rows = connection.execute(store.most_clicked(start, TOP)).all()
    links = [_told(link) | {"recent": link.recent} for link in rows]
    return render_template("top.html", links=links)


@blueprint.route("/-/export")
def export() -> Response:
    """Send all links as a file."""
    return exports.attachment("csv" if request.args.get("format") == "csv" else "jsonl")


@blueprint.route("/-/transfer", methods=["GET", "POST"])
def transfer() -> Any:
    """Offer all links as a file, and create those of a file."""
    file = request.files.get("file") if request.method == "POST" else None
    if not file:
        wrong = "Choose a file." if request.method == "POST" else ""
        return render_template("transfer.html", wrong=wrong), 422 if wrong else 200
    rate_limit.count("create", str(g.token.id))
    form = "csv" if str(file.filename).lower().endswith(".csv") else "jsonl"
    sums: Counter[str] = Counter(created=0, unchanged=0, refused=0)
    refused: dict[int, str] = {}
    wrong, status, headers = "", 200, {}
    try:
        for outcome in imports.run(database(), file.stream, form):
            begin_next_part()
            sums.update(outcome._asdict() | {"refused": len(outcome.refused)})
            refused |= outcome.refused if len(refused) < REFUSED_SHOWN else {}
    except imports.FormatError as error:
        wrong, status = str(error), 422
    except AWAY as error:
        because(error=str(getattr(error, "orig", error)))
        wrong, status, headers = INTERRUPTED, 503, {"Retry-After": str(RETRY_AFTER)}
    shown = sorted(refused.items())[:REFUSED_SHOWN]
    page = render_template("transfer.html", sums=sums, refused=shown, wrong=wrong)
    return page, status, headers


class ChangedError(Exception):
    """The link is not as the form has shown it."""


def _same(revision: str) -> Callable[[Row[Any]], None]:
    def check(link: Row[Any]) -> None:
        if etag(link) != revision:
            raise ChangedError

    return check


def _find(code: str) -> Row[Any]:
    with database().read() as connection:
        link = store.find(connection, code)
    if link is None:
        raise UnknownCodeError(code)
    roll_up([link])
    return link


def _told(link: Row[Any]) -> dict[str, Any]:
    told: dict[str, Any] = schema.dump(link)
    expired = link.expires_at is not None and link.expires_at <= datetime.now(UTC)
    return told | {"revision": etag(link), "expired": expired}


def _filled() -> dict[str, str]:
    """Return the form's fields as the browser sent them."""
    return {name: request.form.get(name, "").replace("\r\n", "\n") for name in FIELDS}


def _shown(link: Row[Any]) -> dict[str, str]:
    """Return a link's fields as its form shows them."""
    expires = link.expires_at
    return {
        "url": link.url,
        "title": link.title,
        "tags": "\n".join(link.tags),
        # As browsers write it: seconds only where there are some.
        "expires_at": f"{expires:%Y-%m-%dT%H:%M{':%S' if expires.second else ''}}"
        if expires
        else "",
    }


def _fields(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what the API would be sent for a form."""
    fields: dict[str, Any] = dict(form)
    if "tags" in form:
        fields["tags"] = [tag.strip() for tag in form["tags"].split("\n") if tag.strip()]
    if "expires_at" in form:
        seconds = ":00" if form["expires_at"].count(":") == 1 else ""
        fields["expires_at"] = f"{form['expires_at']}{seconds}Z" if form["expires_at"] else None
    return fields


def _messages(error: ValidationError) -> dict[str, str]:
    """Return what is wrong with each field."""
    said: dict[str, str] = {}
    for wrong in invalid_fields({"json": error.messages_dict}):
        field = wrong["pointer"].removeprefix("#/").split("/")[0]
        said[field] = f"{said.get(field, '')} {wrong['detail']}".strip()
    return said


def _form(form: Mapping[str, str], wrong: Mapping[str, str], status: int = 200) -> Any:
    return render_template("new.html", form=form, wrong=wrong), status


def _page_of(
    link: Row[Any],
    form: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
    status: int = 200,
) -> Any:
    """Show a link, its clicks, and a form that has what was typed, or else what is so."""
    spans = {by: series.span(None, None, by) for by in series.SIZES}
    with database().read(long=True, stale=True) as connection:
        hours = store.clicks(connection, link, *spans["day"])
    charts = {
        by: series.cut({hour: n for hour, n in hours.items() if hour >= first}, first, last, by)
        for by, (first, last) in spans.items()
    }
    page = render_template(
        "link.html",
        link=_told(link),
        charts=charts,
        form=form or _shown(link),
        wrong=wrong or {},
    )
    return page, status


def _time(text: str) -> Markup:
    """Return a time of the API's as people read it."""
    time = datetime.fromisoformat(text)
    return Markup('<time datetime="{}">{:%-d %b %Y, %H:%M}</time>').format(text, time)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
