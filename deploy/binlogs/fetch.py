"""Fetches the binary logs that lead from a backup to a moment, as relay logs for another server.

Usage: fetch.py SNAPSHOT GTIDS UNTIL: the time and the transactions of the backup, and the moment.
Times are UTC. If UNTIL is empty, the logs are used to their end. It prints two lines: the last
transaction to execute, and all that are executed then. The first line is empty if there are none.
"""

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath

import events
import places

TARGET = Path("/logs")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CannotError(Exception):
    """The moment can't be reached; the message says why."""


def parse(text: str) -> datetime:
    """Read a time, which is UTC unless it names another offset."""
    try:
        if ":" not in text:
            raise ValueError
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CannotError(
            f"UNTIL is not a time: {text}. Write it like 2026-11-28 10:15:00, in UTC."
        ) from None
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)


def fetch(
    place: places.Folder | places.Bucket,
    names: list[str],
    snapshot: datetime,
    backup: events.Gtids,
    until: datetime | None,
) -> tuple[str, events.Gtids]:
    """Fetch the logs of one server, whose names are given in order.

    :return: the last transaction to execute, or "", and all that are executed then.
    :raises CannotError: logs are missing, or end before that moment.
    """
    # A name has the time, to the second, at which the log was begun.
    begun = [PurePath(name).name < f"{snapshot:%Y%m%dT%H%M%SZ}" for name in names]
    if not any(begun):
        raise CannotError("there is no log from the time of the backup")
    seen, have, fetched = events.Gtids(), events.Gtids(str(backup)), []
    last, moment = "", snapshot
    for name in names[sum(begun) - 1 :]:
        path = TARGET / f"relay.{len(fetched) + 1:06}"
        place.get(name, path)
        fetched.append(path)
        before = events.previous(path)
        if not before <= have:
            raise CannotError(f"logs are missing before {name}")
        seen.update(before)
        for time, uuid, number in events.transactions(path):
            if until and EPOCH + timedelta(microseconds=time) > until:
                break
            seen.add(uuid, number, number)
            if not events.Gtids(f"{uuid}:{number}") <= backup:
                have.add(uuid, number, number)
                last, moment = f"{uuid}:{number}", EPOCH + timedelta(microseconds=time)
        else:
            continue
        break
    else:
        if until:
            raise CannotError(
                f"the logs end at {moment:%F %T.%f}. Choose an earlier moment, or leave out UNTIL "
                "to use all of them"
            )
    if not backup <= seen:
        raise CannotError("the logs are not those of the backup, or end before it")
    (TARGET / "relay.index").write_text("".join(f"{path}\n" for path in fetched))
    print(f"The last transaction is of {moment:%F %T.%f} UTC.", file=sys.stderr)  # noqa: T201
    return last, have


def main() -> None:
    made, gtids, moment = sys.argv[1:]
    if re.search(":[a-z_]", gtids, re.IGNORECASE):
        raise CannotError("The backup has GTIDs with tags, which are not supported.")
    snapshot, backup = parse(made), events.Gtids(gtids)
    until = parse(moment) if moment else None
    if until and until < snapshot:
        raise CannotError(
            f"UNTIL is before the backup, which is of {snapshot:%F %T.%f}. Use an older backup."
        )
    place = places.at(os.environ["BINLOGS"])
    servers: dict[str, list[str]] = {}
    for name in place.names():
        servers.setdefault(str(PurePath(name).parent), []).append(name)
    problems = [] if servers else ["there are no logs"]
    for names in servers.values():
        try:
            last, all_of_them = fetch(place, names, snapshot, backup, until)
        except (CannotError, events.UnreadableLogError) as error:
            problems.append(str(error))
        else:
            print(last, all_of_them, sep="\n")  # noqa: T201
            return
    raise CannotError("\n".join(f"In {os.environ['BINLOGS']} {each}." for each in problems))


if __name__ == "__main__":
    try:
        main()
    except CannotError as error:
        sys.exit(str(error))
