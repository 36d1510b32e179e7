"""Runs migrations, one process at a time.

MySQL commits each DDL statement by itself. So two processes that migrate at once would meet each
other's half-done work: they queue for a named lock. And so a revision has one DDL statement.

DDL waits for each transaction that has used its table, and whoever comes after that waits behind
it. So it gives up after a second, lets them pass, and tries again.
"""

import time
from typing import Any, Literal

import structlog
from alembic import context
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

import app.api.idempotency  # noqa: F401 its table is there also where no resource uses it
from app import create_app
from app.config import Settings
from app.database.driver import tls_arguments
from app.database.engines import is_mysql
from app.database.errors import is_conflict
from app.database.types import UTCDateTime, metadata

LOCK_TIMEOUT = 300  # seconds
TABLE_TIMEOUT = 1  # second: less than METADATA_LOCK_TIMEOUT, for which the service's requests wait
PAUSE = 3  # seconds

settings = Settings.from_environ()
create_app(settings)  # brings all tables together, for `alembic revision --autogenerate`


def exists_here(item: Any, _name: object, kind: str, _reflected: bool, _other: object) -> bool:
    """Leave FULLTEXT indexes, which only MySQL has, out of what is compared elsewhere."""
    return engine.dialect.name == "mysql" or kind != "index" or not item.kwargs.get("mysql_prefix")


def written(kind: str, item: Any, migration: Any) -> str | Literal[False]:
    """Write our own type into a new migration so that it can be read there."""
    if kind != "type" or not isinstance(item, UTCDateTime):
        return False
    migration.imports.add("from app.database.types import UTCDateTime")
    return f"UTCDateTime({item.digits})"


arguments = tls_arguments(settings) if is_mysql(settings) else {}
engine = create_engine(settings.database_url, poolclass=NullPool, connect_args=arguments)
with engine.connect() as connection:
    if engine.dialect.name == "mysql":
        lock = text("SELECT GET_LOCK(CONCAT(DATABASE(), '.migrate'), :timeout)")
        if connection.scalar(lock, {"timeout": LOCK_TIMEOUT}) != 1:
            raise SystemExit("Another migration, or a backup, is still running.")
        connection.execute(text(f"SET SESSION lock_wait_timeout = {TABLE_TIMEOUT}"))
        connection.commit()  # both are the session's and stay
    known = {script.revision for script in context.script.walk_revisions()}
    log = structlog.get_logger()
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        context.configure(
            connection,
            target_metadata=metadata,
            include_object=exists_here,
            render_item=written,
            transaction_per_migration=True,
        )
        newer = set(context.get_context().get_current_heads()) - known
        connection.rollback()  # only ends the reading
        if newer:
            # Not an error, or no replica of the old version could start during a rolling update,
            # nor after the new one is rolled back: `/readyz` takes a newer schema too.
            log.warning("the schema is newer than this code", revisions=sorted(newer))
            break
        try:
            with context.begin_transaction():
                context.run_migrations()
            break
        except OperationalError as error:
            # What was in the way did not let it begin: it has changed nothing.
            if not is_conflict(error) or time.monotonic() > deadline:
                raise
            log.warning("migration waits for a transaction", error=str(error))
            # Else Alembic would find a transaction, take it for its caller's, and commit nothing.
            connection.rollback()
            time.sleep(PAUSE)
