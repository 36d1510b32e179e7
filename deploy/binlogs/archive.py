"""Copies MySQL's closed binary logs from its volume to a folder or to S3, again and again.

Each round closes the current log if it has transactions, and copies the closed logs that are not
at their destination yet. So the next round repeats what failed or was interrupted. Copies are named
after the server and the time when the log was begun, because MySQL can count from 1 again.
"""

import os
import ssl
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import events
import places
import pymysql

DATA = Path("/var/lib/mysql")
STATE = """SELECT member_state FROM performance_schema.replication_group_members
WHERE member_id = @@server_uuid"""
HEALTHY = Path("/tmp/healthy")  # noqa: S108 - a tmpfs of this container
INTERVAL = float(os.environ.get("INTERVAL", "45"))  # seconds


def main() -> None:
    os.umask(0o077)  # logs have everything that clients have written
    place, done, last = places.at(os.environ["BINLOGS"]), "", ""
    while True:
        try:
            server, done = close_log(done)
            if not last.startswith(server):
                names = place.names()
                last = max((n for n in names if n.startswith(server)), default="")
                if names and not last:
                    log(
                        "warning: this MySQL server is new. Make a new backup: older ones can't be "
                        "brought to moments from now on."
                    )
            last = copy(place, server, last)
            HEALTHY.touch()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round can succeed
            done = last = ""
            log(f"error: {error!r}. Logs wait to be copied, and MySQL deletes them after a week.")
        time.sleep(INTERVAL)


def close_log(done: str) -> tuple[str, str]:
    """Make MySQL begin a new log, unless it has executed nothing since `done`.

    :return: the server's UUID, and what it has executed.
    :raises LookupError: the server is of a group, but not in it, so others have what it lacks.
    """
    verified = ssl.create_default_context(cafile="/run/secrets/ca.pem")
    password = Path("/run/secrets/password").read_text().strip()
    connection = pymysql.connect(
        host="db", user="archiver", password=password, ssl=verified, read_timeout=60
    )
    with closing(connection), connection.cursor() as cursor:
        # Only a member of a group has this. Accounts of older stacks without one can't read STATE.
        cursor.execute("SHOW VARIABLES LIKE 'group_replication_group_name'")
        if cursor.fetchall():
            cursor.execute(STATE)
            ((state,),) = cursor.fetchall()
            if state != "ONLINE":
                raise LookupError(f"db is {state} in its group")
        cursor.execute("SELECT @@server_uuid, @@GLOBAL.gtid_executed")
        ((server, executed),) = cursor.fetchall()
        if executed != done:
            cursor.execute("FLUSH BINARY LOGS")
    return server, executed


def copy(place: places.Folder | places.Bucket, server: str, last: str) -> str:
    """Copy the closed logs that are newer than the copy `last`, and return the newest copy."""
    *closed, _ = (DATA / "binlog.index").read_text().split()
    new: list[tuple[Path, str]] = []
    for path in (DATA / each for each in reversed(closed)):
        begun = datetime.fromtimestamp(events.created(path), UTC)
        name = f"{server}/{begun:%Y%m%dT%H%M%SZ}-{path.name}"
        if name == last:
            break  # older ones were copied before it
        new.append((path, name))
    for path, name in reversed(new):
        if last and number(name) != number(last) + 1:
            log(
                f"warning: logs are missing between {last} and {name}: MySQL deleted them before "
                "they were copied. Make a new backup: older ones can't be brought past this gap."
            )
        place.put(path, name)
        last = name
        log(f"copied {name}")
    return last


def number(name: str) -> int:
    return int(name.rpartition(".")[2])


def log(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
