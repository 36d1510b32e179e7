"""Binary logs of MySQL that are made by hand, and the programs of deploy/binlogs that read them."""

import importlib
import struct
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.support.checkout import ROOT

sys.path.append(str(ROOT / "deploy" / "binlogs"))
archive, events, fetch, places = map(
    importlib.import_module, ("archive", "events", "fetch", "places")
)

SERVER = "6d0c2f0e-2c5f-4e0f-9d53-5b1f6f0c6e01"
BEGIN = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)


def event(kind: int, body: bytes) -> bytes:
    """Return an event of a binary log, with its header and room for a checksum."""
    begun = int(BEGIN.timestamp())
    return struct.pack("<IBIIIH", begun, kind, 1, 19 + len(body) + 4, 0, 0) + body + b"sum."


def log(before: int, *seconds: float, server: str = SERVER) -> bytes:
    """Return a binary log whose transactions were committed that many seconds after BEGIN.

    :param before: how many transactions were in earlier logs.
    """
    uuid = UUID(server).bytes
    ranges = struct.pack("<QQQ", 1, 1, before + 1) if before else struct.pack("<Q", 0)
    content = b"\xfebin" + event(15, b"format") + event(35, struct.pack("<Q", 1) + uuid + ranges)
    for number, second in enumerate(seconds, before + 1):
        time = int((BEGIN + timedelta(seconds=second)).timestamp() * 1_000_000)
        parts = (
            b"\0",
            uuid,
            struct.pack("<Q", number),
            b"\2",
            bytes(16),
            time.to_bytes(7, "little"),
        )
        content += event(33, b"".join(parts)) + event(40, b"a compressed transaction")
    return content


def name_of(number: int, begun: datetime = BEGIN) -> str:
    """Return the name of a copy."""
    return f"{SERVER}/{begun:%Y%m%dT%H%M%SZ}-binlog.{number:06}"
