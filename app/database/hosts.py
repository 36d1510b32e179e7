"""Several hosts in one address of the database: connections go to the host that accepts writes.

libpq knows the same as `target_session_attrs=read-write`. Any thread or greenlet may call it.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from gevent import Timeout
from pymysql.connections import Connection
from pymysql.constants import CR
from pymysql.err import Error, NotSupportedError, OperationalError

C = TypeVar("C", bound=Connection)

# If super_read_only is set, so is read_only.
READS_ONLY = "SELECT @@GLOBAL.read_only OR @@GLOBAL.innodb_read_only"

_last_primary: dict[str, str] = {}
"""For each list of hosts, the one that accepted writes last."""

_silent: set[str] = set()
"""The addresses that did not answer when they were last asked.

A host that hung can go on as the primary that it was, until it notices that there is another one.
So these hosts are asked last, and believed only if none of the others accepts writes."""


def connect(connection: Callable[..., C], within: float, options: dict[str, Any]) -> C:
    """Return a connection to the host, or to the one of several that accepts writes.

    :param connection: opens a connection, with `options` as its keyword arguments.
    :param within: seconds for all hosts together. A host that does not answer gets its share, and
        is asked last until it answers.
    :param options: `host` is one host, or several as `database_url.parse` returns them.
    :raises pymysql.err.OperationalError: none of several hosts accepts writes; it says why.
    :raises pymysql.err.NotSupportedError: all of several hosts raised it.
    """
    hosts = options["host"].split(",")
    if len(hosts) == 1:
        return connection(**options)
    deadline = time.monotonic() + within * 0.95  # before the caller's own limit
    first = _last_primary.get(options["host"])
    errors: list[Exception] = []
    ask = partial(_ask, connection, options, errors)
    order = sorted(hosts, key=lambda host: (host in _silent, host != first))
    for place, address in enumerate(order):
        was_silent = address in _silent
        # The last host leaves half of the time for asking the others again.
        share = (deadline - time.monotonic()) / (len(hosts) - place + was_silent)
        if not (found := ask(address, share)):
            continue
        if was_silent:
            for other in (host for host in order if host != address):
                if better := ask(other, (deadline - time.monotonic()) / len(hosts)):
                    found.close()
                    return better
            _silent.discard(address)
        return found
    if all(isinstance(error, NotSupportedError) for error in errors):
        raise errors[0]
    reasons = "; ".join(map(str, errors))
    raise OperationalError(CR.CR_CONN_HOST_ERROR, f"No host accepts writes: {reasons}")


def _ask(
    connection: Callable[..., C],
    options: dict[str, Any],
    errors: list[Exception],
    address: str,
    share: float,
) -> C | None:
    """Return a connection if the host accepts writes. Otherwise add the reason to `errors`."""
    host, _, port = address.rpartition(":")
    try:
        with Timeout(share, OSError(f"{host} timed out")):
            opened = connection(**options | {"host": host, "port": int(port)})
            if not _reads_only(opened):
                _last_primary[options["host"]] = address
                return opened
    except (Error, OSError) as error:
        _silent.add(address)
        errors.append(error)
    else:
        opened.close()
        _silent.discard(address)
        errors.append(Error(f"{host} is read-only"))
    return None


def _reads_only(connection: Connection) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(READS_ONLY)
        return bool(cursor.fetchone()[0])
