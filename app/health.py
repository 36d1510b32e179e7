"""Liveness and readiness. Only readiness asks the database: an outage must restart nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, current_app
from marshmallow import fields
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from werkzeug.exceptions import ServiceUnavailable

from app import shutdown
from app.api import Blueprint, Output
from app.database import AWAY, Database, database
from app.errors import RETRY_AFTER

MIGRATIONS = Path(__file__).parent.parent / "db" / "migrations" / "versions"
REVISION = re.compile(r"^(down_)?revision\b[^=]*= *(.*)", re.MULTILINE)
OK = {"status": "ok"}, 200, {"Cache-Control": "no-store"}

blueprint = Blueprint("health", __name__, description="For orchestrators and load balancers.")


class Revisions(NamedTuple):
    """The migrations that some code knows."""

    all: set[str]
    newest: set[str]  # one of each branch


class HealthSchema(Output):
    """A state that is good; another is a problem."""

    status = fields.String(metadata={"enum": ["ok"], "examples": ["ok"]})


class Readiness(Collector):
    """Tells Prometheus what `/readyz` tells others, at each time that it asks."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask the database, which may be away."""
        with self.app.app_context():
            try:
                applied = _applied(database())
                ready = _problem(applied) is None
            except AWAY:
                applied, ready = set(), False
        yield GaugeMetricFamily("slipway_ready", "1 if requests should come here.", ready)
        schema = GaugeMetricFamily(
            "slipway_schema_info", "The database's newest migrations.", labels=["revision"]
        )
        for revision in sorted(applied):
            schema.add_metric([revision], 1)
        yield schema


def init_app(app: Flask) -> None:
    """Read which migrations this code knows."""
    app.extensions["migrations"] = revisions(MIGRATIONS)


def revisions(folder: Path) -> Revisions:
    """Return what Alembic finds in a folder of migrations.

    By their text: importing Alembic would cost a tenth of the service's memory and of its start.
    """
    found: set[str] = set()
    followed: set[str] = set()
    for path in folder.glob("*.py"):
        for down, value in REVISION.findall(path.read_text()):
            (followed if down else found).update(re.findall(r"[\"'](.+?)[\"']", value))
    return Revisions(found, found - followed)


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
    problem = _problem(_applied(database()))
    if problem:
        raise ServiceUnavailable(problem, retry_after=RETRY_AFTER)
    return OK


def _applied(database: Database) -> set[str]:
    """Return the newest migrations in the database."""
    try:
        with database.reader.connect() as connection:
            return set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    except ProgrammingError:  # no such table: nothing was ever migrated here
        return set()


def _problem(applied: set[str]) -> str | None:
    """Say why no requests should come here."""
    if shutdown.has_begun():
        return "The service is shutting down."
    known: Revisions = current_app.extensions["migrations"]
    missing = known.newest - applied
    newer = applied - known.all
    if missing and not newer:
        return f"The schema lacks migrations: {', '.join(sorted(missing))}."
    return None
