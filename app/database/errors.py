"""Classification of database errors: unavailable, conflict, violated constraint.

Each error is classified once, where the engine raises it: see `translate`.
"""

import re
from typing import Any

from pymysql import err
from sqlalchemy import ExceptionContext
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.database.types import metadata

DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205
NO_SUCH_TABLE = 1146
DUPLICATE_KEY = {1062, 2067, 1555}  # MySQL; SQLite for a unique column, and for a primary key
NO_PARENT = {1452, 787}  # MySQL; SQLite for any foreign key

# MySQL's errors after which the same statement can succeed later. After all others, such as an
# unknown column, it would fail again. Source: MySQL 9.7 Error Reference, "Server Error Message
# Reference"; a test compares numbers and names with a server. Errors that only a new connection
# gets, such as 1040 or 1045, are missing, because all of those count.
ENDED = {  # the statement or the session was ended
    1053: "ER_SERVER_SHUTDOWN",
    1158: "ER_NET_READ_ERROR",
    1159: "ER_NET_READ_INTERRUPTED",
    1160: "ER_NET_ERROR_ON_WRITE",
    1161: "ER_NET_WRITE_INTERRUPTED",
    1317: "ER_QUERY_INTERRUPTED",
    3024: "ER_QUERY_TIMEOUT",
    3032: "ER_SERVER_OFFLINE_MODE",
    3168: "ER_SERVER_ISNT_AVAILABLE",
    3169: "ER_SESSION_WAS_KILLED",
    3781: "ER_GR_HOLD_WAIT_TIMEOUT",
    3782: "ER_GR_HOLD_KILLED",
    3796: "ER_GRP_TRX_CONSISTENCY_NOT_ALLOWED",
    3797: "ER_GRP_TRX_CONSISTENCY_BEFORE",
    3798: "ER_GRP_TRX_CONSISTENCY_AFTER_ON_TRX_BEGIN",
    3799: "ER_GRP_TRX_CONSISTENCY_BEGIN_NOT_ALLOWED",
    4031: "ER_CLIENT_INTERACTION_TIMEOUT",
    6400: "ER_SERVER_OFFLINE_MODE_REASON",
}
FULL = {  # the disk, the memory, or a quota
    1037: "ER_OUTOFMEMORY",
    1041: "ER_OUT_OF_RESOURCES",
    1114: "ER_RECORD_FILE_FULL",
    1206: "ER_LOCK_TABLE_FULL",
    1226: "ER_USER_LIMIT_REACHED",
    1637: "ER_TOO_MANY_CONCURRENT_TRXS",
    3015: "ER_ENGINE_OUT_OF_MEMORY",
    3019: "ER_INNODB_UNDO_LOG_FULL",
    3675: "ER_DISK_FULL_NOWAIT",
    3985: "ER_MDL_OUT_OF_RESOURCES",
    4081: "ER_DA_GLOBAL_CONN_LIMIT",
}
LOCKED = {  # another transaction was in the way
    LOCK_WAIT_TIMEOUT: "ER_LOCK_WAIT_TIMEOUT",
    DEADLOCK: "ER_LOCK_DEADLOCK",
    1412: "ER_TABLE_DEF_CHANGED",
    1689: "ER_LOCK_ABORTED",
    3058: "ER_USER_LOCK_DEADLOCK",
    3101: "ER_TRANSACTION_ROLLBACK_DURING_COMMIT",  # a server of a group has changed the same rows
    3572: "ER_LOCK_NOWAIT",
}
READ_ONLY = {  # the server does not accept writes now, for example after a failover
    1015: "ER_CANT_LOCK",  # with innodb_read_only
    1036: "ER_OPEN_AS_READONLY",
    1290: "ER_OPTION_PREVENTS_STATEMENT",  # with read_only or super_read_only
    1792: "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION",
    1836: "ER_READ_ONLY_MODE",
    1874: "ER_INNODB_READ_ONLY",
    3098: "ER_BEFORE_DML_VALIDATION_ERROR",  # while a group changes its primary
    3100: "ER_RUN_HOOK_ERROR",  # at a commit in a server that has left its group
    3783: "ER_GR_HOLD_MEMBER_STATUS_ERROR",
    3989: "ER_SCHEMA_READ_ONLY",
    4094: "ER_OPERATION_NOT_ALLOWED_WHILE_PRIMARY_CHANGE_IS_RUNNING",
}
NO_SCHEMA = {1046: "ER_NO_DB_ERROR", 1049: "ER_BAD_DB_ERROR"}  # not created yet, or being restored
PASSING = ENDED | FULL | LOCKED | READ_ONLY | NO_SCHEMA
CLIENT_ERRORS = range(2000, 3000)  # PyMySQL lost the server, or can't understand it
# SQLite's primary result codes (sqlite.org/rescode.html): BUSY, LOCKED, READONLY, INTERRUPT, IOERR,
# FULL, CANTOPEN, PROTOCOL.
SQLITE_PASSING = {5, 6, 8, 9, 10, 13, 14, 15}

