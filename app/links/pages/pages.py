"""The web pages at `/links`, which do for people what the API does for programs.

The same rules apply, since the schemas of the API validate the forms. Pages that are not about one
link are under `/links/-/`, because no code begins with `-`.
"""

from collections.abc import Mapping
from threading import Semaphore
from typing import Any

from flask import Blueprint, Flask, flash, g, jsonify, redirect, render_template, request, url_for
from marshmallow import EXCLUDE, ValidationError
from sqlalchemy import Row
from werkzeug.exceptions import ServiceUnavailable

from app.api import rate_limit
from app.api.etags import etag
from app.api.own_url import own_url
from app.api.problems import RETRY_AFTER
from app.database import database
from app.identity import sessions
from app.links import (
    exports,
    queries,
    service,
    targets,
    undo,  # history
)
from app.links.api import CODE_TAKEN
from app.links.history_api import UNKNOWN_CHANGE, HistoryArgumentsSchema, HistorySchema  # history
from app.links.pages import charts, forms, listings, transfers
from app.links.schemas import LinkCreateSchema, LinkPatchSchema
from app.server import accept_upload

UPLOAD_LIMIT = 64 * 1024 * 1024  # bytes
DELETED_LIMIT = 100  # links
RECENT_CHANGES = 5  # that the page of a link shows
CHANGED = "This link has changed since you opened it. This page shows its current version."
EDIT_KEPT = "The form still contains your changes. Save again to apply them."
ABOUT = "Short links that people can remember, with a count of their clicks."
BUSY = "Another file is being imported. Wait until that is done, then go back and try again."


# One upload at a time in each process: /tmp can be in memory, and several uploads could fill it.
uploads = Semaphore()
blueprint = Blueprint("pages", __name__, url_prefix="/links", template_folder="templates")


def init_app(app: Flask) -> None:
    """Add the pages and their entries in the navigation."""
    app.jinja_env.filters |= {
        "time": forms.time_element,
        "count": forms.count_of,
        "location": targets.location_of,
    }
    app.config["ABOUT"] = ABOUT
    app.config["NAVIGATION"] += [
        ("Links", "pages.listing"),
        ("Most clicked", "pages.top"),
        ("Import and export", "pages.transfer"),
    ]
    app.register_blueprint(blueprint)


@blueprint.before_request
def prepare_upload() -> None:
    """Raise the limits of the body for the import form, and allow one upload at a time.

    This runs before the checks of `sessions.protect`, because the CSRF check reads the body.

    :raises ServiceUnavailable: another file is being imported.
    """
    if request.endpoint == "pages.transfer" and request.method == "POST":
        g.has_upload_slot = uploads.acquire(blocking=False)
        if not g.has_upload_slot:
            raise ServiceUnavailable(BUSY, retry_after=RETRY_AFTER)
        if request.mimetype == "multipart/form-data":  # other forms would be parsed in memory
            request.max_content_length = UPLOAD_LIMIT
            accept_upload()


@blueprint.teardown_request
def release_upload_slot(_error: BaseException | None) -> None:
    """Allow the next import."""
    if g.get("has_upload_slot"):
        uploads.release()


sessions.protect(blueprint)


@blueprint.route("")
def listing() -> Any:
    """List links page by page, in several orders, optionally filtered by words or a tag."""
    return listings.page(request.args)


@blueprint.route("/-/new", methods=["GET", "POST"])
def new() -> Any:
    """Show the form for a new link, filled in from the query, or create a link from it."""
    if request.method != "POST":
        return _new_form(forms.suggested_form(), {})
    form = forms.submitted_form()
    try:
        given = {name: value for name, value in form.items() if value}
        fields = LinkCreateSchema().load(forms.api_fields(given))
        rate_limit.count("create", str(g.token.id))
        link = service.create(database(), fields)
    except ValidationError as error:
        return _new_form(form, forms.field_errors(error), 422)
    except queries.CodeTakenError:
        return _new_form(form, {"code": CODE_TAKEN}, 409)
    flash(f"Created {link.code}.")
    if "box" in request.form:  # of the list
        return redirect(url_for("pages.listing", created=link.code), 303)
    return redirect(url_for("pages.show", code=link.code), 303)


@blueprint.route("/-/check")
def check() -> Any:
    """Return what is wrong with a code, or "" if nothing is, before the form is submitted."""
    code = request.args.get("code", "")
    problem = ""
    try:
        LinkCreateSchema(only=["code"]).load({"code": code} if code else {})
        with database().read() as connection:
            if queries.find(connection, code, clicks=False):
                problem = CODE_TAKEN
    except ValidationError as error:
        problem = forms.field_errors(error)["code"]
    return jsonify({"problem": problem})


