"""Classification of database errors: unavailable, conflict, duplicate."""

from sqlalchemy.exc import IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205
NO_SUCH_TABLE = 1146
NOT_PRIMARY = {1290, 1792, 1836, 3032, 3098, 3100}
"""MySQL's errors of a server that only reads, or whose group doesn't let it write."""
DUPLICATE_KEY = {1062, 2067, 1555}  # MySQL; SQLite for a unique column, and for a primary key

UNAVAILABLE = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""Raised when the database can't serve now: it is unreachable, full, locked, read-only or slow."""


def error_code(error: Exception) -> int | None:
    """Return the error number that MySQL or SQLite gave for an error of SQLAlchemy, or None."""
    original = getattr(error, "orig", None)
    if code := getattr(original, "sqlite_errorcode", None):
        return int(code)
    arguments = original.args if original is not None else ()
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def is_conflict(error: OperationalError) -> bool:
    """Return whether the transaction failed because of another one, so that it can run again.

    After a deadlock, MySQL has rolled the transaction back. After a lock wait time-out, it has
    rolled back only the statement, so the caller must roll back the rest first (MySQL manual,
    "InnoDB Error Handling"). A lost connection is not a conflict: its COMMIT may have succeeded.
    """
    return error_code(error) in {DEADLOCK, LOCK_WAIT_TIMEOUT}


def is_duplicate(error: IntegrityError) -> bool:
    """Return whether a row was rejected because its primary or unique key exists already."""
    return error_code(error) in DUPLICATE_KEY
