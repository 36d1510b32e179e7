"""Liveness and readiness probes, and the state of the database for people and monitoring.

An outage of the database must not restart containers, so liveness does not use it. It must not take
replicas out of their load balancer either: they share the database, so none would be left, and
clients would get the balancer's error page instead of 503 with `Retry-After`.
"""

import mmap
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


class DatabaseState(Collector):
    """A Prometheus collector that reports the result of `/readyz/database` at each scrape."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Query the database, and yield the metrics."""
        with self.app.app_context():
            try:
                applied = _applied_heads(database())
                up = not _missing_migrations(applied)
            except UNAVAILABLE:
                applied, up = set(), False
        yield GaugeMetricFamily(
            "slipway_database_up", "1 if the database answers and lacks no migration.", up
        )
        schema = GaugeMetricFamily(
            "slipway_schema_info", "The newest migrations in the database.", labels=["revision"]
        )
        for revision in sorted(applied):
            schema.add_metric([revision], 1)
        yield schema


def init_app(app: Flask) -> None:
    """Read which migrations this code knows, and log successful probes only at level debug."""
    app.extensions["migrations"] = known_migrations(VERSIONS)
    # One byte of memory that gunicorn's master shares with its forked workers.
    app.extensions["has_been_ready"] = mmap.mmap(-1, 1)
    quiet_paths.update({"/livez", "/readyz", "/readyz/database"})


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

    After its start, a replica becomes ready as soon as `/readyz/database` would succeed. It then
    stays ready while the database is away, and answers 503 itself. During shutdown, it is not
    ready.

    :raises ServiceUnavailable: shutdown has begun, or migrations are missing at the start.
    """
    if shutdown.has_begun():
        raise ServiceUnavailable("The service is shutting down.", retry_after=RETRY_AFTER)
    return OK if current_app.extensions["has_been_ready"][0] else database_state()


@blueprint.route("/readyz/database")
@blueprint.response(200, HealthSchema)
def database_state() -> Any:
    """Check that the database can be used

    It must answer, and its schema must have the migrations that this version needs. A newer schema
    is fine: during a rolling update, the old version still serves requests, and migrations are
    compatible with it.

    :raises ServiceUnavailable: migrations are missing.
    """
    if missing := _missing_migrations(_applied_heads(database())):
        names = ", ".join(sorted(missing))
        reason = f"The database lacks migrations: {names}. Run: alembic upgrade heads"
        raise ServiceUnavailable(reason, retry_after=RETRY_AFTER)
    current_app.extensions["has_been_ready"][0] = 1
    return OK


def _applied_heads(database: Database) -> set[str]:
    """Return the newest migration of each branch in the database."""
    try:
        with database.read() as connection:
            return set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    except MissingTableError:
        return set()


def _missing_migrations(applied: set[str]) -> set[str]:
    """Return the heads that the database lacks: none if it has a migration newer than all known."""
    known: Migrations = current_app.extensions["migrations"]
    return set() if applied - known.all else known.heads - applied