@blueprint.route("/<code:code>", methods=["GET", "POST"])
def show(code: str) -> Any:
    """Show a link with its clicks, or change it unless somebody else has changed it meanwhile."""
    link = service.find(database(), code)
    if request.method != "POST":
        return _link_page(link)
    form = forms.submitted_form()
    try:
        forms.check_revision(request.form.get("revision", ""))(link)
        # Change only what was edited, since the form can't show every value exactly.
        edited = {
            name: form[name] for name, was in forms.form_of(link).items() if form[name] != was
        }
        fields = LinkPatchSchema().load(forms.api_fields(edited))
        changed = service.change(database(), code, fields, forms.check_revision(etag(link)))
    except ValidationError as error:
        return _link_page(link, form, forms.field_errors(error), 422)
    except queries.CodeTakenError:
        return _link_page(link, form, {"code": CODE_TAKEN}, 409)
    except forms.ChangedError:
        with database().read(long=True) as connection:  # a rename can have waited long before
            link = service.known(queries.find(connection, code), code)
        return _link_page(link, form, {"": f"{CHANGED} {EDIT_KEPT}"}, 412)
    flash("Saved." if fields else "Nothing was changed.")
    return redirect(url_for("pages.show", code=changed.code), 303)


@blueprint.route("/<code:code>/delete", methods=["GET", "POST"])
def delete(code: str) -> Any:
    """Ask for confirmation before deleting a link, or delete it."""
    link = service.find(database(), code)
    if request.method != "POST":
        return render_template("delete.html", link=forms.link_for_template(link))
    try:
        service.delete(database(), code, forms.check_revision(request.form.get("revision", "")))
    except forms.ChangedError:
        link = service.find(database(), code)
        return render_template(
            "delete.html", link=forms.link_for_template(link), error=CHANGED
        ), 412
    flash(f"Deleted {link.code}.")
    return redirect(url_for("pages.listing"), 303)


# history
@blueprint.route("/<code:code>/history")
def changes(code: str) -> Any:
    """Show the changes of a link, which can have been deleted in the last 30 days."""
    return _changes_page(code)


@blueprint.route("/<code:code>/history/<id:number>/undo", methods=["POST"])
def undo_change(code: str, number: int) -> Any:
    """Undo a change of a link, unless somebody else has changed the link meanwhile."""
    revision = request.form.get("revision", "")
    check = forms.check_revision(revision) if revision else lambda _deleted: None
    try:
        link = undo.undo(database(), code, number, check)
    except undo.UnknownChangeError:
        return _changes_page(code, UNKNOWN_CHANGE, 404)
    except undo.NotUndoableError as error:
        return _changes_page(code, str(error), 409)
    except queries.CodeTakenError:
        return _changes_page(code, CODE_TAKEN, 409)
    except forms.ChangedError:
        return _changes_page(code, CHANGED, 412)
    flash("Undone.")
    return redirect(url_for("pages.show", code=link.code), 303)


@blueprint.route("/-/restore")
def deleted() -> str:
    """Show the links that were deleted last, whose delete can be undone."""
    return render_template("deleted.html", links=undo.list_deleted(database(), DELETED_LIMIT))


# /history
@blueprint.route("/-/top")
def top() -> Any:
    """List the links with the most clicks in the last week."""
    return listings.page({"sort": "-clicks_7d"} | request.args)


@blueprint.route("/-/export")
def export() -> Any:
    """Send all links as a file in the format that the query asks for."""
    return exports.attachment("csv" if request.args.get("format") == "csv" else "jsonl")


@blueprint.route("/-/transfer", methods=["GET", "POST"])
def transfer() -> Any:
    """Show the import and export page, import an uploaded file, or show what that would do."""
    if request.method != "POST":
        return transfers.page()
    file = request.files.get("file")
    if not file:
        return transfers.page(422, error="Choose a file.")
    rate_limit.count("create", str(g.token.id))
    return transfers.import_file(file, request.form)


def _new_form(form: Mapping[str, str], errors: Mapping[str, str], status: int = 200) -> Any:
    page = render_template("new.html", form=form, errors=errors, own_url=own_url())
    return page, status


def _link_page(
    link: Row[Any], form: dict[str, str] | None = None, errors: Any = (), status: int = 200
) -> Any:
    """Show a link, its clicks, and a form with the submitted entries or the link's own fields."""
    shown, form = forms.link_for_template(link), form or forms.form_of(link)
    # After a change that has failed, there can be no time left for a short read.
    shown["changes"] = _recent_changes(link, long=bool(errors))  # history
    chart = charts.chart(link, request.args)
    page = render_template(
        "link.html", link=shown, chart=chart, ranges=charts.RANGES, form=form, errors=dict(errors)
    )
    return page, status


# history
def _recent_changes(link: Row[Any], *, long: bool) -> Any:
    found = undo.recent_changes(database(), link, RECENT_CHANGES, long=long)
    return HistorySchema().dump({"changes": found})["changes"]


def _changes_page(code: str, error: str = "", status: int = 200) -> Any:
    """Show a page of a link's history, and why a change could not be undone."""
    long = bool(error)  # the undo can have waited long before
    try:
        arguments = HistoryArgumentsSchema(unknown=EXCLUDE).load(request.args)
    except ValidationError as wrong:
        arguments, error, status = {"limit": 20}, " ".join(forms.field_errors(wrong).values()), 422
    found, more = undo.list_changes(database(), code, **arguments, long=long)
    shown = HistorySchema().dump({"changes": found})["changes"]
    try:
        revision = etag(service.find_without_clicks(database(), code, long=long))
    except service.UnknownCodeError:
        revision = ""
    page = render_template(
        "changes.html", code=code, changes=shown, more=more, revision=revision, error=error
    )
    return page, status


# /history