# Where the message about a violated constraint has its name. Values of the client can come before.
NAME_OF_VIOLATED = {
    1062: r"'([^']+)'$",
    1451: "CONSTRAINT `(.+?)`",
    1452: "CONSTRAINT `(.+?)`",
    3819: "'(.+)'",
    275: ": (.+)",  # SQLite's extended result codes, for CHECK, PRIMARY KEY and UNIQUE
    1555: ": (.+)",
    2067: ": (.+)",
}


class UnavailableError(OperationalError):
    """The database can't run a statement now, but can run the same one later."""


class MissingTableError(UnavailableError):
    """A table is missing: the migrations have not run yet."""


UNAVAILABLE = (UnavailableError, PoolTimeoutError)
"""Raised when the database can't serve now: it is unreachable, full, locked, read-only or slow."""


def translate(context: ExceptionContext) -> UnavailableError | None:
    """Return the error to raise instead of an engine's own, or None to leave it as it is.

    It handles SQLAlchemy's event `handle_error`. PyMySQL and sqlite3 raise OperationalError for a
    server that is away and for a statement that can never succeed, so their classes don't help.
    """
    error = context.sqlalchemy_exception
    if not isinstance(error, DBAPIError):
        return None
    kind = UnavailableError
    if _is_missing_table(error):
        kind = MissingTableError
    # If there is no connection yet, the cause is not the statement.
    elif context.connection is not None and not _is_passing(error):
        return None
    return kind(
        error.statement,
        error.params,
        context.original_exception,
        hide_parameters=True,
        connection_invalidated=context.is_disconnect,
    )


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


def is_orphan(error: IntegrityError) -> bool:
    """Return whether a row was rejected because the row that it refers to does not exist."""
    return error_code(error) in NO_PARENT


def violated(error: DBAPIError) -> str | None:
    """Return what the database calls the constraint that a statement violated, or None.

    For a unique key, MySQL gives `table.name`, and SQLite `table.column, table.column`.
    """
    original: Any = error.orig
    pattern = NAME_OF_VIOLATED.get(error_code(error) or 0)
    found = re.search(pattern, str(original.args[-1])) if pattern else None
    return found[1] if found else None


def info_of_violated(error: DBAPIError) -> dict[Any, Any]:
    """Return the `info` of the constraint or index in `metadata` that was violated, or {}."""
    if name := violated(error):
        for table in metadata.tables.values():
            rules: set[Any] = {*table.constraints, *table.indexes}
            for rule in rules:
                columns = ", ".join(f"{table.name}.{column.name}" for column in rule.columns)
                if name in {rule.name, f"{table.name}.{rule.name}", columns}:
                    return dict(rule.info)
    return {}


def _is_missing_table(error: DBAPIError) -> bool:
    return error_code(error) == NO_SUCH_TABLE or str(error.orig).startswith("no such table")


def _is_passing(error: DBAPIError) -> bool:
    code = error_code(error)
    if hasattr(error.orig, "sqlite_errorcode"):
        return int(code or 0) & 0xFF in SQLITE_PASSING
    if not code:  # PyMySQL has closed the connection, or can't understand what it receives
        return isinstance(error.orig, (err.OperationalError, err.InternalError, err.InterfaceError))
    return code in PASSING or code in CLIENT_ERRORS
