"""Two statements in one packet, past SQLAlchemy, which costs more than all else on the client."""

from collections.abc import Mapping
from typing import Any

from pymysql.err import Error
from sqlalchemy import Connection

from app.telemetry import tracing


def find_and_insert(
    connection: Connection, statements: str, values: Mapping[str, Any]
) -> tuple[Any, int]:
    """Run a SELECT of one value and an INSERT … SELECT, both of which commit themselves.

    Return the value, None if there is no row, and the number of rows that the INSERT has inserted
    or updated. Another transaction can commit between the two statements. If the SELECT fails, the
    INSERT doesn't run.

    :param connection: a connection of `Database.packets`, to MySQL.
    :param statements: both statements with PyMySQL's placeholders, such as `%(name)s`.
    :raises sqlalchemy.exc.SQLAlchemyError: what SQLAlchemy would raise. The INSERT may have been
        committed if the connection was lost.
    """
    connected: Any = connection.connection.driver_connection
    try:
        with tracing.statement_span(connection, statements):
            found: tuple[Any, int] = connected.find_and_insert(statements, values)
    except Error as error:
        # It calls our handlers of errors, and raises what they say.
        connection._handle_dbapi_exception(error, statements, None, None, None)
    return found
