"""Liveness and readiness. Only readiness asks the database: its outage must not cause restarts."""

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

from app.api.problems import RETRY_AFTER
from app.api.resources import Blueprint, ResponseSchema
from app.database import Database, database
from app.database.errors import UNAVAILABLE
from app.server import shutdown
from app.telemetry import quiet_paths

VERSIONS = Path(__file__).parents[2] / "db" / "migrations" / "versions"
REVISION = re.compile(r"^(down_)?revision\b[^=]*= *(.*)", re.MULTILINE)
OK = {"status": "ok"}, 200, {"Cache-Control": "no-store"}

blueprint = Blueprint("health", __name__, description="For orchestrators and load balancers.")


class Migrations(NamedTuple):
    """The migrations that this code knows, by Alembic's revision."""

    all: set[str]
    heads: set[str]  # the newest of each branch


class HealthSchema(ResponseSchema):
    """A good state. Any other is a problem."""

    status = fields.String(metadata={"enum": ["ok"], "examples": ["ok"]})


class Readiness(Collector):
    """Reports the result of `/readyz` to Prometheus, at each scrape."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask the database, which may be unavailable."""
        with self.app.app_context():
            try:
                applied = _applied_heads(database())
                ready = _reason_not_ready(applied) is None
            except UNAVAILABLE:
                applied, ready = set(), False
        yield GaugeMetricFamily("slipway_ready", "1 if requests should come here.", ready)
        schema = GaugeMetricFamily(
            "slipway_schema_info", "The database's newest migrations.", labels=["revision"]
        )
        for revision in sorted(applied):
            schema.add_metric([revision], 1)
        yield schema


def init_app(app: Flask) -> None:
    """Read which migrations this code knows, and keep the probes out of the logs."""
    app.extensions["migrations"] = known_migrations(VERSIONS)
    quiet_paths.update({"/livez", "/readyz"})


def known_migrations(folder: Path) -> Migrations:
    """Return the migrations in a folder, as Alembic would find them.

    From their text: to import Alembic would cost a tenth of the service's memory and of its start.
    """
    found: set[str] = set()
    followed: set[str] = set()
    for path in folder.glob("*.py"):
        for down, value in REVISION.findall(path.read_text()):
            (followed if down else found).update(re.findall(r"[\"'](.+?)[\"']", value))
    return Migrations(found, found - followed)


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
    reason = _reason_not_ready(_applied_heads(database()))
    if reason:
        raise ServiceUnavailable(reason, retry_after=RETRY_AFTER)
    return OK


def _applied_heads(database: Database) -> set[str]:
    """Return the newest migrations in the database, one for each branch."""
    try:
        with database.read() as connection:
            return set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    except ProgrammingError:  # no such table: no migration has ever run here
        return set()


def _reason_not_ready(applied: set[str]) -> str | None:
    """Return why no requests should come here, or None if they should."""
    if shutdown.has_begun():
        return "The service is shutting down."
    known: Migrations = current_app.extensions["migrations"]
    missing = known.heads - applied
    newer = applied - known.all
    if missing and not newer:
        return f"The schema lacks migrations: {', '.join(sorted(missing))}."
    return None
