"""Reads which transactions a MySQL binary log has, and when they were committed.

MySQL's headers mysql/binlog/event/control_events.h and statement_events.h document the format. A
transaction's own events, which can be compressed, follow its GTID event. They are skipped.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

MAGIC = b"\xfebin"
HEADER = struct.Struct("<IBIIIH")  # time, type, server's id, length, next position, flags
ANONYMOUS, TAGGED = 34, 42
GTID, PREVIOUS_GTIDS = 33, 35
ORIGINAL_FOLLOWS = 1 << 55  # in the first commit time: that on the server of origin follows


class UnreadableLogError(Exception):
    """A file is no binary log, or one that this module does not understand."""


class Gtids:
    """A set of transactions: for each server's UUID, ranges (first, last) in ascending order."""

    def __init__(self, text: str = "") -> None:
        """Read a set as MySQL writes it, such as UUID:1-5:7,UUID:1."""
        self.ranges: dict[str, list[tuple[int, int]]] = {}
        for part in filter(None, text.replace("\n", "").split(",")):
            uuid, *ranges = part.strip().split(":")
            for each in ranges:
                first, _, last = each.partition("-")
                self.add(str(UUID(uuid)), int(first), int(last or first))

    def add(self, uuid: str, first: int, last: int) -> None:
        """Add a range of numbers."""
        ranges = self.ranges.setdefault(uuid, [])
        if ranges and ranges[-1][1] + 1 == first:  # the common case: the next one
            ranges[-1] = (ranges[-1][0], last)
            return
        merged: list[tuple[int, int]] = []
        for begin, end in sorted([*ranges, (first, last)]):
            if merged and begin <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        self.ranges[uuid] = merged

    def update(self, other: "Gtids") -> None:
        """Add all transactions of another set."""
        for uuid, ranges in other.ranges.items():
            for each in ranges:
                self.add(uuid, *each)

    def __le__(self, other: "Gtids") -> bool:
        """Return whether all transactions are in the other set too."""
        return all(
            any(begin <= first and last <= end for begin, end in other.ranges.get(uuid, []))
            for uuid, ranges in self.ranges.items()
            for first, last in ranges
        )

    def __str__(self) -> str:
        parts = (
            ":".join([uuid, *(f"{first}-{last}" for first, last in ranges)])
            for uuid, ranges in self.ranges.items()
        )
        return ",".join(parts)


def created(path: Path) -> int:
    """Return when a log was begun, in seconds since 1970."""
    with path.open("rb") as file:
        for time, *_ in _events(file, path.name):
            return time
    raise UnreadableLogError(f"{path.name} is empty")


def previous(path: Path) -> Gtids:
    """Return the transactions that the server had executed when it began this log."""
    found = Gtids()
    with path.open("rb") as file:
        for _, kind, body in _events(file, path.name):
            if kind == PREVIOUS_GTIDS:
                (servers,) = struct.unpack_from("<Q", body)
                if servers >> 32:
                    raise UnreadableLogError(f"{path.name} has GTIDs with tags")
                at = 8
                for _ in range(servers):
                    uuid, count = str(UUID(bytes=body[at : at + 16])), body[at + 16 : at + 24]
                    at += 24
                    for _ in range(int.from_bytes(count, "little")):
                        first, end = struct.unpack_from("<QQ", body, at)
                        found.add(uuid, first, end - 1)
                        at += 16
                return found
    raise UnreadableLogError(f"{path.name} does not say which transactions were before it")


def transactions(path: Path) -> Iterator[tuple[int, str, int]]:
    """Yield the transactions of a log: when each was committed, in microseconds since 1970, and
    its GTID. The time is that of the server where the client committed it.
    """
    with path.open("rb") as file:
        for _, kind, body in _events(file, path.name):
            if kind in {ANONYMOUS, TAGGED}:
                raise UnreadableLogError(f"{path.name} has transactions without a plain GTID")
            if kind == GTID:
                # flags, UUID, number, kind of logical clock, its two values; then the times
                uuid, number = UUID(bytes=body[1:17]), int.from_bytes(body[17:25], "little")
                time = int.from_bytes(body[42:49], "little")
                if time & ORIGINAL_FOLLOWS:
                    time = int.from_bytes(body[49:56], "little")
                yield time, str(uuid), number


def _events(file: BinaryIO, name: str) -> Iterator[tuple[int, int, bytes]]:
    """Yield time, type and body of each event; the body only of those that are read here."""
    if file.read(4) != MAGIC:
        raise UnreadableLogError(f"{name} is encrypted, or no binary log")
    while header := file.read(HEADER.size):
        try:
            time, kind, _, length, _, _ = HEADER.unpack(header)
        except struct.error:
            raise UnreadableLogError(f"{name} is cut off") from None
        rest = length - HEADER.size
        if rest <= 0:  # for example zeros, after a power cut
            raise UnreadableLogError(f"{name} is damaged")
        if kind in {GTID, PREVIOUS_GTIDS}:
            body = file.read(rest)
        else:
            body = b""
            file.seek(rest - 1, 1)
            body = file.read(1)
            rest = 1
        if len(body) != rest:
            raise UnreadableLogError(f"{name} is cut off")
        yield time, kind, body
