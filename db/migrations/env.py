"""Run migrations, one process at a time.

MySQL commits each DDL statement implicitly (MySQL manual, "Statements That Cause an Implicit
Commit"). So a revision has only one DDL statement, which is done completely or not at all.
Processes that migrate at the same time queue for a named lock (`GET_LOCK`), because they would see
each other's unfinished work.

DDL waits for all transactions that have used its table, and later statements on that table queue
behind it (MySQL manual, "Metadata Locking"). So a migration waits for a table only for a second.
Then it gives up, lets the queued statements pass, and tries again.
"""

import sys
import time
from typing import Any, Literal

import structlog
from alembic import context
from sqlalchemy import NullPool, String, create_engine, event, text
from sqlalchemy.exc import OperationalError

import app.api.idempotency  # noqa: F401 its table exists even if no resource uses it
from app import create_app
from app.config import Settings, SettingsError
from app.database import hosts
from app.database.driver import AnyConnection, WrongServerError, tls_arguments
from app.database.engines import is_mysql
from app.database.errors import is_conflict
from app.database.types import UTCDateTime, metadata

LOCK_TIMEOUT = 300  # seconds
TABLE_TIMEOUT = 1  # second: less than METADATA_LOCK_TIMEOUT, which is how long requests wait
PAUSE = 3  # seconds between two attempts
CONNECT_TIMEOUT = 3  # seconds for one of several hosts

try:
    settings = Settings.from_environ()
    create_app(settings)  # registers all tables, for `alembic revision --autogenerate`
except SettingsError as error:
    sys.exit(f"slipway: {error}")


def exists_here(item: Any, _name: object, kind: str, _reflected: bool, _other: object) -> bool:
    """Return whether Alembic compares an object; only MySQL has FULLTEXT indexes.

    This is the hook `include_object`.
    """
    return engine.dialect.name == "mysql" or kind != "index" or not item.kwargs.get("mysql_prefix")


def is_other_type(
    _context: object, _column: object, _declared: object, found: object, _wanted: object
) -> bool | None:
    """Return False for texts in SQLite, which enforces no length, so migrations don't change it.

    This is the hook `compare_type`; None leaves the comparison to Alembic.
    """
    has_lengths = engine.dialect.name == "mysql"
    return False if not has_lengths and isinstance(found, String) else None


def written(kind: str, item: Any, migration: Any) -> str | Literal[False]:
    """Return the code of our own column type for a new migration, and add its import.

    This is the hook `render_item`; False leaves the item to Alembic.
    """
    if kind != "type" or not isinstance(item, UTCDateTime):
        return False
    migration.imports.add("from app.database.types import UTCDateTime")
    return f"UTCDateTime({item.digits})"


def connect(_dialect: object, _record: object, _args: object, options: Any) -> AnyConnection:
    """Open a connection. This is the hook `do_connect`."""
    try:
        if "," in options["host"]:
            # Here, only time-outs of sockets limit a host that hangs. But DDL can take hours, so
            # they are for another connection, which finds the host.
            limits = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": CONNECT_TIMEOUT}
            found = hosts.connect(AnyConnection, LOCK_TIMEOUT, options | limits)
            found.close()
            options |= {"host": found.host, "port": found.port}
        return AnyConnection(**options)
    except WrongServerError as error:
        sys.exit(f"slipway: {error}")


arguments = tls_arguments(settings) if is_mysql(settings) else {}
engine = create_engine(settings.database_url, poolclass=NullPool, connect_args=arguments)
if is_mysql(settings):
    event.listen(engine, "do_connect", connect)
with engine.connect() as connection:
    if engine.dialect.name == "mysql":
        lock = text("SELECT GET_LOCK(CONCAT(DATABASE(), '.migrate'), :timeout)")
        if connection.scalar(lock, {"timeout": LOCK_TIMEOUT}) != 1:
            raise SystemExit(
                "Another migration or a backup is still running. Try again when it has ended."
            )
        connection.execute(text(f"SET SESSION lock_wait_timeout = {TABLE_TIMEOUT}"))
        connection.commit()  # the lock and the variable belong to the session, so both stay
    known = {script.revision for script in context.script.walk_revisions()}
    log = structlog.get_logger()
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        context.configure(
            connection,
            target_metadata=metadata,
            include_object=exists_here,
            compare_type=is_other_type,
            render_item=written,
            transaction_per_migration=True,
        )
        newer = set(context.get_context().get_current_heads()) - known
        connection.rollback()  # ends the transaction in which the revisions were read
        if newer:
            # This is not an error: replicas of the old version must be able to start during a
            # rolling update, and after a rollback. `/readyz` accepts a newer schema too.
            log.warning("the schema is newer than this code", revisions=sorted(newer))
            break
        try:
            with context.begin_transaction():
                context.run_migrations()
            break
        except OperationalError as error:
            # The statement did not get its lock, so it has changed nothing.
            if not is_conflict(error) or time.monotonic() > deadline:
                raise
            log.warning("migration waits for a transaction", error=str(error))
            # Otherwise Alembic would find an open transaction, leave the commit to its caller, and
            # commit nothing.
            connection.rollback()
            time.sleep(PAUSE)
