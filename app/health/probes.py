"""Liveness and readiness probes.

Liveness does not use the database, so that an outage of the database does not restart containers.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, current_app
from marshmallow import fields
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text
from werkzeug.exceptions import ServiceUnavailable

from app.api.problems import RETRY_AFTER
from app.api.resources import Blueprint, ResponseSchema
from app.database import Database, database
from app.database.errors import UNAVAILABLE, MissingTableError
from app.server import shutdown
from app.telemetry import quiet_paths

VERSIONS = Path(__file__).parents[2] / "db" / "migrations" / "versions"
REVISION = re.compile(r"^(down_)?revision\b[^=]*= *(.*)", re.MULTILINE)
OK = {"status": "ok"}, 200, {"Cache-Control": "no-store"}

blueprint = Blueprint("health", __name__, description="Health checks.")


class Migrations(NamedTuple):
    """The migrations that this code knows, as Alembic's revision ids."""

    all: set[str]
    heads: set[str]  # the newest of each branch


class HealthSchema(ResponseSchema):
    """The state of a healthy service. In any other state, the response is an error."""

    status = fields.String(metadata={"enum": ["ok"], "examples": ["ok"]})


class Readiness(Collector):
    """A Prometheus collector that reports the result of `/readyz` at each scrape."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Query the database, and yield the metrics.

        If the database is unavailable, `slipway_ready` is 0.
        """
        with self.app.app_context():
            try:
                applied = _applied_heads(database())
                ready = _reason_not_ready(applied) is None
            except UNAVAILABLE:
                applied, ready = set(), False
        yield GaugeMetricFamily("slipway_ready", "1 if the replica can take requests.", ready)
        schema = GaugeMetricFamily(
            "slipway_schema_info", "The newest migrations in the database.", labels=["revision"]
        )
        for revision in sorted(applied):
            schema.add_metric([revision], 1)
        yield schema


def init_app(app: Flask) -> None:
    """Read which migrations this code knows, and log successful probes only at level debug."""
    app.extensions["migrations"] = known_migrations(VERSIONS)
    quiet_paths.update({"/livez", "/readyz"})


def known_migrations(folder: Path) -> Migrations:
    """Return the migrations in a folder, as Alembic would find them.

    This parses the text of the files. To import Alembic would take a tenth of the service's memory
    and start time.
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
    """Check that the process responds (liveness)"""
    return OK


@blueprint.route("/readyz")
@blueprint.response(200, HealthSchema)
def readyz() -> Any:
    """Check that this replica can take requests (readiness)

    The database must answer, and its schema must have the migrations that this version needs. A
    newer schema is fine: during a rolling update, the old version still serves requests, and
    migrations are compatible with it. During shutdown, the replica is not ready.

    :raises ServiceUnavailable: shutdown has begun, or migrations are missing.
    """
    reason = _reason_not_ready(_applied_heads(database()))
    if reason:
        raise ServiceUnavailable(reason, retry_after=RETRY_AFTER)
    return OK


def _applied_heads(database: Database) -> set[str]:
    """Return the newest migration of each branch in the database."""
    try:
        with database.read() as connection:
            return set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    except MissingTableError:
        return set()


def _reason_not_ready(applied: set[str]) -> str | None:
    """Return why this replica can't take requests, or None if it can."""
    if shutdown.has_begun():
        return "The service is shutting down."
    known: Migrations = current_app.extensions["migrations"]
    missing = known.heads - applied
    newer = applied - known.all
    if missing and not newer:
        names = ", ".join(sorted(missing))
        return f"The database lacks migrations: {names}. Run: alembic upgrade heads"
    return None
