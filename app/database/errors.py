"""What the errors of SQLAlchemy and of the servers mean to the service."""

from sqlalchemy.exc import IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205
NO_SUCH_TABLE = 1146
DUPLICATE_KEY = {1062, 2067, 1555}  # SQLite has one for unique columns and one for primary keys

UNAVAILABLE = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""Raised when the database can't do its work now: it is away, full, locked or read-only."""


def error_code(error: Exception) -> int | None:
    """Return the server's own number for an error of SQLAlchemy's, or None."""
    original = getattr(error, "orig", None)
    if code := getattr(original, "sqlite_errorcode", None):
        return int(code)
    arguments = original.args if original is not None else ()
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def is_conflict(error: OperationalError) -> bool:
    """Return whether another transaction was in the way, and the whole of this one can run again.

    MySQL has rolled it back, or rolls it back with the session (MySQL manual, "InnoDB Error
    Handling"). A lost connection is no conflict: its COMMIT may have happened.
    """
    return error_code(error) in {DEADLOCK, LOCK_WAIT_TIMEOUT}


def is_duplicate(error: IntegrityError) -> bool:
    """Return whether a row was rejected because its key is taken."""
    return error_code(error) in DUPLICATE_KEY
