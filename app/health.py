"""Liveness and readiness. Only readiness asks the database: an outage must restart nothing."""

from pathlib import Path

from alembic.script import ScriptDirectory
from flask import Flask, Response, current_app, jsonify
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from werkzeug.exceptions import ServiceUnavailable

from app import shutdown
from app.database import database
from app.errors import RETRY_AFTER

MIGRATIONS = Path(__file__).parent.parent / "db" / "migrations"


def init_app(app: Flask) -> None:
    """Add both routes, and read which migrations this code knows."""
    app.extensions["migrations"] = ScriptDirectory(MIGRATIONS)
    app.add_url_rule("/livez", view_func=livez)
    app.add_url_rule("/readyz", view_func=readyz)


def livez() -> Response:
    """Answer that the process answers."""
    return _ok()


def readyz() -> Response:
    """Answer whether requests should come here.

    A schema that is newer than this code is fine: while a new version is rolled out, the old one
    still serves, and migrations are compatible with it.

    :raises ServiceUnavailable: shutdown has begun, or migrations are missing.
    """
    if shutdown.has_begun():
        raise _unavailable("The service is shutting down.")
    try:
        with database().reader.connect() as connection:
            applied = set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    except ProgrammingError:  # no such table: nothing was ever migrated here
        applied = set()
    scripts: ScriptDirectory = current_app.extensions["migrations"]
    missing = set(scripts.get_heads()) - applied
    newer = applied - {script.revision for script in scripts.walk_revisions()}
    if missing and not newer:
        raise _unavailable(f"The schema lacks migrations: {', '.join(sorted(missing))}.")
    return _ok()


def _ok() -> Response:
    response = jsonify(status="ok")
    response.cache_control.no_store = True
    return response


def _unavailable(reason: str) -> ServiceUnavailable:
    return ServiceUnavailable(reason, retry_after=RETRY_AFTER)
