"""Liveness and readiness. Only readiness asks the database: an outage must restart nothing."""

from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from flask import Flask, current_app
from marshmallow import fields
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from werkzeug.exceptions import ServiceUnavailable

from app import shutdown
from app.api import Blueprint, Output
from app.database import database
from app.errors import RETRY_AFTER

MIGRATIONS = Path(__file__).parent.parent / "db" / "migrations"
OK = {"status": "ok"}, 200, {"Cache-Control": "no-store"}

blueprint = Blueprint("health", __name__, description="For orchestrators and load balancers.")


class HealthSchema(Output):
    """A state that is good; another is a problem."""

    status = fields.String(metadata={"enum": ["ok"], "examples": ["ok"]})


def init_app(app: Flask) -> None:
    """Read which migrations this code knows."""
    app.extensions["migrations"] = ScriptDirectory(MIGRATIONS)


@blueprint.route("/livez")
@blueprint.response(200, HealthSchema)
def livez() -> Any:
    """Answer that the process answers"""
    return OK


@blueprint.route("/readyz")
@blueprint.response(200, HealthSchema)
def readyz() -> Any:
    """Answer whether requests should come here

    The database must answer, and the schema must have what this version needs. A schema
    that is newer than this code is fine: while a new version is rolled out, the old one
    still serves, and migrations are compatible with it.

    :raises ServiceUnavailable: shutdown has begun, or migrations are missing.
    """
    if shutdown.has_begun():
        raise _unavailable("The service is shutting down.")
    try:
        with database().connect() as connection:
            applied = set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    except ProgrammingError:  # no such table: nothing was ever migrated here
        applied = set()
    scripts: ScriptDirectory = current_app.extensions["migrations"]
    missing = set(scripts.get_heads()) - applied
    newer = applied - {script.revision for script in scripts.walk_revisions()}
    if missing and not newer:
        raise _unavailable(f"The schema lacks migrations: {', '.join(sorted(missing))}.")
    return OK


def _unavailable(reason: str) -> ServiceUnavailable:
    return ServiceUnavailable(reason, retry_after=RETRY_AFTER)
